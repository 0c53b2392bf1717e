"""Phoenix: spans of its REST API, and rows of its spans dataframe (Parquet, CSV, JSON).

Times are UTC, µs at best. Phoenix opens JSON texts into dotted keys or structs (`metadata.request_id`): here `metadata`
and template variables are JSON texts again, as the span was sent. In CSV lists and objects are Python literals.
`span_kind` UNKNOWN is a span that said no kind. Exports stop at 1,000 (dataframe) or 100 spans (REST) unless told.
"""

import ast
from typing import Any

from strataline.format import Format, Recognise, decode, encode
from strataline.span import folded, span

COLUMN = "attributes."
TEXTS = ("metadata", "llm.prompt_template.variables")
"""Attributes that are JSON texts by the convention."""
SPOKEN = (".value", ".template", ".invocation_parameters")
"""Attributes that are texts, whatever they look like."""


def items(text: str) -> list[str]:
    """The one item of a span or row."""
    row = decode(text)
    context = row.get("context")
    if isinstance(context, dict):
        listed = row.get("attributes")
        given = listed if isinstance(listed, dict) else {}
    else:
        context = {"trace_id": row.get("context.trace_id"), "span_id": row.get("context.span_id")}
        cells = {key[len(COLUMN) :]: value for key, value in row.items() if key.startswith(COLUMN)}
        given = {key: value if key.endswith(SPOKEN) else literal(value) for key, value in cells.items()}
    attributes = closed(given)
    kind = row.get("span_kind")
    if kind and kind != "UNKNOWN":
        attributes.setdefault("openinference.span.kind", kind)
    events = literal(row.get("events"))
    return [
        span(
            attributes=attributes,
            status=row.get("status_code"),
            status_message=row.get("status_message"),
            events=[
                {"name": event.get("name"), "time": event.get("timestamp"), "attributes": given}
                for event in (events if isinstance(events, list) else ())
                if isinstance(event, dict) and isinstance(given := event.get("attributes") or {}, dict)
            ],
            name=row.get("name"),
            trace_id=context.get("trace_id"),
            span_id=context.get("span_id"),
            parent_id=row.get("parent_id"),
            start=row.get("start_time"),
            end=row.get("end_time"),
        )
    ]


def closed(given: dict[str, Any]) -> dict[str, Any]:
    """Attributes as they were sent: structs to dotted keys, JSON texts to one text each, numbered keys to lists."""
    made: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for key, value in given.items():
        head = next((one for one in TEXTS if key.startswith(one)), None) if key[:1] in ("m", "l") else None
        if value is None or key.endswith(".vector"):
            continue
        if key == "embedding.embeddings" and isinstance(value, list):
            value = [one.get("embedding.text") for one in value if isinstance(one, dict)]
            made["embedding.embeddings"] = [{"embedding.text": one} for one in value if one is not None]
        elif head is not None and len(key) > len(head) and key[len(head)] == ".":
            inner.setdefault(head, {})[key[len(head) + 1 :]] = value
        elif key == head and isinstance(value, dict):
            inner[head] = {name: one for name, one in value.items() if one is not None}
        elif isinstance(value, dict):
            made |= flat(key, value)
        else:
            made[key] = value
    return made | {head: encode(folded(value)) for head, value in inner.items() if head not in made}


def flat(head: str, value: dict[str, Any]) -> dict[str, Any]:
    """A struct as dotted keys; what is null is left out."""
    made: dict[str, Any] = {}
    for key, one in value.items():
        if isinstance(one, dict):
            made |= flat(f"{head}.{key}", one)
        elif one is not None:
            made[f"{head}.{key}"] = one
    return made


def literal(value: object) -> Any:
    """What a cell of CSV holds: the Python list or object that its text spells, else the text."""
    if not isinstance(value, str) or not value.startswith(("{'", "['", "[{'", '["')):
        return None if value == "" else value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


identity = (
    (("context", "trace_id"), ("context.trace_id",)),
    (("context", "span_id"), ("context.span_id",)),
)

FORMAT = Format(
    name="phoenix_spans",
    title="Phoenix spans (REST, dataframe)",
    layer="other",
    reference="https://arize.com/docs/phoenix/tracing/how-to-tracing/importing-and-exporting-traces/extract-data-from-spans",
    versions=("arize-phoenix 20.26.1",),
    verified=True,
    recognise=Recognise(
        keys=(("span_kind",), ("parent_id",), ("start_time",), ("status_code",), ("name",)), any_of=identity
    ),
    reshape=items,
    items="span",
    fields={},
    events=(),
    export="`Client().spans.get_spans_dataframe(limit=…)` written to a file, or GET /v1/projects/{project}/spans.",
    limits="The exported span names neither its service nor its instrumentation scope.",
)
