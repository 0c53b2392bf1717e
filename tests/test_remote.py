"""Objects that lie elsewhere, on real servers of this machine: an S3 store and web servers of all manners."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import random
import re
import sys
import tarfile
import threading
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

import fsspec  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings, strategies as st
from moto.server import ThreadedMotoServer

from strataline.errors import InputError
from strataline.read import Found, Input, find_inputs
from strataline.read.remote import BLOCK, is_url, local_path, open_object, redact, size_of

LINES = b'{"id": 1}\n{"id": 2}\n'
SECRET = "s3cr3t"  # noqa: S105 - to be looked for in what is shown
LARGE = random.Random(3).randbytes(BLOCK + (BLOCK >> 1) + 7)  # noqa: S311 - a fixed sample, no secret


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own settings."""
    for name in [one for one in os.environ if one.startswith(("AWS_", "FSSPEC_")) or one.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "NETRC"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def fresh() -> Iterator[None]:
    """No client that an earlier test set up in another environment, and none left to later ones."""
    clients = [fsspec.get_filesystem_class(scheme) for scheme in ("s3", "http")]
    for client in clients:
        client.clear_instance_cache()
    yield
    for client in clients:
        client.clear_instance_cache()


def sources(*names: str | os.PathLike[str]) -> list[str]:
    return [one.source for one in find_inputs(names).inputs]


def contents(found: Found) -> dict[str, bytes]:
    made = {}
    for one in found.inputs:
        with one.open() as file:
            made[one.source] = file.read()
    return made


def drain(file: BinaryIO) -> None:
    while file.read(1 << 18):
        pass


# An S3 server.

OBJECTS = {
    "logs/app/prompt.jsonl": LINES,
    "logs/app/old/prompt.jsonl.1.gz": gzip.compress(LINES, mtime=0),
    "logs/ui.jsonl": b"ui\n",
    "logs/.cache/state": b"x",
    "logs/app/.hidden": b"x",
    "logs/app/a.log.lck": b"x",
    "logs/app/store.db": b"x",
    "logs/app/store.db-wal": b"x",
    "logs/CASE/manifest.json": b"{}",
    "logs/CASE/inputs.local.json": b"{}",
    "logs/CASE/tables/events.parquet": b"x",
    "logs2/ui.jsonl": b"ui 2\n",
    "wild/app[1].log": b"one\n",
    "wild/app1.log": b"two\n",
    "wild/a b+c%20d?e#f.log": b"three\n",
    "wild/double//slash.log": b"four\n",
    "wild/caf\u00e9.log": b"five\n",
    "large.bin": LARGE,
    "empty.log": b"",
}


@pytest.fixture(scope="module")
def moto_server() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    put(f"{url}/exports", b"")
    put(f"{url}/other", b"")
    for key, data in OBJECTS.items():
        put(f"{url}/exports/{quote(key)}", data)
    put(f"{url}/other/logs/ui.jsonl", b"other\n")
    yield url
    server.stop()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def put(url: str, data: bytes) -> None:
    assert url.startswith("http://127.0.0.1:")
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, data, headers, method="PUT")  # noqa: S310 - the server of this very test
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass


