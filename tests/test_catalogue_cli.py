"""The commands about formats: what logs are, what is known, and teaching what is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from strataline.cli import _Commands
from strataline.cli.catalogue import register
from strataline.errors import FormatError
from strataline.parse import catalog, catalogue, load

SHIPPED = catalog._shipped()[0]
shipped = cache(load)
SAMPLES = Path(__file__).resolve().parent.parent / "sample_logs"
LOGS = SAMPLES / "assist_incident" / "logs"
TINY = '''"""A format as people write one."""

from strataline.format import Event, Format, Id, Recognise, path

FORMAT = Format(
    name="{name}",
    title="Tiny",
    layer="policy",
    reference="made up",
    recognise=Recognise(keys=(("when",), ("{mark}",))),
    fields={{"when": path("when"), "{mark}": path("{mark}")}},
    time="when",
    ids=(Id("request_id", "{mark}"),),
    events=(Event("policy.log"),),
)
'''


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


def cli(*arguments: str | Path) -> Ran:
    """Run the program in this process; what is no exit status flies."""
    group = _Commands("strataline")
    register(group)
    result = CliRunner().invoke(group, [str(one) for one in arguments], color=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(autouse=True)
def shipped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped formats are loaded once for all tests: each command lists them anew."""
    monkeypatch.setattr(catalog, "load", lambda file: shipped(file) if file.parent == SHIPPED else load(file))


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's own formats, which is not there yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "strataline" / "formats"


def tiny(file: Path, mark: str = "tiny_mark") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(TINY.format(name=file.stem, mark=mark))
    return file


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    logs = tmp_path / "logs"
    (logs / "app").mkdir(parents=True)
    shutil.copy(LOGS / "app" / "uvicorn.log", logs / "app" / "uvicorn [1].log")
    shutil.copy(LOGS / "policy" / "policy-a.jsonl", logs / "policy-a.jsonl")
    (logs / "strange\x1b[31m.txt").write_text("nothing \x1b[2J here\nnor here\n")
    (logs / "none.log").write_text("")
    return logs


def test_recognise_says_of_each_file_what_it_is_and_what_to_do(exports: Path) -> None:
    ran = cli("recognise", exports)
    assert ran.status == 1
    assert "\x1b" not in ran.out
    lines = ran.out.splitlines()
    access = lines.index(next(line for line in lines if line.startswith("app/uvicorn [1].log")))
    assert " uvicorn_access  92.56 % " in lines[access]
    assert "121 records  2026-11-21 17:59:28.620 – 18:10:30.006 UTC" in lines[access]
    assert lines[access + 1] == "    1 recovered; zone UTC assumed"
    # A glob that means this very name.
    assert lines[access + 2] == "    would tell more with: zone (--zone 'app/uvicorn [[]1].log=Area/City')"
    assert any("policy-a.jsonl" in line and "generic_json (guessed)" in line for line in lines)
    assert any(line.startswith(r"strange\x1b[31m.txt") and "not recognised" in line for line in lines)
    assert "4 sources: 1 recognised, 1 guessed, 1 not recognised, 1 empty" in lines
    assert "strataline new-format FILE -o DIR" in ran.out
    assert cli("recognise", exports / "app").status == 0


def test_recognise_prints_one_json_document_whatever_the_order(exports: Path) -> None:
    names = sorted(exports.iterdir())
    ran = cli("recognise", "--json", *names)
    assert cli("recognise", "--json", *reversed(names)).out == ran.out
    found = json.loads(ran.out)
    assert found["files"] == {"empty": 1, "guessed": 1, "not_recognised": 1, "recognised": 1}
    assert found["formats"] == {"generic_json": 1, "uvicorn_access": 1}
    guessed = next(row for row in found["sources"] if row["format"] == "generic_json")
    assert guessed["format_basis"] == "guessed"
    assert any(one.startswith("time from `ts`") for one in guessed["guesses"])
    named = cli("recognise", exports, "--format", "uvicorn_access=strange*", "--json")
    assert json.loads(named.out)["files"]["named"] == 1


def test_recognise_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    for arguments in (["nowhere"], [tmp_path], ["--explain", "1", tmp_path, tmp_path], []):
        ran = cli("recognise", *arguments)
        assert (ran.status, ran.out) == (2, "")
        assert "Traceback" not in ran.err


