r"""Events as JSON Lines: one object for each event, its columns as members; what is null is left out.

Times are ``2026-01-31T23:59:59.999Z``, to the nanosecond where they have one. Every value comes back as it was, however
it is read: control, invisible and bidirectional characters are written as ``\u`` escapes. A number that JSON has no
word for is a text (``"NaN"``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import polars as pl

from strataline.escape import UNSEEN_IN_LINE, json_line
from strataline.event import DOCUMENT, EVENTS, TIME, Column
from strataline.export.sql import Odd, Tables, iso, literal, write_lines


def write(tables: Tables, out: BinaryIO) -> int:
    """Write the chosen events; return how many."""
    return write_lines(tables, line(members(EVENTS.columns)), out, ODD)


def members(columns: Iterable[Column]) -> list[tuple[str, str]]:
    """The members of an object, each a name and a value in SQL, or null."""
    return [(one.name, _value(one)) for one in columns]


def line(members: Sequence[tuple[str, str]]) -> str:
    """An object of `members` and a line end, in SQL; those that are null are left out, but the first may not be.

    One `concat`, as each that is within another copies the line once more.
    """
    keys = [
        ("," if place else "{") + json.dumps(name, ensure_ascii=False) + ":" for place, (name, _) in enumerate(members)
    ]
    parts = [f"{literal(key)} || {value}" for key, (_, value) in zip(keys, members, strict=True)]
    return f"concat({', '.join(parts)}, '}}' || chr(10))"


def _value(column: Column) -> str:
    name = f'"{column.name}"'
    if column.dtype == TIME:
        return f"""'"' || {iso(name)} || '"'"""
    return value(column)


def value(column: Column) -> str:
    """A value that is no time as JSON, in SQL; null stays null."""
    name = f'"{column.name}"'
    if column.dtype in (pl.Int64(), pl.Boolean()):
        return name  # numbers and flags are written as JSON has them: a third of the work
    if column.dtype == pl.Float64():
        return number(name)
    if column.dtype == pl.List(DOCUMENT):
        listed = f"to_json({name})"
        odd = f"contains({listed}, ':NaN') OR contains({listed}, 'Infinity')"
        return f"CASE WHEN {odd} THEN chr(127) || {listed} ELSE {listed}::VARCHAR END"
    return f"to_json({name})"


def number(name: str) -> str:
    """A floating-point number as JSON, in SQL; one that JSON has no word for is a text, as protobuf has it too."""
    return f"""CASE WHEN isfinite({name}) THEN to_json({name})::VARCHAR ELSE '"' || to_json({name}) || '"' END"""


def mend(line: str) -> str:
    """A line as JSON that every parser takes, in ASCII where nobody would see the character."""
    return json_line(finite(line))


def finite(line: str) -> str:
    """A line with its numbers that are no JSON as texts: such a list is marked (`value`)."""
    if _MARKED not in line:
        return line
    return rewritten(line.replace(_MARKED, _MARKED[:-1]))


def rewritten(line: str) -> str:
    """A line of Python's JSON as JSON: its numbers that are none as texts."""
    return json.dumps(_finite(json.loads(line)), ensure_ascii=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value


# Within a text, a quote has a backslash before it: this stands nowhere else.
_MARKED = '"documents":\x7f'

ODD = Odd(UNSEEN_IN_LINE, mend, None)
"""Lines with a character that nobody sees. Of those in ASCII, JSON escapes all but a delete."""