@pytest.fixture
def s3(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that the environment names and has credentials for."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return moto_server


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("name", ["s3://exports/logs/", "s3://exports/logs", "s3a://exports/logs", "S3://exports/logs"])
def test_folder_of_a_bucket_is_named_below_itself_as_a_local_one_is(name: str) -> None:
    found = find_inputs([name])
    assert contents(found) == {
        "app/old/prompt.jsonl.1.gz": gzip.compress(LINES, mtime=0),
        "app/prompt.jsonl": LINES,
        "app/store.db": b"x",
        "ui.jsonl": b"ui\n",
    }
    assert found.skipped == [
        (".cache", "hidden, not read"),
        ("CASE", "a case, not read"),
        ("app/.hidden", "hidden, not read"),
        ("app/a.log.lck", "a lock file, not read"),
        ("app/store.db-wal", "belongs to its database, which is read without it"),
    ]
    assert (found.refused, found.twice) == ([], [])
    assert [one.folder for one in found.inputs] == ["app/old", "app", "app", ""]


@pytest.mark.usefixtures("s3")
def test_object_that_is_named_itself_is_called_by_its_name_and_read_whatever_the_name() -> None:
    found = find_inputs(["s3://exports/logs/ui.jsonl", "s3://exports/logs/app/a.log.lck", "s3://exports/empty.log"])
    assert contents(found) == {"ui.jsonl": b"ui\n", "a.log.lck": b"x", "empty.log": b""}
    assert [one.size() for one in found.inputs] == [1, 0, 3]
    assert [one.path for one in found.inputs] == [None] * 3
    assert found.inputs[2].place == "s3://exports/logs/ui.jsonl"


@pytest.mark.usefixtures("s3")
def test_glob_over_a_bucket_names_its_matches() -> None:
    assert sources("s3://exports/logs*/ui.jsonl") == ["logs/ui.jsonl", "logs2/ui.jsonl"]
    assert sources("s3://exports/logs/**/*.jsonl") == ["prompt.jsonl", "ui.jsonl"]
    assert sources("s3://exports/wild/app?.log") == ["app1.log"]
    assert sources("s3://exports/logs/a*") == ["old/prompt.jsonl.1.gz", "prompt.jsonl", "store.db"]


@pytest.mark.usefixtures("s3")
def test_glob_does_not_mean_hidden_objects_unless_it_says_so() -> None:
    found = find_inputs(["s3://exports/logs/**"])
    assert not any(part.startswith(".") for one in found.inputs for part in one.source.split("/"))
    assert (".cache", "hidden, not read") in found.skipped
    assert found.twice == []
    assert sources("s3://exports/logs/app/.h*") == [".hidden"]


@pytest.mark.parametrize("place", ["s3://exports/day/", "memory://day/", "memory:///day/"])
@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("**", {"comp/a.jsonl.gz": b"a", "comp/deep/b.log": b"b", "c.log": b"c"}),
        ("*/*", {"a.jsonl.gz": b"a", "b.log": b"b"}),
        ("*", {"a.jsonl.gz": b"a", "deep/b.log": b"b", "c.log": b"c"}),
        ("**/*", {"a.jsonl.gz": b"a", "deep/b.log": b"b", "c.log": b"c"}),
        ("comp/**", {"a.jsonl.gz": b"a", "deep/b.log": b"b"}),
        ("**/*.log", {"b.log": b"b", "c.log": b"c"}),
    ],
)
@pytest.mark.usefixtures("s3")
def test_what_a_glob_matches_can_be_opened(place: str, pattern: str, named: dict[str, bytes]) -> None:
    """A pattern of two stars means the folder before it as well, whose name has no slash at its end."""
    store = fsspec.filesystem(place.partition(":")[0])
    root = "/day" if place.startswith("memory") else "exports/day"
    for key, data in {"comp/a.jsonl.gz": b"a", "comp/deep/b.log": b"b", "c.log": b"c"}.items():
        store.pipe_file(f"{root}/{key}", data)
    found = find_inputs([place + pattern])
    assert contents(found) == named
    assert not any("//" in one.place.partition("://")[2].lstrip("/") for one in found.inputs)


@pytest.mark.usefixtures("s3")
def test_glob_over_a_whole_bucket_can_be_opened() -> None:
    found = find_inputs(["s3://other/**", "s3://other/*"])
    assert contents(found) == {"ui.jsonl": b"other\n"}
    assert found.inputs[0].place == "s3://other/logs/ui.jsonl"


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("name", "why"), [("s3://exports/logs/CASE/", "it is a case"), ("s3://exports/logs/.cache", None)]
)
def test_folder_of_a_bucket_with_nothing_to_read_says_why(name: str, why: str | None) -> None:
    """A hidden folder that is named itself is read."""
    if why is None:
        assert sources(name) == ["state"]
        return
    with pytest.raises(InputError) as refused:
        find_inputs([name])
    assert refused.value.message == f"nothing to read at {name!r}: {why}"


def test_folder_of_hidden_objects_says_why() -> None:
    fsspec.filesystem("memory").pipe_file("/logs/.c.log", b"x")
    with pytest.raises(InputError, match="nothing to read at 'memory://logs': what lies in it is hidden"):
        find_inputs(["memory://logs"])


