"""A case in memory and as a folder: what is written, what is found in it, and what is noticed when it changes."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

import strataline
from strataline.case import INPUTS, MANIFEST, TIMELINE
from strataline.event import EVENTS, TABLES

REPOSITORY = Path(__file__).resolve().parent.parent
FORMATS = REPOSITORY / "sample_logs" / "assist_incident" / "formats"

SESSION, OTHER = "01a20056-6747-758c-92b6-6aef85d8af0f", "01a20056-659c-7d89-b5c3-e3c1b5c46012"
REQUESTS = (
    "55604c48-422c-4952-ba55-6025ae87131e",
    "req_5c7878cff10d4f31bcd4270b",
    "77a625ec-7330-4bfb-9d2f-70c7c3df5e6a",
)
CALLS = (
    "be624cb7-b122-4cef-b0af-9a3cbaa58ca8",
    "d1a27c1c-dfbb-4fff-b121-5bcf9660eb2c",
    "b0a1532d-a062-45fe-9df1-3c52aa1f291d",
)
TRACES = ("3df982e074d8020e904bebf00a4cf45a", "77df0679b9bb6f69abd7c37dbbe8cbf9", "417531819dbdee02c5c2b97c5f5db88f")
PROMPT = "You are Nimbus Assist, the help-centre assistant. Answer only from the context and cite it. " * 4
QUESTIONS = (
    "Which plan has SAML SSO?",
    'Wo ist mein Café-Gutschein?\nEr sagt: „sofort“ "jetzt" 🙂',
    "Refund of $1.50 (a.b*c)?",
)


def line(**fields: object) -> str:
    return json.dumps(fields, ensure_ascii=True)


def app_lines(turn: int, session: str, user: str) -> list[str]:
    """What the app's prompt log says of one turn, two minutes after the one before."""
    shared = {
        "service": "assist-api",
        "version": "5.18.2",
        "request_id": REQUESTS[turn],
        "session_id": session,
        "user_id": user,
        "level": "info",
    }
    at = [f"2026-11-21T23:0{2 * turn}:0{second}.271965Z" for second in range(5)]
    return [
        line(**shared, trace_id=TRACES[turn], stream=True, chars=28, timestamp=at[0], event="chat.request"),
        line(
            **shared, template="help_answer", template_version=7, prompt=PROMPT + f"[{turn}] kb-sso-{turn}",
            question=QUESTIONS[turn], model="chat-main", timestamp=at[1], event="prompt.rendered",
        ),
        line(**shared, attempt=1, litellm_call_id=CALLS[turn], timestamp=at[2], event="llm.call"),
        line(**shared, message_id=f"msg_f046c838be4ee81{turn}", status="ok", timestamp=at[4], event="chat.response"),
    ]  # fmt: skip


def decision(turn: int, **ids: str) -> str:
    return line(
        message="evaluated", event="decision", decision_id=f"0e42c36f-dc95-4ded-b4ee-89cf94f62b7{turn}",
        stage="output", decision="allow", policy_rev="2026.11.3", ts=1795302003900 + 120_000 * turn, level="INFO",
        logger="policyd", **ids,
    )  # fmt: skip


