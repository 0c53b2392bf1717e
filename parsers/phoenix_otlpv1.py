"""Single OTLP spans with no resource around them, as Phoenix's `/spans/otlpv1` gives them.

Names are snake_case and every member of a value is there, most of them null. Times were µs before they became ns:
their last digits are a float's, not the clock's. Phoenix opens JSON texts into dotted keys: `metadata` and template
variables are JSON texts again here, as the span was sent.
"""

from typing import Any

from strataline.format import Format, Recognise, decode, encode
from strataline.span import folded, key_values, span

TEXTS = ("metadata", "llm.prompt_template.variables")
"""Attributes that are JSON texts by the convention."""


def items(text: str) -> list[str]:
    """The one item of a span."""
    one = decode(text)
    status = one.get("status")
    code, said = (status.get("code"), status.get("message")) if isinstance(status, dict) else (status, None)
    return [
        span(
            attributes=closed(key_values(one.get("attributes"))),
            kind=one.get("kind"),
            status=code,
            status_message=said,
            events=[
                {
                    "name": event.get("name"),
                    "time": event.get("time_unix_nano"),
                    "attributes": key_values(event.get("attributes")),
                }
                for event in listed(one, "events")
            ],
            name=one.get("name"),
            trace_id=one.get("trace_id"),
            span_id=one.get("span_id"),
            parent_id=one.get("parent_span_id"),
            start=one.get("start_time_unix_nano"),
            end=one.get("end_time_unix_nano"),
            links=[{"trace_id": link.get("trace_id"), "span_id": link.get("span_id")} for link in listed(one, "links")]
            or None,
        )
    ]


def closed(given: dict[str, Any]) -> dict[str, Any]:
    """Attributes as they were sent: the dotted keys of a JSON text are one text again."""
    made: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for key, value in given.items():
        head = next((one for one in TEXTS if key.startswith(one + ".")), None) if key[:1] in ("m", "l") else None
        if head is not None:
            inner.setdefault(head, {})[key[len(head) + 1 :]] = value
        elif not key.endswith(".vector"):
            made[key] = value
    return made | {head: encode(folded(value)) for head, value in inner.items() if head not in made}


def listed(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of the list `name`."""
    found = holder.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


FORMAT = Format(
    name="phoenix_otlpv1",
    title="Phoenix spans (otlpv1)",
    layer="other",
    reference="https://arize.com/docs/phoenix/sdk-api-reference/rest-api/api-reference/spans/search-spans-with-simple-filters-no-dsl",
    versions=("arize-phoenix 20.26.1",),
    verified=True,
    recognise=Recognise(
        keys=(("trace_id",), ("span_id",), ("start_time_unix_nano",), ("end_time_unix_nano",), ("attributes",))
    ),
    reshape=items,
    items="span",
    fields={},
    events=(),
    export="GET /v1/projects/{project}/spans/otlpv1 of a Phoenix server, page by page (`next_cursor`).",
    limits="Resource and scope of the span are left out; its times are exact to the microsecond at best.",
)
