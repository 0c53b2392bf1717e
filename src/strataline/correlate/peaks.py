"""Clocks that too few linked events bound: told by where time differences pile up, or by the log beside them.

What is found so is never as sure as bounds are, and says so in its basis.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from strataline.correlate.bounds import BRACKETED, CLOCK_ROWS, EVER, MARGIN_NS, SURE, Clock, whole
from strataline.correlate.delays import delays, moments
from strataline.correlate.work import Work, sample

PEAK_NS = 100_000_000
"""Width within which votes for an offset agree."""

STEADY_NS = 500_000_000
"""Delays that vary more (between quartiles) than this vote for no offset."""

VOTERS = 200_000
"""Events that vote, of all clocks together; of each clock between 32 and 512."""

USUAL = 4
"""Steps that an event may come soon after where nothing is known of its step: those that most turns have."""

MOST_IN_SCOPE = 64
"""Turns of one session or user beyond which its events vote for no offset."""

CLOSE_NS = 10_000_000
"""How close two logs of one machine show one thing."""

SHOWN = 2000

MOST_MOVES = 8
"""Clocks, and slices of one, that an unknown one is compared with: those that most pairs bound."""

DAY_NS = 26 * 3600 * 10**9
"""Time zones lie no further apart."""


def peaks(work: Work, solved: dict[str, Clock], small: pl.DataFrame) -> pl.DataFrame:
    """Offsets of clocks without enough linked events, from where time differences within a session or user pile up.

    Each event of such a clock, and each event of the turns of the same session (else user) that commonly comes a known
    delay before or after its step, vote for an offset. The true offset gets a vote from every pair that belongs
    together; what any other gets is chance, and so many votes that chance gives them in one clock of a thousand are
    needed. Basis ``scope-peak``.
    """
    known = [*solved, *small.filter(pl.col("pairs") >= 2)["clock"]]
    columns = ("n", "clock", "step", "t", "end", "session_scope", "user_scope")
    first = (pl.col("first") == pl.col("n")) & pl.col("t").is_not_null()
    open_ = work.events.select(*columns, "first").filter(~pl.col("clock").is_in(known) & first).drop("first")
    if open_.is_empty():
        return pl.DataFrame(schema=CLOCK_ROWS)
    fresh = work.events.filter(first).select(columns)
    turns = work.members.filter((pl.col("request_kind") == "turn") & (pl.col("confidence") >= SURE)).select(
        "n", request="opener"
    )
    tied = fresh.filter(pl.col("clock").is_in(known)).join(turns, on="n")
    if tied.is_empty():
        return pl.DataFrame(schema=CLOCK_ROWS)
    by_step = fresh.select(pl.col("step").unique().sort()).with_row_index("sort").cast({"sort": pl.Int64})
    mine = open_.join(by_step, on="step").select(
        "n", "clock", "t", "session_scope", "user_scope", mark=pl.col("sort") * 2
    )
    # A few hundred events place a clock as well as all do.
    most = int(np.clip(VOTERS // mine["clock"].n_unique(), 32, 512))
    mine = mine.sort("clock", "t", "n").filter(
        pl.int_range(pl.len()).over("clock") % (pl.len().over("clock") // most + 1) == 0
    )
    here = tied.join(sample(turns.select("request")), on="request", how="semi")
    marks = moments(here.join(by_step, on="step").select("n", "sort", "t", "end")).join(turns, on="n")
    learned = _typical(marks, mine["mark"].unique()).with_columns(way=pl.lit(0, pl.Int64))
    # A step that no id ties may come soon before or after any other.
    unknown = mine.select("mark").unique().join(learned, on="mark", how="anti").sort("mark")
    usual = marks.filter(pl.col("mark") % 2 == 0).group_by(anchor="mark").agg(pl.col("request").n_unique())
    near = usual.sort("request", "anchor", descending=[True, False]).head(USUAL).select("anchor")
    any_ = unknown.join(near, how="cross").with_columns(delay=pl.lit(0, pl.Int64), spread=pl.lit(0, pl.Int64))
    any_ = any_.with_row_index("way", offset=1).cast({"way": pl.Int64})
    learned = pl.concat([learned, any_.select(learned.columns)])
    anchors = tied.join(by_step, on="step").with_columns(anchor=pl.col("sort") * 2)
    anchors = anchors.join(learned.select("anchor").unique(), on="anchor", how="semi")
    anchors = anchors.select("request", "anchor", when="t")
    votes = []
    for scope in ("session_scope", "user_scope"):
        some = mine.filter(pl.col(scope).is_not_null())
        if scope == "user_scope":
            some = some.filter(pl.col("session_scope").is_null())
        of_scope = fresh.select("n", scope).join(some.select(pl.col(scope).unique()), on=scope, how="semi")
        of_scope = of_scope.join(turns, on="n").select("request", scope).unique()
        of_scope = of_scope.filter(pl.len().over(scope) <= MOST_IN_SCOPE)
        pairs = some.join(learned, on="mark").join(of_scope, on=scope)
        pairs = pairs.join(anchors, on=["request", "anchor"])
        votes.append(pairs.select("clock", "way", "n", vote=pl.col("t") - pl.col("when") - pl.col("delay")))
    every = pl.concat(votes)
    every = every.filter(pl.col("vote").abs() < DAY_NS).sort("clock", "way", "vote", "n")
    rows = []
    for (name,), group in every.partition_by("clock", as_dict=True, maintain_order=True).items():
        ways = group.partition_by("way", maintain_order=True)
        piles = [_densest(way["vote"].to_numpy(), way["n"].to_numpy()) for way in ways]
        found = [pile for pile in piles if pile is not None]
        if not found:
            continue
        offset, spread, size = max(found, key=lambda one: (one[2], -abs(one[0])))
        still = abs(offset) <= spread + MARGIN_NS
        rows.append(
            {
                "clock": name,
                "slice": 0,
                "since": EVER,
                "pairs": size,
                "lower_ns": offset - spread,
                "upper_ns": offset + spread,
                "offset_ns": 0 if still else offset,
                "doubt": spread // 2,
                "unsure": spread,
                "basis": "unmoved" if still else "scope-peak",
                "reference": min(one.reference for one in solved.values()),
            }
        )
    return pl.DataFrame(rows, schema=CLOCK_ROWS)


def shared(work: Work, solved: dict[str, Clock]) -> pl.DataFrame:
    """Clocks of which nothing is known, but that show what another clock shows if they are moved like it.

    Two logs of one machine share a clock. Of the offsets of the solved clocks, and none at all, the one that brings
    most events close to one of the events of the turns is taken, if it does so for twice as many as none at all.
    """
    # A clock that few of its many events bound is as good as unknown.
    sizes = work.events.group_by("clock").len().with_columns(pl.col("clock").cast(pl.String))
    few = work.clocks.join(sizes, on="clock").filter(
        (pl.col("pairs") < BRACKETED) & (pl.col("pairs") * 10 < pl.col("len")) & (pl.col("basis") != "scope-peak")
    )
    names = work.clocks.join(few.select("clock"), on="clock", how="anti")["clock"].implode()
    first = (pl.col("first") == pl.col("n")) & pl.col("logged").is_not_null()
    open_ = work.events.select("clock", "n", "first", "logged").filter(~pl.col("clock").is_in(names) & first)
    if open_.filter(pl.len().over("clock") >= BRACKETED).is_empty():
        return pl.DataFrame(schema=CLOCK_ROWS)
    fresh = work.events.select("n", "clock", "step", "logged", "t", "end", "first").filter(first)
    fresh = fresh.with_columns(t=pl.when(pl.col("clock").is_in(few["clock"].implode())).then("logged").otherwise("t"))
    turns = work.members.filter((pl.col("request_kind") == "turn") & (pl.col("confidence") >= SURE)).select("n")
    tied = fresh.filter(pl.col("clock").is_in(list(solved))).join(turns, on="n", how="semi")
    steps = {
        step: np.sort(np.concatenate([some["t"].to_numpy(), some["end"].drop_nulls().to_numpy()]))
        for (step,), some in tied.partition_by("step", as_dict=True, maintain_order=True).items()
    }
    steps = {step: times for step, times in steps.items() if len(times) >= BRACKETED}
    known = sorted(solved.items(), key=lambda one: (-int(one[1].pairs.sum()), one[0]))[:MOST_MOVES]
    moves = sorted(
        {int(offset) for _, one in known for offset in one.offset[:MOST_MOVES]} | {0}, key=lambda o: (abs(o), o)
    )
    rows = []
    open_ = fresh.filter(~pl.col("clock").is_in(names)).sort("clock", "t", "n")
    for (name,), some in open_.partition_by("clock", as_dict=True, maintain_order=True).items():
        if some.height < BRACKETED:
            continue
        times = some["t"].gather(np.linspace(0, some.height - 1, min(some.height, SHOWN)).astype(int)).to_numpy()
        close = {
            move: max((_beyond_chance(times - move, there) for there in steps.values()), default=0.0) for move in moves
        }
        best = max(moves, key=lambda one: close[one])
        if best and close[best] >= 0.1 * len(times) and close[best] >= 2 * close[0]:
            like = min(clock for clock, one in known if best in one.offset)
            place = solved[like].offset.tolist().index(best)
            rows.append(
                {
                    "clock": name,
                    "slice": 0,
                    "since": EVER,
                    "pairs": int(close[best]),
                    "lower_ns": whole(solved[like].lower[place]),
                    "upper_ns": whole(solved[like].upper[place]),
                    "offset_ns": best,
                    "doubt": 0,
                    "unsure": whole(solved[like].unsure[place]),
                    "basis": "shared",
                    "reference": solved[like].reference,
                }
            )
    return pl.DataFrame(rows, schema=CLOCK_ROWS)


def _beyond_chance(times: np.ndarray, there: np.ndarray) -> float:
    """How many of `times` lie within `CLOSE_NS` of one of `there` (ascending), beyond those that do by chance."""
    place = np.searchsorted(there, times)
    after = np.abs(there[np.clip(place, 0, len(there) - 1)] - times)
    before = np.abs(times - there[np.clip(place - 1, 0, len(there) - 1)])
    found = int((np.minimum(before, after) <= CLOSE_NS).sum())
    span = max(float(there[-1] - there[0]), 1.0)
    return found - len(times) * min(1.0, 2 * CLOSE_NS * len(there) / span)


def _typical(marks: pl.DataFrame, wanted: pl.Series) -> pl.DataFrame:
    """mark, anchor, delay (median, ns), spread: of each of the `wanted` steps the anchor at the steadiest distance."""
    rows = marks.filter(pl.col("mark") % 2 == 0)
    best: dict[int, tuple[float, int, float]] = {}
    for mark, anchor, found, _, _ in delays(rows, set(wanted), least=0.5):
        low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
        best[mark] = min(best.get(mark, (np.inf, 0, 0.0)), (float(high - low), anchor, float(middle)))
    steady = [(m, a, int(d), int(s)) for m, (s, a, d) in sorted(best.items()) if s <= STEADY_NS]
    schema = {"mark": pl.Int64, "anchor": pl.Int64, "delay": pl.Int64, "spread": pl.Int64}
    return pl.DataFrame(steady, schema=schema, orient="row")


def _densest(votes: np.ndarray, voters: np.ndarray) -> tuple[int, int, int] | None:
    """Where most votes lie within `PEAK_NS`: middle, half the width, and how many; None where chance explains it."""
    if len(votes) < 3:
        return None
    ends = np.searchsorted(votes, votes + PEAK_NS, side="right")
    sizes = ends - np.arange(len(votes))
    first = int(np.argmax(sizes))
    inside = slice(first, int(ends[first]))
    size = len(np.unique(voters[inside]))
    span = max(float(votes[-1] - votes[0]), PEAK_NS)
    others = len(votes) - int(sizes[first])
    expected = max(others * PEAK_NS / span, 1e-3)
    # So many votes in one window, times the windows that there are.
    if size < 3 or _by_chance(size, expected) * max(1.0, span / PEAK_NS) > 1e-3:
        return None
    middle = int(np.median(votes[inside]))
    return middle, PEAK_NS // 2, size


def _by_chance(size: int, expected: float) -> float:
    """The chance of `size` or more (at least 1) where `expected` are: the tail of Poisson's distribution.

    1.0 where no more are there than expected, which is nothing rare.
    """
    if size <= expected:
        return 1.0
    term = math.exp(size * math.log(expected) - expected - math.lgamma(size + 1))
    total = 0.0
    while term > total * 1e-17:
        total += term
        size += 1
        term *= expected / size
    return total
