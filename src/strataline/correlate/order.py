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

from strataline.correlate.graph import first_per
from strataline.correlate.hubs import JOINING
from strataline.correlate.work import Work, carried, numbers, sample
from strataline.event import LAYERS

CHECK_IN, CHECK_OUT = "policy.decision/input", "policy.decision/output"
RETRIEVAL = ("retrieval.request", "retrieval.embed", "retrieval.query", "retrieval.rerank")
LOOPED = (CHECK_IN, *RETRIEVAL)
SHOWN = ("ui.rendered", "ui.error_shown")

PRECEDES: tuple[tuple[str, str], ...] = (
    ("ui.message_sent", "prompt.received"),
    ("prompt.received", CHECK_IN),
    *(("prompt.received", kind) for kind in RETRIEVAL),
    ("prompt.received", "prompt.rendered"),
    ("prompt.received", "model.call"),
    ("prompt.received", "prompt.responded"),
    (CHECK_IN, "prompt.rendered"),
    *((kind, "prompt.rendered") for kind in RETRIEVAL),
    ("prompt.rendered", "prompt.sent"),
    ("prompt.rendered", "model.call"),
    ("prompt.sent", "model.call"),
    ("prompt.sent", "prompt.answered"),
    ("model.call", CHECK_OUT),
    ("model.call", "prompt.answered"),
    ("prompt.answered", "prompt.responded"),
    *(("prompt.responded", kind) for kind in SHOWN),
    ("prompt.responded", "prompt.access"),
    ("model.attempt", "model.access"),
    ("ui.rendered", "ui.feedback"),
    ("ui.rendered", "ui.citation"),
    ("ui.rendered", "ui.copied"),
)
"""What one kind must precede. A verdict on the output is not among what precedes the answer: it may come late, and
that it did is what an incident team needs to see."""

