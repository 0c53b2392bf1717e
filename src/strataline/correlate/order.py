"""Step 7, order: inside a request, what must precede, then the clock, then the evidence address.

A time order that respects causality without losing the clocks: each event's *placing time* is the latest of its own
time and those of all events that must precede it. Events are ordered by placing time, then by how many events must
precede them one after the other, then by kind, layer and evidence address. It is a topological order of the rules, and
equal to the order of the clocks wherever the rules are silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from strataline.correlate.graph import Grid, first_per, sorting, spread
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
Edges = tuple[np.ndarray, np.ndarray]
"""Pairs of events by their number: of each, the first must precede the second."""

_UNPLACED, _LATEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_FEW_ROUNDS, _MOST_ROUNDS = 24, 256
"""Rounds after which what still moves lies in a loop: no path changes clocks so often."""


def order(work: Work) -> Work:
    """Fill ``ordered``: n, seq (from 0 within the request), order_basis (first, causal, clock, tie)."""
    columns = ("n", "step", "layer", "format", "clock", "t", "first", "span_id", "parent_id")
    rows = work.events.select(columns)[work.members["n"]].with_columns(
        i=pl.int_range(pl.len()), request=work.members["opener"], clock=pl.col("clock").to_physical().cast(pl.Int64)
    )
    fixed = _once(_across_clocks(rows, [*_by_rule(work, rows), _by_parent(rows)]))
    rules = _once([fixed, *_by_custom(work, rows)])
    # What was delivered again stands where the first stands.
    own = np.full(work.events.height, -1)
    own[rows["n"].to_numpy()] = np.arange(rows.height)
    rows = rows.with_columns(stands=pl.Series(own[rows["first"].to_numpy()]))
    t, request = _or(rows["t"], _UNPLACED), rows["request"].to_numpy()
    placed = t[rows["stands"].to_numpy()]
    row = np.argsort(placed)
    row = row[sorting(request[row])]
    opened = _open(t, placed, request, row, rules, work.events.height)
    some = np.flatnonzero(opened[request])
    looping = 0
    if len(some):
        which = rows[some].with_columns(i=pl.int_range(pl.len()))
        here, rules, looping = _settled(which, some, rules, fixed)
        placed[some] = here[0]
        row[np.flatnonzero(opened[request[row]])] = some[here[1]]
    at = np.empty(len(row), np.int64)
    at[row] = np.arange(len(row))
    begins = np.ones(len(row), bool)
    begins[1:] = request[row[1:]] != request[row[:-1]]
    starts = np.flatnonzero(begins)
    seq = np.arange(len(row)) - np.repeat(starts, np.diff(np.append(starts, len(row))))
    direct = np.zeros(len(row), bool)
    after = at[rules[1]]
    direct[after[at[rules[0]] + 1 == after]] = True
    placed, t = placed[row], t[row]
    timed = placed != _UNPLACED
    later = np.zeros(len(row), bool)
    later[1:] = placed[1:] > placed[:-1]
    causal = direct | (timed & (placed > t))
    basis = np.where(begins, 0, np.where(causal, 1, np.where(timed & later, 2, 3)))
    told = pl.Series("order_basis", ("first", "causal", "clock", "tie")).gather(pl.Series(basis[at]))
    work = replace(work, ordered=pl.DataFrame([rows["n"], pl.Series("seq", seq[at]), told]))
    work = work.note_rows("order_contradicted", _contradicted(work, rows, fixed))
    if looping:
        detail = "events whose rules of precedence contradict each other; placed by the clock"
        work = work.note("order_loop", detail, count=looping)
    return work


def _open(
    t: np.ndarray, placed: np.ndarray, request: np.ndarray, row: np.ndarray, rules: Edges, size: int
) -> np.ndarray:
    """The requests (by their opener) whose order the clocks alone do not tell.

    An event of one that states no time, two that stand at one time, or a rule that speaks against the clocks.
    """
    found = np.zeros(size, bool)
    found[request[t == _UNPLACED]] = True
    same = (request[row[1:]] == request[row[:-1]]) & (placed[row[1:]] == placed[row[:-1]])
    found[request[row[1:][same]]] = True
    a, b = rules
    found[request[a[t[a] > t[b]]]] = True
    return found


def _settled(
    rows: pl.DataFrame, number: np.ndarray, rules: Edges, fixed: Edges
) -> tuple[tuple[np.ndarray, np.ndarray], Edges, int]:
    """Place the events of some requests: placing time and order of each; the rules that hold; how many events loop.

    Args:
        rows: all events of these requests, in order of ``i`` (from 0).
        number: of each of them, its number in `rules`.
        rules: of all requests.
        fixed: those of them that hold wherever they do not contradict each other.
    """
    size = int(max(number.max(), *(edge.max(initial=0) for edge in rules))) + 1
    here, t = np.full(size, -1), _or(rows["t"], _UNPLACED)
    here[number] = np.arange(rows.height)
    placed, level, unsettled = _place(rows, _among(rules, here), _FEW_ROUNDS)
    looping = 0
    if unsettled.any():
        # Where what is usual elsewhere contradicts the rules, the rules and the clocks stand alone.
        request = rows["request"].to_numpy()
        at = np.flatnonzero(np.isin(request, request[unsettled]))
        here[:] = -1
        here[number[at]] = np.arange(len(at))
        again = rows[at].with_columns(i=pl.int_range(pl.len()))
        placed[at], level[at], unsettled = _place(again, _among(fixed, here), _MOST_ROUNDS)
        inside, alone = here[rules[0]] >= 0, here[fixed[0]] >= 0
        rules = (
            np.concatenate([rules[0][~inside], fixed[0][alone]]),
            np.concatenate([rules[1][~inside], fixed[1][alone]]),
        )
        # Rules that contradict each other, too, are left out: the clock decides.
        lost = at[unsettled]
        placed[lost], level[lost] = t[lost], 0
        looping = len(lost)
    own = np.full(size, -1)
    own[number] = np.arange(rows.height)
    first = own[rows["stands"].to_numpy()]
    placed, level = placed[first], level[first]
    rank = numbers(rows["step"], RANK, len(RANK)).to_numpy()
    layer = numbers(rows["layer"], {layer: rank for rank, layer in enumerate(LAYERS)}, len(LAYERS)).to_numpy()
    # Level, then kind, then layer; the number of an event follows its evidence address.
    further = ((level - level.min(initial=0)) * (len(RANK) + 1) + rank) * (len(LAYERS) + 1) + layer
    keys = rows.select(
        "request", at=pl.Series(np.where(placed == _UNPLACED, _LATEST, placed)), further=pl.Series(further), i="i"
    )
    return (placed, keys.sort("request", "at", "further", "i")["i"].to_numpy()), rules, looping


def _among(edges: Edges, here: np.ndarray) -> Edges:
    """The edges between the events that have a number in `here`, by these numbers."""
    inside = here[edges[0]] >= 0
    return here[edges[0][inside]], here[edges[1][inside]]


def _or(column: pl.Series, value: int) -> np.ndarray:
    """A column of numbers, with `value` for null."""
    return column.fill_null(value).to_numpy()


def _once(edges: Sequence[Edges]) -> Edges:
    """The edges, each once, by (a, b)."""
    a, b = (np.concatenate([np.zeros(0, np.int64), *(one[side] for one in edges)]) for side in (0, 1))
    bits = int(b.max(initial=0)).bit_length()
    code = (a << bits) | b
    code.sort()
    new = np.ones(len(code), bool)
    new[1:] = code[1:] != code[:-1]
    code = code[new]
    return code >> bits, code & ((1 << bits) - 1)


def _across_clocks(rows: pl.DataFrame, edges: Sequence[Edges]) -> list[Edges]:
    """The edges between clocks, or between equal times: one clock knows its own order better than any rule."""
    at, clock = _or(rows["t"], _UNPLACED), _or(rows["clock"], -1)
    kept = []
    for a, b in edges:
        told = (clock[a] == clock[b]) & (clock[a] >= 0) & (at[a] != at[b])
        told &= (at[a] != _UNPLACED) & (at[b] != _UNPLACED)
        kept.append((a[~told], b[~told]))
    return kept


def _by_rule(work: Work, rows: pl.DataFrame) -> list[Edges]:
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
    openings = np.bincount(request[step == code.get("prompt.received", -1)], minlength=work.events.height)
    once = np.flatnonzero(openings[request] <= 1)
    in_request = _Piles(request[once], step[once], i[once], len(words))
    single = in_request.sizes == 1
    found = [in_request.pairs(single, rule, in_request.first, only=single) for rule in rules]
    if "model.call" in code and "prompt.responded" in code:
        rule = code["prompt.responded"], code["model.call"]
        later = in_request.pairs(single, rule, in_request.first)
        found.append((later[1], later[0]))
    # Where a request has one event of each kind, its ids say nothing that was not said.
    several = openings > 1
    several[in_request.shared[~single]] = True
    of = np.full(work.events.height, -1)
    at = np.flatnonzero(several[request])
    of[n[at]] = at
    ids = work.ids.filter(pl.col("role").is_in(JOINING) & pl.Series(of[work.ids["n"].to_numpy()] >= 0))
    keys = carried(ids)
    # All that carry one of these ids are of one request.
    held = of[keys["n"].to_numpy()]
    key = keys["key"].to_numpy()
    shared = np.bincount(key)[key] > 1 if len(key) else np.zeros(0, bool)
    key, held = key[shared], held[shared]
    by_id = _Piles(key, step[held], i[held], len(words))
    told, first = by_id.told(rows)
    prompt = code.get("prompt.rendered", -1)
    looped = {code[name] for name in LOOPED if name in code}
    for rule in rules:
        # An agent renders a prompt again after each search: the first search may follow the first of these.
        only = by_id.sizes == 1 if rule[1] == prompt and rule[0] in looped else None
        found.append(by_id.pairs(told, rule, first, only=only))
    return found


class _Piles:
    """Events by what they share (a request, an id) and their step.

    Attributes:
        shared: of each pile, what its events share; ascending.
        step: of each pile.
        starts: of each pile, where it begins in `i`.
        sizes: of each pile.
        i: the events, pile after pile, each in order of i.
        first: of each pile, the first event.
    """

    def __init__(self, shared: np.ndarray, step: np.ndarray, i: np.ndarray, steps: int) -> None:
        code = shared * (steps + 1) + step
        order = sorting(code)
        self.i, shared, step = i[order], shared[order], step[order]
        new, other = np.ones(len(order), bool), np.ones(len(order), bool)
        other[1:] = shared[1:] != shared[:-1]
        new[1:] = other[1:] | (step[1:] != step[:-1])
        self.starts = np.flatnonzero(new)
        self.sizes = np.diff(np.append(self.starts, len(order)))
        self.first, self.shared, self.step = self.i[self.starts], shared[self.starts], step[self.starts]
        self._grid = Grid(np.cumsum(other[self.starts]) - 1, self.step, steps + 1)

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
        mine = self._grid.of(step)
        mine = mine[which[mine]]
        left, there = self._grid.beside(mine, then)
        if only is not None:
            left, there = left[only[there]], there[only[there]]
        run, at = spread(self.starts[there], self.sizes[there])
        return first[mine[left[run]]], self.i[at]


def _by_parent(rows: pl.DataFrame) -> Edges:
    """Edges from a span to the spans below it."""
    above = rows.filter(pl.col("span_id").is_not_null()).select("request", "span_id", a="i")
    above = above.unique(["request", "span_id"], keep="first", maintain_order=True)
    below = rows.filter(pl.col("parent_id").is_not_null()).select("request", "parent_id", b="i")
    found = above.join(below, left_on=["request", "span_id"], right_on=["request", "parent_id"])
    found = found.filter(pl.col("a") != pl.col("b"))
    return found["a"].to_numpy(), found["b"].to_numpy()


def _by_custom(work: Work, rows: pl.DataFrame) -> list[Edges]:
    """Edges between events that lie closer than their clocks are known, in the order that their steps have elsewhere.

    Elsewhere is wherever in these logs the clocks can tell: a step comes before another one if it does so in at least
    99 of 100 such requests with one event of each, not counting as many as are likely to hold an event of another
    request. Of fewer than 30 such requests nothing is learned.
    """
    unsure = _unsure(work)
    if not (unsure >= 0).any():
        return []
    # One step may be reported by two programs, such as a filter and the gateway that asks it.
    step, format_, clock = (rows[name].to_physical().cast(pl.Int64) for name in ("step", "format", "clock"))
    known = (rows["first"] == rows["n"]) & (rows["t"].is_not_null() & step.is_not_null() & format_.is_not_null())
    at = np.flatnonzero(known.to_numpy())
    formats = int(format_.max() or 0) + 1  # type: ignore[arg-type]
    sort = _or(step, 0)[at] * formats + _or(format_, 0)[at]
    request, size = rows["request"].to_numpy()[at], int(sort.max(initial=0)) + 1
    by = sorting(request * size + sort)
    at, sort, request = at[by], sort[by], request[by]
    other = np.ones(len(at) + 1, bool)
    other[1:-1] = (request[1:] != request[:-1]) | (sort[1:] != sort[:-1])
    # The only event of its sort in its request, by a clock of which that is known.
    alone = np.flatnonzero(other[1:] & other[:-1] & (unsure[clock.fill_null(-1).to_numpy()[at]] >= 0))
    at, sort, request = at[alone], sort[alone], request[alone]
    fresh = pl.DataFrame({"request": request, "sort": sort, "at": at})
    some = fresh.join(sample(fresh.select("request")), on="request", how="semi")
    clocks, t = _or(clock, -1), _or(rows["t"], 0)
    doubt = 1 - work.members["confidence"].fill_null(1.0).gather(some["at"])
    some = some.select(
        "request", "sort", clock=clocks[some["at"]], t=t[some["at"]], unsure=unsure[clocks[some["at"]]], doubt=doubt
    )
    both = _apart(some.join(some, on="request", suffix="_b").filter(pl.col("sort") < pl.col("sort_b")))
    told = pl.col("apart").abs() > pl.col("within")
    usual = both.group_by("sort", "sort_b").agg(
        later=(pl.col("apart").filter(told) > 0).mean(),
        # Two that are not of one request rarely lie close.
        doubt=(pl.col("doubt") + pl.col("doubt_b")).sum() / told.sum(),
        size=told.sum(),
        close=(~told).sum(),
    )
    words = rows.schema["step"].categories.to_list()  # type: ignore[attr-defined]
    custom = _custom(usual.filter(pl.col("close") > 0), [RANK.get(word) for word in words], formats)
    by = sorting(sort)
    ends = np.searchsorted(sort[by], np.arange(size + 1))
    number = np.cumsum(np.concatenate([[0], request[1:] != request[:-1]])) if len(request) else request
    t, clock, within = t[at], clocks[at], unsure[clocks[at]]
    found, there = [], np.empty(int(number.max(initial=-1)) + 1, np.int64)
    for first, then in custom:
        mine, they = (by[ends[one] : ends[one + 1]] for one in (first, then))
        there[:] = -1
        there[number[they]] = they
        they = there[number[mine]]
        mine, they = mine[they >= 0], they[they >= 0]
        close = (clock[mine] != clock[they]) & (np.abs(t[they] - t[mine]) <= within[mine] + within[they])
        found.append((at[mine[close]], at[they[close]]))
    return found


def _custom(usual: pl.DataFrame, ranks: list[int | None], formats: int) -> list[tuple[int, int]]:
    """The sorts of events (earlier, later) that stand in one order nearly always.

    Args:
        usual: sort, sort_b, ``later`` (the share in which the second is later), ``size``, ``doubt`` (the share in which
            one of the two may well be of another request).
        ranks: of each step.
        formats: a sort is its step times this, and its format.
    """
    found = []
    columns = ("sort", "sort_b", "later", "doubt", "size")
    for sort, sort_b, share, doubt, size in usual.select(columns).sort("sort", "sort_b").iter_rows():
        if size >= 30:
            later, least = share, max(0.99 - doubt, 0.85)
        else:
            # Where these logs show too little of it, the order that the steps have in any product.
            rank, rank_b = ranks[sort // formats], ranks[sort_b // formats]
            if rank is None or rank_b is None or rank == rank_b:
                continue
            later, least = float(rank < rank_b), 1.0
        if later >= least:
            found.append((sort, sort_b))
        elif 1 - later >= least:
            found.append((sort_b, sort))
    return found


def _unsure(work: Work) -> np.ndarray:
    """How far off each clock may be (ns), by its number; -1 where that is not known, and for no clock (-1)."""
    of = work.events.schema["clock"]
    known = work.clocks.group_by(pl.col("clock").cast(of, strict=False)).agg(pl.col("unsure").max()).drop_nulls()
    unsure = np.full(len(of.categories) + 1, -1)  # type: ignore[attr-defined]
    unsure[known["clock"].to_physical().to_numpy()] = known["unsure"].to_numpy()
    return unsure


def _contradicted(work: Work, rows: pl.DataFrame, rules: Edges) -> pl.DataFrame:
    """Notes on the rules that the clocks contradict by more than they may be off: subject, count, detail."""
    t, unsure = _or(rows["t"], _UNPLACED), _unsure(work)[_or(rows["clock"], -1)]
    a, b = rules
    known = (t[a] != _UNPLACED) & (t[b] != _UNPLACED) & (unsure[a] >= 0) & (unsure[b] >= 0)
    a, b = a[known], b[known]
    against = t[a] - t[b] > unsure[a] + unsure[b]
    step = rows["step"]
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


def _place(rows: pl.DataFrame, rules: Edges, rounds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Placing times and levels: the least that respect all rules and every clock; and which did not come to rest.

    Each round carries what the rules say once, and what the clocks say all the way down each clock's strand: the
    number of rounds is that of the changes from one clock to another on a path, not that of the events.
    """
    a, b = rules
    moments = _moments(rows)
    at, moment = moments["i"].to_numpy(), moments["moment"].to_numpy()
    strand = moments.unique("moment", keep="first", maintain_order=True)["strand"].to_numpy()
    longest = int(np.bincount(strand).max()) if len(strand) else 0
    own = _or(rows["t"], _UNPLACED)
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
