"""Putting an event, and all that ids tie to it, into a turn that something else than an id ties it to."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from strataline.correlate.work import Work


def unit_of(work: Work, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with what they belong to (component, request, request_kind, confidence) and ``unit``: what ids tie."""
    found = rows.join(
        work.members.select("n", "component", "request", "request_kind", "confidence"),
        on="n",
        how="left",
        maintain_order="left",
    )
    return found.with_columns(unit=pl.coalesce("component", "first"))


def merge(work: Work, rows: pl.DataFrame, best: pl.DataFrame, method: str) -> Work:
    """Put each event of `best` (n, request, chance), and what ids tie to it, into the turn.

    Args:
        work: what is known.
        rows: all events, as `unit_of` gives them.
        best: n, request and ``chance``; one row for a unit.
        method: of the link.
    """
    unit = rows.select("n", "unit")
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
    into = every.filter(pl.col("left").is_not_null()).select(to_request="left", into="request").unique("to_request")
    links = tuple(_redirected(one, into) for one in work.links)
    return replace(work, members=pl.concat([kept, every.select(kept.columns)]).sort("n"), links=links)


def _redirected(links: pl.DataFrame, into: pl.DataFrame) -> pl.DataFrame:
    """`links` with the requests that have become part of a turn (``to_request``, ``into``) named as that turn."""
    found = links.join(into, on="to_request", how="left", maintain_order="left")
    opened = pl.col("into").is_not_null() & (pl.col("method") == "opening")
    return found.filter(~opened).with_columns(to_request=pl.coalesce("into", "to_request")).drop("into")
