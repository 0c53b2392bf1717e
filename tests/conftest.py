"""How hard Hypothesis tries: ``quick`` for every run, ``HYPOTHESIS_PROFILE=thorough`` before a release."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A slow machine is no defect: neither profile has a deadline, and drawing data may take its time.
slow_machine = [HealthCheck.too_slow]
settings.register_profile("quick", max_examples=50, derandomize=True, deadline=None, suppress_health_check=slow_machine)
settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=slow_machine)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
