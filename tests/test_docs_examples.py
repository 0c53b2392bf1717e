"""The pages of docs/ hold: their examples run and give what is shown, and they name what the code can say."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import datetime as dt
import gzip
import hashlib
import importlib
import inspect
import io
import json
import os
import re
import runpy
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import strataline
from strataline import format as words
from strataline.cli import main
from strataline.correlate import STEPS
from strataline.correlate.again import MOST_ATTEMPTS, RESEND_NS
from strataline.correlate.order import PRECEDES
from strataline.correlate.presence import LEAST, LOGS, MISSED, ODDS, THIN
from strataline.correlate.relations import BY_ID, FROM_REF
from strataline.correlate.window import link_window_surely
from strataline.event import REASONS, TABLES
from strataline.format import QUOTABLE, path
from strataline.parse import Kernel, Marks, catalogue, score
from strataline.parse.fill import EXCERPT
from strataline.parse.recognise import ENOUGH, SAMPLE
from strataline.parse.rescue import DEEPEST
from strataline.parse.times import read_times
from strataline.read import MAX_RECORD

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "strataline"
PAGES = ("writing-formats", "correlation", "library", "case")
TURN = "7d0c6a52-2f7e-4d8e-9b1e-0f6c5a4b3c21"


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """What stands below a heading of a page, up to the next one of the same depth."""
    _, _, rest = page(name).partition(f"\n## {heading}\n")
    assert rest, f"{name}.md has no section {heading}"
    return rest.partition("\n## ")[0]


def tables(text: str) -> Iterator[list[list[str]]]:
    """The tables of a text: the rows below each head, as cells."""
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in block.splitlines()]
        yield rows[2:]


def ticked(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def firsts(rows: Iterable[list[str]]) -> list[str]:
    """What stands in backticks in the first cell of each row."""
    return [word for row in rows for word in ticked(row[0])]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def files(text: str) -> dict[str, str]:
    """The files that a page shows: a line that ends in their name and a colon, then a block."""
    found = re.findall(r"`([\w./]+)`:\n\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return dict(found)


def run(program: str, folder: Path) -> tuple[dict[str, object], str]:
    """Run a program of a page in `folder`: the names it leaves, and what it prints."""
    file = folder / "program.py"
    file.write_text(program, encoding="utf-8")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as printed:
        return runpy.run_path(str(file)), printed.getvalue()


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the logs and formats that docs/writing-formats.md shows."""
    shown = files(page("writing-formats"))
    assert sorted(shown) == ["formats/desk_guard.py", "formats/desk_log.py", "logs/desk.jsonl", "logs/guard.log"]
    for name, text in shown.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def sample(incident: Callable[..., strataline.Case]) -> strataline.Case:
    return incident()


@pytest.mark.parametrize("name", PAGES)
def test_page_is_short_enough_to_read(name: str) -> None:
    assert len(page(name).splitlines()) <= (330 if name == "correlation" else 210)


# docs/writing-formats.md


def test_program_of_the_formats_page_prints_what_it_shows(desk: Path) -> None:
    text = section("writing-formats", "3. The timeline")
    (program,), (shown,) = blocks(text, "python"), blocks(text, "text")
    assert run(program, desk)[1] == shown


def test_formats_of_the_page_recognise_their_own_log_alone(desk: Path) -> None:
    known = catalogue([desk / "formats"])
    for log, name in (("desk.jsonl", "desk_log"), ("guard.log", "desk_guard")):
        lines = pl.Series((desk / "logs" / log).read_bytes().split(b"\n"), dtype=pl.Binary)
        assert [one for one, share in score(Kernel(), Marks(known), lines).items() if share >= ENOUGH] == [name]


