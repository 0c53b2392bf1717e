"""Step 4, clocks: how far each clock is ahead of one reference clock, from what must precede what.

If A must precede B, and their clocks are ahead by a and b, then b - a is at most what the log shows between the two.
Pairs in both directions bracket the difference; the bracket is narrow where some pair was quick. Sources: the
clock-offset bounds of Duda, Harrus, Haddad and Bernard (1987), the clock filter of NTP (RFC 5905, section 10), which
believes the exchange with the least delay, and Jaeger's clock-skew adjuster for why nothing is moved without need.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import polars as pl

from strataline.correlate.order import CHECK_OUT, PRECEDES
from strataline.correlate.work import OPENING, Work

SURE = 0.99
"""Links of at least this confidence bound clocks."""

LIARS = 0.01
"""Share of pairs that may contradict a bound: a link that is wrong, a line that was written late."""

MARGIN_NS = 5_000_000
"""A clock whose bracket holds zero but for this is not moved: a line is written a little after what it tells."""

BRACKETED = 30
"""Pairs from which on a clock is judged by its own bounds."""

BIN = 100
"""Pairs in the smallest stretch of time that is judged on its own, where a clock drifts or was set."""

MOST_DOMAINS = 256
"""Clocks that are solved one after the other; the others, such as those of browsers, only against these."""

POOLED = 5
"""Clocks that pairs bracket from which on a clock with pairs on one side alone is judged like them."""


EVER = int(np.iinfo(np.int64).min)
FAR = 2**61
CLOCK_ROWS = pl.Schema(
    {
        "clock": pl.String,
        "slice": pl.Int64,
        "since": pl.Int64,
        "pairs": pl.Int64,
        "lower_ns": pl.Int64,
        "upper_ns": pl.Int64,
        "offset_ns": pl.Int64,
        "doubt": pl.Int64,
        "unsure": pl.Int64,
        "basis": pl.String,
        "reference": pl.String,
    }
)
"""Rows of clocks: one for each slice; ``since`` is the first logged time (ns) that it holds for.

