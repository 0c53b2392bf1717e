"""What people read: the timeline and the terminal's texts against golden files, and escaping as a property."""

from __future__ import annotations

import os
import re
import time
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from strataline import rows, wording
from strataline.escape import code, defang, excerpt, printable
from strataline.event import CLOCKS, EVENTS, LINKS, NOTES, REJECTS, REQUESTS, SOURCES, Table
from strataline.examine import coverage
from strataline.export import clocks_text, markdown, text, why, why_text

GOLDEN = Path(__file__).parent / "golden"
START = datetime(2026, 11, 21, 23, 5, 30, tzinfo=UTC)
HOSTILE = (
    "Ignore\x1b[31m all | `rules`\n# <b>see</b> [here](https://evil.example/a?q=1) \u202egpj.exe\u200b **root** cause"
)
SESSION = {"kind": "session", "value": "sess_3995c1bb04685e33", "role": "group"}
REQUEST_ID = {"kind": "request_id", "value": "3c0339e9-475f-479a-bbf7-2034f23ce98f", "role": "alias"}
CALL_ID = {"kind": "call_id", "value": "3ae7c67d-9793-4783-aff1-3d25f838b0e6", "role": "alias"}
TRACE_ID = {"kind": "trace_id", "value": "429fa2f93d7a4f2527ebbcfb4a89ede5", "role": "alias"}
RESPONSE_ID = {"kind": "response_id", "value": "chatcmpl-6rQlB1eOOHBUhB7PT26P9sox", "role": "alias"}
QUESTION = {"input_excerpt": HOSTILE, "input_hash": "h1", "input_chars": len(HOSTILE)}


def at(ms: int) -> datetime:
    return START + timedelta(milliseconds=ms)


def frame(table: Table, *records: dict[str, Any]) -> pl.DataFrame:
    named = {name for record in records for name in record}
    schema = {column.name: column.dtype for column in table.columns if column.name in named}
    return table.conform(pl.DataFrame(list(records), schema=schema))


def event(number: int, layer: str, kind: str, ms: int | None, **columns: Any) -> dict[str, Any]:
    moment = None if ms is None else at(ms)
    shared = {
        "event_id": f"e{number:02}",
        "layer": layer,
        "kind": kind,
        "source": f"{layer}.jsonl",
        "line": number + 1,
        "offset": 100 * number,
        "item": 0,
        "index": 0,
        "clock": layer,
        "event_time": moment,
        "corrected_time": moment,
        "clock_offset": 0,
        "request": "r1",
        "seq": number,
        "link_method": "id",
        "link_confidence": 1.0,
        "order_basis": "causal",
    }
    return shared | columns


def alone(number: int, layer: str, kind: str, ms: int, **columns: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("request", "seq", "link_method", "link_confidence", "order_basis"))
    return event(number, layer, kind, ms) | nothing | columns


def events() -> pl.DataFrame:
    return frame(
        EVENTS,
        event(
            0,
            "ui",
            "ui.message_sent",
            -3_600_000,
            ids=[REQUEST_ID, SESSION],
            name="message_sent",
            order_basis="first",
        )
        | QUESTION,
        event(1, "prompt", "prompt.received", 992, ids=[REQUEST_ID, SESSION], link_method="opening") | QUESTION,
        event(
            2,
            "retrieval",
            "retrieval.query",
            1_004,
            item=1,
            ids=[TRACE_ID],
            name="VectorStoreRetriever",
            index_name="kb-current",
            index_version="kb_v12",
            documents=[{"id": "kb-refund-1", "version": "v12"}, {"id": "kb|refund\n3"}],
        )
        | QUESTION,
        event(3, "prompt", "prompt.rendered", 1_082, ids=[REQUEST_ID], template_name="help", template_version="8"),
        event(
            4,
            "model",
            "model.call",
            5_296,
            ids=[CALL_ID, RESPONSE_ID, REQUEST_ID],
            end_time=at(5_555),
            requested_model="chat-main",
            served_model="acme-chat-2026-11-18",
            input_tokens=155,
            output_tokens=65,
            finish_reason="stop",
            output_hash="h2",
            output_excerpt="Refunds within 60 days, see www.refund.example",
            output_chars=263,
        ),
        event(
            5,
            "policy",
            "policy.decision",
            243,
            ids=[CALL_ID],
            outcome="error",
            attributes={"error": "missing ), unterminated subpattern"},
            policy_stage="output",
            verdict="allow",
            policy_name="staff_codes",
            policy_version="2026.11.4",
            policy_mode="fail_open",
        ),
        event(6, "prompt", "prompt.responded", 1_399, ids=[REQUEST_ID], outcome="ok", http_status=200),
        event(
            7,
            "ui",
            "ui.rendered",
            None,
            ids=[REQUEST_ID],
            shown="answer",
            output_hash="h2",
            output_excerpt="Refunds",
        ),
        event(8, "prompt", "prompt.responded", 1_399, ids=[REQUEST_ID], order_basis="tie", clock_offset=-785_000_000),
        event(20, "prompt", "prompt.received", 125_000, request="r2", seq=0, link_method="opening"),
        alone(21, "other", "log.other", 65_000),
        alone(23, "policy", "policy.decision", 124_990, verdict="allow"),
        alone(
            22,
            "change",
            "change.applied",
            1_000,
            service="policyd",
            name="config.reload",
            change_scope="policy",
            change_key="rev",
            change_old="2026.11.3",
            change_new="2026.11.4",
        ),
    )


