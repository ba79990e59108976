"""Histories: readers of contact logs, interval reports and event logs, the data-quality report, :class:`History`."""

from bposim.history.build import read_history
from bposim.history.core import History
from bposim.history.guess import Guess, guess_profile
from bposim.history.profiles import PROFILES, Profile
from bposim.history.quality import Finding, QualityReport
from bposim.history.rules import RULES, Rule

__all__ = [
    "Finding", "Guess", "History", "PROFILES", "Profile", "QualityReport", "RULES", "Rule", "guess_profile",
    "read_history",
]  # fmt: skip
