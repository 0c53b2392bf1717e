r"""Events as CSV (RFC 4180, one line for each event), made safe for spreadsheets.

- A text that begins with ``=``, ``+``, ``-``, ``@`` (or their full-width forms) or an apostrophe gets an apostrophe
  before it, so that no spreadsheet takes it for a formula. Take one leading apostrophe off to have the text again.
- Control, invisible and bidirectional characters are shown as escapes (``\n``, ``\u202e``): a tab or line end that a
  formula could hide behind is among them, and each event stays one line.
- Texts stand in quotes; what is null is empty without quotes. Numbers, times and flags stand as they are: a negative
  number is no formula. Lists and maps are JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import polars as pl

from strataline.escape import UNSEEN_IN_LINE, printable
from strataline.event import EVENTS, TIME, Column
from strataline.export.sql import Odd, Tables, iso, write_lines

GUARDED = ("=", "+", "-", "@", "'", "＝", "＋", "－", "＠")
"""What a text gets an apostrophe before."""
_CLASS = "".join(f"\\x{{{ord(one):x}}}" for one in GUARDED)

ODD = Odd(UNSEEN_IN_LINE, printable, r"(?s:[\x00-\x1f].)")
"""Lines with line ends inside, or with what nobody sees."""

PLAIN = (pl.Int64(), pl.Float64(), pl.Boolean())
"""What stands in a cell as it is."""


def write(tables: Tables, out: BinaryIO) -> int:
    """Write a header and the chosen events; return how many events."""
    out.write(head(EVENTS.names))
    return write_lines(tables, line(map(cell, EVENTS.columns)), out, ODD)


def head(names: Iterable[str]) -> bytes:
    """The header: the names of the columns, which are words."""
    return (",".join(f'"{name}"' for name in names) + "\n").encode()


def line(cells: Iterable[str]) -> str:
    """A line of `cells` with its end, in SQL."""
    return "concat(" + ", ',', ".join(cells) + ", chr(10))"


def quoted(text: str) -> str:
    """A text of SQL as a cell; null is empty, an empty text a pair of quotes."""
    # What begins with a tab or a line end is no formula any more once that is an escape, which the line gets later.
    # One pattern, not a comparison for each character: the vectors of so many expressions took 300 MiB.
    guarded = rf"regexp_replace({text}, '^([{_CLASS}])', '''\1')"
    return f"""coalesce('"' || replace({guarded}, '"', '""') || '"', '')"""


def cell(column: Column) -> str:
    """A column as a cell, in SQL."""
    name = f'"{column.name}"'
    if column.dtype == TIME:
        return f"coalesce({iso(name)}, '')"
    if column.dtype in PLAIN:
        return f"coalesce({name}::VARCHAR, '')"
    return quoted(name if column.dtype == pl.String() else f"to_json({name})::VARCHAR")
