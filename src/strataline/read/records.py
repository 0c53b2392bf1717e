"""One input to the records of everything that lies in it: the way from bytes to batches.

A file is decompressed, its archives are opened, its encoding and container are told from the head of each stream,
records are cut, wrappers are taken off, and continuation lines are put to their records. Every byte of a stream belongs
to one record or is a separator between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import polars as pl

from strataline.errors import InputError
from strataline.read.archives import Stream, archive_of, stream_at, streams
from strataline.read.continuation import Grouper
from strataline.read.delimited import sniff_delimited, split_delimited
from strataline.read.documents import sniff_documents, split_documents
from strataline.read.encodings import WIDE, Narrowed, decoded, likely_encoding, sniff_encoding
from strataline.read.envelope import Envelope, Unwrapper, named, plan
from strataline.read.frame import CHUNK, HEAD, MAX_RECORD, Batch, Reading, conform
from strataline.read.inputs import Input
from strataline.read.lines import sniff_end, sniff_sse, split_lines, split_sse
from strataline.read.prefixes import PREFIXES
from strataline.read.streams import Limits, codec_of, peeked
from strataline.read.tables import TABLE_MAGIC, Table, read_tables
from strataline.read.wrappers import ENVELOPES

_DOUBTFUL = 100
"""Records that an encoding is guessed from."""

LOOKED = 400
"""Records, spread over the head, that wrappers are told from."""

Described = Callable[[pl.Series], bool]
"""Whether a format knows these records (Binary) as they stand."""


@dataclass(frozen=True)
class Options:
    """How inputs are read.

    Args:
        max_record: bytes of the longest record that is kept.
        chunk: bytes of a stream that are taken at once; no result depends on it.
        limits: of archives and compressed streams.
        encoding: source → the encoding it has; null to have it told.
        described: see `Described`; wrappers are taken off until it is true.
        wrappers: source → names of the wrappers to take off; null to have them told.
    """

    max_record: int = MAX_RECORD
    chunk: int = CHUNK
    limits: Limits = field(default_factory=Limits)
    encoding: Callable[[str], str | None] = lambda _: None
    described: Described = lambda _: False
    wrappers: Callable[[str], Sequence[str] | None] = lambda _: None


@dataclass
class Source:
    """One stream or table of an input.

    Args:
        one: it, with its way into archives.
        within: source of the archive or database that it lies in; null for a file.
        reading: what is known of it, once all batches were taken.
        batches: its records.
    """

    one: Input
    within: str | None
    reading: Reading
    batches: Iterator[Batch]


def read(one: Input, options: Options | None = None) -> Iterator[Source]:
    """Yield what lies in `one`: the file itself, or the members of an archive and last the archive.

    The batches of a source are to be taken before the next source is asked for. Memory follows the options, not the
    size of the input.

    Raises:
        InputError: if the file cannot be opened or read.
    """
    options = options or Options()
    try:
        size = one.size()
        found = streams(one.source, one.open, limits=options.limits, chunk=options.chunk, path=one.path, size=size)
        for stream in found:
            yield from _sources(one, stream, options)
    except OSError as problem:
        raise InputError(f"cannot be read: {problem.strerror or problem}", path=one.place) from problem


def reread(one: Input, reading: Reading, encoding: str, options: Options) -> Source:
    """The stream `one` again, in another encoding; what the first `reading` says of the file stays.

    Raises:
        InputError: if the file cannot be opened or read.
    """
    again = Reading(
        compression=reading.compression,
        digest=reading.digest,
        bytes=reading.bytes,
        stream_digest=reading.stream_digest,
        stream_bytes=reading.stream_bytes,
        cut=reading.cut,
        notes=list(reading.notes),
    )
    stream = Stream(one.source, one.inside, None, again, _pieces(one, options), None, one.open)
    return Source(one, None, again, _text(stream, options, encoding))


def at(one: Input, addresses: Sequence[tuple[int, int]], options: Options | None = None) -> list[bytes]:
    """Return the bytes at each (offset, length) of the decompressed stream of `one`.

    Raises:
        InputError: if the file cannot be read, or ends before an address.
    """
    found: dict[tuple[int, int], bytes] = {}
    wanted = sorted(set(addresses))
    start, carry = 0, b""
    for piece in _pieces(one, options or Options()):
        carry += piece
        while wanted and sum(wanted[0]) <= start + len(carry):
            offset, length = wanted.pop(0)
            found[offset, length] = carry[offset - start : offset - start + length]
        if not wanted:
            break
        keep = min(max(wanted[0][0] - start, 0), len(carry))
        start, carry = start + keep, carry[keep:]
    else:
        if start + len(carry) == 0 and wanted and sum(wanted[0]) == 0:
            found |= {address: b"" for address in wanted if sum(address) == 0}
            wanted = [address for address in wanted if sum(address)]
    if wanted:
        raise InputError(f"the stream ends before byte {sum(wanted[0])}", path=one.place)
    return [found[address] for address in addresses]


def rows_at(one: Input, table: str, rows: Sequence[int], options: Options | None = None) -> list[bytes]:
    """Return the rows (by number, from 0) of the source `table` in `one`, as the JSON objects that they were read as.

    Raises:
        InputError: if the table cannot be read, or has no such row.
    """
    options = replace(options or Options(), wrappers=lambda _: ())
    found: dict[int, bytes] = {}
    wanted = set(rows)
    for source in read(one, options):
        if source.one.source != table:
            continue
        for batch in source.batches:
            here = batch.records.filter(pl.col("offset").is_in(wanted))
            found |= dict(here.select("offset", "text").iter_rows())
    missing = sorted(wanted - set(found))
    if missing:
        raise InputError(f"the table has no row {missing[0]}", path=one.place)
    return [found[row] for row in rows]


def _pieces(one: Input, options: Options) -> Iterator[bytes]:
    try:
        yield from stream_at(one.source, one.open, one.inside, limits=options.limits, chunk=options.chunk)
    except OSError as problem:
        raise InputError(f"cannot be read: {problem.strerror or problem}", path=one.place) from problem


def _sources(one: Input, stream: Stream, options: Options) -> Iterator[Source]:
    reading = stream.reading
    member = one if stream.source == one.source else replace(one, source=stream.source, inside=stream.inside)
    if reading.problem is not None or reading.container in ("tar", "zip"):
        yield Source(member, stream.within, reading, _whole(stream))
        return
    head, stream.pieces = peeked(stream.pieces, 16)
    kind = next((kind for magic, kind in TABLE_MAGIC.items() if head.startswith(magic)), None)
    if kind is None:
        yield Source(member, stream.within, reading, _text(stream, options, options.encoding(stream.source)))
        return
    reading.container = kind
    for _ in stream.pieces:
        pass
    if kind != "sqlite":
        yield Source(member, stream.within, reading, _rows(stream, kind, options))
        return
    yield from _database(member, stream, options)


def _database(one: Input, stream: Stream, options: Options) -> Iterator[Source]:
    """The tables of a database, then the database itself."""
    file = stream.path or stream.reopen()
    for table in read_tables("sqlite", file, options.max_record):
        if table.name is None:
            stream.reading.problem = table.problem
            continue
        reading = Reading(container="sqlite")
        # Two tables of one file are two streams.
        name = f"{stream.reading.stream_digest}\0{table.name}".encode("utf-8", "surrogateescape")
        reading.stream_digest = hashlib.sha256(name).hexdigest()
        inner = replace(one, source=f"{stream.source}!{table.name}", inside=(*stream.inside, table.name))
        yield Source(inner, stream.source, reading, _finished(inner.source, _taken(table, reading), reading, options))
    stream.reading.container = "sqlite"
    yield Source(one, stream.within, stream.reading, _whole(stream))


def _whole(stream: Stream) -> Iterator[Batch]:
    """What is no record itself (an archive, a database), or could not be opened: then all of it is one reject."""
    for _ in stream.pieces:
        pass
    reading = stream.reading
    if reading.problem is None:
        return
    reading.record_bytes = reading.stream_bytes
    row = {"line": 1, "offset": 0, "length": reading.stream_bytes, "text": b"", "fault": "unreadable"}
    yield Batch(conform(pl.DataFrame([{**row, "detail": reading.problem}])))


def _rows(stream: Stream, kind: str, options: Options) -> Iterator[Batch]:
    reading = stream.reading
    for table in read_tables(kind, stream.path or stream.reopen(), options.max_record):
        yield from _finished(stream.source, _taken(table, reading), reading, options)
    if reading.problem is not None:
        yield from _whole(stream)


def _taken(table: Table, reading: Reading) -> Iterator[pl.DataFrame]:
    """The rows of a table; what is the matter with it is known when they were taken."""
    rows = 0
    for frame in table.frames:
        rows += frame.height
        yield frame
    if rows:
        reading.cut = reading.cut or table.problem
    else:
        reading.problem = table.problem


def _text(stream: Stream, options: Options, encoding: str | None) -> Iterator[Batch]:
    """The records of a stream of text."""
    reading = stream.reading
    head, pieces = peeked(stream.pieces, HEAD)
    told, mark = sniff_encoding(head)
    if told is not None and not mark and encoding is None:
        detail = f"read as {told}, told by the zero halves of its characters (--encoding names another)"
        reading.notes.append(("encoding_assumed", detail, 1))
    reading.encoding = encoding = encoding or told
    pieces, head, start = _without(pieces, mark), head[mark:], mark
    narrowed = None
    if encoding in WIDE:
        narrowed, start = Narrowed(pieces, encoding, mark), 0
        pieces = iter(narrowed)
        head, pieces = peeked(pieces, HEAD)
    end = sniff_end(head)
    # What is cut in UTF-8 is counted as it lies when it has been turned back.
    cut = reading if narrowed is None else Reading()
    frames = _cut(head, pieces, end, start, cut, options.max_record)
    reading.container = cut.container
    if narrowed is not None:
        frames = narrowed.widened(frames, reading)
    elif encoding is not None:
        frames = (decoded(frame, encoding) for frame in frames)
    else:
        frames = (_judged(frame, reading) for frame in frames)
    yield from _finished(stream.source, frames, reading, options, end)
    if narrowed is not None:
        reading.lines = cut.lines
        reading.separator_bytes += narrowed.taken - reading.record_bytes
    reading.separator_bytes += mark


def _cut(
    head: bytes, pieces: Iterator[bytes], end: bytes, start: int, reading: Reading, max_record: int
) -> Iterator[pl.DataFrame]:
    """The records of whatever container `head` shows."""
    whole = len(head) < HEAD
    documents = sniff_documents(head, whole)
    if documents is not None:
        reading.container = documents.kind
        return split_documents(pieces, documents, reading, max_record, start)
    if sniff_sse(head, whole=whole):
        reading.container = "sse"
        return split_sse(pieces, end, reading, max_record, start)
    table = sniff_delimited(head, whole)
    if table is not None:
        reading.container = "csv"
        return split_delimited(pieces, table, reading, max_record, start)
    return split_lines(pieces, end, reading, max_record, start)


def _finished(
    source: str, frames: Iterator[pl.DataFrame], reading: Reading, options: Options, end: bytes = b"\n"
) -> Iterator[Batch]:
    """Take the wrappers off, put continuation lines to their records."""
    frames = (conform(frame) for frame in frames)
    names = options.wrappers(source)
    if names is None:
        first, frames = _sample(frames)
        looked = first.filter(pl.col("fault").is_null())["text"].drop_nulls().to_list()
        looked = [text for text in looked if text.strip()]
        looked = looked[:: max(1, len(looked) // LOOKED)]
        wrappers = plan(looked, lambda texts: options.described(pl.Series(texts, dtype=pl.Binary)), KNOWN_WRAPPERS)
    else:
        wrappers = named(names, KNOWN_WRAPPERS)
    reading.envelopes = tuple(wrapper.name for wrapper in wrappers)
    for frame in _grouped(_unwrapped(frames, wrappers, reading, options), reading, options, end):
        if frame.height:
            yield Batch(frame)


def _unwrapped(
    frames: Iterator[pl.DataFrame], wrappers: list[Envelope], reading: Reading, options: Options
) -> Iterator[pl.DataFrame]:
    if not wrappers:
        yield from frames
        return
    unwrapper = Unwrapper(wrappers, options.max_record)
    for frame in frames:
        yield from unwrapper.steps(frame)
    yield unwrapper.end()
    reading.wrapped = unwrapper.opened[0]
    if unwrapper.unfinished:
        detail = "pieces of a long line whose end is not in this source"
        reading.notes.append(("unfinished", detail, unwrapper.unfinished))


def _grouped(frames: Iterator[pl.DataFrame], reading: Reading, options: Options, end: bytes) -> Iterator[pl.DataFrame]:
    grouper = Grouper(reading, options.max_record, end)
    for frame in frames:
        yield grouper.feed(frame)
    yield grouper.end()


KNOWN_WRAPPERS: tuple[Envelope, ...] = (*ENVELOPES, *PREFIXES)


def _sample(frames: Iterator[pl.DataFrame]) -> tuple[pl.DataFrame, Iterator[pl.DataFrame]]:
    """The records that lie within the head, whatever the chunk (at least the first), and all frames again."""
    taken: list[pl.DataFrame] = []
    found: list[pl.DataFrame] = []
    rows = 0
    for frame in frames:
        taken.append(frame)
        inside = frame.filter((pl.col("offset") + pl.col("length") <= HEAD) & (pl.int_range(pl.len()) + rows < 10_000))
        found.append(inside)
        rows += frame.height
        if inside.height < frame.height:
            break
    if not taken:
        return conform(pl.DataFrame()), iter(())
    sample = pl.concat(found)
    return sample if sample.height else pl.concat(taken).head(1), chain(taken, frames)


def _judged(frame: pl.DataFrame, reading: Reading) -> pl.DataFrame:
    """`frame`, with its records that are not ASCII, and those that are not UTF-8, counted."""
    text = frame["text"].drop_nulls()
    try:
        sound = text.cast(pl.String)
    except pl.exceptions.ComputeError:
        for one in text.to_list():
            reading.not_ascii += not one.isascii()
            if not _is_utf8(one):
                reading.not_utf8 += 1
                reading.doubtful += [one] if len(reading.doubtful) < _DOUBTFUL else []
    else:
        reading.not_ascii += int((sound.str.len_bytes() != sound.str.len_chars()).sum())
    return frame


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def may_hold_more(one: Input) -> bool:
    """Whether `one` is compressed, an archive or a database: what lies in it may have names of its own."""
    try:
        with one.open() as file:
            head = file.read(4096)
    except OSError:
        return False
    return codec_of(head) is not None or archive_of(head) is not None or head.startswith(b"SQLite format 3\0")


def better_encoding(reading: Reading) -> str | None:
    """The encoding that a source has where more than half of its records with other than ASCII are not UTF-8."""
    if reading.encoding is not None or 2 * reading.not_utf8 <= reading.not_ascii:
        return None
    return likely_encoding(reading.doubtful)


def _without(pieces: Iterator[bytes], mark: int) -> Iterator[bytes]:
    for piece in pieces:
        rest, mark = piece[mark:], max(0, mark - len(piece))
        if rest:
            yield rest
