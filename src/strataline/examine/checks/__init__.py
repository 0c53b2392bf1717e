"""The catalogue of checks: one file per layer, one declaration per check."""

from __future__ import annotations

from strataline.examine.check import Check
from strataline.examine.checks import baseline, change, content, cross, evidence, model, policy, prompt, retrieval, ui

_GROUPS = "PRMFUXCE"


def _place(check: Check) -> tuple[int, int]:
    group, _, number = check.id.partition("-")
    return _GROUPS.index(group), int(number)


CHECKS: tuple[Check, ...] = tuple(
    sorted(
        (
            *prompt.CHECKS,
            *retrieval.CHECKS,
            *model.CHECKS,
            *policy.CHECKS,
            *ui.CHECKS,
            *cross.CHECKS,
            *change.CHECKS,
            *evidence.CHECKS,
            *content.CHECKS,
            *baseline.CHECKS,
        ),
        key=_place,
    )
)
"""Every check that is shipped, in the order of the catalogue."""
