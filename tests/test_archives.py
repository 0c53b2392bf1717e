"""Archives: members in order, under their names, whole; and what hostile ones may not do."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import random
import shutil
import sqlite3
import stat
import struct
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import BinaryIO

import lz4.frame  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings, strategies as st

from strataline.errors import InputError
from strataline.read import archives as room, streams as codecs
from strataline.read.archives import Limits, archive_of, stream_at, streams
from strataline.read.frame import Reading

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": partial(gzip.compress, mtime=0),
    "zst": zstd.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lz4": lz4.frame.compress,
}
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
Members = dict[str, bytes]
LINES = b'{"a": 1}\n' * 40


def unlike(size: int, seed: int = 0) -> bytes:
    rng = random.Random(seed)  # noqa: S311 - data, no secret
    return b"".join(b'{"id": "%x"}\n' % rng.getrandbits(80) for _ in range(size // 30 + 1))[:size]


def a_tar(members: Members, kind: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


def a_zip(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return made.getvalue()


def opened(path: Path) -> BinaryIO:
    return path.open("rb")


class Unseekable(io.BytesIO):
    """As a server without ranges gives a file."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


class Taken:
    """All streams of an input, each with what came out of it."""

    def __init__(
        self,
        data: bytes,
        *,
        limits: Limits | None = None,
        chunk: int = 1 << 20,
        seekable: bool = True,
        again: bool = True,
        name: str = "x",
    ) -> None:
        limits = limits or Limits()
        self.names: list[str] = []
        self.text: dict[str, bytes] = {}
        self.of: dict[str, Reading] = {}
        self.within: dict[str, str | None] = {}
        opener: Callable[[], BinaryIO] = partial(io.BytesIO if seekable else Unseekable, data)
        for stream in streams(name, opener, limits=limits, chunk=chunk):
            whole = b"".join(stream.pieces)
            self.names.append(stream.source)
            assert stream.source not in self.of
            self.text[stream.source], self.of[stream.source] = whole, stream.reading
            self.within[stream.source] = stream.within
            assert stream.source == "!".join((name, *stream.inside))
            reading = stream.reading
            opened = reading.container in ("tar", "zip") and reading.problem is None
            if reading.problem is None and not opened:
                assert reading.stream_digest == hashlib.sha256(whole).hexdigest()
                assert reading.stream_bytes == len(whole)
                if again and not codecs.Budget(limits).spent and limits == Limits():
                    found = stream_at(name, opener, stream.inside, limits=limits, chunk=chunk)
                    assert b"".join(found) == whole
                    with stream.reopen() as file:
                        assert file.read() == whole
                        middle = len(whole) // 2
                        file.seek(middle)
                        assert file.read(9) == whole[middle : middle + 9]
            else:
                assert whole == b""
            assert len(reading.digest) == 64
        (last,) = [source for source in self.names if source == name]
        assert self.names[-1] == last
        assert self.of[name].digest == hashlib.sha256(data).hexdigest()
        assert self.of[name].bytes == len(data)

    @property
    def files(self) -> Members:
        """Members by name, and their text."""
        return {
            source.partition("!")[2]: text
            for source, text in self.text.items()
            if self.of[source].container not in ("tar", "zip") and "!" in source
        }

    @property
    def notes(self) -> list[str]:
        return [detail for topic, detail, _ in self.of[self.names[-1]].notes if topic == "not_read"]


# A file that is no archive.


@pytest.mark.parametrize("data", [b"", b"\n", LINES, b"PK is a start\n", bytes(512), b"x" * 600])
@pytest.mark.parametrize("seekable", [True, False])
def test_plain_file_is_one_stream_hashed_once(data: bytes, seekable: bool) -> None:
    found = Taken(data, seekable=seekable)
    assert (found.names, found.text["x"]) == (["x"], data)
    reading = found.of["x"]
    assert reading.digest == reading.stream_digest == hashlib.sha256(data).hexdigest()
    assert (reading.compression, reading.container, reading.cut, reading.problem) == (None, "lines", None, None)
    assert archive_of(data) is None


@pytest.mark.parametrize("codec", sorted(PACK))
def test_compressed_file_has_two_digests(codec: str) -> None:
    reading = Taken(PACK[codec](LINES)).of["x"]
    assert (reading.compression, reading.bytes, reading.stream_bytes) == (codec, len(PACK[codec](LINES)), len(LINES))


def test_compression_over_compression_is_taken_off_four_times() -> None:
    data = LINES
    for codec in ("gz", "xz", "lz4", "zst"):
        data = PACK[codec](data)
    assert Taken(data).of["x"].compression == "zst+lz4+xz+gz"
    assert Taken(data).text["x"] == LINES
    found = Taken(gzip.compress(data)).of["x"]
    assert found.problem == "it is compressed more than 4 times over"
    assert found.stream_bytes == found.bytes


