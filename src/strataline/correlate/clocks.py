"""Step 4, clocks: how far each clock is ahead of one reference clock, from what must precede what.

If A must precede B, and their clocks are ahead by a and b, then b - a is at most what the log shows between the two.
Pairs in both directions bracket the difference; the bracket is narrow where some pair was quick. Sources: the
clock-offset bounds of Duda, Harrus, Haddad and Bernard (1987), the clock filter of NTP (RFC 5905, section 10), which
believes the exchange with the least delay, and Jaeger's clock-skew adjuster for why nothing is moved without need.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from scipy.stats import poisson

from strataline.correlate.delays import LEARNED, delays, examples, moments
from strataline.correlate.order import CHECK_OUT, PRECEDES
from strataline.correlate.work import OPENING, Work

SURE = 0.99
"""Links of at least this confidence bound clocks."""

LIARS = 0.01
"""Share of pairs that may contradict a bound: a link that is wrong, a line that was written late."""

MARGIN_NS = 5_000_000
"""A clock that is this close to its bracket holding zero is not moved: lines are written a little after what they say."""

BRACKETED = 30
"""Pairs from which on a clock is judged by its own bounds."""

BIN = 100
"""Pairs in the smallest stretch of time that is judged on its own, where a clock drifts or was set."""

MOST_DOMAINS = 256
"""Clocks that are solved one after the other; the others, such as those of browsers, only against these."""

POOLED = 5
"""Clocks that pairs bracket from which on a clock with pairs on one side alone is judged like them."""

PEAK_NS = 100_000_000
"""Width within which votes for an offset agree."""

STEADY_NS = 500_000_000
"""Delays that vary more (between quartiles) than this vote for no offset."""

MOST_IN_SCOPE = 256
"""Turns of one session or user beyond which its events vote for no offset."""

CLOSE_NS = 10_000_000
"""How close two logs of one machine show one thing."""

SHOWN = 2000
MOST_MOVES = 8
"""Clocks, and slices of one, that an unknown one is compared with: those that most pairs bound."""

DAY_NS = 26 * 3600 * 10**9
"""Time zones lie no further apart."""

QUARTER_NS = 900 * 10**9
NEAR_ZONE_NS = 120 * 10**9

_EVER = int(np.iinfo(np.int64).min)
_FAR = 2**61
_CLOCKS = {
    "clock": pl.String,
    "slice": pl.Int64,
    "since": pl.Int64,
    "pairs": pl.Int64,
    "lower_ns": pl.Int64,
    "upper_ns": pl.Int64,
    "offset_ns": pl.Int64,
    "doubt": pl.Int64,
    "basis": pl.String,
    "reference": pl.String,
}

RULES = pl.DataFrame(PRECEDES, schema={"step": pl.String, "then": pl.String}, orient="row")
STEPS = sorted({step for rule in PRECEDES for step in rule})
ANSWERED = "prompt.responded"
AFTER = ("ui.rendered", "ui.error_shown", "ui.feedback", "ui.citation", "ui.copied", "prompt.access")
"""What follows the answer to the client; anything else that is part of a turn comes before it."""

ENDS = pl.DataFrame(
    [(OPENING, step) for step in STEPS if step not in (OPENING, "ui.message_sent")]
    + [(step, ANSWERED) for step in STEPS if step not in (OPENING, ANSWERED, "ui.message_sent", CHECK_OUT, *AFTER)]
    + [("ui.message_sent", OPENING), (ANSWERED, "ui.rendered"), (ANSWERED, "ui.error_shown")],
    schema={"step": pl.String, "then": pl.String},
    orient="row",
)
"""What holds of any product: a turn begins with its opening event and ends with the answer."""

DISAGREE = 0.2
"""A rule that contradicts what holds of any product in more of the stretches of time is not of this product."""

BETWEEN = RULES.join(RULES, left_on="then", right_on="step", suffix="_after").select(
    before="step", step="then", after="then_after"
)


def estimate_clocks(work: Work) -> Work:
    """Fill ``clocks``, and set ``t``, ``end`` and ``begin`` of the events to times by the reference clock."""
    seen = _seen(work)
    bounds = _bounds(seen)
    solved = _solve(work, bounds, _middles(seen))
    small = _pooled(bounds, solved)
    work = _applied(work, solved, small)
    peaks = _peaks(work, solved, small)
    work = _applied(work, solved, small, peaks)
    return _applied(work, solved, small, peaks, _shared(work, solved))


def _seen(work: Work) -> pl.DataFrame:
    """What each clock shows of each step of a request with one attempt: request, clock, step, begin, t, end, unit.

    Of several events of one step the first begin and t, and the last end, count.
    """
    sure = work.members.filter((pl.col("confidence") >= SURE) & pl.col("request").is_not_null())
    rows = sure.select("n", "request").join(
        work.events.filter(pl.col("logged").is_not_null() & (pl.col("first") == pl.col("n"))), on="n"
    )
    once = rows.group_by("request").agg((pl.col("step") == OPENING).sum().alias("turns")).filter(pl.col("turns") <= 1)
    rows = rows.join(once.select("request"), on="request", how="semi")
    began = pl.when(pl.col("time_kind") != "end").then("logged").otherwise(pl.col("logged") - pl.col("duration_ns"))
    return rows.group_by("request", "clock", "step").agg(
        began.min().alias("begin"),
        pl.col("logged").min().alias("t"),
        pl.coalesce("logged_end", "logged").max().alias("end"),
        pl.col("unit").max(),
        pl.len().alias("events"),
    )


def _bounds(seen: pl.DataFrame) -> pl.DataFrame:
    """Bounds of a clock against another one: rule, clock, other, at, at_other (logged), upper, lower (of clock less other).

    ``rule`` is 0 for what holds of any product.
    """
    ends = ENDS.with_columns(rule=pl.lit(0, pl.Int64))
    rules = RULES.join(ENDS, on=["step", "then"], how="anti").with_row_index("rule", offset=1).cast({"rule": pl.Int64})
    before = seen.filter(pl.col("begin").is_not_null()).join(pl.concat([ends, rules.select(ends.columns)]), on="step")
    pairs = before.join(seen, left_on=["request", "then"], right_on=["request", "step"], suffix="_b")
    # In a loop of steps the first of one kind need not come before the first of the next.
    alone = (pl.col("events") == 1) & (pl.col("events_b") == 1)
    pairs = pairs.filter((pl.col("clock") != pl.col("clock_b")) & ((pl.col("rule") == 0) | alone))
    # A time is the beginning of the unit that it is written in.
    apart = pl.col("t_b") + pl.col("unit_b") - pl.col("begin")
    nothing = pl.lit(None, pl.Int64)
    later = pairs.select("rule", clock="clock_b", other="clock", at="t_b", at_other="begin", upper=apart, lower=nothing)
    earlier = pairs.select(
        "rule", clock="clock", other="clock_b", at="begin", at_other="t_b", upper=nothing, lower=-apart
    )
    return pl.concat([later, earlier])


def _middles(seen: pl.DataFrame) -> pl.DataFrame:
    """What lies between two events of another clock: clock, other, at, at_other, middle (of clock less other), delay."""
    inner = seen.filter(pl.col("begin").is_not_null() & (pl.col("events") == 1)).join(BETWEEN, on="step")
    other = seen.filter(pl.col("events") == 1).select("request", clock_o="clock", outer="step", t_o="t")
    both = inner.join(other, left_on=["request", "before"], right_on=["request", "outer"])
    both = both.filter(pl.col("clock") != pl.col("clock_o"))
    both = both.join(
        other.rename({"t_o": "t_a"}), left_on=["request", "after", "clock_o"], right_on=["request", "outer", "clock_o"]
    )
    there, back = pl.col("begin") - pl.col("t_o"), pl.col("end") - pl.col("t_a")
    return both.select(
        "clock", other="clock_o", at="begin", at_other="t_o", middle=(there + back) // 2, delay=there - back
    )


@dataclass(frozen=True)
class _Clock:
    """Offsets of one clock: from each of ``since`` on (logged, ascending), in ns; lower and upper may be infinite."""

    since: np.ndarray
    offset: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    pairs: np.ndarray
    basis: str
    reference: str

    def at(self, logged: np.ndarray, what: np.ndarray) -> np.ndarray:
        """`what` (offset, lower or upper) at logged times."""
        return what[np.clip(np.searchsorted(self.since, logged, side="right") - 1, 0, None)]


def _solve(work: Work, bounds: pl.DataFrame, middles: pl.DataFrame) -> dict[str, _Clock]:
    counts = bounds.group_by("clock").len().filter(pl.col("len") >= BRACKETED)
    large = counts.sort("len", "clock", descending=[True, False]).head(MOST_DOMAINS)["clock"].to_list()
    asserted = work.options.clock_offsets
    linked = work.members.filter(pl.col("confidence") == 1).join(work.events.select("n", "clock"), on="n")
    most = linked.group_by("clock").len().sort("len", "clock", descending=[True, False])["clock"].to_list()
    chosen = work.options.reference_clock
    order = [*([chosen] if chosen is not None else []), *(name for name in most if name in set(large))]
    among = pl.col("clock").is_in(large) & pl.col("other").is_in(large)
    own = {k[0]: v for k, v in bounds.filter(among).partition_by("clock", as_dict=True).items()}
    mids = {k[0]: v for k, v in middles.filter(among).partition_by("clock", as_dict=True).items()}
    near = bounds.filter(among).group_by("clock", "other").len()
    links = {(clock, other): size for clock, other, size in near.iter_rows()}
    solved: dict[str, _Clock] = {}
    left = list(large)
    while left:
        reach = {name: sum(links.get((name, other), 0) for other in solved) for name in left}
        name = max(left, key=lambda one: (reach[one], -large.index(one)))
        if not reach[name]:
            name = next(one for one in order if one in left)
            solved[name] = _fixed(0, "reference", name)
        else:
            solved[name] = _bracketed(name, own[name], mids.get(name), solved)
        left.remove(name)
    return solved


def _fixed(offset: int, basis: str, reference: str) -> _Clock:
    whole = np.array([_EVER])
    value = np.array([offset], np.float64)
    return _Clock(whole, value, value, value, np.array([0]), basis, reference)


def _bracketed(name: str, own: pl.DataFrame, mids: pl.DataFrame | None, solved: dict[str, _Clock]) -> _Clock:
    """Solve one clock against those that are solved."""
    at, lower, upper, rule, references = [], [], [], [], []
    for (other,), rows in own.filter(pl.col("other").is_in(list(solved))).partition_by("other", as_dict=True).items():
        clock = solved[other]
        there = rows["at_other"].to_numpy()
        at.append(rows["at"].to_numpy())
        upper.append(rows["upper"].cast(pl.Float64).fill_null(np.inf).to_numpy() + clock.at(there, clock.upper))
        lower.append(rows["lower"].cast(pl.Float64).fill_null(-np.inf).to_numpy() + clock.at(there, clock.lower))
        rule.append(rows["rule"].to_numpy())
        references.append((rows.height, clock.reference))
    when, low, high, which = (np.concatenate(part) for part in (at, lower, upper, rule))
    order = np.argsort(when, kind="stable")
    when, low, high, which = when[order], low[order], high[order], which[order]
    held = np.isin(which, _held(low, high, which))
    when, low, high = when[held], low[held], high[held]
    cuts = _cuts(low, high)
    reference = max(references)[1]
    middle = _nearest_exchange(mids, solved)
    rows = [(0, len(when))] if not cuts else list(zip([0, *cuts], [*cuts, len(when)], strict=True))
    since, offset, lo, hi, pairs = [], [], [], [], []
    for first, last in rows:
        lowest, highest = _bracket(low[first:last], high[first:last])
        since.append(_EVER if first == 0 else when[first])
        until = when[last] if last < len(when) else np.iinfo(np.int64).max
        offset.append(_offset(lowest, highest, middle(since[-1], until)))
        lo.append(lowest)
        hi.append(highest)
        pairs.append(last - first)
    moved = np.array(offset)
    basis = "bounds" if moved.any() else "unmoved"
    return _Clock(np.array(since), moved, np.array(lo), np.array(hi), np.array(pairs), basis, reference)


def _held(low: np.ndarray, high: np.ndarray, rule: np.ndarray) -> list[int]:
    """The rules that hold here: those that do not contradict what holds of any product, nor the rules before them."""
    bins = np.arange(len(low)) * max(1, min(len(low) // (2 * BIN), 64)) // max(len(low), 1)
    brackets = {}
    for one in np.unique(rule).tolist():
        for place in np.unique(bins).tolist():
            some = (rule == one) & (bins == place)
            if some.any():
                brackets[one, place] = _bracket(low[some], high[some])
    held: list[int] = []
    running: dict[int, tuple[float, float]] = {}
    for one in np.unique(rule).tolist():
        both = {}
        for place in np.unique(bins).tolist():
            lo, hi = brackets.get((one, place), (-np.inf, np.inf))
            before = running.get(place, (-np.inf, np.inf))
            both[place] = max(lo, before[0]), min(hi, before[1])
        against = sum(lo > hi + MARGIN_NS for lo, hi in both.values())
        if one == 0 or against <= DISAGREE * len(both):
            held.append(one)
            running = both
    return held


def _bracket(low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """The bracket that all pairs but the liars allow; where they allow none, the one that most pairs allow."""
    lows, highs = low[np.isfinite(low)], high[np.isfinite(high)]
    spare, more = int(len(lows) * LIARS), int(len(highs) * LIARS)
    lowest = float(np.partition(lows, -1 - spare)[-1 - spare]) if len(lows) else -np.inf
    highest = float(np.partition(highs, more)[more]) if len(highs) else np.inf
    if lowest <= highest:
        return lowest, highest
    # Marzullo's way: of all offsets the one that most bounds allow, between the bounds next to it.
    lows, highs = np.sort(lows), np.sort(highs)
    allowed = np.arange(1, len(lows) + 1) + len(highs) - np.searchsorted(highs, lows, side="left")
    best = int(np.argmax(allowed))
    above = highs[np.searchsorted(highs, lows[best], side="left") :]
    following = lows[np.searchsorted(lows, lows[best], side="right") :]
    ends = [float(part[0]) for part in (above, following) if len(part)]
    return float(lows[best]), min(ends, default=float(lows[best]))


def _allowed(low: np.ndarray, high: np.ndarray, bracket: tuple[float, float]) -> float:
    """The share of the pairs that allow the bracket."""
    return float(((low <= bracket[0]) & (high >= bracket[1])).mean()) if len(low) else 1.0


def _cuts(low: np.ndarray, high: np.ndarray) -> list[int]:
    """Where to begin a new slice: nowhere if one bracket holds for nearly all, else where bins stop to agree."""
    if len(low) < 2 * BIN or _allowed(low, high, _bracket(low, high)) >= 1 - 2 * LIARS:
        return []
    edges = np.linspace(0, len(low), max(2, min(len(low) // BIN, 512)) + 1).astype(int)
    brackets = [_bracket(low[a:b], high[a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    cuts, running = [], brackets[0]
    for place in range(1, len(brackets)):
        lo, hi = brackets[place]
        both = max(running[0], lo), min(running[1], hi)
        if both[0] > both[1]:
            cuts.append(int(edges[place]))
            running = lo, hi
        else:
            running = both
    return cuts


def _nearest_exchange(mids: pl.DataFrame | None, solved: dict[str, _Clock]):  # type: ignore[no-untyped-def]
    if mids is None or mids.is_empty():
        return lambda since, until: None
    found = []
    for (other,), rows in mids.filter(pl.col("other").is_in(list(solved))).partition_by("other", as_dict=True).items():
        clock = solved[other]
        offset = clock.at(rows["at_other"].to_numpy(), clock.offset)
        found.append(rows.select("at", "delay", middle=pl.col("middle") + pl.Series(offset)))
    every = pl.concat(found) if found else None

    def middle(since: int, until: int) -> float | None:
        if every is None:
            return None
        rows = every.filter(pl.col("at").is_between(since, until)).sort(pl.col("delay").abs(), "at", "middle")
        if rows.height < BRACKETED:
            return None
        return float(rows["middle"].head(max(5, rows.height // 20)).median())  # type: ignore[arg-type]

    return middle


def _offset(lowest: float, highest: float, middle: float | None) -> float:
    """What to take from the times of a clock with this bracket."""
    if lowest - MARGIN_NS <= 0 <= highest + MARGIN_NS:
        return 0.0
    if np.isinf(lowest) or np.isinf(highest):
        return float(round(highest if np.isinf(lowest) else lowest))
    best = (lowest + highest) / 2 if middle is None else min(max(middle, lowest), highest)
    return float(round(best))


def _pooled(bounds: pl.DataFrame, solved: dict[str, _Clock]) -> pl.DataFrame:
    """Offsets of the clocks with few pairs, as ``clocks`` has them.

    Where pairs bracket one from both sides its offset is the middle. Where they do from one side alone, what lies
    between the bound and the middle for most of the others is taken for this one as well: basis ``pooled``.
    """
    parts = []
    names = list(solved)
    rest = bounds.filter(~pl.col("clock").is_in(names) & pl.col("other").is_in(names))
    for (other,), rows in rest.partition_by("other", as_dict=True, maintain_order=True).items():
        clock = solved[other]
        there = rows["at_other"].to_numpy()
        parts.append(
            rows.select(
                "clock",
                upper=pl.col("upper")
                + pl.Series(np.nan_to_num(clock.at(there, clock.upper), posinf=_FAR)).cast(pl.Int64),
                lower=pl.col("lower")
                + pl.Series(np.nan_to_num(clock.at(there, clock.lower), neginf=-_FAR)).cast(pl.Int64),
                reference=pl.lit(clock.reference),
            )
        )
    if not parts:
        return pl.DataFrame(schema=_CLOCKS)
    found = (
        pl.concat(parts)
        .group_by("clock")
        .agg(
            pl.col("upper").min(),
            pl.col("lower").max(),
            pairs=pl.len().cast(pl.Int64),
            reference=pl.col("reference").min(),
        )
        .sort("clock")
    )
    halves = found.select((pl.col("upper") - pl.col("lower")) // 2).to_series().drop_nulls()
    halves = halves.filter(halves >= 0)
    half = int(halves.median()) if len(halves) >= POOLED else None  # type: ignore[arg-type]
    middle = (pl.col("upper") + pl.col("lower")) // 2
    one_sided = middle.is_null()
    typical = pl.lit(0 if half is None else half)
    estimate = pl.coalesce(middle, pl.col("upper") - typical, pl.col("lower") + typical)
    still = (
        (pl.col("lower").fill_null(-_FAR) <= MARGIN_NS) & (pl.col("upper").fill_null(_FAR) >= -MARGIN_NS) & ~one_sided
    ) | (one_sided & (estimate.abs() <= typical + MARGIN_NS))
    basis = pl.when(one_sided).then(pl.lit("pooled")).otherwise(pl.lit("bounds"))
    return found.select(
        "clock",
        slice=pl.lit(0, pl.Int64),
        since=pl.lit(_EVER, pl.Int64),
        pairs="pairs",
        lower_ns="lower",
        upper_ns="upper",
        offset_ns=pl.when(still).then(0).otherwise(estimate),
        doubt=pl.when(one_sided).then(typical).otherwise((pl.col("upper") - pl.col("lower")).abs() // 4),
        basis=pl.when(still).then(pl.lit("unmoved")).otherwise(basis),
        reference="reference",
    ).cast(_CLOCKS)


def _peaks(work: Work, solved: dict[str, _Clock], small: pl.DataFrame) -> pl.DataFrame:
    """Offsets of clocks without enough linked events, from where time differences within a session or user pile up.

    Each event of such a clock, and each event of the turns of the same session (else user) that commonly comes a known
    delay before or after its step, vote for an offset. The true offset gets a vote from every pair that belongs
    together; what any other gets is chance, and so many votes that chance gives them in one clock of a thousand are
    needed. Basis ``scope-peak``.
    """
    known = [*solved, *small.filter(pl.col("pairs") >= 2)["clock"]]
    fresh = work.events.filter((pl.col("first") == pl.col("n")) & pl.col("t").is_not_null())
    open_ = fresh.filter(~pl.col("clock").is_in(known))
    turns = work.members.filter((pl.col("request_kind") == "turn") & (pl.col("confidence") >= SURE)).select(
        "n", "request"
    )
    tied = fresh.filter(pl.col("clock").is_in(known)).join(turns, on="n")
    if tied.is_empty() or open_.is_empty():
        return pl.DataFrame(schema=_CLOCKS)
    by_step = pl.DataFrame({"step": sorted(set(fresh["step"]))}).with_row_index("sort").cast({"sort": pl.Int64})
    marks = moments(tied.join(by_step, on="step").select("n", "sort", "t", "end")).join(turns, on="n")
    mine = open_.join(by_step, on="step").select(
        "n", "clock", "t", "session_scope", "user_scope", mark=pl.col("sort") * 2
    )
    learned = _typical(marks).with_columns(way=pl.lit(0, pl.Int64))
    # A step that no id ties may come soon before or after any other.
    unknown = mine.select("mark").unique().join(learned, on="mark", how="anti").sort("mark")
    near = marks.select(anchor="mark").unique().sort("anchor")
    any_ = unknown.join(near, how="cross").with_columns(delay=pl.lit(0, pl.Int64), spread=pl.lit(0, pl.Int64))
    any_ = any_.with_row_index("way", offset=1).cast({"way": pl.Int64})
    learned = pl.concat([learned, any_.select(learned.columns)])
    scopes = turns.join(fresh.select("n", "session_scope", "user_scope"), on="n")
    votes = []
    for scope in ("session_scope", "user_scope"):
        of_scope = scopes.select("request", pl.col(scope)).drop_nulls().unique()
        of_scope = of_scope.filter(pl.len().over(scope) <= MOST_IN_SCOPE)
        some = mine.filter(pl.col(scope).is_not_null())
        if scope == "user_scope":
            some = some.filter(pl.col("session_scope").is_null())
        pairs = some.join(learned, on="mark").join(of_scope, on=scope)
        pairs = pairs.join(marks.select("request", anchor="mark", when="when"), on=["request", "anchor"])
        votes.append(pairs.select("clock", "way", "n", vote=pl.col("t") - pl.col("when") - pl.col("delay")))
    every = pl.concat(votes)
    every = every.filter(pl.col("vote").abs() < DAY_NS).sort("clock", "way", "vote", "n")
    rows = []
    for (name,), group in every.partition_by("clock", as_dict=True, maintain_order=True).items():
        ways = group.partition_by("way", maintain_order=True)
        peaks = [_densest(way["vote"].to_numpy(), way["n"].to_numpy()) for way in ways]
        found = [peak for peak in peaks if peak is not None]
        if not found:
            continue
        offset, spread, size = max(found, key=lambda one: (one[2], -abs(one[0])))
        still = abs(offset) <= spread + MARGIN_NS
        rows.append(
            {
                "clock": name,
                "slice": 0,
                "since": _EVER,
                "pairs": size,
                "lower_ns": offset - spread,
                "upper_ns": offset + spread,
                "offset_ns": 0 if still else offset,
                "doubt": spread // 2,
                "basis": "unmoved" if still else "scope-peak",
                "reference": min(one.reference for one in solved.values()),
            }
        )
    return pl.DataFrame(rows, schema=_CLOCKS)


def _shared(work: Work, solved: dict[str, _Clock]) -> pl.DataFrame:
    """Clocks of which nothing is known, but that show what another clock shows if they are moved like it.

    Two logs of one machine share a clock. Of the offsets of the solved clocks, and none at all, the one that brings
    most events close to one of the events of the turns is taken, if it does so for twice as many as none at all.
    """
    # A clock that few of its many events bound is as good as unknown.
    sizes = work.events.group_by("clock").len()
    few = work.clocks.join(sizes, on="clock").filter(
        (pl.col("pairs") < BRACKETED) & (pl.col("pairs") * 10 < pl.col("len")) & (pl.col("basis") != "scope-peak")
    )
    names = work.clocks.join(few.select("clock"), on="clock", how="anti")["clock"].implode()
    fresh = work.events.filter((pl.col("first") == pl.col("n")) & pl.col("logged").is_not_null())
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
                    "since": _EVER,
                    "pairs": int(close[best]),
                    "lower_ns": _whole(solved[like].lower[place]),
                    "upper_ns": _whole(solved[like].upper[place]),
                    "offset_ns": best,
                    "doubt": 0,
                    "basis": "shared",
                    "reference": solved[like].reference,
                }
            )
    return pl.DataFrame(rows, schema=_CLOCKS)


def _whole(bound: float) -> int | None:
    return None if np.isinf(bound) else int(bound)


def _beyond_chance(times: np.ndarray, there: np.ndarray) -> float:
    """How many of `times` lie within `CLOSE_NS` of one of `there` (ascending), beyond those that do by chance."""
    place = np.searchsorted(there, times)
    after = np.abs(there[np.clip(place, 0, len(there) - 1)] - times)
    before = np.abs(times - there[np.clip(place - 1, 0, len(there) - 1)])
    found = int((np.minimum(before, after) <= CLOSE_NS).sum())
    span = max(float(there[-1] - there[0]), 1.0)
    return found - len(times) * min(1.0, 2 * CLOSE_NS * len(there) / span)


def _typical(marks: pl.DataFrame) -> pl.DataFrame:
    """mark, anchor, delay (median, ns), spread: of each step the anchor at the steadiest distance."""
    rows = examples(marks)
    best: dict[int, tuple[float, int, float]] = {}
    for mark, anchor, found, _, together in delays(rows, rows):
        if mark % 2 or len(found) < LEARNED or together < 0.5:
            continue
        low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
        best[mark] = min(best.get(mark, (np.inf, 0, 0.0)), (float(high - low), anchor, float(middle)))
    steady = [(m, a, int(d), int(s)) for m, (s, a, d) in sorted(best.items()) if s <= STEADY_NS]
    schema = {"mark": pl.Int64, "anchor": pl.Int64, "delay": pl.Int64, "spread": pl.Int64}
    return pl.DataFrame(steady, schema=schema, orient="row")


def _densest(votes: np.ndarray, voters: np.ndarray) -> tuple[int, int, int] | None:
    """Where most votes lie within `PEAK_NS`: the middle, half the width, and how many; None where chance explains it."""
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
    # Poisson tail of so many votes in one window, times the windows that there are.
    chance = poisson.sf(size - 1, expected) * max(1.0, span / PEAK_NS)
    if size < 3 or chance > 1e-3:
        return None
    middle = int(np.median(votes[inside]))
    return middle, PEAK_NS // 2, size


def _applied(work: Work, solved: dict[str, _Clock], *more: pl.DataFrame) -> Work:
    rows = [
        {
            "clock": name,
            "slice": place,
            "since": int(clock.since[place]),
            "pairs": int(clock.pairs[place]),
            "lower_ns": _whole(clock.lower[place]),
            "upper_ns": _whole(clock.upper[place]),
            "offset_ns": int(clock.offset[place]),
            "doubt": 0,
            "basis": clock.basis,
            "reference": clock.reference,
        }
        for name, clock in sorted(solved.items())
        for place in range(len(clock.since))
    ]
    # What is found later is of clocks that were open before, or that few pairs bound.
    tables = [pl.DataFrame(rows, schema=_CLOCKS)]
    for table in reversed(more):
        tables.append(table.join(pl.concat(tables), on="clock", how="anti"))
    clocks = pl.concat(tables).sort("clock", "slice")
    times = work.events.select("n", "clock", "logged").filter(pl.col("logged").is_not_null()).sort("logged", "n")
    moved = clocks.select("clock", "since", "offset_ns", "doubt").sort("since", "clock")
    found = times.join_asof(moved, left_on="logged", right_on="since", by="clock", check_sortedness=False)
    events = work.events.drop("offset_ns", "doubt", strict=False).join(
        found.select("n", "offset_ns", "doubt"), on="n", how="left", maintain_order="left"
    )
    offset = pl.col("offset_ns").fill_null(0)
    events = events.with_columns(t=pl.col("logged") - offset, end=pl.col("logged_end") - offset)
    return replace(work, events=events, clocks=clocks)
