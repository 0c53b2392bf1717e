"""The room read/: which files are meant, and which of their bytes are records.

Law 1 of the house as properties: every byte of a stream lies in exactly one record or separator, and where a
record begins does not depend on how the stream was cut into pieces.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import random
import time
import tracemalloc
import zlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, example, given, strategies as st

from strataline.errors import InputError
from strataline.read import MAX_RECORD, Batch, Input, Reading, at, find_inputs, read
from strataline.read.records import BOM, CHUNK, UNSUPPORTED

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
    reading = Reading()
    batches = list(read(Input(file.name, file), reading, max_record, chunk))
    rows = [row for batch in batches for row in batch.records.select("line", "offset", "length", "text").iter_rows()]
    return Taken(rows, reading, len(batches))


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


# Which files are meant.


def sources(*names: str | os.PathLike[str]) -> list[str]:
    return [one.source for one in find_inputs(names).inputs]


def test_folder_is_walked_and_its_files_are_named_below_it(tmp_path: Path) -> None:
    for name in ("app/prompt.jsonl", "app/old/prompt.jsonl.1.gz", "ui.jsonl"):
        file = tmp_path / "logs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"{}\n")
    found = find_inputs([tmp_path / "logs"])
    assert [one.source for one in found.inputs] == ["app/old/prompt.jsonl.1.gz", "app/prompt.jsonl", "ui.jsonl"]
    assert [one.folder for one in found.inputs] == ["app/old", "app", ""]
    assert [one.path for one in found.inputs] == [tmp_path / "logs" / one.source for one in found.inputs]
    assert (found.skipped, found.twice) == ([], [])


def test_named_file_is_called_by_its_name_and_a_glob_names_its_matches(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl", "c.log"):
        (tmp_path / name).write_bytes(b"x\n")
    assert sources(tmp_path / "c.log") == ["c.log"]
    assert sources(str(tmp_path / "*.jsonl")) == ["a.jsonl", "b.jsonl"]


def test_glob_that_matches_a_folder_means_the_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "pod-1").mkdir()
    (tmp_path / "pod-1" / "app.log").write_bytes(b"x\n")
    assert sources(str(tmp_path / "pod-*")) == ["app.log"]


def test_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "app[1].log").write_bytes(b"x\n")
    (tmp_path / "app1.log").write_bytes(b"x\n")
    assert sources(tmp_path / "app[1].log") == ["app[1].log"]


def test_equal_names_are_told_apart_by_as_few_parent_folders_as_needed(tmp_path: Path) -> None:
    for pod in ("pod-1", "pod-2"):
        (tmp_path / "eu" / pod).mkdir(parents=True)
        (tmp_path / "eu" / pod / "app.log").write_bytes(b"x\n")
    (tmp_path / "ui.log").write_bytes(b"x\n")
    names = [tmp_path / "eu" / "pod-1" / "app.log", tmp_path / "eu" / "pod-2" / "app.log", tmp_path / "ui.log"]
    assert sources(*names) == ["pod-1/app.log", "pod-2/app.log", "ui.log"]


def test_order_of_names_does_not_matter(tmp_path: Path) -> None:
    for name in ("x/a.log", "y/a.log", "y/b.log", "c.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    names = [str(tmp_path / "x"), str(tmp_path / "y"), str(tmp_path / "c.log"), str(tmp_path / "y" / "b.log")]
    first = find_inputs(names)
    assert all(find_inputs(order) == first for order in itertools.permutations(names))


def test_hidden_files_and_folders_are_left_out_and_listed(tmp_path: Path) -> None:
    for name in (".git/config", "app/.swp", "app/a.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    found = find_inputs([tmp_path])
    assert [one.source for one in found.inputs] == ["app/a.log"]
    assert found.skipped == [(".git", "hidden, not read"), ("app/.swp", "hidden, not read")]


def test_hidden_file_that_is_named_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / ".app.log").write_bytes(b"x\n")
    assert sources(tmp_path / ".app.log") == [".app.log"]


def test_file_that_is_named_twice_is_read_once_and_said(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "a.log"
    log.write_bytes(b"x\n")
    (tmp_path / "logs" / "b.log").write_bytes(b"y\n")
    found = find_inputs([tmp_path / "logs", log])
    assert [(one.source, one.path) for one in found.inputs] == [("a.log", log), ("b.log", tmp_path / "logs" / "b.log")]
    assert found.twice == ["a.log"]


def test_pipe_in_a_folder_is_not_waited_for_and_listed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.log").write_bytes(b"x\n")
    assert sources(tmp_path) == ["a.log"]
    assert find_inputs([tmp_path]).skipped == [("pipe", "neither file nor folder, not read")]


@pytest.mark.parametrize("name", ["gone.log", "empty", "*.jsonl", "pipe"])
def test_name_that_means_nothing_is_refused_with_a_hint(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.log").write_bytes(b"x\n")
    with pytest.raises(InputError, match="nothing to read") as refused:
        find_inputs([tmp_path / "a.log", str(tmp_path / name)])
    assert name in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("names", [[], [""], ["logs", ""]])
def test_no_name_and_an_empty_name_are_refused_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    """An unset variable in a script must not mean the folder it runs in."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_bytes(b"x\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="nothing to read") as refused:
        find_inputs(names)
    assert refused.value.hint


