"""The catalogue of checks: one file per layer, one declaration per check."""

from __future__ import annotations

from strataline.examine.check import Check
from strataline.examine.checks import change, cross, evidence, model, policy, prompt, retrieval, ui

CHECKS: tuple[Check, ...] = (
    *prompt.CHECKS,
    *retrieval.CHECKS,
    *model.CHECKS,
    *policy.CHECKS,
    *ui.CHECKS,
    *cross.CHECKS,
    *change.CHECKS,
    *evidence.CHECKS,
)
"""Every check that is shipped, in the order of the catalogue."""
