"""What parsing made of an input is kept, and believed only where nothing differs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import strataline
from strataline import cache
from strataline.cache import Cache, code
from strataline.cli import main
from strataline.read import Input

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample_logs" / "assist_incident"
FORMATS = SAMPLE / "formats"


def _files(case: strataline.Case, folder: Path) -> dict[str, bytes]:
    case.write(folder, overwrite=True)
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two logs of one layer, of JSON and of text; or the layers that the parameter names."""
    layers = getattr(request, "param", ("policy",))
    for layer in layers:
        shutil.copytree(SAMPLE / "logs" / layer, tmp_path / "logs" / layer)
    return tmp_path / "logs"


@pytest.fixture
def asked(logs: Path, tmp_path: Path) -> Callable[..., tuple[dict[str, bytes], Cache]]:
    def ask(cache: bool = True, **options: Any) -> tuple[dict[str, bytes], Cache]:
        kept = Cache(tmp_path / "cache")
        named = {"formats": [FORMATS], **options, **({"cache": kept} if cache else {})}
        return _files(strataline.reconstruct(logs, **named), tmp_path / "case"), kept

    return ask


@pytest.mark.parametrize("logs", [("app", "gateway", "policy", "retrieval", "ui")], indirect=True, ids=["all"])
def test_a_case_is_the_same_without_a_cache_and_with_an_empty_and_a_full_one(
    asked: Callable[..., tuple[dict[str, bytes], Cache]], logs: Path
) -> None:
    plain, _ = asked(cache=False)
    first, empty = asked()
    second, full = asked()
    assert plain == first == second
    inputs = sum(one.is_file() for one in logs.rglob("*"))
    assert (empty.found, full.found, full.damaged) == (0, inputs, [])


@pytest.mark.slow
@pytest.mark.parametrize("logs", [("app", "policy")], indirect=True, ids=["two layers"])
@pytest.mark.parametrize(
    "options",
    [
        {"excerpts": False},
        {"assume_zone": "Asia/Kolkata"},
        {"max_record": 3000},
        {"zones": {"*.log": "Europe/Berlin"}},
        {"max_expand": 1 << 30},
    ],
    ids=str,
)
def test_what_was_asked_differently_is_read_again(
    asked: Callable[..., tuple[dict[str, bytes], Cache]], options: dict[str, object]
) -> None:
    asked()
    plain, _ = asked(cache=False, **options)
    again, kept = asked(**options)
    assert kept.found == 0
    assert again == plain


def test_options_of_the_correlation_do_not_read_again(asked: Callable[..., tuple[dict[str, bytes], Cache]]) -> None:
    asked()
    plain, _ = asked(cache=False, min_confidence=1.0)
    again, kept = asked(min_confidence=1.0)
    assert kept.found > 0
    assert again == plain


