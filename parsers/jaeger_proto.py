"""Jaeger spans as protobuf's JSON writer makes them: Kafka with JSON encoding, `jaeger-v1` batches.

Ids are base64, times RFC 3339 with the writer's offset, durations text in seconds (`0.022938s`) or ns.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from strataline.format import Format, Recognise, decode
from strataline.span import span

TEXTS = ("vStr", "vInt64", "vFloat64", "vBool", "vBinary", "v_str", "v_int64", "v_float64", "v_bool", "v_binary")
UNITS = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}
CHILD = (None, "CHILD_OF", 0)
"""How a reference says that it names the parent: the first of the enum, which is left out when it is the default."""


def items(text: str) -> list[str]:
    """One item for each span of a batch, or the one of a span."""
    record = decode(text)
    spans = record.get("spans")
    if not isinstance(spans, list):
        return [item(record, record.get("process"))]
    return [item(one, one.get("process") or record.get("process")) for one in spans if isinstance(one, dict)]


def item(one: dict[str, Any], process: object) -> str:
    """The item of a span."""
    process = process if isinstance(process, dict) else {}
    tags = values(one.get("tags"))
    trace_id, span_id = one.get("traceId") or one.get("trace_id"), one.get("spanId") or one.get("span_id")
    parent, links = None, []
    for ref in objects(one.get("references")):
        above, its = ref.get("traceId") or ref.get("trace_id"), ref.get("spanId") or ref.get("span_id")
        if parent is None and ref.get("refType", ref.get("ref_type")) in CHILD and above == trace_id:
            parent = its
        else:
            links.append({"trace_id": above, "span_id": its})
    failed = tags.pop("error", None)
    start = one.get("startTime") or one.get("start_time")
    return span(
        attributes=tags,
        kind=tags.pop("span.kind", None),
        status=tags.pop("otel.status_code", None) or ("ERROR" if failed in (True, "true") else None),
        status_message=tags.pop("otel.status_description", None),
        events=[
            {"name": fields.pop("event", None), "time": log.get("timestamp"), "attributes": fields}
            for log in objects(one.get("logs"))
            for fields in (values(log.get("fields")),)
        ],
        name=one.get("operationName") or one.get("operation_name"),
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent,
        start=start,
        end=ended(start, one.get("duration")),
        service=process.get("serviceName") or process.get("service_name"),
        scope=tags.pop("otel.scope.name", None) or tags.pop("otel.library.name", None),
        resource=values(process.get("tags")) or None,
        links=links or None,
    )


def ended(start: object, long: object) -> str | None:
    """Start and duration together, in UTC; to the microsecond."""
    if not isinstance(start, str) or not isinstance(long, str):
        return None
    digits = long.rstrip("nuµms")
    try:
        begun = datetime.fromisoformat(start)
        done = begun + timedelta(microseconds=float(digits) * UNITS[long[len(digits) :]])
    except (ValueError, KeyError, OverflowError):
        return None
    return None if begun.tzinfo is None else done.astimezone(UTC).isoformat()


def values(tags: object) -> dict[str, Any]:
    """Tags as a mapping; of a repeated key the first wins. A value that is its type's default is left out by some."""
    found: dict[str, Any] = {}
    for tag in objects(tags):
        if isinstance(key := tag.get("key"), str) and key not in found:
            found[key] = next((tag[name] for name in TEXTS if name in tag), None)
    return found


def objects(listed: object) -> list[dict[str, Any]]:
    """The objects of a list; none if it is no list."""
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


FORMAT = Format(
    name="jaeger_proto",
    title="Jaeger spans (protobuf JSON)",
    layer="other",
    reference="https://github.com/jaegertracing/jaeger-idl/blob/main/proto/api_v2/model.proto",
    recognise=Recognise(
        any_of=(
            (("traceId",), ("trace_id",), ("spans", 0, "traceId"), ("spans", 0, "trace_id")),
            (("spanId",), ("span_id",), ("spans", 0, "spanId"), ("spans", 0, "span_id")),
            (("operationName",), ("operation_name",), ("spans", 0, "operationName"), ("spans", 0, "operation_name")),
            (("startTime",), ("start_time",), ("spans", 0, "startTime"), ("spans", 0, "start_time")),
            (("process", "serviceName"), ("process", "service_name")),
        )
    ),
    reshape=items,
    items="span",
    fields={},
    events=(),
    export="Jaeger's Kafka topic with `--kafka.producer.encoding=json`, read message by message.",
    limits="Ends are worked out from a duration, to the microsecond.",
)