@pytest.mark.usefixtures("s3")
def test_keys_of_all_shapes_are_names_and_nothing_else() -> None:
    found = find_inputs(["s3://exports/wild/"])
    wild = {key.removeprefix("wild/"): data for key, data in OBJECTS.items() if key.startswith("wild/")}
    assert contents(found) == {**{k: v for k, v in wild.items() if "//" not in k}, "double//slash.log": b"four\n"}
    assert contents(find_inputs(["s3://exports/wild/app[1].log"])) == {"app[1].log": b"one\n"}


@pytest.mark.usefixtures("s3")
def test_equal_names_are_told_apart_across_buckets_and_folders(tmp_path: Path) -> None:
    (tmp_path / "ui.jsonl").write_bytes(b"here\n")
    names = ["s3://exports/logs/ui.jsonl", "s3://other/logs/ui.jsonl", str(tmp_path / "ui.jsonl")]
    found = find_inputs(names)
    here = f"{tmp_path.name}/ui.jsonl"
    assert contents(found) == {
        here: b"here\n",
        "s3://exports/logs/ui.jsonl": b"ui\n",
        "s3://other/logs/ui.jsonl": b"other\n",
    }
    assert find_inputs(names[::-1]) == found


@pytest.mark.usefixtures("s3")
def test_object_that_is_named_twice_is_read_once_and_said(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("s3a://exports/logs/ui.jsonl\n")
    names = ["s3://exports/logs/", "s3://exports/logs/ui.jsonl", f"@{tmp_path / 'list.txt'}", "s3://exports/*/ui.jsonl"]
    found = find_inputs(names)
    assert found.twice == ["logs/ui.jsonl"]
    assert [one.source for one in found.inputs if one.source.endswith("ui.jsonl")] == [
        "logs/ui.jsonl",
        "logs2/ui.jsonl",
    ]
    assert find_inputs(names[::-1]) == found


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    "name",
    [
        "s3://exports/none.log",
        "s3://exports/none/",
        "s3://exports/none*",
        "s3://nobucket/a",
        "s3://",
        "s3://exports/log",
    ],
)
def test_url_that_means_nothing_is_refused_with_a_hint(name: str) -> None:
    with pytest.raises(InputError) as refused:
        find_inputs([name, "s3://exports/logs/ui.jsonl"])
    assert name in refused.value.message
    assert refused.value.hint


@pytest.mark.usefixtures("s3")
def test_large_object_is_read_by_blocks_from_anywhere() -> None:
    one = find_inputs(["s3://exports/large.bin"]).inputs[0]
    with one.open() as file:
        digest = hashlib.sha256()
        while data := file.read(1 << 20):
            digest.update(data)
        assert digest.digest() == hashlib.sha256(LARGE).digest()
        file.seek(-9, io.SEEK_END)
        assert file.read() == LARGE[-9:]
        file.seek(5)
        assert (file.tell(), file.read(3)) == (5, LARGE[5:8])
        assert not file.writable()


@pytest.mark.usefixtures("s3")
def test_object_is_opened_afresh_each_time() -> None:
    one = find_inputs(["s3://exports/logs/app/prompt.jsonl"]).inputs[0]
    with one.open() as first, one.open() as second:
        assert first.read(4) == second.read(4) == LINES[:4]


@pytest.mark.usefixtures("s3")
def test_object_that_is_replaced_while_it_is_read_is_no_mixture() -> None:
    store = fsspec.filesystem("s3")
    store.pipe_file("exports/changing.bin", LARGE)
    one = find_inputs(["s3://exports/changing.bin"]).inputs[0]
    with one.open() as file:
        assert file.read(3) == LARGE[:3]
        store.pipe_file("exports/changing.bin", LARGE[::-1])
        file.seek(BLOCK)
        with pytest.raises(OSError, match="it changed while it was read"):
            drain(file)


@pytest.mark.usefixtures("s3")
def test_object_that_is_gone_since_it_was_found_is_said_when_it_is_read() -> None:
    store = fsspec.filesystem("s3")
    store.pipe_file("exports/brief.log", b"x")
    one = find_inputs(["s3://exports/brief.log"]).inputs[0]
    store.rm_file("exports/brief.log")
    with pytest.raises(FileNotFoundError) as gone:
        one.open()
    assert gone.value.strerror == "no such object at s3://exports/brief.log"
    assert one.size() is None


