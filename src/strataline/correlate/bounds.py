"""Step 4, clocks: how far each clock is ahead of one reference clock, from what must precede what.

If A must precede B, and their clocks are ahead by a and b, then b - a is at most what the log shows between the two.
Pairs in both directions bracket the difference; the bracket is narrow where some pair was quick. Sources: the
clock-offset bounds of Duda, Harrus, Haddad and Bernard (1987), the clock filter of NTP (RFC 5905, section 10), which
believes the exchange with the least delay, and Jaeger's clock-skew adjuster for why nothing is moved without need.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from strataline.correlate.graph import Grid, sorting
from strataline.correlate.order import CHECK_OUT, PRECEDES
from strataline.correlate.work import OPENING, Work, numbers

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
_LATEST = np.iinfo(np.int64).max
_NO_ROWS = np.zeros(0, np.int64)
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

STEPS = sorted({step for rule in PRECEDES for step in rule})
ANSWERED = "prompt.responded"
AFTER = ("ui.rendered", "ui.error_shown", "ui.feedback", "ui.citation", "ui.copied", "prompt.access")
"""What follows the answer to the client; anything else that is part of a turn comes before it."""

ENDS = (
    *((OPENING, step) for step in STEPS if step not in (OPENING, "ui.message_sent")),
    *((step, ANSWERED) for step in STEPS if step not in (OPENING, ANSWERED, "ui.message_sent", CHECK_OUT, *AFTER)),
    ("ui.message_sent", OPENING),
)
"""What holds of any product: a turn begins with its opening event and ends with the answer."""

RULES = (
    *((0, step, then) for step, then in ENDS),
    *((place, *rule) for place, rule in enumerate((rule for rule in PRECEDES if rule not in ENDS), 1)),
)
"""Number, step, and the step that it must precede; number 0 for what holds of any product."""
DISAGREE = 0.2
"""A rule that contradicts what holds of any product in more of the stretches of time is not of this product."""

BETWEEN = tuple((before, step, after) for before, step in PRECEDES for other, after in PRECEDES if step == other)
"""Steps, and two others that the one must follow and precede."""

NONE = np.iinfo(np.int64).min
"""No time."""


@dataclass(frozen=True)
class Seen:
    """What each clock shows of each step of a request with one attempt; rows in order of the request, then the step.

    Of several events of one step the first begin and t, and the last end, count.

    Args:
        request: its number, from 0.
        step: its number.
        clock: its number in `clocks`.
        begin: logged time (ns); `NONE` if not known.
        t: logged time of the first event.
        end: of the last.
        unit: the coarsest unit that a time is written in (ns).
        events: how many there are.
        steps: every step by its number.
        clocks: every clock by its number, in the order of their names.
    """

    request: np.ndarray
    step: np.ndarray
    clock: np.ndarray
    begin: np.ndarray
    t: np.ndarray
    end: np.ndarray
    unit: np.ndarray
    events: np.ndarray
    steps: tuple[str, ...]
    clocks: pl.Series

    @cached_property
    def grid(self) -> Grid:
        """The rows by request and step."""
        return Grid(self.request, self.step, len(self.steps))

    @cached_property
    def number(self) -> dict[str, int]:
        """Of each step, its number."""
        return {step: number for number, step in enumerate(self.steps)}

    def where(self, rows: np.ndarray) -> Seen:
        """Some of the rows."""
        columns = ("request", "step", "clock", "begin", "t", "end", "unit", "events")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})


def steps_seen(work: Work) -> Seen:
    """What each clock shows of each step that a rule names."""
    events, sure = work.events, work.members.filter(pl.col("confidence") >= SURE)
    words = events.schema["step"].categories.to_list()  # type: ignore[attr-defined]
    steps = tuple(step for step in words if step in STEPS)
    n, request = sure["n"].to_numpy(), sure["opener"].to_numpy()
    step, clock = numbers(events["step"], {step: place for place, step in enumerate(steps)}, None), events["clock"]
    known = events.select(pl.col("logged").is_not_null() & (pl.col("first") == pl.col("n")), step=step.is_not_null())
    kept = known.select(pl.all_horizontal(pl.all())).to_series().to_numpy()[n]
    n, request = n[kept], request[kept]
    step = step.fill_null(0).to_numpy()[n]
    # A turn that was sent again holds steps of several attempts.
    if OPENING in steps:
        several = np.bincount(request[step == steps.index(OPENING)], minlength=events.height) > 1
        kept = ~several[request]
        n, request, step = n[kept], request[kept], step[kept]
    kept = clock.is_not_null().to_numpy()[n]
    n, request, step = n[kept], request[kept], step[kept]
    domain = clock.to_physical().cast(pl.Int64).fill_null(0).to_numpy()[n]
    there = np.zeros(events.height, bool)
    there[request] = True
    request = (np.cumsum(there) - 1)[request]
    clocks = clock.dtype.categories  # type: ignore[attr-defined]
    by = sorting((request * len(steps) + step) * len(clocks) + domain)
    n, request, step, domain = n[by], request[by], step[by], domain[by]
    logged = events["logged"].fill_null(NONE).to_numpy()
    began = events.select(
        pl.when(pl.col("time_kind") != "end").then("logged").otherwise(pl.col("logged") - pl.col("duration_ns"))
    )
    begin = began.to_series().fill_null(_LATEST).to_numpy()[n]
    end = events["logged_end"].fill_null(NONE).to_numpy()[n]
    end = np.where(end == NONE, logged[n], end)
    new = np.ones(len(n), bool)
    new[1:] = (request[1:] != request[:-1]) | (step[1:] != step[:-1]) | (domain[1:] != domain[:-1])
    at = np.flatnonzero(new)
    if not len(at):
        begin = end
    first = np.minimum.reduceat(begin, at) if len(at) else begin
    return Seen(
        request[at],
        step[at],
        domain[at],
        np.where(first == _LATEST, NONE, first),
        np.minimum.reduceat(logged[n], at) if len(at) else begin,
        np.maximum.reduceat(end, at) if len(at) else begin,
        np.maximum.reduceat(events["unit"].to_numpy()[n], at) if len(at) else begin,
        np.diff(np.append(at, len(n))),
        steps,
        clocks,
    )


@dataclass(frozen=True)
class Bounds:
    """Pairs of rows of two clocks of which the first must precede the second.

    Args:
        seen: the rows.
        rule: 0 for what holds of any product.
        first: row of `seen`.
        second: row of `seen`.
    """

    seen: Seen
    rule: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def apart(self, some: np.ndarray) -> np.ndarray:
        """What some of the pairs show between the two events (ns): at most this much is the second's clock ahead."""
        seen, second = self.seen, self.second[some]
        # A time is the beginning of the unit that it is written in.
        return np.asarray(seen.t[second] + seen.unit[second] - seen.begin[self.first[some]])


