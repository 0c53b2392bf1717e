"""Events for Timesketch, as JSON Lines or CSV: the fields that it asks for, and our columns beside them.

- ``message``, ``datetime`` (corrected time, UTC, microseconds), ``timestamp`` (the same as microseconds since the
  epoch), ``timestamp_desc`` (what the time is of) and ``tag``. Source: the import client's and the server's checks,
  ``timesketch/lib/utils.py``: all of the first four in every row, and a row without a time is dropped there.
- An event without a time is left out, as it may not borrow one; the caller is told how many.
- Maps are JSON texts: an index has a field for each key, and the keys of logs are without number.
- Analysts read it in a browser: control, invisible and bidirectional characters are shown as escapes everywhere, and
  web addresses in ``message`` are no addresses any more.
"""

from __future__ import annotations

from typing import BinaryIO

import polars as pl

from strataline.escape import json_shown
from strataline.event import EVENTS, MAP, TIME, Column
from strataline.export import csv, jsonl
from strataline.export.sql import Odd, Tables, iso, write_lines

TIMED = "corrected_time IS NOT NULL"

FIELDS = ("message", "datetime", "timestamp", "timestamp_desc", "tag")
"""What stands before our own columns."""

_MEANS = {
    "start": "Start Time",
    "end": "End Time",
    "write": "Time Logged",
    "envelope": "Time Received",
}
_MOMENT = "strftime(corrected_time::TIMESTAMP_NS::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%f+00:00')"
_MICROSECONDS = "epoch_us(corrected_time::TIMESTAMP_NS::TIMESTAMP)"
_MEANT = (
    "CASE time_kind "
    + " ".join(f"WHEN '{kind}' THEN '{means}'" for kind, means in _MEANS.items())
    + " ELSE 'Event Time' END"
)
_TAGS = (
    "concat('[', concat_ws(',', to_json(layer), CASE WHEN request IS NULL THEN '\"no request\"' END,"
    " CASE WHEN link_confidence < 1 THEN '\"inferred\"' END, CASE WHEN clock_offset <> 0 THEN '\"clock moved\"' END,"
    " CASE WHEN outcome <> 'ok' THEN to_json('outcome ' || outcome) END,"
    " CASE WHEN verdict <> 'allow' THEN to_json('verdict ' || verdict) END), ']')"
)
_CONTROL = r"\\u00"
_TEXTS = ("name", "error_type", "input_excerpt", "output_excerpt", "change_old", "change_new")
"""Columns in which line ends are common: they become escapes in SQL, whatever else nobody sees one line at a time."""


def write_jsonl(tables: Tables, out: BinaryIO) -> int:
    """Write the chosen events that have a time; return how many."""
    own = [
        ("message", f"to_json({_message()})"),
        ("datetime", f"""'"' || {_MOMENT} || '"'"""),
        ("timestamp", _MICROSECONDS),
        ("timestamp_desc", f"to_json({_MEANT})"),
        ("tag", _TAGS),
    ]
    ours = [(one.name, _member(one)) for one in EVENTS.columns]
    odd = Odd(f"{jsonl.ODD.pattern}|{_CONTROL}", _mend, _CONTROL)
    return write_lines(tables, jsonl.line([*own, *ours]), out, odd, TIMED)


def write_csv(tables: Tables, out: BinaryIO) -> int:
    """As `write_jsonl`, as CSV with the guards of `export.csv`."""
    out.write(csv.head([*FIELDS, *EVENTS.names]))
    # The list of tags is never an empty cell: the server would read that as the tag "nan".
    own = [csv.quoted(_message()), _MOMENT, f"{_MICROSECONDS}::VARCHAR", csv.quoted(_MEANT), csv.quoted(_TAGS)]
    line = csv.line([*own, *map(csv.cell, EVENTS.columns)])
    return write_lines(tables, line, out, csv.ODD, TIMED)


def _mend(line: str) -> str:
    return json_shown(jsonl.finite(line))


def _message() -> str:
    """One line that says what happened, in SQL: no line ends, and no address that a browser would make a link of."""
    said = (
        "concat_ws(' | ', coalesce(kind, 'event'), CASE WHEN name IS DISTINCT FROM kind THEN name END,"
        " 'outcome ' || nullif(outcome, 'ok'), 'error ' || error_type, 'verdict ' || verdict,"
        " 'model ' || coalesce(served_model, requested_model), 'shown ' || shown,"
        " coalesce(output_excerpt, input_excerpt))"
    )
    return _flat(f"replace(replace({said}, '://', '[:]//'), 'www.', 'www[.]')")


def _flat(text: str) -> str:
    return rf"replace(replace(replace({text}, chr(10), '\n'), chr(13), '\r'), chr(9), '\t')"


def _member(column: Column) -> str:
    name = f'"{column.name}"'
    if column.dtype == TIME:
        return f"""'"' || {iso(name)} || '"'"""
    if column.dtype == pl.String():
        return f"to_json({_flat(name) if column.name in _TEXTS else name})"
    return f"to_json(to_json({name})::VARCHAR)" if column.dtype == MAP else jsonl.value(column)
