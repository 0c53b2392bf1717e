"""What belongs to one request, and why: logs in a small notation, each line headed by the group it must come to.

A line is ``GROUP  KIND@CLOCK  key=value …``:

- GROUP: ``T…`` a turn, ``J…`` a job, ``U…`` events that share an id alone, ``-`` tied to nothing;
- CLOCK names the clock domain, and the log file and its format beside (``@app/2`` is a second file of them);
- ``t`` and ``end`` are seconds; a line without ``t`` states no time;
- ``user``, ``session``, ``tenant`` are groups, ``span`` and ``parent`` are spans, ``regenerate_of=message_id:m1`` is a
  reference, ``text`` and ``answer`` are contents, other ids are aliases, and what is left are columns.

A short value such as ``r1``, ``c2`` or ``t3`` stands for a real-shaped one (``req_073d36…``, a UUID, 32 hex digits):
one name is one value, whatever the kind of id. Any other value is taken as written.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import shlex
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st
from polars.testing import assert_frame_equal

from strataline import reconstruct
from strataline.correlate import Correlated, Options, correlate
from strataline.correlate.ids import key_table
from strataline.event import EVENTS, LAYERS

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALIASES = (
    "request_id",
    "trace_id",
    "call_id",
    "response_id",
    "message_id",
    "decision_id",
    "provider_request_id",
    "event_uuid",
)
REFS = ("regenerate_of", "edit_of", "retry_of", "cache_origin")
KINDS = {"T": "turn", "J": "job", "U": "unrooted"}
HOUR_NS = 3600 * 10**9
ADDED = {"request", "call", "seq", "link_method", "link_confidence", "order_basis", "corrected_time", "clock_offset"}


def spelled(name: str) -> str:
    """The real-shaped value that a short name stands for."""
    if not re.fullmatch(r"[rctxmsdpu]\d+", name):
        return name
    digits = hashlib.sha256(name.encode()).hexdigest()
    shapes = {
        "r": f"req_{digits[:24]}",
        "c": str(uuid.UUID(digits[:32])),
        "t": digits[:32],
        "x": f"chatcmpl-{digits[:24]}",
        "m": f"msg_{digits[:16]}",
        "s": str(uuid.UUID(digits[32:])),
        "d": str(uuid.UUID(digits[8:40])),
        "p": digits[:16],
        "u": f"u_{int(digits[:4], 16)}",
    }
    return shapes[name[0]]


def event(number: int, line: str) -> dict[str, Any]:
    """One row of ``events``; its id tells the place of its line."""
    head, *pairs = shlex.split(line)
    kind, _, where = head.partition("@")
    clock = where.partition("/")[0]
    layer = kind.partition(".")[0]
    row: dict[str, Any] = {
        "event_id": f"{number:08}",
        "layer": layer if layer in LAYERS else "other",
        "kind": kind,
        "clock": clock,
        "format": clock,
        "source": f"{where}.log",
        "line": number + 1,
        "offset": 100 * number,
        "length": 99,
        "item": 0,
        "index": 0,
        "ids": [],
        "refs": [],
    }
    for pair in pairs:
        key, _, text = pair.partition("=")
        value = spelled(text)
        if key == "t":
            row["event_time"] = NOON + timedelta(seconds=float(text))
            row["time_raw"] = row["event_time"].isoformat()
        elif key == "end":
            row["end_time"] = NOON + timedelta(seconds=float(text))
        elif key in ALIASES:
            row["ids"].append({"kind": key, "value": value, "role": "alias"})
        elif key in ("session", "user", "tenant"):
            row[key] = value
            row["ids"].append({"kind": key, "value": value, "role": "group"})
        elif key == "span":
            row["span_id"] = value
            row["ids"].append({"kind": "span_id", "value": value, "role": "span"})
        elif key == "parent":
            row["parent_id"] = value
        elif key in REFS:
            of, _, name = text.partition(":")
            row["refs"].append({"kind": of, "value": spelled(name), "role": key})
        elif key in ("text", "answer"):
            row["input_hash" if key == "text" else "output_hash"] = hashlib.sha256(text.encode()).hexdigest()[:32]
        else:
            row[{"stage": "policy_stage"}.get(key, key)] = int(text) if key in ("attempt", "offset") else value
    return row


def table(rows: list[dict[str, Any]]) -> pl.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    return EVENTS.conform(pl.DataFrame(rows, schema={name: EVENTS.schema[name] for name in names}, orient="row"))


def read(log: str) -> tuple[pl.DataFrame, list[str]]:
    """The events that a log in the notation says, and the first word of each line."""
    lines = [line.split(None, 1) for line in log.strip().splitlines()]
    return table([event(number, line) for number, (_, line) in enumerate(lines)]), [word for word, _ in lines]


def lines_of(groups: dict[str, list[int]]) -> set[tuple[str, tuple[int, ...]]]:
    return {(kind, tuple(lines)) for kind, lines in groups.items()}


def found_groups(done: Correlated) -> set[tuple[str, tuple[int, ...]]]:
    """Each request as its kind and the numbers of its lines."""
    kinds = dict(done.requests.select("request", "kind").iter_rows())
    tied = done.events.filter(pl.col("request").is_not_null()).sort("event_id")
    return {
        (kinds[str(request[0])], tuple(int(one) for one in rows["event_id"]))
        for request, rows in tied.group_by("request")
    }


def wanted_groups(words: list[str]) -> set[tuple[str, tuple[int, ...]]]:
    names = sorted(set(words) - {"-"})
    return {(KINDS[name[0]], tuple(number for number, word in enumerate(words) if word == name)) for name in names}


def grouped(log: str, options: Options | None = None) -> Correlated:
    """Correlate a log, and hold that every line came to its group."""
    events, words = read(log)
    done = correlate(events, options)
    assert found_groups(done) == wanted_groups(words)
    return done


def noted(done: Correlated, topic: str) -> list[str]:
    return done.notes.filter(pl.col("topic") == topic)["subject"].to_list()


def relations(done: Correlated, relation: str) -> list[tuple[int, int]]:
    """The relations of a kind, as pairs of line numbers (from, to)."""
    rows = done.links.filter(pl.col("relation") == relation).select("from_event", "to_event").sort("from_event")
    return [(int(one), int(other)) for one, other in rows.iter_rows()]


BY_ID = {
    "one request id over all five layers": """
        T1 ui.message_sent@browser t=0 request_id=r1 session=s1
        T1 prompt.received@app t=0.2 request_id=r1 session=s1
        T1 policy.decision@policy t=0.3 request_id=r1 stage=input
        T1 retrieval.query@kb t=0.4 request_id=r1
        T1 model.call@gateway t=0.6 request_id=r1
        T1 ui.rendered@browser t=2 request_id=r1
        T2 prompt.received@app t=60 request_id=r2 session=s1
        T2 ui.rendered@browser t=62 request_id=r2
    """,
    "through call id, completion id and message id, no two of which meet in the opening event": """
        T1 prompt.received@app t=0 request_id=r1
        T1 prompt.sent@app t=1 request_id=r1 call_id=c1
        T1 model.call@gateway t=1 call_id=c1 response_id=x1
        T1 policy.decision@policy t=2 call_id=c1 decision_id=d1 stage=output
        T1 prompt.answered@app t=3 response_id=x1 message_id=m1
        T1 ui.rendered@browser t=4 message_id=m1 event_uuid=d7
        T1 ui.feedback@browser t=9 message_id=m1 event_uuid=d8
    """,
    "a session or a user joins nothing, however rare": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 user=u1
        -  policy.decision@policy t=1 session=s1 user=u1
        -  ui.rendered@browser t=2 session=s1 user=u1
    """,
    "values that stand where no id is join nothing": """
        T1 prompt.received@app t=0 request_id=- trace_id=null
        T2 prompt.received@app t=1 request_id=- trace_id=null
        -  prompt.rendered@app t=2 request_id=- trace_id=00000000000000000000000000000000
        -  policy.decision@policy t=2 trace_id=00000000-0000-0000-0000-000000000000 decision_id=0
        -  policy.decision@policy t=3 trace_id=00000000000000000000000000000000 decision_id=0
        -  ui.rendered@browser t=2 request_id=undefined message_id=None
        -  ui.copied@browser t=2 request_id=undefined message_id=None
        -  log.line@app t=2 trace_id=00-00000000000000000000000000000000-0000000000000000-00
        -  log.line@app t=2 trace_id=ffffffff-ffff-ffff-ffff-ffffffffffff
        -  log.line@app t=3 trace_id=ffffffff-ffff-ffff-ffff-ffffffffffff
        -  log.line@app t=2 trace_id=AAAAAAAAAAAAAAAAAAAAAA==
        -  log.line@app t=2 request_id="[REDACTED]"
        -  log.line@app t=3 request_id="[REDACTED]"
        -  log.line@app t=2 request_id=N/A
        -  log.line@app t=3 request_id=N/A
    """,
    "a small number joins within its kind and not across kinds": """
        T1 prompt.received@app t=0 request_id=42
        T1 policy.decision@policy t=1 request_id=42 stage=input
        -  policy.decision@policy t=2 decision_id=42
        J1 model.call@gateway t=3 call_id=42
    """,
    "user 42 is not decision 42, and session 7 is not message 7": """
        T1 prompt.received@app t=0 request_id=r1 user=42 session=7
        -  policy.decision@policy t=1 decision_id=42
        -  ui.rendered@browser t=2 message_id=7
    """,
    "a microsecond clock is a number, not 64 bits of hex": """
        T1 prompt.received@app t=0 request_id=1795301993271965
        J1 model.call@gateway t=1 call_id=1795301993271965
    """,
    "a declared prefix with enough behind it joins across kinds; a short one does not": """
        T1 prompt.received@app t=0 request_id=req_073d36439823497cbea85f9c
        T1 policy.decision@policy t=1 decision_id=req_073d36439823497cbea85f9c
        T1 ui.rendered@browser t=2 request_id=req_073d36439823497cbea85f9c message_id=msg_12
        -  ui.feedback@browser t=3 event_uuid=msg_12
    """,
    "one request id and one trace id in other letters are two": """
        T1 prompt.received@app t=0 request_id=req_073d36439823497cbea85F9C
        -  ui.rendered@browser t=1 request_id=req_073d36439823497cbea85f9c
    """,
    "a span belongs to the span above it, in the other log too": """
        T1 prompt.received@app t=0 request_id=r1 span=p1
        T1 retrieval.request@kb t=1 span=p2 parent=p1
        T1 retrieval.query@kb t=1.1 span=p3 parent=p2
        J1 retrieval.query@kb t=5 span=p4 parent=p9
    """,
    "a span above that another exporter wrote in capitals": """
        T1 prompt.received@app t=0 request_id=r1 span=b4093993dfa33e8c
        T1 retrieval.request@kb t=1 span=d91222978913ff81 parent=B4093993DFA33E8C
    """,
    "a span above that another exporter wrote in base64": """
        T1 prompt.received@app t=0 request_id=r1 span=b4093993dfa33e8c
        T1 retrieval.request@kb t=1 span=d91222978913ff81 parent="tAk5k9+jPow="
    """,
    "a parent of zeros is no parent": """
        T1 prompt.received@app t=0 request_id=r1 span=0000000000000000
        J1 retrieval.query@kb t=1 span=p3 parent=0000000000000000
        J2 retrieval.query@kb t=2 span=p4 parent=0000000000000000
    """,
    "two opening events that share nothing are two turns of one session, at the same time": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 user=u1
        T2 prompt.received@app t=0 request_id=r2 session=s1 user=u1
        T2 model.call@gateway t=0.5 request_id=r2 call_id=c2 session=s1
        T1 model.call@gateway t=0.5 request_id=r1 call_id=c1 session=s1
        T2 ui.rendered@browser t=2 request_id=r2 session=s1 user=u1
        T1 ui.rendered@browser t=2 request_id=r1 session=s1 user=u1
    """,
    "an id of another record is no id of this one: a cache hit is not merged with its origin": """
        T1 prompt.received@app t=0 request_id=r1
        T1 model.call@gateway t=1 request_id=r1 response_id=x1
        T2 prompt.received@app t=60 request_id=r2
        T2 model.call@gateway t=61 request_id=r2 cache_origin=response_id:x1
    """,
    "calls without an opening turn are jobs, an event alone that is no call is none": """
        J1 model.call@gateway t=0 call_id=c1
        J1 policy.decision@policy t=1 call_id=c1
        J2 model.call@gateway t=2 call_id=c2
        J3 retrieval.query@kb t=3 trace_id=t3
        J3 retrieval.rerank@kb t=4 trace_id=t3
        U1 ui.rendered@browser t=5 message_id=m1
        U1 ui.copied@browser t=6 message_id=m1
        -  ui.pageview@browser t=7 session=s1
        -  policy.decision@policy t=8 decision_id=d1
        -  change.applied@policy t=9
        -  log.other@app t=10
    """,
    "a job that runs beside a user's turn is not drawn into it by session, user or time": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 user=u1
        T1 model.call@gateway t=1 request_id=r1 call_id=c1 session=s1 user=u1
        J1 model.call@gateway t=1 call_id=c2 session=s1 user=u1
    """,
}