def bounds_of(seen: Seen) -> Bounds:
    """What bounds a clock against another."""
    found = [(np.zeros(0, np.int16), np.zeros(0, np.int64), np.zeros(0, np.int64))]
    alone, begun = seen.events == 1, seen.begin != NONE
    for rule, step, then in RULES:
        if step not in seen.number or then not in seen.number:
            continue
        first = seen.grid.of(seen.number[step])
        # In a loop of steps the first of one kind need not come before the first of the next.
        first = first[begun[first] & alone[first]] if rule else first[begun[first]]
        left, second = seen.grid.beside(first, seen.number[then])
        first = first[left]
        kept = seen.clock[first] != seen.clock[second]
        kept &= alone[second] if rule else True
        first, second = first[kept], second[kept]
        found.append((np.full(len(first), rule, np.int16), first, second))
    return Bounds(seen, *(np.concatenate(part) for part in zip(*found, strict=True)))


@dataclass(frozen=True)
class Middles:
    """What one clock shows between two events of another clock.

    Args:
        clock: of the one, by its number.
        other: of the two.
        at: when it began (logged, ns).
        at_other: when the first of the two is logged.
        middle: how far `clock` is ahead of `other`, if both ways took as long (ns).
        delay: what both ways took together.
    """

    clock: np.ndarray
    other: np.ndarray
    at: np.ndarray
    at_other: np.ndarray
    middle: np.ndarray
    delay: np.ndarray