def test_formats_of_the_page_give_the_events_it_speaks_of(desk: Path) -> None:
    case = strataline.reconstruct(desk / "logs", formats=[desk / "formats"])
    events = case.frames["events"].sort("source", "line")
    rows = {(row["source"], row["line"]): row for row in events.to_dicts()}
    kinds = {place: row["kind"] for place, row in rows.items()}
    assert kinds == {
        ("desk.jsonl", 1): "prompt.received",
        ("desk.jsonl", 2): "retrieval.query",
        ("desk.jsonl", 3): "model.call",
        ("desk.jsonl", 4): "log.other",
        ("guard.log", 1): "policy.decision",
        ("guard.log", 2): "policy.decision",
        ("guard.log", 3): "log.other",
    }
    asked, found, answered, tidy = (rows["desk.jsonl", line] for line in (1, 2, 3, 4))
    assert asked["event_time"].isoformat() == "2026-03-04T09:15:00.120000+00:00"
    assert (asked["zone_basis"], asked["session"], asked["user"]) == ("format", "c-118", "u-42")
    assert [(one["id"], one["score"], one["rank"]) for one in found["documents"]] == [
        ("kb-17", 0.83, 1),
        ("kb-4", 0.61, 2),
    ]
    assert (answered["input_tokens"], answered["output_tokens"], answered["time_kind"]) == (412, 57, "end")
    verdicts = [(rows["guard.log", n]["policy_stage"], rows["guard.log", n]["verdict"]) for n in (1, 2)]
    assert verdicts == [("input", "allow"), ("output", "block")]
    # "excerpt, service, stated time; no id"
    other = rows["guard.log", 3]
    assert (tidy["service"], tidy["ids"], tidy["request"]) == ("desk", [], None)
    assert (other["service"], other["ids"], other["input_excerpt"][-15:]) == ("guard", [], "41 rules loaded")
    assert other["event_time"].isoformat() == "2026-03-04T09:15:02.500000+00:00"
    assert case.frames["rejects"].select("source", "line", "reason").rows() == [("desk.jsonl", 5, "truncated_json")]


