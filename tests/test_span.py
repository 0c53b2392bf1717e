"""The two ways to read an OTLP batch give the same items; the quick one leaves to the other what it cannot read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from strataline.parse import catalogue
from strataline.span import otlp_spans

OTLP = catalogue()["otlp_traces"].reshape
assert OTLP is not None
PATIENT = OTLP.__globals__["patient"]

SPAN: dict[str, Any] = {
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "parentSpanId": "",
    "name": "chat",
    "kind": "SPAN_KIND_CLIENT",
    "startTimeUnixNano": "1544712660000000000",
    "endTimeUnixNano": 0,
    "flags": 257,
    "attributes": [
        {"key": "text", "value": {"stringValue": '{"a": {"b": 1}}'}},
        {"key": "empty", "value": {"stringValue": ""}},
        {"key": "whole", "value": {"intValue": "5"}},
        {"key": "float", "value": {"doubleValue": 1.0}},
        {"key": "flag", "value": {"boolValue": False}},
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": 1}, {}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}},
        {"key": "none", "value": {}},
        {"key": "docs.1.id", "value": {"stringValue": "second"}},
        {"key": "docs.0.id", "value": {"stringValue": "first"}},
        {"key": "text", "value": {"stringValue": "again"}},
    ],
    "events": [{"timeUnixNano": "1", "name": "exception"}, {"attributes": []}],
    "links": [{"traceId": "aa", "spanId": "bb"}, {}],
    "status": {"code": 2, "message": "broke"},
}


def batch(span: dict[str, Any], **holder: Any) -> str:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "chat"}}]}
    scoped = {"scope": {"name": "tracer", "version": ""}, "spans": [span, {"name": ""}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scoped], **holder}, {}]})


def test_both_ways_give_the_same_items() -> None:
    text = batch(SPAN, schemaUrl="https://opentelemetry.io/schemas/1.26.0")
    assert otlp_spans(text) == PATIENT(text)
    assert len(PATIENT(text)) == 2


@pytest.mark.parametrize(
    "text",
    [
        batch({**SPAN, "other": 1}),
        batch({**SPAN, "name": None}),
        batch({**SPAN, "attributes": {"plain": "object"}}),
        batch({**SPAN, "attributes": [{"key": "k", "value": {"string_value": "v"}}]}),
        batch({**SPAN, "status": 2}),
        batch(SPAN).replace('"name": "chat"', '"name": "chat", "name": "again"'),
        batch(SPAN).replace('"key": "k",', '"key": "k", "key": "again",'),
        batch(SPAN).replace("resourceSpans", "batches"),
        "[]",
    ],
)
def test_what_is_not_by_the_letter_is_left_to_the_patient_reader(text: str) -> None:
    assert otlp_spans(text) is None
    assert OTLP is not None
    assert OTLP(text) == PATIENT(text)
