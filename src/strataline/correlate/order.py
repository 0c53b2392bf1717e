"""Step 7, order: inside a request, what must precede, then the clock, then the evidence address.

A time order that respects causality without losing the clocks: each event's *placing time* is the latest of its own
time and those of all events that must precede it. Events are ordered by placing time, then by how many events must
precede them one after the other, then by kind, layer and evidence address. It is a topological order of the rules, and
equal to the order of the clocks wherever the rules are silent.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from strataline.correlate.hubs import JOINING
from strataline.correlate.work import Work
from strataline.event import LAYERS

CHECK_IN, CHECK_OUT = "policy.decision/input", "policy.decision/output"
RETRIEVAL = ("retrieval.request", "retrieval.embed", "retrieval.query", "retrieval.rerank")
SHOWN = ("ui.rendered", "ui.error_shown")

PRECEDES: tuple[tuple[str, str], ...] = (
    ("ui.message_sent", "prompt.received"),
    ("prompt.received", CHECK_IN),
    *(("prompt.received", kind) for kind in RETRIEVAL),
    ("prompt.received", "prompt.rendered"),
    ("prompt.received", "prompt.responded"),
    (CHECK_IN, "prompt.rendered"),
    *((kind, "prompt.rendered") for kind in RETRIEVAL),
    ("prompt.rendered", "prompt.sent"),
    ("prompt.sent", "model.call"),
    ("prompt.sent", "prompt.answered"),
    ("model.call", CHECK_OUT),
    ("model.call", "prompt.answered"),
    ("prompt.answered", "prompt.responded"),
    *(("prompt.responded", kind) for kind in SHOWN),
    ("ui.rendered", "ui.feedback"),
    ("ui.rendered", "ui.citation"),
    ("ui.rendered", "ui.copied"),
)
"""What one kind must precede. A verdict on the output is not among what precedes the answer: it may come late, and
that it did is what an incident team needs to see."""

_RANK = {
    kind: rank
    for rank, kinds in enumerate(
        (
            ("ui.message_sent", "ui.regenerate", "ui.retry"),
            ("prompt.received",),
            (CHECK_IN,),
            ("retrieval.request",),
            ("retrieval.embed",),
            ("retrieval.query",),
            ("retrieval.rerank",),
            ("prompt.rendered",),
            ("prompt.sent",),
            ("model.call",),
            ("model.attempt", "model.fallback"),
            (CHECK_OUT,),
            ("prompt.answered", "prompt.error", "prompt.retry"),
            ("prompt.blocked",),
            ("prompt.responded",),
            ("model.access", "prompt.access"),
            (*SHOWN, "ui.stopped"),
            ("ui.citation", "ui.copied", "ui.feedback"),
        )
    )
    for kind in kinds
}
_UNPLACED = np.iinfo(np.int64).min
_MOST_STEPS = 256


def order(work: Work) -> Work:
    """Fill ``ordered``: n, seq (from 0 within the request), order_basis (first, causal, clock, tie)."""
    rows = work.events.join(work.members.select("n", "request"), on="n").sort("n")
    rows = rows.with_row_index("i").with_columns(
        step=pl.when(pl.col("kind") == "policy.decision")
        .then(pl.concat_str("kind", pl.lit("/"), pl.col("policy_stage").fill_null("")))
        .otherwise("kind"),
    )
    rules = _across_clocks(rows, pl.concat([_by_rule(work, rows), _by_parent(rows)]).unique(maintain_order=True))
    chain = _by_clock(rows)
    edges = pl.concat([rules, chain])
    placed, level, looping = _place(rows["t"].fill_null(_UNPLACED).to_numpy(), edges)
    rows = rows.with_columns(
        placed=pl.Series(placed),
        level=pl.Series(level),
        unplaced=pl.Series(placed == _UNPLACED),
        rank=pl.col("step").replace_strict(_RANK, default=len(_RANK), return_dtype=pl.Int64),
        layer_rank=pl.col("layer").replace_strict({n: r for r, n in enumerate(LAYERS)}, return_dtype=pl.Int64),
    )
    rows = rows.sort(
        "request", "unplaced", "placed", "level", "rank", "layer_rank", "source", "offset", "item", "index"
    )
    rows = rows.with_columns(
        seq=pl.int_range(pl.len()).over("request"),
        before=pl.col("i").shift(1).over("request"),
        placed_before=pl.col("placed").shift(1).over("request"),
    )
    direct = rules.select(before="a", i="b", direct=pl.lit(value=True))
    rows = rows.join(direct, on=["before", "i"], how="left", maintain_order="left")
    moved = pl.col("placed") > pl.col("t").fill_null(_UNPLACED)
    basis = (
        pl.when(pl.col("seq") == 0)
        .then(pl.lit("first"))
        .when(pl.col("direct").fill_null(value=False) | (moved & ~pl.col("unplaced")))
        .then(pl.lit("causal"))
        .when(~pl.col("unplaced") & (pl.col("placed") > pl.col("placed_before")))
        .then(pl.lit("clock"))
        .otherwise(pl.lit("tie"))
    )
    work = replace(work, ordered=rows.select("n", "seq", order_basis=basis).sort("n"))
    if looping:
        detail = "events whose rules of precedence contradict each other; placed by the clock"
        work = work.note("order_loop", detail, count=looping)
    return work


def _across_clocks(rows: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """The edges between clocks, or between equal times: one clock knows its own order better than any rule."""
    at = rows.select("i", "clock", "t")
    ends = edges.join(at, left_on="a", right_on="i", maintain_order="left")
    ends = ends.join(at, left_on="b", right_on="i", suffix="_b", maintain_order="left")
    told = (pl.col("clock") == pl.col("clock_b")) & (pl.col("t") != pl.col("t_b"))
    return ends.filter(~told.fill_null(value=False)).select("a", "b")


def _by_rule(work: Work, rows: pl.DataFrame) -> pl.DataFrame:
    """Edges that `PRECEDES` gives: where the earlier kind is the only one, in the request or among an id's carriers."""
    fresh = rows.filter(pl.col("first") == pl.col("n")).select("i", "n", "request", "step")
    known = fresh.filter(pl.col("step").is_in([kind for rule in PRECEDES for kind in rule]))
    rules = pl.DataFrame(PRECEDES, schema={"step": pl.String, "then": pl.String}, orient="row")
    # With several attempts, the only event of a kind may belong to another attempt than the only one of the next.
    attempts = (pl.col("step") == "prompt.received").sum().over("request")
    alone = known.filter((pl.len().over("request", "step") == 1) & (attempts <= 1))
    in_request = alone.join(rules, on="step").join(alone.select("request", then="step", b="i"), on=["request", "then"])
    keys = work.ids.filter(pl.col("role").is_in(JOINING)).select("n", "key").unique()
    carried = known.join(keys, on="n")
    sole = carried.filter(pl.len().over("request", "key", "step") == 1)
    by_id = sole.join(rules, on="step").join(
        carried.select("request", "key", then="step", b="i"), on=["request", "key", "then"]
    )
    return pl.concat([frame.select(pl.col("i").alias("a"), "b") for frame in (in_request, by_id)]).sort("a", "b")