# Links: log folders of containers are full of them.


def test_linked_file_is_called_as_it_was_named_and_not_as_what_it_links_to(tmp_path: Path) -> None:
    """As in /var/log/containers, where the links have the names and the files are called 0.log."""
    for pod in ("api", "web"):
        file = tmp_path / "pods" / pod / "0.log"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x\n")
        (tmp_path / "containers").mkdir(exist_ok=True)
        (tmp_path / "containers" / f"{pod}.log").symlink_to(file)
    expected = [("api.log", tmp_path / "containers" / "api.log"), ("web.log", tmp_path / "containers" / "web.log")]
    for names in ([tmp_path / "containers"], [path for _, path in expected], [tmp_path / "containers" / "*.log"]):
        found = find_inputs(names)
        assert [(one.source, one.path) for one in found.inputs] == expected
        assert (found.skipped, found.twice) == ([], [])


def test_file_and_links_to_it_are_read_once_by_the_deepest_name_whatever_the_order(tmp_path: Path) -> None:
    for name in ("logs/app/a.log", "logs/b.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    (tmp_path / "current.log").symlink_to(tmp_path / "logs" / "app" / "a.log")
    (tmp_path / "logs" / "a.log").symlink_to(tmp_path / "logs" / "app" / "a.log")
    for names in itertools.permutations([tmp_path / "current.log", tmp_path / "logs"]):
        found = find_inputs(names)
        assert [one.source for one in found.inputs] == ["app/a.log", "b.log"]
        assert found.inputs[0].path == tmp_path / "logs" / "app" / "a.log"
        assert found.twice == ["app/a.log"]


def test_linked_folder_is_walked_and_its_files_are_named_by_the_link(tmp_path: Path) -> None:
    (tmp_path / "disk2" / "app").mkdir(parents=True)
    (tmp_path / "disk2" / "app" / "a.log").write_bytes(b"x\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "old").symlink_to(tmp_path / "disk2", target_is_directory=True)
    assert sources(tmp_path / "logs") == ["old/app/a.log"]
    assert sources(tmp_path / "logs" / "old") == ["app/a.log"]
    assert find_inputs([tmp_path / "logs"]).inputs[0].path == tmp_path / "logs" / "old" / "app" / "a.log"


def test_linked_folder_that_leads_back_is_walked_once_and_said(tmp_path: Path) -> None:
    (tmp_path / "logs" / "app").mkdir(parents=True)
    (tmp_path / "logs" / "app" / "a.log").write_bytes(b"x\n")
    (tmp_path / "logs" / "app" / "self").symlink_to(tmp_path / "logs" / "app", target_is_directory=True)
    (tmp_path / "logs" / "app" / "up").symlink_to(tmp_path / "logs", target_is_directory=True)
    found = find_inputs([tmp_path / "logs"])
    assert [one.source for one in found.inputs] == ["app/a.log"]
    assert found.skipped == [
        ("app/self", "linked folder that was read already"),
        ("app/up", "link to a folder above, not read"),
    ]
    assert found.twice == []


@pytest.mark.parametrize("target", ["rotated-away.log", "dead.log"])
def test_link_that_leads_nowhere_is_an_input_that_cannot_be_read(tmp_path: Path, target: str) -> None:
    """To a file that is gone, or to itself: said when it is read, and no reason to leave the others."""
    (tmp_path / "dead.log").symlink_to(tmp_path / target)
    (tmp_path / "live.log").write_bytes(b"x\n")
    dead, live = find_inputs([tmp_path]).inputs
    assert (dead.source, live.source) == ("dead.log", "live.log")
    assert find_inputs([tmp_path / "dead.log"]).inputs == [dead]
    with pytest.raises(InputError, match=r"cannot read dead\.log"):
        list(read(dead, Reading()))
    assert take(live.path).texts == [b"x"]


# A case beside the logs it was made of.


def test_case_inside_a_folder_is_skipped_with_all_that_lies_below_it(tmp_path: Path) -> None:
    for name in ("a.log", "CASE/manifest.json", "CASE/inputs.local.json", "CASE/timeline.md", "CASE/more/b.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"{}\n")
    found = find_inputs([tmp_path])
    assert [one.source for one in found.inputs] == ["a.log"]
    assert found.skipped == [("CASE", "a case, not read")]


def test_case_that_is_named_itself_is_nothing_to_read(tmp_path: Path) -> None:
    for name in ("manifest.json", "inputs.local.json", "events.parquet"):
        (tmp_path / name).write_bytes(b"{}\n")
    with pytest.raises(InputError, match="nothing to read"):
        find_inputs([tmp_path])


def test_folder_with_a_manifest_alone_is_no_case(tmp_path: Path) -> None:
    for name in ("web/manifest.json", "web/ui.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}\n")
    assert sources(tmp_path) == ["web/manifest.json", "web/ui.jsonl"]


def test_source_is_text_whatever_bytes_the_file_name_has(tmp_path: Path) -> None:
    """A name of another encoding (Latin-1 on an old share) must not break the tables that hold it."""
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.log")).write_bytes(b"x\n")
    except (OSError, UnicodeError):
        pytest.skip("this file system refuses such a name")
    (source,) = sources(tmp_path)
    assert source.encode("utf-8").startswith(b"caf")
    assert source.endswith(".log")


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
    assert found.texts == [b"ab", None, *([b"cd"] if after else [])]
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
    assert [(length, text) for _, _, length, text in found.rows] == [(64 << 20, None)]
    assert peak < 8 << 20


pieces = st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"", b"a", b"{}", b" ", b"\x00", b"\xff", b"x" * 9, BOM, BOM[:2], b"\x1f\x8b", b"PK"]
)
streams = st.one_of(st.binary(max_size=60), st.lists(pieces, max_size=25).map(b"".join))
plain = streams.filter(lambda data: not data.startswith((b"\x1f\x8b", *UNSUPPORTED)))


def tiled(data: bytes, rows: list[Row]) -> bool:
    """Whether `rows` lie in order and without overlap, with nothing but separators between them."""
    end = 0
    for _, offset, length, text in rows:
        if text is not None and data[offset : offset + length] != text:
            return False
        if not separates(data[end:offset], first=end == 0):
            return False
        end = offset + length
    return separates(data[end:], first=not rows)


def separates(between: bytes, *, first: bool) -> bool:
    return between in ({b"", b"\n", b"\r\n", b"\r", BOM} if first else {b"", b"\n", b"\r\n", b"\r"})


@given(data=plain, max_record=st.integers(1, 12), chunk=st.integers(3, 70))
def test_every_byte_is_in_one_record_or_separator(scratch: Path, data: bytes, max_record: int, chunk: int) -> None:
    found = taken(scratch, data, max_record=max_record, chunk=chunk)
    reading = found.reading
    assert reading.record_bytes == sum(length for _, _, length, _ in found.rows)
    assert reading.record_bytes + reading.separator_bytes == reading.stream_bytes == len(data)
    assert [line for line, *_ in found.rows] == list(range(1, reading.lines + 1))
    assert tiled(data, found.rows)


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
    assume(not stream.startswith((b"\x1f\x8b", *UNSUPPORTED)))
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


@pytest.mark.parametrize(("magic", "name"), UNSUPPORTED.items())
@pytest.mark.parametrize("chunk", [16, CHUNK])
def test_container_that_cannot_be_read_yet_is_one_record_without_text(
    scratch: Path, magic: bytes, name: str, chunk: int
) -> None:
    data = magic + b"\nrest of it\n" * 9
    found = taken(scratch, data, chunk=chunk)
    assert found.rows == [(1, 0, len(data), None)]
    assert found.reading.container == name
    assert found.reading.digest == hashlib.sha256(data).hexdigest()
    assert found.reading.record_bytes + found.reading.separator_bytes == found.reading.stream_bytes == len(data)


def test_container_inside_gzip_is_known_as_well(scratch: Path) -> None:
    assert taken(scratch, gzip.compress(b"PAR1" + b"x" * 99)).reading.container == "Parquet"


def test_file_that_is_gone_is_refused_by_its_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read a\.log"):
        list(read(Input("a.log", tmp_path / "a.log"), Reading()))


def test_batch_has_the_columns_that_parsing_takes(scratch: Path) -> None:
    file = written(scratch, b"a\n")
    (batch,) = read(Input("a.log", file), Reading())
    assert isinstance(batch, Batch)
    assert batch.records.schema == {"line": pl.Int64, "offset": pl.Int64, "length": pl.Int64, "text": pl.Binary}


# Evidence, read again by its address.


@given(data=streams.filter(lambda data: not data.startswith(b"\x1f\x8b")), packed=st.booleans(), seed=st.integers(0, 9))
def test_every_record_is_found_again_at_its_address(scratch: Path, data: bytes, packed: bool, seed: int) -> None:
    """In any order, named twice, and through gzip."""
    file = written(scratch, gzip.compress(data, mtime=0) if packed else data)
    rows = [row for row in take(file).rows if row[3] is not None]
    random.Random(seed).shuffle(rows)  # noqa: S311 - an order, no secret
    wanted = [(offset, length) for _, offset, length, _ in rows]
    assert at(file, wanted + wanted) == [text for *_, text in rows] * 2
    file.unlink()


def test_addresses_may_overlap_and_be_empty(scratch: Path) -> None:
    file = written(scratch, b"0123456789")
    assert at(file, [(2, 6), (3, 1), (0, 10), (10, 0), (3, 4)]) == [b"234567", b"3", b"0123456789", b"", b"3456"]
    assert at(file, []) == []


def test_address_beyond_the_stream_is_refused(scratch: Path) -> None:
    file = written(scratch, b"0123456789")
    with pytest.raises(InputError, match="the stream ends before byte 12"):
        at(file, [(0, 4), (8, 4)])


def test_address_in_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        at(tmp_path / "gone.log", [(0, 1)])


def test_what_lies_before_the_damage_of_a_gzip_is_found_by_address(scratch: Path) -> None:
    data = unlike(400)
    packed = gzip.compress(data)
    file = written(scratch, packed[: len(packed) // 2])
    assert at(file, [(0, len(LINE))]) == [LINE]
