"""Events to requests, links and clocks, in one literal ordered list of steps; knows no format.

`STEPS` is the engine. Each step takes the state and returns it, with notes on what it declined to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl

from strataline.correlate.again import collapse_repeats, group_turns, mark_redelivery
from strataline.correlate.clocks import estimate_clocks
from strataline.correlate.content import link_content
from strataline.correlate.hubs import refuse_hubs
from strataline.correlate.ids import normalise_ids
from strataline.correlate.order import order
from strataline.correlate.relations import calls, relate
from strataline.correlate.requests import SUMMED, summarise
from strataline.correlate.reuse import split_reuse
from strataline.correlate.scopes import resolve_scopes
from strataline.correlate.shelf import NAMED, Shelf
from strataline.correlate.stitch import TURN, stitch
from strataline.correlate.whole import Correlated
from strataline.correlate.window import link_window, link_window_surely
from strataline.correlate.work import LINKED, Options, Work, beside, start
from strataline.event import CLOCKS, EVENTS, NOTES, TIME

__all__ = ["MOST_SURE", "NAMED", "STEPS", "Correlated", "Options", "Shelf", "correlate"]

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

MOST_SURE = 0.989
"""Nothing that rests on a text or a time is stated to be surer, however likely its delay makes it: of what would be,
one in 200 is wrong, and on some products one in 90 (``docs/accuracy.md``)."""


def correlate(events: pl.DataFrame | Shelf, options: Options | None = None) -> Correlated:
    """Tie events to requests and order them.

    Args:
        events: as in ``events``; the columns that correlation adds are ignored. Or a shelf that holds them, from which
            they are taken.
        options: what the caller chose.
    """
    shelf = events if isinstance(events, Shelf) else Shelf.of(EVENTS.conform(events))
    seen = shelf.seen()
    chosen = options or Options()
    if chosen.min_confidence > MOST_SURE:
        chosen = replace(chosen, min_confidence=1.0)
    work = start(seen, chosen)
    seen = replace(seen, ids=seen.ids.clear(), refs=seen.refs.clear())
    for step in STEPS:
        work = step(work)
    # A candidate of an event that was tied after all is none any more.
    tied = np.zeros(work.events.height, bool)
    tied[work.members.filter(pl.col("request_kind") == TURN)["n"].to_numpy()] = True
    links = pl.concat([pl.DataFrame(schema=LINKED), *work.links])
    if not links["taken"].all():
        links = links.filter(pl.col("taken") | ~pl.Series(tied[links["from"].to_numpy()], dtype=pl.Boolean))
    links = links.with_columns(_stated("confidence"), _stated("runner_up_confidence"))
    added, clocks = _added(work), _clocks(work)
    # What is not looked at again makes room for what is made now.
    nothing = pl.DataFrame()
    work = replace(
        work, events=work.events.select("place"), ids=nothing, refs=nothing, members=nothing, ordered=nothing
    )
    seen = replace(seen, events=seen.events.select(SUMMED))
    requests, gaps = summarise(seen.events, added, links)
    notes = NOTES.conform(pl.concat([NOTES.empty(), *work.notes, gaps]))
    return Correlated(shelf, seen, work, added, links, requests, clocks, notes)


def _added(work: Work) -> pl.DataFrame:
    """What correlation found of each event, in order of n.

    n, first, place, request (``place`` of the event that names it), request_kind, opener, link_method, confidence, seq,
    order_basis, call (n), t (corrected, ns) and offset_ns.
    """
    members = work.members.select("n", "request", "request_kind", "opener", "link_method", _stated("confidence"))
    added = work.events.select("n", "first", "place", "t", "offset_ns")
    for part in (members, work.ordered, calls(work)):
        added = added.with_columns(beside(part, added.height).get_columns())
    return added.with_columns(call=pl.when(pl.col("request").is_not_null()).then("call"))


def _stated(name: str) -> pl.Expr:
    """A confidence as it is stated: 1 is an id's."""
    return pl.when(pl.col(name) < 1).then(pl.min_horizontal(name, pl.lit(MOST_SURE))).otherwise(name).alias(name)


def _clocks(work: Work) -> pl.DataFrame:
    """One row per domain and slice; domains that nothing was learned of are unmoved."""
    timed = work.events.select("clock", "logged").filter(pl.col("logged").is_not_null())
    known = work.clocks.with_columns(pl.col("clock").cast(timed.schema["clock"], strict=False))
    if known["slice"].max():
        since = known.select("clock", "slice", "since").sort("since", "clock")
        timed = timed.sort("logged").join_asof(
            since, left_on="logged", right_on="since", by="clock", check_sortedness=False
        )
    else:
        timed = timed.with_columns(slice=pl.lit(0, pl.Int64))
    found = timed.group_by("clock", pl.col("slice").fill_null(0)).agg(
        start_time=pl.col("logged").min(), end_time=pl.col("logged").max(), events=pl.len()
    )
    rows = found.join(known.drop("since", "doubt", "unsure"), on=["clock", "slice"], how="left").with_columns(
        pl.col("start_time", "end_time").cast(TIME),
        pl.col("pairs", "offset_ns").fill_null(0),
        pl.col("basis").fill_null("unmoved"),
    )
    return CLOCKS.conform(rows).sort(CLOCKS.sort)
