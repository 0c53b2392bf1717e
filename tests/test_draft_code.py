"""A drafted format file says what the guesses say, and nothing of a log can ever be run in it."""

from __future__ import annotations

import ast
import json
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, strategies as st

from strataline import format as contract
from strataline.conformance import draft_format, parse
from strataline.errors import FormatError, InputError
from strataline.format import Format
from strataline.parse import Marks, catalog, catalogue, load
from strataline.parse.draft_code import draft_code
from strataline.parse.guess import draft_lines, draft_objects, settle_lines, settle_objects

SHIPPED = catalog._shipped()[0]
shipped = cache(load)
LOGS = Path(__file__).resolve().parent.parent / "sample_logs" / "assist_incident" / "logs"
LINES = [
    "2026-03-04 10:15:00,120 INFO desk.guard: held turn=7d0c6a52-2f7e-4d8e-9b1e-0f6c5a4b3c21 verdict=deny rule=a",
    "2026-03-04 10:15:01,120 INFO desk.guard: held turn=9d0c6a52-2f7e-4d8e-9b1e-0f6c5a4b3c21 verdict=allow rule=-",
]
HOSTILE = (
    "x\n__import__('os')._exit(3)\n#",
    "'''", '"""', "\\", "a'b\"c", "\u202egpj", "{0}", "\r\n# coding: utf-7", "\x00", "+AGE-",
)  # fmt: skip
WORDS = {name for name in dir(contract) if not name.startswith("_")}


