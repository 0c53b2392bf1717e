"""Spans of the OpenTelemetry JavaScript SDK, written as JSON by a program's own exporter.

Two shapes: the span object itself (`spanContext`, times as a list of seconds and nanoseconds), and what
`ConsoleSpanExporter` prints (`timestamp` in µs, `duration`), where that was written as JSON. `kind` counts from 0 here.
"""

from typing import Any

from strataline.format import Format, Recognise, decode
from strataline.span import span

KINDS = ("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")


def items(text: str) -> list[str]:
    """The one item of a span."""
    one = decode(text)
    context, status = objects(one, "spanContext") or one, objects(one, "status")
    above, scope = objects(one, "parentSpanContext"), objects(one, "instrumentationScope")
    scope = scope or objects(one, "instrumentationLibrary")
    resource = objects(one, "resource")
    resource = objects(resource, "attributes") or objects(resource, "_attributes")
    kind, start, end = one.get("kind"), nanoseconds(one.get("startTime")), nanoseconds(one.get("endTime"))
    at, long = one.get("timestamp"), one.get("duration")
    if start is None and isinstance(at, (int, float)) and isinstance(long, (int, float)):
        start, end = round(at), round(at + long)
    return [
        span(
            attributes=objects(one, "attributes"),
            kind=KINDS[kind] if isinstance(kind, int) and 0 <= kind < len(KINDS) else None,
            status=status.get("code"),
            status_message=status.get("message"),
            events=[
                {
                    "name": event.get("name"),
                    "time": nanoseconds(event.get("time")),
                    "attributes": objects(event, "attributes"),
                }
                for event in listed(one, "events")
            ],
            name=one.get("name"),
            trace_id=context.get("traceId"),
            span_id=context.get("spanId") or one.get("id"),
            parent_id=one.get("parentSpanId") or above.get("spanId") or one.get("parentId"),
            start=start,
            end=end,
            service=resource.get("service.name"),
            scope=scope.get("name"),
            scope_version=scope.get("version"),
            resource=resource or None,
            links=[
                {"trace_id": link.get("traceId"), "span_id": link.get("spanId")}
                for link in (objects(link, "context") for link in listed(one, "links"))
            ]
            or None,
        )
    ]


def nanoseconds(time: object) -> int | None:
    """A time as `[seconds, nanoseconds]`."""
    if isinstance(time, list) and len(time) == 2 and all(isinstance(one, int) for one in time):
        return int(time[0]) * 10**9 + int(time[1])
    return None


def objects(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """The object `name`; an empty one if there is none."""
    found = holder.get(name)
    return found if isinstance(found, dict) else {}


def listed(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of the list `name`."""
    found = holder.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


FORMAT = Format(
    name="otel_js_spans",
    title="OpenTelemetry spans of the JavaScript SDK",
    layer="other",
    reference="https://open-telemetry.github.io/opentelemetry-js/interfaces/_opentelemetry_sdk-trace-base.ReadableSpan.html",
    versions=("ai 6.0.68 (Vercel AI SDK)",),
    verified=True,
    recognise=Recognise(
        keys=(("name",), ("attributes",), ("status", "code"), ("events",)),
        any_of=(
            (("spanContext", "traceId"), ("traceId",)),
            (("spanContext", "spanId"), ("id",)),
            (("startTime", 1), ("timestamp",)),
            (("endTime", 1), ("duration",)),
        ),
    ),
    reshape=items,
    items="span",
    fields={},
    events=(),
    export="A span exporter of your own that writes `JSON.stringify(span)`, or the console exporter's object as JSON.",
    limits="JSON made of a span keeps its parent, kind and resource only where the program wrote them.",
)
