"""Properties are tried on the same examples every time; `HYPOTHESIS_PROFILE=explore` looks for new ones."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# How long examples take to make depends on what else the machine does.
AT_LEISURE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", AT_LEISURE, derandomize=True)
settings.register_profile("explore", AT_LEISURE, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
