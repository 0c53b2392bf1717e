"""Step 6, window: events without a usable id, by scope and time.

How long before or after which step an event of a sort comes is learned from the events that ids tie in these very
logs. A candidate is the right one with a probability that follows from the density of its delay, from how many other
candidates there are, from who else wants the place, and from the share of such events that belong to no turn at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from strataline.correlate.bounds import NONE, SURE
from strataline.correlate.delays import FINEST_NS, LEARNED, Density, delays, density, moments
from strataline.correlate.graph import sorting, spread
from strataline.correlate.matching import marginals, passed
from strataline.correlate.merge import loose, merge, open_events, placed, surely_tied
from strataline.correlate.order import RANK
from strataline.correlate.work import Work

RANKS = 4
"""Steps that a sort is measured from: the best that the turn has."""

RARE = 0.02
"""Share of the turns that must have such a step, and none of the better ones."""

LOCAL_NS = 300 * 10**9
"""Stretch of time, to both sides, in which the density of events is counted."""

MOST_CANDIDATES = 64
"""Candidates of an event that are weighed: those at the likeliest delays; a note says where there were more."""

HOPELESS = 9.0
"""Candidates whose density is smaller than the best one's by more than this power of e are left out."""

LISTED = 3
"""Candidates of an event that are listed where none is taken."""

FAINT = 0.01
"""Less likely candidates are not listed."""

MOST_SURE = 0.999999
"""Only an id is surer."""

ROUNDS = 40
"""Rounds, at most, in which the shares that belong, and that are taken, are fitted."""

SETTLED = 0.002
"""They are fitted where a round changes them by less."""

POOLED = 20
"""So many events weigh as much as all others of the sort in the share of those, of one scope, that belong."""

TELLING = 0.95
"""An event that is alone at a step with this probability tells whether such a step may have several."""

SEVERAL = 0.1
"""Share of such steps that must have several."""

UNSEEN = 600
"""Events that show whether a sort piles up around a step."""

NEAREST = 16
"""Steps that a sort which no id ties is measured from at first: those with an event nearest to most of its events."""

PILED = 0.3
"""Share of the events, and of the steps, that must take part."""

UNCONFIRMED = 0.98
"""What no id ties anywhere is never surer than this."""

PEELS = 3
"""Steps that a sort which no id ties is measured from, one after the other."""

UNFIT = 0.1
"""Events that belong to one of their candidates with less probability than this are measured from elsewhere."""

SHARP_NS = 100_000_000
"""Width, between quartiles, of a pile in which few of the steps need take part."""

WIDEST_NS = 60 * 10**9
"""How far from a step a pile is looked for."""

SCOPES = ("session_scope", "user_scope")
SCOPE_WORDS = ("session", "user", "all")
"""What the events of a scope share; the last is no scope."""

IF_NULL = {"end": NONE, "doubt": 0}
"""What stands for null in `Columns`; -1 in others."""

Columns = dict[str, np.ndarray]
"""Columns, by their names: a small array is looked at a hundred times as quickly as a small frame."""

_NO_ROWS = np.zeros(0, np.int64)

_SCALE = 10_000.0 * 10 ** (np.arange(0, 57) / 8)
"""Delays (ns) that a pile is looked for at: 10 us and on, eight for each power of ten."""


@dataclass(frozen=True)
class Model:
    """How a sort lies to one step of its turn.

    Args:
        mark: which end of the event.
        anchor: mark of the step it is measured from.
        delay: density of its time less the step's.
        exclusive: whether each such step has at most one such event; null where nothing tells.
    """

    mark: int
    anchor: int
    delay: Density
    exclusive: bool | None


