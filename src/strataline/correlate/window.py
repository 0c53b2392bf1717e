"""Step 6, window: events without a usable id, by scope and time.

How long before or after which step an event of a sort comes is learned from the events that ids tie in these very
logs. A candidate is the right one with a probability that follows from the density of its delay, from how many other
candidates there are, from who else wants the place, and from the share of such events that belong to no turn at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from strataline.correlate.bounds import SURE
from strataline.correlate.delays import FINEST_NS, LEARNED, Density, delays, density, moments
from strataline.correlate.matching import marginals
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

ROUNDS = 4
"""Rounds in which the shares that belong, and that are taken, are fitted."""

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

_SCALE = 10_000.0 * 10 ** (np.arange(0, 57) / 8)
"""Delays (ns) that a pile is looked for at: 10 us and on, eight for each power of ten."""


@dataclass(frozen=True)
class Model:
    """How a sort lies to one step of its turn.

    Args:
        mark: which end of the event.
        anchor: mark of the step it is measured from.
        delay: density of its time less the step's.
        exclusive: whether each such step has at most one such event.
    """

    mark: int
    anchor: int
    delay: Density
    exclusive: bool


@dataclass(frozen=True)
class Places:
    """Where events may belong.

    Args:
        rows: as `_places` gives them.
        whose: request, session_scope, user_scope.
        requests: ascending.
        request: of each row, its place in `requests`.
        by_mark: rows of each mark, ascending.
    """

    rows: pl.DataFrame
    whose: pl.DataFrame
    requests: np.ndarray
    request: np.ndarray
    by_mark: dict[int, np.ndarray]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Places:
        """The places `rows`."""
        requests, request = np.unique(rows["request"].to_numpy(), return_inverse=True)
        mark = rows["mark"].to_numpy()
        order = np.argsort(mark, kind="stable")
        marks, starts = np.unique(mark[order], return_index=True)
        by_mark = dict(zip(marks.tolist(), np.split(order, starts[1:]), strict=True)) if len(marks) else {}
        whose = rows.select("request", "session_scope", "user_scope").unique("request")
        return cls(rows, whose, requests, request, by_mark)

    def number(self, requests: pl.Series) -> np.ndarray:
        """The places of those of `requests` that are here."""
        values = requests.to_numpy()
        if not len(self.requests):
            return np.zeros(0, np.int64)
        at = np.minimum(np.searchsorted(self.requests, values), len(self.requests) - 1)
        return np.asarray(at[self.requests[at] == values])


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
    every_place = _places(tied)
    by_ids = every_place.lazy().filter(pl.col("confidence") == 1).select("n", "request", "mark", "when").collect()
    places = Places.of(every_place.drop("confidence"))
    del every_place
    step_of = dict(steps.iter_rows())
    wanted = set(free["sort_step"])
    models = _models(by_ids, {sort for sort, step in step_of.items() if step in wanted}, written)
    del by_ids
    free = _units(free, tied, models)
    candidates = []
    window = work.options.window_ns
    for (sort,), some in free.partition_by("sort", as_dict=True, maintain_order=True).items():
        same = tied.filter(pl.col("sort") == sort)
        if sort in models:
            found = [_candidates(some, same, places, models[int(sort)], window)]
        else:
            found = _peeled(some, same, places, _borrowed(some, models, step_of), written, least, window)
        candidates += [one for one in found if one is not None]
    if not candidates:
        return work
    every = pl.concat(candidates)
    work = work.without("candidates_cut")
    if cut := every.filter("cut")["n"].n_unique():
        detail = "events that lie near more steps than are weighed; the likeliest were"
        work = work.note("candidates_cut", detail, count=cut)
    return _take(work, unit, every, least)


def _places(tied: pl.DataFrame) -> pl.DataFrame:
    """Both ends of the events of turns: n, mark, when, request, confidence, clock, doubt, and the turn's scopes."""
    known = ("session_scope", "user_scope")
    whose = tied.group_by("request").agg(
        *(
            pl.col(name).filter(pl.col("kind") == "prompt.received").drop_nulls().first().alias(f"{name}_own")
            for name in known
        ),
        *(pl.col(name).drop_nulls().first() for name in known),
    )
    whose = whose.select("request", *(pl.coalesce(f"{name}_own", name).alias(name) for name in known))
    ends = moments(tied)
    row = np.searchsorted(tied["n"].to_numpy(), ends["n"].to_numpy())
    about = tied.select("request", "confidence", "clock", "doubt")[row]
    return pl.concat([ends, about], how="horizontal").join(whose, on="request", maintain_order="left")


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
        *(pl.col(name).drop_nulls().first().over("unit") for name in ("session_scope", "user_scope")),
        surprise=pl.col("sort").replace_strict(surprise, default=np.inf, return_dtype=pl.Float64),
    )
    return ranked.sort("unit", "surprise", "n").unique("unit", keep="first", maintain_order=True)