def requests() -> pl.DataFrame:
    nothing: dict[str, Any] = {name: [] for name in REQUESTS.names if REQUESTS.schema[name] == pl.List(pl.String)}
    first = nothing | {
        "request": "r1",
        "kind": "turn",
        "start_time": at(992),
        "end_time": at(5_555),
        "session": "sess_3995c1bb04685e33",
        "user": "u_99706",
        "events": 9,
        "attempts": 1,
        "calls": 1,
        "layers_present": ["prompt", "retrieval", "model", "policy", "ui"],
        "templates": ["help@8"],
        "indexes": ["kb-current@kb_v12"],
        "models": ["acme-chat-2026-11-18"],
        "policies": ["2026.11.4"],
        "verdicts": ["output:allow"],
        "shown": ["answer"],
    }
    second = nothing | {
        "request": "r2",
        "kind": "turn",
        "start_time": at(125_000),
        "end_time": at(125_000),
        "events": 1,
        "attempts": 1,
        "calls": 0,
        "layers_present": ["prompt"],
        "layers_absent": ["model", "ui"],
        "layers_not_covered": ["retrieval"],
        "layers_ambiguous": ["policy"],
        "refers_to": "r1",
    }
    return frame(REQUESTS, first, second)


def links() -> pl.DataFrame:
    def member(number: int, way: dict[str, str]) -> dict[str, Any]:
        return {
            "relation": "member",
            "from_event": f"e{number:02}",
            "to_event": "e01",
            "to_address": "prompt.jsonl:2",
            "to_request": "r1",
            "method": "id",
            "confidence": 1.0,
            "id_kind": way["kind"],
            "id_value": way["value"],
            "taken": True,
        }

    ways = {0: REQUEST_ID, 2: TRACE_ID, 3: REQUEST_ID, 4: REQUEST_ID, 5: CALL_ID, 6: REQUEST_ID, 7: REQUEST_ID}
    again = {
        "relation": "redelivery_of",
        "from_event": "e08",
        "to_event": "e06",
        "method": "id",
        "taken": True,
        "to_address": "prompt.jsonl:7",
    }
    candidate = {
        "relation": "member",
        "from_event": "e23",
        "from_address": "policy.jsonl:24",
        "to_event": "e20",
        "to_address": "prompt.jsonl:21",
        "to_request": "r2",
        "method": "window",
        "scope": "all",
        "delta_ns": 10_000_000,
        "confidence": 0.41,
        "taken": False,
    }
    opens = {"relation": "member", "from_event": "e01", "to_event": "e01", "to_request": "r1", "method": "opening"}
    members = [member(number, way) for number, way in ways.items()]
    return frame(LINKS, opens | {"confidence": 1.0, "taken": True}, *members, again, candidate)


