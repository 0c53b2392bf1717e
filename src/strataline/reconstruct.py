"""The whole way: inputs, records, events, requests, case. Knows every room, and nothing else does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa

from strataline.cache import Cache, Kept
from strataline.case import HOLDERS, SPOOLED, Case
from strataline.correlate import NAMED, Correlated, Options, Shelf, correlate
from strataline.errors import FormatError, InputError
from strataline.event import NOTES, REJECTS, SOURCES, TABLES
from strataline.examine import coverage
from strataline.export import parquet
from strataline.format import Format
from strataline.parse import (
    Figures,
    Kernel,
    Marks,
    Parsed,
    Parsing,
    Plan,
    Recognised,
    Workers,
    catalogue,
    described,
    digests,
    identify,
    parse_source,
    zone_named,
)
from strataline.read import (
    MAX_EXPAND,
    MAX_RECORD,
    Found,
    Input,
    Limits,
    Options as ReadOptions,
    Reading,
    Source,
    better_encoding,
    encoding_named,
    find_inputs,
    may_hold_more,
    read,
    reread,
)
from strataline.scratch import Scratch, writing

_CENTURY = timedelta(days=36_525)
_CLOCKS_NAMED = 12
"""So many clock domains are named in a hint, those with most events first."""

Progress = Callable[[str, int, int], None]
"""Called with the source at hand, bytes done and bytes in all."""


@dataclass(frozen=True)
class _Source:
    one: Input
    within: str | None
    reading: Reading
    parsed: Parsed
    problem: str | None = None

    @property
    def name(self) -> str:
        return self.one.source


@dataclass(frozen=True)
class Survey:
    """What logs are: ``sources`` and ``notes``, as in a case."""

    sources: pa.Table
    notes: pa.Table


def reconstruct(
    paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    formats: Iterable[str | os.PathLike[str]] | str | os.PathLike[str] = (),
    force: Mapping[str, str] | None = None,
    zones: Mapping[str, str] | None = None,
    assume_zone: str | None = None,
    reuse_gap: timedelta = timedelta(hours=6),
    window: timedelta = timedelta(minutes=15),
    min_confidence: float = 0.9,
    reference_clock: str | None = None,
    clocks: Mapping[str, timedelta] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    excerpts: bool = True,
    max_record: int = MAX_RECORD,
    encodings: Mapping[str, str] | None = None,
    max_expand: int = MAX_EXPAND,
    workers: int | None = None,
    cache: Cache | str | os.PathLike[str] | None = None,
    scratch: str | os.PathLike[str] | None = None,
    stdin: BinaryIO | None = None,
    progress: Progress | None = None,
) -> Case:
    """Reconstruct what the logs at `paths` say happened.

    Args:
        paths: files, folders, globs, URLs (``s3://…``, ``https://…``), lists (``@list.txt``) and ``-``.
        formats: folders of further formats; loading a format runs its file.
        force: glob over sources → name of the format they have, which is then not questioned.
        zones: glob over sources → IANA zone of the times in them that state none.
        assume_zone: zone of such times where neither an option nor the format names one; otherwise UTC is assumed,
            and noted.
        reuse_gap: two uses of one id further apart than this, by one clock, are two ids.
        window: events further apart than this, by the reference clock, are not tied by content or by time.
        min_confidence: links by content and by time that are less sure are listed and not taken; 1 means ids alone.
        reference_clock: the clock domain that all others are relative to; by default the one with most linked events.
        clocks: clock domain → how far it is ahead of the reference, which is then believed; a note says where the logs
            contradict it.
        since: leave out requests that ended before (and events of none); UTC if it states no zone.
        until: leave out requests that began after; UTC if it states no zone.
        excerpts: whether tables hold the first 240 characters of texts.
        max_record: records longer than this many bytes become rejects.
        encodings: glob over sources → encoding of their text; otherwise UTF-8 or UTF-16, or what the bytes tell.
        max_expand: bytes that one input may expand to, all that lies in it together.
        workers: how many batches are parsed at once; by default as many as there are cores. No result depends on it.
        cache: a folder in which is kept what parsing made of each input, so that the next run reads none of these
            again. No result depends on it; it may be deleted at any time, and holds what a case holds.
        scratch: a folder, in which a folder is made for what is too much to keep in memory, until the case is gone; by
            default that for temporary files.
        stdin: what ``-`` means.
        progress: called as the inputs are read.

    Returns:
        The case; `Case.write` makes a folder of it.

    Raises:
        InputError: if nothing can be read, or an option names nothing.
        FormatError: if a format cannot be loaded.

    Example:
        >>> import tempfile, pathlib
        >>> log = pathlib.Path(tempfile.mkdtemp()) / "access.log"
        >>> line = '2026-01-02 03:04:05,678 INFO:     127.0.0.1:9 - "GET /api HTTP/1.1" 200 OK'
        >>> _ = log.write_text(line + chr(10))
        >>> reconstruct(log, assume_zone="UTC").events["event_time"].to_pylist()[0].isoformat()
        '2026-01-02T03:04:05.678000+00:00'
    """
    names = _listed(paths)
    chosen = _options(reuse_gap, window, min_confidence, reference_clock, clocks or {})
    since, until = _aware(since), _aware(until)
    if since is not None and until is not None and since > until:
        raise InputError("--since is later than --until")
    folders = [Path(folder) for folder in _listed(formats)]
    known = catalogue(folders)
    choices = _choose(zones, force, assume_zone, encodings, excerpts, max_record, max_expand)
    zones, force, encodings = choices.zones, choices.force, choices.encodings
    with ExitStack() as stack:
        room = Scratch(scratch)
        stack.callback(room.remove)
        found = find_inputs(names, stdin=None if stdin is None else partial(_spool, stdin, room))
        kept = Cache(cache) if isinstance(cache, str | os.PathLike) else cache
        settings = None if kept is None else choices.settings(digests(folders))
        shelf = Shelf(room)
        sources = _parse_all(
            found.inputs, known, choices, workers or os.cpu_count() or 1, progress, shelf, kept, settings
        )
        if all(source.problem is not None for source in sources):
            name, problem = next(iter([*((s.name, s.problem) for s in sources), *found.refused]), ("", None))
            raise InputError(problem or "nothing to read", path=name)
        _settle_copies(sources)
        rows = [_source_row(s, known, zones, assume_zone) for s in sources]
        notes = _reading_notes(sources, found)
        rejects = pl.concat([REJECTS.empty(), *(s.parsed.rejects for s in sources)]).sort(REJECTS.sort)
        for source in sources:
            shelf.add(source.parsed.kept)
            source.parsed.kept = []
        _refuse_unknown_clocks(shelf, chosen)
        made = correlate(shelf, chosen)
        covered = coverage(made.counted)
        left = _window(made, since, until)
        if since is not None:
            ends = pl.col("minute") + pl.duration(minutes=pl.col("minutes"))
            covered = covered.filter((ends > since).fill_null(value=True))
        if until is not None:
            covered = covered.filter((pl.col("minute") <= until).fill_null(value=True))
        notes = NOTES.conform(pl.concat([notes, made.notes, left]))
        frames = {
            "requests": made.requests,
            "clocks": made.clocks,
            "sources": SOURCES.conform(pl.DataFrame(rows, schema=SOURCES.schema)).sort(SOURCES.sort),
            "rejects": rejects,
            "notes": notes.sort([*NOTES.sort, "count", "detail"], nulls_last=True, maintain_order=True),
        }
        sizes = {name: frame.height for name, frame in frames.items()}
        sizes |= {"events": made.event_count, "links": made.link_count}
        tables = _tables(frames, made, room if shelf.many else None)
        shelf.clear()
        # From here on the case keeps it.
        stack.pop_all()
    options = {
        "zones": zones,
        "force": force,
        "assume_zone": assume_zone,
        "reuse_gap_s": chosen.reuse_gap_ns / 1e9,
        "window_s": chosen.window_ns / 1e9,
        "min_confidence": chosen.min_confidence,
        "reference_clock": chosen.reference_clock,
        "clocks_s": {name: offset / 1e9 for name, offset in sorted(chosen.clock_offsets.items())},
        "since": _iso(since),
        "until": _iso(until),
        "excerpts": excerpts,
        "max_record": max_record,
        "encodings": encodings,
        "max_expand": max_expand,
    }
    manifest = _manifest(frames["sources"], sizes, options, digests(folders))
    return Case(
        tables, manifest, {one.source: one for one in found.inputs}, covered, scratch=room if room.made else None
    )


def _tables(frames: Mapping[str, pl.DataFrame], made: Correlated, room: Scratch | None) -> Mapping[str, pl.DataFrame]:
    """The tables of a case: in memory, or in files of `room`."""
    if room is None:
        return {**frames, "events": made.events, "links": made.links}
    folder = room() / "case"
    with writing(folder):
        folder.mkdir()
        for table in TABLES:
            parts = {"events": made.event_parts, "links": made.link_parts}.get(table.name)
            parquet.write(table, frames[table.name] if parts is None else parts(), folder / f"{table.name}.parquet")
    return parquet.Stored(folder, TABLES, room)


def survey(
    paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    formats: Iterable[str | os.PathLike[str]] | str | os.PathLike[str] = (),
    force: Mapping[str, str] | None = None,
    zones: Mapping[str, str] | None = None,
    assume_zone: str | None = None,
    encodings: Mapping[str, str] | None = None,
    max_record: int = MAX_RECORD,
    max_expand: int = MAX_EXPAND,
    workers: int | None = None,
    stdin: BinaryIO | None = None,
    progress: Progress | None = None,
) -> Survey:
    """Tell what the logs at `paths` are, without reconstructing anything.

    Args: as `reconstruct` takes them.

    Returns:
        ``sources`` and ``notes`` as they would be in a case.

    Raises:
        InputError: if nothing can be read, or an option names nothing.
        FormatError: if a format cannot be loaded.
    """
    known = catalogue([Path(folder) for folder in _listed(formats)])
    choices = _choose(zones, force, assume_zone, encodings, False, max_record, max_expand)
    with ExitStack() as stack:
        room = Scratch()
        stack.callback(room.remove)
        found = find_inputs(_listed(paths), stdin=None if stdin is None else partial(_spool, stdin, room))
        sources = _parse_all(found.inputs, known, choices, workers or os.cpu_count() or 1, progress, None)
        _settle_copies(sources)
        rows = [_source_row(one, known, choices.zones, assume_zone) for one in sources]
        table = SOURCES.conform(pl.DataFrame(rows, schema=SOURCES.schema)).sort(SOURCES.sort)
        notes = NOTES.conform(_reading_notes(sources, found)).sort(NOTES.sort, nulls_last=True, maintain_order=True)
    return Survey(SOURCES.to_arrow(table), NOTES.to_arrow(notes))


def _listed(paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str]) -> list[str | os.PathLike[str]]:
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def _choose(
    zones: Mapping[str, str] | None,
    force: Mapping[str, str] | None,
    assume: str | None,
    encodings: Mapping[str, str] | None,
    excerpts: bool,
    max_record: int,
    max_expand: int,
) -> _Choices:
    """What the caller chose, checked."""
    zones, force = dict(zones or {}), dict(force or {})
    encodings = {glob: encoding_named(name) for glob, name in (encodings or {}).items()}
    for zone in (*zones.values(), *([assume] if assume else [])):
        zone_named(zone)
    return _Choices(zones, force, assume, excerpts, max_record, encodings, Limits(max_expand=max_expand))


def _options(
    reuse_gap: timedelta,
    window: timedelta,
    min_confidence: float,
    reference_clock: str | None,
    clocks: Mapping[str, timedelta],
) -> Options:
    """What the caller chose of the correlation, checked as far as it can be before the logs are read."""
    if window < timedelta(0):
        raise InputError("--window: a length of time is not negative")
    if not 0 <= min_confidence <= 1:
        raise InputError(f"--min-confidence {min_confidence}: a confidence lies between 0 and 1")
    far = next((name for name, offset in clocks.items() if abs(offset) > _CENTURY), None)
    if far is not None:
        raise InputError(f"--clock {far}: no clock is a century off")
    if reference_clock is not None and clocks.get(reference_clock):
        hint = "leave out one of the two; all offsets are relative to the reference"
        raise InputError(f"--clock {reference_clock}: the reference clock is ahead of itself by nothing", hint=hint)
    return Options(
        # What is longer than any log may not fit into nanoseconds.
        reuse_gap_ns=_ns(min(reuse_gap, _CENTURY)),
        window_ns=_ns(min(window, _CENTURY)),
        min_confidence=float(min_confidence),
        reference_clock=reference_clock,
        clock_offsets={name: _ns(offset) for name, offset in clocks.items()},
    )


def _ns(length: timedelta) -> int:
    return length // timedelta(microseconds=1) * 1000


def _refuse_unknown_clocks(shelf: Shelf, chosen: Options) -> None:
    """Refuse an option that names a clock domain which no event has."""
    asked = [("--clock", name) for name in chosen.clock_offsets]
    if chosen.reference_clock is not None:
        asked.append(("--reference-clock", chosen.reference_clock))
    if not asked:
        return
    known = shelf.clocks()
    # Those of browsers are many, and found by what is near.
    named = [name for name in known if ":" not in name][:_CLOCKS_NAMED] or known[:_CLOCKS_NAMED]
    for option, name in asked:
        if name not in known:
            listed = dict.fromkeys([*get_close_matches(name, known, n=1), *named])
            more = f" and {len(known) - len(listed)} more" if len(known) > len(listed) else ""
            raise InputError(
                f"{option} {name}: no event has such a clock domain",
                hint=f"clock domains are {', '.join(listed)}{more}" if known else "no event has any",
            )


def _spool(stdin: BinaryIO, room: Scratch) -> Path:
    """Keep what comes by standard input in a file: it cannot be read twice."""
    spooled = room() / SPOOLED
    with writing(spooled), spooled.open("wb") as file:
        shutil.copyfileobj(stdin, file, 1 << 20)
    return spooled


@dataclass(frozen=True)
class _Choices:
    zones: Mapping[str, str]
    force: Mapping[str, str]
    assume: str | None
    excerpts: bool
    max_record: int
    encodings: Mapping[str, str]
    limits: Limits

    def settings(self, formats: Mapping[str, str]) -> dict[str, Any]:
        """All that reading and parsing look at, beside the bytes; `formats` are the digests of their files."""
        return {
            "formats": sorted(formats.items()),
            "zones": list(self.zones.items()),
            "force": list(self.force.items()),
            "assume": self.assume,
            "excerpts": self.excerpts,
            "max_record": self.max_record,
            "encodings": list(self.encodings.items()),
            "limits": asdict(self.limits),
        }

    def plan(self, one: Input, marks: Marks, keep: Callable[[pl.DataFrame], Any]) -> Plan:
        name = _chosen(self.force, one.source)
        return Plan(
            marks=marks,
            forced=marks.formats[name] if name else None,
            zone=_chosen(self.zones, one.source),
            assume=self.assume,
            folder=one.folder,
            excerpts=self.excerpts,
            keep=keep,
        )

    def reading(self, kernel: Kernel, marks: Marks) -> ReadOptions:
        return ReadOptions(
            max_record=self.max_record,
            limits=self.limits,
            encoding=lambda source: _chosen(self.encodings, source),
            described=lambda text: described(kernel, marks, text),
        )

    @property
    def globs(self) -> list[tuple[str, str]]:
        """Options that name sources, and the globs that they do it by."""
        found = (("--zone", self.zones), ("--format", self.force), ("--encoding", self.encodings))
        return [(option, glob) for option, globs in found for glob in globs]

    def refuse_unmatched(self, names: Sequence[str]) -> None:
        """Refuse an option that none of the sources is meant by."""
        for option, pattern in self.globs:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise InputError(
                    f"{option} {pattern}: no source has such a name",
                    hint=f"sources are named {', '.join(names[:3])}, …",
                )


def _parse_all(
    inputs: Sequence[Input],
    known: Mapping[str, Format],
    choices: _Choices,
    workers: int,
    progress: Progress | None,
    shelf: Shelf | None,
    cache: Cache | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[_Source]:
    for name in choices.force.values():
        if name not in known:
            raise FormatError(f"no format is called {name!r}", hint=f"known: {', '.join(known)}")
    if choices.globs and not any(may_hold_more(one) for one in inputs):
        # What lies in archives is known when they have been read; what a typing error means is known now.
        choices.refuse_unmatched([one.source for one in inputs])
    kernel, marks = Kernel(), Marks(known)
    keep = _looked_at if shelf is None else shelf.part
    options = choices.reading(kernel, marks)
    done, whole = 0, sum(one.size() or 0 for one in inputs)
    found: list[tuple[Source, Parsing]] = []
    unread: list[_Source] = []
    again: list[_Source] = []
    keys: dict[str, tuple[str, str]] = {}
    with Workers(workers) as pool:
        for one in inputs:
            if progress is not None:
                progress(one.source, done, whole)
            key = None if cache is None else cache.key(one, settings or {})
            if cache is not None and key is not None and shelf is not None:
                kept = cache.load(key[0], one, known, shelf.whole)
                if kept is not None:
                    again += [_Source(source.one, source.within, source.reading, source.parsed) for source in kept]
                    done += one.size() or 0
                    continue
                keys[one.source] = key
            try:
                for source in read(one, options):
                    batches = _told(source, done, whole, progress)
                    parsing = parse_source(kernel, choices.plan(source.one, marks, keep), batches, pool)
                    found.append(_in_its_encoding(kernel, choices, marks, options, source, parsing, pool, keep))
            except InputError as problem:
                unread.append(_Source(one, None, Reading(), Parsed(), problem.message))
            done += one.size() or 0
        # A source that was read in part is one that was not read.
        names = {source.name for source in unread}
        made = [_parsed(source, parsing) for source, parsing in found if source.one.source not in names]
    if cache is not None:
        _keep(cache, keys, made, names, known)
    if progress is not None:
        progress("", whole, whole)
    made = sorted([*made, *again, *unread], key=lambda source: source.name)
    choices.refuse_unmatched([source.name for source in made])
    return made


def _looked_at(_events: pl.DataFrame) -> None:
    """What a survey keeps of events: the figures are all that it tells."""


def _keep(
    cache: Cache,
    keys: Mapping[str, tuple[str, str]],
    sources: Sequence[_Source],
    unread: Iterable[str],
    known: Mapping[str, Format],
) -> None:
    """Keep what parsing made of each input that was read whole."""
    above = {source.name: source.within for source in sources}
    of_input: dict[str, list[Kept]] = {}
    for source in sources:
        top = source.name
        while (within := above.get(top)) is not None:
            top = within
        of_input.setdefault(top, []).append(Kept(source.one, source.within, source.reading, source.parsed))
    for name in set(of_input).difference(unread):
        if name in keys:
            cache.keep(*keys[name], of_input[name], known)


def _parsed(source: Source, parsing: Parsing) -> _Source:
    parsed = parsing.result()
    for part in parsed.kept:
        part.named = identify(part.places, source.one.source, source.reading.stream_digest).select(NAMED)
    parsed.rejects = parsed.rejects.with_columns(source=pl.lit(source.one.source))
    return _Source(source.one, source.within, source.reading, parsed)


def _in_its_encoding(
    kernel: Kernel,
    choices: _Choices,
    marks: Marks,
    options: ReadOptions,
    source: Source,
    parsing: Parsing,
    pool: Workers,
    keep: Callable[[pl.DataFrame], Any],
) -> tuple[Source, Parsing]:
    """The source once more in a one-byte encoding, if most of what is not ASCII in it is not UTF-8 and that helps."""
    encoding = better_encoding(source.reading)
    if encoding is None:
        return source, parsing
    again = replace(reread(source.one, source.reading, encoding, options), within=source.within)
    batches = (batch.records for batch in again.batches)
    second = parse_source(kernel, choices.plan(source.one, marks, keep), batches, pool)
    if second.recognised is None and parsing.recognised is not None:
        return source, parsing
    detail = f"most records that are not ASCII are not UTF-8; all were read as {encoding} (--encoding names another)"
    again.reading.notes.append(("encoding_assumed", detail, source.reading.not_utf8))
    return again, second


def _told(source: Source, done: int, whole: int, progress: Progress | None) -> Iterator[pl.DataFrame]:
    """The records of `source`, telling `progress` how far its input has been read."""
    for batch in source.batches:
        if progress is not None:
            progress(source.one.source, min(done + source.reading.bytes, whole), whole)
        yield batch.records


def _settle_copies(sources: Sequence[_Source]) -> None:
    """Leave the events of a copy to the first source, by name, with the same decompressed stream."""
    first: dict[str, str] = {}
    for source in sources:
        digest = source.reading.stream_digest
        if not source.parsed.records or source.problem is not None:
            continue
        if first.setdefault(digest, source.one.source) != source.one.source:
            parsed = source.parsed
            parsed.skipped, parsed.with_events, parsed.recovered = parsed.records, 0, 0
            parsed.kept, parsed.figures = [], Figures()
            parsed.rejects, parsed.notes = parsed.rejects.clear(), []
            parsed.copy_of = first[digest]


def _chosen(globs: Mapping[str, str], source: str) -> str | None:
    """What the last of the globs that fit says."""
    found = [value for pattern, value in globs.items() if fnmatchcase(source, pattern)]
    return found[-1] if found else None


def _source_row(
    source: _Source, known: Mapping[str, Format], zones: Mapping[str, str], assume: str | None
) -> dict[str, Any]:
    reading, parsed = source.reading, source.parsed
    figures, recognised = parsed.figures, parsed.recognised
    basis = next((one for one in ("assumed", "option", "format", "explicit") if one in figures.zones), None)
    zone = {
        "assumed": assume or "UTC",
        "option": _chosen(zones, source.one.source),
        "format": recognised.format.zone if recognised else None,
    }.get(basis or "")
    # Their bytes are those of members, tables or rows.
    held = reading.container in HOLDERS and reading.problem is None
    return {
        "source": source.one.source,
        "within": source.within,
        "digest": reading.digest or None,
        "bytes": reading.bytes,
        "stream_digest": reading.stream_digest or None,
        "stream_bytes": reading.stream_bytes,
        "compression": reading.compression,
        "container": "unreadable" if source.problem or reading.problem else reading.container,
        "encoding": reading.encoding,
        "envelopes": list(reading.envelopes),
        "format": recognised.format.name if recognised else None,
        "format_confidence": recognised.confidence if recognised else None,
        "format_basis": _basis(recognised),
        "runner_up": recognised.runner_up if recognised else None,
        "runner_up_share": recognised.runner_up_share if recognised else None,
        "formats": sorted(figures.formats, key=lambda name: (-figures.formats[name][0], name)),
        "lacks": _lacks(figures, known, recognised),
        "zone": zone,
        "zone_basis": basis,
        "lines": reading.lines,
        "records": parsed.records,
        "with_events": parsed.with_events,
        "events": figures.events,
        "rejected": parsed.rejected,
        "skipped": parsed.skipped,
        "recovered": parsed.recovered,
        "record_bytes": None if held else reading.record_bytes,
        "separator_bytes": None if held else reading.separator_bytes,
        "first_time": figures.first_time,
        "last_time": figures.last_time,
        "copy_of": parsed.copy_of,
    }


USUAL = ("request_id", "trace_id")
"""Ids that a log should carry to be tied to others."""


def _lacks(figures: Figures, known: Mapping[str, Format], recognised: Recognised | None) -> list[str]:
    """What no event states, and some format of the source would read."""
    if recognised is None or not figures.events:
        return []
    formats = [known[name] for name in figures.formats if name in known]
    wanted = {
        one.kind
        for fmt in formats
        for one in (*fmt.ids, *(one for event in fmt.events for one in event.ids))
        if one.role == "alias"
    }
    if all(fmt.guessed for fmt in formats):
        wanted = set(USUAL)
    lacking = sorted(wanted - figures.kinds)
    lacking += ["time"] if figures.untimed == figures.events else []
    lacking += ["zone"] if "assumed" in figures.zones else []
    return lacking


def _used(sources: pl.DataFrame) -> list[str]:
    named = [sources["format"].drop_nulls(), sources["formats"].explode().drop_nulls()]
    return pl.concat(named).unique().sort().to_list()


def _basis(recognised: Recognised | None) -> str:
    if recognised is None:
        return "none"
    return (
        "option"
        if recognised.forced
        else "guessed"
        if recognised.guessed or recognised.format.guessed
        else "recognised"
    )


def _reading_notes(sources: Sequence[_Source], found: Found) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "room": "read",
            "topic": "not_read",
            "subject": name,
            "count": 1,
            "detail": why,
        }
        for name, why in found.skipped
    ]
    rows += [
        {
            "room": "read",
            "topic": "named_twice",
            "source": name,
            "count": 1,
            "detail": "named more than once, read once",
        }
        for name in found.twice
    ]
    # A name as it was given may be a path of this machine.
    rows += [
        {"room": "read", "topic": "refused", "subject": os.path.basename(name) or name, "count": 1, "detail": why}  # noqa: PTH119
        for name, why in found.refused
    ]
    for source in sources:
        reading, parsed, name = source.reading, source.parsed, source.one.source
        here: list[tuple[str, str, str | None, int, str]] = []
        problem = source.problem or reading.problem
        if problem is not None:
            here.append(("read", "unreadable", None, 1, problem))
        if reading.cut is not None:
            here.append(("read", "stream_cut", None, 1, reading.cut))
        if parsed.copy_of is not None:
            here.append(
                ("read", "copy", parsed.copy_of, parsed.records, "the same stream as another source; read once")
            )
        if parsed.recognised is not None and parsed.recognised.ties:
            detail = f"formats that fit as well: {', '.join(parsed.recognised.ties)}"
            here.append(("parse", "format_tie", parsed.recognised.format.name, 1, detail))
        if reading.envelopes:
            detail = f"taken off its records, from the outermost inwards: {', '.join(reading.envelopes)}"
            here.append(("read", "envelope", None, reading.wrapped, detail))
        if not reading.bytes and source.within is None and problem is None and reading.container == "lines":
            here.append(("read", "empty", None, 1, "the file is empty"))
        here += [("read", topic, None, count, detail) for topic, detail, count in reading.notes]
        unknown = int((parsed.rejects["reason"] == "unrecognised_format").sum())
        if unknown:
            detail = "no format describes this source; --format NAME=GLOB forces one, --formats DIR adds your own"
            here.append(("parse", "unrecognised", None, unknown, detail))
        assumed = parsed.figures.zones.get("assumed", 0)
        if assumed:
            detail = "times state no zone; one was assumed (--zone GLOB=ZONE names it)"
            here.append(("parse", "zone_assumed", None, assumed, detail))
        rows += [
            {"room": room, "topic": topic, "source": name, "subject": subject, "count": count, "detail": detail}
            for room, topic, subject, count, detail in here
        ]
        rows += [
            {
                "room": "parse",
                "topic": n.topic,
                "source": name,
                "line": n.line,
                "count": n.count,
                "detail": n.detail,
            }
            for n in parsed.notes
        ]
    return pl.DataFrame(rows, schema=NOTES.schema)


def _window(made: Correlated, since: datetime | None, until: datetime | None) -> pl.DataFrame:
    """Leave out the requests, and the events of none, that lie outside of the window; a note says how many."""
    if since is None and until is None:
        return NOTES.empty()
    inside, during = pl.lit(value=True), pl.lit(value=True)
    if since is not None:
        inside, during = inside & (pl.col("end_time") >= since), during & (pl.col("corrected_time") >= since)
    if until is not None:
        inside, during = inside & (pl.col("start_time") <= until), during & (pl.col("corrected_time") <= until)
    # What states no time cannot lie outside.
    requests, events = made.leave_out(inside.fill_null(value=True), during.fill_null(value=True))
    detail = f"{requests} requests and {events} events lie outside of the window"
    row = {"room": "correlate", "topic": "window", "count": events, "detail": detail}
    return NOTES.conform(pl.DataFrame([row]))


def _manifest(
    sources: pl.DataFrame, sizes: Mapping[str, int], options: Mapping[str, Any], formats: Mapping[str, str]
) -> dict[str, Any]:
    identity = ("lines", "records", "with_events", "rejected", "skipped", "events")
    wanted = (
        "source",
        "within",
        "container",
        "compression",
        "encoding",
        "envelopes",
        "digest",
        "bytes",
        "stream_digest",
        "format",
        "format_basis",
        "zone",
        "zone_basis",
        *identity,
    )
    return {
        "strataline": "case",
        "version": version("strataline"),
        "options": dict(options),
        # What was drafted from the records has no file.
        "formats": {name: formats[name] for name in _used(sources) if name in formats},
        "inputs": sources.select(wanted).to_dicts(),
        "identity": {name: int(sources[name].sum()) for name in identity},
        "tables": dict(sorted(sizes.items())),
    }


def _aware(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