def test_store_can_be_named_in_the_settings_of_fsspec(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As FSSPEC_S3_ENDPOINT_URL, FSSPEC_S3_KEY and FSSPEC_S3_SECRET in the environment do at the start."""
    settings_of_s3 = {"endpoint_url": moto_server, "key": "testing", "secret": SECRET}
    monkeypatch.setitem(fsspec.config.conf, "s3", settings_of_s3)
    assert contents(find_inputs(["s3://exports/logs/ui.jsonl"])) == {"ui.jsonl": b"ui\n"}


@pytest.mark.usefixtures("fresh")
def test_place_without_credentials_is_refused_and_the_others_are_read(
    moto_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server)
    (tmp_path / "a.log").write_bytes(b"x\n")
    found = find_inputs(["s3://exports/logs/", tmp_path / "a.log"])
    assert [one.source for one in found.inputs] == ["a.log"]
    assert found.refused == [("s3://exports/logs/", "no credentials for it in the environment")]


@pytest.mark.usefixtures("s3", "fresh")
def test_store_that_does_not_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(fsspec.get_filesystem_class("s3"), "retries", 1)
    found = find_inputs(["s3://exports/logs/"])
    assert (found.inputs, found.refused) == ([], [("s3://exports/logs/", "no connection to the server")])
    with pytest.raises(OSError, match=re.escape("no connection to the server at s3://exports/logs/ui.jsonl")):
        open_object("s3://exports/logs/ui.jsonl")


# Web servers.


@dataclass
class Site:
    """What a web server has, and in which manner it gives it."""

    files: dict[str, bytes] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    answers: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    ranges: bool = True
    sized: bool = True
    head: bool = True
    cut: int | None = None
    encoding: str | None = None
    tag: Callable[[], str] | None = None
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    url: str = ""


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: small ones would wait for each other's receipt

        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            site.asked.append((self.command, self.path, self.headers["Range"]))
            site.said.append(str(self.headers))
            path = unquote(self.path.partition("?")[0])
            status, extra = site.answers.get(path, (200, {}))
            if self.command == "HEAD" and not site.head:
                status = 403
            data = site.files.get(path)
            if path in site.pages:
                data, extra = site.pages[path].encode(), {"Content-Type": "text/html", **extra}
            if data is None and status == 200:
                status = 404
            if status != 200:
                self.answer(status, b"", extra, sized=True)
                return
            assert data is not None
            span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
            if span and site.ranges:
                first = int(span[1])
                if first >= len(data):
                    self.answer(416, b"", {}, sized=True)
                    return
                last = min(int(span[2] or len(data)), len(data) - 1)
                extra = {**extra, "Content-Range": f"bytes {first}-{last}/{len(data)}"}
                status, data = 206, data[first : last + 1]
            if site.encoding is not None:
                extra = {**extra, "Content-Encoding": site.encoding}
            if site.tag is not None:
                extra = {**extra, "ETag": site.tag()}
            self.answer(status, data, extra, sized=site.sized)

        def answer(self, status: int, data: bytes, extra: dict[str, str], *, sized: bool) -> None:
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            if sized:
                self.send_header("Content-Length", str(len(data)))
            else:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if self.command == "HEAD":
                return
            with contextlib.suppress(ConnectionError):  # a reader may have had enough
                if site.cut is not None:
                    self.wfile.write((b"" if sized else b"%x\r\n" % len(data)) + data[: site.cut])
                    self.close_connection = True
                elif sized:
                    self.wfile.write(data)
                else:
                    for start in range(0, len(data), 1 << 20):
                        piece = data[start : start + (1 << 20)]
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.write(b"0\r\n\r\n")

    return Handler


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that went away is what some of these tests are about."""


@contextlib.contextmanager
def serving(site: Site) -> Iterator[Site]:
    with Quiet(("127.0.0.1", 0), handler(site)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site()) as made:
        yield made


@pytest.fixture(scope="module")
def small() -> Iterator[Site]:
    with serving(Site({"/a": LARGE[:40]})) as made:
        yield made


MANNERS = {
    "ranges and sizes": {"ranges": True, "sized": True},
    "sizes alone": {"ranges": False, "sized": True},
    "ranges alone": {"ranges": True, "sized": False},
    "neither": {"ranges": False, "sized": False},
    "no HEAD": {"head": False},
}


@pytest.mark.parametrize("manner", MANNERS.values(), ids=MANNERS)
def test_object_reads_the_same_whatever_its_server_can_do(manner: dict[str, bool]) -> None:
    with serving(Site({"/logs/large.bin": LARGE}, **manner)) as site:  # type: ignore[arg-type]
        (one,) = find_inputs([f"{site.url}/logs/large.bin"]).inputs
        assert site.asked == [], "nothing is asked for before it is read"
        assert one.source == "large.bin"
        with one.open() as file:
            digest = hashlib.sha256()
            while data := file.read(1 << 20):
                digest.update(data)
            assert digest.digest() == hashlib.sha256(LARGE).digest()
            assert site.asked == [("GET", "/logs/large.bin", None)], "one request for a file that is read through"
            file.seek(100)
            assert file.read(9) == LARGE[100:109]
            file.seek(-9, io.SEEK_END)
            assert file.read() == LARGE[-9:]
            assert file.seek(0, io.SEEK_END) == len(LARGE)
            assert file.read() == b""
            file.seek(len(LARGE) + 5)
            assert file.read() == b""
            with pytest.raises(OSError, match="Invalid argument"):
                file.seek(-1)


moves = st.lists(
    st.tuples(st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END]), st.integers(-60, 60), st.integers(-1, 70)),
    max_size=8,
)