def clocks() -> pl.DataFrame:
    """A reference, a clock that was set in between, one that nothing ties, and a family of browsers."""

    def clock(name: str, place: int, basis: str, offset_ms: int, **more: Any) -> dict[str, Any]:
        span = {"start_time": at(60_000 * place), "end_time": at(60_000 * (place + 1)), "events": 10}
        known = {"clock": name, "slice": place, "basis": basis, "offset_ns": offset_ms * 1_000_000, "pairs": 40}
        return known | span | {"reference": "prompt"} | more

    half = 500_000
    browsers = [
        clock(f"browser:{n}\x1b[31m", 0, "bounds" if n else "pooled", 100 * n - 300, lower_ns=-half, upper_ns=half)
        for n in range(7)
    ]
    return frame(
        CLOCKS,
        clock("prompt", 0, "reference", 0, pairs=0, lower_ns=0, upper_ns=0),
        clock("model|x", 0, "bounds", 4197, lower_ns=4_190_000_000, upper_ns=4_210_000_000),
        clock("model|x", 1, "bounds", -25_200_300, lower_ns=-25_200_310_000_000, upper_ns=-25_200_290_000_000),
        clock("policy", 0, "scope-peak", -1138, upper_ns=-1_100_000_000),
        clock("ui", 0, "unmoved", 0, pairs=0, reference=None),
        *browsers,
    )


def tables() -> dict[str, pl.DataFrame]:
    """Two requests, twelve events: a chain through five layers, and a request of which little is known."""
    counts = {"records": 10, "with_events": 8, "rejected": 1, "skipped": 1, "events": 9, "bytes": 1_500_000}
    times = {"first_time": at(0), "last_time": at(125_000)}
    sources = frame(
        SOURCES,
        {"source": "app/prompt.jsonl", "format": "app_log", "zone_basis": "explicit"} | counts | times,
        {"source": "app/uvi|corn.log", "format": "access", "zone": "UTC", "zone_basis": "assumed"} | counts | times,
        {"source": "notes.txt"} | counts | {"with_events": 0, "skipped": 9, "events": 0},
    )
    rejects = frame(
        REJECTS,
        {"source": "app/prompt.jsonl", "line": 9, "offset": 800, "reason": "truncated_json"},
        {"source": "app/prompt.jsonl", "line": 4, "offset": 300, "reason": "truncated_json"},
        {"source": "app/uvi|corn.log", "line": 5, "offset": 444, "reason": "nul_bytes"},
        {"source": "notes.txt", "line": 1, "offset": 0, "reason": "unrecognised_format"},
    )
    notes = frame(
        NOTES,
        {
            "topic": "hub_refused",
            "subject": SESSION["value"],
            "count": 3,
            "detail": "session ties 3 openings: not joined by it",
        },
        {
            "topic": "zone_assumed",
            "source": "app/uvi|corn.log",
            "count": 8,
            "detail": "times without a zone: UTC assumed",
        },
        {"topic": "clock_zone", "subject": "model|x", "detail": "its times are -25200.300 s ahead, about -7 h"},
        {"topic": "clock_contradicted", "subject": "policy", "detail": "asserted to be +1 s ahead"},
    )
    found = {"events": events(), "requests": requests(), "links": links(), "clocks": clocks()}
    return found | {"sources": sources, "rejects": rejects, "notes": notes, "coverage": coverage(found["events"])}


def timeline(found: Mapping[str, pl.DataFrame], manifest: Mapping[str, Any], limit: int = 200) -> str:
    return markdown.timeline(found, found["coverage"], manifest, limit)


def chain_of(request: str, **page: Any) -> str:
    found = tables()
    row = found["requests"].row(by_predicate=pl.col("request") == request, named=True)
    return text.chain(found["events"].filter(pl.col("request") == request), row, found["links"], found["notes"], **page)


def why_of(event_id: str) -> str:
    return why_text.page(why.explain(tables(), {"min_confidence": 0.9, "window_s": 900.0}, event_id), width=100)


