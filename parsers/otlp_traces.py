"""OTLP traces as JSON: collector files, SDK file exporters, Tempo; any dialect of spans.

A record is a batch: children stand before their parents, and one trace lies over many records. Ids are hex in any
case, or base64 where protobuf's own JSON writer made them; times are ns since 1970, written as text or as numbers.
"""

from collections.abc import Iterator
from typing import Any

from strataline.format import Format, Recognise, decode
from strataline.span import key_values, otlp_spans, span

ROOTS = ("resourceSpans", "resource_spans", "batches")
SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans")
CAMEL = ("traceId", "spanId", "parentSpanId", "startTimeUnixNano", "endTimeUnixNano", "timeUnixNano")
SNAKE = ("trace_id", "span_id", "parent_span_id", "start_time_unix_nano", "end_time_unix_nano", "time_unix_nano")


def items(text: str) -> list[str]:
    """One item for each span of the batch."""
    by_the_letter = otlp_spans(text)
    return patient(text) if by_the_letter is None else by_the_letter


def patient(text: str) -> list[str]:
    """The same of a batch that is spelled otherwise, or repeats a key."""
    record = decode(text)
    made = []
    for holder in (record, record.get("trace")) if isinstance(record, dict) else ():
        for batch in (one for root in ROOTS for one in objects(holder, root)):
            resource = attributes(batch.get("resource"))
            service = resource.get("service.name")
            for scoped in (one for name in SCOPES for one in objects(batch, name)):
                scope = scoped.get("scope") or scoped.get("instrumentationLibrary") or {}
                name, version = (scope.get("name"), scope.get("version")) if isinstance(scope, dict) else (None, None)
                made += [item(one, service, name, version, resource) for one in objects(scoped, "spans")]
    return made


def item(one: dict[str, Any], service: object, scope: object, version: object, resource: dict[str, Any]) -> str:
    """The item of a span as OTLP writes it, in either spelling of the names."""
    get = one.get
    trace_id, span_id, parent_id, start, end, at = SNAKE if "span_id" in one else CAMEL
    status = get("status")
    code, said = (status.get("code"), status.get("message")) if isinstance(status, dict) else (status, None)
    started, ended = get(start), get(end)
    return span(
        attributes=attributes(one),
        kind=get("kind"),
        status=code,
        status_message=said,
        events=[
            {"name": event.get("name"), "time": event.get(at), "attributes": attributes(event)}
            for event in objects(one, "events")
        ],
        name=get("name"),
        trace_id=get(trace_id),
        span_id=get(span_id),
        parent_id=get(parent_id),
        # A zero is an unset time: a span that never ended.
        start=None if started in (0, "0") else started,
        end=None if ended in (0, "0") else ended,
        service=service,
        scope=scope,
        scope_version=version,
        resource=resource or None,
        links=[{"trace_id": link.get(trace_id), "span_id": link.get(span_id)} for link in objects(one, "links")]
        or None,
    )


def attributes(holder: object) -> dict[str, Any]:
    """The attributes of a resource, span or event; some writers give a plain object in place of the list."""
    listed = holder.get("attributes") if isinstance(holder, dict) else None
    return listed if isinstance(listed, dict) else key_values(listed)


def objects(holder: object, name: str) -> Iterator[dict[str, Any]]:
    """The objects of the list `name`; none if there is no such list."""
    listed = holder.get(name) if isinstance(holder, dict) else None
    return (one for one in listed if isinstance(one, dict)) if isinstance(listed, list) else iter(())


# Of the first batch, each level that every writer gives: "batches" alone would say little.
trees = [(*top, root) for root in ROOTS for top in ((), ("trace",))]
scopes = [(*tree, 0, name) for tree in trees for name in SCOPES]

FORMAT = Format(
    name="otlp_traces",
    title="OTLP traces (JSON)",
    layer="other",
    reference="https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding",
    versions=("opentelemetry-proto 1.x", "opentelemetry-exporter-otlp-json-file 0.66b1"),
    verified=True,
    recognise=Recognise(
        any_of=(
            tuple(trees),
            tuple((*tree, 0) for tree in trees),
            tuple(scopes),
            (*((*scope, 0, "spans") for scope in scopes), *((*tree, 0, "resource") for tree in trees)),
        )
    ),
    reshape=items,
    items="span",
    fields={},
    events=(),
    export="The collector's `file` exporter, an SDK's OTLP file exporter, Tempo's API, or an OTLP/HTTP JSON body.",
    limits="A sampled or dropped span leaves no trace of itself; content is there only if its capture was switched on.",
)