@pytest.mark.parametrize("log", BY_ID.values(), ids=BY_ID)
def test_events_are_tied_by_id(log: str) -> None:
    grouped(log)


UUID = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
HEX = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
SPELLINGS = {
    "without hyphens": HEX,
    "in capitals": UUID.upper(),
    "in capitals without hyphens": HEX.upper(),
    "in braces": "{" + UUID + "}",
    "as a URN": f"urn:uuid:{UUID}",
    "with 0x": f"0x{HEX}",
    "with 0X, in capitals": f"0X{HEX.upper()}",
    "as a traceparent": f"00-{HEX}-{SPAN}-01",
    "as a traceparent not sampled": f"00-{HEX}-{SPAN}-00",
    "in base64": "S/kvNXezTaajzpKdDg5HNg==",
    "as Cloud Trace writes it": f"{HEX}/67667974448284343;o=1",
    "as Cloud Logging writes it": f"projects/acme-prod/traces/{HEX}",
    "as X-Ray writes it": f"1-{HEX[:8]}-{HEX[8:]}",
    "as an X-Ray header": f"Root=1-{HEX[:8]}-{HEX[8:]};Parent=53995c3f42cd8ad8;Sampled=1",
    "with a space around it": f" {HEX} ",
}


@pytest.mark.parametrize("other", SPELLINGS.values(), ids=SPELLINGS)
def test_one_trace_id_joins_in_every_spelling(other: str) -> None:
    log = f"""
        T1 prompt.received@app t=0 request_id=r1 trace_id={UUID}
        T1 retrieval.query@kb t=1 trace_id="{other}"
        J1 model.call@gateway t=2 trace_id={HEX[:-1]}7
    """
    done = grouped(log)
    member = done.links.filter(pl.col("relation") == "member", pl.col("from_event") == "00000001")
    assert member["id_value"].to_list() == [other], "the link shows the value as the tied event wrote it"


