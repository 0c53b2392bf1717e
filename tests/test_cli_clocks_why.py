"""`strataline clocks` and `strataline why`, and the options of `reconstruct` that steer what they explain."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings, strategies as st

import strataline
from strataline import Case, wording
from strataline.cli import main
from strataline.cli.arguments import Offset
from strataline.errors import InputError
from strataline.export import clocks, clocks_text, why_text

SAMPLE = Path(__file__).parent.parent / "sample_logs" / "assist_incident"
REQUEST = "chatcmpl-6rQlB1eOOHBUhB7PT26P9sox"
BANNED = re.compile(r"\b(?:" + "|".join(wording.BANNED) + r")\b", re.IGNORECASE)
HOSTILE = "id\x1b[31m\u202e\x9bevil"


def cli(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def case(incident: Callable[..., Case]) -> Case:
    return incident(zoned=True)


@pytest.fixture(scope="module")
def folder(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case.write(tmp_path_factory.mktemp("cases") / "CASE")


def first(case: Case, *conditions: pl.Expr) -> dict[str, Any]:
    found = case.frames["events"].filter(*conditions)
    assert found.height, "the sample has such an event"
    return found.row(0, named=True)


# why


def test_why_never_raises_and_always_says_something(case: Case) -> None:
    for event_id in case.frames["events"]["event_id"]:
        found = case.why(event_id)
        page = why_text.page(found, width=80)
        assert found["why"], event_id
        assert "\x1b" not in page
        for sentence in (*found["why"], *found["otherwise"]):
            assert not BANNED.search(sentence), sentence
            assert sentence.endswith((".", ")")), sentence
        if found["request"] is None:
            assert found["status"] == "UNK"
            continue
        assert found["way"][0]["event_id"] == event_id
        assert found["way"][-1]["method"] == "opening", event_id
        assert len({step["event_id"] for step in found["way"]}) == len(found["way"])
        assert (found["status"] == "INF") >= ((found["confidence"] or 0) < 1), event_id


def test_an_id_is_named_with_both_records_and_with_what_else_would_tie(case: Case, folder: Path) -> None:
    event = first(
        case, pl.col("kind") == "policy.decision", pl.col("link_method") == "id", pl.col("call").is_not_null()
    )
    made = cli("why", folder, event["event_id"])
    assert made.exit_code == 0
    link = case.frames["links"].filter(
        pl.col("relation") == "member", pl.col("from_event") == event["event_id"], pl.col("taken")
    )
    row = link.row(0, named=True)
    assert f"{row['id_kind']} {row['id_value']}" in made.output
    assert row["from_address"] in made.output
    assert row["to_address"] in made.output
    assert "opens the request" in made.output
    assert "DER: computed from records that ids join" in made.output
    assert "What would have changed it" in made.output


def test_a_link_by_time_says_delay_scope_confidence_and_what_would_have_changed_it(case: Case, folder: Path) -> None:
    event = first(case, pl.col("link_method") == "window", pl.col("kind") == "prompt.access")
    made = cli("why", folder, event["event_id"][:10])
    flat = " ".join(made.output.split())
    assert made.exit_code == 0
    assert "INF: needed a heuristic" in flat
    assert re.search(r"It lies [0-9.]+ (us|ms|s) (before|after) ", flat)
    assert "It was looked for within" in flat
    assert f"confidence {wording.chance(event['link_confidence'])}" in flat
    assert "Had the record carried an id of the request" in flat
    assert f"With --min-confidence above {wording.chance(event['link_confidence'])}" in flat
    assert "Next best" in flat


def test_candidates_are_listed_and_the_confidence_that_would_take_the_first(case: Case, folder: Path) -> None:
    listed = case.frames["links"].filter(pl.col("relation") == "member", ~pl.col("taken"))
    loose = case.frames["events"].filter(
        pl.col("request").is_null(), pl.col("event_id").is_in(listed["from_event"].implode())
    )
    event_id = loose["event_id"][0]
    best = listed.filter(pl.col("from_event") == event_id)["confidence"].max()
    made = cli("why", folder, event_id)
    assert made.exit_code == 0
    assert "tied to nothing" in made.output
    assert "Candidates, none taken" in made.output
    assert f"With --min-confidence {int(float(best) * 100) / 100:g} the first candidate" in made.output  # type: ignore[arg-type]
    data = json.loads(cli("why", folder, event_id, "--json").output)
    assert data["request"] is None
    assert data["candidates"][0]["confidence"] == best


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("change.applied", "A change is of the product"),
        ("log.other", "No format describes what its record says"),
        ("ui.identify", "names"),
    ],
)
def test_of_an_event_without_candidates_it_says_why_there_is_none(
    case: Case, folder: Path, kind: str, said: str
) -> None:
    made = cli("why", folder, first(case, pl.col("kind") == kind, pl.col("request").is_null())["event_id"])
    assert made.exit_code == 0
    assert said in made.output
    assert "Candidates" not in made.output


def test_a_refused_id_is_named(case: Case, folder: Path) -> None:
    refused = case.frames["notes"].filter(pl.col("topic") == "hub_refused")["subject"].to_list()
    loose = first(case, pl.col("request").is_null(), pl.col("session").is_in(refused))
    made = cli("why", folder, loose["event_id"])
    assert f"{loose['session']} was refused" in made.output
    assert "note hub_refused" in made.output


def test_a_record_delivered_again_says_of_which(case: Case, folder: Path) -> None:
    again = case.frames["links"].filter(pl.col("relation") == "redelivery_of")
    tied = case.frames["events"].filter(pl.col("request").is_not_null())["event_id"]
    row = again.filter(pl.col("from_event").is_in(tied.implode())).row(0, named=True)
    made = cli("why", folder, row["from_event"])
    assert made.exit_code == 0
    assert "opens the request" in made.output


def test_why_takes_the_address_that_a_chain_shows(case: Case, folder: Path) -> None:
    event = first(case, pl.col("kind") == "prompt.access")
    by_line = cli("why", folder, f"{event['source']}:{event['line']}")
    assert by_line.exit_code == 0
    assert by_line.output == cli("why", folder, event["event_id"]).output
    assert cli("why", folder, f"{event['source']}@{event['offset']}").output == by_line.output


def test_a_record_of_several_events_asks_which(case: Case, folder: Path) -> None:
    several = case.frames["events"].group_by("source", "line", "offset", "item").len().filter(pl.col("len") > 1)
    row = several.sort("source", "offset").row(0, named=True)
    made = cli("why", folder, f"{row['source']}:{row['line']}")
    assert made.exit_code == 2
    assert "name one by its id: " in made.stderr


@pytest.mark.parametrize("name", ["nope", "ffffffffffffffff", "app/none.log:3", "", "a:99999999999999999999999"])
def test_an_event_that_is_not_there_is_told(folder: Path, name: str) -> None:
    made = cli("why", folder, name)
    assert made.exit_code == 2
    assert "no event or reject is called" in made.stderr
    assert made.stdout == ""


def test_a_reject_is_told(case: Case, folder: Path) -> None:
    row = case.frames["rejects"].row(0, named=True)
    made = cli("why", folder, f"{row['source']}@{row['offset']}")
    assert made.exit_code == 2
    assert f"it became no event: {row['reason']}" in made.stderr


@settings(max_examples=50, deadline=None)
@given(name=st.text(max_size=40))
def test_any_name_is_an_answer_or_a_mistake_that_is_told(case: Case, name: str) -> None:
    with suppress(strataline.CaseError):
        case.why(name)


# Hostile values


def page_of(case: Case, event_id: str) -> str:
    return why_text.page(case.why(event_id))


def test_what_a_log_says_is_escaped(case: Case) -> None:
    """An id, a clock, a session and a source that would steer a terminal."""
    frames = dict(case.frames)
    event = first(case, pl.col("link_method") == "id", pl.col("session").is_not_null())
    mine = pl.col("event_id") == event["event_id"]
    frames["events"] = frames["events"].with_columns(
        *(pl.when(mine).then(pl.lit(HOSTILE)).otherwise(name).alias(name) for name in ("clock", "session", "source"))
    )
    frames["links"] = frames["links"].with_columns(
        pl.when(pl.col("from_event") == event["event_id"]).then(pl.lit(HOSTILE)).otherwise("id_value").alias("id_value")
    )
    frames["clocks"] = frames["clocks"].with_columns(clock=pl.lit(HOSTILE), reference=pl.lit(HOSTILE))
    other = Case(frames, case.manifest, case.inputs)
    pages = [page_of(other, event["event_id"]), *clock_pages(other)]
    for page in pages:
        assert "\\x1b[31m" in page
        assert not set("\x1b\u202e\x9b") & set(page)


def clock_pages(case: Case) -> list[str]:
    return [
        clocks_text.page(case.frames, HOSTILE, every=every, width=width)
        for every in (True, False)
        for width in (40, None)
    ]


# clocks


def test_clocks_says_each_clock_and_sums_up_the_browsers(case: Case, folder: Path) -> None:
    made = cli("clocks", folder)
    assert made.exit_code == 0
    assert re.search(r"gateway/litellm +\S+ – \S+ +\+4\.19\d s", made.output)
    assert "app/assist-api" in made.output
    assert re.search(r"^browser:…  \d+ clocks, \d+ moved", made.output, re.MULTILINE)
    assert "browser:0" not in made.output
    assert "half lie between" in made.output
    assert "cannot be known from logs" in made.output
    every = cli("clocks", folder, "--all").output
    assert every.count("\nbrowser:") == case.frames["clocks"].filter(pl.col("clock").str.starts_with("browser:")).height


def test_clocks_as_json_is_one_object(case: Case, folder: Path) -> None:
    made = json.loads(cli("clocks", folder, "--json").output)
    assert made["domains"] == case.frames["clocks"]["clock"].n_unique()
    assert len(made["clocks"]) == case.frames["clocks"].height
    assert made["families"]["browser"]["clocks"] > 40
    assert made == json.loads(json.dumps(case.clock_offsets()))


def test_a_case_without_times_has_no_clocks(case: Case) -> None:
    frames = {name: frame.clear() for name, frame in case.frames.items()}
    assert clocks_text.page(frames, "CASE") == "no event states a time by a clock\n"
    assert clocks.listed(frames)["clocks"] == []


# Options


def reconstruct(tmp_path: Path, *options: str) -> Result:
    zone = ("--zone", "app/uvicorn.log*=America/New_York")
    return cli("reconstruct", SAMPLE / "logs", "--formats", SAMPLE / "formats", "-o", tmp_path / "C", *zone, *options)


def test_the_options_are_kept_and_an_asserted_clock_is_told_with_its_contradiction(tmp_path: Path) -> None:
    asked = ("--clock", "policy-a=-1138ms", "--clock", "gateway/litellm=1m30s", "--reference-clock", "app/assist-api")
    made = reconstruct(tmp_path, *asked, "--window", "10m", "--min-confidence", "0.95")
    assert made.exit_code == 0, made.output
    options = Case.open(tmp_path / "C").manifest["options"]
    assert options["clocks_s"] == {"gateway/litellm": 90.0, "policy-a": -1.138}
    assert (options["window_s"], options["min_confidence"]) == (600.0, 0.95)
    assert options["reference_clock"] == "app/assist-api"
    shown = cli("clocks", tmp_path / "C")
    assert shown.exit_code == 1, "the logs contradict 90 s"
    assert "as --clock asserts" in shown.output
    assert re.search(r"gateway/litellm: asserted to be \+90\.000 s ahead", shown.output)
    assert cli("verify", tmp_path / "C").exit_code == 0


def test_ids_alone(tmp_path: Path) -> None:
    assert reconstruct(tmp_path, "--min-confidence", "1").exit_code == 0
    case = Case.open(tmp_path / "C")
    tied = case.frames["events"].filter(pl.col("request").is_not_null())
    assert not tied.filter(pl.col("link_confidence") < 1).height
    loose = case.frames["events"].filter(pl.col("request").is_null(), pl.col("kind") == "model.access")
    assert "--min-confidence" in " ".join(case.why(loose["event_id"][0])["why"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--window", "15"],
        ["--window", "-15m"],
        ["--min-confidence", "1.1"],
        ["--min-confidence", "-0.1"],
        ["--min-confidence", "nan"],
        ["--min-confidence", "sure"],
        ["--clock", "web"],
        ["--clock", "=1s"],
        ["--clock", "web=1"],
        ["--clock", "web=1s2"],
        ["--clock", "web=+-1s"],
        ["--clock", "web=inf"],
        ["--clock", "web=99999999999999999d"],
        ["--clock", "web=1s", "--clock", "web=2s"],
        ["--clock", "web=40000d"],
        ["--clock", "web=1s", "--reference-clock", "web"],
    ],
    ids=" ".join,
)
def test_a_bad_value_is_told_and_nothing_is_written(tmp_path: Path, arguments: list[str]) -> None:
    made = reconstruct(tmp_path, *arguments)
    assert made.exit_code == 2
    assert arguments[0] in made.stderr
    assert not (tmp_path / "C").exists()


@pytest.mark.parametrize("option", [("--clock", "policy-c=1s"), ("--reference-clock", "policy-c")], ids=" ".join)
def test_a_clock_that_no_event_has_is_told_with_those_that_are_there(tmp_path: Path, option: tuple[str, str]) -> None:
    for log in ("app/prompt.jsonl", "policy/policy-a.jsonl"):
        (tmp_path / log).parent.mkdir()
        (tmp_path / log).symlink_to(SAMPLE / "logs" / log)
    made = cli("reconstruct", tmp_path, "--formats", SAMPLE / "formats", "-o", tmp_path / "C", *option)
    assert made.exit_code == 2
    assert f"{option[0]} policy-c: no event has such a clock domain" in made.stderr
    assert "policy-a" in made.stderr
    assert "app/assist-api" in made.stderr
    assert not (tmp_path / "C").exists()


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("web=+1.5s", timedelta(seconds=1.5)),
        ("web=-300ms", timedelta(milliseconds=-300)),
        ("web=5h", timedelta(hours=5)),
        ("web=1h30m", timedelta(hours=1, minutes=30)),
        ("a=b=-1m0.5s", timedelta(seconds=-60.5)),
        ("web=0s", timedelta()),
        ("web=0.1s", timedelta(milliseconds=100)),
    ],
)
def test_forms_of_an_offset(text: str, offset: timedelta) -> None:
    assert Offset().convert(text, None, None) == (text.rpartition("=")[0], offset)


@pytest.mark.parametrize(
    "options",
    [
        {"min_confidence": 1.5},
        {"min_confidence": float("nan")},
        {"window": timedelta(seconds=-1)},
        {"clocks": {"web": timedelta(days=100_000)}},
    ],
    ids=str,
)
def test_a_bad_value_in_python_is_told_before_reading(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        strataline.reconstruct("no such place", **options)


def test_the_summary_says_how_events_were_tied_and_what_was_moved(case: Case, tmp_path: Path) -> None:
    made = reconstruct(tmp_path)
    assert re.search(
        r"^  links +by ids [\d,]+  by time [\d,]+ \(confidence 0\.9\d* or more\)", made.output, re.MULTILINE
    )
    assert re.search(r"^  clocks off .*gateway/litellm \+4\.19\d s.*browser \d+ of \d+", made.output, re.MULTILINE)
    figures = case.summary()
    assert sum(figures["linked_by"].values()) == case.frames["events"]["request"].count()
    assert figures["clocks_moved"] > 10
    assert figures["candidates_only"] > 0


def test_a_chain_marks_links_that_are_not_by_ids_and_points_to_why(folder: Path) -> None:
    made = cli("show", folder, REQUEST)
    assert re.search(r" · by time, confidence 0\.9\d* · ", made.output)
    hint = re.search(r"may belong to it, none taken .* strataline why CASE (\w+)", made.output)
    assert hint
    assert cli("why", folder, hint[1]).exit_code == 0
