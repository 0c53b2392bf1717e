"""Regression hand-off: requests of an incident as tests of the product, its checks as a gate over later logs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from strataline import rows
from strataline.report.regressions import inspect_, promptfoo, pytest_, trace_invariants
from strataline.report.regressions.exemplars import CONDITIONS, Exemplar, Redact, chosen, exemplar, names

TARGETS = ("pytest", "promptfoo", "inspect", "trace-invariants")
LIMIT = 10

__all__ = ["LIMIT", "TARGETS", "HandOff", "hand_off"]

_OF_CASES = {"pytest": pytest_.files, "promptfoo": promptfoo.files, "inspect": inspect_.files}


@dataclass(frozen=True)
class HandOff:
    """What is handed over.

    Args:
        files: path, below the folder that it goes to, → content.
        exemplars: the requests that it holds; none of trace invariants.
        affected: how many requests are affected.
        unread: why texts could not be read → of how many events.
    """

    files: Mapping[str, str]
    exemplars: tuple[Exemplar, ...] = ()
    affected: int = 0
    unread: Mapping[str, int] = field(default_factory=dict)


def hand_off(
    examined: Any,
    frames: Mapping[str, pl.DataFrame],
    texts: Callable[[Iterable[str]], Mapping[str, Any]],
    target: str,
    *,
    redact: Redact | None,
    limit: int = LIMIT,
    own: Collection[str] = (),
) -> HandOff:
    """Make the files of one hand-off.

    Args:
        examined: an ``examine.Examined`` with an affected set.
        frames: the tables of the case.
        texts: event ids → their texts (``input``, ``output``, ``passages``, ``missing``).
        target: one of `TARGETS`.
        redact: what is done to log text; null hands it over as logged.
        limit: how many requests at most.
        own: ids of checks that are not shipped.

    Returns:
        Files whose names hold no log text, in a fixed order; the same for the same case.
    """
    raw = redact is None
    requests = examined.affected.requests.unique()
    if target == "trace-invariants":
        gates = {one.id: one.content for one in examined.checks if not one.baseline and not one.after}
        findings = examined.findings
        if redact is not None:
            told = [redact(one) if one else one for one in findings["statement"]]
            findings = findings.with_columns(statement=pl.Series(told, dtype=pl.String))
        return HandOff(_sorted(trace_invariants.files(findings, gates, own, raw=raw)), affected=requests.len())
    exemplars = _exemplars(examined, frames, texts, requests, limit, redact)
    unread: dict[str, int] = {}
    for one in exemplars:
        for why, events in one.unread.items():
            unread[why] = unread.get(why, 0) + events
    files = _OF_CASES[target](exemplars, requests.len(), raw=raw)
    return HandOff(_sorted(files), tuple(exemplars), requests.len(), unread)


def _exemplars(
    examined: Any,
    frames: Mapping[str, pl.DataFrame],
    texts: Callable[[Iterable[str]], Mapping[str, Any]],
    affected: pl.Series,
    limit: int,
    redact: Redact | None,
) -> list[Exemplar]:
    # What is said of other findings is of a set of requests, and of none in particular.
    of_sets = {one.id for one in examined.checks if one.after}
    findings = {
        row["finding"]: row
        for row in examined.findings.iter_rows(named=True)
        if row["result"] == "fired" and row["check"] not in of_sets
    }
    conditions = [name for name, row in findings.items() if row["attention"] in CONDITIONS]
    held = examined.hits.filter(pl.col("finding").is_in(conditions))
    tied = frames["events"].filter(pl.col("link_method").is_in(list(rows.INFERRED)))["request"].drop_nulls().unique()
    ids = chosen(affected, frames["requests"], held, tied, limit)
    again = frames["links"].filter(pl.col("relation") == "redelivery_of")["from_event"].implode()
    events = frames["events"].filter(pl.col("request").is_in(ids), ~pl.col("event_id").is_in(again))
    of = {str(name): part for (name,), part in events.group_by("request", maintain_order=True)}
    read = texts(events["event_id"].to_list())
    of_request = {
        row["request"]: row for row in frames["requests"].filter(pl.col("request").is_in(ids)).iter_rows(named=True)
    }
    hits: dict[str, list[dict[str, Any]]] = {one: [] for one in ids}
    for hit in examined.hits.filter(pl.col("request").is_in(ids)).iter_rows(named=True):
        hits[hit["request"]].append(hit)
    named = {event for every in hits.values() for hit in every for event in hit["events"] or ()}
    shown = frames["events"].filter(pl.col("event_id").is_in(sorted(named)))
    columns = ("event_id", "source", "line", "offset", "item")
    places = {row["event_id"]: rows.address(row) for row in shown.select(columns).iter_rows(named=True)}
    made = []
    for one, name in zip(ids, names(ids), strict=True):
        found = [(findings[hit["finding"]], hit) for hit in hits[one] if hit["finding"] in findings]
        found.sort(key=lambda pair: int(pair[0]["place"]))
        own = list(of[one].sort("seq").iter_rows(named=True))
        made.append(exemplar(name, of_request[one], own, read, found, examined.changes, places, redact))
    return made


def _sorted(files: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(files.items()))