def test_a_call_that_the_caller_and_the_gateway_log_is_one() -> None:
    done = grouped("""
        T1 prompt.received@app t=0 request_id=r1 trace_id=463ac35c9f6413ad48485a3953bb6124
        T1 model.call@app t=1 trace_id=463ac35c9f6413ad48485a3953bb6124 response_id=chatcmpl-a1
        T1 model.call@gateway t=1.1 call_id=c1 trace_id=463ac35c9f6413ad48485a3953bb6124
        T1 model.call@gateway t=1.2 call_id=c1 response_id=chatcmpl-a1 trace_id=463ac35c9f6413ad48485a3953bb6124
        T1 model.call@app t=2 trace_id=463ac35c9f6413ad48485a3953bb6124 response_id=chatcmpl-a2
    """)
    calls = done.events.filter(pl.col("kind") == "model.call")["call"]
    assert calls.n_unique() == 2
    assert calls.head(4).n_unique() == 2
    assert done.requests["calls"].to_list() == [2]


def test_the_lower_64_bits_of_a_trace_id_are_that_trace_where_one_ends_in_them() -> None:
    low, other = "b7ad6b7169203331", "c7ad6b7169203332"
    values = ["4bf92f3577b34da6" + low, low, "1bf92f3577b34da6" + other, "2bf92f3577b34da6" + other, other]
    made = key_table(pl.DataFrame({"kind": ["trace_id"] * 5, "value": values}))
    keys = made["key"].to_list()
    assert keys[0] == keys[1]
    assert len(set(keys[1:])) == 4
    assert made["form"].to_list()[1] == "lower_64_bits"
    spans = key_table(pl.DataFrame({"kind": ["trace_id", "span_id"], "value": values[:2]}))
    assert spans["key"].n_unique() == 2


def test_a_trace_id_of_64_bits_is_the_one_that_is_padded_to_128() -> None:
    # Zipkin and Jaeger pad on the left with zeros; a library in between writes either.
    grouped("""
        T1 prompt.received@app t=0 request_id=r1 trace_id=463ac35c9f6413ad
        T1 retrieval.query@kb t=1 trace_id=0000000000000000463ac35c9f6413ad
    """)


def test_a_span_id_is_not_the_end_of_a_trace_id() -> None:
    grouped(f"""
        T1 prompt.received@app t=0 request_id=r1 span={HEX[16:]}
        J1 retrieval.query@kb t=1 trace_id={HEX}
    """)


@pytest.mark.parametrize(
    "value",
    ["", " ", "-", "--", "null", "NULL", "None", "nil", "undefined", "n/a", "NaN", "0", "00-00", "0" * 32, "f" * 32],
)
def test_a_value_that_names_nothing_has_no_key(value: str) -> None:
    made = key_table(pl.DataFrame({"kind": ["trace_id"], "value": [value]}))
    assert made["key"].to_list() == [None]


def test_a_value_that_names_nothing_is_noted() -> None:
    done = grouped("""
        T1 prompt.received@app t=0 request_id=r1 trace_id=null
        -  policy.decision@policy t=1 trace_id=null
    """)
    assert noted(done, "id_stopped") == ["trace_id"]


REFUSED = {
    "a session id sent as the gateway's trace id, over three turns": (
        """
        T1 prompt.received@app t=0 request_id=r1 session=s1
        T1 prompt.answered@app t=2 request_id=r1 call_id=c1 session=s1
        T1 model.call@gateway t=1 call_id=c1 trace_id=s1
        T2 prompt.received@app t=60 request_id=r2 session=s1
        T2 prompt.answered@app t=62 request_id=r2 call_id=c2 session=s1
        T2 model.call@gateway t=61 call_id=c2 trace_id=s1
        T3 prompt.received@app t=120 request_id=r3 session=s1
        T3 prompt.answered@app t=122 request_id=r3 call_id=c3 session=s1
        T3 model.call@gateway t=121 call_id=c3 trace_id=s1
        """,
        ["s1"],
    ),
    "a gateway's trace id that the app never logs, shared by calls known through their call ids": (
        """
        T1 prompt.received@app t=0 request_id=r1
        T1 prompt.answered@app t=2 request_id=r1 call_id=c1
        T1 model.call@gateway t=1 call_id=c1 trace_id=t9
        T2 prompt.received@app t=60 request_id=r2
        T2 prompt.answered@app t=62 request_id=r2 call_id=c2
        T2 model.call@gateway t=61 call_id=c2 trace_id=t9
        T3 prompt.received@app t=120 request_id=r3
        T3 prompt.answered@app t=122 request_id=r3 call_id=c3
        T3 model.call@gateway t=121 call_id=c3 trace_id=t9
        """,
        ["t9"],
    ),
    "two such ids of two kinds, each of which hides the other": (
        """
        T1 prompt.received@app t=0 request_id=r1
        T1 prompt.answered@app t=2 request_id=r1 call_id=c1
        T1 model.call@gateway t=1 call_id=c1 trace_id=t9 provider_request_id=c9
        T2 prompt.received@app t=60 request_id=r2
        T2 prompt.answered@app t=62 request_id=r2 call_id=c2
        T2 model.call@gateway t=61 call_id=c2 trace_id=t9 provider_request_id=c9
        T3 prompt.received@app t=120 request_id=r3
        T3 prompt.answered@app t=122 request_id=r3 call_id=c3
        T3 model.call@gateway t=121 call_id=c3 trace_id=t9 provider_request_id=c9
        """,
        ["t9", "c9"],
    ),
    "two such ids, and one of the calls also carries the app's request id": (
        """
        T1 prompt.received@app t=0 request_id=r1
        T1 prompt.answered@app t=2 request_id=r1 call_id=c1
        T1 model.call@gateway t=1 call_id=c1 trace_id=t9 provider_request_id=c9 request_id=r1
        T2 prompt.received@app t=60 request_id=r2
        T2 prompt.answered@app t=62 request_id=r2 call_id=c2
        T2 model.call@gateway t=61 call_id=c2 trace_id=t9 provider_request_id=c9
        T3 prompt.received@app t=120 request_id=r3
        T3 prompt.answered@app t=122 request_id=r3 call_id=c3
        T3 model.call@gateway t=121 call_id=c3 trace_id=t9 provider_request_id=c9
        """,
        ["t9", "c9"],
    ),
    "two such ids that a job without a turn carries too: its own call id still joins": (
        """
        T1 prompt.received@app t=0 request_id=r1
        T1 prompt.answered@app t=2 request_id=r1 call_id=c1
        T1 model.call@gateway t=1 call_id=c1 trace_id=t9 provider_request_id=c9
        T2 prompt.received@app t=60 request_id=r2
        T2 prompt.answered@app t=62 request_id=r2 call_id=c2
        T2 model.call@gateway t=61 call_id=c2 trace_id=t9 provider_request_id=c9
        J1 model.call@gateway t=121 call_id=c3 trace_id=t9 provider_request_id=c9
        J1 policy.decision@policy t=122 call_id=c3 decision_id=d3 stage=output
        """,
        ["t9", "c9"],
    ),
    "an API key's hash that everything carries": (
        """
        T1 prompt.received@app t=0 request_id=r1 trace_id=t9
        T1 policy.decision@policy t=0.5 request_id=r1 trace_id=t9
        T1 model.call@gateway t=1 request_id=r1 trace_id=t9
        T1 ui.rendered@browser t=2 request_id=r1 trace_id=t9
        T2 prompt.received@app t=1 request_id=r2 trace_id=t9
        T2 model.call@gateway t=2 request_id=r2 trace_id=t9
        -  policy.decision@policy t=2 trace_id=t9
        """,
        ["t9"],
    ),
    "a worker's span under which all turns run": (
        """
        T1 prompt.received@app t=0 request_id=r1 span=p9
        T1 retrieval.request@kb t=1 request_id=r1 span=p2 parent=p9
        T2 prompt.received@app t=2 request_id=r2 span=p9
        T2 retrieval.request@kb t=3 request_id=r2 span=p3 parent=p9
        """,
        ["p9"],
    ),
    "a span above that no turn logs and two turns share": (
        """
        T1 prompt.received@app t=0 request_id=r1
        T1 retrieval.request@kb t=1 request_id=r1 span=p2 parent=p9
        T2 prompt.received@app t=2 request_id=r2
        T2 retrieval.request@kb t=3 request_id=r2 span=p3 parent=p9
        -  log.line@kb t=0 span=p9
        """,
        ["p9"],
    ),
    "two users behind one id": (
        """
        T1 prompt.received@app t=0 request_id=r1 user=u1
        T1 model.call@gateway t=1 request_id=r1 call_id=c1 trace_id=t9 user=u1
        J1 model.call@gateway t=2 call_id=c2 trace_id=t9 user=u2
        """,
        ["t9"],
    ),
    "a trace id that the opening events of two turns carry, beside request ids": (
        """
        T1 prompt.received@app t=0 request_id=r1 trace_id=t9
        T1 retrieval.query@kb t=1 request_id=r1 trace_id=t9
        T2 prompt.received@app t=2 request_id=r2 trace_id=t9
        T2 retrieval.query@kb t=3 request_id=r2 trace_id=t9
        """,
        ["t9"],
    ),
}