@dataclass(frozen=True)
class Places:
    """Where events may belong.

    Args:
        rows: both ends of the events of turns, in order of (when, n): n, mark, when, request (place in `turns`), clock,
            doubt.
        turns: request, ascending, and what it names of `SCOPES`.
    """

    rows: Columns
    turns: Columns

    @classmethod
    def of(cls, ends: pl.DataFrame, turns: pl.DataFrame) -> Places:
        """The places that `_ends` and `_turns` give."""
        rows = _columns(ends.select("n", "mark", "when", "request", "clock", "doubt"))
        found = cls(rows, _columns(turns))
        rows["request"] = found.number(rows["request"])
        return found

    @cached_property
    def by_mark(self) -> dict[int, np.ndarray]:
        """The rows of each mark, ascending."""
        return _by(self.rows["mark"])

    def number(self, requests: np.ndarray) -> np.ndarray:
        """The places of `requests` in the turns; -1 where they are not here."""
        known = self.turns["request"]
        at = np.searchsorted(known, requests)
        return np.where(np.append(known, -1)[at] == requests, at, -1)

    def without(self, gone: np.ndarray) -> Places:
        """Those of the turns that are not `gone`."""
        rows = _where(self.rows, ~gone[self.rows["request"]])
        return Places(rows | {"request": np.cumsum(~gone)[rows["request"]] - 1}, _where(self.turns, ~gone))


def _columns(rows: pl.DataFrame) -> Columns:
    """The columns of `rows`; words as numbers."""
    columns = {}
    for column in rows.get_columns():
        numbers = column.to_physical().cast(pl.Int64)
        columns[column.name] = numbers.fill_null(IF_NULL.get(column.name, -1)).to_numpy()
    return columns


def _where(columns: Columns, rows: np.ndarray) -> Columns:
    """Some of the rows."""
    return {name: column[rows] for name, column in columns.items()}


def _by(numbers: np.ndarray) -> dict[int, np.ndarray]:
    """The rows that hold each of `numbers` (from 0), ascending."""
    order = sorting(numbers)
    found, starts = np.unique(numbers[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True)) if len(found) else {}


def link_window(work: Work) -> Work:
    """Tie events without a usable id to turns, where one candidate is sure enough."""
    return _link(work, work.options.min_confidence)


def link_window_surely(work: Work) -> Work:
    """Tie those that the clocks of the second round may rest on."""
    return _link(work, max(SURE, work.options.min_confidence))


def _link(work: Work, least: float) -> Work:
    # What a browser sends beside the steps that have a rank is of a session, not of a turn.
    apart = (pl.col("layer") == "ui") & ~pl.col("kind").is_in(list(RANK))
    if not open_events(work, ~apart):
        return work
    rows = placed(work, "end", "clock", "doubt")
    unit, steps = rows.select("n", "unit"), rows.select("sort", "sort_step").unique()
    written = _units_written(rows.select("fresh", "sort").with_columns(work.events["unit"]))
    needed = pl.exclude("component", "turn", "fresh")
    tied, free = surely_tied(rows).select(needed).collect(), loose(rows).filter(~apart).select(needed).collect()
    # Few copies of so many rows at a time.
    del rows
    if tied.is_empty() or free.is_empty():
        return work
    ends = _ends(tied)
    by_ids = ends.lazy().filter(pl.col("confidence") == 1).select("n", "request", "mark", "when").collect()
    places = Places.of(ends, _turns(tied))
    del ends
    step_of = dict(steps.iter_rows())
    wanted = set(free["sort_step"])
    models = _models(by_ids, {sort for sort, step in step_of.items() if step in wanted}, written)
    del by_ids
    free = _units(free, tied, models).sort("n")
    open_ = _columns(free.select("n", "t", "end", "clock", "doubt", *SCOPES))
    held = _columns(tied.select("t", "request", *SCOPES))
    same_sort = _by(tied["sort"].to_numpy())
    del tied
    candidates = []
    window = work.options.window_ns
    for sort, rows_of_sort in _by(free["sort"].to_numpy()).items():
        some, same = _where(open_, rows_of_sort), _where(held, same_sort.get(sort, rows_of_sort[:0]))
        if sort in models:
            found: Sequence[Columns | None] = [_candidates(some, same, places, models[sort], window)]
        else:
            borrowed = [ranked for other, ranked in sorted(models.items()) if step_of[other] == step_of[sort]]
            found = _peeled(some, same, places, borrowed, sort, written, least, window)
        candidates += [one for one in found if one is not None]
    if not candidates:
        return work
    every = pl.DataFrame({name: np.concatenate([one[name] for one in candidates]) for name in candidates[0]})
    work = work.without("candidates_cut")
    if cut := every.filter("cut")["n"].n_unique():
        detail = "events that lie near more steps than are weighed; the likeliest were"
        work = work.note("candidates_cut", detail, count=cut)
    return _take(work, unit, every, least)