def _peeled(
    some: pl.DataFrame,
    same: pl.DataFrame,
    places: Places,
    borrowed: list[list[Model]],
    units: dict[int, int],
    least: float,
    window: int,
) -> list[pl.DataFrame | None]:
    """Candidates of events of a sort that no id ties, by what fits most of them, then by what fits most of the rest.

    An answer that streams is logged when it begins and any other when it ends: one sort, two delays.
    """
    made: list[pl.DataFrame | None] = []
    columns = ("n", "t", "layer", "sort")
    every = pl.concat([same.select(columns), some.select(columns)])
    for _ in range(PEELS):
        unseen = [] if least > UNCONFIRMED else _unseen(every, places, units)
        found = [
            one.with_columns(pl.col("chance") * limit)
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
        fitting = best.group_by("n").agg(pl.col("chance").sum()).filter(pl.col("chance") >= UNFIT)
        wanted = best.group_by("request").agg(pl.col("chance").sum()).filter(pl.col("chance") >= UNFIT)
        if fitting.height < LEARNED:
            break
        made[-1] = best.join(fitting.select("n"), on="n", how="semi")
        every = some = some.join(fitting.select("n"), on="n", how="anti")
        if wanted.height:
            places = Places.of(places.rows.join(wanted.select("request"), on="request", how="anti"))
        borrowed = []
        if some.is_empty():
            break
    return made


def _borrowed(some: pl.DataFrame, models: dict[int, list[Model]], step_of: dict[int, int]) -> list[list[Model]]:
    """What was learned of other sorts of the same step, such as of another replica's log."""
    step = int(some["sort_step"][0])
    return [ranked for sort, ranked in sorted(models.items()) if step_of[sort] == step]


def _unseen(some: pl.DataFrame, places: Places, units: dict[int, int]) -> list[list[Model]]:
    """Models of a sort that no id ties: of steps around which its events pile up beyond chance.

    Most of the events must take part, and most of the steps or, where they lie close, nearly all of the events: a page
    is opened before a first question as well, and is of no turn.
    """
    if some.height < LEARNED:
        return []
    sample = some.sort("t", "n")
    if sample.height > UNSEEN:
        sample = sample.gather(np.linspace(0, sample.height - 1, UNSEEN).astype(int))
    scaled = some.height / sample.height
    when = sample["t"].to_numpy()
    near = []
    begins = places.rows["when"].to_numpy()
    for mark, here in places.by_mark.items():
        if len(here) >= LEARNED:
            times = np.sort(begins[here])
            near.append((_to_nearest(when, times), mark, times))
    near.sort(key=lambda one: one[:2])
    found = []
    for _, mark, times in near[:NEAREST]:
        reach = min(WIDEST_NS, 32 * max(float(times[-1] - times[0]), 1.0) / len(times))
        unit = _lattice(units, int(some["sort"][0]), mark // 2)
        scale = np.unique(np.round(_SCALE[(reach >= _SCALE) & (unit <= _SCALE)] / unit) * unit)
        edges = np.concatenate([-scale[::-1], [0.0], scale])
        if len(edges) < 8:
            continue
        # An event lies at a delay within a bin where the step lies within the bin before the event.
        before = np.searchsorted(times, (when[:, None] - edges[None, :]).astype(np.int64), side="right").sum(axis=0)
        counts, width = before[:-1] - before[1:], np.diff(edges)
        chance = counts.sum() * width / width.sum()
        more = np.maximum(counts - chance - 3 * np.sqrt(chance + 1), 0)
        mine, theirs = more.sum() / len(when), more.sum() * scaled / len(times)
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
    sort = int(some["sort"][0])
    return [[Model(2 * sort, mark, shape, True) for _, mark, shape in found[:RANKS]]] if found else []


def _to_nearest(when: np.ndarray, times: np.ndarray) -> float:
    """The median time from `when` to the nearest of `times` (ascending)."""
    place = np.searchsorted(times, when)
    after = np.abs(times[np.clip(place, 0, len(times) - 1)] - when)
    before = np.abs(when - times[np.clip(place - 1, 0, len(times) - 1)])
    return float(np.median(np.minimum(before, after)))


def _candidates(
    some: pl.DataFrame, same: pl.DataFrame, places: Places, models: list[Model], window: int
) -> pl.DataFrame | None:
    """Candidates of the loose events of one sort: n, to (event), request, chance, delta_ns, scope, cut.

    Args:
        some: the events to be placed, of one sort.
        same: events of the same sort that are placed already.
        places: of the turns.
        models: what they are measured from, best first.
        window: how far an event may lie from its step (ns).
    """
    usable = _usable(same, places.whose)
    some = some.with_columns(
        scope=pl.when(pl.col("session_scope").is_not_null() & usable["session_scope"])
        .then(pl.lit("session"))
        .when(pl.col("user_scope").is_not_null() & usable["user_scope"])
        .then(pl.lit("user"))
        .otherwise(pl.lit("all"))
    )
    edges = _edges(some, same, places, models, usable)
    edges = edges if edges.is_empty() else edges.filter(pl.col("delta_ns").abs() <= window)
    if edges.is_empty():
        return None
    share = same.height / (same.height + some.height)
    return _judge(some, edges, share, exclusive=models[0].exclusive)


def _usable(same: pl.DataFrame, whose: pl.DataFrame) -> dict[str, bool]:
    """Whether events of a sort name the session, and the user, that their turn names."""
    both = same.select("request", "session_scope", "user_scope").join(whose, on="request", suffix="_turn")
    usable = {}
    for name in ("session_scope", "user_scope"):
        known = both.filter(pl.col(name).is_not_null() & pl.col(f"{name}_turn").is_not_null())
        agree = (known[name] == known[f"{name}_turn"]).mean()
        usable[name] = known.height < LEARNED or bool(agree is not None and agree >= SURE)  # type: ignore[operator]
    return usable


def _edges(
    some: pl.DataFrame, same: pl.DataFrame, places: Places, models: list[Model], usable: dict[str, bool]
) -> pl.DataFrame:
    """n, to, request, when, scope, delta_ns, log (of the density), ``cut`` (whether there were more for the event)."""
    parts = []
    size = len(places.requests)
    taken = np.bincount(places.number(same["request"]), minlength=size)
    open_ = taken == 0
    served = np.zeros(size, bool)
    least = max(1, RARE * int(open_.sum()))
    used = 0
    for model in models:
        at = places.by_mark.get(model.anchor, np.zeros(0, np.int64))
        at = at[~served[places.request[at]]]
        counts = np.bincount(places.request[at], minlength=size)
        # Steps that few of the turns without such an event have would only take the room of others.
        if int((open_ & (counts > 0)).sum()) < least:
            continue
        served |= counts > 0
        used += 1
        # A turn that ids give as many of these events as it has places for has no place left.
        if model.exclusive:
            at = at[(counts > taken)[places.request[at]]]
        here = places.rows[at]
        when = "end" if model.mark % 2 else "t"
        for scope in ("session", "user", "all"):
            mine = some.filter((pl.col("scope") == scope) & pl.col(when).is_not_null())
            if mine.is_empty() or here.is_empty():
                continue
            key = pl.lit(0, pl.Int64) if scope == "all" else pl.col(f"{scope}_scope")
            events = mine.select("n", "session_scope", "user_scope", "clock", "doubt", key=key, when=when)
            anchors = here.select(
                to="n",
                request="request",
                turn_session="session_scope",
                turn_user="user_scope",
                key=key,
                at="when",
                their_clock="clock",
                their_doubt="doubt",
            )
            pairs = _near(events, anchors.drop_nulls("key"), model.delay)
            for name in ("session", "user"):
                if usable[f"{name}_scope"]:
                    known = pl.col(f"{name}_scope") != pl.col(f"turn_{name}")
                    pairs = pairs.filter(~known.fill_null(value=False))
            pairs = pairs.with_columns(log=_log_density(pairs, model.delay)).filter(pl.col("log").is_finite())
            columns = ("n", "to", "request", "when", "log")
            parts.append(pairs.select(*columns, delta_ns=pl.col("at") - pl.col("when"), scope=pl.lit(scope)))
        if used == RANKS:
            break
    if not parts:
        return pl.DataFrame(schema={"n": pl.Int64})
    edges = pl.concat(parts)
    edges = edges.filter(pl.col("log") >= pl.col("log").max().over("n") - HOPELESS)
    best = edges.sort("n", pl.col("log"), "to", descending=[False, True, False])
    best = best.with_columns(cut=pl.len().over("n") > MOST_CANDIDATES)
    return best.group_by("n", maintain_order=True).head(MOST_CANDIDATES)


def _log_density(pairs: pl.DataFrame, delay: Density) -> pl.Series:
    """The logarithm of the density of each pair's delay, spread by what is not known of the two clocks."""
    found = (pairs["when"] - pairs["at"]).to_numpy()
    apart = (pairs["clock"] != pairs["their_clock"]).to_numpy()
    doubt = np.where(apart, (pairs["doubt"].fill_null(0) + pairs["their_doubt"].fill_null(0)).to_numpy(), 0)
    log = delay.at(found)
    unsure = doubt > 0
    if unsure.any():
        around = [delay.at(found[unsure] + share * doubt[unsure]) for share in (-2, -1, 0, 1, 2)]
        weights = np.log(np.array([0.05, 0.25, 0.4, 0.25, 0.05]))
        log[unsure] = np.logaddexp.reduce([one + w for one, w in zip(around, weights, strict=True)], axis=0)
    return pl.Series(log)


def _near(events: pl.DataFrame, anchors: pl.DataFrame, delay: Density) -> pl.DataFrame:
    """Pairs of one key whose delay lies within the density: the events' columns and the anchors'."""
    if anchors.is_empty():
        return events.join(anchors, on="key", how="inner")
    every = np.unique(anchors["at"].to_numpy())
    width = len(every) + 1
    anchors = anchors.with_columns(
        code=pl.col("key") * width + pl.Series(np.searchsorted(every, anchors["at"].to_numpy()))
    )
    anchors = anchors.sort("code", "to")
    code = anchors["code"].to_numpy()
    key, when = events["key"].to_numpy(), events["when"].to_numpy()
    low = key * width + np.searchsorted(every, when - int(delay.edges[-1]), side="left")
    high = key * width + np.searchsorted(every, when - int(delay.edges[0]), side="right")
    first, last = np.searchsorted(code, low, side="left"), np.searchsorted(code, high, side="left")
    counts = np.maximum(last - first, 0)
    left = np.repeat(np.arange(len(key)), counts)
    start = np.repeat(first - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    right = start + np.arange(len(left))
    return pl.concat([events[left], anchors.drop("key", "code")[right]], how="horizontal")


def _judge(some: pl.DataFrame, edges: pl.DataFrame, share: float, *, exclusive: bool) -> pl.DataFrame:
    """Add ``chance`` to the candidates."""
    density_of_events = _local(some)
    rows = edges.join(density_of_events, on="n")
    # In order of time: the matching walks along the events.
    rows = rows.with_columns(at=pl.col("when") + pl.col("delta_ns")).sort("when", "n", "at", "to")
    event = rows.select(pl.struct("when", "n").rank("dense")).to_series().to_numpy().astype(np.int64) - 1
    place = rows.select(pl.struct("at", "to").rank("dense")).to_series().to_numpy().astype(np.int64) - 1
    places = int(place.max()) + 1
    log, rate = rows["log"].to_numpy(), rows["rate"].to_numpy()
    belongs = float(np.clip(share, 0.2, 0.98))
    taken = min(0.9, belongs * some.height / max(places, 1))
    chance = np.zeros(len(event))
    for number in range(ROUNDS):
        weight = taken / (1 - taken) if exclusive else taken
        odds = np.exp(np.minimum(log + np.log(weight) - np.log((1 - belongs) * rate), 60))
        chance = marginals(event, place, odds, exclusive=exclusive, exact=number == ROUNDS - 1)
        belongs = float(np.clip(chance.sum() / some.height, 0.05, 0.995))
        taken = float(np.clip(chance.sum() / places, 0.005, 0.98 if exclusive else 50))
    return rows.with_columns(chance=pl.Series(chance)).drop("log", "rate", "when", "at")


def _local(some: pl.DataFrame) -> pl.DataFrame:
    """How dense the events lie: n, ``rate``, events of the sort, in the same scope, per ns about that time."""
    keyed = some.select(
        "n",
        "t",
        key=pl.when(pl.col("scope") == "session")
        .then(pl.col("session_scope") * 3)
        .when(pl.col("scope") == "user")
        .then(pl.col("user_scope") * 3 + 1)
        .otherwise(2),
    ).sort("key", "t", "n")
    times = keyed["t"].to_numpy()
    key = keyed["key"].to_numpy()
    every = np.unique(times)
    width = len(every) + 1
    code = key * width + np.searchsorted(every, times)
    low = np.searchsorted(code, key * width + np.searchsorted(every, times - LOCAL_NS, side="left"), side="left")
    high = np.searchsorted(code, key * width + np.searchsorted(every, times + LOCAL_NS, side="right"), side="left")
    return keyed.select("n", rate=pl.Series((high - low) / (2.0 * LOCAL_NS)))


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
    by_request = by_request.with_columns(
        rank=pl.int_range(pl.len()).over("n"),
        next=pl.col("to").shift(-1).over("n"),
        next_chance=pl.col("chance").shift(-1).over("n"),
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
            "scope",
            "taken",
            runner_up="next",
            relation=pl.lit("member"),
            to_request="request",
            method=pl.lit("window"),
            confidence=pl.col("chance").round(6),
            runner_up_confidence=pl.col("next_chance").round(6),
        )
    )
