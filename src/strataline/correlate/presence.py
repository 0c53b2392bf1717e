"""Which layers a request shows, and what the silence of the others means: what their logs cover is computed.

A *log* is what one service wrote into one file and the rotated parts of it. It covers a time if it has records before
and after, and no hole there. A hole is told by the other logs alone: requests went on in them that elsewhere have
records here, and have none. So nights, bursts and writers that flush once a minute are no holes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from strataline.event import NOTES, PRODUCT_LAYERS, address

LOGS = 62
"""So many logs, those with the most requests, are told apart (bits of a whole number); others cover nothing."""
NOTED = 20
"""So many holes of one log are noted one by one."""
LEAST = 3.0
"""Holes in which fewer requests than this would have records are none: it cannot be told."""
ODDS = 0.01
"""How likely one hole or more in a log without any may be."""
THIN = 0.2
"""Where a log has fewer than this of the requests it would have, it counts as silent."""
MISSED = 0.1
"""Of the requests that the covering logs do not show, at most this share may be shown by the layer's other logs."""
ROUNDS = 5

ALL = (1 << len(PRODUCT_LAYERS)) - 1
"""One bit for each layer."""
NEVER = np.iinfo(np.int64).min
BLOCKED = len(PRODUCT_LAYERS)
"""Beside the layers' bits, one for a request that was blocked: such a request seldom goes on to the next layer."""

_PACKED = re.compile(r"\.(?:gz|zst|zstd|bz2|xz|lz4|z|old|bak)$", re.IGNORECASE)
_COUNTED = re.compile(r"(\.[a-z][a-z0-9_]*)[.-]\d{1,5}$", re.IGNORECASE)
_FOLDERS = re.compile(r"(?<![^/!])(?:19|20)\d\d/(?:0[1-9]|1[0-2])/(?:[0-3]\d/)?(?:[0-2]\d/)?")
_DATED = re.compile(
    r"(?<!\d)[._-]?(?:19|20)\d\d([._-]?)(?:0[1-9]|1[0-2])(?:\1(?:0[1-9]|[12]\d|3[01])"
    r"(?:[T._-]?[0-2]\d(?:[:._-]?[0-5]\d){0,2}(?:[.,]?\d{3,9})?Z?)?)?(?!\d)"
)


@dataclass(frozen=True)
class _Hole:
    """Nothing, or next to nothing, between two events (places in the log's ``times``)."""

    before: int
    after: int
    requests: int
    missing: float


@dataclass
class _Log:
    """One log, and what it covers.

    Args:
        name: name of its file, without what tells rotated parts apart.
        rows: its events that state a time, as rows of the events, by time.
        times: their times, ns.
        requests: numbers of the requests that have events in it, ascending.
        first: per request, the time of its first event in here; `NEVER` where none states one.
        last: per request, the time of its last.
        bits: per request, what its events in here show.
        events: how many events of the log are tied to a request.
        starts: beginnings of the stretches that it covers, ns, by its own clock, ascending.
        ends: their ends.
        lead: how long after the start of a request its records here usually begin, ns.
        tail: how long after the end of a request its records here usually end, ns.
        holes: where it covers nothing, between its first and its last event.
    """

    name: str
    rows: np.ndarray
    times: np.ndarray
    requests: np.ndarray
    first: np.ndarray
    last: np.ndarray
    bits: np.ndarray
    events: int
    starts: np.ndarray
    ends: np.ndarray
    lead: int = 0
    tail: int = 0
    holes: list[_Hole] = field(default_factory=list)