def _turns(tied: pl.DataFrame) -> pl.DataFrame:
    """Request, ascending, and the scopes of each turn."""
    turns = tied.group_by("request").agg(
        *(
            pl.col(name).filter(pl.col("kind") == "prompt.received").drop_nulls().first().alias(f"{name}_own")
            for name in SCOPES
        ),
        *(pl.col(name).drop_nulls().first() for name in SCOPES),
    )
    return turns.sort("request").select("request", *(pl.coalesce(f"{name}_own", name).alias(name) for name in SCOPES))


def _ends(tied: pl.DataFrame) -> pl.DataFrame:
    """Both ends of the events of turns, in order of (when, n): n, mark, when, request, confidence, clock, doubt."""
    ends = moments(tied).sort("when", "n")
    row = np.searchsorted(tied["n"].to_numpy(), ends["n"].to_numpy())
    return ends.hstack(tied.select("request", "confidence", "clock", "doubt")[row])


def _units_written(rows: pl.DataFrame) -> dict[int, int]:
    """Of each sort, the finest unit (ns) that its times are written in.

    Args:
        rows: fresh, sort, unit.
    """
    return dict(rows.lazy().filter("fresh").group_by("sort").agg(pl.col("unit").min()).collect().iter_rows())


def _lattice(units: dict[int, int], sort: int, other: int) -> int:
    """What lies between two delays at least: times in whole seconds coincide often, and by chance as well."""
    return max(FINEST_NS, min(units.get(sort, 1), units.get(other, 1)))


