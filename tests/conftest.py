"""Settings for every test: examples of property tests are the same in every run.

A run that explores new ones: ``HYPOTHESIS_PROFILE=explore make test``.
"""

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
