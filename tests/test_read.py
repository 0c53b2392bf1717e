"""The room read/: which bytes of an input are records, from the file to the batch.

Law 1 of the house as properties: every byte of a stream lies in exactly one record or separator, and where a
record begins does not depend on how the stream was cut into pieces.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import itertools
import json
import lzma
import random
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings, strategies as st

from strataline.errors import InputError
from strataline.read import MAX_RECORD, Batch, Input, Options, Reading, at, read, rows_at
from strataline.read.frame import CHUNK, FRAME, RECORDS

BOM = b"\xef\xbb\xbf"

LINE = b'{"timestamp": "2026-11-21 22:44:29,490", "severity": "INFO", "message": "chat request received"}'

Row = tuple[int, int, int, bytes | None]
"""Line, offset, length, text."""

_numbers = itertools.count()


@dataclass(frozen=True)
class Taken:
    """All that reading one input gave."""

    rows: list[Row]
    reading: Reading
    batches: int

    @property
    def texts(self) -> list[bytes | None]:
        return [text for *_, text in self.rows]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("read")


def written(folder: Path, data: bytes) -> Path:
    file = folder / f"{next(_numbers)}.log"
    file.write_bytes(data)
    return file


def take(file: Path, *, max_record: int = MAX_RECORD, chunk: int = CHUNK) -> Taken:
    """What lies in a file that holds one stream, without taking wrappers off."""
    options = Options(max_record=max_record, chunk=chunk, wrappers=lambda _: ())
    ((reading, batches),) = [(source.reading, list(source.batches)) for source in read(Input("a.log", file), options)]
    rows = [row for batch in batches for row in batch.records.select("line", "offset", "length", "text").iter_rows()]
    return Taken(sorted(rows, key=lambda row: row[1]), reading, len(batches))


def taken(folder: Path, data: bytes, *, max_record: int = MAX_RECORD, chunk: int = CHUNK) -> Taken:
    """What reading `data` gives, the file gone afterwards."""
    file = written(folder, data)
    try:
        return take(file, max_record=max_record, chunk=chunk)
    finally:
        file.unlink()


def unlike(lines: int) -> bytes:
    """Lines that do not compress to nothing, so that damage has a place in the middle."""
    chance = random.Random(7)  # noqa: S311 - a fixed sample, no secret
    return b"".join(LINE + chance.randbytes(40).hex().encode() + b"\n" for _ in range(lines))


# Lines and their places.


@pytest.mark.parametrize(("data", "rows"), [
    (b"", []),
    (b"a\nbc\n", [(1, 0, 1, b"a"), (2, 2, 2, b"bc")]),
    (b"a\nbc", [(1, 0, 1, b"a"), (2, 2, 2, b"bc")]),
    (b"a\r\nbc\r\n", [(1, 0, 1, b"a"), (2, 3, 2, b"bc")]),
    (b"\n\r\na\n", [(1, 0, 0, b""), (2, 1, 0, b""), (3, 3, 1, b"a")]),
    (b"a\rb\n", [(1, 0, 3, b"a\rb")]),
    (b"a\r\r\n", [(1, 0, 2, b"a\r")]),
    (BOM + b"a\n", [(1, 3, 1, b"a")]),
    (b"a\n" + BOM + b"b\n", [(1, 0, 1, b"a"), (2, 2, 4, BOM + b"b")]),
    (BOM + BOM + b"a\n", [(1, 3, 4, BOM + b"a")]),
    (b"a\x00\xff\nb\n", [(1, 0, 3, b"a\x00\xff"), (2, 4, 1, b"b")]),
    (b"\x0b\x0c\xc2\x85\xe2\x80\xa8\n", [(1, 0, 7, b"\x0b\x0c\xc2\x85\xe2\x80\xa8")]),
])  # fmt: skip
def test_lines_end_at_line_feeds_alone(scratch: Path, data: bytes, rows: list[Row]) -> None:
    """A carriage return before the line end, and a byte-order mark at the start, are separators."""
    found = taken(scratch, data)
    assert found.rows == rows
    assert found.reading.lines == len(rows)
    assert found.reading.record_bytes + found.reading.separator_bytes == found.reading.stream_bytes == len(data)


@pytest.mark.parametrize("chunk", [3, 7, 8, 64, CHUNK])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_record_over_the_cap_loses_its_text_and_nothing_else(scratch: Path, chunk: int, end: bytes) -> None:
    data = b"ab\n" + b"x" * 20 + end
    after = end and b"cd\n"
    found = taken(scratch, data + after, max_record=8, chunk=chunk)
    assert found.texts == [b"ab", b"x" * 20, *([b"cd"] if after else [])], "its beginning is kept"
    assert [row[:2] for row in found.rows] == [(1, 0), (2, 3), (3, len(data))][: len(found.rows)]
    assert found.rows[1][2] == 20, "the separator is no part of the record"
    assert found.reading.record_bytes + found.reading.separator_bytes == found.reading.stream_bytes


@pytest.mark.parametrize("chunk", range(1, 12))
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_record_as_long_as_the_cap_keeps_its_text_wherever_the_chunk_ends(
    scratch: Path, chunk: int, end: bytes
) -> None:
    found = taken(scratch, b"abcd" + end + b"ef" + end, max_record=4, chunk=chunk)
    assert found.texts == [b"abcd", b"ef"]


def test_memory_follows_the_options_and_not_the_input(scratch: Path) -> None:
    """64 MiB of one endless line, from a gz of 64 KiB, at a cap of 256 KiB."""
    zipper = zlib.compressobj(wbits=31)
    packed = b"".join(zipper.compress(b"x" * (1 << 20)) for _ in range(64)) + zipper.flush()
    file = written(scratch, packed)
    tracemalloc.start()
    try:
        found = take(file, max_record=1 << 18, chunk=1 << 18)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(length, text) for _, _, length, text in found.rows] == [(64 << 20, b"x" * 200)]
    assert peak < 8 << 20


pieces = st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"", b"a", b"{}", b" ", b"\x00", b"\xff", b"x" * 9, BOM, BOM[:2], b"\x1f\x8b", b"PK"]
)
streams = st.one_of(st.binary(max_size=60), st.lists(pieces, max_size=25).map(b"".join))
plain = streams.filter(lambda data: not data.startswith((b"\x1f\x8b", b"PK\x03\x04")))


BETWEEN = {
    "lines": b"\r\n",
    "csv": b"\r\n",
    "sse": b"\r\n",
    "documents": b"\r\n\t ,",
    "array": b"\r\n\t ,[]",
    "list": b"\r\n\t ,",
    "har": b"\r\n\t ,",
}
"""What may lie between two records."""


def tiled(data: bytes, rows: list[Row], container: str = "lines") -> bool:
    """Whether `rows` lie in order and without overlap, with nothing but separators between them."""
    end = 0
    for _, offset, length, _ in rows:
        if offset < end or set(data[end:offset].removeprefix(b"" if end else BOM)) - set(BETWEEN[container]):
            return False
        end = offset + length
    rest = data[end:].removeprefix(b"" if end else BOM)
    return end <= len(data) and not set(rest) - set(BETWEEN[container])


@given(data=plain, max_record=st.integers(1, 12), chunk=st.integers(3, 70))
def test_every_byte_is_in_one_record_or_separator(scratch: Path, data: bytes, max_record: int, chunk: int) -> None:
    found = taken(scratch, data, max_record=max_record, chunk=chunk)
    reading = found.reading
    assert reading.record_bytes == sum(length for _, _, length, _ in found.rows)
    assert reading.record_bytes + reading.separator_bytes == reading.stream_bytes == len(data)
    assert tiled(data, found.rows, reading.container) or reading.encoding is not None


@given(data=plain, max_record=st.integers(1, 12), chunk=st.integers(1, 70))
@example(data=b"abcd\r\n", max_record=4, chunk=5)
@example(data=b"abcdef\r\n", max_record=4, chunk=5)
@example(data=b"a\r", max_record=4, chunk=1)
@example(data=BOM + b"a\n", max_record=4, chunk=1)
@example(data=BOM + b"a\n", max_record=4, chunk=2)
def test_records_do_not_depend_on_the_chunk_size(scratch: Path, data: bytes, max_record: int, chunk: int) -> None:
    found = taken(scratch, data, max_record=max_record, chunk=chunk)
    whole = taken(scratch, data, max_record=max_record)
    assert found.rows == whole.rows
    assert found.reading == whole.reading


# Digests and compression.


def test_source_is_hashed_as_it_lies_and_as_it_reads(scratch: Path) -> None:
    data = LINE + b"\n"
    found = taken(scratch, data).reading
    assert (found.digest, found.bytes, found.compression) == (hashlib.sha256(data).hexdigest(), len(data), None)
    assert (found.stream_digest, found.stream_bytes) == (found.digest, found.bytes)
    packed = gzip.compress(data)
    found = taken(scratch, packed).reading
    assert (found.digest, found.bytes) == (hashlib.sha256(packed).hexdigest(), len(packed))
    assert (found.stream_digest, found.stream_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (found.compression, found.container, found.cut) == ("gz", "lines", None)


@given(
    members=st.lists(streams, min_size=1, max_size=4),
    chunk=st.integers(2, 90),
    padding=st.sampled_from([0, 1, 7, 600]),
)
@example(members=[b"a\n"], chunk=24, padding=7)
@example(members=[BOM[:2], BOM[2:] + b"a\n"], chunk=90, padding=0)
def test_gzip_members_read_as_their_contents_one_after_another(
    scratch: Path, members: list[bytes], chunk: int, padding: int
) -> None:
    """Concatenated members, empty ones among them, and the zero padding that tapes and object stores leave."""
    stream = b"".join(members)
    assume(not stream.startswith((b"\x1f\x8b", b"PK\x03\x04")))
    packed = b"".join(gzip.compress(one, mtime=0) for one in members) + bytes(padding)
    found = taken(scratch, packed, chunk=chunk)
    assert found.rows == taken(scratch, stream).rows
    assert found.reading.stream_digest == hashlib.sha256(stream).hexdigest()
    assert found.reading.cut is None


def test_small_gzip_members_do_not_become_a_batch_each(scratch: Path) -> None:
    """A writer that flushes a member per line must not cost a query per line."""
    found = taken(scratch, gzip.compress(LINE + b"\n", mtime=0) * 500)
    assert found.texts == [LINE] * 500
    assert found.batches <= 2


def test_many_small_gzip_members_take_time_in_proportion(scratch: Path) -> None:
    before = time.process_time()
    found = taken(scratch, gzip.compress(LINE + b"\n", mtime=0) * 60_000)
    assert len(found.rows) == 60_000
    assert time.process_time() - before < 4


def test_gzip_cut_in_the_middle_gives_what_lies_before_the_cut(scratch: Path) -> None:
    data = unlike(400)
    packed = gzip.compress(data)
    found = taken(scratch, packed[: len(packed) // 2])
    assert found.reading.cut == "gzip stream ends in the middle"
    assert len(found.rows) > 100
    assert tiled(data[: found.reading.stream_bytes], found.rows)


@pytest.mark.parametrize("kept", [1, 2, 9, 11])
def test_gzip_of_a_header_alone_is_a_cut_stream_without_records(scratch: Path, kept: int) -> None:
    found = taken(scratch, gzip.compress(LINE)[:kept])
    if kept == 1:
        assert found.texts == [b"\x1f"], "one byte is no gzip yet"
    else:
        assert found.rows == []
        assert found.reading.cut == "gzip stream ends in the middle"


def test_garbage_after_a_gzip_stream_costs_no_record(scratch: Path) -> None:
    found = taken(scratch, gzip.compress(unlike(50)) + b"not gzip\n")
    assert len(found.rows) == 50
    assert found.reading.cut is not None


def test_wrong_checksum_costs_no_record(scratch: Path) -> None:
    """The checksum comes last: all that it stands for has been read by then."""
    data = unlike(50)
    packed = bytearray(gzip.compress(data))
    packed[-8] ^= 1
    found = taken(scratch, bytes(packed))
    assert b"".join(text + b"\n" for text in found.texts if text is not None) == data
    assert found.reading.cut is not None
    assert "damaged" in found.reading.cut


def test_damage_inside_a_gzip_stream_costs_nothing_that_lies_before_it(scratch: Path) -> None:
    """An invalid block after 300 sound lines: they are read, and the stream is said to be damaged."""
    data = unlike(300)
    zipper = zlib.compressobj(wbits=31)
    sound = zipper.compress(data) + zipper.flush(zlib.Z_FULL_FLUSH)
    broken = sound + b"\x07" + b"\xff" * 40  # block type 3 does not exist
    for chunk in (64, 4096, CHUNK):
        found = taken(scratch, broken, chunk=chunk)
        assert found.texts == data.splitlines()
        assert found.reading.cut is not None
        assert found.reading.bytes == len(broken), "the file is hashed to its end"


def test_file_that_is_gone_is_refused_by_its_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        list(read(Input("a.log", tmp_path / "a.log")))


def test_batch_has_the_columns_that_parsing_takes(scratch: Path) -> None:
    file = written(scratch, b"a\n")
    (batch,) = [batch for source in read(Input("a.log", file)) for batch in source.batches]
    assert isinstance(batch, Batch)
    assert batch.records.schema == RECORDS


# Evidence, read again by its address.


@given(
    data=streams.filter(lambda data: not data.startswith((b"\x1f\x8b", b"PK\x03\x04"))),
    packed=st.booleans(),
    seed=st.integers(0, 9),
)
def test_every_record_is_found_again_at_its_address(scratch: Path, data: bytes, packed: bool, seed: int) -> None:
    """In any order, named twice, and through gzip."""
    file = written(scratch, gzip.compress(data, mtime=0) if packed else data)
    found = take(file)
    rows = [(*row[:3], data[row[1] : row[1] + row[2]]) for row in found.rows]
    random.Random(seed).shuffle(rows)  # noqa: S311 - an order, no secret
    wanted = [(offset, length) for _, offset, length, _ in rows]
    assert at(Input("a.log", file), wanted + wanted) == [text for *_, text in rows] * 2
    file.unlink()


def test_addresses_may_overlap_and_be_empty(scratch: Path) -> None:
    file = written(scratch, b"0123456789")
    assert at(Input("a.log", file), [(2, 6), (3, 1), (0, 10), (10, 0), (3, 4)]) == [
        b"234567",
        b"3",
        b"0123456789",
        b"",
        b"3456",
    ]
    assert at(Input("a.log", file), []) == []


def test_address_beyond_the_stream_is_refused(scratch: Path) -> None:
    file = written(scratch, b"0123456789")
    with pytest.raises(InputError, match="the stream ends before byte 12"):
        at(Input("a.log", file), [(0, 4), (8, 4)])


def test_address_in_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        at(Input("a.log", tmp_path / "gone.log"), [(0, 1)])


def test_what_lies_before_the_damage_of_a_gzip_is_found_by_address(scratch: Path) -> None:
    data = unlike(400)
    packed = gzip.compress(data)
    file = written(scratch, packed[: len(packed) // 2])
    assert at(Input("a.log", file), [(0, len(LINE))]) == [LINE]


# The whole way: what was put into containers, wrappers, archives and compression comes out again.


def docker(line: bytes) -> list[bytes]:
    """As docker's json-file driver does, in two pieces where the line is long."""
    text = line.decode()
    parts = [text[:30], text[30:] + "\n"] if len(text) > 60 else [text + "\n"]
    return [json.dumps({"log": part, "stream": "stdout", "time": "2026-11-21T00:00:00.1Z"}).encode() for part in parts]