def test_local_file_is_said_where_it_is_the_stream(tmp_path: Path) -> None:
    paths = {}
    for name, data in {"plain": LINES, "packed": gzip.compress(LINES), "tar": a_tar({"a": LINES})}.items():
        path = tmp_path / name
        path.write_bytes(data)
        for stream in streams(name, partial(opened, path), limits=Limits(), path=path):
            paths[stream.source] = stream.path
            with stream.reopen() as file:
                assert stream.source == "tar" or file.read() == LINES
    assert paths == {"plain": tmp_path / "plain", "packed": None, "tar!a": None, "tar": tmp_path / "tar"}


def test_file_that_grew_is_read_to_its_size_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(LINES)
    (stream,) = streams("a.log", partial(opened, path), limits=Limits(), size=100)
    assert [stream.reading.digest, stream.reading.bytes] == [hashlib.sha256(LINES[:100]).hexdigest(), 100]
    assert stream.reading.notes == [("grew", "the file grew while it was read; 100 bytes were read", 1)]
    (stream,) = streams("a.log", partial(opened, path), limits=Limits(), size=len(LINES))
    assert stream.reading.notes == []
    assert stream.reading.cut is None
    (stream,) = streams("a.log", partial(opened, path), limits=Limits(), size=999)
    assert stream.reading.cut == f"the file ends at byte {len(LINES)} and no longer at byte 999"


