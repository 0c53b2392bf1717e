"""`strataline examine`, `doctor`, `compare` and `check`, on the sample incident."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

import strataline
from strataline.cli import main
from strataline.event import EXAMINED
from strataline.wording import LEFT_OPEN, banned

SAMPLE = Path(__file__).parent.parent / "sample_logs" / "assist_incident"


def cli(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def folder(incident: Callable[..., strataline.Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return incident(zoned=True, ids_alone=True).write(tmp_path_factory.mktemp("cases") / "CASE")


def test_without_an_affected_set_it_says_so_and_shows_what_fired_and_what_changed(folder: Path) -> None:
    found = cli("examine", folder)
    assert found.exit_code == 0, found.output
    assert "none was named" in found.output
    assert "failed-open" in found.output
    assert "Changes, in order of time" in found.output
    assert "What was different" not in found.output
    for matter, about in LEFT_OPEN:
        assert f"{matter}: {about}" in found.output


def test_with_one_it_says_who_chose_it_whom_it_reached_and_what_differed(folder: Path, tmp_path: Path) -> None:
    chosen = ("--affected", "check:F-03", "--affected-by", "on-call for policy")
    found = cli("examine", folder, *chosen, "--all", "-o", tmp_path / "tables")
    assert found.exit_code == 0, found.output
    assert "by on-call for policy" in found.output
    assert "Reached" in found.output
    assert "What was different" in found.output
    assert {file.name for file in (tmp_path / "tables").iterdir()} == {f"{one.name}.parquet" for one in EXAMINED}
    hits = pl.read_parquet(tmp_path / "tables" / "hits.parquet")
    assert hits.filter(pl.col("check") == "F-03").height
    assert cli("examine", folder, *chosen, "--all").output == cli("examine", folder, *chosen, "--all").output


def test_the_same_as_json(folder: Path) -> None:
    read = json.loads(cli("examine", folder, "--affected", "check:F-03", "--json").output)
    (fired,) = [row for row in read["findings"] if row["check"] == "F-03"]
    assert fired["count"] == fired["affected"] == read["affected"]["count"]
    assert [row["moment"] for row in read["impact"]["moments"]][:2] == ["onset", "first user signal"]
    of = {(row["tier"], row["of"]): row for row in read["impact"]["tiers"]}
    for what in ("requests", "users", "sessions"):
        for bound in ("by_ids", "recorded", "at_most"):
            assert of["shown", what][bound] <= of["delivered", what][bound] <= of["exposed", what][bound]
    assert read["left_open"] == dict(LEFT_OPEN)


def test_one_group_or_one_check_alone(folder: Path) -> None:
    read = json.loads(cli("examine", folder, "--only", "F-03", "--json").output)
    assert {row["check"] for row in read["findings"]} == {"F-03"}
    read = json.loads(cli("examine", folder, "--only", "F", "--json").output)
    assert {row["check"][0] for row in read["findings"]} == {"F"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--only", "Z-99"), "no check or group is called 'Z-99'"),
        (("--affected-by", "me"), "give --affected"),
        (("--affected", "no-such-id"), "no-such-id"),
        (("--declared", "none.toml"), "cannot be read"),
        (("--checks", "none"), "no such folder of checks"),
    ],
)
def test_what_cannot_be_done_is_said_with_status_2(folder: Path, options: tuple[str, ...], says: str) -> None:
    found = cli("examine", folder, *options)
    assert found.exit_code == 2
    assert says in found.output
    assert "Traceback" not in found.output


def test_doctor_says_what_can_run_and_what_would_let_others(folder: Path) -> None:
    found = cli("doctor", folder)
    assert found.exit_code == 0, found.output
    assert "can run on this case" in found.output
    assert "F-03" in found.output
    read = json.loads(cli("doctor", folder, "--json").output)
    results = {row["check"]: row["result"] for row in read["checks"]}
    assert results["F-03"] in ("fired", "clear")
    lacking = {check for row in read["unlocking"] for check in row["checks"]}
    assert {check for check, result in results.items() if result == "not_evaluable"} >= lacking


def test_compare_of_a_case_with_itself_finds_no_difference(folder: Path) -> None:
    found = cli("compare", folder, folder)
    assert found.exit_code == 0, found.output
    assert "no value passed the rule" in found.output
    read = json.loads(cli("compare", folder, folder, "--json").output)
    assert all(row["difference"] == 0 for row in read["values"])
    assert all(row["here"] == row["there"] for row in read["variants"])
    assert read["measures"]
    assert all(row["affected_median"] == row["baseline_median"] for row in read["measures"])
    assert not any(row["shown"] for row in read["measures"])


def test_check_ends_with_status_3_where_a_requirement_is_not_met(folder: Path, tmp_path: Path) -> None:
    unmet = cli(
        "check", folder, "--require", "F-03=0", "--junit", tmp_path / "out.xml", "--sarif", tmp_path / "out.sarif"
    )
    assert unmet.exit_code == 3, unmet.output
    assert "not met  F-03" in unmet.output
    assert "<failure" in (tmp_path / "out.xml").read_text()
    assert json.loads((tmp_path / "out.sarif").read_text())["runs"][0]["results"]
    assert cli("check", folder, "--require", "F-03=100000").exit_code == 0
    assert cli("check", folder).exit_code == 2
    assert cli("check", folder, "--require", "F-03").exit_code == 2


def test_no_sentence_uses_a_word_of_judgement(folder: Path) -> None:
    for arguments in (("examine", folder, "--affected", "check:F-03", "--all"), ("doctor", folder)):
        assert banned(cli(*arguments).output.replace(str(folder), "CASE")) == []