@pytest.fixture(autouse=True)
def shipped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped formats are loaded once for all tests: each command lists them anew."""
    monkeypatch.setattr(catalog, "load", lambda file: shipped(file) if file.parent == SHIPPED else load(file))


def only_declares(code: str) -> list[ast.Constant]:
    """That the file holds a docstring, two imports, expressions and FORMAT, and calls nothing but format words."""
    tree = ast.parse(code)
    for statement in tree.body:
        match statement:
            case ast.Import(names=[ast.alias(name="polars")]) | ast.ImportFrom(module="strataline.format"):
                pass
            case ast.Expr(value=ast.Constant()) | ast.Assign(targets=[ast.Name(id="FORMAT" | "kind" | "said")]):
                pass
            case _:
                pytest.fail(ast.unparse(statement))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.JoinedStr | ast.Lambda | ast.Subscript | ast.BinOp | ast.comprehension)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id in WORDS
        if isinstance(node, ast.Attribute):
            assert node.attr in {
                "col", "lit", "when", "then", "otherwise", "str", "to_lowercase", "contains", "is_in", "slice",
            }  # fmt: skip
    comments = [line for line in code.split("\n") if line.lstrip().startswith("#")]
    assert all(" " <= one <= "~" for line in comments for one in line)
    return [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]


def code_of(records: list[dict[str, object]]) -> str:
    texts = [json.dumps(record) for record in records]
    draft = draft_objects(texts, "prompt")
    assert draft is not None
    settle_objects(draft, texts)
    return draft_code(draft, "mine", "a log", zone_wanted=True)


@pytest.mark.parametrize("evil", HOSTILE)
def test_hostile_keys_and_values_stay_literals(evil: str, tmp_path: Path) -> None:
    records: list[dict[str, object]] = [
        {"ts": "2026-03-04T10:15:00Z", "request_id": f"req-00000000000{n}", "service": evil, "event": f"request {evil}",
         evil: "x", f"{evil}_id": f"id-0123456789abcdef{n}", "nested": {evil: {f"{evil} ms": n}}}
        for n in range(5)
    ]  # fmt: skip
    code = code_of(records)
    constants = [node.value for node in only_declares(code)]
    assert f"request {evil}" in constants
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    fmt = load(tmp_path / "mine.py")
    assert {"request_id", "ts"} <= {segment for one in fmt.fields.values() for segment in one.segments}


@given(
    st.lists(st.dictionaries(st.text(max_size=20), st.text(max_size=30) | st.integers() | st.floats(allow_nan=False)))
)
def test_whatever_a_log_holds_the_file_only_declares(records: list[dict[str, object]]) -> None:
    some = [
        {"time": "2026-03-04T10:15:00Z", "logger": "x", **record, "request_id": f"r{n}"}
        for n, record in enumerate(records)
    ]
    texts = [json.dumps(record) for record in some]
    draft = draft_objects(texts)
    if draft is not None:
        settle_objects(draft, texts)
        only_declares(draft_code(draft, "mine", "a log"))


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\n"), max_size=60), min_size=1, max_size=5))
def test_whatever_a_line_holds_the_file_only_declares(tails: list[str]) -> None:
    lines = [
        f"2026-03-04 10:15:00,120 INFO desk: said=1 {tail} id=req-0123456789abc{n}" for n, tail in enumerate(tails)
    ]
    draft = draft_lines(lines)
    assert draft is not None
    settle_lines(draft, lines)
    only_declares(draft_code(draft, "mine", "a log"))


def test_name_must_be_one() -> None:
    draft = draft_lines(LINES)
    assert draft is not None
    with pytest.raises(ValueError, match="x-y"):
        draft_code(draft, "x-y", "a log")


def said(known: dict[str, Format], log: Path) -> pl.DataFrame:
    """Every event of a log, without the name of the format that it is from."""
    events = parse(Marks(known), log, "here").events
    # What a second reading saved is not read by guesses.
    return events.filter(pl.col("recovered").is_null()).drop("format", "format_confidence")


@pytest.mark.parametrize("name", ["policy/policy-a.jsonl", "policy/policy-b.log", "retrieval/service.log"])
def test_drafted_file_says_of_a_log_what_the_guesses_said(name: str, tmp_path: Path) -> None:
    known = catalogue()
    made = draft_format(LOGS / name, tmp_path, name="mine")
    assert made.complaints == []
    guessed, drafted = said(known, LOGS / name), said(known | {"mine": load(made.file)}, LOGS / name)
    assert guessed.height > 10
    assert drafted.sort("offset", "item").equals(guessed.sort("offset", "item"))
    whole, kept = (LOGS / name).read_bytes(), made.sample.read_bytes()
    assert whole.startswith(kept)
    assert kept.count(b"\n") == min(25, whole.count(b"\n"))
    assert len(made.sample.with_name("expected.jsonl").read_text().splitlines()) == made.rows
    for topic, why in made.reasons.items():
        assert why.encode("ascii", "backslashreplace").decode()[:40] in made.file.read_text(), topic
    # Nothing is left behind beside it.
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mine", "mine.py"]


def test_patterns_are_narrowed_to_what_the_lines_share() -> None:
    draft = draft_lines(LINES)
    assert draft is not None
    settle_lines(draft, LINES)
    column = pl.Series([*LINES, LINES[0].replace("desk.guard", "other"), LINES[0].replace("verdict=", "v=")])
    assert column.str.contains(f"^(?:{draft.pattern})$").to_list() == [True, True, False, False]


def test_draft_stands_back_where_there_is_something(tmp_path: Path) -> None:
    log = LOGS / "policy" / "policy-b.log"
    with pytest.raises(FormatError, match="uvicorn_access describes this log already") as known:
        draft_format(LOGS / "app" / "uvicorn.log", tmp_path / "new")
    assert known.value.hint is not None
    assert "--force" in known.value.hint
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    for name, why in (("mine", "is there already"), ("uvicorn_access", "already"), ("../x", "cannot be called")):
        with pytest.raises(FormatError, match=why):
            draft_format(log, tmp_path, name=name)
    (tmp_path / "dull.log").write_text("nothing\nto tell\n")
    with pytest.raises(FormatError, match="neither a time nor an id"):
        draft_format(tmp_path / "dull.log", tmp_path)
    (tmp_path / "empty.log").write_text("")
    with pytest.raises(InputError, match="no record"):
        draft_format(tmp_path / "empty.log", tmp_path)


def test_forced_draft_of_a_known_log_is_the_more_specific(tmp_path: Path) -> None:
    made = draft_format(LOGS / "app" / "prompt.jsonl", tmp_path, name="mine", layer="prompt", force=True)
    assert made.complaints == []
    parsed = parse(Marks(catalogue() | {"mine": load(made.file)}), made.sample, "here")
    assert parsed.recognised is not None
    assert parsed.recognised.format.name == "mine"
