"""The catalogue of checks: one file per layer, one declaration per check."""

from __future__ import annotations

from strataline.examine.check import Check
from strataline.examine.checks import baseline, change, cross, evidence, model, policy, prompt, retrieval, ui

GROUPS = "PRMFUXCE"
"""The groups of checks, in the order of the catalogue."""

_FILES = (prompt, retrieval, model, policy, ui, cross, change, evidence, baseline)

CHECKS: tuple[Check, ...] = tuple(
    sorted((check for file in _FILES for check in file.CHECKS), key=lambda check: (GROUPS.index(check.id[0]), check.id))
)
"""Every check that is shipped, in the order of the catalogue."""
