"""Putting an event, and all that ids tie to it, into a turn that something else than an id ties it to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from strataline.correlate.bounds import SURE
from strataline.correlate.delays import sorts
from strataline.correlate.work import LINKED, Work, beside
from strataline.event import PRODUCT_LAYERS


def placed(work: Work, *columns: str) -> pl.DataFrame:
    """All events, in order of n, with what they belong to.

    n, layer, kind, t, session_scope and user_scope of the event, and `columns`; component, request, confidence;
    ``turn`` (whether it is in one), ``fresh`` (whether it has a time, and delivers no other event again), ``unit``
    (what ids tie to each other); sort and sort_step as `delays.sorts` gives them.
    """
    belongs = work.members.select(
        "n", "component", "request", "confidence", turn=pl.col("request_kind").eq_missing(pl.lit("turn"))
    )
    events = work.events.select("n", "first", "layer", "kind", "t", "session_scope", "user_scope", *columns)
    return (
        pl.concat([events, beside(belongs, events.height), sorts(work)], how="horizontal")
        .with_columns(
            pl.col("turn").fill_null(value=False),
            fresh=(pl.col("first") == pl.col("n")) & pl.col("t").is_not_null(),
            unit=pl.coalesce("component", "first"),
        )
        .drop("first")
    )


def surely_tied(rows: pl.DataFrame) -> pl.LazyFrame:
    """Of the rows that `placed` gives the fresh events that are surely in a turn."""
    return rows.lazy().filter(pl.col("fresh") & pl.col("turn") & (pl.col("confidence") >= SURE))


def loose(rows: pl.DataFrame) -> pl.LazyFrame:
    """Of the rows that `placed` gives the fresh events of the product's layers that are in no turn."""
    outside = pl.col("fresh") & ~pl.col("turn")
    return rows.lazy().filter(outside & pl.col("layer").is_in(PRODUCT_LAYERS) & (pl.col("kind") != "log.other"))


def open_events(work: Work, which: pl.Expr) -> bool:
    """Whether some event of the product's layers that is in no turn, and has a time, is one of `which`."""
    tied = np.zeros(work.events.height, bool)
    tied[work.members.filter(pl.col("request_kind") == "turn")["n"].to_numpy()] = True
    free = work.events.filter(~pl.Series(tied), (pl.col("first") == pl.col("n")) & pl.col("t").is_not_null())
    return free.filter(pl.col("layer").is_in(PRODUCT_LAYERS) & (pl.col("kind") != "log.other") & which).height > 0


def merge(work: Work, unit: pl.DataFrame, best: pl.DataFrame, method: str) -> Work:
    """Put each event of `best` (n, request, chance), and what ids tie to it, into the turn.

    Args:
        work: what is known.
        unit: of all events n and unit, as `placed` gives them.
        best: n, request and ``chance``; one row for a unit.
        method: of the link.
    """
    if best.is_empty():
        return work
    moved = best.select("n", to="request", sure="chance").join(unit, on="n").select("unit", "to", "sure", "n")
    turns = work.members.select("request", "request_kind", "component", "opener").unique("request")
    every = (
        unit.join(moved.rename({"n": "by"}), on="unit")
        .join(turns, left_on="to", right_on="request")
        .select("n", "component", "opener", "request_kind", "by", request="to", confidence=pl.col("sure").round(6))
    )
    old = work.members.join(every.select("n", "confidence"), on="n", how="left", suffix="_new")
    kept = old.filter(pl.col("confidence_new").is_null()).drop("confidence_new")
    inside = work.members.select("n", "link_method", left="request")
    every = every.join(inside, on="n", how="left").with_columns(
        # What ids tie to the event that was placed stays tied by these.
        link_method=pl.when(
            (pl.col("n") == pl.col("by")) | pl.col("link_method").is_null() | (pl.col("link_method") == "opening")
        )
        .then(pl.lit(method))
        .otherwise("link_method")
    )
    put = every.select("n", "by", "request")
    links = _rerooted(work.links, put)
    work = replace(work, members=pl.concat([kept, every.select(kept.columns)]).sort("n"), links=links)
    # What was delivered again is tied to what stands for it.
    copies = put.filter((pl.col("n") != pl.col("by")) & ~_linked(work.links, put))
    return work.link(
        copies.sort("n").select(
            pl.col("n").alias("from"),
            pl.col("by").alias("to"),
            relation=pl.lit("member"),
            to_request="request",
            method=pl.lit("content"),
            confidence=pl.lit(1.0),
        )
    )


def _linked(links: tuple[pl.DataFrame, ...], placed: pl.DataFrame) -> pl.Series:
    """Which of the events have a link that ties them."""
    taken = [one.filter((pl.col("relation") == "member") & pl.col("taken"))["from"] for one in links]
    every = pl.concat(taken) if taken else pl.Series(dtype=pl.Int64)
    return placed["n"].is_in(every.implode())


def _rerooted(links: tuple[pl.DataFrame, ...], placed: pl.DataFrame) -> tuple[pl.DataFrame, ...]:
    """`links` in which the ties of the placed events lead to the one by which they were placed, in its turn.

    They led to the opening event of a request that is one no more. On the way from there to the event that was placed
    each tie is turned round: both ends hold its id.
    """
    mine = pl.col("from").is_in(placed["n"].implode()) & (pl.col("relation") == "member") & pl.col("taken")
    old = pl.concat([one.filter(mine) for one in links]) if links else pl.DataFrame(schema=LINKED)
    if old.is_empty():
        return links
    rest = tuple(one.filter(~mine) for one in links)
    into = placed.select("n", at="by", into="request")
    old = old.join(into, left_on="from", right_on="n", maintain_order="left").with_columns(to_request="into")
    ties = old.filter(pl.col("method") != "opening")
    at = placed.select(here="by").unique()
    turned = []
    gone = pl.DataFrame({"from": at["here"]})
    while at.height:
        steps = ties.join(at, left_on="from", right_on="here", how="semi")
        if steps.is_empty():
            break
        turned.append(steps.with_columns(pl.col("to").alias("from"), pl.col("from").alias("to")))
        at = steps.select(here="to").unique()
        gone = pl.concat([gone, at.rename({"here": "from"})])
    kept = ties.join(gone, on="from", how="anti")
    return (*rest, pl.concat([kept, *turned]).select(LINKED.names()))