@pytest.mark.parametrize(("log", "hubs"), REFUSED.values(), ids=REFUSED)
def test_an_id_of_several_turns_or_users_joins_nothing_and_is_named(log: str, hubs: list[str]) -> None:
    done = grouped(log)
    notes = done.notes.filter(pl.col("topic") == "hub_refused")
    joining = {hub: re.compile(rf"(?:_id|span|parent)={hub}\b") for hub in hubs}
    assert dict(notes.select("subject", "count").iter_rows()) == {
        spelled(hub): sum(bool(carries.search(line)) for line in log.splitlines()) for hub, carries in joining.items()
    }


KEPT = {
    "a session id sent as trace id, in a session with one turn": """
        T1 prompt.received@app t=0 request_id=r1 session=s1
        T1 prompt.answered@app t=3 request_id=r1 call_id=c1 session=s1
        T1 model.call@gateway t=1 call_id=c1 trace_id=s1
        T1 model.call@gateway t=2 call_id=c2 trace_id=s1
    """,
    "the 38 queries of one agent's turn": "T1 prompt.received@app t=0 request_id=r1 trace_id=t9\n"
    + "\n".join(f"T1 retrieval.query@kb t={n} trace_id=t9 span=p{n}" for n in range(1, 39)),
    "one user under two names, one for each log": """
        T1 prompt.received@app t=0 request_id=r1 user=u1
        T1 model.call@gateway t=1 request_id=r1 user=default_user_id
        T1 ui.rendered@browser t=2 request_id=r1 user=01a20056-64f5-7f37-8bd6-c8911c8edba3
    """,
    "a turn's two opening events, one for each attempt": """
        T1 prompt.received@app t=0 request_id=r1 session=s1
        T1 prompt.responded@app t=1 request_id=r1 session=s1 outcome=error
        T1 prompt.received@app t=5 request_id=r1 session=s1
        T1 model.call@gateway t=6 request_id=r1 call_id=c1
        T1 prompt.responded@app t=7 request_id=r1 session=s1 outcome=ok
    """,
}


@pytest.mark.parametrize("log", KEPT.values(), ids=KEPT)
def test_an_id_of_one_turn_is_no_hub(log: str) -> None:
    assert noted(grouped(log), "hub_refused") == []


def poisoned(opening_knows: bool) -> str:
    """38 turns of which the retrieval service wrote one trace id: a span that was never ended stayed above them all."""
    turns = []
    for n in range(1, 39):
        trace = " trace_id=t900" if opening_knows and n == 1 else ""
        turns += [
            f"T{n} prompt.received@app t={100 * n} request_id=r{n}{trace}",
            f"T{n} retrieval.query@kb t={100 * n + 1} request_id=r{n} trace_id=t900 span=p{n} parent=p900",
            f"T{n} retrieval.embed@kb t={100 * n + 1.1} trace_id=t900 span=p{500 + n} parent=p{n}",
        ]
    return "\n".join(turns)


@pytest.mark.parametrize("opening_knows", [False, True], ids=["no opening names it", "the first opening names it"])
def test_a_poisoned_trace_is_refused_and_the_request_ids_survive(opening_knows: bool) -> None:
    done = grouped(poisoned(opening_knows))
    assert noted(done, "hub_refused") == [spelled("t900")]


def test_a_poisoned_trace_whose_queries_name_their_users_joins_no_turn() -> None:
    queries = "\n".join(f"J{n} retrieval.query@kb t={n} trace_id=t900 span=p{n} user=u{n % 5}" for n in range(1, 39))
    done = grouped("T1 prompt.received@app t=0 request_id=r1 trace_id=t900 user=u1\n" + queries)
    assert noted(done, "hub_refused") == [spelled("t900")]


def test_which_of_the_links_is_shown_for_a_refused_id() -> None:
    done = grouped(REFUSED["a session id sent as the gateway's trace id, over three turns"][0])
    member = done.links.filter(pl.col("relation") == "member", pl.col("from_event") == "00000005")
    assert member.select("method", "id_kind", "id_value").rows() == [("id", "call_id", spelled("c2"))]
    ids = done.events.filter(pl.col("event_id") == "00000005")["ids"].to_list()[0]
    assert {"kind": "trace_id", "value": spelled("s1"), "role": "alias"} in ids, "the event keeps its ids as they were"


