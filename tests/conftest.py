"""Settings for every test: examples of property tests are the same in every run, and no figure outlives its test.

A run that explores new ones: ``HYPOTHESIS_PROFILE=explore make test``.
"""

import os
import sys

import pytest
from hypothesis import settings

# Two workers on two cores: each keeps to one of them, so that threads and processes of one do not wait for those of the other.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if WORKER and hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(WORKER.removeprefix("gw")) % len(cores)]})

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


@pytest.fixture(autouse=True)
def figures_are_closed():
    """Close what a test drew: matplotlib warns of more than 20 open figures, and warnings are errors here."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
