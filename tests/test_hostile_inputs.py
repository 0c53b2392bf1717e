"""Inputs that are meant to break a reader: each is said, nothing else is lost, and the exit status tells.

What is said of each stands in the table of docs/inputs.md; every row of it is a test here.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import sys
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from strataline.case import Case
from strataline.cli import main
from strataline.read import Limits

REPOSITORY = Path(__file__).resolve().parent.parent
SOUND = REPOSITORY / "sample_logs" / "formats" / "structlog_json"
PAGE = REPOSITORY / "docs" / "inputs.md"
LINE = b'{"event": "chat.request", "level": "info", "timestamp": "2026-11-21T22:44:29.49Z", "request_id": "r-%d"}'


def records(count: int) -> bytes:
    return b"".join(LINE % number + b"\n" for number in range(count))


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def gzip_bomb(folder: Path) -> None:
    with gzip.open(folder / "bomb.jsonl.gz", "wb", compresslevel=9) as file:
        for _ in range(80):
            file.write(bytes(1 << 20))


def nested_bomb(folder: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.log", bytes(8 << 20))
    middle = io.BytesIO()
    with zipfile.ZipFile(middle, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.zip", inner.getvalue())
    with zipfile.ZipFile(folder / "bomb.zip", "w") as archive:
        archive.writestr("middle.zip", middle.getvalue())


def many_members(folder: Path) -> None:
    with zipfile.ZipFile(folder / "many.zip", "w") as archive:
        for number in range(60):
            archive.writestr(f"{number}", b"")


def path_tricks(folder: Path) -> None:
    tar(
        folder / "tricks.tar.gz",
        (tarfile.TarInfo("../../outside.jsonl"), records(1)),
        (tarfile.TarInfo("/etc/absolute.jsonl"), records(1)),
        (special("link.jsonl", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (special("hard.jsonl", tarfile.LNKTYPE, "../../x"), b""),
        (special("device", tarfile.CHRTYPE), b""),
        (special("pipe", tarfile.FIFOTYPE), b""),
    )
    (folder / "one-byte.log").write_bytes(b"x")


def truncated_gzip(folder: Path) -> None:
    data = gzip.compress(records(5000))
    (folder / "cut.jsonl.gz").write_bytes(data[: len(data) // 2])


def truncated_zip(folder: Path) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", records(500))
        archive.writestr("b.jsonl", records(500))
    (folder / "cut.zip").write_bytes(whole.getvalue()[: int(len(whole.getvalue()) * 0.7)])


def truncated_parquet(folder: Path) -> None:
    whole = io.BytesIO()
    pq.write_table(pa.table({"event": ["a"] * 1000, "level": ["info"] * 1000}), whole)
    (folder / "cut.parquet").write_bytes(whole.getvalue()[:-20])


def encrypted_zip(folder: Path) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("a.jsonl", records(5))
    data = bytearray(whole.getvalue())
    # The flag of an encrypted member, in its own header and in the directory.
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    (folder / "secret.zip").write_bytes(data)


def directory_loop(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "loop").symlink_to(folder, target_is_directory=True)


def dangling_link(folder: Path) -> None:
    (folder / "gone.jsonl").symlink_to(folder / "nowhere")


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jsonl")


def long_line(folder: Path) -> None:
    with (folder / "long.jsonl").open("wb") as file:
        file.write(records(3) + b'{"event": "')
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n' + records(3))


def one_byte(folder: Path) -> None:
    (folder / "one.jsonl").write_bytes(b"{")


def not_a_database(folder: Path) -> None:
    (folder / "broken.db").write_bytes(b"SQLite format 3\x00" + b"\xff" * 4000)


def null_bytes(folder: Path) -> None:
    (folder / "sparse.jsonl").write_bytes(bytes(5000))


HOSTILE: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "gzip bomb": (gzip_bomb, ["--max-expand", "32MiB"]),
    "archive of archives of archives": (nested_bomb, []),
    "archive of more members than the limit": (many_members, []),
    "path tricks, links, devices and pipes in an archive": (path_tricks, []),
    "gzip cut in the middle": (truncated_gzip, []),
    "zip without its directory": (truncated_zip, []),
    "encrypted zip": (encrypted_zip, []),
    "Parquet without its footer": (truncated_parquet, []),
    "file that only begins as a database": (not_a_database, []),
    "folder that links to a folder above": (directory_loop, []),
    "link that leads nowhere": (dangling_link, []),
    "named pipe (FIFO)": (fifo, []),
    "line of 100 MB": (long_line, []),
    "file of one byte": (one_byte, []),
    "file of NUL bytes alone": (null_bytes, []),
}


def said(row: str) -> str:
    """What the page says of a hostile input."""
    found = re.search(rf"^\| {re.escape(row)} \| (.+?) \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, f"docs/inputs.md has no row {row!r}"
    return found[1].strip("`")


def test_page_and_tests_name_the_same_inputs() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## What is refused")[2]
    rows = re.findall(r"^\| (.+?) \| ", table, re.MULTILINE)
    assert set(rows) - {"input", "---", "unreadable file", "`/dev/null`"} == set(HOSTILE)


def run(*arguments: str | Path) -> tuple[int, str, Path]:
    out = Path(arguments[0]).parent / "case"
    found = CliRunner().invoke(main, ["reconstruct", *map(str, arguments), "-o", str(out)])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output, out


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_said_and_costs_no_other_record(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "members" in name:
        monkeypatch.setattr(sys.modules["strataline.reconstruct"], "Limits", partial(Limits, max_members=50))
    build, options = HOSTILE[name]
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "sound.jsonl").write_bytes(records(40))
    build(logs)
    status, output, out = run(logs, *options)
    assert status == 1, output
    case = Case.open(out)
    sound = case.frames["events"].filter(pl.col("source") == "sound.jsonl")
    assert sound.height == 40
    everything = output + json.dumps([case.frames[table].to_dicts() for table in ("notes", "rejects")], default=str)
    assert said(name) in everything
    assert "Traceback" not in output
    assert case.verify(out) == [] or name == "link that leads nowhere"
    assert not (tmp_path / "outside.jsonl").exists()


def test_unreadable_file_is_said_and_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, whom no mode keeps out."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("sound.jsonl", "locked.jsonl"):
        (logs / name).write_bytes(records(40))
    real = Path.open

    def refused(path: Path, *arguments: object, **named: object) -> object:
        if path.name == "locked.jsonl":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refused)
    status, output, out = run(logs)
    assert status == 1
    assert said("unreadable file") in output
    assert Case.open(out).frames["events"].height == 40


@pytest.mark.parametrize("beside", [True, False])
def test_device_is_refused(tmp_path: Path, *, beside: bool) -> None:
    (tmp_path / "sound.jsonl").write_bytes(records(40))
    names = [tmp_path / "sound.jsonl", Path("/dev/null")] if beside else [Path("/dev/null")]
    found = CliRunner().invoke(main, ["reconstruct", *map(str, names), "-o", str(tmp_path / "case")])
    assert found.exit_code == (1 if beside else 2)
    assert said("`/dev/null`") in found.output


def test_tricks_in_an_archive_are_read_by_name_alone(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    path_tricks(logs)
    _, _, out = run(logs)
    sources = Case.open(out).frames["sources"]["source"].to_list()
    assert "tricks.tar.gz!../../outside.jsonl" in sources
    assert "tricks.tar.gz!/etc/absolute.jsonl" in sources
    assert not any("link.jsonl" in source or "device" in source for source in sources)