def test_file_that_cannot_be_opened_flies(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(streams("a", partial(opened, tmp_path / "none"), limits=Limits()))


# Archives as they are written.

names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
contents = st.dictionaries(names, st.binary(max_size=2000), max_size=4)


@given(
    members=contents,
    kind=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    codec=st.sampled_from([None, *sorted(PACK)]),
    chunk=st.sampled_from([1, 100, 512, 1 << 20]),
)
@settings(max_examples=30, deadline=None)
def test_tar_gives_its_members_in_order_and_last_itself(
    members: Members, kind: int, codec: str | None, chunk: int
) -> None:
    data = a_tar({"first": b"1", **members}, kind)
    found = Taken(PACK[codec](data) if codec else data, chunk=chunk)
    plain = {name: text for name, text in found.files.items() if found.of[f"x!{name}"].compression is None}
    assert found.names == [*(f"x!{name}" for name in {"first": 0, **members}), "x"]
    assert all({"first": b"1", **members}[name] == text for name, text in plain.items())
    assert (found.of["x"].container, found.of["x"].compression, found.of["x"].cut) == ("tar", codec, None)


@given(
    members=contents,
    method=st.sampled_from(METHODS),
    chunk=st.sampled_from([1, 100, 1 << 20]),
    seekable=st.booleans(),
    prefix=st.sampled_from([None, "gz"]),
)
@settings(max_examples=30, deadline=None)
def test_zip_gives_its_members_in_order_and_last_itself(
    members: Members, method: int, chunk: int, seekable: bool, prefix: str | None
) -> None:
    data = a_zip(members, method)
    found = Taken(PACK[prefix](data) if prefix else data, chunk=chunk, seekable=seekable)
    assert found.names == [*(f"x!{name}" for name in members), "x"]
    assert found.files == members
    assert (found.of["x"].container, found.of["x"].cut) == ("zip", None)


@pytest.mark.parametrize("chunk", [700, 1 << 20])
@pytest.mark.parametrize("seekable", [True, False])
def test_archives_in_archives_and_compressed_members(chunk: int, seekable: bool) -> None:
    a, b = unlike(5000, 1), unlike(9000, 2)
    inner = {
        "logs.tar.gz": gzip.compress(a_tar({"a": a, "b.zst": zstd.compress(b)})),
        "logs.zip": a_zip({"a": a, "b.xz": lzma.compress(b)}),
        "logs.tar": a_tar({"a": a, "b.gz": gzip.compress(b)}),
        "stored.zip": a_zip({"a": a, "b": b}, zipfile.ZIP_STORED),
        "plain": a,
    }
    for outer in (a_tar(inner), gzip.compress(a_tar(inner)), a_zip(inner), a_zip(inner, zipfile.ZIP_STORED)):
        found = Taken(outer, chunk=chunk, seekable=seekable)
        assert list(found.text.values()) == [a, b, b""] * 4 + [a, b""]
        assert found.names[:4] == ["x!logs.tar.gz!a", "x!logs.tar.gz!b.zst", "x!logs.tar.gz", "x!logs.zip!a"]
        assert found.within["x!logs.tar.gz!a"] == "x!logs.tar.gz"
        assert found.within["x!logs.tar.gz"] == "x"
        assert found.within["x"] is None
        reading = found.of["x!logs.tar.gz!b.zst"]
        assert (reading.compression, reading.digest) == ("zst", hashlib.sha256(zstd.compress(b)).hexdigest())
        assert found.of["x!logs.tar.gz"].digest == hashlib.sha256(inner["logs.tar.gz"]).hexdigest()
        assert all(reading.cut is None for reading in found.of.values())


def test_result_does_not_depend_on_the_chunk() -> None:
    data = gzip.compress(
        a_tar({"z.zip": a_zip({"a": unlike(3000), "b": b""}), "c": LINES, ".d": b"", "c.gz": b"\x1f\x8b"})
    )
    first, *others = (Taken(data, chunk=chunk) for chunk in (1, 3, 511, 4096, 1 << 20))
    assert all((one.names, one.text, one.of) == (first.names, first.text, first.of) for one in others)


def test_streams_that_are_not_taken_are_passed_over() -> None:
    data = gzip.compress(a_tar({"a": unlike(9000), "b.zip": a_zip({"c": LINES, "d": LINES}), "e": LINES}))
    found = list(streams("x", partial(io.BytesIO, data), limits=Limits()))
    assert [one.source for one in found] == ["x!a", "x!b.zip!c", "x!b.zip!d", "x!b.zip", "x!e", "x"]
    assert found[0].reading.digest == hashlib.sha256(unlike(9000)).hexdigest()
    assert found[-1].reading.bytes == len(data)


def test_too_deep_an_archive_is_a_problem_of_that_member_alone() -> None:
    deep = a_zip({"deep": LINES})
    data = a_tar({"1.zip": a_zip({"2.tar": a_tar({"3.zip": deep, "beside": LINES})}), "after": LINES})
    found = Taken(data)
    assert "x!1.zip!2.tar" in found.names
    assert found.of["x!1.zip!2.tar"].problem == "archives are opened 2 deep, and this one lies deeper"
    assert found.of["x!1.zip!2.tar"].stream_bytes == found.of["x!1.zip!2.tar"].bytes > 0
    assert found.text["x!after"] == LINES
    deeper = Taken(data, limits=Limits(max_depth=4))
    assert deeper.text["x!1.zip!2.tar!3.zip!deep"] == LINES
    (one,) = stream_problem(Taken(a_zip({}), limits=Limits(max_depth=0)))
    assert one == "archives are opened 0 deep, and this one lies deeper"


def stream_problem(found: Taken) -> list[str]:
    return [reading.problem for reading in found.of.values() if reading.problem is not None]


def test_what_could_not_be_read_is_given_again_as_it_lies() -> None:
    inner = a_zip({"c": LINES})
    data = a_tar({"b.zip": a_zip({"d.zip": inner})})
    found = stream_at("x", partial(io.BytesIO, data), ("b.zip", "d.zip"), limits=Limits(max_depth=2))
    assert b"".join(found) == inner


@pytest.mark.parametrize("inside", [("none",), ("a", "b"), ("b.zip", "none"), ("b.zip", "c", "d"), ("",)])
def test_member_that_is_not_there_is_refused(inside: tuple[str, ...]) -> None:
    data = a_tar({"a": LINES, "b.zip": a_zip({"c": LINES})})
    with pytest.raises(InputError, match="x holds no "):
        list(stream_at("x", partial(io.BytesIO, data), inside, limits=Limits()))


def test_empty_archives_and_empty_members() -> None:
    assert Taken(a_zip({})).names == ["x"]
    assert Taken(a_tar({"a": b"", "b": b""})).files == {"a": b"", "b": b""}
    assert Taken(a_zip({"a": b"", "b": b""})).files == {"a": b"", "b": b""}


# Names.

TRICKS = ["/etc/passwd", "../../up", "a/../b", "back\\slash", "new\nline", "bell\x07", "ü", "a!b", "-", "x" * 300]


@pytest.mark.parametrize("make", [a_tar, a_zip])
def test_names_are_text_and_never_a_path(
    make: Callable[[Members], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = Taken(make(dict.fromkeys(TRICKS, LINES)))
    assert [name.removeprefix("x!") for name in found.names] == [*TRICKS, "x"]
    assert all(found.text[f"x!{name}"] == LINES for name in TRICKS)
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_not_utf8_are_escaped() -> None:
    data = a_tar({"aaaa": LINES}, tarfile.USTAR_FORMAT)
    info = tarfile.TarInfo.frombuf(data[:512], "latin-1", "strict")
    info.name, info.size = "a\xff\xe4", len(LINES)
    data = info.tobuf(tarfile.USTAR_FORMAT, "latin-1", "strict") + data[512:]
    assert Taken(data).names[0] == "x!a\\xff\\xe4"
    assert Taken(a_zip({"abcd": LINES}).replace(b"abcd", b"a\xff\xe4d")).names[0] == "x!a\\xff\\xe4d"


def test_endless_name_is_shortened() -> None:
    found = Taken(a_tar({"n" * 40_000: LINES, "n" * 40_001: LINES}))
    assert [len(name) for name in found.names] == [1019, 1019, 1]
    assert len(set(found.names)) == 3


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_second_of_a_name_is_numbered() -> None:
    members = [("a", b"1"), ("a#2", b"2"), ("a", b"3"), ("a", b"4"), ("b", b"5"), ("a#2", b"6")]
    tar, packed = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive, zipfile.ZipFile(packed, "w") as zipped:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(data))
            zipped.writestr(name, data)
    expected = {"a": b"1", "a#2": b"2", "a#3": b"3", "a#4": b"4", "b": b"5", "a#2#2": b"6"}
    assert Taken(tar.getvalue()).files == Taken(packed.getvalue()).files == expected


def test_links_and_devices_are_noted_and_never_followed() -> None:
    made = io.BytesIO()
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
    with tarfile.open(fileobj=made, mode="w") as tar:
        for at, kind in enumerate(kinds):
            info = tarfile.TarInfo(f"m{at}")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("a")
        info.size = len(LINES)
        tar.addfile(info, io.BytesIO(LINES))
    found = Taken(made.getvalue())
    assert found.files == {"a": LINES}
    assert found.notes == [
        "m0: a link inside an archive, not followed",
        "m1: a link inside an archive, not followed",
        "m2: a device inside an archive, not read",
        "m3: a device inside an archive, not read",
        "m4: a pipe inside an archive, not read",
    ]


def test_links_in_a_zip_are_noted() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, mode in {
            "link": stat.S_IFLNK,
            "pipe": stat.S_IFIFO,
            "device": stat.S_IFCHR,
            "a": stat.S_IFREG,
        }.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (mode | 0o644) << 16
            archive.writestr(info, LINES)
        archive.writestr("folder/", b"")
    found = Taken(made.getvalue())
    assert found.files == {"a": LINES}
    assert [note.partition(": ")[0] for note in found.notes] == ["link", "pipe", "device"]


@pytest.mark.parametrize("make", [a_tar, a_zip])
def test_hidden_members_are_noted_and_not_read(make: Callable[[Members], bytes]) -> None:
    hidden = [".git/config", "a/.b/c", "._a", "__MACOSX/a", "x/__MACOSX/._a", "a/.DS_Store"]
    found = Taken(make(dict.fromkeys(["./seen", "a.b", *hidden, "a/../seen"], LINES)))
    assert list(found.files) == ["./seen", "a.b", "a/../seen"]
    assert found.notes == [f"{name}: hidden, not read" for name in hidden]


@pytest.mark.parametrize("make", [a_tar, a_zip])
def test_what_is_left_out_of_a_folder_is_left_out_of_an_archive(make: Callable[[Members], bytes]) -> None:
    found = Taken(make(dict.fromkeys(["a.log", "run/app.pid", "App.LCK", "~$t.xlsx", "./lost+found/b"], LINES)))
    assert list(found.files) == ["a.log"]
    assert found.notes == [
        "run/app.pid: a lock file, not read",
        "App.LCK: a lock file, not read",
        "~$t.xlsx: a lock file, not read",
        "./lost+found/b: kept by the file system, not read",
    ]


@pytest.fixture(scope="module")
def sidecars(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """What SQLite itself keeps beside a database, while it is at work."""
    folder = tmp_path_factory.mktemp("databases")
    made: Members = {}
    with closing(sqlite3.connect(folder / "a.db", isolation_level=None)) as log:
        log.execute("PRAGMA journal_mode = wal")
        log.execute("CREATE TABLE t (a)")
        made |= {suffix: (folder / f"a.db{suffix}").read_bytes() for suffix in ("-wal", "-shm")}
    with closing(sqlite3.connect(folder / "b.db", isolation_level=None)) as journal:
        # So small a cache that changes are written, and the journal with them, before they are final.
        journal.execute("PRAGMA cache_size = 2")
        journal.execute("CREATE TABLE t (a)")
        journal.execute("INSERT INTO t VALUES (zeroblob(200000))")
        journal.execute("BEGIN")
        journal.execute("UPDATE t SET a = randomblob(200000)")
        made["-journal"] = (folder / "b.db-journal").read_bytes()
        journal.execute("ROLLBACK")
    return made


@pytest.mark.parametrize("make", [a_tar, a_zip])
@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_what_belongs_to_a_database_is_left_out_wherever_it_lies(
    make: Callable[[Members], bytes], suffix: str, sidecars: Members
) -> None:
    name, start = f"app/audit.db{suffix}", sidecars[suffix]
    note = f"{name}: belongs to its database, which is read without it"
    for members in (
        {"app/audit.db": LINES, name: b"as it may be"},
        {"./app/audit.db": LINES, name: b""},
        {name: start, "app/audit.db": LINES},
    ):
        found = Taken(make({**members, "z": LINES}))
        assert name not in found.files
        assert found.files["z"] == LINES
        assert found.notes == [note]
    found = Taken(make({name: LINES, "other/audit.db": LINES}))
    assert (list(found.files), found.notes) == ([name, "other/audit.db"], []), "a name alone says little"


# Tar, as it really comes.


def test_old_tar_without_magic_is_told_by_its_checksum() -> None:
    data = bytearray(a_tar({"a": LINES, "b": b""}, tarfile.USTAR_FORMAT))
    for at in (0, 512 + 512):
        data[at + 156] = 0
        data[at + 257 : at + 512] = bytes(255)
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    assert Taken(bytes(data)).files == {"a": LINES, "b": b""}


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs GNU tar")
@pytest.mark.parametrize("options", [["gnu"], ["pax", "0.0"], ["pax", "0.1"], ["pax", "1.0"]])
def test_sparse_members_have_their_holes_filled(options: list[str], tmp_path: Path) -> None:
    if b"GNU" not in subprocess.check_output(["tar", "--version"]):
        pytest.skip("needs GNU tar")
    with (tmp_path / "sparse").open("wb") as file:
        for at in range(40):
            file.seek(at * 65536)
            file.write(b"part %d\n" % at)
        file.truncate(41 * 65536)
    (tmp_path / "after").write_bytes(LINES)
    version = [f"--sparse-version={options[1]}"] if len(options) > 1 else []
    command = [
        "tar",
        "-C",
        str(tmp_path),
        "-cf",
        "-",
        "--sparse",
        f"--format={options[0]}",
        *version,
        "sparse",
        "after",
    ]
    data = subprocess.check_output(command)
    found = Taken(data, chunk=5000)
    assert found.files == {"sparse": (tmp_path / "sparse").read_bytes(), "after": LINES}
    assert len(data) < 600_000, "the file system keeps holes"
    assert all(reading.cut is None for reading in found.of.values())
    cut = Taken(data[: len(data) // 2], again=False)
    assert (tmp_path / "sparse").read_bytes().startswith(cut.files["sparse"])
    assert cut.of["x!sparse"].cut == "tar ends in the middle of the member"


def test_sparse_member_of_exbibytes_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, parts in {"huge": "0,3", "wrong": "9,3,0,1", "no": "1,x"}.items():
            info = tarfile.TarInfo(name)
            info.size = 3
            info.pax_headers = {"GNU.sparse.map": parts, "GNU.sparse.size": str(1 << 60)}
            tar.addfile(info, io.BytesIO(b"abc"))
        tar.addfile(tarfile.TarInfo("after"))
    found = Taken(made.getvalue(), limits=Limits(max_expand=3 << 20))
    assert len(found.text["x!huge"]) == (3 << 20) + 3
    assert "--max-expand" in str(found.of["x!huge"].cut)
    assert found.names == ["x!huge", "x"]
    monkeypatch.setattr(codecs, "FREE", 1 << 20)
    found = Taken(made.getvalue())
    assert found.of["x!huge"].cut == "stopped: the sparse member expands to more than 1000 times its size"
    assert found.of["x!wrong"].cut == "sparse member damaged: its parts do not lie one after another"
    assert found.of["x!no"].cut == "sparse member damaged: its parts do not lie one after another"
    assert found.names == ["x!huge", "x!wrong", "x!no", "x!after", "x"]


@given(kept=st.integers(512, 4600))
@settings(max_examples=60, deadline=None)
def test_tar_cut_anywhere_keeps_what_lies_before_the_cut(kept: int) -> None:
    members = {"a": unlike(700), "b": unlike(1500, 1), "c": b"", "d": unlike(10, 2)}
    data = a_tar(members, tarfile.USTAR_FORMAT)[:kept]
    found = Taken(data, chunk=100)
    for (name, text), whole in zip(found.files.items(), members.items(), strict=False):
        assert name == whole[0]
        assert whole[1].startswith(text)
        if text != whole[1]:
            assert found.of[f"x!{name}"].cut == "tar ends in the middle of the member"
    end = 512 * 9
    assert sum(map(len, found.files.values())) >= min(kept, 512 * 3 - 324) - 512
    assert (found.of["x"].cut is None) == (kept >= end)


def test_compressed_tar_that_is_cut_says_so_on_the_member_and_on_itself() -> None:
    packed = gzip.compress(a_tar({"a": unlike(90_000), "b": LINES}))
    found = Taken(packed[: len(packed) // 2])
    assert found.names == ["x!a", "x"]
    assert unlike(90_000).startswith(found.text["x!a"])
    assert len(found.text["x!a"]) > 30_000
    assert found.of["x!a"].cut == found.of["x"].cut == "gzip stream ends in the middle"


def test_damaged_header_in_a_tar_costs_that_member_alone() -> None:
    data = bytearray(a_tar({"a": LINES, "b": unlike(2000), "c": LINES}, tarfile.USTAR_FORMAT))
    data[1024 + 3] ^= 0xFF
    found = Taken(bytes(data))
    assert found.files == {"a": LINES, "c": LINES}
    assert found.of["x"].cut == "tar damaged: 2560 bytes from byte 1024 on belong to no member"


def test_concatenated_tars_are_read_on() -> None:
    found = Taken(a_tar({"a": b"1"}) + a_tar({"b": b"2"}))
    assert found.files == {"a": b"1", "b": b"2"}
    assert found.of["x"].cut is None


def chained_headers(count: int) -> bytes:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 0
    return info.tobuf(tarfile.USTAR_FORMAT) * count + a_tar({"a": LINES})


def large_header(size: int) -> bytes:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, size
    return info.tobuf(tarfile.GNU_FORMAT) + a_tar({"a": LINES})


def pax_of(body: bytes) -> bytes:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512) + a_tar({"a": LINES})


@pytest.mark.parametrize(
    "data",
    [
        chained_headers(5000),
        large_header(1 << 40),
        large_header((1 << 63) - 1),
        pax_of(b"3 a" * 100_000),
        pax_of(b"1" * 900_000),
        pax_of(b"10 size=-1\n"),
        pax_of(b"11 size=x1\n\n"),
        pax_of(b"23 GNU.sparse.major=1\n" + b"22 GNU.sparse.size=9\n"),
        a_tar({"a": LINES}, tarfile.GNU_FORMAT).replace(b"a" + bytes(99), b"a" * 100, 1),
    ],
    ids=["chain", "large", "largest", "short-records", "digits", "negative", "no-number", "no-map", "checksum"],
)
def test_hostile_tar_headers_are_taken_in_bounded_time(data: bytes) -> None:
    before = time.process_time()
    found = Taken(data, again=False)
    assert time.process_time() - before < 2
    assert found.names[-1] == "x"


def test_negative_size_in_a_tar_is_damage() -> None:
    block = bytearray(a_tar({"first": b"", "a": LINES}, tarfile.GNU_FORMAT))
    block[512 + 124 : 512 + 136] = b"\xff" * 12
    block[512 + 148 : 512 + 156] = b" " * 8
    block[512 + 148 : 512 + 156] = b"%06o\0 " % sum(block[512:1024])
    found = Taken(bytes(block))
    assert found.names == ["x!first", "x"]
    assert found.of["x"].cut == "tar damaged: 1024 bytes from byte 512 on belong to no member"


# Zip, as it really comes.


def test_zip_with_64_bit_sizes_and_a_comment_and_something_before_it() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        with archive.open("a", "w", force_zip64=True) as file:
            file.write(LINES)
        archive.writestr("b", LINES)
        archive.comment = b"a comment " * 5
    assert Taken(made.getvalue()).files == {"a": LINES, "b": LINES}
    # Numbers moved to the 64-bit records, as in a zip of more than 4 GiB.
    plain = a_zip({"a": LINES}, zipfile.ZIP_STORED)
    start, end = plain.rindex(b"PK\x01\x02"), plain.rindex(b"PK\x05\x06")
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, end - start, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert Taken(plain[:end] + wide + locator + last).files == {"a": LINES}


def test_encrypted_and_unknown_members_are_problems_of_their_own() -> None:
    data = bytearray(a_zip({"a": LINES, "b": LINES, "c": LINES}))
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    data[first + 8] |= 1
    data[second + 10] = 9
    found = Taken(bytes(data))
    assert found.of["x!a"].problem == "the member is encrypted"
    assert found.of["x!b"].problem == "the member is packed in a way that is not read (zip method 9)"
    assert found.of["x!a"].stream_bytes == found.of["x!a"].bytes > 0
    assert found.text["x!c"] == LINES


@pytest.mark.parametrize("method", METHODS)
def test_wrong_checksum_in_a_zip_costs_no_byte(method: int) -> None:
    data = bytearray(a_zip({"a": LINES, "b": LINES}, method))
    data[data.index(b"PK\x01\x02") + 16] ^= 1
    found = Taken(bytes(data))
    assert found.files == {"a": LINES, "b": LINES}
    assert found.of["x!a"].cut == "zip member damaged: its checksum does not match"
    assert found.of["x!b"].cut is None


def test_damaged_member_of_a_zip_keeps_what_lies_before_the_damage() -> None:
    data = bytearray(a_zip({"a": unlike(50_000), "b": LINES}))
    data[data.index(b"PK\x03\x04", 4) // 2] ^= 0xFF
    found = Taken(bytes(data))
    assert found.text["x!a"][:15_000] == unlike(50_000)[:15_000]
    assert found.of["x!a"].cut is not None
    assert found.text["x!b"] == LINES


@pytest.mark.parametrize("stated", [0, 1, 5, 1 << 30])
def test_sizes_that_a_zip_lies_about_are_not_believed(stated: int) -> None:
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        data = bytearray(a_zip({"a": unlike(500), "b": LINES}, method))
        at = data.index(b"PK\x01\x02")
        data[at + 24 : at + 28] = stated.to_bytes(4, "little")
        found = Taken(bytes(data))
        assert found.files == {"a": unlike(500), "b": LINES}
        assert found.of["x!a"].cut == f"zip member damaged: it has 500 bytes, and the zip states {stated}"


def test_members_that_overlap_are_not_read() -> None:
    """As in a zip of a few MB that expands to petabytes without nesting: all entries share one kernel."""
    kernel = a_zip({"k": bytes(100_000)})
    start, end = kernel.index(b"PK\x01\x02"), kernel.index(b"PK\x05\x06")
    entry = kernel[start:end]
    data = (
        kernel[:start]
        + entry * 2000
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2000, 2000, 2000 * len(entry), start, 0)
    )
    found = Taken(data, again=False)
    problems = stream_problem(found)
    assert problems == ["it overlaps another member, or the directory, of the zip"] * 1999
    assert sum(len(text) for text in found.text.values()) == 100_000


def test_directory_that_points_nowhere() -> None:
    data = bytearray(a_zip({"a": LINES, "b": LINES}))
    at = data.index(b"PK\x01\x02")
    data[at + 42 : at + 46] = (7).to_bytes(4, "little")
    found = Taken(bytes(data))
    assert found.of["x!a"].problem == "no member lies where the directory of the zip says"
    assert found.text["x!b"] == LINES


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("seekable", [False, True])
def test_zip_cut_anywhere_keeps_what_lies_before_the_cut(method: int, streamed: bool, seekable: bool) -> None:
    members = {"a": unlike(3000), "b": LINES, "folder/": b"", "c": unlike(2000, 1), "d": b""}
    made = io.BytesIO()
    with zipfile.ZipFile(Unseekable() if streamed else made, "w", method) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
        if streamed:
            made = archive.fp  # type: ignore[assignment]
            made = getattr(made, "fp", made)
        archive.close()
        data = made.getvalue()
    members.pop("folder/")
    directory = data.index(b"PK\x01\x02")
    rng = random.Random(method)  # noqa: S311 - places, no secret
    for kept in [directory, directory + 20, len(data) - 1, *(rng.randrange(40, directory) for _ in range(12))]:
        found = Taken(data[:kept], chunk=900, seekable=seekable, again=method == zipfile.ZIP_STORED)
        for name, text in found.files.items():
            reading = found.of[f"x!{name}"]
            assert members[name].startswith(text)
            if text != members[name] and kept >= directory:
                assert streamed
                assert reading.problem is not None
        if kept >= directory and (not streamed or method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)):
            assert found.files == members
        assert found.of["x"].cut == "zip ends without its directory; its members were found one by one"


def test_damage_in_a_zip_without_directory_costs_that_member_alone() -> None:
    made = Unseekable()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "abc":
            archive.writestr(name, unlike(3000, ord(name)))
    data = bytearray(made.getvalue())
    data = data[: data.index(b"PK\x01\x02")]
    data[data.index(b"PK\x03\x04", 4) + 50] ^= 0x7F
    data[data.index(b"PK\x03\x04", 4) + 51] ^= 0x7F
    found = Taken(bytes(data))
    assert list(found.files) == ["a", "b", "c"]
    assert found.of["x!b"].cut is not None or found.text["x!b"] != unlike(3000, ord("b"))
    assert [found.text["x!a"], found.text["x!c"]] == [unlike(3000, ord("a")), unlike(3000, ord("c"))]


@pytest.mark.parametrize("data", [b"PK\x03\x04", b"PK\x03\x04 and then text\n" * 9, b"PK\x05\x06" + bytes(3)])
def test_what_only_begins_as_a_zip_is_a_problem(data: bytes) -> None:
    found = Taken(data)
    assert found.names == ["x"]
    assert found.of["x"].problem == "it begins as a zip does, and neither a directory nor a member of it can be read"
    assert found.of["x"].stream_bytes == len(data)


def test_damaged_directory_of_a_zip_keeps_the_members_before_the_damage() -> None:
    data = bytearray(a_zip({"a": LINES, "b": LINES}))
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second] = 0
    found = Taken(bytes(data))
    assert found.files == {"a": LINES}
    assert found.of["x"].cut == f"zip damaged: its directory breaks off at byte {second}"


# Limits.


def test_total_is_of_all_members_together_and_the_rest_is_not_read() -> None:
    members = {name: bytes(10_000) for name in "abcdef"}
    for data in (
        a_zip(members),
        gzip.compress(a_tar(members)),
        a_tar({k: gzip.compress(v) for k, v in members.items()}),
    ):
        found = Taken(data, limits=Limits(max_expand=35_000))
        assert 30_000 <= sum(map(len, found.text.values())) <= 35_000
        assert "x!f" not in found.names
        assert found.of["x"].cut == "stopped: this input expands to more than 35000 bytes in all (--max-expand)"
        assert found.of[found.names[-2]].cut == found.of["x"].cut


def test_plain_tar_is_not_held_to_a_total() -> None:
    members = {name: bytes(10_000) for name in "abcdef"}
    assert Taken(a_tar(members), limits=Limits(max_expand=0)).files == members
    assert Taken(a_zip(members, zipfile.ZIP_STORED), limits=Limits(max_expand=0)).files == members


def test_ratio_stops_one_member_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "FREE", 1 << 20)
    members = {"bomb": bytes(3 << 20), "log": LINES}
    for data in (a_zip(members), a_tar({"bomb": gzip.compress(members["bomb"]), "log": LINES})):
        found = Taken(data, limits=Limits(max_ratio=100), chunk=1 << 16)
        assert 1 << 20 <= len(found.text["x!bomb"]) < 2 << 20
        assert "expands to more than 100 times its size" in str(found.of["x!bomb"].cut)
        assert found.text["x!log"] == LINES
        assert found.of["x"].cut is None


@pytest.mark.parametrize("make", [a_tar, a_zip])
def test_members_are_counted_over_all_levels(make: Callable[[Members], bytes]) -> None:
    inner = make({str(at): b"" for at in range(10)})
    found = Taken(make({"a.x": inner, "b.x": inner, "c.x": inner}), limits=Limits(max_members=15))
    assert len(found.files) == 13
    assert found.of["x"].cut == found.of["x!b.x"].cut == "stopped: there are more than 15 members in archives"


def test_nested_bomb_is_held_in_time_and_memory() -> None:
    """As 42.zip: archives of archives of zeros."""
    data = bytes(1 << 22)
    for level in range(4):
        data = a_zip({f"{level}{at}.zip": data for at in range(6)})
    before, size = time.process_time(), 0
    tracemalloc.start()
    for stream in streams(
        "x", partial(io.BytesIO, data), limits=Limits(max_expand=20 << 20, max_depth=9), chunk=1 << 18
    ):
        for piece in stream.pieces:
            size += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size <= 20 << 20
    assert peak < 12 << 20
    assert time.process_time() - before < 3
    found = Taken(data)
    assert {reading.problem for reading in found.of.values() if reading.problem} == {
        "archives are opened 2 deep, and this one lies deeper"
    }


def test_gzip_that_holds_itself_ends() -> None:
    """As r.gz does; made of layers here."""
    data = b"x"
    for _ in range(50):
        data = gzip.compress(data)
    assert Taken(data).of["x"].problem == "it is compressed more than 4 times over"


def test_many_tiny_members_take_linear_time() -> None:
    members = {f"logs/{at}.log": b"one line\n" for at in range(1500)}
    for data in (a_tar(members, tarfile.USTAR_FORMAT), a_zip(members), a_zip(members)[:-400]):
        before = time.process_time()
        assert len(Taken(data, again=False).files) >= 1490
        assert time.process_time() - before < 2


def test_memory_follows_the_chunk_and_not_the_member() -> None:
    data = gzip.compress(a_tar({"a": bytes(12 << 20), "b.zip": a_zip({"c": bytes(12 << 20)})}), 1)
    tracemalloc.start()
    size = 0
    for stream in streams("x", partial(io.BytesIO, data), limits=Limits(), chunk=1 << 18):
        for piece in stream.pieces:
            size += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 24 << 20
    assert peak < 6 << 20


def test_hashing_in_a_thread_gives_the_same_digests() -> None:
    data = unlike(3 << 19)
    assert room._THREAD < 1 << 18
    found = Taken(gzip.compress(data, 1), chunk=1 << 18)
    assert found.of["x"].stream_digest == hashlib.sha256(data).hexdigest()
