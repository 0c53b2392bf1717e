"""What happens without a user's request: page views, health checks, jobs, changes, and lines about nothing."""

from __future__ import annotations

import numpy as np
import polars as pl

from .happened import KNOWS_REQUEST, Floats, Rows, Whole
from .product import Product
from .traffic import Plan, repeat

EXTRA = {"session": pl.Int64(), "job": pl.Int64(), "only": pl.Int64()}
"""Columns beside those of the flow: the session, the job (-1: none), and the one service that writes the row (-1: each
that writes its kind)."""

CHANGES = 6
"""Changes in a shard, at most."""


def background(
    product: Product, plan: Plan, seed: int, shard: int, calls: int, attempts: int, spans: int
) -> tuple[pl.DataFrame, Whole]:
    """Rows of no request, with t0 and t1 in nanoseconds since the begin of the run, and when each job's call began.

    Their calls, attempts and spans are numbered from `calls`, `attempts` and `spans` on.
    """
    draw = np.random.default_rng([seed, shard, 3])
    traffic, length_s = product.traffic, (plan.end_ns - plan.begin_ns) / 1e9
    turns = len(plan.turn_session)
    frames: list[pl.DataFrame] = []

    def finish(rows: Rows, **extra: Whole | int) -> None:
        frame = rows.frame()
        t0, t1 = (plan.begin_ns + np.rint(frame[name].to_numpy() * 1e9).astype(np.int64) for name in ("t0", "t1"))
        named = {name: np.broadcast_to(np.asarray(extra.get(name, -1)), (frame.height,)) for name in EXTRA}
        frame = frame.with_columns(
            pl.lit(-1, pl.Int64).alias("member"), t0=pl.Series(t0), t1=pl.Series(np.maximum(t0, t1))
        )
        frames.append(frame.with_columns(pl.Series(name, value, dtype=pl.Int64) for name, value in named.items()))

    def writers(kind: str) -> Whole:
        return np.array([n for n, service in enumerate(product.services) if kind in service.kinds], dtype=np.int64)

    def somewhere(kind: str, count: int) -> None:
        services = writers(kind)
        if count and len(services):
            rows = Rows()
            at = np.sort(draw.uniform(0, length_s, count))
            rows.add(kind, np.full(count, -1), at, knows=0, outcome=1, status=200 if kind.endswith("access") else -1)
            finish(rows, only=services[draw.integers(0, len(services), count)])

    visits = np.flatnonzero(plan.session_browser)
    pages = Rows()
    seen = (plan.session_start[visits] - plan.begin_ns) / 1e9 - draw.uniform(0.0, 3.0, len(visits))
    pages.add("ui.pageview", np.full(len(visits), -1), np.maximum(seen, 0.0), knows=0)
    finish(pages, session=visits)
    somewhere("prompt.access", int(min(draw.poisson(traffic.health_per_s * length_s), turns)))
    somewhere("log.other", int(draw.poisson(traffic.noise * turns)))
    somewhere("change.applied", int(draw.integers(0, CHANGES + 1)))

    jobs = int(draw.poisson(traffic.jobs * turns))
    owner, number = repeat(draw.integers(1, 5, jobs))
    begin = draw.uniform(0, length_s, jobs)[owner] + number * draw.uniform(1.0, 5.0, len(owner))
    made, call_start = _job_rows(product, draw, begin, (calls, attempts, spans))
    finish(made, job=np.tile(owner, 4))
    whole = pl.concat(frames, how="vertical")
    return whole, plan.begin_ns + np.rint(call_start * 1e9).astype(np.int64)


def _job_rows(
    product: Product, draw: np.random.Generator, begin: Floats, first: tuple[int, int, int]
) -> tuple[Rows, Floats]:
    """Four rows for each step of a job, kind by kind, and when its model call began."""
    rows, count, even = Rows(spans=first[2]), len(begin), np.ones(len(begin))
    calls, attempts = first[0] + np.arange(count), first[1] + np.arange(count)
    none = np.full(count, -1)
    spans = rows.new_spans(count)
    found = begin + product.delay("embed").sample(draw, even)
    rows.add("retrieval.embed", none, begin, found, outcome=1, span=rows.new_spans(count), knows=KNOWS_REQUEST)
    end = found + product.delay("model").sample(draw, even)
    rows.add(
        "model.call", none, found, end, call=calls, attempt_id=attempts, outcome=1, status=200, model=0, hit=2,
        span=spans, attempt=0, knows=KNOWS_REQUEST,
    )  # fmt: skip
    rows.add(
        "model.attempt", none, found + 0.0002, end - 0.0001, call=calls, attempt_id=attempts, outcome=1, status=200,
        model=0, span=rows.new_spans(count), parent=spans, attempt=0,
    )  # fmt: skip
    rows.add("model.access", none, end + 0.0001, call=calls, outcome=1, status=200)
    return rows, found