def shown(turn: int, user: str) -> str:
    properties = {
        "$lib": "web", "$device_id": "01a20056-64f5-7f37-8bd6-c8911c8edba3", "distinct_id": user,
        "$session_id": SESSION, "message_id": f"msg_f046c838be4ee81{turn}",
        "comment": 'Das "Café" war zu.\nSchade',
    }  # fmt: skip
    # In an export from the warehouse the properties are a JSON text: their escapes are escaped again.
    return line(
        uuid=f"01a20056-652b-701b-b76f-3193d8f4f8a{turn}", event="answer_rendered", properties=json.dumps(properties),
        timestamp=f"2026-11-21T23:0{2 * turn}:05.500Z", distinct_id=user,
    )  # fmt: skip


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three turns, two of one session, with a verdict by call id, one by session-as-trace, and one damaged line."""
    logs = tmp_path_factory.mktemp("exports") / "logs"
    (logs / "app").mkdir(parents=True)
    (logs / "policy").mkdir()
    turns = [app_lines(0, SESSION, "u_17063"), app_lines(1, SESSION, "u_17063"), app_lines(2, OTHER, "u-17063")]
    lines = [one for turn in turns for one in turn]
    lines.insert(5, lines[5][: len(lines[5]) // 2])
    (logs / "app" / "prompt.jsonl").write_text("\n".join(lines) + "\n")
    decisions = [
        decision(0, litellm_call_id=CALLS[0], trace_id=SESSION),
        decision(1, litellm_call_id=CALLS[1]),
        decision(2, litellm_call_id=CALLS[2].upper()),
        decision(3, user="u_404"),
    ]
    (logs / "policy" / "policy-a.jsonl").write_text("\n".join(decisions) + "\n")
    (logs / "events.jsonl").write_text("\n".join(shown(turn, "u_17063") for turn in range(2)) + "\n")
    (logs / "uvicorn.log").write_text(
        '2026-11-21 23:00:04,300 INFO:     127.0.0.1:58332 - "POST /api/chat HTTP/1.1" 200 OK\n'
    )
    return logs


@pytest.fixture(scope="module")
def case(exports: Path) -> strataline.Case:
    return strataline.reconstruct(exports, formats=[FORMATS])


@pytest.fixture
def logs(exports: Path, tmp_path: Path) -> Path:
    """A copy of the logs that a test may change."""
    return Path(shutil.copytree(exports, tmp_path / "logs"))


@pytest.fixture(scope="module")
def written(case: strataline.Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case.write(tmp_path_factory.mktemp("cases") / "CASE")


@pytest.fixture
def folder(written: Path, logs: Path, tmp_path: Path) -> Path:
    """A case folder that a test may change, over the logs that it may change."""
    copy = Path(shutil.copytree(written, tmp_path / "CASE"))
    places = {source: str(logs / source) for source in json.loads((copy / INPUTS).read_text())}
    (copy / INPUTS).write_text(json.dumps(places))
    return copy


def requests_of(case: strataline.Case) -> list[str]:
    """The three requests, in order."""
    found = case.requests["request"].to_pylist()
    assert len(found) == 3
    return [str(one) for one in found]


def files(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# Writing and opening


def test_a_case_that_is_written_and_opened_holds_the_same(case: strataline.Case, tmp_path: Path) -> None:
    folder = case.write(tmp_path / "new" / "CASE")
    assert sorted(files(folder)) == sorted([MANIFEST, INPUTS, TIMELINE, *(f"{one.name}.parquet" for one in TABLES)])
    opened = strataline.Case.open(folder)
    for one in TABLES:
        assert getattr(opened, one.name).equals(getattr(case, one.name)), one.name
        assert getattr(opened, one.name).schema == one.arrow_schema
        assert pq.read_table(folder / f"{one.name}.parquet").equals(getattr(case, one.name))
    assert {name: value for name, value in opened.manifest.items() if name != "files"} == case.manifest
    assert {name: one.place for name, one in opened.inputs.items()} == {
        name: one.place for name, one in case.inputs.items()
    }
    assert opened.summary() == case.summary()
    assert opened.markdown() == (folder / TIMELINE).read_text(encoding="utf-8")


def test_the_figures_of_the_sample_are_those_that_were_written_into_it(case: strataline.Case) -> None:
    summary = case.summary()
    assert summary["records"] == summary["with_events"] + summary["rejected"] + summary["skipped"] == 20
    assert summary["rejects_by_reason"] == {"truncated_json": 1}
    assert summary["requests_by_kind"] == {"turn": 3}
    assert summary["layers"]["policy"] == {"events": 4, "linked": 3}
    assert summary["layers"]["ui"] == {"events": 2, "linked": 2}
    json.dumps(summary)


def test_two_cases_of_the_same_logs_are_equal_byte_for_byte(logs: Path, case: strataline.Case, tmp_path: Path) -> None:
    parts = [logs / "app", logs / "policy" / "policy-a.jsonl", logs / "events.jsonl", logs / "uvicorn.log"]
    one, other = (
        files(strataline.reconstruct(names, formats=[FORMATS]).write(tmp_path / name))
        for name, names in (("one", parts), ("other", list(reversed(parts))))
    )
    assert one == other
    assert files(case.write(tmp_path / "same")) == files(case.write(tmp_path / "same again"))


def test_nothing_in_a_case_tells_where_or_when_it_was_made(folder: Path, tmp_path: Path) -> None:
    made = files(folder)
    assert str(tmp_path).encode() in made.pop(INPUTS)
    for name, data in made.items():
        text = data
        if name.endswith(".parquet"):
            rows = pl.read_parquet(folder / name).rows()
            text = "\n".join(one for row in rows for one in strings(row)).encode() + data
        for secret in (str(tmp_path), str(REPOSITORY), platform.node(), f"{datetime.now(UTC):%Y-%m-%d}"):
            assert secret.encode() not in text, (name, secret)


def test_what_is_no_case_is_never_replaced(case: strataline.Case, tmp_path: Path) -> None:
    taken = tmp_path / "web"
    taken.mkdir()
    (taken / "index.html").write_text("<p>mine</p>")
    (taken / "manifest.json").write_text('{"name": "A browser extension", "manifest_version": 3}')
    file = tmp_path / "file"
    file.write_text("mine")
    before = files(tmp_path)
    for target in (taken, file):
        for overwrite in (False, True):
            with pytest.raises(strataline.CaseError, match="something is there already"):
                case.write(target, overwrite=overwrite)
    assert files(tmp_path) == before


def test_a_case_gives_way_only_where_that_is_wished(case: strataline.Case, folder: Path) -> None:
    before = files(folder)
    with pytest.raises(strataline.CaseError, match="--overwrite"):
        case.write(folder)
    assert files(folder) == before
    case.write(folder, overwrite=True, limit=0)
    assert files(folder)[TIMELINE] != before[TIMELINE]


def test_a_parent_that_is_a_file_is_said(case: strataline.Case, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(strataline.CaseError, match="cannot write"):
        case.write(tmp_path / "file" / "CASE")


def test_a_write_that_breaks_off_leaves_nothing(case: strataline.Case, folder: Path, tmp_path: Path) -> None:
    before = sorted(files(tmp_path).items())
    broken = strataline.Case({**case.frames, "rejects": case.frames["notes"]}, case.manifest, case.inputs)
    for target in (tmp_path / "other", folder):
        with pytest.raises(ValueError, match="has no column"):
            broken.write(target, overwrite=True)
    assert sorted(files(tmp_path).items()) == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["CASE", "logs"]


FULL = """
import resource, signal, sys
import strataline
case = strataline.Case.open(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    case.write(sys.argv[2], overwrite=True)
except strataline.CaseError as problem:
    print(problem)
"""


def test_a_full_disk_leaves_the_old_case_as_it_was(folder: Path, tmp_path: Path) -> None:
    before = files(folder)
    for target in (folder, tmp_path / "new"):
        run = subprocess.run(
            [sys.executable, "-c", FULL, folder, target], capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode == 0, run.stderr
        assert "cannot write" in run.stdout
    assert files(folder) == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["CASE", "logs"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (MANIFEST, None, "not a case"),
        (MANIFEST, b"{", "no JSON"),
        (MANIFEST, b"[1, 2]", "manifest"),
        (MANIFEST, b"\xff\xfe", "manifest"),
        ("events.parquet", None, "events.parquet"),
        ("events.parquet", b"PAR1 not really", "events.parquet"),
        ("links.parquet", b"", "links.parquet"),
    ],
)
def test_a_folder_that_cannot_be_opened_is_said_by_its_file(
    folder: Path, name: str, content: bytes | None, said: str
) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(strataline.CaseError, match=said):
        strataline.Case.open(folder)


def test_a_table_with_other_columns_is_no_table_of_a_case(folder: Path) -> None:
    pq.write_table(pa.table({"request": ["x"], "surprise": [1]}), folder / "requests.parquet")
    with pytest.raises(strataline.CaseError, match="surprise"):
        strataline.Case.open(folder)


def test_a_case_below_a_folder_that_looks_like_a_partition_opens_as_any(case: strataline.Case, tmp_path: Path) -> None:
    folder = case.write(tmp_path / "dt=2026-11-21" / "layer=prompt" / "CASE")
    assert strataline.Case.open(folder).events.equals(case.events)


def test_inputs_local_is_not_needed(folder: Path) -> None:
    (folder / INPUTS).unlink()
    opened = strataline.Case.open(folder)
    assert opened.inputs == {}
    assert opened.timeline(REQUESTS[0]).num_rows == 6


# Verifying


def problems(folder: Path, inputs: Path | None = None) -> list[str]:
    return strataline.Case.open(folder, inputs).verify(folder)


def test_a_case_that_nobody_touched_verifies(folder: Path) -> None:
    assert problems(folder) == []


def test_a_changed_input_is_noticed(folder: Path, logs: Path) -> None:
    with (logs / "uvicorn.log").open("ab") as file:
        file.write(b"\n")
    assert [one.split(":")[0] for one in problems(folder)] == ["input uvicorn.log"]


def test_a_missing_input_is_noticed(folder: Path, logs: Path) -> None:
    (logs / "app" / "prompt.jsonl").unlink()
    assert problems(folder) == ["input app/prompt.jsonl: is not at hand, so it could not be verified"]


@pytest.mark.parametrize("table", [one.name for one in TABLES])
def test_a_changed_table_is_noticed(folder: Path, table: str) -> None:
    file = folder / f"{table}.parquet"
    pq.write_table(pq.read_table(file).slice(0, 1), file)
    assert f"{table}.parquet: its content is not what was written" in problems(folder)


def test_a_changed_or_missing_timeline_is_noticed(folder: Path) -> None:
    (folder / TIMELINE).write_text("nothing happened\n")
    assert problems(folder) == ["timeline.md: its content is not what was written"]
    (folder / TIMELINE).unlink()
    assert problems(folder) == ["timeline.md: is not there"]


@pytest.mark.parametrize("left", [{}, None], ids=["no table is listed", "there is no list"])
def test_a_manifest_that_no_longer_lists_a_table_does_not_hide_its_change(folder: Path, left: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] = left
    if left is None:
        del manifest["files"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    events = folder / "events.parquet"
    pq.write_table(pq.read_table(events).slice(0, 1), events)
    assert any("events.parquet" in one for one in problems(folder))


def test_inputs_that_moved_verify_where_they_are_now(folder: Path, logs: Path, tmp_path: Path) -> None:
    moved = logs.rename(tmp_path / "archive")
    assert len(problems(folder)) == 4
    assert problems(folder, moved) == []
    with pytest.raises(strataline.InputError, match="no such folder"):
        strataline.Case.open(folder, tmp_path / "nowhere")


# Asking by id


def test_every_id_of_an_event_leads_to_its_request(case: strataline.Case) -> None:
    asked = 0
    for row in case.frames["events"].filter(pl.col("request").is_not_null()).rows(named=True):
        assert case.which(row["event_id"]) == [row["request"]]
        for one in row["ids"]:
            found = case.which(one["value"])
            assert row["request"] in found, one
            assert len(found) == 1 or one["value"] in (SESSION, "u_17063"), one
            asked += 1
    assert asked > 30


def test_a_request_is_known_by_its_own_id_and_by_the_beginning_of_it(case: strataline.Case) -> None:
    for request in requests_of(case):
        for name in (request, request[:8], request[:31]):
            assert case.which(name) == [request]
        assert case.which(request[:7]) == []


@pytest.mark.parametrize(
    "name", [CALLS[2], CALLS[2].upper(), CALLS[2].replace("-", ""), f"0x{CALLS[2].replace('-', '')}", f" {CALLS[2]} "]
)
def test_an_id_is_known_in_other_spellings_of_its_hex(case: strataline.Case, name: str) -> None:
    assert case.which(name) == [requests_of(case)[2]]


def test_a_session_and_a_user_name_all_of_their_requests(case: strataline.Case) -> None:
    # One verdict of the session's first turn carries the session as its trace id: that hides the second turn not.
    assert case.which(SESSION) == requests_of(case)[:2]
    assert case.which(OTHER) == requests_of(case)[2:]
    assert case.which("u_17063") == requests_of(case)[:2]


def test_what_is_no_hex_is_known_as_written_alone(case: strataline.Case) -> None:
    assert case.which("u-17063") == requests_of(case)[2:]
    assert case.which("u17063") == []
    assert case.which("u_17063".upper()) == []


@pytest.mark.parametrize("name", ["", "-", " ", "req_", "no such id", "0" * 32, "55604c48-422c", "%", "[", "\x00"])
def test_what_nothing_carries_names_nothing(case: strataline.Case, name: str) -> None:
    assert case.which(name) == []
    assert case.carries(name).is_empty()
    with pytest.raises(strataline.CaseError, match="no request is known by"):
        case.timeline(name)


def test_an_id_of_an_event_that_is_tied_to_nothing_is_said(case: strataline.Case) -> None:
    lone = "0e42c36f-dc95-4ded-b4ee-89cf94f62b73"
    assert case.which(lone) == []
    assert case.carries(lone).height == 1
    with pytest.raises(strataline.CaseError, match="1 events carry it"):
        case.timeline(lone)


def test_a_timeline_is_the_request_in_order(case: strataline.Case) -> None:
    made = case.timeline(CALLS[0])
    assert made.schema == EVENTS.arrow_schema
    assert made["seq"].to_pylist() == list(range(6))
    assert made["kind"].to_pylist() == [
        "prompt.received", "prompt.rendered", "prompt.sent", "policy.decision", "prompt.responded", "ui.rendered",
    ]  # fmt: skip


def test_a_timeline_of_several_requests_names_them(case: strataline.Case) -> None:
    with pytest.raises(strataline.CaseError, match="names 2 requests") as caught:
        case.timeline(SESSION)
    assert all(request[:12] in str(caught.value) for request in requests_of(case)[:2])


# Searching


def texts(found: pl.DataFrame) -> list[tuple[str, int]]:
    return list(found.select("source", "line").unique(maintain_order=True).sort("source", "line").iter_rows())


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Which plan has SAML SSO?", [2]),
        ("which  PLAN\nhas saml", [2]),
        ("kb-sso-2", [11]),
        ("Café-Gutschein", [7]),
        ("CAFÉ-GUTSCHEIN", [7]),
        ("café-gutschein? Er sagt", [7]),
        ('„sofort“ "jetzt" 🙂', [7]),
        ("Refund of $1.50 (a.b*c)?", [11]),
        ("Refund of $1x50", []),
        (".*", []),
        ("SSO? Which plan", []),
    ],
)
def test_a_text_is_found_beyond_the_excerpt_as_it_was_typed(case: strataline.Case, text: str, lines: list[int]) -> None:
    assert texts(case.find(text=text)) == [("app/prompt.jsonl", n) for n in lines]


def test_a_text_is_found_in_json_within_json(case: strataline.Case) -> None:
    for text in ('Das "Café" war zu.', "Café", "zu. Schade"):
        assert ("events.jsonl", 1) in texts(case.find(text=text)), text


def test_a_text_of_no_words_is_a_mistake(case: strataline.Case) -> None:
    for text in ("", "  \n"):
        with pytest.raises(strataline.InputError, match="empty"):
            case.find(text=text)
    with pytest.raises(strataline.InputError, match="is no UTF-8"):
        case.find(text="SAML \udcff")


def test_what_no_log_has_as_a_time_is_a_mistake(case: strataline.Case) -> None:
    for time in (datetime(1, 1, 1), datetime.fromisoformat("9999-12-31T23:00-05:00")):  # noqa: DTZ001 - as people write
        with pytest.raises(strataline.InputError, match="signalled: no time that a log has"):
            case.examine(checks=[], signalled=time)
        with pytest.raises(strataline.InputError, match="mitigated: no time that a log has"):
            case.examine(checks=[], mitigated=time)


def test_events_are_found_by_user_session_and_moment(case: strataline.Case) -> None:
    moment = datetime(2026, 11, 21, 23, 2, 4, tzinfo=UTC)
    assert case.find(user="u_17063").height == case.find(user=SESSION).height == 10
    assert case.find(user="u_1706").is_empty()
    near = case.find(at=moment, within=timedelta(seconds=2))
    assert near["request"].unique().to_list() == requests_of(case)[1:2]
    assert case.find(at=moment, within=timedelta(0)).is_empty()
    assert case.find(user="u_17063", at=moment).height == case.find(at=moment).height - 1
    both = case.find(text="cite it", user=OTHER, at=moment + timedelta(minutes=2))
    assert texts(both) == [("app/prompt.jsonl", 11)]


def test_everything_is_found_where_nothing_is_asked(case: strataline.Case) -> None:
    assert_frame_equal(case.find(), case.frames["events"])


def test_without_inputs_the_excerpts_are_searched(folder: Path, logs: Path, tmp_path: Path) -> None:
    moved = logs.rename(tmp_path / "archive")
    opened = strataline.Case.open(folder)
    assert texts(opened.find(text="nimbus assist")) == [("app/prompt.jsonl", n) for n in (2, 7, 11)]
    assert opened.find(text="kb-sso-2").is_empty(), "that lies beyond the excerpt"
    assert texts(strataline.Case.open(folder, moved).find(text="kb-sso-2")) == [("app/prompt.jsonl", 11)]


MANY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
import strataline
case = strataline.reconstruct(sys.argv[1], assume_zone="UTC")
print(case.find(text="chat").height)
"""


def test_a_word_that_stands_in_every_line_is_found_in_bounded_memory(tmp_path: Path) -> None:
    lines = (
        f'2026-11-21 {h:02}:{m:02}:{s:02},000 INFO:     127.0.0.1:9 - "GET /chat/chat?chat={s} HTTP/1.1" 200 OK'
        for h in range(6) for m in range(60) for s in range(60)
    )  # fmt: skip
    (tmp_path / "uvicorn.log").write_text("\n".join(lines) + "\n")
    run = subprocess.run(
        [sys.executable, "-c", MANY, tmp_path / "uvicorn.log"], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout == "21600\n", run.stderr[-400:]


# Evidence


def test_the_evidence_of_an_event_is_its_record(case: strataline.Case, exports: Path) -> None:
    events = case.frames["events"]
    for row, data in zip(events.rows(named=True), case.evidence(events), strict=True):
        lines = (exports / row["source"]).read_bytes().split(b"\n")
        assert data == lines[row["line"] - 1]


def test_evidence_that_is_not_at_hand_is_null(folder: Path, logs: Path) -> None:
    (logs / "app" / "prompt.jsonl").unlink()
    opened = strataline.Case.open(folder)
    events = opened.frames["events"]
    for row, data in zip(events.rows(named=True), opened.evidence(events), strict=True):
        assert (data is None) == (row["source"] == "app/prompt.jsonl")


def strings(value: Any) -> Iterator[str]:
    """Every text in a value from a table."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for part in value.values() for text in strings(part))
    elif isinstance(value, list | tuple):
        yield from (text for part in value for text in strings(part))


def test_without_excerpts_no_text_of_a_user_or_a_model_is_in_the_case(logs: Path, tmp_path: Path) -> None:
    case = strataline.reconstruct(logs, formats=[FORMATS], excerpts=False)
    folder = case.write(tmp_path / "CASE")
    said = [PROMPT[:40], "SAML SSO", "Gutschein", "Refund of", "Schade"]
    leaks = {
        (one.name, words)
        for one in TABLES
        for row in case.frames[one.name].rows()
        for text in strings(row)
        for words in said
        if words in text
    }
    timeline = (folder / TIMELINE).read_text(encoding="utf-8")
    assert leaks | {(TIMELINE, words) for words in said if words in timeline} == set()
    assert case.events["input_hash"].null_count < case.events.num_rows, "equal texts can still be told"
    assert texts(case.find(text="Gutschein")) == [("app/prompt.jsonl", 7)], "the evidence is searched all the same"


@pytest.mark.slow
def test_without_excerpts_no_excerpt_of_any_sample_is_in_its_tables() -> None:
    """Every format's sample, in one case: no text of a user or a model in any table but by its hash."""
    samples = REPOSITORY / "sample_logs" / "formats"
    logs = [one for one in samples.glob("*/*") if one.name != "expected.jsonl"]
    logs += [one for one in FORMATS.glob("*/*") if one.suffix != ".pyc" and one.name != "expected.jsonl"]
    events = strataline.reconstruct(logs, formats=[FORMATS]).frames["events"]
    # The message of an operator's log line is what the line says; what users and models say is longer than a word.
    told: dict[str, set[str]] = defaultdict(set)
    for source, *texts in events.select("source", "input_excerpt", "output_excerpt").iter_rows():
        told[source] |= {text for text in texts if text is not None and len(text) > 20}
    silent = strataline.reconstruct(logs, formats=[FORMATS], excerpts=False)
    everything = {text for texts in told.values() for text in texts}
    assert len(everything) > 200
    for one in TABLES:
        for row in silent.frames[one.name].iter_rows(named=True):
            known = told[row["source"]] if row.get("source") else everything
            found = {text for text in strings(list(row.values())) if any(part in text for part in known)}
            assert found == set(), one.name


# A window of time


def test_a_window_leaves_out_whole_requests_and_says_so(logs: Path) -> None:
    since, until = (datetime(2026, 11, 21, 23, minute, tzinfo=UTC) for minute in (1, 3))
    case = strataline.reconstruct(logs, formats=[FORMATS], since=since, until=until)
    assert case.frames["requests"]["start_time"].dt.minute().to_list() == [2]
    assert case.frames["events"].filter(pl.col("request").is_not_null()).height == 6
    assert case.frames["notes"].filter(pl.col("topic") == "window").height == 1
    assert set(case.links["from_event"].to_pylist()) <= set(case.events["event_id"].to_pylist())


@pytest.mark.parametrize(
    "window",
    [
        {"since": datetime(1, 1, 1, tzinfo=UTC)},
        {"until": datetime(9999, 12, 31, tzinfo=UTC)},
        {"since": datetime(1677, 1, 1, tzinfo=UTC), "until": datetime(2300, 1, 1, tzinfo=UTC)},
    ],
    ids=["since the year 1", "until the year 9999", "wider than nanoseconds reach"],
)
def test_a_window_wider_than_the_logs_leaves_nothing_out(
    logs: Path, case: strataline.Case, window: dict[str, Any]
) -> None:
    wide = strataline.reconstruct(logs, formats=[FORMATS], **window)
    assert wide.events.equals(case.events)
    assert wide.requests.equals(case.requests)


def test_a_moment_that_nanoseconds_cannot_hold_is_near_nothing(case: strataline.Case) -> None:
    for time in ("0001-01-01", "0001-01-01T00:00+05:00", "9999-12-31T00:00Z", "9999-12-31T23:00-05:00"):
        assert case.find(at=datetime.fromisoformat(time)).is_empty()


def test_a_case_of_an_empty_log_is_a_case(tmp_path: Path) -> None:
    (tmp_path / "empty.log").write_bytes(b"")
    folder = strataline.reconstruct(tmp_path / "empty.log").write(tmp_path / "CASE")
    opened = strataline.Case.open(folder)
    assert opened.verify(folder) == []
    assert opened.sources.num_rows == 1
    assert (opened.events.num_rows, opened.rejects.num_rows) == (0, 0)
    assert opened.which("anything") == []
    assert opened.find(text="anything").is_empty()
    assert opened.summary()["first_time"] is None


def test_tables_are_not_exchanged_under_what_was_computed_of_them(case: strataline.Case, folder: Path) -> None:
    none = case.frames["events"].clear()
    for one in (case, strataline.Case.open(folder)):
        seen = one.examine().findings
        with pytest.raises(TypeError, match="does not support item assignment"):
            one.frames["events"] = none  # type: ignore[index]
        with pytest.raises(AttributeError, match="no setter"):
            one.frames = {**one.frames, "events": none}  # type: ignore[misc]
        other = strataline.Case({**one.frames, "events": none}, one.manifest, one.inputs)
        assert one.frames["events"].height
        assert_frame_equal(one.examine().findings, seen)
        assert not other.examine().findings.equals(seen)