RESENT = {
    "with the same request id": """
        T1 prompt.received@app t=0 request_id=r1 session=s1
        T1 prompt.responded@app t=1 request_id=r1 session=s1 outcome=error
        T1 prompt.received@app t=5 request_id=r1 session=s1
        T1 prompt.responded@app t=6 request_id=r1 session=s1 outcome=ok
    """,
    "with the same request id, where the log names neither session nor user": """
        T1 prompt.received@app t=0 request_id=r1
        T1 prompt.responded@app t=1 request_id=r1 outcome=error
        T1 prompt.received@app t=5 request_id=r1
        T1 prompt.responded@app t=6 request_id=r1 outcome=ok
    """,
    "with a new request id and the same text": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 text='how long do refunds take'
        T1 prompt.responded@app t=1 request_id=r1 session=s1 outcome=error
        T1 prompt.received@app t=30 request_id=r2 session=s1 text='how long do refunds take'
        T1 model.call@gateway t=31 request_id=r2 call_id=c2
        T1 prompt.responded@app t=33 request_id=r2 session=s1 outcome=ok
    """,
    "with a new request id and the same text, which only a later step logs": """
        T1 prompt.received@app t=0 request_id=r1 session=s1
        T1 prompt.rendered@app t=0.5 request_id=r1 session=s1 text='how long do refunds take'
        T1 prompt.responded@app t=1 request_id=r1 session=s1 outcome=timeout
        T1 prompt.received@app t=30 request_id=r2 session=s1
        T1 prompt.rendered@app t=30.5 request_id=r2 session=s1 text='how long do refunds take'
        T1 prompt.responded@app t=33 request_id=r2 session=s1 outcome=ok
    """,
    "exactly 60 s after the error": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.responded@app t=10 request_id=r1 session=s1 outcome=error
        T1 prompt.received@app t=70 request_id=r2 session=s1 text=refunds
    """,
    "while the page says that it retries": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.received@app t=30 request_id=r2 session=s1 text=refunds
        T1 ui.retry@browser t=29 request_id=r2 session=s1
    """,
}


@pytest.mark.parametrize("log", RESENT.values(), ids=RESENT)
def test_a_turn_that_is_resent_after_an_error_is_one_request(log: str) -> None:
    done = grouped(log)
    turn = done.requests.filter(pl.col("request") == "00000000")
    assert turn["attempts"].to_list() == [2]
    assert noted(done, "resend") == [None]
    first, second = (n for n, line in enumerate(log.strip().splitlines()) if "T1 prompt.received" in line)
    assert relations(done, "retries") == [(second, first)]


REPLICAS = """
    T1 prompt.received@app-1 t=0 request_id=r1 session=s1 text=refunds
    T1 prompt.error@app-1 t=10 request_id=r1 session=s1 outcome=error
    {second} prompt.received@app-2 t={at} request_id=r2 session=s1 text=refunds
    {second} prompt.responded@app-2 t={end} request_id=r2 session=s1 outcome=ok
    """


@pytest.mark.parametrize(("at", "one"), [(13, True), (71, False), (9, False)])
def test_a_turn_that_is_sent_again_to_another_replica_is_one_request(at: int, *, one: bool) -> None:
    """Replicas write one format, each by its own clock; before the error, or long after it, nothing is resent."""
    events, words = read(REPLICAS.format(second="T1" if one else "T2", at=at, end=at + 1))
    done = correlate(events.with_columns(format=pl.lit("app")))
    assert found_groups(done) == wanted_groups(words)
    assert len(relations(done, "retries")) == one


def test_what_two_programs_log_is_not_sent_again() -> None:
    """Each has a format of its own: what opens a turn in one is no attempt of what opens one in the other."""
    done = grouped(REPLICAS.format(second="T2", at=13, end=14))
    assert relations(done, "retries") == []


def test_a_turn_that_is_resent_twice_is_one_request_that_starts_with_its_first_attempt() -> None:
    events, _ = read("""
        T1 prompt.received@app t=20 request_id=r3 session=s1 text=refunds
        T1 prompt.received@app t=10 request_id=r2 session=s1 text=refunds
        T1 prompt.responded@app t=11 request_id=r2 session=s1 outcome=error
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.responded@app t=1 request_id=r1 session=s1 outcome=error
        T1 prompt.responded@app t=21 request_id=r3 session=s1 outcome=ok
    """)
    done = correlate(events)
    assert done.requests.select("kind", "attempts", "events").rows() == [("turn", 3, 6)]
    assert done.requests["request"].to_list() == ["00000000"], "the smallest id of its opening events"
    assert done.requests["start_time"].to_list() == [NOON]
    assert done.events.sort("seq")["event_id"].to_list() == [f"{n:08}" for n in (3, 4, 1, 2, 0, 5)]


NOT_RESENT = {
    "with the same text, after another turn of the session (a person who asks again)": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.responded@app t=1 request_id=r1 session=s1 outcome=error
        T2 prompt.received@app t=2 request_id=r2 session=s1 text=invoices
        T2 prompt.responded@app t=3 request_id=r2 session=s1 outcome=ok
        T3 prompt.received@app t=4 request_id=r3 session=s1 text=refunds
        T3 prompt.responded@app t=5 request_id=r3 session=s1 outcome=ok
    """,
    "61 s after the error": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.responded@app t=10 request_id=r1 session=s1 outcome=error
        T2 prompt.received@app t=71 request_id=r2 session=s1 text=refunds
    """,
    "with another text": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.responded@app t=1 request_id=r1 session=s1 outcome=error
        T2 prompt.received@app t=30 request_id=r2 session=s1 text=invoices
    """,
    "with another text, where the session is sent as trace id": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 trace_id=s1 text=refunds
        T1 prompt.responded@app t=1 request_id=r1 session=s1 outcome=error
        T2 prompt.received@app t=30 request_id=r2 session=s1 trace_id=s1 text=invoices
        T2 prompt.responded@app t=31 request_id=r2 session=s1 outcome=ok
    """,
    "in another session": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 user=u1 text=refunds
        T1 prompt.responded@app t=1 request_id=r1 session=s1 outcome=error
        T2 prompt.received@app t=30 request_id=r2 session=s2 user=u1 text=refunds
    """,
    "after an answer": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.responded@app t=1 request_id=r1 session=s1 outcome=ok
        T2 prompt.received@app t=30 request_id=r2 session=s1 text=refunds
    """,
    "after an answer that took an inner retry": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.retry@app t=1 request_id=r1 session=s1 outcome=error
        T1 prompt.responded@app t=5 request_id=r1 session=s1 outcome=ok
        T2 prompt.received@app t=40 request_id=r2 session=s1 text=refunds
        T2 prompt.responded@app t=45 request_id=r2 session=s1 outcome=ok
    """,
    "after the error of another turn": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.responded@app t=1 request_id=r1 session=s1 outcome=ok
        T2 prompt.received@app t=2 request_id=r2 session=s2 text=refunds
        T2 prompt.responded@app t=3 request_id=r2 session=s2 outcome=error
        T3 prompt.received@app t=30 request_id=r3 session=s1 text=refunds
    """,
    "before the error": """
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T2 prompt.received@app t=1 request_id=r2 session=s1 text=refunds
        T1 prompt.responded@app t=9 request_id=r1 session=s1 outcome=error
    """,
}


@pytest.mark.parametrize("log", NOT_RESENT.values(), ids=NOT_RESENT)
def test_a_turn_that_was_not_resent_is_a_request_of_its_own(log: str) -> None:
    done = grouped(log)
    assert done.requests["attempts"].unique().to_list() == [1]
    assert relations(done, "retries") == []


@pytest.mark.parametrize("role", ["regenerate_of", "edit_of"])
def test_a_regenerated_answer_is_a_new_request_that_refers_to_the_old(role: str) -> None:
    done = grouped(f"""
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.responded@app t=3 request_id=r1 message_id=m1 session=s1 outcome=error
        T2 prompt.received@app t=9 request_id=r2 session=s1 text=refunds {role}=message_id:m1
        T2 prompt.responded@app t=12 request_id=r2 message_id=m2 session=s1 outcome=ok
    """)
    assert relations(done, "regenerates") == [(2, 1)]
    refers = dict(done.requests.select("request", "refers_to").iter_rows())
    assert refers == {"00000000": None, "00000002": "00000000"}


def test_a_regenerated_request_id_leads_to_the_opening_event() -> None:
    done = grouped("""
        T1 ui.message_sent@browser t=-1 request_id=r1 event_uuid=d1
        T1 prompt.received@app t=0 request_id=r1
        T1 prompt.responded@app t=3 request_id=r1
        T2 prompt.received@app t=9 request_id=r2 regenerate_of=request_id:r1
    """)
    assert relations(done, "regenerates") == [(3, 1)]


def test_a_reference_to_what_no_log_holds_makes_no_link() -> None:
    done = grouped("""
        T1 prompt.received@app t=9 request_id=r2 regenerate_of=message_id:m404
        T1 model.call@gateway t=10 request_id=r2 cache_origin=response_id:x404
    """)
    assert done.requests["refers_to"].to_list() == [None]
    assert set(done.links["relation"]) == {"member"}


def test_a_cache_hit_names_the_call_that_filled_the_cache() -> None:
    done = grouped(BY_ID["an id of another record is no id of this one: a cache hit is not merged with its origin"])
    assert relations(done, "served_from_cache_of") == [(3, 1)]


def test_lines_that_were_delivered_again_are_kept_and_counted_once() -> None:
    done = grouped("""
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.received@app t=0 request_id=r1 session=s1 text=refunds
        T1 prompt.received@app/2 t=0 request_id=r1 session=s1 text=refunds
        T1 model.call@gateway t=1 request_id=r1 call_id=c1
        T1 model.call@gateway t=1 request_id=r1 call_id=c1
        T1 prompt.responded@app t=2 request_id=r1 session=s1 outcome=error
        T1 prompt.responded@app t=2 request_id=r1 session=s1 outcome=error
    """)
    assert done.requests.select("attempts", "calls", "events").rows() == [(1, 1, 7)]
    assert relations(done, "redelivery_of") == [(1, 0), (2, 0), (4, 3), (6, 5)]
    assert relations(done, "attempt_of") == []
    assert relations(done, "retries") == []
    assert noted(done, "hub_refused") == []
    notes = done.notes.filter(pl.col("topic") == "redelivery").select("source", "count").sort("source")
    assert notes.rows() == [("app.log", 2), ("app/2.log", 1), ("gateway.log", 1)]
    call = done.events.filter(pl.col("kind") == "model.call")
    assert call["call"].to_list() == ["00000003"] * 2


def test_what_was_delivered_again_stands_beside_the_first() -> None:
    done = grouped("""
        T1 prompt.received@app t=0 request_id=r1
        T1 prompt.rendered@app t=1 request_id=r1
        T1 model.call@gateway t=2 request_id=r1 call_id=c1
        T1 prompt.rendered@app t=1 request_id=r1
    """)
    assert done.events.sort("seq")["event_id"].to_list() == [f"{n:08}" for n in (0, 1, 3, 2)]


def test_a_lone_event_that_was_delivered_again_is_no_request() -> None:
    grouped("""
        - ui.pageview@browser t=0 event_uuid=d1
        - ui.pageview@browser t=0 event_uuid=d1
        T1 prompt.received@app t=0 request_id=r1
        T1 prompt.received@app t=0 request_id=r1
    """)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("prompt.retry@app t=1 request_id=r1 attempt=1", "prompt.retry@app t=1.5 request_id=r1 attempt=1"),
        ("prompt.retry@app t=1 request_id=r1 attempt=1", "prompt.retry@app t=1 request_id=r1 attempt=2"),
        ("prompt.retry@app t=1 request_id=r1", "prompt.error@app t=1 request_id=r1"),
        ("prompt.retry@app t=1 request_id=r1", "prompt.retry@other t=1 request_id=r1"),
        ("prompt.retry@app request_id=r1", "prompt.retry@app request_id=r1"),
    ],
    ids=["another time", "another attempt", "another kind", "another format", "no time"],
)
def test_what_differs_is_not_delivered_again(one: str, other: str) -> None:
    done = grouped(f"T1 prompt.received@app t=0 request_id=r1\nT1 {one}\nT1 {other}")
    assert relations(done, "redelivery_of") == []


def test_lines_without_an_id_are_not_told_apart_and_not_merged() -> None:
    done = grouped(
        """
        - prompt.access@app t=0 http_status=200
        - prompt.access@app t=0 http_status=200
    """.replace(" http_status=200", " name='POST /api/chat'")
    )
    assert relations(done, "redelivery_of") == []


REUSED = """
    T1 prompt.received@app t=0 request_id=r1 session=s1
    T1 model.call@gateway t=1 request_id=r1 call_id=c1
    T1 prompt.responded@app t=2 request_id=r1 session=s1
    T2 prompt.received@app t={later} request_id=r1 session=s2
    T2 model.call@gateway t={later}.1 request_id=r1 call_id=c2
    T2 prompt.responded@app t={later}.2 request_id=r1 session=s2
"""


def test_an_id_that_is_used_again_after_seven_hours_is_two_requests() -> None:
    done = grouped(REUSED.format(later=7 * 3600))
    assert noted(done, "id_reused") == [spelled("r1")]


def test_a_call_id_that_is_used_again_after_seven_hours_is_two_jobs() -> None:
    done = grouped("""
        J1 model.call@gateway t=0 call_id=41
        J1 policy.decision@policy t=1 call_id=41
        J2 model.call@gateway t=25200 call_id=41
        J2 policy.decision@policy t=25201 call_id=41
        -  ui.rendered@browser call_id=41
    """)
    assert noted(done, "id_reused") == ["41"], "what states no time cannot tell which use it is of, and joins neither"


def test_the_reuse_gap_is_the_callers() -> None:
    grouped(REUSED.format(later=7200), Options(reuse_gap_ns=HOUR_NS))
    one = "T1 prompt.received@app t=0 request_id=r1\nT1 prompt.responded@app t=7200 request_id=r1"
    grouped(one)
    grouped(one.replace("T1 prompt.responded", "-  prompt.responded"), Options(reuse_gap_ns=HOUR_NS))


@pytest.mark.parametrize("off", [3600, -3600, 5 * 3600, -7 * 3600])
def test_a_browser_whose_clock_is_hours_off_joins_the_nearer_use(off: int) -> None:
    # Ids that were used once tell how far the browser's clock is off: four hours off, the nearer use by the raw
    # times would be the wrong one.
    once = "\n".join(
        f"T{n} prompt.received@app t={600 * n} request_id=r{n}\n"
        f"T{n} ui.rendered@browser t={600 * n + off} request_id=r{n}"
        for n in range(11, 16)
    )
    again = f"""
        J1 model.call@app t=0 call_id=41
        J1 ui.rendered@browser t={off + 2} call_id=41
        J2 model.call@app t=28800 call_id=41
        J2 ui.rendered@browser t={28800 + off + 2} call_id=41
    """
    grouped(once + "\n" + again.strip())


def test_a_clock_that_is_hours_off_joins_by_id_all_the_same() -> None:
    done = grouped("""
        T1 ui.message_sent@browser t=-3600 request_id=r1
        T1 prompt.received@app t=0 request_id=r1
        T1 policy.decision@policy t=25200 request_id=r1 stage=input
        T1 model.call@gateway t=1 request_id=r1
    """)
    assert noted(done, "id_reused") == []


def test_tries_that_share_a_call_id_are_attempts_of_one_call() -> None:
    done = grouped("""
        T1 prompt.received@app t=0 request_id=r1
        T1 model.call@gateway t=1 request_id=r1 call_id=c1 outcome=error attempt=1
        T1 model.call@gateway t=3 request_id=r1 call_id=c1 outcome=ok attempt=2
        T1 policy.decision@policy t=4 call_id=c1 decision_id=d1 stage=output
    """)
    assert relations(done, "attempt_of") == [(2, 1)]
    assert done.requests["calls"].to_list() == [1]
    about = dict(done.events.select("event_id", "call").iter_rows())
    assert about["00000001"] == about["00000002"] == about["00000003"] == "00000001"


def test_calls_with_ids_of_their_own_are_calls_of_their_own() -> None:
    done = grouped("""
        T1 prompt.received@app t=0 request_id=r1 trace_id=t1
        T1 model.call@gateway t=1 request_id=r1 trace_id=t1 call_id=c1
        T1 model.call@gateway t=3 request_id=r1 trace_id=t1 call_id=c2
        T1 policy.decision@policy t=2 call_id=c1 decision_id=d1 stage=output
        T1 policy.decision@policy t=4 call_id=c2 decision_id=d2 stage=output
        T1 retrieval.query@kb t=2.5 trace_id=t1 span=p1
        T1 retrieval.slow_query@kb t=2.6 trace_id=t1 parent=p1
    """)
    about = dict(done.events.select("event_id", "call").iter_rows())
    assert done.requests["calls"].to_list() == [2]
    assert relations(done, "attempt_of") == []
    assert (about["00000001"], about["00000003"]) == ("00000001", "00000001")
    assert (about["00000002"], about["00000004"]) == ("00000002", "00000002")
    assert (about["00000005"], about["00000006"]) == ("00000005", "00000005")
    assert about["00000000"] is None, "the opening event names no one call"
    assert relations(done, "evaluated") == [(3, 1), (4, 2)]


def test_attempts_without_a_time_stand_in_the_order_of_their_numbers() -> None:
    done = grouped("""
        J1 model.call@gateway call_id=c1 attempt=2
        J1 model.call@gateway call_id=c1 attempt=1
    """)
    assert relations(done, "attempt_of") == [(0, 1)]


def test_a_job_is_named_by_its_earliest_call_that_has_no_span_above_it() -> None:
    done = grouped("""
        J1 model.call@gateway t=0 trace_id=t1 span=p2 parent=p9
        J1 retrieval.query@kb t=9 trace_id=t1 span=p3
        J1 retrieval.rerank@kb t=5 trace_id=t1 span=p4
    """)
    assert done.requests["request"].to_list() == ["00000002"]


def test_who_asked_is_what_the_opening_event_says() -> None:
    done = grouped("""
        T1 ui.message_sent@browser t=0 request_id=r1 session=s7 user=u7
        T1 prompt.received@app t=1 request_id=r1 session=s1 user=u1 tenant=acme
    """)
    rows = done.requests.select("session", "user", "tenant").rows()
    assert rows == [(spelled("s1"), spelled("u1"), "acme")]


def test_a_layer_whose_log_covers_the_time_is_absent_and_a_layer_without_a_log_is_not_covered() -> None:
    """More in test_presence.py. The browser's log is of another time, and ties to no turn."""
    done = grouped("""
        T1 prompt.received@app t=10 request_id=r1
        T1 model.call@gateway t=11 request_id=r1
        T2 prompt.received@app t=0 request_id=r2
        T2 policy.decision@policy t=1 request_id=r2
        T3 prompt.received@app t=60 request_id=r3
        T3 policy.decision@policy t=61 request_id=r3
        -  ui.pageview@browser t=3600
    """)
    lists = ("layers_present", "layers_absent", "layers_not_covered", "layers_ambiguous")
    first = done.requests.filter(pl.col("layers_present").list.contains("model"))
    assert first.select(lists).rows() == [(["prompt", "model"], ["policy"], ["retrieval", "ui"], [])]


def test_a_hole_of_a_log_is_noted() -> None:
    lines = [f"T{turn} prompt.received@app t={turn} request_id=r{turn}" for turn in range(60)]
    lines += [f"T{turn} model.call@gateway t={turn}.5 request_id=r{turn}" for turn in range(60) if not 20 <= turn < 40]
    done = grouped("\n".join(lines))
    assert noted(done, "coverage_gap") == ["gateway.log"]
    assert done.requests.filter(pl.col("layers_not_covered").list.contains("model")).height == 20


def test_no_events_give_empty_tables() -> None:
    done = correlate(EVENTS.empty())
    assert [frame.height for frame in (done.events, done.requests, done.links, done.clocks, done.notes)] == [0] * 5


def test_events_without_any_id_or_time_are_kept_and_tied_to_nothing() -> None:
    done = grouped("- log.other@app\n- log.other@app\n- ui.pageview@browser")
    assert done.events.height == 3
    assert done.clocks.is_empty()


def test_what_an_earlier_correlation_added_does_not_count() -> None:
    events, _ = read(REFUSED["a session id sent as the gateway's trace id, over three turns"][0])
    once = correlate(events)
    twice = correlate(once.events)
    assert_frame_equal(once.events, twice.events)
    assert_frame_equal(once.links, twice.links)


def heap(kind: str, count: int) -> str:
    """A program that correlates `count` events of one id under a limit of memory."""
    return f"""
import resource, time
import polars as pl
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
from strataline.correlate import correlate
from strataline.event import EVENTS
n = {count}
ids = [
    [{{"kind": "request_id", "value": f"req_{{i:024x}}", "role": "alias"}},
     {{"kind": "trace_id", "value": "4bf92f3577b34da6a3ce929d0e0e4736", "role": "alias"}}] for i in range(n)
]
events = pl.DataFrame({{
    "event_id": [f"{{i:032x}}" for i in range(n)], "kind": ["{kind}"] * n, "layer": ["{kind}".split(".")[0]] * n,
    "clock": ["a"] * n, "source": ["a.log"] * n, "offset": range(n), "item": [0] * n, "index": [0] * n,
    "event_time": pl.Series(range(n)) * 10**9, "session": ["s"] * n, "outcome": ["ok"] * n, "ids": ids,
}}).with_columns(pl.from_epoch("event_time", "ns").dt.replace_time_zone("UTC"))
events = events.with_columns(time_raw=pl.col("event_time").cast(pl.String))
begun = time.process_time()
done = correlate(EVENTS.conform(events))
print(done.requests.height, time.process_time() - begun)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "requests"),
    [("model.call", 1), ("prompt.received", 100_000)],
)
def test_one_id_a_hundred_thousand_times_takes_seconds(kind: str, requests: int) -> None:
    run = subprocess.run(
        [sys.executable, "-c", heap(kind, 100_000)], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr[-400:]
    found, seconds = run.stdout.split()
    assert int(found) == requests
    assert float(seconds) < 15


# Laws, over logs that nobody would write.

FEWER = max(1, settings().max_examples // 3)  # of what correlates twice

POOL = {"request_id": "r", "trace_id": "t", "call_id": "c", "response_id": "x", "message_id": "m"}
LOG_KINDS = (
    "prompt.received",
    "prompt.rendered",
    "prompt.responded",
    "prompt.retry",
    "model.call",
    "retrieval.query",
    "policy.decision",
    "ui.message_sent",
    "ui.rendered",
    "ui.feedback",
    "ui.retry",
    "log.other",
)


@st.composite
def log_lines(draw: st.DrawFn) -> str:
    """One line of a log: any kind, by any of three clocks, with any of a few ids, spans and contents."""
    kind = draw(st.sampled_from(LOG_KINDS))
    parts = [f"- {kind}@{draw(st.sampled_from(['app', 'app', 'gateway', 'browser']))}"]
    seconds = draw(st.none() | st.integers(0, 9) | st.integers(25200, 25209))
    parts += [] if seconds is None else [f"t={seconds}"]
    for name, letter in POOL.items():
        if draw(st.integers(0, 2)) == 0:
            parts.append(f"{name}={draw(st.sampled_from([letter + '1', letter + '2', letter + '3', 's1', '-', '7']))}")
    for name, values in (("span", "p1 p2 p3"), ("parent", "p1 p2 p3"), ("session", "s1 s2"), ("user", "u1 u2")):
        if draw(st.integers(0, 3)) == 0:
            parts.append(f"{name}={draw(st.sampled_from(values.split()))}")
    if draw(st.integers(0, 3)) == 0:
        parts.append("text=" + draw(st.sampled_from(["refunds", "invoices"])))
    if draw(st.integers(0, 3)) == 0:
        parts.append("outcome=" + draw(st.sampled_from(["ok", "error"])))
    if draw(st.integers(0, 7)) == 0:
        parts.append(draw(st.sampled_from(["regenerate_of=message_id:m1", "cache_origin=response_id:x1"])))
    return " ".join(parts)


logs = st.lists(log_lines(), min_size=1, max_size=14).map("\n".join)


def carried(events: pl.DataFrame) -> dict[str, set[tuple[str, str]]]:
    """What each event carries, as (kind, value): its joining ids, and the span above it."""
    found = {}
    for name, ids, parent in events.select("event_id", "ids", "parent_id").iter_rows():
        found[name] = {(one["kind"], one["value"]) for one in ids if one["role"] in ("alias", "span")}
        if parent is not None:
            found[name].add(("span_id", parent))
    return found


def hold_laws(events: pl.DataFrame, done: Correlated) -> None:
    kept = [name for name in EVENTS.names if name not in ADDED]
    assert_frame_equal(events.sort("event_id").select(kept), done.events.sort("event_id").select(kept))
    assert done.events["corrected_time"].equals(done.events["event_time"], null_equal=True)
    assert done.events["clock_offset"].drop_nulls().unique().to_list() in ([], [0])
    tied = done.events.filter(pl.col("request").is_not_null())
    assert (
        done.events.filter(pl.col("request").is_null())
        .select(*ADDED - {"corrected_time", "clock_offset"})
        .select(pl.all_horizontal(pl.all().is_null()).all())
        .item()
    ), "what is tied to nothing has no place in a request"
    assert sorted(tied["request"].unique()) == sorted(done.requests["request"])
    for (request,), rows in tied.group_by("request"):
        rows = rows.sort("seq")
        assert rows["seq"].to_list() == list(range(rows.height))
        assert rows["order_basis"][0] == "first"
        assert set(rows["order_basis"][1:]) <= {"causal", "clock", "tie"}
        opening = rows.filter(pl.col("kind") == "prompt.received")["event_id"]
        kind = done.requests.filter(pl.col("request") == request)["kind"].item()
        assert (kind == "turn") == (len(opening) > 0)
        assert request in rows["event_id"]
        if len(opening):
            assert request == opening.min()
    hold_member_laws(done, tied)
    hold_turn_laws(done, tied)


def hold_member_laws(done: Correlated, tied: pl.DataFrame) -> None:
    """Each tied event says once how it was tied, by what it really carries, and the ways lead to the opening event."""
    members = done.links.filter(pl.col("relation") == "member")
    assert sorted(members["from_event"]) == sorted(tied["event_id"])
    owner = dict(tied.select("event_id", "request").iter_rows())
    ids = carried(tied)
    way: dict[str, str] = {}
    columns = ("from_event", "to_event", "to_request", "method", "id_kind", "id_value")
    for event_id, to, request, method, kind, value in members.select(columns).iter_rows():
        assert owner[event_id] == owner[to] == request
        assert (method == "opening") == (event_id == to)
        assert (value is not None) == (method in ("id", "span"))
        if value is not None:
            assert (kind, value) in ids[event_id]
        way[event_id] = to
    for event_id in way:
        steps = list(itertools.islice(_walk(way, event_id), len(way) + 1))
        assert steps[-1] == way[steps[-1]], "the way ends at an opening event"


def _walk(way: dict[str, str], event_id: str) -> Any:
    while True:
        yield event_id
        if way[event_id] == event_id:
            return
        event_id = way[event_id]


def hold_turn_laws(done: Correlated, tied: pl.DataFrame) -> None:
    """Two opening events share a request only if one delivers or sends the other again."""
    again = set(done.links.filter(pl.col("relation") == "redelivery_of")["from_event"])
    resent = done.links.filter(pl.col("relation") == "retries", pl.col("method") == "resend")
    first = tied.filter((pl.col("kind") == "prompt.received") & ~pl.col("event_id").is_in(list(again)))
    counted = dict(first.group_by("request").len().iter_rows())
    attempts = dict(done.requests.filter(pl.col("kind") == "turn").select("request", "attempts").iter_rows())
    assert counted == attempts
    assert sum(counted.values()) - len(counted) == resent.height


@pytest.mark.slow
@given(logs)
def test_laws_hold_for_any_log(log: str) -> None:
    events, _ = read(log)
    hold_laws(events, correlate(events))


@given(logs, st.randoms(use_true_random=False))
@settings(max_examples=FEWER)
def test_the_order_of_the_rows_does_not_matter(log: str, random: Any) -> None:
    events, _ = read(log)
    places = list(range(events.height))
    random.shuffle(places)
    one, other = correlate(events), correlate(events[places])
    for name in ("events", "requests", "links", "clocks", "notes"):
        assert_frame_equal(getattr(one, name), getattr(other, name))


STRANGER = """
    - prompt.received@app t=4 request_id=r91 session=s91 user=u91 text=refunds
    - model.call@app t=5 request_id=r91 call_id=c91 outcome=error
    - prompt.responded@app t=6 request_id=r91 session=s91 user=u91 message_id=m91 outcome=error
    - ui.rendered@app t=7 message_id=m91 session=s91 user=u91
"""


@pytest.mark.slow
@given(logs)
@settings(max_examples=FEWER)
def test_a_request_that_shares_nothing_changes_nothing(log: str) -> None:
    events, _ = read(log)
    strange, _ = read(STRANGER)
    strange = strange.with_columns(pl.format("9{}", "event_id").alias("event_id"), pl.col("offset") + 50_000)
    alone, beside = correlate(events), correlate(pl.concat([events, strange]))
    mine = pl.col("event_id").is_in(events["event_id"].implode())
    assert_frame_equal(alone.events.sort("event_id"), beside.events.filter(mine).sort("event_id"))
    linked = pl.col("from_event").is_in(events["event_id"].implode())
    assert_frame_equal(alone.links, beside.links.filter(linked))
    owned = pl.col("request").is_in(alone.requests["request"].implode())
    # Which layers a log covers is told by all of it.
    layers = ("layers_absent", "layers_not_covered")
    assert_frame_equal(alone.requests.drop(layers), beside.requests.filter(owned).drop(layers))
    assert beside.requests.height == alone.requests.height + 1


def test_the_notation_is_read_as_it_says() -> None:
    events, words = read(
        "T1 model.call@gateway/2 t=1.5 end=2 call_id=c1 span=p1 parent=p2 user=u1 cache_origin=response_id:x1"
    )
    row = events.row(0, named=True)
    assert words == ["T1"]
    assert (row["layer"], row["clock"], row["source"]) == ("model", "gateway", "gateway/2.log")
    assert row["event_time"] == NOON + timedelta(seconds=1.5)
    assert {(one["kind"], one["role"]) for one in row["ids"]} == {
        ("call_id", "alias"),
        ("span_id", "span"),
        ("user", "group"),
    }
    assert row["refs"] == [{"kind": "response_id", "value": spelled("x1"), "role": "cache_origin"}]
    assert Path(row["source"]).suffix == ".log"


def test_lines_that_differ_in_what_no_format_declares_are_no_redelivery(tmp_path: Path) -> None:
    """Three documents retrieved in one second, under one request id, are three events of one request."""
    log = tmp_path / "app.log"
    line = (
        '{"timestamp":"2026-11-21T23:05:00Z","level":"info","event":"doc retrieved",'
        '"request_id":"req_82f3e9c695dc6b8d1b11","doc":"kb-%d"}\n'
    )
    log.write_text("".join(line % n for n in (1, 2, 3, 3)))
    case = reconstruct(log)
    again = case.frames["links"].filter(pl.col("relation") == "redelivery_of")
    assert case.requests.num_rows == 1
    assert again.height == 1, "the last line, which is the third again"