def presence(requests: pl.DataFrame, events: pl.DataFrame, links: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tell for each request and layer whether it is present, absent, not covered or ambiguous.

    Args:
        requests: request, kind, start_time and end_time (by one clock), and earliest (of all its events); other
            columns are kept.
        events: event_id, layer, service, outcome, verdict, corrected_time, request, source, line, offset.
        links: from_event, to_event, to_request, taken.

    Returns:
        `requests`, in the order given, with the columns ``layers_present`` (an event of it is tied to the request),
        ``layers_ambiguous`` (none is, and a candidate was not taken), ``layers_absent`` (neither, and the logs
        that would show it cover the request's whole time), ``layers_not_covered`` (the rest); and a note
        ``coverage_gap`` for each hole.
    """
    timed = requests.with_row_index("place").select(
        "place",
        "request",
        turn=pl.col("kind") == "turn",
        start=pl.coalesce("start_time", "earliest").dt.epoch("ns"),
        end=pl.max_horizontal(pl.coalesce("start_time", "earliest"), "end_time").dt.epoch("ns"),
    )
    timed = timed.sort("start", "request", nulls_last=True).with_row_index("r")
    known = int(timed["start"].count())
    start, end = (timed[name].head(known).to_numpy() for name in ("start", "end"))
    files = events.select("source", "service").unique().sort("source", "service").with_row_index("file")
    narrow = _narrow(events, files, timed)
    logs = _logs(files, narrow, known)
    others = np.zeros((known, BLOCKED + 1), np.int16)
    for log in logs:
        others[log.requests] += _apart(log.bits)
    for log in logs:
        _cover(log, start, end, others)
    shown = np.zeros(timed.height, np.int64)
    tied = narrow.filter(pl.col("r").is_not_null()).group_by("r").agg(pl.col("bits").bitwise_or())
    shown[tied["r"].to_numpy()] = tied["bits"].to_numpy()
    absent = np.zeros(timed.height, np.int64)
    absent[:known] = _silent(logs, start, end, timed["turn"].head(known).to_numpy())
    present, ambiguous = shown & ALL, _candidates(events, links, timed) & ~shown & ALL
    absent &= ~(present | ambiguous)
    states = {
        "layers_present": present,
        "layers_absent": absent,
        "layers_not_covered": ALL & ~(present | ambiguous | absent),
        "layers_ambiguous": ambiguous,
    }
    places = timed.with_row_index("at").sort("place")["at"].to_numpy()
    names = _every_list()
    lists = pl.DataFrame([names.gather(bits[places]).alias(name) for name, bits in states.items()])
    return pl.concat([requests.drop(*states, strict=False), lists], how="horizontal"), _notes(logs, events)


def _every_list() -> pl.Series:
    """For each combination of bits, the names of the layers, in their order."""
    lists = [[layer for bit, layer in enumerate(PRODUCT_LAYERS) if bits >> bit & 1] for bits in range(ALL + 1)]
    return pl.Series(lists, dtype=pl.List(pl.String))


def _bits() -> pl.Expr:
    """The bit of the row's layer; 0 for the layers beside the product."""
    return pl.sum_horizontal(
        (pl.col("layer") == layer).cast(pl.Int64) * (1 << bit) for bit, layer in enumerate(PRODUCT_LAYERS)
    )


def _apart(bits: np.ndarray) -> np.ndarray:
    """Whole numbers as rows of 0 and 1."""
    return (bits[:, None] >> np.arange(BLOCKED + 1)) & 1


def _narrow(events: pl.DataFrame, files: pl.DataFrame, timed: pl.DataFrame) -> pl.DataFrame:
    """The events, in their order, as numbers: file, r (request, null if none), t (ns), bits."""
    blocked = pl.col("outcome").eq_missing("blocked") | pl.col("verdict").eq_missing("block")
    return (
        events.lazy()
        .select(
            "source",
            "service",
            "request",
            t=pl.col("corrected_time").dt.epoch("ns"),
            bits=_bits() + blocked.cast(pl.Int64) * (1 << BLOCKED),
        )
        .with_row_index("row")
        .join(files.lazy(), on=["source", "service"], nulls_equal=True)
        .join(timed.lazy().select("request", "r"), on="request", how="left")
        .select("row", "file", "r", "t", "bits")
        .collect()
    )


def _candidates(events: pl.DataFrame, links: pl.DataFrame, timed: pl.DataFrame) -> np.ndarray:
    """Per request, the bits of the layers of which an event might belong to it and was not taken."""
    found = np.zeros(timed.height, np.int64)
    offered = links.filter(~pl.col("taken")).select("from_event", "to_event", "to_request")
    if offered.is_empty():
        return found
    names = events.select("event_id", "layer", "request")
    rows = (
        offered.join(names.select(from_event="event_id", layer="layer"), on="from_event")
        .join(names.select(to_event="event_id", other="request"), on="to_event", how="left")
        .with_columns(request=pl.coalesce("to_request", "other"))
        .join(timed.select("request", "r"), on="request")
        .group_by("r")
        .agg(bits=_bits().bitwise_or())
    )
    found[rows["r"].to_numpy()] = rows["bits"].to_numpy()
    return found


# --- which events are one log -----------------------------------------------------------------------------------


def family(source: str) -> str:
    """The name of a source without what tells the rotated parts of one log apart.

    Example:
        >>> [family(name) for name in ("ui/a.jsonl", "ui/a.jsonl.1", "ui/a.jsonl.2.gz", "ui/a-2026-11-21.jsonl")]
        ['ui/a.jsonl', 'ui/a.jsonl', 'ui/a.jsonl', 'ui/a.jsonl']
    """
    name = source
    while (shorter := _PACKED.sub("", name)) != name:
        name = shorter
    name = _COUNTED.sub(r"\1", _DATED.sub("", _FOLDERS.sub("", name)))
    folder, _, last = name.rpartition("/")
    if last.startswith(".") or not last:
        # Named by its date alone.
        return f"{folder}/*{last}" if folder else f"*{last}"
    return name


def _logs(files: pl.DataFrame, narrow: pl.DataFrame, known: int) -> list[_Log]:
    """The logs of which something is tied to a request; those with the most requests first, `LOGS` at most.

    What one service wrote to the parts of one rotated file is one log. So are files of one service and folder whose
    times follow each other, such as those of pods that replaced one another; those that overlap stand side by side.
    """
    every = files.height
    spans = narrow.group_by("file").agg(
        low=pl.col("t").quantile(0.1), high=pl.col("t").quantile(0.9), requests=pl.col("r").drop_nulls().n_unique()
    )
    files = files.join(spans.filter(pl.col("requests") > 0), on="file")
    files = files.with_columns(name=pl.Series([family(source) for source in files["source"]], dtype=pl.String))
    families = (
        files.group_by("name", "service")
        .agg(pl.col("low").min(), pl.col("high").max(), pl.col("requests").sum())
        .with_columns(
            folder=pl.when(pl.col("service").is_null())
            .then("name")
            .otherwise(pl.col("name").str.extract(r"^(.*[/!])").fill_null("").str.replace_all(r"\d+", "#"))
        )
        .sort("service", "folder", "low", "high", "name", nulls_last=True)
    )
    families = families.with_columns(chain=pl.Series(_chains(families), dtype=pl.Int64))
    chains = families.group_by("chain").agg(
        pl.col("requests").sum(), called=pl.col("name").sort_by("high", "name").last()
    )
    chains = chains.sort("requests", "called", "chain", descending=[True, False, False]).head(LOGS)
    chains = chains.with_row_index("log")
    named = files.join(families.select("name", "service", "chain"), on=["name", "service"], nulls_equal=True)
    log_of = np.full(every, LOGS, np.int16)
    for file, log in named.join(chains, on="chain").select("file", "log").iter_rows():
        log_of[file] = log
    owner, row = log_of[narrow["file"].to_numpy()], narrow["row"].to_numpy()
    r, t = narrow["r"].cast(pl.Int64).fill_null(known).to_numpy(), narrow["t"].fill_null(NEVER).to_numpy()
    bits = narrow["bits"].to_numpy()
    by_log = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[by_log], np.arange(chains.height + 1))
    rows = [by_log[low:high] for low, high in pairwise(bounds)]
    return [
        _log(name, row[mine], t[mine], r[mine], bits[mine], known)
        for name, mine in zip(chains["called"], rows, strict=True)
    ]


def _log(name: str, row: np.ndarray, t: np.ndarray, r: np.ndarray, bits: np.ndarray, known: int) -> _Log:
    """The log of these events."""
    order = np.lexsort((row, t)) if (np.diff(row.astype(np.int64)) < 0).any() else np.argsort(t, kind="stable")
    row, t, r, bits = row[order], t[order], r[order], bits[order]
    timed = t > NEVER
    mine = np.flatnonzero(r < known)
    mine = mine[np.argsort(r[mine], kind="stable")]
    ours = r[mine]
    begins = np.flatnonzero(np.concatenate([[True], ours[1:] != ours[:-1]])) if len(ours) else np.zeros(0, np.int64)
    late = np.where(timed[mine], t[mine], np.iinfo(np.int64).max)
    several = len(begins) > 0
    first = np.minimum.reduceat(late, begins) if several else begins
    last = np.maximum.reduceat(t[mine], begins) if several else begins
    shown = np.bitwise_or.reduceat(bits[mine], begins) if several else begins
    times = t[timed]
    first = np.where(last > NEVER, first, NEVER)
    return _Log(name, row[timed], times, ours[begins], first, last, shown, len(ours), times[:1], times[-1:])


def _chains(families: pl.DataFrame) -> Iterator[int]:
    """For each family (by service and folder, then by time), the number of the chain of those that it follows."""
    of: object = None
    ends: dict[int, float] = {}
    made = 0
    for service, folder, low, high in families.select("service", "folder", "low", "high").iter_rows():
        if (service, folder) != of:
            of, ends = (service, folder), {}
        free = [] if low is None else [(end, -chain) for chain, end in ends.items() if end <= low]
        if free:
            chain = -max(free)[1]
        else:
            chain, made = made, made + 1
        if high is not None:
            ends[chain] = high
        yield chain


# --- what a log covers ------------------------------------------------------------------------------------------


def _cover(log: _Log, start: np.ndarray, end: np.ndarray, others: np.ndarray) -> None:
    """Find the holes of `log`, and what it covers between them.

    How often a request has records here is measured per class: by the layers that *other* logs show of it. Requests
    without another log's word say nothing.

    Args:
        log: is changed.
        start: when each request began, ns, ascending.
        end: when each ended.
        others: per request and layer (and `BLOCKED`), how many logs say so.
    """
    told = log.last > NEVER
    if not told.any():
        return
    first = log.first[told] - start[log.requests[told]]
    last = log.last[told] - end[log.requests[told]]
    usual, log.lead, log.tail = int(np.median(first)), int(np.quantile(first, 0.1)), int(np.quantile(last, 0.9))
    if len(log.times) < 2:
        return
    weights = 1 << np.arange(BLOCKED + 1)
    kinds = (others > 0) @ weights
    kinds[log.requests] = (others[log.requests] - _apart(log.bits) > 0) @ weights
    hit = np.zeros(len(start), bool)
    hit[log.requests] = True
    gap = np.searchsorted(log.times, start + usual, side="right") - 1
    inside = (gap >= 0) & (gap < len(log.times) - 1) & (kinds & ALL > 0)
    gap, kinds, hit = gap[inside], kinds[inside], hit[inside]
    gaps = len(log.times) - 1
    had = np.bincount(gap[hit], minlength=gaps)
    there = np.bincount(gap, minlength=gaps)
    holes: np.ndarray = np.zeros(gaps, bool)
    wanted: np.ndarray = np.zeros(gaps)
    size = 1 << (BLOCKED + 1)
    for _ in range(ROUNDS):
        counted = ~holes[gap]
        of, shown = (np.bincount(kinds[rows], minlength=size) for rows in (counted, counted & hit))
        expected = (shown / (of + 1))[kinds]
        wanted = np.bincount(gap, weights=expected, minlength=gaps)
        found = (wanted >= _enough(expected, hit)) & (had <= THIN * wanted)
        settled = (found == holes).all()
        holes = found
        if settled:
            break
    _cut(log, holes, wanted, had, there)


def _enough(expected: np.ndarray, hit: np.ndarray) -> float:
    """How many expected requests in a row may be missing by chance, at most.

    Between two requests that have records, as many as an exponential distribution gives are expected and missing;
    where the log's own runs are longer (replicas that sessions stick to), so is this.
    """
    runs = np.diff(np.cumsum(expected)[hit])
    if not len(runs):
        return LEAST
    scale = max(1.0, float(np.quantile(runs, 0.95)) / -math.log(0.05))
    return max(LEAST, scale * math.log((len(runs) + 1) / ODDS))


def _cut(log: _Log, holes: np.ndarray, wanted: np.ndarray, had: np.ndarray, there: np.ndarray) -> None:
    """Take the holes, and the stray records between them, out of what `log` covers."""
    at = np.flatnonzero(holes)
    if not len(at):
        return
    firsts, lasts = np.concatenate([[0], at + 1]), np.concatenate([at, [len(log.times) - 1]])
    expected, found, passed = (np.concatenate([[0], np.cumsum(one)]) for one in (wanted, had, there))
    # A stretch that a wrong clock or an odd record put into a hole does not end it.
    silent = found[lasts] - found[firsts] <= THIN * (expected[lasts] - expected[firsts])
    for end in (0, -1):
        silent[end] &= expected[lasts[end]] - expected[firsts[end]] >= LEAST
    if silent.all():
        silent[np.argmax(lasts - firsts)] = False
    kept = np.flatnonzero(~silent)
    log.starts, log.ends = log.times[firsts[kept]], log.times[lasts[kept]]
    befores = np.concatenate([[0] if kept[0] else [], lasts[kept]]).astype(np.int64)
    afters = np.concatenate([firsts[kept], [len(log.times) - 1]]).astype(np.int64)
    afters = afters if kept[0] else afters[1:]
    for before, after in zip(befores, afters, strict=True):
        if after > before:
            missing = expected[after] - expected[before] - (found[after] - found[before])
            requests = passed[after] - passed[before]
            log.holes.append(_Hole(int(before), int(after), int(requests), float(missing)))


# --- what the silence of a layer means --------------------------------------------------------------------------


def _silent(logs: list[_Log], start: np.ndarray, end: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Per request, the bits of the layers whose logs cover it and would show it.

    Where some logs of a layer cover a request and others, such as that of a second replica, do not: of the requests
    that the first do not show, how many do the others show? If that is over `MISSED`, the silence of the first says
    nothing.
    """
    size = len(start)
    mine, covering = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for number, log in enumerate(logs):
        mine[log.requests] |= np.int64(1) << number
        if len(log.times):
            low = start + log.lead
            high = np.maximum(low, end + log.tail)
            run = np.searchsorted(log.starts, low, side="right") - 1
            within = (run >= 0) & (high <= log.ends[np.maximum(run, 0)])
            covering |= within.astype(np.int64) << number
    path = _paths(mine, turn)
    found = np.zeros(size, np.int64)
    for bit in range(len(PRODUCT_LAYERS)):
        shows = np.zeros(size, np.int64)
        for number, log in enumerate(logs):
            shows[log.requests[log.bits >> bit & 1 > 0]] |= np.int64(1) << number
        for among, asked in ((turn, turn), (np.ones(size, bool), ~turn)):
            silent = np.flatnonzero(asked & (shows == 0))
            held, counts = np.unique(shows[among & (shows != 0)], return_counts=True)
            every = int(np.bitwise_or.reduce(held)) if len(held) else 0
            on = path[silent] & every
            pairs, which, alike = np.unique(
                np.stack([on, covering[silent] & on]), axis=1, return_inverse=True, return_counts=True
            )
            told = [_would_show(one, pairs, alike, held, counts) for one in pairs.T]
            found[silent] |= np.array(told, bool)[which.reshape(-1)].astype(np.int64) << bit
    return found


def _would_show(one: np.ndarray, pairs: np.ndarray, alike: np.ndarray, held: np.ndarray, counts: np.ndarray) -> bool:
    """Whether the logs that cover would show a request of a layer.

    Args:
        one: the layer's logs of the path, and those that cover (bits).
        pairs: the same of all requests that do not show the layer.
        alike: how many requests are of each pair.
        held: the logs that show it, of the requests that show it.
        counts: how many requests are of each.
    """
    path, covering = one
    if not counts[(held & covering) != 0].sum():
        return False
    others = counts[((held & path) != 0) & ((held & covering) == 0)].sum()
    neither = alike[(pairs[0] == path) & (pairs[1] & covering == covering)].sum()
    return bool(others <= MISSED * (others + neither))


def _paths(mine: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Per request, the logs that could show it: for a turn, those of any turn; else those met together with its own."""
    turns = int(np.bitwise_or.reduce(mine[turn])) if turn.any() else 0
    met, which = np.unique(mine, return_inverse=True)
    beside = [0] * LOGS
    for together in met.tolist():
        for log in range(together.bit_length()):
            if together >> log & 1:
                beside[log] |= together
    reached = [int(np.bitwise_or.reduce([beside[log] for log in range(LOGS) if one >> log & 1] or [0])) for one in met]
    return np.where(turn, turns, np.array(reached, np.int64)[which.reshape(-1)])


def _notes(logs: list[_Log], events: pl.DataFrame) -> pl.DataFrame:
    """A note for each hole."""
    found: list[tuple[Any, ...]] = []
    for log in logs:
        per_request = log.events / max(1, len(log.requests))
        by_size = sorted(log.holes, key=lambda hole: (-hole.missing, hole.before))
        for hole in by_size[:NOTED]:
            ends = (int(log.rows[hole.before]), int(log.rows[hole.after]))
            count = max(1, round(hole.missing * per_request))
            found.append((log.name, *ends, hole.after - hole.before - 1, hole.requests, hole.missing, count))
        if len(by_size) > NOTED:
            rest = by_size[NOTED:]
            count = round(sum(hole.missing for hole in rest) * per_request)
            found.append((log.name, None, None, len(rest), 0, 0.0, count))
    if not found:
        return NOTES.empty()
    columns = ("subject", "before", "after", "between", "requests", "missing", "count")
    kinds = (pl.String, pl.Int64, pl.Int64, pl.Int64, pl.Int64, pl.Float64, pl.Int64)
    rows = pl.DataFrame(found, schema=dict(zip(columns, kinds, strict=True)), orient="row")
    named = (
        events.lazy()
        .with_row_index("row")
        .select(pl.col("row").cast(pl.Int64), "source", "line", "corrected_time", address=address())
        .filter(pl.col("row").is_in(pl.concat([rows["before"], rows["after"]]).drop_nulls().implode()))
        .with_columns(at=pl.col("corrected_time").dt.strftime("%Y-%m-%d %H:%M:%S%.3f UTC"))
        .drop("corrected_time")
        .collect()
    )
    rows = rows.join(named.rename({"row": "before"}), on="before", how="left").join(
        named.select(after="row", until="at", end="address"), on="after", how="left"
    )
    said = pl.format(
        "{} between {} ({}) and {} ({}), while {} requests went on in other logs; elsewhere, about {} of as many have "
        "records here. This log covers nothing of that time.",
        pl.when(pl.col("between") == 0)
        .then(pl.lit("no record"))
        .otherwise(pl.format("next to nothing ({})", "between")),
        "at",
        "address",
        "until",
        "end",
        "requests",
        pl.col("missing").round().cast(pl.Int64),
    )
    more = pl.format("{} shorter holes of this log are not listed", "between")
    detail = pl.when(pl.col("before").is_null()).then(more).otherwise(said)
    marks = {"room": "correlate", "topic": "coverage_gap"}
    return NOTES.conform(
        rows.select("source", "line", "subject", "count", detail=detail, **{k: pl.lit(v) for k, v in marks.items()})
    )