``doubt`` (ns) widens the delays of a clock whose few pairs are the very ones that delays are learned from; ``unsure``
(ns, null if unknown) is about how far off the offset may be.
"""

RULES = pl.DataFrame(PRECEDES, schema={"step": pl.String, "then": pl.String}, orient="row")
STEPS = sorted({step for rule in PRECEDES for step in rule})
ANSWERED = "prompt.responded"
AFTER = ("ui.rendered", "ui.error_shown", "ui.feedback", "ui.citation", "ui.copied", "prompt.access")
"""What follows the answer to the client; anything else that is part of a turn comes before it."""

ENDS = pl.DataFrame(
    [(OPENING, step) for step in STEPS if step not in (OPENING, "ui.message_sent")]
    + [(step, ANSWERED) for step in STEPS if step not in (OPENING, ANSWERED, "ui.message_sent", CHECK_OUT, *AFTER)]
    + [("ui.message_sent", OPENING)],
    schema={"step": pl.String, "then": pl.String},
    orient="row",
)
"""What holds of any product: a turn begins with its opening event and ends with the answer."""

DISAGREE = 0.2
"""A rule that contradicts what holds of any product in more of the stretches of time is not of this product."""

BETWEEN = RULES.join(RULES, left_on="then", right_on="step", suffix="_after").select(
    before="step", step="then", after="then_after"
)


def steps_seen(work: Work) -> pl.DataFrame:
    """What each clock shows of each step of a request with one attempt: request, clock, step, begin, t, end, unit.

    Of several events of one step the first begin and t, and the last end, count.
    """
    columns = ("n", "step", "clock", "time_kind", "logged", "logged_end", "duration_ns", "unit")
    sure = work.members.filter(pl.col("confidence") >= SURE).select("n", request="opener")
    rows = sure.join(
        work.events.filter(pl.col("logged").is_not_null() & (pl.col("first") == pl.col("n"))).select(columns), on="n"
    )
    turns = rows.filter(pl.col("step") == OPENING).select("request")
    several = turns.filter(turns.is_duplicated())
    rows = rows.join(several, on="request", how="anti") if several.height else rows
    began = pl.when(pl.col("time_kind") != "end").then("logged").otherwise(pl.col("logged") - pl.col("duration_ns"))
    return rows.group_by("request", "clock", "step").agg(
        began.min().alias("begin"),
        pl.col("logged").min().alias("t"),
        pl.coalesce("logged_end", "logged").max().alias("end"),
        pl.col("unit").max(),
        pl.len().alias("events"),
    )


def spoken(rules: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """The `rules` of which every step is seen, with the steps as `seen` has them."""
    of = seen.schema["step"]
    known = rules.with_columns(pl.col(pl.String).cast(of, strict=False)).drop_nulls()
    there = seen["step"].unique().implode()
    return known.filter(pl.all_horizontal(pl.col(of).is_in(there)))


def bounds_of(seen: pl.DataFrame) -> pl.DataFrame:
    """Bounds of a clock against another: rule, clock, other, at, at_other (logged), upper, lower (clock less other).

    ``rule`` is 0 for what holds of any product.
    """
    ends = ENDS.with_columns(rule=pl.lit(0, pl.Int64))
    rules = RULES.join(ENDS, on=["step", "then"], how="anti").with_row_index("rule", offset=1).cast({"rule": pl.Int64})
    rules = spoken(pl.concat([ends, rules.select(ends.columns)]), seen)
    before = seen.filter(pl.col("begin").is_not_null()).select("request", "clock", "step", "begin", "events")
    before = before.join(rules, on="step").drop("step")
    # In a loop of steps the first of one kind need not come before the first of the next.
    alone = (pl.col("rule") == 0) | (pl.col("events") == 1)
    after = seen.select("request", "step", "clock", "t", "unit", "events").rename(
        {name: f"{name}_b" for name in ("clock", "t", "unit", "events")}
    )
    pairs = before.filter(alone).join(after, left_on=["request", "then"], right_on=["request", "step"])
    alone = (pl.col("rule") == 0) | (pl.col("events_b") == 1)
    pairs = pairs.filter((pl.col("clock") != pl.col("clock_b")) & alone)
    # A time is the beginning of the unit that it is written in.
    apart = pl.col("t_b") + pl.col("unit_b") - pl.col("begin")
    nothing = pl.lit(None, pl.Int64)
    later = pairs.select("rule", clock="clock_b", other="clock", at="t_b", at_other="begin", upper=apart, lower=nothing)
    earlier = pairs.select(
        "rule", clock="clock", other="clock_b", at="begin", at_other="t_b", upper=nothing, lower=-apart
    )
    return pl.concat([later, earlier])


def middles_of(seen: pl.DataFrame) -> pl.DataFrame:
    """What lies between two events of another clock: clock, other, at, at_other, middle (clock less other), delay."""
    seen = seen.filter(pl.col("events") == 1).select("request", "clock", "step", "begin", "t", "end")
    inner = seen.filter(pl.col("begin").is_not_null()).join(spoken(BETWEEN, seen), on="step").drop("step", "t")
    other = seen.select("request", clock_o="clock", outer="step", t_o="t")
    both = inner.join(other, left_on=["request", "before"], right_on=["request", "outer"])
    both = both.filter(pl.col("clock") != pl.col("clock_o"))
    both = both.join(
        other.rename({"t_o": "t_a"}), left_on=["request", "after", "clock_o"], right_on=["request", "outer", "clock_o"]
    )
    there, back = pl.col("begin") - pl.col("t_o"), pl.col("end") - pl.col("t_a")
    within = both.select(
        "clock", other="clock_o", at="begin", at_other="t_o", middle=(there + back) // 2, delay=there - back
    )
    around = within.select(
        clock="other", other="clock", at="at_other", at_other="at", middle=-pl.col("middle"), delay="delay"
    )
    return pl.concat([within, around])


@dataclass(frozen=True)
class Clock:
    """Offsets of one clock against `reference`.

    Args:
        since: logged time (ns) that each slice begins at, ascending.
        offset: of each slice (ns), what is taken from its times.
        lower: of the bracket; may be infinite, as `upper` may.
        upper: of the bracket.
        pairs: that bound it.
        unsure: about how far off the offset may be (ns); may be infinite.
        basis: as in ``clocks``.
        reference: the clock that all of this is relative to.
    """

    since: np.ndarray
    offset: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    pairs: np.ndarray
    unsure: np.ndarray
    basis: str
    reference: str

    def at(self, logged: np.ndarray, what: np.ndarray) -> np.ndarray:
        """`what` (offset, lower or upper) at logged times."""
        return what[np.clip(np.searchsorted(self.since, logged, side="right") - 1, 0, None)]


def solve(work: Work, seen: pl.DataFrame, bounds: pl.DataFrame) -> dict[str, Clock]:
    """Offsets of the clocks that enough pairs bound, one after the other, against those solved before.

    Args:
        work: what is known.
        seen: as `steps_seen` gives it.
        bounds: as `bounds_of` gives them.
    """
    counts = bounds.group_by("clock").len().filter(pl.col("len") >= BRACKETED)
    large = counts.sort("len", "clock", descending=[True, False]).head(MOST_DOMAINS)["clock"].to_list()
    linked = work.members.filter(pl.col("confidence") == 1).join(work.events.select("n", "clock"), on="n")
    most = linked.group_by("clock").len().sort("len", "clock", descending=[True, False])["clock"].to_list()
    chosen = work.options.reference_clock
    order = [*([chosen] if chosen is not None else []), *(name for name in most if name in set(large))]
    among = pl.col("clock").is_in(large) & pl.col("other").is_in(large)
    bounds = bounds.filter(among)
    own = {k[0]: v for k, v in bounds.partition_by("clock", as_dict=True).items()}
    middles = middles_of(seen.filter(pl.col("clock").is_in(large)))
    mids = {k[0]: v for k, v in middles.partition_by("clock", as_dict=True).items()}
    near = bounds.group_by("clock", "other").len()
    links = {(clock, other): size for clock, other, size in near.iter_rows()}
    solved: dict[str, Clock] = {}
    left = list(large)
    while left:
        reach = {name: sum(links.get((name, other), 0) for other in solved) for name in left}
        name = max(left, key=lambda one: (reach[one], -large.index(one)))
        if not reach[name]:
            name = next(one for one in order if one in left)
            solved[name] = fixed(0, "reference", name)
        else:
            solved[name] = _bracketed(own[name], mids.get(name), solved)
        left = [one for one in left if one != name]
    return solved


def fixed(offset: int, basis: str, reference: str) -> Clock:
    """A clock whose offset is not in question."""
    whole = np.array([EVER])
    value = np.array([offset], np.float64)
    return Clock(whole, value, value, value, np.array([0]), np.zeros(1), basis, reference)


def _bracketed(own: pl.DataFrame, mids: pl.DataFrame | None, solved: dict[str, Clock]) -> Clock:
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
    ordered = pl.DataFrame({"when": when, "low": low, "high": high, "which": which}).sort(pl.all())
    when, low, high, which = (ordered[name].to_numpy() for name in ordered.columns)
    held = np.isin(which, _held(low, high, which))
    when, low, high = when[held], low[held], high[held]
    cuts = _cuts(low, high)
    reference = max(references)[1]
    exchanges = _exchanges(mids, solved)
    parts = list(itertools.pairwise([0, *cuts, len(when)]))
    since, offset, lo, hi, pairs, unsure = [], [], [], [], [], []
    for first, last in parts:
        lowest, highest = _bracket(low[first:last], high[first:last])
        since.append(EVER if first == 0 else when[first])
        until = when[last] if last < len(when) else np.iinfo(np.int64).max
        middle, spread = _nearest(exchanges.filter(pl.col("at").is_between(since[-1], until)))
        offset.append(_offset(lowest, highest, middle, _varies(low[first:last], high[first:last])))
        unsure.append(min((highest - lowest) / 2, spread))
        lo.append(lowest)
        hi.append(highest)
        pairs.append(last - first)
    moved = np.array(offset)
    basis = "bounds" if moved.any() else "unmoved"
    return Clock(
        np.array(since), moved, np.array(lo), np.array(hi), np.array(pairs), np.array(unsure), basis, reference
    )


def _held(low: np.ndarray, high: np.ndarray, rule: np.ndarray) -> list[int]:
    """The rules that hold here: those that do not contradict what holds of any product, nor the rules before them."""
    bins = np.arange(len(low)) * max(1, min(len(low) // (2 * BIN), 64)) // max(len(low), 1)
    brackets = {}
    rules, places = np.unique(rule).tolist(), np.unique(bins).tolist()
    for one in rules:
        some = np.flatnonzero(rule == one)
        ends = np.searchsorted(bins[some], [*places, len(low)])
        for place, (first, last) in zip(places, itertools.pairwise(ends), strict=True):
            if last > first:
                brackets[one, place] = _bracket(low[some[first:last]], high[some[first:last]])
    held: list[int] = []
    running: dict[int, tuple[float, float]] = {}
    for one in rules:
        both = {}
        for place in places:
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
    brackets = [_bracket(low[a:b], high[a:b]) for a, b in itertools.pairwise(edges)]
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


def _exchanges(mids: pl.DataFrame | None, solved: dict[str, Clock]) -> pl.DataFrame:
    """The exchanges with solved clocks: at, delay, middle (ahead of the reference)."""
    found = [pl.DataFrame(schema={"at": pl.Int64, "delay": pl.Int64, "middle": pl.Float64})]
    if mids is None:
        return found[0]
    for (other,), rows in mids.filter(pl.col("other").is_in(list(solved))).partition_by("other", as_dict=True).items():
        clock = solved[other]
        offset = clock.at(rows["at_other"].to_numpy(), clock.offset)
        found.append(rows.select("at", "delay", middle=pl.col("middle") + pl.Series(offset)))
    return pl.concat(found)


def _nearest(exchanges: pl.DataFrame) -> tuple[float | None, float]:
    """What the exchanges with the least delay say: the middle, and how far they are apart; None if there are few."""
    if exchanges.height < BRACKETED:
        return None, np.inf
    size = max(5, exchanges.height // 20)
    delay = exchanges["delay"].abs()
    near = exchanges.filter(delay <= int(np.partition(delay.to_numpy(), size - 1)[size - 1]))
    quick = near.sort(pl.col("delay").abs(), "at", "middle").head(size)
    low, middle, high = np.quantile(quick["middle"].to_numpy(), [0.05, 0.5, 0.95])
    return float(middle), float(high - low) + abs(float(quick["delay"].abs().median())) / 2  # type: ignore[arg-type]


def _varies(low: np.ndarray, high: np.ndarray) -> float:
    """How far what bounds one side is from the bound, for half of it."""
    lows, highs = low[np.isfinite(low)], high[np.isfinite(high)]
    sides = [float(np.max(lows) - np.median(lows))] if len(lows) else []
    return max([*sides, *([float(np.median(highs) - np.min(highs))] if len(highs) else [])], default=0.0)


def _offset(lowest: float, highest: float, middle: float | None, varies: float) -> float:
    """What to take from the times of a clock with this bracket."""
    if lowest - MARGIN_NS <= 0 <= highest + MARGIN_NS:
        return 0.0
    if np.isinf(lowest) or np.isinf(highest):
        # What varies as much may be what lies between the two, such as an answer that streams.
        bound = highest if np.isinf(lowest) else lowest
        return 0.0 if abs(bound) <= 3 * varies else float(round(bound))
    best = (lowest + highest) / 2 if middle is None else min(max(middle, lowest), highest)
    return float(round(best))


def pooled(bounds: pl.DataFrame, solved: dict[str, Clock]) -> pl.DataFrame:
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
                "rule",
                "clock",
                upper=pl.col("upper")
                + pl.Series(np.nan_to_num(clock.at(there, clock.upper), posinf=FAR)).cast(pl.Int64),
                lower=pl.col("lower")
                + pl.Series(np.nan_to_num(clock.at(there, clock.lower), neginf=-FAR)).cast(pl.Int64),
                reference=pl.lit(clock.reference),
            )
        )
    if not parts:
        return pl.DataFrame(schema=CLOCK_ROWS)
    every = _kept(pl.concat(parts))
    # How much what one clock shows varies: a difference within that is no offset.
    apart = every.group_by("rule", "clock").agg(
        vary=pl.coalesce(
            pl.col("upper").median() - pl.col("upper").min(), pl.col("lower").max() - pl.col("lower").median()
        ),
        size=pl.len(),
    )
    varies = apart.filter((pl.col("size") >= 3) & (pl.col("rule") > 0))["vary"].median()
    found = (
        every.group_by("clock")
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
    holds_zero = (pl.col("lower").fill_null(-FAR) <= MARGIN_NS) & (pl.col("upper").fill_null(FAR) >= -MARGIN_NS)
    # With a bound on one side alone a difference may as well be a delay, unless others show what is usual.
    shown = pl.lit(half is not None) & (pl.col("pairs") >= 3) & (estimate.abs() > typical + MARGIN_NS)
    usual = pl.lit(3 * int(varies or 0))  # type: ignore[arg-type]
    still = (holds_zero & ~(one_sided & shown)) | (one_sided & (estimate.abs() <= usual))
    # Without others to go by the bound itself is taken.
    basis = pl.when(one_sided & pl.lit(half is not None)).then(pl.lit("pooled")).otherwise(pl.lit("bounds"))
    return found.select(
        "clock",
        slice=pl.lit(0, pl.Int64),
        since=pl.lit(EVER, pl.Int64),
        pairs="pairs",
        lower_ns="lower",
        upper_ns="upper",
        offset_ns=pl.when(still).then(0).otherwise(estimate),
        doubt=pl.when(one_sided).then(typical).otherwise((pl.col("upper") - pl.col("lower")).abs() // 4),
        unsure=pl.when(one_sided).then(None).otherwise((pl.col("upper") - pl.col("lower")).abs() // 2),
        basis=pl.when(still).then(pl.lit("unmoved")).otherwise(basis),
        reference="reference",
    ).cast(CLOCK_ROWS)


def _kept(every: pl.DataFrame) -> pl.DataFrame:
    """Bounds without those of rules that contradict, for many clocks, what holds of any product.

    An answer that streams is shown before it is complete.
    """
    each = every.group_by("rule", "clock").agg(pl.col("upper").min(), pl.col("lower").max())
    base = each.filter(pl.col("rule") == 0).drop("rule")
    both = each.filter(pl.col("rule") > 0).join(base, on="clock", suffix="_base")
    low = pl.max_horizontal("lower", "lower_base")
    high = pl.min_horizontal("upper", "upper_base")
    broken = both.group_by("rule").agg(share=(low > high + MARGIN_NS).mean(), size=pl.len())
    broken = broken.filter((pl.col("size") >= POOLED) & (pl.col("share") > DISAGREE))
    return every.join(broken, on="rule", how="anti")


def whole(bound: float) -> int | None:
    """A bound as a number of ns; None for none."""
    return None if np.isinf(bound) else int(bound)