def test_explain_says_what_broke_a_line(exports: Path, tmp_path: Path) -> None:
    log = exports / "policy-a.jsonl"
    lines = log.read_text(errors="replace").splitlines()
    damaged = next(n for n, line in enumerate(lines, start=1) if not line.endswith("}"))
    ran = cli("recognise", log, "--explain", str(damaged))
    assert ran.status == 0
    assert f"line {damaged}, " in ran.out
    assert "  it is        damaged JSON\n  breaks       at character" in ran.out
    sound = cli("recognise", log, "--explain", "2", "--json")
    found = json.loads(sound.out)
    assert (found["format"], found["guessed"], found["explained"]["shape"]) == ("generic_json", True, "object")
    assert [event["kind"] for event in found["events"]] == ["policy.decision"]
    assert found["explained"]["nearest"][0]["lacks"]
    strange = cli("recognise", exports / "strange\x1b[31m.txt", "--explain", "1")
    assert "\x1b" not in strange.out
    assert r"nothing \x1b[2J here" in strange.out
    assert "reject       unrecognised_format" in strange.out
    served = exports / "app" / "uvicorn [1].log"
    number = next(n for n, line in enumerate(served.read_text().splitlines(), start=1) if "200 OK" in line)
    access = cli("recognise", served, "--explain", str(number)).out
    assert "event        prompt.access  by uvicorn_access  at 2026-11-21T" in access
    assert "it is" not in access
    assert "there is no line 99999" in cli("recognise", log, "--explain", "99999").err
    shutil.make_archive(str(tmp_path / "two"), "zip", exports)
    assert "holds several" in cli("recognise", tmp_path / "two.zip", "--explain", "1").err


def test_explain_counts_the_rows_of_a_table(tmp_path: Path) -> None:
    pl = pytest.importorskip("polars")
    pl.DataFrame({"when": ["2026-03-04T10:15:00Z"] * 3, "n": [7, 8, 9]}).write_parquet(tmp_path / "t.parquet")
    ran = cli("recognise", tmp_path / "t.parquet", "--explain", "2")
    assert "t.parquet  row 2\n" in ran.out
    assert '"n":9' in ran.out
    assert "no row 3" in cli("recognise", tmp_path / "t.parquet", "--explain", "3").err


def test_formats_counts_a_format_in_each_layer_of_its_events() -> None:
    found = json.loads(cli("formats", "--json").out)
    rows = {row["name"]: row for row in found["formats"]}
    assert found["count"] == len(rows) == len(catalogue())
    assert found["verified"] == sum(row["verified"] for row in rows.values()) >= 60
    for layer, total in found["layers"].items():
        assert total["formats"] == sum(layer in row["layers"] for row in rows.values())
    assert {"model", "policy"} <= set(rows["litellm_standard_logging"]["layers"])
    assert rows["span_openinference"]["container"] == "dialect of span"
    assert "span_openinference" in rows["otlp_traces"]["items_by"]
    policy = json.loads(cli("formats", "--layer", "policy", "--json").out)
    assert [row["name"] for row in policy["formats"]] == [name for name in rows if "policy" in rows[name]["layers"]]
    text = cli("formats").out.splitlines()
    assert len(text) == len(rows) + 3
    assert text[-1].startswith(f"{len(rows)} formats, {found['verified']} verified")


def test_formats_tells_everything_about_one() -> None:
    out = cli("formats", "tgi_router_json").out
    assert "tgi_router_json  Text Generation Inference log (JSON)\n" in out
    for line in (
        "  events       model.call, model.log",
        "  marks        `timestamp`",
        "               `target` matches /^text_generation_(?:router|launcher|client)/",
        "  ids          trace_id",
    ):
        assert line in out.splitlines()
    ran = cli("formats", "tgi_router_jsn")
    assert (ran.status, ran.out) == (2, "")
    assert "near it: tgi_router_json" in ran.err


def test_log_is_taught_checked_and_then_recognised(tmp_path: Path) -> None:
    log, folder = LOGS / "policy" / "policy-b.log", tmp_path / "my formats"
    ran = cli("new-format", log, "--layer", "policy", "--name", "policyd", "-o", folder)
    assert ran.status == 0, ran.out
    assert "guessed      layer: policy: you said so" in ran.out
    assert f"strataline check-format '{folder}'" in ran.out
    again = cli("new-format", log, "--name", "policyd", "-o", folder)
    assert (again.status, again.out) == (2, "")
    assert "is there already" in again.err
    assert cli("check-format", folder).out == "policyd  ok\n"
    assert "policyd  100 %" in cli("recognise", log, "--formats", folder).out
    known = cli("new-format", LOGS / "app" / "uvicorn.log", "-o", folder)
    assert known.status == 2
    assert "uvicorn_access describes this log already\n  hint: --force" in known.err
    assert cli("new-format", tmp_path / "nowhere", "-o", folder).status == 2


