"""Strataline: one ordered, cross-layer timeline from the raw log exports of an AI product.

What is public is imported when it is first asked for: `strataline --help` should not wait for the libraries that read
logs.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_PLACES = {
    "Case": "case",
    "CaseError": "errors",
    "CheckError": "errors",
    "Format": "format",
    "FormatError": "errors",
    "InputError": "errors",
    "StrataError": "errors",
    "Survey": "reconstruct",
    "reconstruct": "reconstruct",
    "survey": "reconstruct",
}
"""Public name → the module that it is in."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    found = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        """Keep `strataline.reconstruct` the function, though the module that holds it is called so too.

        Python binds a module to its package once it is imported, whoever imports it.
        """
        module = name == "reconstruct" and isinstance(value, ModuleType)
        super().__setattr__(name, getattr(value, name) if module else value)


sys.modules[__name__].__class__ = _Package
