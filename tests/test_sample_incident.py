"""The sample incident holds what its EXPECTED.md says: every table there is read, and compared with the case."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

import strataline
from strataline import Case
from strataline.event import PRODUCT_LAYERS
from strataline.wording import BANNED

SAMPLE = Path(__file__).resolve().parent.parent / "sample_logs" / "assist_incident"
LOGS, FORMATS = SAMPLE / "logs", SAMPLE / "formats"
EXPECTED = (SAMPLE / "EXPECTED.md").read_text(encoding="utf-8")
MAKEFILE = SAMPLE.parent.parent / "Makefile"
HEADLINE = "3ae7c67d-9793-4783-aff1-3d25f838b0e6"
ADDRESS = re.compile(r"`((?:app|gateway|policy|retrieval|ui)/[^`:]+):(\d+)(?:#(\d+))?`")
BY_ID = ("opening", "id", "span")


@pytest.fixture(scope="module")
def case(incident: Callable[..., Case]) -> Case:
    return incident(zoned=True, ids_alone=True)


@pytest.fixture(scope="module")
def events(case: Case) -> pl.DataFrame:
    """The events, with ``address`` as EXPECTED.md writes it, and whether the record is a second delivery."""
    again = case.frames["links"].filter(pl.col("relation") == "redelivery_of")["from_event"].implode()
    item = pl.when(pl.col("item") > 0).then(pl.format("#{}", "item")).otherwise(pl.lit(""))
    return case.frames["events"].with_columns(
        address=pl.format("{}:{}{}", "source", "line", item), again=pl.col("event_id").is_in(again)
    )


@pytest.fixture(scope="module")
def turns(case: Case, events: pl.DataFrame) -> pl.DataFrame:
    """The turns in the order of the prompt log, with ``opened``: the address of the first line that opens them."""
    opening = events.filter(pl.col("kind") == "prompt.received")
    # The rotated part, .1.gz, is the older one.
    opening = opening.sort(pl.col("source").str.ends_with(".gz"), "line", descending=[True, False])
    first = opening.unique("request", keep="first", maintain_order=True).select("request", opened="address")
    turns = case.frames["requests"].filter(pl.col("kind") == "turn")
    return first.join(turns, on="request", maintain_order="left")


def table(heading: str) -> list[dict[str, str]]:
    """The first table below `heading`: one dict per row; ``–`` is an empty text."""
    below = EXPECTED.split(f"### {heading}\n", 1)[1]
    block = below[below.index("| ") :].split("\n\n", 1)[0]
    lines = [[cell.strip().replace("`", "") for cell in row.strip("|").split(" | ")] for row in block.splitlines()]
    return [dict(zip(lines[0], ("" if cell == "–" else cell for cell in row), strict=True)) for row in lines[2:]]


def numbers(text: str) -> list[int]:
    """The line numbers in ``3, 5–7``."""
    spans = (part.split("–") for part in text.split(", "))
    return [number for span in spans for number in range(int(span[0]), int(span[-1]) + 1)]


def clock(column: str = "event_time") -> pl.Expr:
    """A time as EXPECTED.md writes it: cut, not rounded, to milliseconds."""
    return pl.col(column).dt.strftime("%H:%M:%S%.3f")


def decided(events: pl.DataFrame) -> pl.DataFrame:
    """Decisions on outputs, as the replicas log them, each once."""
    return events.filter(
        pl.col("kind") == "policy.decision",
        pl.col("policy_stage") == "output",
        pl.col("source").str.starts_with("policy/"),
        ~pl.col("again"),
    )


def test_sources_hold_the_counts_formats_and_zones_that_are_expected(case: Case) -> None:
    expected = {row["source"]: row for row in table("Sources")}
    sources = case.frames["sources"]
    assert sources["source"].to_list() == sorted(expected)
    for found in sources.iter_rows(named=True):
        row = expected[found["source"]]
        counts = ("lines", "records", "with events", "rejected", "skipped", "recovered", "events")
        assert {name: str(found[name.replace(" ", "_")]) for name in counts} == {name: row[name] for name in counts}
        assert found["format"] == row["format"]
        zone = found["zone_basis"] if found["zone"] is None else f"{found['zone']}, {found['zone_basis']}"
        assert zone == row["zone"]
    assert dict(case.manifest["identity"]) == {
        "lines": 1245, "records": 1246, "with_events": 1222, "rejected": 6, "skipped": 18, "events": 1394,
    }  # fmt: skip


def test_each_damaged_line_is_a_reject_with_the_expected_reason(case: Case) -> None:
    rejects = case.frames["rejects"].select(pl.format("{}:{}", "source", "line"), "reason").rows()
    assert sorted(rejects) == sorted((row["address"], row["reason"]) for row in table("Rejects"))


def test_recovered_records_are_marked_and_each_half_goes_to_its_own_turn(events: pl.DataFrame) -> None:
    found = events.filter(pl.col("recovered").is_not_null())
    rows = found.select("address", "kind", "recovered").rows()
    assert sorted(rows) == sorted((row["address"], row["kind"], row["why"]) for row in table("Recovered"))
    halves = found.filter(pl.col("address") == "app/prompt.jsonl:248").sort("offset")
    opened = events.filter(pl.col("address").is_in(["app/prompt.jsonl:245", "app/prompt.jsonl:241"]))
    assert halves["request"].to_list() == opened.sort("line", descending=True)["request"].to_list()


def test_second_deliveries_point_to_the_first(case: Case) -> None:
    links = case.frames["links"].filter(pl.col("relation") == "redelivery_of")
    found = set(links.select("from_address", "to_address").rows())
    expected = {
        (f"{row['lines']}:{again}", f"{row['lines']}:{first}")
        for row in table("Delivered again")
        for again, first in zip(numbers(row["again"]), numbers(row["of"]), strict=True)
    }
    assert found == expected


def test_lines_out_of_order_are_those_that_are_expected(events: pl.DataFrame) -> None:
    one_clock = [f"{layer}/" for layer in ("app", "policy", "retrieval")] + ["gateway/litellm"]
    lines = events.filter(pl.col("source").str.contains("|".join(f"^{name}" for name in one_clock)))
    lines = lines.group_by("source", "line").agg(pl.col("event_time").min(), pl.col("again").any())
    lines = lines.filter(pl.col("event_time").is_not_null()).sort("source", "line")
    late = lines.filter(
        (pl.col("event_time") < pl.col("event_time").shift(1)).over("source").fill_null(value=False), ~pl.col("again")
    )
    found = {source: rows["line"].to_list() for (source,), rows in late.group_by("source")}
    assert found == {row["source"]: numbers(row["lines"]) for row in table("Out of order")}


def test_62_turns_are_opened_and_15_searches_stand_apart(case: Case, events: pl.DataFrame) -> None:
    requests = case.frames["requests"]
    kinds = requests.group_by("kind").agg(pl.len(), pl.sum("events")).sort("kind").rows()
    assert kinds == [("job", 15, 31), ("turn", 62, 731)]
    opening = events.filter(pl.col("kind") == "prompt.received")
    assert (opening.height, opening["again"].sum(), opening["request"].n_unique()) == (65, 2, 62)
    jobs = events.join(requests.filter(pl.col("kind") == "job").select("request"), on="request")
    assert set(jobs["layer"].unique()) <= {"retrieval", "policy"}


def test_each_stretch_has_its_turns_and_what_was_in_force(turns: pl.DataFrame, events: pl.DataFrame) -> None:
    rows = table("Stretches")
    opened = turns["opened"].to_list()
    bounds = [*(opened.index(row["from"]) for row in rows), turns.height]
    spoken = decided(events).filter(pl.col("request").is_not_null())
    for row, (start, end) in zip(rows, pairwise(bounds), strict=True):
        here = turns.slice(start, end - start)
        assert str(here.height) == row["turns"], row
        assert set(here["templates"].explode().drop_nulls()) == {f"help_answer@{row['template']}"}, row
        assert set(here["indexes"].explode().drop_nulls()) == {row["index"]}, row
        served = set(here["models"].explode().drop_nulls()) - {"acme-mini-2026-06-12"}
        assert served == {row["served"]}, row
        bundles = spoken.join(here.select("request"), on="request")["policy_version"]
        assert set(bundles) == {row["bundle"]}, row


def test_a_turn_that_was_sent_again_is_one_turn_of_two_attempts(turns: pl.DataFrame, events: pl.DataFrame) -> None:
    (again,) = turns.filter(pl.col("attempts") > 1).to_dicts()
    assert again["attempts"] == 2
    mine = events.filter(pl.col("request") == again["request"])
    opened = mine.filter(pl.col("kind") == "prompt.received")["address"].to_list()
    assert opened == ["app/prompt.jsonl:137", "app/prompt.jsonl:154"]
    tried = mine.filter(pl.col("kind") == "model.call")
    assert sorted(tried["line"]) == [30, 34, 35, 46]
    assert set(tried["outcome"]) == {"error"}
    assert mine.filter(pl.col("kind") == "ui.error_shown")["address"].to_list() == ["ui/events.jsonl:143"]


def test_four_calls_with_four_call_ids_are_counted_as_four_calls(turns: pl.DataFrame) -> None:
    assert turns.filter(pl.col("attempts") > 1)["calls"].to_list() == [4]


def test_a_fallback_is_a_second_row_of_the_same_call(case: Case, events: pl.DataFrame) -> None:
    backup = events.filter(pl.col("served_model") == "acme-mini-2026-06-12")
    assert backup["address"].to_list() == ["gateway/standard_logging.jsonl:21", "gateway/standard_logging.jsonl:55"]
    assert set(backup["requested_model"]) == {"chat-backup"}
    attempts = case.frames["links"].filter(pl.col("relation") == "attempt_of")
    pair = ("gateway/standard_logging.jsonl:21", "gateway/standard_logging.jsonl:19")
    assert pair in attempts.select("from_address", "to_address").rows()


def test_a_session_id_in_the_place_of_a_trace_id_joins_no_turns(case: Case, events: pl.DataFrame) -> None:
    sessions = events.filter(pl.col("layer") == "prompt")["session"].drop_nulls().unique().implode()
    calls = events.filter(pl.col("kind") == "model.call")
    traces = calls.select("address", "ids").explode("ids").unnest("ids").filter(pl.col("kind") == "trace_id")
    assert (calls.height, traces.filter(pl.col("value").is_in(sessions)).height) == (70, 62)
    hubs = case.frames["notes"].filter(pl.col("topic") == "hub_refused")["subject"]
    assert hubs.len() == 10
    assert hubs.is_in(sessions).all()


def test_turns_at_the_same_time_in_one_session_stay_apart(events: pl.DataFrame) -> None:
    lines = {f"app/prompt.jsonl:{line}" for line in (41, 44, 47)}
    opened = events.filter(pl.col("address").is_in(list(lines))).sort("event_time")
    assert (opened["request"].n_unique(), opened["session"].n_unique()) == (3, 1)
    answered = events.filter(pl.col("address") == "app/prompt.jsonl:51")
    assert answered["request"][0] == opened["request"][0]
    assert opened["event_time"][2] < answered["event_time"][0]
    assert (opened["event_time"][2] - opened["event_time"][0]).total_seconds() < 0.092


def test_a_regenerate_is_a_turn_that_refers_to_another(turns: pl.DataFrame) -> None:
    at = {row["opened"]: row for row in turns.to_dicts()}
    assert at["app/prompt.jsonl:107"]["refers_to"] == at["app/prompt.jsonl:91"]["request"]


def test_browsers_far_ahead_are_tied_by_id_all_the_same(events: pl.DataFrame) -> None:
    ui = events.filter(pl.col("layer") == "ui", ~pl.col("again"))
    ahead = ui.filter(pl.col("event_time") - pl.col("observed_time") > pl.duration(minutes=5)).sort("line")
    minutes = (ahead["event_time"] - ahead["observed_time"]).dt.total_minutes().to_list()
    assert list(zip(ahead["line"].to_list(), minutes, strict=True)) == [(54, 57), (55, 57), (80, 23), (81, 23)]
    assert ahead["link_method"].to_list() == ["id"] * 4


def test_the_headline_chain_goes_through_five_layers_in_causal_order(case: Case, events: pl.DataFrame) -> None:
    chain = case.request_events(HEADLINE).select("event_id", "seq").join(events.drop("seq"), on="event_id").sort("seq")
    chain = chain.filter(pl.col("link_method").is_in(BY_ID))
    members = case.frames["links"].filter(pl.col("relation") == "member")
    chain = chain.join(members.select("id_kind", event_id="from_event"), on="event_id", maintain_order="left")
    repeated = (pl.col("kind") == "policy.decision") & pl.col("source").str.starts_with("gateway/")
    told = chain.select("layer", "kind", "address", clock(), tied=pl.coalesce("id_kind", "link_method"))
    found = [tuple(row) for row in told.filter(~chain.select(repeated).to_series()).rows()]
    assert found == [tuple(list(row.values())[1:]) for row in table("The chain")]
    assert [row["#"] for row in table("The chain")] == [str(number) for number in range(len(found))]
    extra = chain.filter(repeated).select("address", clock()).rows()
    assert extra == [("gateway/standard_logging.jsonl:23", "23:05:35.566")]
    assert set(PRODUCT_LAYERS) == set(chain["layer"])


def test_the_headline_says_what_its_records_say(case: Case, events: pl.DataFrame) -> None:
    (request,) = case.which(HEADLINE)
    mine = events.filter(pl.col("request") == request)
    at = {row["address"]: row for row in mine.to_dicts()}
    query, answer = at["retrieval/spans.otlp.jsonl:8#1"], mine.filter(pl.col("kind") == "model.call").row(0, named=True)
    assert query["input_excerpt"] == "Can I get a refund on my annual plan bought 40 days ago?"
    assert [(one["id"], one["version"]) for one in query["documents"]] == [
        ("kb-refund-1", "v12"), ("kb-refund-3", "v12"), ("kb-refund-0", "v12"),
    ]  # fmt: skip
    assert (answer["requested_model"], answer["served_model"]) == ("chat-main", "acme-chat-2026-11-18")
    assert "within 60 days of purchase" in answer["output_excerpt"]
    assert "internal courtesy code HALCYON-8538 from the staff runbook" in answer["output_excerpt"]
    verdict = at["policy/policy-a.jsonl:63"]
    said = (verdict["verdict"], verdict["policy_name"], verdict["policy_version"], verdict["policy_mode"])
    assert said == ("allow", "staff_codes", "2026.11.4", "fail_open")
    assert dict(verdict["attributes"])["error"] == "error: missing ), unterminated subpattern at position 5"
    assert at["ui/events.jsonl:69"]["citations"] == 3
    assert at["ui/events.jsonl:70"]["feedback"] == "down"


def test_the_headline_is_found_by_the_complaint_and_by_every_id(case: Case, events: pl.DataFrame) -> None:
    found = case.find(text="staff discount code")
    assert found.select("source", "line").rows() == [("ui/events.jsonl", 86)]
    (request,) = case.which(HEADLINE)
    ids = events.filter(pl.col("request") == request).select("ids").explode("ids").unnest("ids")
    aliases = set(ids.filter(pl.col("role") != "group")["value"])
    # The gateway's trace id is the session; it names this turn only as long as the session has no other.
    assert len(aliases) == 16
    assert all(case.which(alias) == [request] for alias in aliases)


def test_lines_without_an_id_are_named_and_belong_to_no_other_turn(case: Case, events: pl.DataFrame) -> None:
    (request,) = case.which(HEADLINE)
    for row in table("Without an id"):
        (found,) = events.filter(pl.col("address") == row["address"]).to_dicts()
        assert found["kind"] == row["kind"]
        assert found["request"] in (None, request)
        assert found["link_method"] not in BY_ID


def test_changes_are_those_that_the_logs_state(events: pl.DataFrame) -> None:
    stated = events.filter(pl.col("layer") == "change").sort("event_time")
    columns = [pl.col(f"change_{name}").fill_null("") for name in ("scope", "key", "old", "new")]
    found = stated.select("address", clock(), *columns).rows()
    assert found == [tuple(row.values()) for row in table("Changes")]


def test_under_one_bundle_every_output_passes_with_an_error(events: pl.DataFrame) -> None:
    found = (
        decided(events)
        .group_by("source", "policy_version")
        .agg(
            pl.len(),
            (pl.col("verdict") == "allow").sum(),
            (pl.col("verdict") == "block").sum().alias("blocked"),
            (pl.col("policy_mode") == "fail_open").sum(),
        )
    )
    rows = [tuple(map(str, row)) for row in found.sort("source", "policy_version").rows()]
    assert rows == [tuple(row.values()) for row in table("Decisions on outputs")]
    blocked = decided(events).filter(pl.col("verdict") == "block").sort("line")
    assert blocked["address"].to_list() == ["policy/policy-a.jsonl:13", "policy/policy-a.jsonl:118"]
    assert set(blocked["policy_name"]) == {"staff_codes"}
    shown = events.filter(pl.col("request").is_in(blocked["request"].implode()), pl.col("kind") == "ui.rendered")
    assert sorted(shown["address"]) == ["ui/events.jsonl:160", "ui/events.jsonl:18"]
    assert set(shown["shown"]) == {"blocked notice"}
    (on_input,) = events.filter(pl.col("address") == "policy/policy-a.jsonl:25").to_dicts()
    said = [on_input[f"policy_{name}"] for name in ("stage", "name", "version")]
    assert (*said, on_input["verdict"]) == ("input", "prompt_injection", "2026.11.4", "block")


def test_spans_say_which_index_was_searched(case: Case, events: pl.DataFrame) -> None:
    queries = events.filter(pl.col("kind") == "retrieval.query")
    old = queries.filter(pl.col("line").is_between(6, 11))
    assert set(old["index_version"]) == {"v12"}
    assert set(queries.filter(~pl.col("line").is_between(6, 11))["index_version"]) == {"v14"}
    for address, days in (("retrieval/spans.otlp.jsonl:8#1", 60), ("retrieval/spans.otlp.jsonl:12#2", 14)):
        one = queries.filter(pl.col("address") == address)
        (record,) = case.evidence(one.drop("address", "again"))
        assert f"refunded within {days} days of purchase".encode() in (record or b"")
        assert one["documents"].explode().struct.field("id").str.starts_with("kb-refund-").all()


def test_the_served_model_changes_between_the_expected_rows(events: pl.DataFrame) -> None:
    calls = events.filter(pl.col("kind") == "model.call", pl.col("requested_model") == "chat-main")
    calls = calls.filter(pl.col("served_model").is_not_null()).sort("event_time", "line")
    rows = calls.select("served_model", "address", clock()).rows()
    changed = [(one, other) for one, other in pairwise(rows) if one[0] != other[0]]
    # The last row before a change may have been delivered twice; both deliveries state one time.
    assert [(one[2], other[1], other[2]) for one, other in changed] == [
        ("23:04:26.753", "gateway/standard_logging.jsonl:20", "23:05:05.217"),
        ("23:05:37.183", "gateway/standard_logging.jsonl:32", "23:06:56.779"),
    ]
    assert {row[0] for row in rows} == {"acme-chat-2026-10-01", "acme-chat-2026-11-18"}


def test_the_template_changes_once_while_all_else_stays(events: pl.DataFrame) -> None:
    rendered = events.filter(pl.col("kind") == "prompt.rendered").sort("event_time")
    rows = rendered.select("template_version", "address", clock()).rows()
    changed = [(one[1:], other[1:]) for one, other in pairwise(rows) if one[0] != other[0]]
    before, after = ("app/prompt.jsonl.1.gz:17", "23:01:35.533"), ("app/prompt.jsonl.1.gz:22", "23:03:05.956")
    assert changed == [(before, after)]


def test_seven_turns_show_all_three_conditions_by_id(turns: pl.DataFrame) -> None:
    all_three = turns.filter(
        pl.col("indexes").list.contains("v12"),
        pl.col("models").list.contains("acme-chat-2026-11-18"),
        pl.col("policies").list.contains("staff_codes@2026.11.4"),
    )
    named = EXPECTED.split("by ids alone for seven turns", 1)[1].split("They began", 1)[0]
    assert all_three["opened"].to_list() == [f"{found[1]}:{found[2]}" for found in ADDRESS.finditer(named)]
    assert all_three.height == 7


def test_answers_with_a_courtesy_code_share_neither_model_nor_index(
    case: Case, events: pl.DataFrame, turns: pl.DataFrame
) -> None:
    holding = case.find(text="internal courtesy code").filter(pl.col("kind") == "model.call")["event_id"]
    bundles = dict(decided(events).filter(pl.col("request").is_not_null()).select("request", "policy_version").rows())
    found = []
    for call in events.filter(pl.col("event_id").is_in(holding.implode())).sort("line").to_dicts():
        index = turns.filter(pl.col("request") == call["request"])["indexes"][0].to_list()
        found.append((call["address"], call["served_model"], *(index or [""]), bundles.get(call["request"], "")))
    assert found == [tuple(row.values()) for row in table("Answers with a courtesy code")]


def test_every_address_in_the_page_is_a_line_that_was_read(case: Case, events: pl.DataFrame) -> None:
    rejected = set(case.frames["rejects"].select("source", "line").rows())
    known = {(source, line) for source, line in events.select("source", "line").rows()} | rejected
    items = set(events.select("source", "line", "item").rows())
    named = [(found[1], int(found[2]), found[3]) for found in ADDRESS.finditer(EXPECTED)]
    assert len(named) > 100
    assert not [one for one in named if one[:2] not in known]
    assert not [one for one in named if one[2] is not None and (*one[:2], int(one[2])) not in items]


@pytest.mark.slow
def test_the_case_verifies_and_is_the_same_whatever_the_order_of_names(tmp_path: Path) -> None:
    """No zone is given here: what the demo does. It is assumed for the access log, and said."""
    folders = sorted(LOGS.iterdir())
    cases = [strataline.reconstruct(names, formats=[FORMATS]) for names in (folders, folders[::-1], folders)]
    written = [made.write(tmp_path / str(number)) for number, made in enumerate(cases)]
    names = sorted(file.name for file in written[0].iterdir())
    assert "events.parquet" in names
    for other in written[1:]:
        assert sorted(file.name for file in other.iterdir()) == names
        for name in names:
            assert (other / name).read_bytes() == (written[0] / name).read_bytes(), name
    assert Case.open(written[1]).verify(written[1]) == []
    (access,) = cases[0].frames["sources"].filter(pl.col("source") == "uvicorn.log").to_dicts()
    assert (access["zone"], access["zone_basis"], access["events"]) == ("UTC", "assumed", 121)
    assert access["first_time"].strftime("%H:%M:%S.%f") == "17:59:28.620000"
    noted = cases[0].frames["notes"].filter(pl.col("topic") == "zone_assumed")["source"]
    assert set(noted) == {"uvicorn.log", "litellm.stdout.log"}


def test_the_sample_is_small_and_hides_nothing() -> None:
    files = [file for file in SAMPLE.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert sum(file.stat().st_size for file in files) <= 2_000_000
    assert not [file for file in files if any(part.startswith(".") for part in file.relative_to(SAMPLE).parts)]
    assert Counter(file.parent.name for file in LOGS.rglob("*") if file.is_file()) == {
        "app": 3, "gateway": 3, "policy": 2, "retrieval": 2, "ui": 1,
    }  # fmt: skip
    for file in LOGS.rglob("*.gz"):
        # No name and no time in the header: the same lines make the same file.
        assert file.read_bytes()[3:8] == bytes(5)


def test_the_makefile_shows_the_headline_of_this_sample() -> None:
    set_to = dict(re.findall(r"^(\w+) := (\S+)$", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE))
    assert MAKEFILE.parent / set_to["SAMPLE"] == SAMPLE
    assert set_to["HEADLINE"] == HEADLINE
    assert HEADLINE in EXPECTED


def test_the_pages_speak_of_the_incident_without_the_words_that_are_not_used() -> None:
    for page in (EXPECTED, (SAMPLE / "README.md").read_text(encoding="utf-8")):
        found = re.findall(rf"\b(?:{'|'.join(map(re.escape, BANNED))})\b", page, re.IGNORECASE)
        assert not found
