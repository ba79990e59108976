"""Histories: readers of contact logs and interval reports, the data-quality report, :class:`History`."""

from bposim.history.build import read_history
from bposim.history.core import History
from bposim.history.profiles import PROFILES, Profile
from bposim.history.quality import Finding, QualityReport
from bposim.history.rules import RULES, Rule

__all__ = ["Finding", "History", "PROFILES", "Profile", "QualityReport", "RULES", "Rule", "read_history"]