def _by_parent(rows: pl.DataFrame) -> pl.DataFrame:
    """Edges from a span to the spans below it."""
    above = rows.filter(pl.col("span_id").is_not_null()).select("request", "span_id", a="i")
    below = rows.filter(pl.col("parent_id").is_not_null()).select("request", "parent_id", b="i")
    found = above.join(below, left_on=["request", "span_id"], right_on=["request", "parent_id"])
    return found.filter(pl.col("a") != pl.col("b")).select("a", "b").sort("a", "b")


def _by_clock(rows: pl.DataFrame) -> pl.DataFrame:
    """Edges between events that follow each other by one clock, at different times."""
    timed = rows.filter(pl.col("t").is_not_null()).sort("request", "clock", "t", "i")
    timed = timed.with_columns(
        a=pl.col("i").shift(1).over("request", "clock"), before=pl.col("t").shift(1).over("request", "clock")
    )
    return timed.filter(pl.col("before") < pl.col("t")).select("a", b="i")


def _place(own: np.ndarray, edges: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, int]:
    """Placing times and levels: the least that respect all edges; and how many events lie in loops."""
    a, b = edges["a"].to_numpy().astype(np.int64), edges["b"].to_numpy().astype(np.int64)
    placed, level = own.copy(), np.zeros(len(own), np.int64)
    for _ in range(_MOST_STEPS):
        later, deeper = placed.copy(), level.copy()
        np.maximum.at(later, b, placed[a])
        np.maximum.at(deeper, b, level[a] + 1)
        if np.array_equal(later, placed) and np.array_equal(deeper, level):
            return placed, level, 0
        placed, level = later, deeper
    # Levels grow without end only in loops: there the rules are left out, and the clock decides.
    looping = level >= _MOST_STEPS // 2
    return np.where(looping, own, placed), np.where(looping, 0, level), int(looping.sum())
