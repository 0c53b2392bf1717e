"""Strataline: one ordered, cross-layer timeline from the raw log exports of an AI product."""

from strataline.case import Case
from strataline.errors import CaseError, CheckError, FormatError, InputError, StrataError
from strataline.format import Format
from strataline.reconstruct import Survey, reconstruct, survey

__all__ = [
    "Case",
    "CaseError",
    "CheckError",
    "Format",
    "FormatError",
    "InputError",
    "StrataError",
    "Survey",
    "reconstruct",
    "survey",
]