RANK = {
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
_UNPLACED, _LATEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_FEW_ROUNDS, _MOST_ROUNDS = 24, 256
"""Rounds after which what still moves lies in a loop: no path changes clocks so often."""


def order(work: Work) -> Work:
    """Fill ``ordered``: n, seq (from 0 within the request), order_basis (first, causal, clock, tie)."""
    columns = ("n", "step", "layer", "format", "clock", "t", "first", "span_id", "parent_id")
    rows = work.events.select(columns).join(work.members.select("n", request="opener"), on="n").sort("n")
    rows = rows.with_columns(i=pl.int_range(pl.len()), clock=pl.col("clock").to_physical().cast(pl.Int64))
    fixed = _once(_across_clocks(rows, pl.concat([_by_rule(work, rows), _by_parent(rows)])))
    rules = _once(pl.concat([fixed, _by_custom(work, rows)]))
    placed, level, unsettled = _place(rows, rules, _FEW_ROUNDS)
    looping = 0
    if unsettled.any():
        # Where what is usual elsewhere contradicts the rules, the rules and the clocks stand alone.
        which = rows.filter(pl.col("request").is_in(rows.filter(pl.Series(unsettled))["request"].unique().implode()))
        number = which.select("i", k=pl.int_range(pl.len()))
        again = fixed.join(number, left_on="a", right_on="i").join(number, left_on="b", right_on="i", suffix="_b")
        alone = again.select(a="k", b="k_b")
        at = which["i"].to_numpy()
        placed[at], level[at], unsettled = _place(which.with_columns(i=pl.int_range(pl.len())), alone, _MOST_ROUNDS)
        rules = pl.concat([rules.join(number, left_on="a", right_on="i", how="anti"), again.select("a", "b")])
        # Rules that contradict each other, too, are left out: the clock decides.
        lost = at[unsettled]
        placed[lost], level[lost] = rows["t"].fill_null(_UNPLACED).to_numpy()[lost], 0
        looping = len(lost)
    # What was delivered again stands where the first stands.
    first = rows.select("n", at="i").join(rows.select("i", n="first"), on="n").sort("i")["at"].to_numpy()
    placed, level = placed[first], level[first]
    unplaced = placed == _UNPLACED
    rank = numbers(rows["step"], RANK, len(RANK)).to_numpy()
    layer = numbers(rows["layer"], {layer: rank for rank, layer in enumerate(LAYERS)}, len(LAYERS)).to_numpy()
    # Level, then kind, then layer; the number of an event follows its evidence address.
    further = ((level - level.min(initial=0)) * (len(RANK) + 1) + rank) * (len(LAYERS) + 1) + layer
    rows = rows.select("request", "i", "n", "t", "step", "clock").with_columns(
        placed=pl.Series(placed),
        unplaced=pl.Series(unplaced),
        at=pl.Series(np.where(unplaced, _LATEST, placed)),
        further=pl.Series(further),
    )
    keys = rows.select("request", "at", "further", "i").sort("request", "at", "further", "i")
    rows = rows.drop("at", "further")[keys["i"]]
    same = pl.col("request") == pl.col("request").shift(1)
    rows = rows.with_columns(
        same.fill_null(value=False).alias("same"),
        before=pl.col("i").shift(1),
        placed_before=pl.col("placed").shift(1),
    )
    place = pl.int_range(pl.len())
    rows = rows.with_columns(
        seq=place - pl.when(~pl.col("same")).then(place).forward_fill(),
        direct=(pl.col("before") * rows.height + pl.col("i")).is_in(
            rules.select(pl.col("a") * rows.height + pl.col("b")).to_series().implode()
        )
        & pl.col("same"),
    )
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
    work = work.note_rows("order_contradicted", _contradicted(work, rows, fixed))
    if looping:
        detail = "events whose rules of precedence contradict each other; placed by the clock"
        work = work.note("order_loop", detail, count=looping)
    return work


def _once(edges: pl.DataFrame) -> pl.DataFrame:
    """The edges, each once, by (a, b)."""
    most = int(edges["b"].to_numpy().max(initial=0)) + 1
    code = (edges["a"] * most + edges["b"]).unique().sort()
    return pl.DataFrame({"a": code // most, "b": code % most})


def _across_clocks(rows: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """The edges between clocks, or between equal times: one clock knows its own order better than any rule."""
    at, clock = rows["t"].fill_null(_UNPLACED).to_numpy(), rows["clock"].fill_null(-1).to_numpy()
    a, b = edges["a"].to_numpy(), edges["b"].to_numpy()
    told = (clock[a] == clock[b]) & (clock[a] >= 0) & (at[a] != at[b])
    told &= (at[a] != _UNPLACED) & (at[b] != _UNPLACED)
    return edges.filter(pl.Series(~told))


def _by_rule(work: Work, rows: pl.DataFrame) -> pl.DataFrame:
    """Edges that `PRECEDES` gives.

    In a request with one attempt, between the only events of two kinds, and from every model call to the only answer
    to the client. Among the events that carry one id, from the first of a kind, if one clock tells which that is.
    """
    words = rows.schema["step"].categories.to_list()  # type: ignore[attr-defined]
    code = {step: place for place, step in enumerate(words)}
    rules = [(code[step], code[then]) for step, then in PRECEDES if step in code and then in code]
    named = sorted({code[step] for rule in PRECEDES for step in rule if step in code})
    ruled = np.zeros(len(words) + 1, bool)
    ruled[named] = True
    i, n, request = (rows[name].to_numpy() for name in ("i", "n", "request"))
    step = rows["step"].to_physical().cast(pl.Int64).fill_null(len(words)).to_numpy()
    known = np.flatnonzero(ruled[step] & (rows["first"].to_numpy() == n))
    i, n, request, step = i[known], n[known], request[known], step[known]
    # With several attempts, the only event of a kind may belong to another attempt than the only one of the next.
    openings = np.bincount(request[step == code.get("prompt.received", -1)], minlength=int(request.max(initial=-1)) + 1)
    once = np.flatnonzero(openings[request] <= 1)
    in_request = _Piles(request[once], step[once], i[once], len(words))
    single = in_request.sizes == 1
    found = [in_request.pairs(single, rule, in_request.first, only=single) for rule in rules]
    if "model.call" in code and "prompt.responded" in code:
        rule = code["prompt.responded"], code["model.call"]
        later = in_request.pairs(single, rule, in_request.first)
        found.append((later[1], later[0]))
    keys = carried(work.ids.filter(pl.col("role").is_in(JOINING)))
    # All that carry one of these ids are of one request.
    of = np.full(work.events.height, -1)
    of[n] = np.arange(len(n))
    held = of[keys["n"].to_numpy()]
    key = keys["key"].to_numpy()[held >= 0]
    held = held[held >= 0]
    several = np.bincount(key)[key] > 1 if len(key) else np.zeros(0, bool)
    key, held = key[several], held[several]
    by_id = _Piles(key, step[held], i[held], len(words))
    told, first = by_id.told(rows)
    prompt = code.get("prompt.rendered", -1)
    looped = {code[name] for name in LOOPED if name in code}
    for rule in rules:
        # An agent renders a prompt again after each search: the first search may follow the first of these.
        only = by_id.sizes == 1 if rule[1] == prompt and rule[0] in looped else None
        found.append(by_id.pairs(told, rule, first, only=only))
    a, b = (np.concatenate([np.zeros(0, np.int64), *(one[side] for one in found)]) for side in (0, 1))
    return pl.DataFrame({"a": a, "b": b})


class _Piles:
    """Events by what they share (a request, an id) and their step.

    Attributes:
        codes: of the piles, ascending: what is shared times the number of steps, and the step.
        starts: of each pile, where it begins in `i`.
        sizes: of each pile.
        i: the events, pile after pile, each in order of i.
        first: of each pile, the first event.
    """

    def __init__(self, shared: np.ndarray, step: np.ndarray, i: np.ndarray, steps: int) -> None:
        code = shared * (steps + 1) + step
        order = np.argsort(code, kind="stable")
        ordered = code[order]
        self.steps = steps + 1
        self.i = i[order]
        new = np.ones(len(ordered), bool)
        new[1:] = ordered[1:] != ordered[:-1]
        self.starts = np.flatnonzero(new)
        self.codes = ordered[self.starts]
        self.sizes = np.diff(np.append(self.starts, len(ordered)))
        self.first = self.i[self.starts]
        self.step = self.codes % self.steps

    def told(self, rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Which piles are of one clock that tells which event is first, and that event."""
        if not len(self.i):
            return np.zeros(0, bool), self.first
        least, most = (rows["clock"].fill_null(other).to_numpy()[self.i] for other in (_LATEST, -1))
        one = np.minimum.reduceat(least, self.starts) == np.maximum.reduceat(most, self.starts)
        at = rows["t"].fill_null(_LATEST).to_numpy()[self.i]
        first = first_per(np.repeat(np.arange(len(self.starts)), self.sizes), at)
        return one & (at[first] != _LATEST), self.i[first]

    def pairs(
        self, which: np.ndarray, rule: tuple[int, int], first: np.ndarray, *, only: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `first` of the piles (of those in `which`) of a rule's step, each with all events of the next one's pile.

        Args:
            which: piles.
            rule: a step and one that it must precede.
            first: an event of each pile.
            only: the piles that may come next; None for all.
        """
        step, then = rule
        mine = np.flatnonzero(which & (self.step == step))
        wanted = self.codes[mine] + (then - step)
        there = np.searchsorted(self.codes, wanted)
        inside = there < len(self.codes)
        mine, wanted, there = mine[inside], wanted[inside], there[inside]
        met = self.codes[there] == wanted
        if only is not None:
            met &= only[there]
        mine, there = mine[met], there[met]
        sizes = self.sizes[there]
        back = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return np.repeat(first[mine], sizes), self.i[np.repeat(self.starts[there], sizes) + back]


def _by_parent(rows: pl.DataFrame) -> pl.DataFrame:
    """Edges from a span to the spans below it."""
    above = rows.filter(pl.col("span_id").is_not_null()).select("request", "span_id", a="i")
    above = above.unique(["request", "span_id"], keep="first", maintain_order=True)
    below = rows.filter(pl.col("parent_id").is_not_null()).select("request", "parent_id", b="i")
    found = above.join(below, left_on=["request", "span_id"], right_on=["request", "parent_id"])
    return found.filter(pl.col("a") != pl.col("b")).select("a", "b")


def _by_custom(work: Work, rows: pl.DataFrame) -> pl.DataFrame:
    """Edges between events that lie closer than their clocks are known, in the order that their steps have elsewhere.

    Elsewhere is wherever in these logs the clocks can tell: a step comes before another one if it does so in at least
    99 of 100 such requests with one event of each. Of fewer than 30 such requests nothing is learned.
    """
    unsure = _unsure(work, rows)
    if unsure.is_empty():
        return pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int64})
    # One step may be reported by two programs, such as a filter and the gateway that asks it.
    fresh = rows.filter((pl.col("first") == pl.col("n")) & pl.col("t").is_not_null())
    fresh = fresh.filter(pl.len().over("request", "step", "format") == 1).join(unsure, on="clock")
    sorts = (
        fresh.select("step", "format").unique().sort("step", "format").with_row_index("sort").cast({"sort": pl.Int64})
    )
    fresh = fresh.join(sorts, on=["step", "format"]).select("i", "request", "sort", "clock", "t", "unsure")
    some = fresh.join(sample(fresh.select("request")), on="request", how="semi")
    both = _apart(some.join(some, on="request", suffix="_b").filter(pl.col("sort") < pl.col("sort_b")))
    told = pl.col("apart").abs() > pl.col("within")
    usual = both.group_by("sort", "sort_b").agg(
        later=(pl.col("apart").filter(told) > 0).mean(), size=told.sum(), close=(~told).sum()
    )
    ranks = sorts.with_columns(numbers(sorts["step"], RANK, None).alias("rank"))
    ranks = ranks.select("sort", "rank")
    usual = (
        usual.filter(pl.col("close") > 0)
        .join(ranks, on="sort")
        .join(ranks.rename({"sort": "sort_b", "rank": "rank_b"}), on="sort_b")
    )
    # Where these logs show too little of it, the order that the steps have in any product.
    by_rank = pl.when(pl.col("rank") < pl.col("rank_b")).then(1.0).when(pl.col("rank") > pl.col("rank_b")).then(0.0)
    usual = usual.with_columns(later=pl.when(pl.col("size") >= 30).then("later").otherwise(by_rank))
    custom = usual.filter(~pl.col("later").is_between(0.01, 0.99, closed="none"))
    if custom.is_empty():
        return pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int64})
    of = fresh.with_columns(at=pl.col("request") * sorts.height + pl.col("sort"))
    other = of.join(custom.select(sort="sort_b").unique(), on="sort", how="semi")
    other = other.select("at", *(pl.col(name).alias(f"{name}_b") for name in ("i", "clock", "t", "unsure")))
    mine = of.join(custom.select("sort", "sort_b", "later"), on="sort")
    mine = mine.with_columns(at=pl.col("at") - pl.col("sort") + pl.col("sort_b")).drop("request", "sort", "sort_b")
    close = _apart(mine.join(other, on="at"))
    close = close.filter(pl.col("apart").abs() <= pl.col("within"))
    forth = pl.col("later") > 0.5
    return close.select(a=pl.when(forth).then("i").otherwise("i_b"), b=pl.when(forth).then("i_b").otherwise("i"))


def _unsure(work: Work, rows: pl.DataFrame) -> pl.DataFrame:
    """How far off each clock may be (ns): clock (its number), unsure; without those of which that is not known."""
    of = work.events.schema["clock"]
    known = work.clocks.group_by(pl.col("clock").cast(of, strict=False)).agg(pl.col("unsure").max()).drop_nulls()
    known = known.with_columns(pl.col("clock").to_physical().cast(pl.Int64))
    return known.join(rows.select(pl.col("clock").unique()), on="clock", how="semi")


def _contradicted(work: Work, rows: pl.DataFrame, rules: pl.DataFrame) -> pl.DataFrame:
    """Notes on the rules that the clocks contradict by more than they may be off: subject, count, detail."""
    at = rows.join(_unsure(work, rows), on="clock", how="left").sort("i")
    t, unsure = at["t"].fill_null(_UNPLACED).to_numpy(), at["unsure"].fill_null(-1).to_numpy()
    a, b = rules["a"].to_numpy(), rules["b"].to_numpy()
    known = (t[a] != _UNPLACED) & (t[b] != _UNPLACED) & (unsure[a] >= 0) & (unsure[b] >= 0)
    a, b = a[known], b[known]
    against = t[a] - t[b] > unsure[a] + unsure[b]
    step = at["step"]
    pairs = pl.DataFrame({"step": step.gather(a[against]), "step_b": step.gather(b[against])})
    counted = pairs.group_by("step", "step_b").len().sort("step", "step_b")
    return counted.select(
        subject="step_b",
        count=pl.col("len").cast(pl.Int64),
        detail=pl.format("stands after {}, though the clocks, as far as they are known, show it before", "step"),
    )


def _apart(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of two clocks, with how far ``apart`` they are, and ``within`` what the clocks leave open."""
    return pairs.filter(pl.col("clock") != pl.col("clock_b")).with_columns(
        apart=pl.col("t_b") - pl.col("t"), within=pl.col("unsure") + pl.col("unsure_b")
    )


def _moments(rows: pl.DataFrame) -> pl.DataFrame:
    """What one clock says of the order: for each event with a time, its ``moment`` by that clock in its request.

    Moments are numbered in order of (request, clock, t); ``strand`` numbers the (request, clock) they belong to.
    """
    fresh = rows.filter((pl.col("first") == pl.col("n")) & pl.col("t").is_not_null())
    fresh = fresh.select("i", "request", "clock", "t").sort("request", "clock", "t", "i")
    other = (pl.col("request") != pl.col("request").shift()) | (pl.col("clock") != pl.col("clock").shift())
    other = other.fill_null(value=False)
    moved = (other | (pl.col("t") != pl.col("t").shift())).fill_null(value=False)
    return fresh.select("i", strand=other.cast(pl.Int64).cum_sum(), moment=moved.cast(pl.Int64).cum_sum())


def _place(rows: pl.DataFrame, rules: pl.DataFrame, rounds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Placing times and levels: the least that respect all rules and every clock; and which did not come to rest.

    Each round carries what the rules say once, and what the clocks say all the way down each clock's strand: the
    number of rounds is that of the changes from one clock to another on a path, not that of the events.
    """
    a, b = rules["a"].to_numpy().astype(np.int64), rules["b"].to_numpy().astype(np.int64)
    moments = _moments(rows)
    at, moment = moments["i"].to_numpy(), moments["moment"].to_numpy()
    strand = moments.unique("moment", keep="first", maintain_order=True)["strand"].to_numpy()
    longest = int(np.bincount(strand).max()) if len(strand) else 0
    own = rows["t"].fill_null(_UNPLACED).to_numpy()
    placed, level, moving = own.copy(), np.zeros(len(own), np.int64), np.zeros(len(own), bool)
    for _ in range(rounds):
        later, deeper = placed.copy(), level.copy()
        np.maximum.at(later, b, placed[a])
        np.maximum.at(deeper, b, level[a] + 1)
        if len(at):
            later[at] = np.maximum(later[at], _before(later[at], moment, strand, longest)[moment])
            # One level for each moment passed: what is left after taking them off runs on as a maximum.
            step = np.arange(len(strand))
            left = _before(deeper[at] - moment, moment, strand, longest) + step
            deeper[at] = np.maximum(deeper[at], left[moment])
        moving = (later != placed) | (deeper != level)
        if not moving.any():
            break
        placed, level = later, deeper
    return *_untimed(placed, level, a, b), moving


def _untimed(placed: np.ndarray, level: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place events without a time, that nothing precedes, just before the first that they must precede."""
    placed, level = placed.copy(), level.copy()
    for _ in range(_MOST_ROUNDS):
        free = (placed[a] == _UNPLACED) & (placed[b] != _UNPLACED)
        if not free.any():
            break
        soonest = np.full(len(placed), _LATEST)
        np.minimum.at(soonest, a[free], placed[b[free]])
        found = soonest != _LATEST
        least = np.full(len(placed), _LATEST)
        at_once = free & (placed[b] == soonest[a])
        np.minimum.at(least, a[at_once], level[b[at_once]] - 1)
        placed[found], level[found] = soonest[found], least[found]
    return placed, level


def _before(values: np.ndarray, moment: np.ndarray, strand: np.ndarray, longest: int) -> np.ndarray:
    """Per moment: the greatest of `values` at earlier moments of its strand; the least number where there is none."""
    running = np.full(len(strand), _UNPLACED)
    np.maximum.at(running, moment, values)
    # The greatest so far, in steps of twice the length.
    reach = 1
    while reach < longest:
        same = strand[reach:] == strand[:-reach]
        running[reach:] = np.where(same, np.maximum(running[reach:], running[:-reach]), running[reach:])
        reach *= 2
    before = np.full(len(strand), _UNPLACED // 2)
    same = strand[1:] == strand[:-1]
    before[1:][same] = running[:-1][same]
    return before
