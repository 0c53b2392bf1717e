"""A run from end to end, in parts of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from strataline.event import EVENTS

from .background import background
from .clocks import CLOCKS, browser_slices, drifted
from .emit import TRUTH, Places, emit, instance_names, session_names, sources
from .flow import happen
from .product import Product
from .services import entities, written
from .traffic import Plan, plan

SHARD = 20_000
"""Requests in a part."""


@dataclass(frozen=True)
class Simulated:
    """A run, or a part of one.

    Attributes:
        events: as `strataline.event.EVENTS` has them, by source and line; what a correlation adds is null.
        truth: `TRUTH`, one row for each event, in the same order.
        clocks: the true clocks, as `clocks.CLOCKS` has them.
    """

    events: pl.DataFrame
    truth: pl.DataFrame
    clocks: pl.DataFrame


def simulate(product: Product, requests: int, seed: int) -> Simulated:
    """Simulate `requests` requests of `product`. The same product, count and seed give the same frames."""
    parts = list(simulate_parts(product, requests, seed))
    joined = Simulated(*(pl.concat([getattr(part, name) for part in parts]) for name in ("events", "truth", "clocks")))
    if len(parts) == 1:
        return joined
    order = joined.events.select(pl.arg_sort_by("source", "line")).to_series()
    return Simulated(joined.events[order], joined.truth[order], joined.clocks.sort("clock", "slice"))


def simulate_parts(product: Product, requests: int, seed: int, shard_size: int = SHARD) -> Iterator[Simulated]:
    """Simulate in parts: each source goes on where the part before has left it.

    A part holds the sessions of about `shard_size` requests, and what was still to be written of earlier ones. The last
    part also holds the clocks of the services. `shard_size` is a matter of memory, but another one gives another run.
    """
    rate = product.traffic.rate_per_s
    span_ns = round(requests / rate * 1e9)
    places = Places()
    waiting: list[pl.DataFrame] = []
    shards = max(1, -(-requests // shard_size))
    until = span_ns
    by_source = sorted(range(len(product.services)), key=lambda n: sources(product.services[n]))
    for shard in range(shards):
        first = shard * shard_size
        drawn = plan(product, seed, shard, min(shard_size, requests - first), first / rate)
        rows = _shard(product, drawn, span_ns, seed, shard)
        until = max(until, *(int(frame["t1"].to_numpy().max(initial=0)) for frame in rows))
        clocks = [_browsers(product, drawn, rows, seed)]
        if waiting:
            rows = [pl.concat(pair) for pair in zip(waiting, rows, strict=True)]
        last = shard == shards - 1
        if not last:
            waiting = [frame.filter(pl.col("arrives") >= drawn.end_ns) for frame in rows]
            rows = [frame.filter(pl.col("arrives") < drawn.end_ns) for frame in rows]
        else:
            clocks += [
                clock.slices(name, until + 1)
                for service in product.services
                if service.layer != "ui"
                for name, clock in zip(instance_names(service), service.clocks, strict=True)
            ]
        made = [emit(product, number, rows[number], places, seed) for number in by_source if rows[number].height]
        events = pl.concat([events for events, _ in made]) if made else EVENTS.empty()
        truth = pl.concat([truth for _, truth in made]) if made else pl.DataFrame(schema=TRUTH)
        yield Simulated(events, truth, pl.concat(clocks).sort("clock", "slice"))


def _shard(product: Product, drawn: Plan, span_ns: int, seed: int, shard: int) -> list[pl.DataFrame]:
    """The rows that each service writes about one shard."""
    happened = happen(product, drawn, seed, shard)
    rows = happened.rows
    tops = [int(rows[name].to_numpy().max(initial=-1)) + 1 for name in ("attempt_id", "span")]
    others, job_calls = background(product, drawn, seed, shard, len(happened.call_start), tops[0], tops[1])
    session = drawn.turn_session[drawn.pass_turn[rows["member"].to_numpy()]]
    none = pl.lit(-1, pl.Int64)
    rows = rows.with_columns(session=pl.Series(session), job=none, only=none)
    whole = pl.concat([rows, others.select(rows.columns)])
    numbers = entities(product, drawn, happened, np.r_[happened.call_start, job_calls])
    return written(product, drawn, whole, numbers, span_ns, seed, shard)


def _browsers(product: Product, drawn: Plan, rows: list[pl.DataFrame], seed: int) -> pl.DataFrame:
    """The clocks of the browsers whose sessions begin in a shard, as far as pages wrote anything."""
    pages = [(service, frame) for service, frame in zip(product.services, rows, strict=True) if service.layer == "ui"]
    frames = [pl.DataFrame(schema=CLOCKS)]
    for service, frame in pages:
        seen = frame.group_by("session").agg(first=pl.col("t0").min(), last=pl.col("t1").max()).sort("session")
        if not seen.height:
            continue
        session = seen["session"].to_numpy()
        local = session - drawn.base
        begin = np.minimum(drawn.session_start[local], seen["first"].to_numpy())
        since = begin - drawn.session_start[local]
        skew = drawn.session_skew[local] + drifted(since, drawn.session_drift[local])
        frames.append(
            browser_slices(
                session_names(product, service, session, seed).str.replace("^", "browser:"),
                begin,
                seen["last"].to_numpy(),
                skew,
                drawn.session_drift[local],
            )
        )
    return pl.concat(frames).unique("clock", keep="first", maintain_order=True)
