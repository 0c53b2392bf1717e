"""Events to requests, links and clocks, in one literal ordered list of steps; knows no format.

`STEPS` is the engine. Each step takes the state and returns it, with notes on what it declined to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
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
from strataline.correlate.work import HASHES, LINKED, Options, Work, as_words, beside, inverse, start
from strataline.event import CLOCKS, EVENTS, LINKS, NOTES, TIME, address

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
    events = _in_order(EVENTS.conform(events))
    work = start(events, options or Options())
    for step in STEPS:
        work = step(work)
    # A candidate of an event that was tied after all is none any more.
    tied = np.zeros(events.height, bool)
    tied[work.members.filter(pl.col("request_kind") == TURN)["n"].to_numpy()] = True
    links = pl.concat([pl.DataFrame(schema=LINKED), *work.links])
    if not links["taken"].all():
        links = links.filter(pl.col("taken") | ~pl.Series(tied[links["from"].to_numpy()], dtype=pl.Boolean))
    added = _added(work)
    requests, gaps = summarise(events, added, links)
    told, clocks = _told(events, work, links), _clocks(work)
    notes = NOTES.conform(pl.concat([NOTES.empty(), *work.notes, gaps]))
    # What is not needed any more goes before all columns are put in order; each of them goes in its turn.
    columns = {column.name: column for column in events.get_columns()}
    del events, work, links
    return Correlated(_whole(columns, added), requests, told, clocks, notes)


ADDED = (
    "request",
    "call",
    "seq",
    "link_method",
    "link_confidence",
    "order_basis",
    "corrected_time",
    "clock_offset",
)
"""Columns of ``events`` that correlation fills."""

AT_ONCE = 8
"""Columns of all events that are put in order at once: further ones take further memory."""


def _in_order(events: pl.DataFrame) -> pl.DataFrame:
    """The events by (source, offset, item, index)."""
    keys = ("source", "offset", "item", "index")
    narrow = events.select(as_words(events["source"]).to_physical(), *keys[1:])
    # Sources were read one after the other: most often there is nothing to do.
    after = pl.lit(value=False)
    for name in reversed(keys):
        before = pl.col(name).shift(1)
        after = (pl.col(name) < before) | ((pl.col(name) == before) & after)
    if not narrow.select(after.any()).item():
        return events
    return events[narrow.with_row_index("row").sort(*keys)["row"]]


def _added(work: Work) -> pl.DataFrame:
    """What correlation found of each event, in order of n.

    n, first, place, request (``place`` of the event that names it), request_kind, opener, link_method, confidence, seq,
    order_basis, call (n), t (corrected, ns) and offset_ns.
    """
    members = work.members.select("n", "request", "request_kind", "opener", "link_method", "confidence")
    added = work.events.select("n", "first", "place", "t", "offset_ns")
    for part in (members, work.ordered, calls(work)):
        added = added.with_columns(beside(part, added.height).get_columns())
    return added.with_columns(call=pl.when(pl.col("request").is_not_null()).then("call"))


def _whole(whole: dict[str, pl.Series], added: pl.DataFrame) -> pl.DataFrame:
    """The events (a series for each column; the mapping is changed) with the added columns, in their order."""
    names = whole["event_id"].rechunk()
    by_place = names.gather(inverse(added["place"]))
    timed = pl.col("t").is_not_null()
    columns = added.select(
        request=by_place.gather(added["request"]),
        call=names.gather(added["call"]),
        seq="seq",
        link_method="link_method",
        link_confidence="confidence",
        order_basis="order_basis",
        corrected_time=pl.col("t").cast(TIME),
        clock_offset=pl.when(timed).then(pl.col("offset_ns").fill_null(0)),
    )
    # What one source wrote is in order, most often: such runs are merged.
    order = pl.Series(np.argsort(added["t"].fill_null(np.iinfo(np.int64).max).to_numpy(), kind="stable"))
    whole |= {column.name: column for column in columns.get_columns()}
    # What no event has needs no sorting.
    full = [name for name in EVENTS.names if whole[name].null_count() < len(order)]
    for at in range(0, len(full), AT_ONCE):
        # What is in one piece is picked from four times as quickly.
        some = pl.DataFrame([whole.pop(name) for name in full[at : at + AT_ONCE]]).rechunk()[order]
        whole |= {column.name: column for column in some.get_columns()}
    return EVENTS.conform(pl.DataFrame([whole[name] for name in EVENTS.names]))


def _told(events: pl.DataFrame, work: Work, links: pl.DataFrame) -> pl.DataFrame:
    """The links in the words of the records, in their order."""
    names, place = events["event_id"].rechunk(), work.events["place"]
    by_place = names.gather(inverse(place))
    links = links[_by_evidence(work, links)]
    start, end = links["from"], links["to"]
    # One chunk: Polars 2.1 panics in `format` on a column with an empty one.
    address_of = events.select("source", "line", "offset").rechunk().select(address=address())["address"]
    texts = pl.Series("content_hash", [None], pl.String).new_from_index(0, links.height)
    if links["text"].null_count() < links.height:
        at = links["text"].is_not_null().arg_true()
        by, text = start.gather(at), links["text"].gather(at)
        for name in HASHES:
            same = (work.events[name].gather(by) == text).fill_null(value=False)
            texts = texts.scatter(at.filter(same), events[name].gather(by.filter(same)))
    told = links.select(
        pl.exclude("from", "to", "id", "text", "to_request", "runner_up"),
        from_event=names.gather(start),
        to_event=names.gather(end),
        to_request=by_place.gather(links["to_request"]),
        id_kind=work.values["kind"].gather(links["id"]),
        id_value=work.values["value"].gather(links["id"]),
        content_hash=texts,
        runner_up=names.gather(links["runner_up"]),
        from_address=address_of.gather(start),
        to_address=address_of.gather(end),
    )
    return LINKS.conform(told)


def _by_evidence(work: Work, links: pl.DataFrame) -> pl.Series:
    """The rows of the links in the order of their sort key."""
    place = work.events["place"]
    relation = as_words(links["relation"]).to_physical().cast(pl.Int64)
    first = place.gather(links["from"]) * ((relation.max() or 0) + 1) + relation  # type: ignore[operator]
    row = first.arg_sort()
    first = first.gather(row)
    again = (first == first.shift(1)).fill_null(value=False)
    if not again.any():
        return row
    # The rest, and text above all, is compared only where that is not enough.
    at = (again | again.shift(-1, fill_value=False)).arg_true()
    some = row.gather(at)
    tied = links.select("to", "to_request", "id", "method")[some]
    tied = tied.select(
        "to_request",
        "method",
        row=some,
        group=first.gather(at),
        by=place.gather(tied["to"]),
        id_kind=work.values["kind"].gather(tied["id"]),
        id_value=work.values["value"].gather(tied["id"]),
    )
    tied = tied.sort("group", "by", "to_request", "id_kind", "id_value", "method", nulls_last=True)
    return row.scatter(at, tied["row"])


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
