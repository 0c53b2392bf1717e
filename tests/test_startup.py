"""What a command loads before it answers: counted in modules, not in seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import strataline
from strataline import case, folder, read
from strataline.cli import known
from strataline.event import EVENTS, LAYERS, only
from strataline.examine.affected import BASELINES
from strataline.export import html, parquet, query
from strataline.report import regressions

REPOSITORY = Path(__file__).resolve().parent.parent
FORMATS = REPOSITORY / "sample_logs" / "assist_incident" / "formats"
LOG = FORMATS / "assist_prompt_log" / "prompt.jsonl"
# Each takes 30 ms or more to load.
HEAVY = {"scipy", "numpy", "polars", "duckdb", "pyarrow", "jinja2", "markdown_it", "dateutil", "regex", "fsspec"}
HEAVY |= {"aiohttp", "certifi", "pandas", "rich.console", "msgspec"}

ROOMS = {"read", "parse", "correlate", "examine", "report"}
LOADED = """
import sys
from strataline.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code, ended.code
print(*sorted(sys.modules), file=sys.stderr)
"""


def loaded(*arguments: str | Path) -> tuple[set[str], set[str]]:
    """The heavy libraries, and the rooms, that a run of the program loads."""
    made = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, check=True, encoding="utf-8")
    modules = set(made.stderr.splitlines()[-1].split())
    return modules & HEAVY, {name for name in ROOMS if f"strataline.{name}" in modules}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return strataline.reconstruct([LOG], formats=[FORMATS]).write(tmp_path_factory.mktemp("startup") / "CASE")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["show", "--help"], ["reconstruct", "--help"], ["examine", "--help"]],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded(*arguments) == (set(), set())


def test_what_is_asked_first_loads_one_library_and_no_room(written: Path) -> None:
    opened = strataline.Case.open(written)
    request, event = opened.requests["request"][0].as_py(), opened.events["event_id"][0].as_py()
    for arguments in (["show", written, request], ["why", written, event], ["clocks", written], ["rejects", written]):
        assert loaded(*arguments) == ({"polars"}, set()), arguments


def test_other_commands_load_what_they_need(written: Path) -> None:
    event = strataline.Case.open(written).events["event_id"][0].as_py()
    heavy, rooms = loaded("evidence", written, event)
    assert "scipy" not in heavy
    assert rooms == {"read"}
    heavy, rooms = loaded("query", written, "SELECT count(*) FROM events")
    assert "scipy" not in heavy
    assert not rooms
    assert "report" not in loaded("examine", written)[1]
    heavy, rooms = loaded("formats")
    assert "scipy" not in heavy
    assert rooms == {"read", "parse"}


def test_what_options_name_is_what_there_is() -> None:
    assert known.LAYERS == LAYERS
    assert known.TARGETS == folder.FORMATS
    assert known.ANSWERS == query.FORMATS
    assert known.HAND_OFFS == regressions.TARGETS
    assert known.BASELINES == BASELINES
    assert known.LISTED == case.LIMIT
    assert known.DRAWN == html.LIMIT == case.LIMIT
    assert known.HANDED == regressions.LIMIT
    assert (known.MAX_RECORD, known.MAX_EXPAND) == (read.MAX_RECORD, read.MAX_EXPAND)


def test_every_public_name_is_there() -> None:
    assert sorted(strataline._PLACES) == sorted(strataline.__all__)
    for name in strataline.__all__:
        assert getattr(strataline, name).__name__ == name
    assert set(strataline.__all__) <= set(dir(strataline))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        strataline.nothing  # noqa: B018


def test_reconstruct_is_the_function_though_its_module_is_imported_first() -> None:
    code = "import strataline.reconstruct, strataline; print(strataline.reconstruct.__name__)"
    for line in (code, code.replace("strataline.reconstruct,", "strataline.conformance,")):
        made = subprocess.run([sys.executable, "-c", line], capture_output=True, check=True, encoding="utf-8")
        assert made.stdout == "reconstruct\n"


def test_rows_that_are_asked_for_are_those_of_the_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS", 500)
    monkeypatch.setattr(parquet, "_NEAR", 40)
    rows = 3000
    ids = [
        None if row % 7 == 0 else [{"kind": "k", "value": f"v{row // 3}", "role": "alias"}, {"kind": "n"}]
        for row in range(rows)
    ]
    frame = EVENTS.conform(
        pl.DataFrame(
            {
                "event_id": [f"{row:032x}" for row in range(rows)],
                "request": [f"{row // 10 % 250:032x}" for row in range(rows)],
                "ids": ids,
                "line": list(range(rows)),
            },
            schema_overrides={"ids": EVENTS.schema["ids"]},
        )
    )
    parquet.write(EVENTS, frame, tmp_path / "events.parquet")
    stored = parquet.Stored(tmp_path, [EVENTS])
    asked = [
        pl.col("request") == f"{7:032x}",  # two runs, 2,500 rows apart
        pl.col("request").is_in([f"{row:032x}" for row in range(0, 250, 12)]),  # more runs than are read apart
        pl.col("line").is_in([0, 499, 500, 2999]),
        case.carried("v100"),
        case.carried(f"{2999:032x}"),
        pl.col("request") == "nobody",
    ]
    for wanted in asked:
        whole = frame.filter(wanted)
        assert_frame_equal(stored.only("events", wanted), whole)
        assert_frame_equal(stored.only("events", wanted, ("line",)), whole.select("line"))
        assert_frame_equal(only({"events": frame}, "events", wanted), whole)
    assert not stored._read, "the table itself was not read"
    assert stored["events"].height == rows
    assert_frame_equal(stored.only("events", asked[0]), frame.filter(asked[0]))


def test_an_alias_is_found_without_reading_the_table(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = strataline.Case.open(written)
    every = (
        opened.frames["events"].select("request", "ids").explode("ids").unnest("ids").drop_nulls(["request", "value"])
    )
    told = every.group_by("value").agg(pl.col("request").unique()).sort("value").head(12)
    monkeypatch.setattr(parquet, "read", lambda _, file, columns=None: pytest.fail(f"{file.name} was read: {columns}"))
    for value, requests in told.iter_rows():
        fresh = strataline.Case.open(written)
        monkeypatch.setattr(fresh.frames, "narrow", lambda name, _: pl.read_parquet(written / f"{name}.parquet"))
        assert sorted(fresh.which(value)) == sorted(requests)
        assert fresh.carries(value).height >= len(requests)


def test_who_asks_for_many_ids_gets_the_same(written: Path) -> None:
    opened = strataline.Case.open(written)
    names = opened.frames["events"]["ids"].explode().struct.field("value").drop_nulls().unique().sort().to_list()
    names += [*opened.frames["events"]["event_id"].head(4), "nobody", names[0].upper()]
    assert len(names) > case._FEW
    assert [opened.which(name) for name in names] == [strataline.Case.open(written).which(name) for name in names]


@pytest.mark.parametrize(
    ("written_as", "asked_for"),
    [
        ("4ad89d7b-cbc5-47f9-ac30-c72a87cbafde", "4AD89D7BCBC547F9AC30C72A87CBAFDE"),
        (" 0X4AD89D7BCBC547F9", "4ad89d7bcbc547f9"),
        ("4ad89d7bcbc547f9", "0x4ad8-9d7b-cbc5-47f9"),
    ],
)
def test_other_spellings_of_the_same_hex_are_found(written_as: str, asked_for: str) -> None:
    ids = [[{"kind": "k", "value": value, "role": "alias"}] for value in (written_as, asked_for + "0", "1" + asked_for)]
    events = pl.DataFrame({"event_id": ["a", "b", "c"], "ids": ids})
    assert events.filter(case.carried(asked_for))["event_id"].to_list() == ["a"]
