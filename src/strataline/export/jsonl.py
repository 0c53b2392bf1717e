r"""Events as JSON Lines: one object for each event, its columns as members; what is null is left out.

Times are ``2026-01-31T23:59:59.999Z``, to the nanosecond where they have one. Every value comes back as it was, however
it is read: control, invisible and bidirectional characters are written as ``\u`` escapes. A number that JSON has no
word for is a text (``"NaN"``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, BinaryIO

from strataline.escape import UNSEEN_IN_LINE, json_line
from strataline.event import EVENTS, TIME, Column
from strataline.export.sql import Odd, Tables, iso, literal, write_lines


def write(tables: Tables, out: BinaryIO) -> int:
    """Write the chosen events; return how many."""
    return write_lines(tables, line(members(EVENTS.columns)), out, ODD)


def members(columns: Iterable[Column]) -> list[str]:
    """The members of an object, in SQL: ``"name":value``, or null."""
    return [f"{literal(json.dumps(one.name) + ':')} || {_value(one)}" for one in columns]


def line(members: Iterable[str]) -> str:
    """An object of `members`, in SQL; those that are null are left out."""
    return f"concat('{{', concat_ws(',', {', '.join(members)}), '}}')"


def _value(column: Column) -> str:
    name = f'"{column.name}"'
    return f"""'"' || {iso(name)} || '"'""" if column.dtype == TIME else f"to_json({name})"


def mend(line: str) -> str:
    """A line as JSON that every parser takes, in ASCII where nobody would see the character."""
    return json_line(finite(line))


def finite(line: str) -> str:
    """A line with its numbers that are no JSON as texts."""
    if not ("NaN" in line or "Infinity" in line):
        return line
    return json.dumps(_finite(json.loads(line)), ensure_ascii=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value


NO_JSON = ":NaN|Infinity"
"""What a line with a number that is no JSON matches."""
SIGNS = (b"\x7f", b":NaN", b"Infinity")
"""One of which an ASCII line has that is no JSON, or that holds a character which nobody sees."""

ODD = Odd(f"{NO_JSON}|{UNSEEN_IN_LINE}", SIGNS, mend)
