"""Who asks when: the sessions, turns and passes of one shard, before anything is timed in detail.

A turn is a request of the truth. A pass is one try of it through the product: the first, or a resend after an error.
A regenerate is a turn of its own. A shard holds the sessions that begin in one window of time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import ids
from .product import Product

OK, ERROR, BLOCKED_INPUT, BLOCKED_OUTPUT, LEFT = range(5)
"""How a pass ends."""

SHARD_BITS = 34
"""The number of an entity is its place in its shard, and above these bits the number of the shard."""

ADVERSARY = 1 << 62
"""The entity whose id the adversary sends."""

COMMON = 1 << 60
"""Texts from here upwards are common: the same wherever they are asked."""

LONGEST_SESSION = 40
"""Most turns in a session."""

ERRS_AGAIN = 0.4
"""Chance that a resend errs too."""

BURST_S = 30.0
"""How long a burst of load lasts, in seconds."""


@dataclass(frozen=True)
class Plan:
    """The sessions, turns and passes of a shard; each group of arrays has one element per session, turn or pass.

    Times are nanoseconds since the begin of the run.
    """

    base: int
    begin_ns: int
    end_ns: int
    session_start: NDArray[np.int64]
    session_user: NDArray[np.int64]
    session_browser: NDArray[np.bool_]
    session_hostile: NDArray[np.bool_]
    session_skew: NDArray[np.int64]
    session_drift: NDArray[np.int64]
    session_late: NDArray[np.float64]
    turn_session: NDArray[np.int64]
    turn_first: NDArray[np.bool_]
    turn_text: NDArray[np.int64]
    turn_regenerates: NDArray[np.bool_]
    turn_together: NDArray[np.bool_]
    turn_load: NDArray[np.float64]
    pass_turn: NDArray[np.int64]
    pass_number: NDArray[np.int64]
    pass_outcome: NDArray[np.int64]


def repeat(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For `counts` children of each parent: every child's parent, and its number among its siblings."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def before(values: NDArray[np.float64], owner: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of the elder siblings' `values` for each child; `owner` is sorted."""
    if not len(values):
        return values
    sums = np.cumsum(values) - values
    first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    return np.maximum(sums - np.repeat(sums[first], np.diff(np.r_[first, len(owner)])), 0)


def load_at(product: Product, time_s: NDArray[np.float64], key: int) -> NDArray[np.float64]:
    """The load at a time, in seconds since the begin of the run: about 1 on average."""
    wave = 0.5 * np.sin(2 * np.pi * time_s / 5400.0)
    burst = 2.0 * ids.unit((time_s / BURST_S).astype(np.int64), key) - 1.0
    return np.exp(product.traffic.bursts * (wave + burst))


def plan(product: Product, seed: int, shard: int, requests: int, begin_s: float) -> Plan:
    """Draw the shard `shard` of a run: `requests` turns of sessions that begin from `begin_s` on."""
    traffic, flow = product.traffic, product.flow
    draw = np.random.default_rng([seed, shard, 1])
    key = ids.salt("load", seed)
    base = shard << SHARD_BITS
    length_s = requests / traffic.rate_per_s

    per_session = np.minimum(draw.geometric(1 / max(traffic.turns, 1.0), requests), LONGEST_SESSION)
    sessions = int(np.searchsorted(np.cumsum(per_session), requests)) + 1
    per_session = per_session[:sessions]
    per_session[-1] -= int(per_session.sum()) - requests

    buckets = begin_s + np.linspace(0, length_s, int(np.clip(length_s / BURST_S, 1, 200_000)), endpoint=False)
    weight = np.cumsum(load_at(product, buckets, key))
    chosen = np.searchsorted(weight, draw.random(sessions) * weight[-1])
    start_s = np.sort(buckets[chosen] + draw.random(sessions) * length_s / len(buckets))
    user = (traffic.users * draw.random(sessions) ** 2).astype(np.int64)
    hostile = draw.random(sessions) < traffic.adversary
    browser = draw.random(sessions) < traffic.browser
    skew, drift = product.browsers.draw(draw, sessions)
    late = np.where(draw.random(sessions) < product.late, product.delay("late").sample(draw, np.ones(sessions)), 0.0)

    session, number = repeat(per_session)
    load = load_at(product, start_s[session], key)
    regenerates = (draw.random(requests) < flow.regenerate) & (number > 0)
    common = draw.random(requests) < traffic.common
    pool = np.minimum((traffic.pool * draw.random(requests) ** 2).astype(np.int64), traffic.pool - 1)
    text = np.where(common, COMMON + pool, base + np.arange(requests))
    for turn in np.flatnonzero(regenerates):  # in order: one may regenerate what was regenerated
        text[turn] = text[turn - 1]

    tries = np.ones(requests, dtype=np.int64)
    error = draw.random(requests) < flow.error
    final = np.zeros(requests, dtype=np.bool_)
    for _ in range(flow.resends):
        again = error & (draw.random(requests) < flow.resend)
        tries += again
        final |= error & ~again
        error = again & (draw.random(requests) < ERRS_AGAIN)
    final |= error
    turn_of, try_of = repeat(tries)
    edges = np.cumsum([flow.blocked_input, flow.blocked_output, flow.leave])
    outcome = np.array([BLOCKED_INPUT, BLOCKED_OUTPUT, LEFT, OK])[
        np.searchsorted(edges, draw.random(len(turn_of)), side="right")
    ]
    outcome = np.where(final[turn_of] | (try_of < tries[turn_of] - 1), ERROR, outcome)
    return Plan(
        base=base,
        begin_ns=round(begin_s * 1e9),
        end_ns=round((begin_s + length_s) * 1e9),
        session_start=np.rint(start_s * 1e9).astype(np.int64),
        session_user=np.where(hostile, -1, user),
        session_browser=browser,
        session_hostile=hostile,
        session_skew=skew,
        session_drift=drift,
        session_late=late,
        turn_session=session,
        turn_first=number == 0,
        turn_text=text,
        turn_regenerates=regenerates,
        turn_together=(draw.random(requests) < traffic.together) & (number > 0) & ~regenerates,
        turn_load=load,
        pass_turn=turn_of,
        pass_number=try_of,
        pass_outcome=outcome,
    )
