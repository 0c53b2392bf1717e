"""Spans as the OpenTelemetry Go SDK prints them (`stdouttrace`).

A span is printed when it ends. Times carry the program's offset. A parent of zeros is none. With the exporter's
`WithoutTimestamps` all times are of the year 1, which is no time.
"""

from typing import Any

from strataline.format import Format, Recognise, decode
from strataline.span import span

ZEROS = "0000000000000000"


def items(text: str) -> list[str]:
    """The one item of a printed span."""
    one = decode(text)
    context, above, status = objects(one, "SpanContext"), objects(one, "Parent"), objects(one, "Status")
    scope = objects(one, "InstrumentationScope") or objects(one, "InstrumentationLibrary")
    resource = values(one.get("Resource"))
    parent = above.get("SpanID")
    return [
        span(
            attributes=values(one.get("Attributes")),
            kind=one.get("SpanKind"),
            status=status.get("Code"),
            status_message=status.get("Description"),
            events=[
                {"name": event.get("Name"), "time": event.get("Time"), "attributes": values(event.get("Attributes"))}
                for event in listed(one.get("Events"))
            ],
            name=one.get("Name"),
            trace_id=context.get("TraceID"),
            span_id=context.get("SpanID"),
            parent_id=None if parent == ZEROS else parent,
            start=stated(one.get("StartTime")),
            end=stated(one.get("EndTime")),
            service=resource.get("service.name"),
            scope=scope.get("Name"),
            scope_version=scope.get("Version"),
            resource=resource or None,
            links=[
                {"trace_id": link.get("TraceID"), "span_id": link.get("SpanID")}
                for link in (objects(link, "SpanContext") for link in listed(one.get("Links")))
            ]
            or None,
        )
    ]


def stated(time: object) -> object:
    """A time; Go's zero is none."""
    return None if isinstance(time, str) and time.startswith("0001-") else time


def values(pairs: object) -> dict[str, Any]:
    """Attributes as a mapping; of a repeated key the first wins."""
    found: dict[str, Any] = {}
    for pair in listed(pairs):
        if isinstance(key := pair.get("Key"), str) and key not in found:
            found[key] = objects(pair, "Value").get("Value")
    return found


def objects(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """The object `name`; an empty one if there is none."""
    found = holder.get(name)
    return found if isinstance(found, dict) else {}


def listed(found: object) -> list[dict[str, Any]]:
    """The objects of a list; none where it is no list."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


FORMAT = Format(
    name="otel_go_spans",
    title="OpenTelemetry spans printed by the Go SDK",
    layer="other",
    reference="https://pkg.go.dev/go.opentelemetry.io/otel/exporters/stdout/stdouttrace",
    recognise=Recognise(
        keys=(
            ("Name",),
            ("SpanContext", "TraceID"),
            ("SpanContext", "SpanID"),
            ("SpanKind",),
            ("StartTime",),
            ("EndTime",),
        )
    ),
    reshape=items,
    items="span",
    fields={},
    events=(),
    export="`stdouttrace.New()` as the program's span exporter; keep what is printed.",
    limits="Spans that were not ended are not printed.",
)