@settings(max_examples=20, deadline=None)
@given(moves=moves, ranges=st.booleans(), sized=st.booleans())
def test_object_behaves_as_a_file_in_memory_does(
    small: Site, moves: list[tuple[int, int, int]], ranges: bool, sized: bool
) -> None:
    data = LARGE[:40]
    small.ranges, small.sized = ranges, sized
    with open_object(f"{small.url}/a") as file:
        model = io.BytesIO(data)
        for whence, offset, count in moves:
            place = {io.SEEK_SET: 0, io.SEEK_CUR: model.tell(), io.SEEK_END: len(data)}[whence] + offset
            if place >= 0:
                assert file.seek(offset, whence) == model.seek(place)
            assert (file.read(count), file.tell()) == (model.read(count), model.tell())


def test_archive_on_a_web_server_is_opened_where_it_lies(site: Site) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app/prompt.jsonl", LINES)
        archive.writestr("large.bin", LARGE[: 3 << 20])
    site.files["/export.zip"] = packed.getvalue()
    with open_object(f"{site.url}/export.zip") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("app/prompt.jsonl") == LINES
        assert archive.read("large.bin") == LARGE[: 3 << 20]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("prompt.jsonl")
        entry.size = len(LINES)
        tar.addfile(entry, io.BytesIO(LINES))
    site.files["/export.tar.gz"] = packed.getvalue()
    with open_object(f"{site.url}/export.tar.gz") as file, tarfile.open(fileobj=file, mode="r|gz") as tar:
        assert [member.name for member in tar] == ["prompt.jsonl"]


def test_bytes_are_those_of_the_object_whatever_the_server_calls_them(site: Site) -> None:
    """A client that unpacks on the way would give other bytes than lie there, and other addresses."""
    packed = gzip.compress(LINES, mtime=0)
    site.files["/a.jsonl.gz"], site.encoding = packed, "gzip"
    with open_object(f"{site.url}/a.jsonl.gz") as file:
        assert file.read() == packed
    assert all("Accept-Encoding: identity" in headers for headers in site.said)


@pytest.mark.parametrize("sized", [True, False])
def test_connection_that_ends_early_is_no_end_of_the_file(sized: bool) -> None:
    with serving(Site({"/a.log": LARGE}, sized=sized, cut=1 << 20)) as site, open_object(f"{site.url}/a.log") as file:
        assert file.read(1 << 10) == LARGE[: 1 << 10]
        with pytest.raises(OSError, match=f"the connection to the server ended early at {site.url}/a.log"):
            drain(file)


