"""Jaeger: traces of its query API and UI, and single span documents (Elasticsearch, anonymizer).

Times are µs since 1970. The query API may have moved a span to fit its parent (see the span's warnings; `raw=true`
asks for the times as sent). An id may lack leading zeros, and a client and its server may share one span id. A parent
is named by a CHILD_OF reference into the same trace; other references are links.
"""

from typing import Any

from strataline.format import Format, Recognise, decode
from strataline.span import span

KINDS = {"client": "CLIENT", "server": "SERVER", "internal": "INTERNAL", "producer": "PRODUCER", "consumer": "CONSUMER"}


def items(text: str) -> list[str]:
    """One item for each span of the trace, or the one of a span document."""
    record = decode(text)
    if "spanID" in record:
        return [item(record, record.get("process"))]
    processes = record.get("processes")
    processes = processes if isinstance(processes, dict) else {}
    spans = record.get("spans")
    # Where the UI enriched a trace, a span holds its process, and copies of other spans among its references.
    return [
        item(one, processes.get(str(one.get("processID"))) or one.get("process"))
        for one in (spans if isinstance(spans, list) else ())
        if isinstance(one, dict)
    ]


def item(one: dict[str, Any], process: object) -> str:
    """The item of a span."""
    process = process if isinstance(process, dict) else {}
    tags = values(one)
    trace_id, start, long = one.get("traceID"), one.get("startTime"), one.get("duration")
    parent, links = family(one, trace_id)
    failed = tags.pop("error", None)
    if warnings := one.get("warnings"):
        tags["jaeger.warnings"] = warnings
    scope = tags.pop("otel.scope.name", None) or tags.pop("otel.library.name", None)
    version = tags.pop("otel.scope.version", None) or tags.pop("otel.library.version", None)
    status = tags.pop("otel.status_code", None)
    return span(
        attributes=tags,
        kind=KINDS.get(str(tags.pop("span.kind", None)).lower()),
        status=status or ("ERROR" if failed in (True, "true") else None),
        status_message=tags.pop("otel.status_description", None),
        events=events(one),
        name=one.get("operationName"),
        trace_id=trace_id,
        span_id=one.get("spanID"),
        parent_id=parent,
        start=start,
        end=start + long if isinstance(start, int) and isinstance(long, int) else None,
        service=process.get("serviceName"),
        scope=scope,
        scope_version=version,
        resource=values(process) or None,
        links=links or None,
    )


def family(one: dict[str, Any], trace_id: object) -> tuple[Any, list[dict[str, Any]]]:
    """The parent's id, and the other spans that are referred to."""
    parent, links = one.get("parentSpanID"), []
    references = one.get("references")
    for ref in references if isinstance(references, list) else ():
        if isinstance(ref, dict):
            if not parent and ref.get("refType") == "CHILD_OF" and ref.get("traceID") == trace_id:
                parent = ref.get("spanID")
            else:
                links.append({"trace_id": ref.get("traceID"), "span_id": ref.get("spanID")})
    return parent, links


def events(one: dict[str, Any]) -> list[dict[str, Any]]:
    """The logs of a span: a field `event` is the name, the others its attributes."""
    made = []
    logs = one.get("logs")
    for log in logs if isinstance(logs, list) else ():
        if isinstance(log, dict):
            fields = values({"tags": log.get("fields")})
            name = fields.pop("event", None)
            if name == "error" and "error.kind" in fields:
                # OpenTracing's words for an exception.
                name = "exception"
                fields |= {"exception.type": fields.get("error.kind"), "exception.message": fields.get("message")}
            made.append({"name": name, "time": log.get("timestamp"), "attributes": fields})
    return made


def values(holder: dict[str, Any]) -> dict[str, Any]:
    """Tags as a mapping; of a repeated key the first wins. Truth may be written as text."""
    found: dict[str, Any] = {}
    tags = holder.get("tags")
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, dict) and isinstance(key := tag.get("key"), str) and key not in found:
            value = tag.get("value")
            found[key] = value == "true" if tag.get("type") == "bool" and isinstance(value, str) else value
    # Elasticsearch may hold chosen tags as fields, their dots written as another sign.
    plain = holder.get("tag")
    for key, value in plain.items() if isinstance(plain, dict) else ():
        found.setdefault(key.replace("@", "."), value)
    return found


FORMAT = Format(
    name="jaeger_traces",
    title="Jaeger traces and spans (JSON)",
    layer="other",
    reference="https://www.jaegertracing.io/docs/latest/architecture/apis/",
    verified=True,
    recognise=Recognise(
        keys=(("traceID",),),
        any_of=(
            (("spans", 0, "spanID"), ("spanID",)),
            (("spans", 0, "operationName"), ("operationName",)),
            (("spans", 0, "startTime"), ("startTime",)),
            (("processes",), ("process",)),
        ),
    ),
    reshape=items,
    items="span",
    fields={},
    events=(),
    export="Download in Jaeger's UI, GET /api/traces?raw=true&…, or the span documents of Elasticsearch.",
    limits="A trace from the query API may hold times that Jaeger moved; the span's warnings are the only sign of it.",
)
