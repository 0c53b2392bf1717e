"""An operation that two records report counts once, and only that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from strataline.correlate import correlate
from strataline.event import EVENTS

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
RUN = "01a20047-8e22-7013-8e0c-{:012x}"


def events(*rows: dict[str, Any]) -> pl.DataFrame:
    """One event per row: `id` (kind, value), `repeats` (kind, value) if it repeats one, and `kind`."""
    made = [
        {
            "event_id": f"{n:032x}", "layer": "model", "source": "a.jsonl", "address": "bytes", "line": n + 1,
            "offset": n,
            "length": 1, "item": 0, "index": 0, "format": "f", "clock": "c", "kind": row.get("kind", "model.call"),
            "event_time": NOON + timedelta(seconds=n), "time_raw": row.get("time", str(n)), "time_kind": "start",
            "ids": [{"kind": kind, "value": value, "role": "alias"} for kind, value in row["ids"]],
            "refs": [{"kind": kind, "value": value, "role": "repeats"} for kind, value in row.get("says", [])],
        }
        for n, row in enumerate(rows)
    ]  # fmt: skip
    schema = {name: EVENTS.schema[name] for name in made[0]}
    return EVENTS.conform(pl.DataFrame(made, schema=schema))


def repeats(*rows: dict[str, Any]) -> list[tuple[int, int]]:
    """Which event repeats which, by their places."""
    links = correlate(events(*rows)).links.filter(pl.col("relation") == "repeats")
    return sorted((int(a, 16), int(b, 16)) for a, b in links.select("from_event", "to_event").iter_rows())


def run(n: int) -> tuple[str, str]:
    return "run_id", RUN.format(n)


def test_second_report_repeats_the_first() -> None:
    assert repeats({"ids": [run(1)]}, {"ids": [run(1)], "says": [run(1)]}) == [(1, 0)]


def test_report_that_repeats_none_stands_wherever_it_lies() -> None:
    assert repeats({"ids": [run(1)], "says": [run(1)]}, {"ids": [run(1)]}) == [(0, 1)]


def test_report_of_another_kind_of_event_is_another_operation() -> None:
    assert repeats({"ids": [run(1)], "kind": "app.step"}, {"ids": [run(2)], "says": [run(1)]}) == []


def test_id_of_another_kind_names_another_thing() -> None:
    """The id of a root run is the trace id of all of its children: these are not its reports."""
    value = RUN.format(1)
    children = [{"ids": [("trace_id", value), run(n)]} for n in (2, 3)]
    assert repeats({"ids": [run(1)]}, *children, {"ids": [run(1)], "says": [run(1)]}) == [(3, 0)]


def test_record_that_was_delivered_again_is_a_redelivery_and_no_repeat() -> None:
    same = {"ids": [run(1)], "says": [run(1)], "time": "1"}
    links = correlate(events(same, same)).links
    assert sorted(links["relation"].unique()) == ["member", "redelivery_of"]


def test_record_that_is_not_there_is_repeated_by_none() -> None:
    assert repeats({"ids": [run(1)], "says": [run(9)]}, {"ids": [run(2)], "says": [run(9)]}) == []


@pytest.mark.parametrize("count", [20_000])
def test_id_that_all_name_costs_no_square(count: int) -> None:
    """All to all would be four hundred million pairs."""
    rows = [{"ids": [run(1)], "says": [run(1)]} for _ in range(count)]
    assert len(repeats({"ids": [run(1)]}, *rows)) == count