def test_object_that_changes_between_two_requests_is_no_mixture(site: Site) -> None:
    tags = iter(['"one"', '"two"'])
    site.files["/a.log"], site.tag = LARGE, lambda: next(tags)
    with open_object(f"{site.url}/a.log") as file:
        file.read(3)
        file.seek(BLOCK)
        with pytest.raises(OSError, match="it changed while it was read"):
            file.read(3)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "access denied (HTTP 401)"),
        (403, "access denied (HTTP 403)"),
        (404, "no such object (HTTP 404)"),
        (410, "no such object (HTTP 410)"),
        (503, "the server answered with an error (HTTP 503)"),
    ],
)
def test_refusal_of_a_web_server_is_said_when_the_object_is_read(site: Site, status: int, words: str) -> None:
    site.answers["/a.log"] = status, {}
    (one,) = find_inputs([f"{site.url}/a.log?token={SECRET}"]).inputs
    with pytest.raises(OSError, match=re.escape(words)) as refused:
        one.open()
    assert refused.value.strerror == f"{words} at {site.url}/a.log?…"
    assert SECRET not in f"{refused.value}{refused.value.filename}"
    assert one.size() is None


def test_server_that_is_not_there_is_said(site: Site) -> None:
    with serving(Site()) as other:
        gone = other.url
    (one,) = find_inputs([f"{gone}/a.log"]).inputs
    with pytest.raises(OSError, match="no connection to the server"):
        one.open()
    found = find_inputs([f"{gone}/logs/", f"{gone}/*.log"])
    assert found.refused == [
        (f"{gone}/*.log", "no connection to the server"),
        (f"{gone}/logs/", "no connection to the server"),
    ]
    assert site.asked == []


def test_redirect_is_followed_and_the_object_called_as_it_was_named(site: Site) -> None:
    site.files["/store/8f2c"] = LINES
    site.answers["/latest.jsonl"] = 302, {"Location": "/store/8f2c"}
    assert contents(find_inputs([f"{site.url}/latest.jsonl"])) == {"latest.jsonl": LINES}


def test_size_is_asked_for_where_a_server_tells_it(site: Site) -> None:
    site.files["/a.log"] = LINES
    assert size_of(f"{site.url}/a.log") == len(LINES)
    site.sized = False
    assert size_of(f"{site.url}/a.log") is None
    assert size_of(f"{site.url}/none.log") is None


# Listings of web servers.

INDEX = """<html><h1>Index of /logs/</h1><a href="?C=N;O=D">Name</a> <a href="/">Home</a> <a href="../">Parent</a>
<a href="a.log">a.log</a> <a href='b%20c&amp;d.log'>b c&d.log</a> <a href="./e.log">e.log</a>
<a href="/logs/f.log">f.log</a> <a href=".hidden">.hidden</a> <a href="app.log.lck">lock</a> <a href="app/">app/</a>
<a href="https://elsewhere.example/logs/x.log">elsewhere</a> <a href="/private/y.log">y</a> <a href="../z.log">z</a>
<a href="app/../../w.log">w</a> <a href="javascript:alert(1)">v</a> <a href="mailto:a@b.example">u</a>
<a href="a.log#top">again</a>"""


@pytest.fixture
def listed(site: Site) -> Site:
    site.pages["/logs/"] = INDEX
    site.pages["/logs/app/"] = (
        '<a href="../">up</a><a href="g.log">g</a><a href="/logs/">top</a><a href="deep/">deep</a>'
    )
    site.pages["/logs/app/deep/"] = '<a href="h.log">h</a><a href="/logs/app/deep/">self</a><a href="./">self</a>'
    for name in ("a.log", "b c&d.log", "e.log", "f.log", ".hidden", "app.log.lck", "app/g.log", "app/deep/h.log"):
        site.files[f"/logs/{name}"] = name.encode()
    return site


def test_listing_of_a_web_server_is_a_folder(listed: Site) -> None:
    found = find_inputs([f"{listed.url}/logs/"])
    names = ["a.log", "app/deep/h.log", "app/g.log", "b c&d.log", "e.log", "f.log"]
    assert contents(found) == {name: name.encode() for name in names}
    assert found.skipped == [(".hidden", "hidden, not read"), ("app.log.lck", "a lock file, not read")]
    assert {path.partition("?")[0] for _, path, _ in listed.asked if path.endswith("/")} == {
        "/logs/", "/logs/app/", "/logs/app/deep/"
    }  # fmt: skip