def cri(line: bytes) -> list[bytes]:
    head, rest = line[:20], line[20:]
    time = b"2026-11-21T00:00:00.100000000Z stdout "
    return [time + b"P " + head, time + b"F " + rest] if rest else [time + b"F " + head]


def cloudwatch(line: bytes) -> list[bytes]:
    message = {"timestamp": 1790000000000, "id": "1", "message": line.decode()}
    record = {"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "s", "logEvents": [message]}
    return [json.dumps(record | {"subscriptionFilters": ["f"]}).encode()]


def gcp(line: bytes) -> list[bytes]:
    return [b'{"insertId": "a", "logName": "l", "timestamp": "2026-11-21T00:00:00Z", "jsonPayload": ' + line + b"}"]


def loki(line: bytes) -> list[bytes]:
    return [json.dumps({"labels": {"a": "b"}, "line": line.decode(), "timestamp": "2026-11-21T00:00:00Z"}).encode()]


WRAPPERS: dict[str, Callable[[bytes], list[bytes]]] = {
    "docker": docker,
    "cri": cri,
    "cloudwatch": cloudwatch,
    "gcp": gcp,
    "loki": loki,
}


def as_array(records: list[bytes]) -> bytes:
    return b"[\n" + b",\n".join(records) + b"\n]\n"


def as_documents(records: list[bytes]) -> bytes:
    return b"\n".join(json.dumps(json.loads(one), indent=2).encode() for one in records) + b"\n"


def as_csv(records: list[bytes]) -> bytes:
    cells = [b"n,kind,record", *(b'%d,x,"%s"' % (at, one.replace(b'"', b'""')) for at, one in enumerate(records))]
    return b"\r\n".join(cells) + b"\r\n"


def as_sse(records: list[bytes]) -> bytes:
    return b"".join(b"data: " + one + b"\n\n" for one in records)


CONTAINERS: dict[str, Callable[[list[bytes]], bytes]] = {
    "lines": lambda records: b"\n".join(records) + b"\n",
    "array": as_array,
    "documents": as_documents,
    "csv": as_csv,
    "sse": as_sse,
}


def in_tar(data: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in ("before.log", "app/log"):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def in_zip(data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("app/log", data)
    return made.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lz4": lz4.frame.compress,
    "zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
    "tar.gz": lambda data: gzip.compress(in_tar(data)),
    "zip": in_zip,
    "tar.gz in zip": lambda data: in_zip(gzip.compress(in_tar(data))),
}

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=80)
RECORDS_GIVEN = st.lists(TEXTS, min_size=3, max_size=12).map(
    lambda texts: [json.dumps({"n": at, "text": text, "event": "e"}).encode() for at, text in enumerate(texts)]
)


def everything(file: Path, *, chunk: int = CHUNK, described: bool = False) -> dict[str, tuple[pl.DataFrame, Reading]]:
    """Records and reading of each source."""

    def known(texts: pl.Series) -> bool:
        return described or all(text.startswith(b'{"n":') for text in texts.to_list())

    found = {}
    for source in read(Input("a", file), Options(chunk=chunk, described=known)):
        frames = [batch.records for batch in source.batches]
        found[source.one.source] = (pl.concat([pl.DataFrame(schema=RECORDS), *frames]), source.reading)
    return found


@given(
    records=RECORDS_GIVEN,
    wrappers=st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=2),
    container=st.sampled_from(["lines", "array", "documents", "sse"]),
    packing=st.sampled_from(sorted(PACKINGS)),
    chunk=st.integers(20, 3000),
)
@settings(max_examples=120, deadline=None)
def test_what_was_wrapped_and_packed_comes_out_as_it_was(
    scratch: Path, records: list[bytes], wrappers: list[str], container: str, packing: str, chunk: int
) -> None:
    assume(container == "lines" or "cri" not in wrappers[-1:])
    assume(wrappers.count("gcp") == 0 or wrappers[0] == "gcp")
    lines = records
    for name in wrappers:
        lines = [made for line in lines for made in WRAPPERS[name](line)]
    data = CONTAINERS[container](lines)
    file = written(scratch, PACKINGS[packing](data))
    sources = everything(file, chunk=chunk)
    holding = [name for name, (frame, _) in sources.items() if frame.height]
    assert len(holding) == (2 if "tar" in packing else 1)
    for name in holding:
        frame, reading = sources[name]
        assert reading.envelopes == tuple(reversed(wrappers))
        texts = [text for text, fault in frame.select("text", "fault").iter_rows() if fault != FRAME]
        assert [json.loads(text) for text in texts] == [json.loads(one) for one in records]
        assert reading.record_bytes + reading.separator_bytes == reading.stream_bytes == len(data)
        # Every byte: of each address, and between them.
        own = {
            (offset, length)
            for offset, length, parts in frame.select("offset", "length", "parts").iter_rows()
            if not parts
        }
        own |= {(one["offset"], one["length"]) for parts in frame["parts"].to_list() for one in parts or []}
        assert sum(length for _, length in own) == reading.record_bytes
        inside = tuple(name.split("!")[1:])
        addresses = sorted(own)
        assert at(Input("a", file, inside=inside), addresses) == [data[o : o + n] for o, n in addresses]
    again = everything(file)
    assert {name: frame.drop("envelope").rows() for name, (frame, _) in sources.items()} == {
        name: frame.drop("envelope").rows() for name, (frame, _) in again.items()
    }
    file.unlink()