def test_a_format_that_changed_is_another_one(
    asked: Callable[..., tuple[dict[str, bytes], Cache]], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(FORMATS, tmp_path / "formats"))
    asked(formats=[folder])
    one = min(folder.glob("*.py"))
    one.write_text(one.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    plain, _ = asked(cache=False, formats=[folder])
    again, kept = asked(formats=[folder])
    assert kept.found == 0
    assert again == plain


@pytest.mark.parametrize("package", ["python-dateutil", "tzdata", "polars"])
def test_another_version_of_what_reads_is_another_reader(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, one = Cache(tmp_path), Input("app.log", tmp_path / "app.log")
    (tmp_path / "app.log").write_bytes(b"{}\n")
    before = kept.key(one, {})
    assert kept.key(one, {}) == before
    monkeypatch.setattr(cache, "version", lambda name: "0.0" if name == package else version(name))
    assert kept.key(one, {}) != before


def test_another_state_of_the_program_is_another_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of its version is the same from one release to the next."""
    kept, one = Cache(tmp_path / "cache"), Input("app.log", tmp_path / "app.log")
    (tmp_path / "app.log").write_bytes(b"{}\n")
    before = kept.key(one, {})
    package = tmp_path / "package"
    for number, name in enumerate(("a.py", "sub/b.py", "sub/words.txt")):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(str(number))
    first = code(package)
    (package / "sub" / "b.py").write_text("changed")
    code.cache_clear()
    assert code(package) != first
    monkeypatch.setattr(cache, "code", lambda _: first)
    assert kept.key(one, {}) != before


def test_only_the_file_that_changed_is_read_again(
    asked: Callable[..., tuple[dict[str, bytes], Cache]], logs: Path
) -> None:
    _, before = asked()
    one = min((file for file in logs.rglob("*.jsonl")), key=str)
    one.write_bytes(one.read_bytes() + b'{"more": 1}\n')
    plain, _ = asked(cache=False)
    again, kept = asked()
    assert again == plain
    assert kept.found == sum(file.is_file() for file in logs.rglob("*")) - 1
    assert before.found == 0


@pytest.mark.parametrize("damage", ["table", "entry", "digest", "gone", "shape", "no JSON"])
def test_a_damaged_entry_is_read_again_and_made_anew(
    asked: Callable[..., tuple[dict[str, bytes], Cache]], damage: str
) -> None:
    plain, kept = asked()
    for entry in kept.folder.iterdir():
        if damage == "table":
            file = entry / "0.events.parquet"
            file.write_bytes(file.read_bytes()[:-1] + b"X")
        elif damage == "entry":
            whole = json.loads((entry / "entry.json").read_bytes())
            whole["body"] = whole["body"].replace('"skipped": 0', '"skipped": 1').replace('"records"', '"recordz"')
            (entry / "entry.json").write_text(json.dumps(whole), encoding="ascii")
        elif damage == "digest":
            whole = json.loads((entry / "entry.json").read_bytes())
            (entry / "entry.json").write_text(json.dumps({"body": whole["body"]}), encoding="ascii")
        elif damage == "gone":
            (entry / "0.rejects.parquet").unlink()
        elif damage == "shape":
            (entry / "entry.json").write_bytes(b'{"body": null}')
        else:
            (entry / "entry.json").write_bytes(b"\xff{")
    again, told = asked()
    assert again == plain
    assert told.found == 0
    assert len(told.damaged) == len(list(told.folder.iterdir()))
    _, mended = asked()
    assert (mended.damaged, mended.found) == ([], len(told.damaged))


@pytest.mark.parametrize("logs", [("app", "policy")], indirect=True, ids=["two layers"])
def test_archives_are_kept_whole(logs: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "all"), "gztar", logs)
    archive = tmp_path / "all.tar.gz"

    def asked(**options: Any) -> dict[str, bytes]:
        case = strataline.reconstruct(archive, formats=[FORMATS], **options)
        return _files(case, tmp_path / "case")

    plain, kept = asked(), Cache(tmp_path / "cache")
    assert asked(cache=tmp_path / "cache") == plain
    assert asked(cache=kept) == plain
    assert kept.found == 1


def test_what_was_drafted_from_the_records_is_not_kept(tmp_path: Path) -> None:
    log = tmp_path / "own.jsonl"
    log.write_text("".join(f'{{"when": "2026-01-02T03:04:{n:02}Z", "did": "a{n}"}}\n' for n in range(60)))
    plain = _files(strataline.reconstruct(log), tmp_path / "case")
    for _ in range(2):
        kept = Cache(tmp_path / "cache")
        assert _files(strataline.reconstruct(log, cache=kept), tmp_path / "case") == plain
        assert kept.found == 0


def test_a_copy_is_told_from_the_cache_too(asked: Callable[..., tuple[dict[str, bytes], Cache]], logs: Path) -> None:
    one = min((file for file in logs.rglob("*.jsonl")), key=str)
    shutil.copyfile(one, one.with_name("a-copy.jsonl"))
    plain, _ = asked(cache=False)
    asked()
    again, kept = asked()
    assert kept.found > 1
    assert again == plain


def test_the_command_says_that_an_entry_is_damaged(logs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    asked = ["reconstruct", str(logs), "--formats", str(FORMATS), "-o", str(tmp_path / "case"), "--cache", str(cache)]
    assert CliRunner().invoke(main, asked).exit_code == 0
    (min(cache.iterdir()) / "entry.json").write_bytes(b"")
    done = CliRunner().invoke(main, [*asked, "--overwrite"])
    assert done.exit_code == 0
    assert "its entry in the cache is damaged; it was read again" in done.stderr


def test_a_cache_that_cannot_be_made_is_refused(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(strataline.StrataError, match="cannot be made"):
        strataline.reconstruct(logs, formats=[FORMATS], cache=tmp_path / "file")
