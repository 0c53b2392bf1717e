"""Events to requests, links and clocks, in one literal ordered list of steps; knows no format.

`STEPS` is the engine. Each step takes the state and returns it, with notes on what it declined to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from strataline.correlate.again import collapse_repeats, group_turns, mark_redelivery
from strataline.correlate.clocks import estimate_clocks
from strataline.correlate.content import link_content
from strataline.correlate.hubs import refuse_hubs
from strataline.correlate.ids import normalise_ids
from strataline.correlate.order import order
from strataline.correlate.relations import calls, relate
from strataline.correlate.requests import summarise
from strataline.correlate.reuse import split_reuse
from strataline.correlate.scopes import resolve_scopes
from strataline.correlate.stitch import TURN, stitch
from strataline.correlate.window import link_window, link_window_surely
from strataline.correlate.work import Options, Work, start
from strataline.event import CLOCKS, EVENTS, LINKS, NOTES

__all__ = ["STEPS", "Correlated", "Options", "correlate"]

STEPS: tuple[Callable[[Work], Work], ...] = (
    normalise_ids,
    mark_redelivery,
    collapse_repeats,
    split_reuse,
    group_turns,
    refuse_hubs,
    stitch,
    resolve_scopes,
    estimate_clocks,
    link_content,
    link_window_surely,
    # Once more, with the links that are sure; no third time.
    estimate_clocks,
    link_content,
    link_window,
    relate,
    order,
)


@dataclass(frozen=True)
class Correlated:
    """The tables that correlation makes; ``events`` holds every event that went in, with the added columns."""

    events: pl.DataFrame
    requests: pl.DataFrame
    links: pl.DataFrame
    clocks: pl.DataFrame
    notes: pl.DataFrame


def correlate(events: pl.DataFrame, options: Options | None = None) -> Correlated:
    """Tie events to requests and order them.

    Args:
        events: as in ``events``; the columns that correlation adds are ignored.
        options: what the caller chose.
    """
    events = EVENTS.conform(events).sort("source", "offset", "item", "index").rechunk()
    work = start(events, options or Options())
    for step in STEPS:
        work = step(work)
    links = LINKS.conform(pl.concat([LINKS.empty(), *work.links])).sort(LINKS.sort, nulls_last=True)
    # A candidate of an event that was tied after all is none any more.
    tied = work.members.filter(pl.col("request_kind") == TURN).join(work.events.select("n", "event_id"), on="n")
    links = links.filter(pl.col("taken") | ~pl.col("from_event").is_in(tied["event_id"].implode()))
    whole = _joined(events, work)
    requests, gaps = summarise(whole, links)
    return Correlated(
        events=EVENTS.conform(whole.select(EVENTS.names)).sort(EVENTS.sort, nulls_last=True),
        requests=requests,
        links=links,
        clocks=_clocks(whole, work.clocks),
        notes=NOTES.conform(pl.concat([NOTES.empty(), *work.notes, gaps])),
    )


def _joined(events: pl.DataFrame, work: Work) -> pl.DataFrame:
    """The events with the added columns, and ``request_kind``, ``first_id`` and ``opener_id`` beside them."""
    names = work.events.select("n", "event_id")
    members = work.members.filter(pl.col("request").is_not_null())
    added = (
        work.events.select("n", "event_id", "first", "offset_ns")
        .join(members.select("n", "request", "request_kind", "opener", "link_method", "confidence"), on="n", how="left")
        .join(work.ordered, on="n", how="left")
        .join(calls(work), on="n", how="left")
        .join(names.rename({"n": "first", "event_id": "first_id"}), on="first", how="left")
        .join(names.rename({"n": "opener", "event_id": "opener_id"}), on="opener", how="left")
        .drop("n", "first", "opener")
    )
    mine = (
        "request",
        "call",
        "seq",
        "link_method",
        "link_confidence",
        "order_basis",
        "corrected_time",
        "clock_offset",
    )
    whole = events.drop(mine).join(added, on="event_id", how="left", maintain_order="left")
    return whole.with_columns(
        corrected_time=pl.col("event_time") - pl.duration(nanoseconds=pl.col("offset_ns").fill_null(0)),
        clock_offset=pl.when(pl.col("event_time").is_not_null()).then(pl.col("offset_ns").fill_null(0)),
        link_confidence="confidence",
        call=pl.when(pl.col("request").is_not_null()).then("call"),
    )


def _clocks(events: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """One row per domain and slice; domains that nothing was learned of are unmoved."""
    timed = events.filter(pl.col("event_time").is_not_null()).select(
        "clock", "event_time", t=pl.col("event_time").dt.epoch("ns")
    )
    since = known.select("clock", "slice", "since").sort("since", "clock")
    placed = timed.sort("t").join_asof(since, left_on="t", right_on="since", by="clock", check_sortedness=False)
    found = placed.group_by("clock", pl.col("slice").fill_null(0)).agg(
        start_time=pl.col("event_time").min(), end_time=pl.col("event_time").max(), events=pl.len()
    )
    rows = found.join(known.drop("since", "doubt", "unsure"), on=["clock", "slice"], how="left").with_columns(
        pl.col("pairs", "offset_ns").fill_null(0), pl.col("basis").fill_null("unmoved")
    )
    return CLOCKS.conform(rows).sort(CLOCKS.sort)
