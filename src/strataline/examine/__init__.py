"""Tables to findings: checks, coverage, contrasts, changes, impact. Pure functions of frames: no input, no output."""

from strataline.examine.check import ATTENTION, Check, Found, Unknown
from strataline.examine.checks import CHECKS
from strataline.examine.coverage import COVERAGE, coverage
from strataline.examine.facts import Affected, Facts, Texts
from strataline.examine.run import Examination, run

__all__ = [
    "ATTENTION",
    "CHECKS",
    "COVERAGE",
    "Affected",
    "Check",
    "Examination",
    "Facts",
    "Found",
    "Texts",
    "Unknown",
    "coverage",
    "run",
]
