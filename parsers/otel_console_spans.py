"""Spans as the OpenTelemetry Python SDK prints them: `ConsoleSpanExporter`, `ReadableSpan.to_json`.

A span is printed when it ends, so children stand before their parents. Ids carry `0x`; times are ISO in UTC, µs.
"""

from typing import Any

from strataline.format import Format, Recognise, decode
from strataline.span import span


def items(text: str) -> list[str]:
    """The one item of a printed span."""
    one = decode(text)
    context, status, resource = objects(one, "context"), objects(one, "status"), objects(one, "resource")
    # Before 1.10 the attributes of the resource stood in the resource itself.
    resource = objects(resource, "attributes") or {key: value for key, value in resource.items() if "." in key}
    return [
        span(
            attributes=objects(one, "attributes"),
            kind=one.get("kind"),
            status=status.get("status_code"),
            status_message=status.get("description"),
            events=[
                {"name": event.get("name"), "time": event.get("timestamp"), "attributes": objects(event, "attributes")}
                for event in listed(one, "events")
            ],
            name=one.get("name"),
            trace_id=context.get("trace_id"),
            span_id=context.get("span_id"),
            parent_id=one.get("parent_id"),
            start=one.get("start_time"),
            end=one.get("end_time"),
            service=resource.get("service.name"),
            resource=resource or None,
            links=[
                {"trace_id": link.get("trace_id"), "span_id": link.get("span_id")}
                for link in (objects(link, "context") for link in listed(one, "links"))
            ]
            or None,
        )
    ]


def objects(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """The object `name`; an empty one if there is none."""
    found = holder.get(name)
    return found if isinstance(found, dict) else {}


def listed(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of the list `name`."""
    found = holder.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


FORMAT = Format(
    name="otel_console_spans",
    title="OpenTelemetry spans printed by the Python SDK",
    layer="other",
    reference="https://opentelemetry-python.readthedocs.io/en/latest/sdk/trace.export.html",
    versions=("opentelemetry-sdk 1.45.2",),
    verified=True,
    recognise=Recognise(
        keys=(("context", "trace_id"), ("context", "span_id"), ("parent_id",), ("start_time",), ("attributes",)),
        where=((("kind",), r"^SpanKind\.[A-Z]+$"),),
    ),
    reshape=items,
    items="span",
    fields={},
    events=(),
    export="`SimpleSpanProcessor(ConsoleSpanExporter())`, or `OTEL_TRACES_EXPORTER=console`; keep what is printed.",
    limits="The printed span names no instrumentation scope, so its dialect follows from its attributes alone.",
)