def middles_of(seen: Seen) -> Middles:
    """What lies between two events of another clock."""
    seen = seen.where(seen.events == 1)
    inner, before, after = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for steps in BETWEEN:
        if not all(step in seen.number for step in steps):
            continue
        first, step, last = (seen.number[step] for step in steps)
        mine = seen.grid.of(step)
        mine = mine[seen.begin[mine] != NONE]
        left, there = seen.grid.beside(mine, first)
        mine = mine[left]
        apart = seen.clock[mine] != seen.clock[there]
        mine, there = mine[apart], there[apart]
        left, back = seen.grid.beside(there, last)
        kept = seen.clock[back] == seen.clock[there[left]]
        left, back = left[kept], back[kept]
        inner.append(mine[left])
        before.append(there[left])
        after.append(back)
    one, two, three = (np.concatenate(part) for part in (inner, before, after))
    there, back = seen.begin[one] - seen.t[two], seen.end[one] - seen.t[three]
    return Middles(seen.clock[one], seen.clock[two], seen.begin[one], seen.t[two], (there + back) // 2, there - back)


def _by_pair(first: np.ndarray, second: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """The rows of each two clocks."""
    size = int(second.max(initial=0)) + 1
    code = first * size + second
    by = sorting(code)
    code = code[by]
    at = np.flatnonzero(np.concatenate([[True], code[1:] != code[:-1]])) if len(code) else by
    return {
        (pair // size, pair % size): by[low:high]
        for pair, low, high in zip(code[at].tolist(), at.tolist(), [*at[1:].tolist(), len(by)], strict=False)
    }


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


def solve(work: Work, bounds: Bounds) -> dict[str, Clock]:
    """Offsets of the clocks that enough pairs bound, one after the other, against those solved before.

    Args:
        work: what is known.
        bounds: as `bounds_of` gives them.
    """
    seen = bounds.seen
    first, second = seen.clock[bounds.first], seen.clock[bounds.second]
    counts = np.bincount(first, minlength=len(seen.clocks)) + np.bincount(second, minlength=len(seen.clocks))
    # Those with most pairs; of as many, by name.
    large = np.argsort(-counts, kind="stable")[: min(MOST_DOMAINS, int((counts >= BRACKETED).sum()))].tolist()
    names = {clock: seen.clocks[clock] for clock in large}
    linked = work.events["clock"].gather(work.members.filter(pl.col("confidence") == 1)["n"]).drop_nulls()
    most = np.bincount(linked.to_physical().to_numpy(), minlength=len(seen.clocks))
    order = sorted((clock for clock in large if most[clock]), key=lambda clock: (-most[clock], clock))
    chosen = work.options.reference_clock
    order = [*(clock for clock in large if names[clock] == chosen), *order]
    among = np.zeros(len(seen.clocks), bool)
    among[large] = True
    some = np.flatnonzero(among[first] & among[second])
    of_pair = {pair: some[at] for pair, at in _by_pair(first[some], second[some]).items()}
    beside: dict[int, set[int]] = {clock: set() for clock in large}
    for one, other in of_pair:
        beside[one].add(other)
        beside[other].add(one)
    middles = middles_of(seen.where(among[seen.clock]))
    mids = _by_pair(middles.clock, middles.other)
    solved: dict[str, Clock] = {}
    done: list[int] = []
    left, reach = dict.fromkeys(large), dict.fromkeys(large, 0)
    while left:
        clock = max(left, key=lambda one: reach[one])
        if not reach[clock]:
            clock = next(one for one in order if one in left)
            solved[names[clock]] = fixed(0, "reference", names[clock])
        else:
            # Most clocks are those of browsers, which meet those of services alone.
            known = {other: solved[names[other]] for other in done if other in beside[clock]}
            pairs = {
                other: (of_pair.get((other, clock), _NO_ROWS), of_pair.get((clock, other), _NO_ROWS)) for other in known
            }
            exchanges = _exchanges(middles, mids, clock, known)
            solved[names[clock]] = _bracketed(bounds, pairs, exchanges, known)
        del left[clock]
        done.append(clock)
        for one in left.keys() & beside[clock]:
            reach[one] += len(of_pair.get((one, clock), ())) + len(of_pair.get((clock, one), ()))
    return solved


def fixed(offset: int, basis: str, reference: str) -> Clock:
    """A clock whose offset is not in question."""
    whole = np.array([EVER])
    value = np.array([offset], np.float64)
    return Clock(whole, value, value, value, np.array([0]), np.zeros(1), basis, reference)


def _bracketed(
    bounds: Bounds,
    pairs: Mapping[int, tuple[np.ndarray, np.ndarray]],
    exchanges: tuple[np.ndarray, np.ndarray, np.ndarray],
    solved: Mapping[int, Clock],
) -> Clock:
    """Solve one clock against those that are solved.

    Args:
        bounds: of all clocks.
        pairs: of each solved clock, the pairs of which this clock has the second event, and those of which the first.
        exchanges: as `_exchanges` gives them.
        solved: by their numbers.
    """
    at, lower, upper, rule, references = [], [], [], [], []
    seen = bounds.seen
    for other, (second, first) in pairs.items():
        clock = solved[other]
        there = np.concatenate([seen.begin[bounds.first[second]], seen.t[bounds.second[first]]])
        at += [seen.t[bounds.second[second]], seen.begin[bounds.first[first]]]
        low, high = np.full(len(there), -np.inf), np.full(len(there), np.inf)
        high[: len(second)], low[len(second) :] = bounds.apart(second), -bounds.apart(first)
        upper.append(high + clock.at(there, clock.upper))
        lower.append(low + clock.at(there, clock.lower))
        rule += [bounds.rule[second], bounds.rule[first]]
        references.append((len(there), clock.reference))
    when, low, high, which = (np.concatenate(part) for part in (at, lower, upper, rule))
    by = np.lexsort((which, high, low, when))
    when, low, high, which = when[by], low[by], high[by], which[by]
    held = np.isin(which, _held(low, high, which))
    when, low, high = when[held], low[held], high[held]
    cuts = _cuts(low, high)
    reference = max(references)[1]
    parts = list(itertools.pairwise([0, *cuts, len(when)]))
    since, offset, lo, hi, counts, unsure = [], [], [], [], [], []
    for begin, end in parts:
        lowest, highest = _bracket(low[begin:end], high[begin:end])
        since.append(EVER if begin == 0 else when[begin])
        until = when[end] if end < len(when) else _LATEST
        inside = (exchanges[0] >= since[-1]) & (exchanges[0] <= until)
        middle, spread = _nearest(*(part[inside] for part in exchanges))
        offset.append(_offset(lowest, highest, middle, _varies(low[begin:end], high[begin:end])))
        unsure.append(min((highest - lowest) / 2, spread))
        lo.append(lowest)
        hi.append(highest)
        counts.append(end - begin)
    moved = np.array(offset)
    basis = "bounds" if moved.any() else "unmoved"
    return Clock(
        np.array(since), moved, np.array(lo), np.array(hi), np.array(counts), np.array(unsure), basis, reference
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


def _exchanges(
    middles: Middles, rows: Mapping[tuple[int, int], np.ndarray], clock: int, solved: Mapping[int, Clock]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The exchanges of a clock with solved clocks: at, delay, middle (ahead of the reference)."""
    at, delay, middle = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    for other, one in solved.items():
        within, around = rows.get((clock, other), _NO_ROWS), rows.get((other, clock), _NO_ROWS)
        at += [middles.at[within], middles.at_other[around]]
        delay += [middles.delay[within], middles.delay[around]]
        middle.append(middles.middle[within] + one.at(middles.at_other[within], one.offset))
        middle.append(-middles.middle[around] + one.at(middles.at[around], one.offset))
    return np.concatenate(at), np.concatenate(delay), np.concatenate(middle)


def _nearest(at: np.ndarray, delay: np.ndarray, middle: np.ndarray) -> tuple[float | None, float]:
    """What the exchanges with the least delay say: the middle, and how far they are apart; None if there are few."""
    if len(at) < BRACKETED:
        return None, np.inf
    size = max(5, len(at) // 20)
    took = np.abs(delay)
    near = np.flatnonzero(took <= np.partition(took, size - 1)[size - 1])
    quick = near[np.lexsort((middle[near], at[near], took[near]))[:size]]
    low, half, high = np.quantile(middle[quick], [0.05, 0.5, 0.95])
    return float(half), float(high - low) + abs(float(np.median(took[quick]))) / 2


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


def pooled(bounds: Bounds, solved: dict[str, Clock]) -> pl.DataFrame:
    """Offsets of the clocks with few pairs, as ``clocks`` has them.

    Where pairs bracket one from both sides its offset is the middle. Where they do from one side alone, what lies
    between the bound and the middle for most of the others is taken for this one as well: basis ``pooled``.
    """
    seen = bounds.seen
    known = np.array([name in solved for name in seen.clocks], bool)
    ahead, behind = seen.clock[bounds.first], seen.clock[bounds.second]
    parts = []
    # Pairs of which a clock that is open has the second event, and those of which it has the first.
    for later in (True, False):
        mine, theirs = (behind, ahead) if later else (ahead, behind)
        some = np.flatnonzero(~known[mine] & known[theirs])
        for (_, other), at in _by_pair(np.zeros(len(some), np.int64), theirs[some]).items():
            rows, one = some[at], solved[seen.clocks[other]]
            between = bounds.apart(rows)
            there = seen.begin[bounds.first[rows]] if later else seen.t[bounds.second[rows]]
            moved = np.nan_to_num(one.at(there, one.upper if later else one.lower), posinf=FAR, neginf=-FAR)
            bound = (between if later else -between) + moved.astype(np.int64)
            parts.append(
                pl.DataFrame(
                    {
                        "rule": bounds.rule[rows],
                        "clock": mine[rows],
                        "upper": bound if later else None,
                        "lower": None if later else bound,
                        "reference": one.reference,
                    },
                    schema={
                        "rule": pl.Int64,
                        "clock": pl.Int64,
                        "upper": pl.Int64,
                        "lower": pl.Int64,
                        "reference": pl.String,
                    },
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
    found = found.with_columns(seen.clocks.gather(found["clock"]).alias("clock"))
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
    # A clock that is open on one side may be off as far as such clocks are shown to be.
    off = found.select(estimate.abs().filter(~still)).to_series().drop_nulls()
    astray = pl.lit(None, pl.Int64) if len(off) < POOLED else pl.lit(int(off.quantile(0.9, "nearest") or 0))
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
        unsure=pl.when(one_sided).then(astray).otherwise((pl.col("upper") - pl.col("lower")).abs() // 2),
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