def test_formats_page_names_every_word_of_the_contract() -> None:
    """And with it all that the word takes."""
    rows, arguments = tables(section("writing-formats", "Words"))
    named = {one.partition("(")[0]: one.partition("(")[2].rstrip(")") for one in firsts(rows)}
    tree = ast.parse((SRC / "format.py").read_text(encoding="utf-8"))
    public = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    public |= {
        node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    public = {name for name in public if not name.startswith("_")}
    assert {*named, "Format", "Event"} == public
    for name, taken in named.items():
        if taken:
            assert taken.split(", ") == list(inspect.signature(getattr(words, name)).parameters), name
    fields = {one.name for kind in (words.Format, words.Event) for one in dataclasses.fields(kind)}
    assert {word for word in firsts(arguments) if "=" not in word} == fields


NESTED = """
import json

import polars as pl

from strataline.format import Event, Format, Id, Recognise, inside, path, words


def opened(text):
    return [json.dumps({"step": step} | of) for step, of in json.loads(text)["steps"].items()]


verdict = words("v", {"ok": "allow"})
LISTS = Format(
    name="lists",
    title="Lists in lists",
    layer="policy",
    reference="docs/writing-formats.md",
    recognise=Recognise(keys=(("groups",),)),
    explode=(("groups",), ("rows",)),
    fields={
        "host": path("host", level=0),
        "group": path("group", level=1),
        "id": path("id"),
        "span": path("span"),
        "score": path("score", null="none given"),
        "blob": inside(path("blob"), "k", -1),
        "checks": path("checks"),
    },
    columns={"service": "host"},
    ids=(Id("trace_id", "span", derive="hex_of_decimal"), Id("message_id", "id", derive="sha256:8")),
    events=(
        Event("policy.batch", attributes={"group": "group", "score": "score", "blob": "blob"}),
        Event("policy.decision", each="checks", fields={"v": path("v")}, columns={"verdict": verdict}),
    ),
)
STEPS = Format(
    name="steps",
    title="Steps by name",
    layer="prompt",
    reference="docs/writing-formats.md",
    recognise=Recognise(keys=(("steps",),)),
    reshape=opened,
    fields={"step": path("step"), "at": path("at")},
    time="at",
    events=(Event("prompt.step", columns={"name": "step"}),),
)
FORMAT = {"lists": LISTS, "steps": STEPS}[__name__.rpartition("_")[2]]
"""


def test_lists_and_containers_are_opened_as_the_page_says(tmp_path: Path) -> None:
    """`explode`, `level`, `each`, `null`, `inside`, `derive`, `reshape`: what they give, by item and index."""
    for name in ("lists", "steps"):
        (tmp_path / f"{name}.py").write_text(NESTED, encoding="utf-8")
    row = {
        "id": "i1",
        "span": "1234567890123456789",
        "score": None,
        "blob": '{"k":[1,5]}',
        "checks": [{"v": "ok"}, {"v": "?"}],
    }
    groups = [{"group": "a", "rows": [row, 7]}, {"group": "b", "rows": [{"id": "i2"}]}]
    steps = {"ask": {"at": 1772615700}, "answer": {"at": 1772615701}}
    (tmp_path / "lists.jsonl").write_text(json.dumps({"host": "h1", "groups": groups}) + "\n", encoding="utf-8")
    (tmp_path / "steps.jsonl").write_text(json.dumps({"steps": steps}) + "\n", encoding="utf-8")
    case = strataline.reconstruct(tmp_path / "*.jsonl", formats=[tmp_path])
    events = case.frames["events"].sort("source", "item", "index").to_dicts()
    assert [(one["source"], one["item"], one["index"], one["kind"]) for one in events] == [
        ("lists.jsonl", 0, 0, "policy.batch"),
        ("lists.jsonl", 0, 1, "policy.decision"),
        ("lists.jsonl", 0, 3, "policy.decision"),
        ("lists.jsonl", 1, 2, "log.other"),
        ("lists.jsonl", 2, 0, "policy.batch"),
        ("steps.jsonl", 0, 0, "prompt.step"),
        ("steps.jsonl", 1, 0, "prompt.step"),
    ]
    first, allowed, unknown, _, last, asked, _ = events
    assert first["attributes"] == {"group": "a", "score": "none given", "blob": "5"}
    assert (allowed["verdict"], unknown["verdict"]) == ("allow", None)
    assert {one["kind"]: one["value"] for one in first["ids"]} == {
        "trace_id": f"{1234567890123456789:016x}",
        "message_id": hashlib.sha256(b"i1").hexdigest()[:8],
    }
    assert last["attributes"] == {"group": "b"}
    assert (first["service"], first["clock"], asked["clock"]) == ("h1", "h1", ".")
    assert (asked["name"], asked["zone_basis"]) == ("ask", "explicit")


def test_keys_that_cannot_be_quoted_are_read_where_the_page_says() -> None:
    """By `path`, though not from the end of a list; not on the way to a list."""
    text = pl.Series(['{"a\\"b": {"c*": [1, 2]}, "d\\\\e": "f"}'])
    fields = {
        "first": path('a"b', "c*", 0),
        "last": path('a"b', "c*", -1),
        "plain": path("d\\e"),
    }
    row = Kernel().extract(text, fields).row(0, named=True)
    assert (row["first"], row["last"], row["plain"]) == ("1", None, "f")
    assert [key for key in ('a"b', "c*", "d\\e", "f.g", "h i") if not QUOTABLE.fullmatch(key)] == ['a"b', "c*", "d\\e"]


def _times() -> Iterator[tuple[str, str]]:
    for rows in tables(section("writing-formats", "Times")):
        for written, read in rows:
            yield from ((text, read) for text in ticked(written))


@pytest.mark.parametrize(("text", "read"), list(_times()))
def test_time_is_read_as_the_page_says(text: str, read: str) -> None:
    ns = read_times(pl.Series([text]), "auto", "Europe/Berlin").struct.field("ns")[0]
    at = None if ns is None else dt.datetime.fromtimestamp(ns / 1e9, dt.UTC)
    assert (at.strftime("%Y-%m-%d %H:%M:%S") if at else "no time") == read


def test_zone_comes_from_option_then_format_then_assumption(desk: Path) -> None:
    """`--zone`, the format, `--assume-zone`, UTC: and the last two are noted as assumed."""
    log, own = desk / "logs" / "desk.jsonl", desk / "formats" / "desk_log.py"

    def zone(**options: object) -> tuple[object, object, bool]:
        case = strataline.reconstruct(log, formats=[desk / "formats"], **options)  # type: ignore[arg-type]
        row = case.frames["sources"].row(0, named=True)
        return row["zone"], row["zone_basis"], "zone_assumed" in case.frames["notes"]["topic"]

    named = {"zones": {"desk*": "Asia/Kolkata"}, "assume_zone": "America/New_York"}
    assert zone(**named) == ("Asia/Kolkata", "option", False)
    assert zone(assume_zone="America/New_York") == ("Europe/Berlin", "format", False)
    own.write_text(own.read_text(encoding="utf-8").replace('    zone="Europe/Berlin",\n', ""), encoding="utf-8")
    assert zone(assume_zone="America/New_York") == ("America/New_York", "assumed", True)
    assert zone() == ("UTC", "assumed", True)


def test_package_ships_formats_by_its_entry_point(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group is `strataline.formats`, and the value the package that holds the files."""
    package = desk / "site" / "strataline_desk_formats"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (desk / "formats" / "desk_guard.py").rename(package / "desk_guard.py")
    facts = desk / "site" / "desk_formats-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: desk-formats\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text("[strataline.formats]\ndesk = strataline_desk_formats\n", encoding="utf-8")
    assert "desk_guard" not in catalogue()
    monkeypatch.syspath_prepend(desk / "site")
    importlib.invalidate_caches()
    assert "desk_guard" in catalogue()


SOUND = f'{{"at":"2026-03-04 10:15:00","step":"ask","turn":"{TURN}"}}'.encode()
DAMAGED = (
    b'{"at":"2026-03-04 10:15:01","step":"ask","turn":"0b9',
    b'{"at":"2026-03-04 10:15:01",,}',
    b'["at","step"]',
    b'{"at":"2026-03-04 10:15:01","step":"\xff"}',
    b'{"at":"2026-03-04 10:15:01","step":"a\x00"}',
    b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1) + SOUND + b"}",
    b'{"at":"' + b"9" * 5000 + b'"}',
    SOUND + SOUND,
    b"\xef\xbb\xbf" + SOUND,
    b'{"at":"2026-03-04 10:15:01","step":"ask","text":"a\tb"}',
    b'{"at":"2026-03-04 10:15:01","step":"ask","text":"\\ud800"}',
    SOUND + b"\x0c",
    b'{"at":"2026-03-04 10:15:01","at":"2026","step":"ask"}',
    b'{"at":"2026-03-04 10:15:01","step":"ask","x":NaN}',
    b'{"at":"2026-10-25 02:30:00","step":"ask"}',
    b'{"at":"soon","step":"ask"}',
    b'{"at":"2026-03-04 10:15:01","step":"ask","turn":"-"}',
)


BROKEN_CODE = """
from strataline.format import Event, Format, Recognise, path

FORMAT = Format(
    name="desk_code", title="its code fails", layer="other", reference="none", recognise=Recognise(keys=(("code",),)),
    fields={"t": path("t")}, time="t", events=(Event("app.log"),), reshape=lambda text: [text[1 / 0]],
)
"""


@pytest.fixture
def damaged(desk: Path) -> strataline.Case:
    """A case of all that can be the matter with a line, or a file."""
    logs = desk / "logs"
    line = files(page("writing-formats"))["logs/guard.log"].splitlines()[0].encode()
    (logs / "desk.jsonl").write_bytes(b"\n".join([*[SOUND] * 3, *DAMAGED, bytes(9) + SOUND]) + b"\n")
    (logs / "guard.log").write_bytes(b"\n".join([*[line] * 3, line[:50], line[:20] + line]) + b"\n")
    (logs / "notes.txt").write_bytes(b"nobody\nknows\n")
    (logs / "long.txt").write_bytes(b"2026-01-01 00:00:00 ERROR x\n" + b"  at frame\n" * 500)
    (logs / "same.txt").write_bytes(b"nobody\nknows\n")
    (logs / ".hidden").write_bytes(b"x\n")
    (logs / "cut.log.gz").write_bytes(gzip.compress(line + b"\n" + line)[:-9])
    (logs / "broken.parquet").write_bytes(b"PAR1, and nothing of the kind")
    (logs / "rows.csv").write_bytes(b"a,b,c\n1,2,3\n1,2,3\n1,2\n")
    whole = io.BytesIO()
    pq.write_table(pa.table({"a": [str(n) * 9 for n in range(9000)]}), whole, row_group_size=3000, compression="none")
    (logs / "rows.parquet").write_bytes(whole.getvalue()[:4] + b"\xff" * 900 + whole.getvalue()[904:])
    (logs / "guard-old.log").write_bytes(b"\n".join([line] * 3 + [line.replace(b"guard", b"gu\xe4rd")]) + b"\n")
    os.mkfifo(logs / "pipe")
    (logs / "nothing.log").write_bytes(b"")
    (logs / "pod.log").write_bytes(
        b"2026-11-21T00:00:00.1Z stdout F x\n" * 9 + b"2026-11-21T00:00:00.1Z stdout P cut\n"
    )
    packed = [{"recordId": "1", "data": data} for data in ("eA==", "eA==", "eA==", "!!")]
    (logs / "packed.log").write_text("".join(json.dumps(one) + "\n" for one in packed), encoding="utf-8")
    docker = json.dumps({"log": '{"trace": "x"}\n', "stream": "stdout", "time": "2026-11-21T00:00:00Z"})
    (logs / "wrapped.log").write_text(f"{docker}\n" * 3, encoding="utf-8")
    (desk / "formats" / "desk_code.py").write_text(BROKEN_CODE, encoding="utf-8")
    (logs / "code.jsonl").write_bytes(b'{"code": 1, "t": "2026-03-04T09:15:00Z"}\n' * 3)
    twin = (desk / "formats" / "desk_log.py").read_text(encoding="utf-8").replace('"desk_log"', '"desk_twin"')
    (desk / "formats" / "desk_twin.py").write_text(twin, encoding="utf-8")
    return strataline.reconstruct(
        [logs, logs / "guard.log"],
        formats=[desk / "formats"],
        max_record=4096,
        until=dt.datetime(2027, 1, 1, tzinfo=dt.UTC),
    )


def _documented() -> set[str]:
    rows = next(tables(section("writing-formats", "Which format, and which lines")))
    return {word for cell, _ in rows for word in ticked(cell)}


def _trees(room: str) -> Iterator[ast.AST]:
    for file in sorted(SRC.glob(room)):
        yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def _texts(node: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def _words_for_damage() -> set[str]:
    """The words for damage in the code of the second readings, and those of rejects anywhere."""
    rooms = ("parse/rescue.py", "parse/lines.py", "parse/source.py", "read/*.py")
    found = {text.strip(", ") for room in rooms for node in _trees(room) for text in _texts(node)}
    return {text for text in found if re.fullmatch(r"[a-z0-9]+(?:_[a-z0-9]+)+|unreadable", text)}


def test_every_reason_is_explained_and_met(damaged: strataline.Case) -> None:
    """The page, the code and what damaged logs give name the same reasons."""
    recovered = _documented()
    assert set(REASONS) | recovered <= _words_for_damage()
    assert set(damaged.frames["rejects"]["reason"]) == set(REASONS)
    met = damaged.frames["events"]["recovered"].drop_nulls().str.split(", ").explode()
    assert set(met) == recovered


def _topics() -> set[str]:
    """The topics of notes: what is handed to `tally.add`, `note` and `note_rows`, and rows that name their room."""
    found: set[str] = set()
    rooms = ("read/**/*.py", "parse/**/*.py", "correlate/**/*.py", "*.py")
    for node in (node for room in rooms for node in _trees(room)):
        if isinstance(node, ast.Call) and re.search(r"(?:^tally\.add|\.note|\.note_rows)$", ast.unparse(node.func)):
            found |= _texts(node.args[0])
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("notes.append"):
            found |= {text for one in node.args if isinstance(one, ast.Tuple) for text in _texts(one.elts[0])}
        if isinstance(node, ast.Tuple) and node.elts and _texts(node.elts[0]) & {"read", "parse", "correlate"}:
            found |= _texts(node.elts[1]) if isinstance(node.elts[1], ast.Constant) else set()
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            found |= {one for key, value in pairs if key and _texts(key) == {"topic"} for one in _texts(value)}
    return found


def test_every_topic_of_a_note_is_explained(damaged: strataline.Case, sample: strataline.Case) -> None:
    topics = firsts(next(tables(section("case", "Notes"))))
    assert len(topics) == len(set(topics))
    assert set(topics) == _topics()
    met = {topic for case in (damaged, sample) for topic in case.frames["notes"]["topic"]}
    assert met <= set(topics)
    # Those that are left need an id after half a day, a loop of rules, a file that grows, records without an id,
    # a writer that reports twice, and a log with a hole.
    left = ("id_reused", "id_reused_untimed", "order_loop", "grew", "envelope_id", "repeated", "coverage_gap")
    # And clocks that are set, asserted, in another zone, or without ids.
    clocks = ("clock_slices", "clock_contradicted", "clock_zone", "clock_scope_peak")
    # And a rule against the clocks, and a busy log without ids.
    assert set(topics) - met == {*left, *clocks, "order_contradicted", "candidates_cut"}


def test_figures_on_the_pages_are_those_of_the_code() -> None:
    assert f"Up to {SAMPLE} records" in page("writing-formats")
    assert ENOUGH == 0.5
    assert "half must carry the marks" in page("writing-formats")
    assert f"nested over {DEEPEST} levels" in page("tables")
    assert f"at most {RESEND_NS // 10**9} s before the second" in page("correlation")
    assert f"an id that over {MOST_ATTEMPTS} of them carry" in page("correlation")
    assert f"the first {EXCERPT} characters" in page("case")
    assert f"Default {MAX_RECORD >> 20} MiB" in page("library")
    gap = inspect.signature(strataline.reconstruct).parameters["reuse_gap"].default
    assert gap == dt.timedelta(hours=6)
    assert "default 6 h" in page("correlation")
    assert (LOGS, MISSED, THIN, ODDS, LEAST) == (62, 0.1, 0.2, 0.01, 3)
    silence = section("correlation", "presence")
    for figure in ("Over 62 logs", "at most a tenth", "under a fifth", "less than one log in a hundred", "least 3"):
        assert figure in silence


# docs/correlation.md


def test_correlation_has_a_section_for_each_step_in_order() -> None:
    # Some run twice, and one of them for the sure links alone at first.
    names = list(dict.fromkeys(step.__name__ for step in STEPS if step is not link_window_surely))
    headings = re.findall(r"^## (\w+)$", page("correlation"), re.MULTILINE)
    assert headings == [*names, "presence"]
    for name in headings:
        for part in ("*Method", "*Source.*", "*Known failures.*"):
            assert part in section("correlation", name), f"{name}: {part}"


def test_correlation_explains_every_basis_of_a_clock(sample: strataline.Case) -> None:
    said = firsts(next(tables(section("correlation", "estimate_clocks"))))
    assert set(sample.frames["clocks"]["basis"]) <= set(said)
    assert {"reference", "asserted", "bounds", "pooled", "scope-peak", "shared", "unmoved"} == set(said)


def test_correlation_explains_every_word_of_links_and_order(sample: strataline.Case) -> None:
    events, links = sample.frames["events"], sample.frames["links"]
    methods = firsts(next(tables(section("correlation", "How to read links"))))
    assert set(links["method"]) <= set(methods)
    bases = firsts(next(tables(section("correlation", "order"))))
    assert set(events["order_basis"].drop_nulls()) <= set(bases)
    assert sorted(bases) == ["causal", "clock", "first", "tie"]
    kinds = firsts(next(tables(section("correlation", "stitch"))))
    assert set(sample.frames["requests"]["kind"]) <= {"turn", "job", "unrooted"} <= set(kinds)
    relations = set(firsts(next(tables(section("correlation", "relate")))))
    assert {*FROM_REF.values(), *(one for one, _, _ in BY_ID), "child_of", "attempt_of"} == relations
    assert set(links["relation"]) <= relations | {"member", "redelivery_of", "repeats"}
    assert "`redelivery_of`" in section("correlation", "mark_redelivery")


def test_correlation_explains_every_refusal_of_a_hub() -> None:
    said = {row[0] for row in next(tables(section("correlation", "refuse_hubs")))}
    whys = set()
    for node in _trees("correlate/hubs.py"):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_more":
            whys |= {text for text in _texts(node.args[2]) if " " in text}
        if isinstance(node, ast.keyword) and node.arg == "why":
            whys |= {text for text in _texts(node.value) if " " in text}
    assert said == whys


def test_late_verdict_stays_visible_as_the_page_says() -> None:
    """No rule puts a verdict on the output before the answer."""
    assert not [later for earlier, later in PRECEDES if earlier == "policy.decision/output"]


# docs/library.md


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like the top of a checkout."""
    (tmp_path / "sample_logs").symlink_to(ROOT / "sample_logs")
    return tmp_path


def test_pipeline_step_of_the_library_page_writes_what_it_says(checkout: Path) -> None:
    names, printed = run(blocks(section("library", "A step of a pipeline"), "python")[0], checkout)
    out = checkout / "out"
    assert sorted(file.name for file in out.iterdir()) == ["events.parquet", "requests.parquet", "timeline.md"]
    figures = names["figures"]
    assert isinstance(figures, dict)
    assert figures["records"] == figures["with_events"] + figures["rejected"] + figures["skipped"] > 0
    assert pl.read_parquet(out / "events.parquet").height == figures["events"]
    assert pl.read_parquet(out / "requests.parquet").height == figures["requests"]
    assert (out / "timeline.md").read_text(encoding="utf-8").startswith("# Timeline\n")
    assert printed.startswith("name their zones: ['app/uvicorn.log'")


def test_case_of_the_library_page_gives_what_it_says(checkout: Path) -> None:
    names, _ = run(blocks(section("library", "What it gives"), "python")[0], checkout)
    assert names["layers"] == ["model", "policy", "prompt", "retrieval", "ui"]
    theirs, hits, raw = names["theirs"], names["hits"], names["raw"]
    assert isinstance(theirs, list)
    assert len(theirs) > 0
    assert isinstance(hits, pl.DataFrame)
    assert hits.height > 0
    assert isinstance(raw, bytes)
    assert b"HALCYON-8538" in raw
    assert names["complaints"] == []
    assert isinstance(names["again"], strataline.Case)


def test_library_page_names_every_argument_and_every_member() -> None:
    arguments = firsts(next(tables(section("library", "What it takes"))))
    assert arguments == list(inspect.signature(strataline.reconstruct).parameters)
    (members,) = tables(section("library", "What it gives"))
    named = {one.partition("(")[0] for one in firsts(members)}
    public = {name for name in vars(strataline.Case) if not name.startswith("_")}
    assert named == public | {"manifest", "frames", "inputs"}
    for one in firsts(members):
        name, _, taken = one.rstrip(")").partition("(")
        if taken:
            signature = inspect.signature(getattr(strataline.Case, name))
            assert taken.split(", ") == [one for one in signature.parameters if one != "self"], name


def test_errors_of_the_library_page_are_those_of_the_package() -> None:
    text = section("library", "What it takes")
    for name in ("StrataError", "InputError", "FormatError", "CaseError"):
        assert f"`{name}`" in text
        assert issubclass(getattr(strataline, name), strataline.StrataError)
    assert set(ticked(text)) >= {f".{name}" for name in ("message", "path", "line", "hint")}


# docs/case.md


def test_case_page_names_every_file_and_every_field_of_the_manifest(desk: Path) -> None:
    case = strataline.reconstruct(desk / "logs", formats=[desk / "formats"])
    case.write(desk / "CASE")
    rows = next(tables(page("case")))
    assert sorted(firsts(row[:1] for row in rows)) == sorted(file.name for file in (desk / "CASE").iterdir())
    assert len(TABLES) == len([row for row in rows if ".parquet" in row[0]])
    manifest = json.loads((desk / "CASE" / "manifest.json").read_text(encoding="utf-8"))
    fields = {row[0].strip("`"): row[1] for row in next(tables(section("case", "The manifest")))}
    assert set(fields) == set(manifest)
    assert {word for word in ticked(fields["options"]) if word != "case"} == set(manifest["options"])
    assert set(ticked(fields["identity"])) == set(manifest["identity"])
    named = set(ticked(fields["inputs"])) | set(manifest["identity"])
    assert named == set(manifest["inputs"][0])
    assert str(desk) not in json.dumps(manifest)


def test_query_of_the_case_page_runs(desk: Path) -> None:
    case = strataline.reconstruct(desk / "logs", formats=[desk / "formats"])
    case.write(desk / "CASE")
    (query,) = blocks(page("case"), "sql")
    (request,) = case.which(TURN)
    with contextlib.chdir(desk), duckdb.connect() as connection:
        rows = connection.sql(query.replace("…", request)).to_arrow_table()
    assert rows["kind"].to_pylist() == [
        "prompt.received", "policy.decision", "retrieval.query", "model.call", "policy.decision",
    ]  # fmt: skip


def test_exit_statuses_are_those_of_the_case_page(desk: Path) -> None:
    said = dict(next(tables(section("case", "Exit status"))))
    assert list(said) == ["0", "1", "2"]

    def status(*arguments: str) -> int:
        return CliRunner().invoke(main, arguments).exit_code

    with contextlib.chdir(desk):
        read = ("reconstruct", "logs", "--formats", "formats", "--overwrite")
        assert status(*read, "-o", "CASE") == 0
        assert status("verify", "CASE") == 0
        assert status("show", "CASE", TURN) == 0
        assert status(*read, "-o", "CASE", "--max-rejects", "0") == 1
        assert status("show", "CASE", "nothing") == 1
        (desk / "CASE" / "timeline.md").write_text("another", encoding="utf-8")
        assert status("verify", "CASE") == 1
        assert status("reconstruct", "nowhere", "-o", "CASE2") == 2
        assert status("reconstruct", "logs", "-o", "CASE") == 2
        assert status("reconstruct", "logs", "-o", "CASE2", "--formats", "nowhere") == 2
        assert not (desk / "CASE2").exists()


def test_case_without_excerpts_holds_no_text_of_the_logs(desk: Path) -> None:
    """With `--excerpts none`, what was asked and answered is nowhere in the folder, nor is where the inputs lay."""
    case = strataline.reconstruct(desk / "logs", formats=[desk / "formats"], excerpts=False)
    case.write(desk / "CASE")
    for file in (desk / "CASE").iterdir():
        held = repr(pl.read_parquet(file).to_dicts()) if file.suffix == ".parquet" else file.read_text(encoding="utf-8")
        assert not re.search(r"parcel|on its way|rules loaded|freed", held), file.name
        assert (str(desk) in held) is (file.name == "inputs.local.json")
    events = case.frames["events"]
    assert events["input_hash"].drop_nulls().len() > 0
