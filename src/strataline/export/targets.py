"""Every target of an export by its name, and one function that writes a case, or some of its requests, to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl

from strataline.export import csv, jsonl, otlp, parquet, perfetto, timesketch
from strataline.export.sql import Tables, over


@dataclass(frozen=True)
class Target:
    """One target: how it is written, and which of the chosen events it has no place for.

    Args:
        write: writes the chosen events, and returns how many.
        means: what opens it.
        leaves_out: reason → the condition in SQL under which an event is left out.
    """

    write: Callable[[Tables, BinaryIO], int]
    means: str
    leaves_out: Mapping[str, str]


_UNTIMED = {"without a time": "corrected_time IS NULL"}

TARGETS = {
    "parquet": Target(parquet.export, "one Parquet file of events; what each column means is in its metadata", {}),
    "jsonl": Target(jsonl.write, "one JSON object for each event", {}),
    "csv": Target(csv.write, "one line for each event, safe for spreadsheets", {}),
    "timesketch": Target(timesketch.write_jsonl, "JSON Lines for Timesketch", _UNTIMED),
    "timesketch-csv": Target(timesketch.write_csv, "CSV for Timesketch", _UNTIMED),
    "perfetto": Target(perfetto.write, "a Chrome trace, for ui.perfetto.dev", _UNTIMED),
    "otlp": Target(
        otlp.write,
        "OTLP JSON, a trace for each request",
        {
            "of no request": "request IS NULL",
            "without a time, listed in their request's span": "corrected_time IS NULL AND request IS NOT NULL",
        },
    ),
}
"""Targets that are written from the tables of events; the Markdown timeline is a target of `case.export` too."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Args:
        events: how many events.
        left_out: reason → how many of the chosen events the target has no place for.
    """

    events: int
    left_out: Mapping[str, int]


def export(
    tables: Mapping[str, Path] | Mapping[str, pl.DataFrame], to: str, out: BinaryIO, requests: Sequence[str] | None
) -> Exported:
    """Write the events of `requests`, or all events, to `out`.

    Args:
        tables: events, requests and links: table name → its Parquet file, or its frame.
        to: one of `TARGETS`.
        out: where to.
        requests: ids of requests; null for all events, tied to a request or not.
    """
    target = TARGETS[to]
    with over(tables, requests) as opened:
        left_out = {reason: opened.count(where) for reason, where in target.leaves_out.items()}
        events = target.write(opened, out)
    return Exported(events, {reason: count for reason, count in left_out.items() if count})