OUTPUTS = {
    "timeline.md": lambda: timeline(tables(), {"version": "0.1.0"}),
    "chain_100.txt": lambda: chain_of("r1", width=100),
    "chain_pipe.txt": lambda: chain_of("r1"),
    "chain_gaps.txt": lambda: chain_of("r2", width=80),
    "listing.txt": lambda: text.listing(requests(), events(), width=100),
    "hits.txt": lambda: text.hits(events().filter(pl.col("line") < 3), width=100),
    "clocks.txt": lambda: clocks_text.page(tables(), "cases/one", width=100),
    "clocks_pipe.txt": lambda: clocks_text.page(tables(), "cases/one", every=True),
    "why_candidates.txt": lambda: why_of("e23"),
    "why_id.txt": lambda: why_of("e02"),
    "summary.txt": lambda: text.summary(tables(), "cases/one", width=100),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_is_the_golden_one(name: str) -> None:
    made = OUTPUTS[name]()
    if os.environ.get("GOLDEN") == "write":
        (GOLDEN / name).write_text(made, encoding="utf-8")
    assert made == (GOLDEN / name).read_text(encoding="utf-8")


def test_limit_says_what_it_leaves_out() -> None:
    made = timeline(tables(), {}, 1)
    assert "1 of 2 requests are here" in made
    assert "`--limit 2`" in made
    assert "### 1. turn `r1`" in made
    assert "`r2`" not in made
    assert "### 1." not in timeline(tables(), {}, 0)


def test_a_case_without_anything_is_still_a_page() -> None:
    nothing = {table.name: table.empty() for table in (EVENTS, REQUESTS, LINKS, CLOCKS, SOURCES, REJECTS, NOTES)}
    made = timeline(nothing | {"coverage": coverage(EVENTS.empty())}, {}, 200)
    assert "0 events, 0 requests" in made
    assert "No events." in made
    assert "0 sources" in text.summary(nothing, None)
    assert text.listing(nothing["requests"], nothing["events"]).endswith("\n0 requests\n")
    assert text.hits(nothing["events"]) == "0 events of 0 requests\n"


def test_long_coverage_is_shown_by_the_hour_or_the_day() -> None:
    def page(hours: float) -> str:
        many = [alone(n, "prompt", "log.other", int(n * hours * 3_600_000)) for n in range(300)]
        found = tables() | {"coverage": coverage(frame(EVENTS, *many))}
        return timeline(found, {}, 0).partition("## Coverage")[2].partition("## Changes")[0]

    assert page(1 / 60).startswith(" by layer and hour")
    assert "| 2026-11-21 23:00 | 55 (0 tied) in 55 min |" in page(1 / 60)
    assert page(5).startswith(" by layer and day")
    assert "| 2026-11-22 00:00 | 4 (0 tied) in 4 min |" in page(5)


def test_no_output_uses_a_banned_word_outside_quoted_evidence() -> None:
    banned = re.compile(r"\b(?:" + "|".join(wording.BANNED) + r")\b", re.IGNORECASE)
    assert banned.search(HOSTILE), "the evidence must hold such a word, or this shows nothing"
    for name in OUTPUTS:
        made = (GOLDEN / name).read_text(encoding="utf-8")
        own = re.sub(r"(`+).*?(?<!`)\1(?!`)", "", made) if name.endswith(".md") else re.sub("“[^”]*(?:”|…)", "", made)
        assert not banned.findall(own), name


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("request_id", ["r1", "r2"])
def test_chain_keeps_to_the_width_and_cuts_no_address(request_id: str, width: int) -> None:
    made = chain_of(request_id, width=width)
    of_request = events().filter(pl.col("request") == request_id)
    addresses = {rows.address(row) for row in of_request.iter_rows(named=True)}
    assert all(address in made for address in addresses)
    ids = {pair["value"] for row in of_request["ids"].to_list() for pair in row or ()}
    assert all(value in made for value in ids)
    assert all(cell_len(line) <= width for line in made.splitlines())


def test_colour_is_all_that_colour_adds() -> None:
    painted = chain_of("r1", width=100, colour=True)
    assert "\x1b[36m" in painted
    assert re.sub("\x1b\\[[0-9]+m", "", painted) == chain_of("r1", width=100)


def test_a_long_case_is_drawn_in_time() -> None:
    of_one = events().filter(pl.col("request") == "r1")
    copies = pl.DataFrame({"copy": range(3000)}, schema={"copy": pl.String})
    name = pl.format("{}-{}", "request", "copy").alias("request")
    ids = pl.format("{}-{}", "event_id", "copy").alias("event_id")
    many = of_one.join(copies, how="cross").with_columns(name, ids).drop("copy")
    turns = requests().head(1).join(copies, how="cross").with_columns(name).drop("copy")
    found = tables() | {"events": many, "requests": turns, "coverage": coverage(many)}
    began = time.process_time()
    made = timeline(found, {}, 200)
    assert time.process_time() - began < 1.5
    assert made.count("\n### ") == 202


def test_a_thousand_ids_stay_distinct_when_cut() -> None:
    values = [f"req_{n:040x}" for n in range(1000)] + ["req_", "", "short", "x" * 500]
    short = rows.short_ids(values)
    assert len(set(short.values())) == len(values)
    assert all(value.startswith(cut.removesuffix("…")) for value, cut in short.items())


texts = st.text(st.characters(exclude_categories=())) | st.text(
    "|`\\\n\r<>[]()#*_~!&$@:/.\x1b\u202e\u200b www.http://a"
)
storable = texts.map(lambda said: "x" + said.encode("utf-8", "replace").decode("utf-8"))
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(texts)
def test_printable_leaves_no_control_character(given_text: str) -> None:
    made = printable(given_text)
    assert not {char for char in made if unicodedata.category(char) in UNSEEN}
    assert made.encode("utf-8").decode("utf-8") == made
    assert printable(made) == made


@given(texts)
def test_defanged_text_has_no_address_and_stays_as_it_is(given_text: str) -> None:
    made = defang(given_text)
    assert not re.search(r"https?://|\bwww\.\w", made, re.IGNORECASE)
    assert defang(made) == made


@given(st.lists(texts, min_size=1, max_size=5))
def test_a_table_row_has_as_many_cells_whatever_the_log_says(cells: list[str]) -> None:
    head = "| " + " | ".join("h" * len(cells)) + " |\n" + "|" + " --- |" * len(cells) + "\n"
    spans = [code(excerpt(cell)) for cell in cells]
    assert not any("\n" in span or "|" in span for span in spans)
    tokens = MarkdownIt("commonmark", {"linkify": False}).enable("table").parse(f"{head}| {' | '.join(spans)} |\n")
    inline = [token for token in tokens if token.type == "inline"][len(cells) :]
    assert len(inline) == len(cells)
    for token, cell in zip(inline, cells, strict=True):
        children = token.children or []
        assert [child.type for child in children] == (["code_inline"] if cell else [])
        assert not cell or children[0].content == excerpt(cell).replace("|", r"\x7c")


def hostile_tables(said: str) -> dict[str, pl.DataFrame]:
    """The tables, with `said` wherever a log's words may stand."""
    from_logs = {
        EVENTS: (
            "kind",
            "name",
            "service",
            "error_type",
            "source",
            "clock",
            "session",
            "user",
            "shown",
            "feedback",
        ),
        REQUESTS: ("session", "user", "tenant"),
        SOURCES: ("source", "zone", "copy_of", "format"),
        REJECTS: ("source", "reason"),
        NOTES: ("source", "subject", "detail", "topic"),
        LINKS: ("id_value", "to_address", "from_address"),
    }
    texts_too = {EVENTS: ("input_excerpt", "output_excerpt", "served_model", "policy_name", "change_new")}
    found = tables()
    for table, names in from_logs.items():
        every = (*names, *texts_too.get(table, ()))
        found[table.name] = found[table.name].with_columns(pl.lit(said).alias(name) for name in every)
    ids = pl.DataFrame({"ids": [[{"kind": "k", "value": said, "role": "alias"}]]}, schema={"ids": EVENTS.schema["ids"]})
    found["events"] = found["events"].drop("ids").join(ids, how="cross").select(EVENTS.names)
    return found


@given(storable, st.none() | st.integers(20, 120))
def test_no_terminal_sees_a_control_character(said: str, width: int | None) -> None:
    found = hostile_tables(said)
    turn = found["requests"].row(0, named=True)
    made = [
        text.chain(found["events"].filter(request="r1"), turn, found["links"], found["notes"], width=width),
        text.hits(found["events"], width=width),
        text.listing(found["requests"], found["events"], width=width),
        text.summary(found, said, width=width),
    ]
    assert not {char for char in "".join(made).replace("\n", "") if unicodedata.category(char) in UNSEEN}


@given(storable)
def test_no_log_writes_markdown(said: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(timeline(hostile_tables(said), {}, 200))
    plain = MarkdownIt("commonmark").enable("table").parse(timeline(hostile_tables("x"), {}, 200))
    assert [token.type for token in tokens] == [token.type for token in plain]
    inside = {child.type for token in tokens for child in token.children or ()}
    assert inside <= {"text", "code_inline", "strong_open", "strong_close", "em_open", "em_close"}
