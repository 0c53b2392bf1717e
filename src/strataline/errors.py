"""What a caller can mend, as exceptions. Bad data is never one of these: it is a row in ``rejects``.

StrataError
├── InputError    no readable input, or an option that names none
├── FormatError   a format file, name or declaration that does not hold
├── CheckError    a check file or declaration that does not hold, or a selection of requests that names none
└── CaseError     a folder that is no case, or whose tables do not agree with its manifest
"""

from __future__ import annotations


class StrataError(Exception):
    """Something that the caller can mend: says where it is, what it is, and what to do.

    Args:
        message: what is the matter, as a sentence without its full stop.
        path: the file concerned.
        line: the line in it, from 1.
        hint: what to do about it.
    """

    def __init__(
        self, message: str, *, path: str | None = None, line: int | None = None, hint: str | None = None
    ) -> None:
        self.message = message
        self.path = path
        self.line = line
        self.hint = hint
        where = "" if path is None else f"{path}:{line}: " if line is not None else f"{path}: "
        super().__init__(where + message + ("" if hint is None else f"\n  hint: {hint}"))


class InputError(StrataError):
    """An input that cannot be read, or an option that names none."""


class FormatError(StrataError):
    """A format that cannot be loaded, or whose declaration does not hold."""


class CheckError(StrataError):
    """A check that cannot be loaded or does not hold, or a selection of requests that cannot be read or names none."""


class CaseError(StrataError):
    """A folder that is no case, or a case whose tables do not agree with its manifest."""
