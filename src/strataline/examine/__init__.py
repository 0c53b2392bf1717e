"""Tables to findings: checks, coverage, contrasts, changes, impact. Pure functions of frames: no input, no output."""

from strataline.examine.check import ATTENTION, Check, Examination, Found, Unknown
from strataline.examine.checks import CHECKS
from strataline.examine.compare import Comparison, comparison
from strataline.examine.coverage import COVERAGE, by_service, coverage, gaps, presence, sampling, services, unseen
from strataline.examine.facts import Affected, Facts, Texts
from strataline.examine.fields import named, unlocking
from strataline.examine.impact import Impact, impact
from strataline.examine.own import catalogue
from strataline.examine.run import run
from strataline.examine.whole import Examined, examine

__all__ = [
    "ATTENTION",
    "CHECKS",
    "COVERAGE",
    "Affected",
    "Check",
    "Comparison",
    "Examination",
    "Examined",
    "Facts",
    "Found",
    "Impact",
    "Texts",
    "Unknown",
    "by_service",
    "catalogue",
    "comparison",
    "coverage",
    "examine",
    "gaps",
    "impact",
    "named",
    "presence",
    "run",
    "sampling",
    "services",
    "unlocking",
    "unseen",
]