def test_glob_over_a_listing_names_its_matches(listed: Site) -> None:
    assert sources(f"{listed.url}/logs/[ab]*.log") == ["a.log", "b c&d.log"]
    assert sources(f"{listed.url}/logs/**/*.log") == ["a.log", "b c&d.log", "e.log", "f.log", "g.log", "h.log"]
    assert sources(f"{listed.url}/logs/ap*") == ["app.log.lck", "deep/h.log", "g.log"]
    assert find_inputs([f"{listed.url}/logs/*"]).skipped == [(".hidden", "hidden, not read")]


@pytest.mark.usefixtures("s3")
def test_glob_with_a_query_is_refused_with_a_hint(listed: Site) -> None:
    """Its matches would need queries of their own; asking for an object of that name would give a bare 404."""
    for place in (f"{listed.url}/logs/*.log", "s3://exports/logs/*.gz"):
        with pytest.raises(InputError) as refused:
            find_inputs([f"{place}?token={SECRET}"])
        assert refused.value.message == f"a glob with a query is not expanded: {place}?…"
        assert "%2A" in str(refused.value.hint)
        assert SECRET not in str(refused.value)
    listed.files["/a*.log"] = LINES
    (one,) = find_inputs([f"{listed.url}/a%2A.log?token={SECRET}"]).inputs
    with one.open() as file:
        assert file.read() == LINES
    assert one.source == "a*.log"


@pytest.mark.parametrize("name", ["/none/", "/logs/*.gz", "/empty/"])
def test_listing_without_a_match_is_refused_with_a_hint(listed: Site, name: str) -> None:
    listed.pages["/empty/"] = "<html>nothing</html>"
    with pytest.raises(InputError, match="nothing to read at") as refused:
        find_inputs([listed.url + name])
    assert refused.value.hint


def test_site_that_invents_folders_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(dict[str, str]):
        def __contains__(self, path: object) -> bool:
            return True

        def __getitem__(self, path: str) -> str:
            return '<a href="next/">next</a>'

    site.pages = Endless()
    monkeypatch.setattr("strataline.read.remote._PAGES", 20)
    assert find_inputs([f"{site.url}/calendar/"]).refused == [
        (f"{site.url}/calendar/", "the server lists more than 20 folders")
    ]


# Secrets.


def test_signed_url_works_and_its_signature_is_shown_nowhere(site: Site) -> None:
    site.files["/exports/a.jsonl"] = LINES
    host = site.url.removeprefix("http://")
    url = f"http://user:{SECRET}@{host}/exports/a.jsonl?X-Amz-Signature={SECRET}%2F%2B&x=1#{SECRET}"
    found = find_inputs([url])
    assert contents(found) == {"a.jsonl": LINES}
    assert site.asked[-1][1] == f"/exports/a.jsonl?X-Amz-Signature={SECRET}%2F%2B&x=1", "sent as it was signed"
    assert "Authorization: Basic " in site.said[-1]
    assert found.inputs[0].place == f"{site.url}/exports/a.jsonl?…"
    assert SECRET not in repr(found)
    with pytest.raises(PermissionError) as refused:
        Input("a.jsonl", None, found.inputs[0].place).open()
    words = "the query of its URL was not kept; name it again, or give --inputs DIR"
    assert refused.value.strerror == f"{words}: {found.inputs[0].place}"


def test_urls_that_differ_in_a_query_are_told_apart(site: Site) -> None:
    site.files["/download"] = LINES
    names = [f"{site.url}/download?file={one}" for one in "ab"]
    found = find_inputs(names)
    assert [one.source for one in found.inputs] == ["download", "download~2"]
    assert find_inputs(names[::-1]) == found


