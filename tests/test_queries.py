"""SQL over a case: it reads the tables and nothing else, and its answers are safe in every form."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

import strataline
from strataline import folder
from strataline.cli import main
from strataline.errors import CaseError

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "sample_logs" / "assist_incident"
QUESTIONS = re.findall(
    r"^## (.+?)\n\n```sql\n(.+?)\n```", (ROOT / "docs" / "queries.md").read_text(), re.MULTILINE | re.DOTALL
)


@pytest.fixture(scope="module")
def sample(incident: Callable[..., strataline.Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return incident().write(tmp_path_factory.mktemp("case") / "CASE")


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["query", *map(str, arguments)])


def test_the_page_has_fifteen_questions() -> None:
    assert len(QUESTIONS) == len({sql for _, sql in QUESTIONS}) == 15


@pytest.mark.parametrize(("question", "sql"), QUESTIONS, ids=[question[:40] for question, _ in QUESTIONS])
def test_each_question_has_an_answer_the_same_twice(question: str, sql: str, sample: Path) -> None:
    assert question.endswith("?")
    first, second = io.BytesIO(), io.BytesIO()
    rows = folder.query(sample, sql, "json", first)
    assert rows == len(first.getvalue().splitlines()) > 0
    folder.query(sample, sql, "json", second)
    assert first.getvalue() == second.getvalue()


@pytest.mark.parametrize(
    "sql",
    [
        "COPY events TO 'out.csv'",
        "COPY (SELECT 1) TO '{case}/events.parquet' (USE_TMP_FILE false)",
        "CREATE TABLE t AS SELECT 1",
        "ATTACH 'out.db'",
        "INSTALL httpfs",
        "SET threads = 8",
        "SELECT 1; SELECT 2",
        "EXPORT DATABASE 'out'",
        "CALL pragma_version()",
        "",
        "SELECT FROM WHERE",
        "SELECT nope FROM events",
        "SELECT * FROM nowhere",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '{case}/manifest.json'",
        "SELECT * FROM read_csv('https://example.invalid/a.csv')",
        "SELECT * FROM glob('/*')",
        "SELECT 1 / line::VARCHAR::DATE FROM events",
        "SELECT '\udcff'",
    ],
)
def test_whatever_else_is_refused_and_changes_nothing(
    sql: str, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {file.name: file.read_bytes() for file in sample.iterdir()}
    done = ask(sample, sql.format(case=sample))
    assert list(tmp_path.iterdir()) == []
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("strataline: ")
    assert {file.name: file.read_bytes() for file in sample.iterdir()} == before


HOSTILE = "SELECT '=1+1' AS a, chr(27) || '[31m' || chr(8238) || chr(10) AS b, '-5' AS c, -5 AS d, NULL AS e, 1.5 AS a"


def test_hostile_text_in_each_form(sample: Path, tmp_path: Path) -> None:
    shown = ask(sample, HOSTILE)
    assert shown.exit_code == 0
    assert r"\x1b[31m\u202e\n" in shown.stdout
    assert "\x1b" not in shown.stdout
    (row,) = csv.DictReader(io.StringIO(ask(sample, HOSTILE, "--format", "csv").stdout))
    assert row == {"a": "'=1+1", "b": r"\x1b[31m\u202e\n", "c": "'-5", "d": "-5", "e": "", "a_1": "1.5"}
    line = ask(sample, HOSTILE, "--format", "json").stdout
    assert "\u202e" not in line
    assert json.loads(line)["b"] == "\x1b[31m\u202e\n"
    assert json.loads(line)["e"] is None
    out = tmp_path / "x.parquet"
    assert ask(sample, HOSTILE, "--format", "parquet", "-o", out).exit_code == 0
    assert pl.read_parquet(out)["b"].to_list() == ["\x1b[31m\u202e\n"]
    assert ask(sample, HOSTILE, "--format", "parquet", "-o", out).exit_code == 2


def test_numbers_that_json_lacks_are_texts(sample: Path) -> None:
    done = ask(sample, "SELECT 'nan'::DOUBLE AS a, [1.5, '-inf'::DOUBLE] AS b, 'NaN' AS c", "--format", "json")
    assert json.loads(done.stdout, parse_constant=pytest.fail) == {"a": "NaN", "b": [1.5, "-Infinity"], "c": "NaN"}


def test_times_keep_their_nanoseconds(sample: Path) -> None:
    out = io.BytesIO()
    folder.query(sample, "SELECT corrected_time FROM events WHERE source LIKE '%otlp%' ORDER BY ALL", "json", out)
    events = pl.read_parquet(sample / "events.parquet").filter(pl.col("source").str.contains("otlp"))
    times = pl.Series([json.loads(one)["corrected_time"] for one in out.getvalue().splitlines()]).str.strip_suffix("Z")
    read = times.str.to_datetime(time_unit="ns").to_physical().to_list()
    assert read == sorted(events["corrected_time"].drop_nulls().to_physical())


def test_a_table_says_how_many_rows_it_does_not_show(sample: Path) -> None:
    done = ask(sample, "SELECT event_id FROM events ORDER BY ALL", "--limit", "3")
    rows = pl.read_parquet(sample / "events.parquet").height
    assert done.stdout.splitlines()[-1] == f"{rows:,} rows, the first 3 shown (--limit)"
    assert len(done.stdout.splitlines()) == 5
    assert ask(sample, "SELECT 1 WHERE false").exit_code == 1


def test_what_is_no_case_is_told(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="not a case"):
        folder.query(tmp_path, "SELECT 1", "json", io.BytesIO())
