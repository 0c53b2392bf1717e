"""What a command loads before it answers: counted in modules, not in seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import strataline
from strataline import case, folder, read
from strataline.cli import known
from strataline.event import LAYERS
from strataline.examine.affected import BASELINES
from strataline.export import html, query
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
