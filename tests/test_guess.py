"""Logs that no format describes: what their own words tell, and that each guess is said.

The lines are those of common logging libraries with their defaults, around words of a made-up assistant.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest

import strataline
from strataline.parse.guess import MOST_FIELDS, draft_lines, draft_objects

COUNT = 30
REQUESTS = [str(UUID(int=(n + 1) * 0x5BD1E9955BD1E995_1F123BB5159A55E5 % (1 << 128))) for n in range(COUNT)]
TRACES = [one.replace("-", "") for one in REQUESTS]
AT = [f"2026-11-22T00:00:{n:02d}" for n in range(COUNT)]

Line = Callable[[int], dict[str, Any] | str]
LIBRARIES: dict[str, tuple[Line, str, str, str, str]] = {
    "pino": (
        lambda n: {
            "level": 30,
            "time": 1795300000000 + n,
            "reqId": REQUESTS[n],
            "msg": "chat request received",
        },
        *("request_id", "prompt", "prompt.received", "ms"),
    ),
    "zap": (
        lambda n: {
            "level": "info",
            "ts": 1795300000.5 + n,
            "caller": "guard/eval.go:88",
            "msg": "done",
            "policy": "pii",
            "request_id": REQUESTS[n],
            "verdict": "deny" if n % 5 else "allow",
            "latency_ms": 12.5,
        },
        *("request_id", "policy", "policy.decision", "ms"),
    ),
    "ECS": (
        lambda n: {
            "@timestamp": f"{AT[n]}.123Z",
            "log": {"level": "info"},
            "message": "search done",
            "trace": {"id": TRACES[n]},
            "span": {"id": TRACES[n][:16]},
            "labels": {"index": "kb-9", "top_k": 4},
        },
        *("trace_id", "retrieval", "retrieval.query", "ms"),
    ),
    "tracing (Rust)": (
        lambda n: {
            "timestamp": f"{AT[n]}.123456Z",
            "level": "INFO",
            "target": "router",
            "span": {"request_id": REQUESTS[n]},
            "fields": {"message": "generate", "prompt_tokens": 120, "completion_tokens": 40, "model": "m-7b"},
        },
        *("request_id", "model", "model.call", "us"),
    ),
    "Serilog": (
        lambda n: {
            "@t": f"{AT[n]}.1234567Z",
            "@mt": "Question {Id} received",
            "@l": "Information",
            "RequestId": REQUESTS[n],
            "ConversationId": f"c-{n // 4}",
            "SourceContext": "Chat.Api",
        },
        *("request_id", "prompt", "prompt.received", "ns"),
    ),
    "logrus": (
        lambda n: f'time="{AT[n]}Z" level=info msg="moderation done" request_id={REQUESTS[n]} flagged=false took=12ms',
        *("request_id", "policy", "policy.decision", "s"),
    ),
    "Spring Boot": (
        lambda n: (
            f"{AT[n].replace('T', ' ')}.123  INFO 1 --- [nio-8080-exec-{n % 4}] c.acme.chat.Prompts : "
            f"rendered prompt template=qa version=7 requestId={REQUESTS[n]}"
        ),
        *("request_id", "prompt", "prompt.rendered", "ms"),
    ),
    "logging (Python)": (
        lambda n: (
            f"{AT[n].replace('T', ' ')},123 - kb.search - INFO - query done index=kb-9 hits=4 trace_id={TRACES[n]}"
        ),
        *("trace_id", "retrieval", "retrieval.query", "ms"),
    ),
}


@pytest.mark.parametrize(("line", "kind_of_id", "layer", "kind", "precision"), LIBRARIES.values(), ids=LIBRARIES)
def test_log_of_a_common_library_tells_time_id_layer_and_kind(
    tmp_path: Path, line: Line, kind_of_id: str, layer: str, kind: str, precision: str
) -> None:
    made = [line(n) for n in range(COUNT)]
    text = "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in made)
    (tmp_path / "app.log").write_text(text, encoding="utf-8")
    case = strataline.reconstruct(tmp_path)
    events = case.frames["events"].sort("offset")
    (source,) = case.sources.to_pylist()
    assert source["format_basis"] == "guessed"
    assert source["format"] == ("generic_text" if isinstance(made[0], str) else "generic_json")
    assert events.height == COUNT
    assert set(events["layer"]) == {layer}
    assert set(events["kind"]) == {kind}
    assert events["event_time"].null_count() == 0
    assert set(events["time_precision"]) == {precision}
    found = events.select(pl.col("ids").list.eval(pl.element().filter(pl.element().struct.field("role") == "alias")))
    said = [{one["kind"]: one["value"] for one in row["ids"]} for row in found.to_dicts()]
    wanted = TRACES if kind_of_id == "trace_id" else REQUESTS
    assert [one.get(kind_of_id) for one in said] == wanted
    guesses = case.frames["notes"].filter(pl.col("topic") == "guessed")["detail"].to_list()
    assert any(detail.startswith("time from ") for detail in guesses)
    assert any(detail.startswith("layer from ") for detail in guesses)
    assert any(f"id {kind_of_id}" in detail for detail in guesses)


def test_session_user_and_tenant_tie_nothing_by_themselves() -> None:
    rows = [{"ts": 1795300000 + n, "sessionId": "s-1", "userId": "u-1", "orgId": "o-1", "id": "x"} for n in range(9)]
    draft = draft_objects([json.dumps(row) for row in rows])
    assert draft is not None
    assert {"session", "user", "tenant"} <= set(draft.columns)
    assert [kind for kind, _, _ in draft.ids] == ["event_uuid"]


def test_key_that_is_a_secret_is_not_kept() -> None:
    rows = [{"ts": 1795300000 + n, "api_key": "sk-1", "password": "p", "colour": "red"} for n in range(9)]
    draft = draft_objects([json.dumps(row) for row in rows])
    assert draft is not None
    assert draft.attributes == ["colour"]
    assert {"api_key", "password"} & set(draft.fields) == set()


def test_missing_verdict_is_no_allow(tmp_path: Path) -> None:
    rows = [
        {"ts": 1795300000 + n, "rule": "pii", "policy": "p", "decision": word}
        for n, word in enumerate(["allow", "deny", "sideways", None] + ["allow"] * 8)
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    events = strataline.reconstruct(tmp_path).frames["events"].sort("offset")
    assert events["verdict"].to_list()[:4] == ["allow", "block", "unknown", None]
    assert events["kind"].to_list()[2:4] == ["policy.decision", "policy.log"]


@pytest.mark.parametrize("lines", [[], [""], ["nobody", "knows"], ["a = b", "and so on"], ["1", "2"]])
def test_what_tells_neither_time_nor_pairs_is_no_log(lines: list[str]) -> None:
    assert draft_lines(lines) is None


@pytest.mark.parametrize("objects", [[], ["{}"], ['{"a": 1}'], ['{"name": "x", "version": "1.2"}'], ["[1]"], ["{"]])
def test_what_tells_neither_time_nor_id_is_no_log(objects: list[str]) -> None:
    assert draft_objects(objects) is None


def test_keys_of_any_kind_are_names_and_no_code() -> None:
    keys = ["r", "item", "_row", "sound", 'a"b', "a.b", "$", "日本", " ", "x" * 300, "__import__('os')"]
    rows = [{"timestamp": f"{AT[n]}Z", **dict.fromkeys(keys, f"v{n}")} for n in range(9)]
    draft = draft_objects([json.dumps(row) for row in rows])
    assert draft is not None
    assert draft.format("generic_json").fields.keys() == draft.fields.keys()


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_requests_do_not_tell_what_opens_a_turn(count: int) -> None:
    rows = [{"ts": 1795300000 + n, "request_id": REQUESTS[n], "message": "a question for you"} for n in range(count)]
    draft = draft_objects([json.dumps(row) for row in rows])
    assert draft is not None
    assert draft.opening == []


def test_rows_of_a_table_have_guesses_and_no_line(tmp_path: Path) -> None:
    rows = pl.DataFrame({"ts": ["2026-01-01 00:00:00"] * 3, "request_id": REQUESTS[:3], "text": ["a", "b", "c"]})
    rows.write_parquet(tmp_path / "log.parquet")
    notes = strataline.reconstruct(tmp_path).frames["notes"].filter(pl.col("topic") == "guessed")
    assert notes.height
    assert notes["line"].null_count() == notes.height


def test_hostile_width_and_length_cost_little() -> None:
    wide = json.dumps({"timestamp": f"{AT[0]}Z", **{f"key {n}": n for n in range(20_000)}})
    draft = draft_objects([wide])
    assert draft is not None
    assert len(draft.fields) < MOST_FIELDS
    assert draft_lines([f"{AT[0]}Z " + 'a="\\' * 1500] * 500) is not None


def test_stranger_that_is_guessed_claims_no_share(tmp_path: Path) -> None:
    log = [f'127.0.0.1:9 - "GET /{n} HTTP/1.1" 200 OK' for n in range(60)]
    lines = [f"{AT[n % COUNT].replace('T', ' ')},000 INFO:     {line}" for n, line in enumerate(log)]
    strange = json.dumps({"ts": 1795300000, "request_id": REQUESTS[0], "message": "x"})
    (tmp_path / "a.log").write_text("\n".join([*lines, strange]) + "\n")
    events = strataline.reconstruct(tmp_path).frames["events"]
    assert set(events.filter(pl.col("format") == "uvicorn_access")["format_confidence"]) != {None}
    others = events.filter(pl.col("format") == "generic_json")
    assert others["format_confidence"].null_count() == others.height


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("guardrail groundedness did not answer, delivering unchecked", "app.log"),
        ("input_guard", "app.log"),
        ("message not blocked by guard", "app.log"),
        ("moderation fail-open", "app.log"),
        ("request blocked by guardrail", "prompt.blocked"),
        ("guardrail triggered", "prompt.blocked"),
        ("refused", "prompt.blocked"),
    ],
)
def test_filter_that_is_spoken_of_blocked_only_where_it_says_so(tmp_path: Path, said: str, kind: str) -> None:
    lines = [
        {"timestamp": f"{AT[n]}Z", "request_id": REQUESTS[n], "chat": "a", "prompt": "b", "message": one}
        for n in range(COUNT)
        for one in ("chat request received", said, "chat response sent")
    ]
    (tmp_path / "app.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    events = pl.DataFrame(strataline.reconstruct([tmp_path / "app.jsonl"]).events)
    assert set(events.filter(pl.col("name") == said)["kind"]) == {kind}


def test_table_with_headers_in_another_language_keeps_its_times_and_ids(tmp_path: Path) -> None:
    rows = [f"22.11.2026 00:00:{n:02d},250;rq-{TRACES[n][:20]};usr_{n};allow;0,25" for n in range(COUNT)]
    (tmp_path / "log.csv").write_text("\n".join(["Zeit;Anfrage;Nutzer;Entscheidung;Wert", *rows]) + "\n")
    case = strataline.reconstruct([tmp_path / "log.csv"])
    assert case.rejects.num_rows == 0
    events = pl.DataFrame(case.events)
    assert events["event_time"].dt.strftime("%FT%T%.3f").to_list()[:2] == [
        "2026-11-22T00:00:00.250",
        "2026-11-22T00:00:01.250",
    ]
    assert events["ids"].list.first().struct.field("value").to_list() == [f"rq-{one[:20]}" for one in TRACES]
