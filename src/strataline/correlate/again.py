"""Redelivery and resending: the same record again, and the same turn again.

Shippers and browsers deliver a record twice: the same in all but where it lies and when it was received. The first by
(source, offset) stands; the others are kept, counted, and take no part in judging ids. A client that resends a turn
after an error makes a further attempt of the same request.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from strataline.correlate.graph import components
from strataline.correlate.work import OPENING, Work

RESEND_NS = 60 * 10**9
"""How long after an error the same turn still counts as resent."""

RENEWALS = ("regenerate_of", "edit_of")
FAILED = ("error", "timeout", "cancelled")


def mark_redelivery(work: Work, signatures: pl.DataFrame) -> Work:
    """Point each redelivered event to the first of its kind.

    Args:
        work: the state.
        signatures: event_id and ``signature`` (equal for equal records; null for events that cannot be told
            apart, such as those without id or time).
    """
    marked = work.events.join(signatures, on="event_id", how="left", maintain_order="left")
    first = pl.when(pl.col("signature").is_not_null()).then(pl.col("n").min().over("format", "index", "signature"))
    events = marked.with_columns(first=pl.coalesce(first, "n")).drop("signature")
    again = events.filter(pl.col("first") != pl.col("n"))
    work = replace(work, events=events)
    if again.is_empty():
        return work
    rows = again.select(
        pl.col("n").alias("from"),
        pl.col("first").alias("to"),
        relation=pl.lit("redelivery_of"),
        method=pl.lit("content"),
        confidence=pl.lit(1.0),
    )
    counted = again.group_by("source").len().sort("source")
    return work.link(rows).note_rows(
        "redelivery",
        counted.select(
            "source",
            count=pl.col("len").cast(pl.Int64),
            detail=pl.lit("records delivered again; kept, and counted once"),
        ),
    )


def group_turns(work: Work) -> Work:
    """Tell which opening events are attempts of one turn.

    Two consecutive opening events of one session, by one clock, are attempts of one turn if they share an id or the
    text, and either an error tied to the first came between, at most 60 s before the second, or the client says in a
    retry event tied to one of them that it sent the turn again.
    """
    fresh = work.events.filter(pl.col("first") == pl.col("n"))
    openings = fresh.filter((pl.col("kind") == OPENING) & pl.col("t").is_not_null()).select(
        "n", "t", "clock", scope=pl.coalesce("session", "user")
    )
    every = fresh.filter(pl.col("kind") == OPENING).select("n")
    alias = work.ids.filter(pl.col("role") == "alias").select("n", "key").unique()
    own = alias.join(every, on="n")
    # A regenerate or an edit names the turn it replaces: that is a new request, whatever came before it.
    renewed = work.refs.filter(pl.col("role").is_in(RENEWALS)).select("n").unique()
    pairs = (
        openings.filter(pl.col("scope").is_not_null())
        .sort("scope", "clock", "t", "n")
        .with_columns(
            next=pl.col("n").shift(-1).over("scope", "clock"), next_t=pl.col("t").shift(-1).over("scope", "clock")
        )
    )
    pairs = pairs.filter(pl.col("next").is_not_null()).join(renewed, left_on="next", right_on="n", how="anti")
    tied = (
        own.rename({"n": "opening"})
        .join(alias, on="key")
        .select("opening", "n")
        .unique()
        .join(fresh.select("n", "kind", "layer", "t", "clock", "outcome", "input_hash"), on="n")
    )
    shared = (
        own.join(own, on="key", suffix="_2").filter(pl.col("n") != pl.col("n_2")).select(n="n", next="n_2").unique()
    )
    texts = (
        tied.filter((pl.col("layer") == "prompt") & pl.col("input_hash").is_not_null())
        .select("opening", "kind", "input_hash")
        .unique()
    )
    same_text = (
        pairs.select("n", "next")
        .join(texts, left_on="n", right_on="opening")
        .join(texts, left_on=["next", "kind", "input_hash"], right_on=["opening", "kind", "input_hash"])
        .select("n", "next")
        .unique()
    )
    same = pl.concat([shared, same_text]).unique()
    errors = tied.filter(pl.col("outcome").is_in(FAILED)).select("opening", "clock", te="t")
    failed = (
        pairs.join(errors, left_on=["n", "clock"], right_on=["opening", "clock"])
        .filter(
            (pl.col("te") >= pl.col("t"))
            & (pl.col("te") <= pl.col("next_t"))
            & (pl.col("next_t") - pl.col("te") <= RESEND_NS)
        )
        .select("n", "next")
        .unique()
    )
    retried = tied.filter(pl.col("kind") == "ui.retry").select("opening").unique()
    said = pl.concat(
        [pairs.join(retried, left_on=side, right_on="opening").select("n", "next") for side in ("n", "next")]
    ).unique()
    resent = pairs.join(same, on=["n", "next"], how="semi").join(
        pl.concat([failed, said]).unique(), on=["n", "next"], how="semi"
    )
    resent = resent.join(shared.with_columns(shared=pl.lit(value=True)), on=["n", "next"], how="left")
    resent = resent.with_columns(pl.col("shared").fill_null(value=False)).sort("n", "next")
    groups = components(every.sort("n"), resent.select(a="n", b="next"))
    work = replace(work, groups=groups.rename({"component": "turn"}))
    if resent.is_empty():
        return work
    rows = resent.select(
        pl.col("next").alias("from"),
        pl.col("n").alias("to"),
        relation=pl.lit("retries"),
        method=pl.lit("resend"),
        confidence=pl.when("shared").then(1.0),
        delta_ns=pl.col("next_t") - pl.col("t"),
        scope=pl.lit("session"),
    )
    return work.link(rows).note(
        "resend", "opening events that send a turn again; counted as attempts of it", count=resent.height
    )