@given(
    records=RECORDS_GIVEN,
    wrapper=st.sampled_from([None, "docker", "gcp", "loki"]),
    container=st.sampled_from(["lines", "array", "csv", "sse"]),
    damage=st.sampled_from(["cut", "byte", "quote", "nul"]),
    where=st.integers(0, 2),
)
@settings(max_examples=120, deadline=None)
def test_damaged_record_costs_no_other(
    scratch: Path, records: list[bytes], wrapper: str | None, container: str, damage: str, where: int
) -> None:
    lines = [made for line in records for made in WRAPPERS[wrapper](line)] if wrapper else list(records)
    hit = lines[where]
    broken = {
        "cut": hit[: len(hit) // 2],
        "byte": hit[:9] + b"\xff" + hit[9:],
        "quote": hit[:9] + b'"' + hit[9:],
        "nul": hit[:9] + b"\x00" + hit[9:],
    }[damage]
    data = CONTAINERS[container]([*lines[:where], broken, *lines[where + 1 :]])
    file = written(scratch, data)
    ((frame, reading),) = everything(file, described=True).values()
    assert reading.container in (container, "lines")
    assert reading.record_bytes + reading.separator_bytes == len(data)
    texts = frame["text"].to_list()
    kept = [one for at, one in enumerate(lines) if at != where]
    if reading.container == "csv":
        texts = [json.loads(text)["record"].encode() for text in texts if text and text.startswith(b'{"n":"')]
    left = [one for one in kept if one not in texts]
    assert left == []
    file.unlink()


def test_rows_of_a_table_are_found_again(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})
    pq.write_table(table, tmp_path / "t.parquet")
    one = Input("t.parquet", tmp_path / "t.parquet")
    assert [json.loads(row) for row in rows_at(one, "t.parquet", [2, 0])] == [{"a": 3, "b": "z"}, {"a": 1, "b": "x"}]
    with pytest.raises(InputError, match="no row 7"):
        rows_at(one, "t.parquet", [7])