def test_check_reports_in_five_parts(tmp_path: Path) -> None:
    tiny(tmp_path / "sound.py")
    (tmp_path / "sound").mkdir()
    (tmp_path / "sound" / "a.jsonl").write_text('{"when": "2026-03-04T10:15:00Z", "tiny_mark": "r-1"}\n' * 3)
    (tmp_path / "broken.py").write_text("FORMAT = 1 / 0\n")
    code = TINY.format(name="raising", mark="raises")
    code = code.replace('"policy.log"', '"policy.log", columns={"name": pl.col("raises").str.to_integer()}')
    (tmp_path / "raising.py").write_text(code.replace("\n\nFORMAT", "\nimport polars as pl\n\nFORMAT"))
    code = TINY.format(name="reshaped", mark="bends").replace("time=", "reshape=lambda text: [][0],\n    time=")
    tiny(tmp_path / "reshaped.py").write_text(code)
    (tmp_path / "reshaped").mkdir()
    (tmp_path / "reshaped" / "a.jsonl").write_text('{"when": 1, "bends": 2}\n')
    (tmp_path / "raising").mkdir()
    (tmp_path / "raising" / "a.jsonl").write_text('{"when": 1, "raises": "x\\u001b[2J"}\n')
    ran = cli("check-format", tmp_path)
    assert ran.status == 1
    assert "\x1b" not in ran.out
    parts = ["not so", "reason", "snippet", "note", "help"]
    said = {block.split("  ")[0]: block for block in ran.out.replace("\n  ", "\0").split("\n") if block}
    assert [line.split("  ")[0] for line in said["broken"].split("\0")[1:]] == parts
    assert "ZeroDivisionError" in said["broken"]
    assert (
        "not so       the format reads its sample\0reason       FormatError: format raising: policy.log cannot be"
        in said["raising"]
    )
    assert "reason       all of its records are rejected, the first as" in said["reshaped"]
    assert "there is no expected.jsonl" in said["sound"]
    for name in ("broken", "raising", "reshaped"):
        (tmp_path / f"{name}.py").unlink()
    wrote = cli("check-format", tmp_path, "--write")
    assert (wrote.status, wrote.out.splitlines()[-1]) == (0, "sound  ok")
    assert "read every one" in wrote.out
    (tmp_path / "sound" / "expected.jsonl").write_text("[1]\n")
    assert "no object" in cli("check-format", tmp_path).out
    for folder in (tmp_path / "nowhere", tmp_path / "sound"):
        assert cli("check-format", folder).status == 2


def test_own_formats_are_always_there_and_hide_nothing(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "tiny_own" not in catalogue()
    tiny(own / "tiny_own.py")
    assert catalogue()["tiny_own"].title == "Tiny"
    # Naming the folder again is no second format.
    assert "tiny_own" in catalogue([own])
    other = tiny(own.parent / "elsewhere" / "tiny_own.py")
    with pytest.raises(FormatError, match="a second format called tiny_own"):
        catalogue([other.parent])
    (own / "tiny_own.py").unlink()
    tiny(own / "uvicorn_access.py")
    assert "a second format called uvicorn_access" in cli("formats").err
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(own.parent))
    tiny(own.parent / ".config" / "strataline" / "formats" / "tiny_home.py")
    assert "tiny_home" in catalogue()


def test_programs_in_a_folder_of_formats_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    ran = cli("formats", "--formats", tmp_path)
    assert (ran.status, "holds no FORMAT" in ran.err) == (2, True)
    assert not (tmp_path / "ran").exists()


def python(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
def test_installed_package_brings_its_formats(tmp_path: Path) -> None:
    package = tmp_path / "plugin"
    tiny(package / "desk_formats" / "tiny_desk.py")
    (package / "desk_formats" / "__init__.py").write_text("raise SystemExit('a package of formats is not imported')\n")
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "desk-formats"\nversion = "1"\n'
        '[project.entry-points."strataline.formats"]\ndesk = "desk_formats"\n'
        '[tool.setuptools]\npackages = ["desk_formats"]\n'
    )
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", site, package], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    log = tmp_path / "desk.jsonl"
    log.write_text('{"when": "2026-03-04T10:15:00Z", "tiny_mark": "r-1"}\n' * 3)
    code = f"import strataline; print(strataline.reconstruct({str(log)!r}).sources['format'].to_pylist())"
    ran = python(code, site)
    assert (ran.stdout, ran.stderr) == ("['tiny_desk']\n", "")
    # What it names can go: that is said, and is no traceback.
    shutil.rmtree(site / "desk_formats")
    code = "from strataline.parse import catalogue\ntry: catalogue()\nexcept Exception as e: print(type(e).__name__, e)"
    ran = python(code, site)
    assert ran.stdout.startswith(
        "FormatError entry point desk = 'desk_formats' of the group strataline.formats names no"
    )