def _models(places: pl.DataFrame, wanted: set[int], units: dict[int, int]) -> dict[int, list[Model]]:
    """For each of the `wanted` sorts, the steps it is best measured from, best first."""
    marks = {2 * sort + end for sort in wanted for end in (0, 1)}
    found: dict[int, list[tuple[bool, float, int, int, Density, bool]]] = {}
    for mark, anchor, seen, over, together in delays(places, marks):
        shape = density(seen, _lattice(units, mark // 2, anchor // 2))
        found.setdefault(mark // 2, []).append((together < 0.5, shape.surprise, mark, anchor, shape, over <= 0.01))
    models = {}
    for sort, ranked in found.items():
        ranked.sort(key=lambda one: one[:4])
        models[sort] = [Model(mark, anchor, shape, alone) for _, _, mark, anchor, shape, alone in ranked]
    return models


def _units(loose: pl.DataFrame, tied: pl.DataFrame, models: dict[int, list[Model]]) -> pl.DataFrame:
    """Of the events that ids tie to each other but to no turn, the one that is best measured; with the others' scopes.

    More events of one sort than any turn has are a job of its own.
    """
    most = tied.group_by("request", "sort").len().group_by("sort").agg(most=pl.col("len").max())
    counts = loose.group_by("unit", "sort").len().join(most, on="sort", how="left")
    many = counts.filter(pl.col("len") > pl.max_horizontal(pl.col("most").fill_null(1), 1)).select("unit").unique()
    loose = loose.join(many, on="unit", how="anti")
    surprise = {sort: ranked[0].delay.surprise for sort, ranked in models.items()}
    ranked = loose.with_columns(
        *(pl.col(name).drop_nulls().first().over("unit") for name in SCOPES),
        surprise=pl.col("sort").replace_strict(surprise, default=np.inf, return_dtype=pl.Float64),
    )
    return ranked.sort("unit", "surprise", "n").unique("unit", keep="first", maintain_order=True)


def _peeled(
    some: Columns,
    same: Columns,
    places: Places,
    borrowed: list[list[Model]],
    sort: int,
    units: dict[int, int],
    least: float,
    window: int,
) -> list[Columns]:
    """Candidates of events of a sort that no id ties, by what fits most of them, then by what fits most of the rest.

    An answer that streams is logged when it begins and any other when it ends: one sort, two delays.

    Args:
        some: as `_candidates` takes them, as are `same` and `places`.
        same: events of the sort that are placed already.
        places: of the turns.
        borrowed: what was learned of other sorts of the same step, such as of another replica's log.
        sort: its number.
        units: as `_units_written` gives them.
        least: from which chance on a candidate is taken.
        window: how far an event may lie from its step (ns).
    """
    made: list[Columns] = []
    times = np.concatenate([same["t"], some["t"]])
    for _ in range(PEELS):
        unseen = [] if least > UNCONFIRMED else _unseen(times, places, sort, units)
        found = [
            one | {"chance": one["chance"] * limit}
            for ways, limit in ((borrowed, 1.0), (unseen, UNCONFIRMED))
            for way in ways
            if (one := _candidates(some, same, places, way, window)) is not None
        ]
        if not found:
            break
        # Of several ways to measure, the one that is sure of most.
        best = max(found, key=lambda one: int((one["chance"] >= least).sum()))
        made.append(best)
        # What has candidates that it cannot choose from stays as it is: only what fits none of them goes on.
        event, request = np.searchsorted(some["n"], best["n"]), places.number(best["request"])
        fitting = np.bincount(event, best["chance"], len(some["n"])) >= UNFIT
        if fitting.sum() < LEARNED:
            break
        made[-1] = _where(best, fitting[event])
        some = _where(some, ~fitting)
        times = some["t"]
        places = places.without(np.bincount(request, best["chance"], len(places.turns["request"])) >= UNFIT)
        borrowed = []
        if not len(times):
            break
    return made


def _unseen(times: np.ndarray, places: Places, sort: int, units: dict[int, int]) -> list[list[Model]]:
    """Models of a sort that no id ties: of steps around which its events (at `times`) pile up beyond chance.

    Most of the events must take part, and most of the steps or, where they lie close, nearly all of the events: a page
    is opened before a first question as well, and is of no turn.
    """
    if len(times) < LEARNED:
        return []
    when = np.sort(times)
    if len(when) > UNSEEN:
        when = when[np.linspace(0, len(when) - 1, UNSEEN).astype(int)]
    scaled = len(times) / len(when)
    near = []
    for mark, here in places.by_mark.items():
        if len(here) >= LEARNED:
            steps = places.rows["when"][here]
            near.append((_to_nearest(when, steps), mark, steps))
    near.sort(key=lambda one: one[:2])
    found = []
    for _, mark, steps in near[:NEAREST]:
        reach = min(WIDEST_NS, 32 * max(float(steps[-1] - steps[0]), 1.0) / len(steps))
        unit = _lattice(units, sort, mark // 2)
        scale = np.unique(np.round(_SCALE[(reach >= _SCALE) & (unit <= _SCALE)] / unit) * unit)
        edges = np.concatenate([-scale[::-1], [0.0], scale])
        if len(edges) < 8:
            continue
        # An event lies at a delay within a bin where the step lies within the bin before the event.
        before = np.searchsorted(steps, (when - edges[:, None]).astype(np.int64), side="right").sum(axis=1)
        counts, width = before[:-1] - before[1:], np.diff(edges)
        chance = counts.sum() * width / width.sum()
        more = np.maximum(counts - chance - 3 * np.sqrt(chance + 1), 0)
        mine, theirs = more.sum() / len(when), more.sum() * scaled / len(steps)
        if more.sum() < LEARNED or mine < PILED:
            continue
        run = np.cumsum(more) / more.sum()
        wide = edges[np.searchsorted(run, 0.75) + 1] - edges[np.searchsorted(run, 0.25)]
        if theirs < PILED and (mine < 0.8 or wide > SHARP_NS):
            continue
        # What lies beyond chance by little may be chance, or the tail: it is kept, so as not to be too sure.
        mass = np.maximum(counts - chance, 0) + 0.1
        mass = mass / mass.sum()
        log = np.log(mass / width)
        shape = Density(edges, log, float(-(mass * log).sum()), float(more.sum()))
        found.append((shape.surprise, mark, shape))
    found.sort(key=lambda one: one[:2])
    return [[Model(2 * sort, mark, shape, None) for _, mark, shape in found[:RANKS]]] if found else []


def _to_nearest(when: np.ndarray, times: np.ndarray) -> float:
    """The median time from `when` to the nearest of `times` (ascending)."""
    place = np.searchsorted(times, when)
    after = np.abs(times[np.clip(place, 0, len(times) - 1)] - when)
    before = np.abs(when - times[np.clip(place - 1, 0, len(times) - 1)])
    return float(np.median(np.minimum(before, after)))


def _candidates(some: Columns, same: Columns, places: Places, models: list[Model], window: int) -> Columns | None:
    """Candidates of the loose events of one sort: n, to (event), request, chance, delta_ns, scope, cut.

    Args:
        some: the events to be placed, of one sort: n (ascending), t, end, clock, doubt, and the scopes.
        same: events of the same sort that are placed already: t, request, and the scopes.
        places: of the turns.
        models: what they are measured from, best first.
        window: how far an event may lie from its step (ns).
    """
    turn = places.number(same["request"])
    usable = {name: _usable(same[name], places.turns[name], turn) for name in SCOPES}
    session, user = (usable[name] & (some[name] >= 0) for name in SCOPES)
    scope = np.where(session, 0, np.where(user, 1, 2))
    taken = np.bincount(turn[turn >= 0], minlength=len(places.turns["request"]))
    edges = _edges(some, scope, taken, places, models, usable, window)
    if not len(edges["event"]):
        return None
    share = len(same["t"]) / (len(same["t"]) + len(some["t"]))
    rate = _local(some, scope)
    return {
        "n": some["n"][edges["event"]],
        "to": places.rows["n"][edges["place"]],
        "request": places.turns["request"][places.rows["request"][edges["place"]]],
        "delta_ns": edges["delta_ns"],
        "scope": scope[edges["event"]],
        "cut": edges["cut"],
        "chance": _judge(edges, rate, scope, share),
    }


def _usable(own: np.ndarray, of_turn: np.ndarray, turn: np.ndarray) -> bool:
    """Whether events of a sort name the scope that their turn names.

    Args:
        own: what they name; -1 for nothing.
        of_turn: what each turn names.
        turn: of each event, its place; -1 if it is not looked at.
    """
    theirs = np.append(of_turn, -1)[turn]
    known = (own >= 0) & (theirs >= 0)
    return int(known.sum()) < LEARNED or bool((own == theirs)[known].mean() >= SURE)


def _edges(
    some: Columns,
    scope: np.ndarray,
    taken: np.ndarray,
    places: Places,
    models: list[Model],
    usable: dict[str, bool],
    window: int,
) -> Columns:
    """Event (its row), place (its row), when, delta_ns, log (of the density), sole, cut; in order of (when, n, place).

    ``sole`` says whether the place takes one event at most: 1, 0, or -1 where nothing tells.

    Args:
        some: as `_candidates` takes them.
        scope: of each event, a place in `SCOPES`, or one more for none.
        taken: of each turn, how many events of the sort it has.
        places: of the turns.
        models: what the events are measured from, best first.
        usable: of each scope, whether it may speak against a turn.
        window: how far an event may lie from its step (ns).
    """
    size = len(taken)
    parts = [(_NO_ROWS, _NO_ROWS, _NO_ROWS, _NO_ROWS, np.zeros(0))]
    open_ = taken == 0
    served = np.zeros(size, bool)
    least = max(1, RARE * int(open_.sum()))
    used = 0
    for model in models:
        at = places.by_mark.get(model.anchor, _NO_ROWS)
        at = at[~served[places.rows["request"][at]]]
        counts = np.bincount(places.rows["request"][at], minlength=size)
        # Steps that few of the turns without such an event have would only take the room of others.
        if int((open_ & (counts > 0)).sum()) < least:
            continue
        served |= counts > 0
        used += 1
        # A turn that ids give as many of these events as it has places for has no place left.
        if model.exclusive:
            at = at[(counts > taken)[places.rows["request"][at]]]
        when = some["end" if model.mark % 2 else "t"]
        for number, own in enumerate((*SCOPES, None)):
            mine = np.flatnonzero((scope == number) & (when != NONE))
            if not len(mine):
                continue
            key, theirs = np.zeros(len(mine), np.int64), np.zeros(len(at), np.int64)
            if own:
                key, theirs = some[own][mine], places.turns[own][places.rows["request"][at]]
            here, theirs = at[theirs >= 0], theirs[theirs >= 0]
            event, place = _near(key, when[mine], theirs, places.rows["when"][here], model.delay)
            event, place = mine[event], here[place]
            # An event is of the best scope that it names: only a lesser one can still speak against a turn.
            if own == "session_scope" and usable["user_scope"]:
                said, its = some["user_scope"][event], places.turns["user_scope"][places.rows["request"][place]]
                agree = (said == its) | (said < 0) | (its < 0)
                event, place = event[agree], place[agree]
            sole = np.full(len(event), -1 if model.exclusive is None else int(model.exclusive))
            log = _log_density(some, places, event, place, when, model.delay)
            parts.append((event, place, when[event], sole, log))
        if used == RANKS:
            break
    event, place, when, sole, log = (np.concatenate(part) for part in zip(*parts, strict=True))
    best = np.full(len(scope), -np.inf)
    np.maximum.at(best, event, log)
    kept = np.isfinite(log) & (log >= best[event] - HOPELESS)
    cut = np.bincount(event[kept], minlength=len(scope)) > MOST_CANDIDATES
    if cut.any():
        many = np.flatnonzero(kept & cut[event])
        many = many[np.lexsort((places.rows["n"][place[many]], -log[many], event[many]))]
        sizes = np.bincount(event[many])
        rank = np.arange(len(many)) - (np.cumsum(sizes) - sizes)[event[many]]
        kept[many[rank >= MOST_CANDIDATES]] = False
    delta = places.rows["when"][place] - when
    kept = np.flatnonzero(kept & (np.abs(delta) <= window))
    kept = kept[np.lexsort((place[kept], event[kept], when[kept]))]
    edges = {"event": event, "place": place, "when": when, "delta_ns": delta, "log": log, "sole": sole}
    return _where(edges | {"cut": cut[event]}, kept)


def _log_density(
    some: Columns, places: Places, event: np.ndarray, place: np.ndarray, when: np.ndarray, delay: Density
) -> np.ndarray:
    """The logarithm of the density of each pair's delay, spread by what is not known of the two clocks."""
    found = when[event] - places.rows["when"][place]
    log = delay.at(found)
    doubt = some["doubt"][event] + places.rows["doubt"][place]
    unsure = np.flatnonzero(doubt > 0)
    mine, theirs = some["clock"][event[unsure]], places.rows["clock"][place[unsure]]
    unsure = unsure[(mine != theirs) & (mine >= 0) & (theirs >= 0)]
    if len(unsure):
        around = [delay.at(found[unsure] + share * doubt[unsure]) for share in (-2, -1, 0, 1, 2)]
        weights = np.log(np.array([0.05, 0.25, 0.4, 0.25, 0.05]))
        log[unsure] = np.logaddexp.reduce([one + w for one, w in zip(around, weights, strict=True)], axis=0)
    return log


def _near(
    key: np.ndarray, when: np.ndarray, theirs: np.ndarray, at: np.ndarray, delay: Density
) -> tuple[np.ndarray, np.ndarray]:
    """Events and places of one key whose delay lies within the density, as rows of the one and of the other.

    Args:
        key: of each event, from 0.
        when: its time.
        theirs: of each place, the key.
        at: its time, ascending.
        delay: its density.
    """
    width = len(at) + 1
    by = sorting(theirs)
    code = theirs[by] * width + by
    low = key * width + np.searchsorted(at, when - int(delay.edges[-1]), side="left")
    high = key * width + np.searchsorted(at, when - int(delay.edges[0]), side="right")
    first, last = np.searchsorted(code, low), np.searchsorted(code, high)
    event, row = spread(first, np.maximum(last - first, 0))
    return event, by[row]


def _judge(edges: Columns, rate: np.ndarray, scope: np.ndarray, share: float) -> np.ndarray:
    """The chance of each candidate.

    Args:
        edges: as `_edges` gives them.
        rate: as `_local` gives it.
        scope: of each event.
        share: of the events of the sort, those that ids tie.
    """
    # In order of time: the matching walks along the events.
    changed = (np.diff(edges["when"]) != 0) | (np.diff(edges["event"]) != 0)
    event = np.concatenate([[0], np.cumsum(changed)])
    log, rate, group = edges["log"], rate[edges["event"]], scope[edges["event"]]
    sizes = np.bincount(scope, minlength=len(SCOPE_WORDS))
    belongs = np.full(len(sizes), np.clip(share, 0.2, 0.98))
    sole = _sole(edges, event, np.exp(np.minimum(log - np.log((1 - belongs[group]) * rate), 60)))
    # A place that takes any number of events is another one to each of them.
    wanted = edges["place"] * (len(changed) + 2) + np.where(sole, 0, event + 1)
    place = np.unique(wanted, return_inverse=True)[1]
    # Places that take one event at most, and the others: how many, and how many events each has.
    places = [max(len(np.unique(edges["place"][which])), 1) for which in (sole, ~sole)]
    most = [0.98, 50.0]
    taken = [min(0.9, belongs[0] * len(scope) / number) for number in places]

    def odds() -> np.ndarray:
        weight = np.where(sole, taken[0] / (1 - taken[0]), taken[1])
        return np.asarray(np.exp(np.minimum(log + np.log(weight / ((1 - belongs[group]) * rate)), 60)))

    for _ in range(ROUNDS):
        chance = passed(event, place, odds())
        before = belongs
        # What names its session belongs more often than what names nobody.
        every = chance.sum() / len(scope)
        belongs = np.clip((np.bincount(group, chance, len(sizes)) + POOLED * every) / (sizes + POOLED), 0.05, 0.995)
        found = (chance[sole].sum(), chance[~sole].sum())
        taken = [float(np.clip(one / of, 0.005, to)) for one, of, to in zip(found, places, most, strict=True)]
        if np.abs(belongs - before).max() < SETTLED:
            break
    return marginals(event, place, odds())


def _sole(edges: Columns, event: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """Of each candidate, whether its place takes one event at most.

    Where nothing tells, the events do that have no other place to go: a turn may search several times.
    """
    unknown = edges["sole"] < 0
    alone = unknown & (odds / (1 + np.bincount(event, odds))[event] > TELLING)
    held = np.unique(edges["place"][alone], return_counts=True)[1]
    several = (held > 1).sum() > SEVERAL * len(held)
    return np.asarray((edges["sole"] > 0) | (unknown & ~several))


def _local(some: Columns, scope: np.ndarray) -> np.ndarray:
    """How dense the events lie: of each, events of the sort, in the same scope, per ns about that time."""
    times = some["t"]
    key = np.choose(scope, [some[SCOPES[0]] * 3, some[SCOPES[1]] * 3 + 1, 2])
    every = np.unique(times)
    width = len(every) + 1
    code = np.sort(key * width + np.searchsorted(every, times))
    low = np.searchsorted(code, key * width + np.searchsorted(every, times - LOCAL_NS, side="left"))
    high = np.searchsorted(code, key * width + np.searchsorted(every, times + LOCAL_NS, side="right"))
    return np.asarray((high - low) / (2.0 * LOCAL_NS))


def _take(work: Work, unit: pl.DataFrame, candidates: pl.DataFrame, least: float) -> Work:
    by_request = (
        candidates.sort("n", "chance", "to", descending=[False, True, False])
        .group_by("n", "request", maintain_order=True)
        .agg(
            pl.col("chance").sum().clip(0, MOST_SURE),
            pl.col("to").first(),
            pl.col("delta_ns").first(),
            pl.col("scope").first(),
        )
        .sort("n", "chance", "request", descending=[False, True, False])
    )
    row, new = pl.int_range(pl.len()), (pl.col("n") != pl.col("n").shift()).fill_null(value=True)
    more = pl.col("n") == pl.col("n").shift(-1)
    by_request = by_request.with_columns(
        rank=row - pl.when(new).then(row).forward_fill(),
        next=pl.when(more).then(pl.col("to").shift(-1)),
        next_chance=pl.when(more).then(pl.col("chance").shift(-1)),
    )
    best = by_request.filter((pl.col("rank") == 0) & (pl.col("chance") >= least))
    work = merge(work, unit, best, "window")
    listed = by_request.filter((pl.col("rank") < LISTED) & (pl.col("chance") >= FAINT)).join(best, on="n", how="anti")
    found = pl.concat(
        [best.with_columns(taken=pl.lit(value=True)), listed.with_columns(taken=pl.lit(value=False))]
    ).sort("n", "rank")
    return work.unlisted("window").link(
        found.select(
            pl.col("n").alias("from"),
            "to",
            "delta_ns",
            "taken",
            scope=pl.col("scope").replace_strict(dict(enumerate(SCOPE_WORDS)), return_dtype=pl.String),
            runner_up="next",
            relation=pl.lit("member"),
            to_request="request",
            method=pl.lit("window"),
            confidence=pl.col("chance").round(6),
            runner_up_confidence=pl.col("next_chance").round(6),
        )
    )