def test_spellings_of_one_url_are_one_input(site: Site) -> None:
    port = site.url.rpartition(":")[2]
    names = [f"{site.url}/a%7Eb.log", f"HTTP://127.0.0.1:{port}/a~b.log#top", f"http://u:p@127.0.0.1:{port}/a~b.log"]
    found = find_inputs(names)
    assert [one.source for one in found.inputs] == found.twice == ["a~b.log"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h.example/a.log", "https://h.example/a.log"),
        ("https://u:p@h.example:8443/a.log?sig=p#p", "https://h.example:8443/a.log?…"),
        ("https://token@h.example/a.log#p", "https://h.example/a.log?…"),
        ("https://u:p@ss@h.example/", "https://h.example/"),
        ("https://h.example?p", "https://h.example?…"),
        ("s3://key:secret@bucket/a.log", "s3://bucket/a.log"),
        ("s3://bucket/a@b.log", "s3://bucket/a@b.log"),
        ("s3://bucket/app-?.log", "s3://bucket/app-?.log"),
        ("s3://bucket/a.log?versionId=7", "s3://bucket/a.log?…"),
        ("abfs://box@account.example/a.log", "abfs://box@account.example/a.log"),
        ("sftp://u:p@h.example/a.log", "sftp://h.example/a.log"),
    ],
)
def test_what_may_be_a_secret_is_left_out_of_a_url(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert redact(shown) == shown


@given(parts=st.lists(st.sampled_from(["u", ":", "@", "/", "?", "#", "h", ".", "%40", "\n"]), max_size=12))
@settings(max_examples=200, deadline=None)
def test_redacting_takes_no_second_time(parts: list[str]) -> None:
    once = redact("https://" + "".join(parts))
    assert redact(once) == once


# Other schemes, and none.


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3://b/k", True),
        ("S3a://b/k", True),
        ("zip://a::s3://b/k", True),
        ("simplecache::s3://b/k", True),
        ("logs/app.log", False),
        ("c:/logs", False),
        ("a:b", False),
        ("://x", False),
        ("logs/s3://b", False),
    ],
)
def test_url_is_told_from_a_path(name: str, expected: bool) -> None:
    assert is_url(name) is expected


def test_file_url_is_the_local_file(tmp_path: Path) -> None:
    folder = tmp_path / "my logs"
    folder.mkdir()
    (folder / "a%20b.log").write_bytes(b"x\n")
    os.mkfifo(folder / "pipe")
    found = find_inputs([f"file://{tmp_path}/my%20logs", folder / "a%20b.log", f"file://localhost{folder}/a%20b.log"])
    assert [(one.source, one.path, one.url) for one in found.inputs] == [("a%20b.log", folder / "a%20b.log", None)]
    assert found.twice == ["a%20b.log"]
    assert [name for name, _ in found.refused] == ["pipe"]
    assert local_path("https://h.example/a") is None


def test_file_system_in_memory_is_read_like_a_store() -> None:
    store = fsspec.filesystem("memory")
    for name in ("/logs/app/a.log", "/logs/b.log", "/logs/.c.log"):
        store.pipe_file(name, name.encode())
    found = find_inputs(["memory://logs/"])
    assert contents(found) == {"app/a.log": b"/logs/app/a.log", "b.log": b"/logs/b.log"}
    assert found.skipped == [(".c.log", "hidden, not read")]
    assert find_inputs(["memory:///logs/b.log", "memory://logs/b.log"]).twice == ["b.log"]
    assert sources("memory://logs/*.log") == ["b.log"]
    with open_object("memory://logs/b.log") as first, open_object("memory://logs/b.log") as second:
        assert (first.read(3), second.read(3), first.read(2)) == (b"/lo", b"/lo", b"gs")
    assert size_of("memory://logs/b.log") == 11


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nosuch://bucket/a", "no such kind of URL: nosuch://"),
        ("zip://a.log::s3://bucket/a.zip", "chained URLs are not read"),
        ("simplecache::https://h.example/a", "chained URLs are not read"),
        ("http://[::1/a.log", "no URL"),
        (f"nosuch::https://u:{SECRET}@h.example/a", "chained URLs are not read"),
    ],
)
def test_kind_of_url_that_cannot_be_read_is_refused_with_a_hint(name: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as refused:
        find_inputs([name])
    assert refused.value.hint
    assert SECRET not in str(refused.value)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("name", "missing"), [("s3://b/k", "fsspec"), ("s3://b/k", "s3fs"), ("https://h.example/a/", "aiohttp")]
)
def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, name: str, missing: str) -> None:
    for module in [one for one in sys.modules if one.split(".")[0] == missing or one == "fsspec.implementations.http"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    if missing != "fsspec":
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, name.partition(":")[0], raising=False)
    with pytest.raises(InputError, match="needs more packages") as refused:
        find_inputs([name])
    assert refused.value.hint == "pip install 'strataline[cloud]'"
    with pytest.raises(OSError, match="pip install"):
        open_object(name)


def test_paths_are_found_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.log").write_bytes(b"x\n")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert sources(tmp_path) == ["a.log"]
