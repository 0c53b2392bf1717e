"""MLflow traces, one JSON object each (`Trace.to_json`): what is known of the trace, and its spans.

Every value of a span's attributes is a JSON text: strings are given as they are here, lists and objects stay texts.
What is known of the trace (client's request id, session, user, tags) stands in the resource of each of its spans.
Traces of schema 2 name their ids, times and status otherwise; both are read.
"""

from typing import Any

from strataline.format import Format, Recognise, decode
from strataline.span import span

KNOWN = {
    "trace_id": "mlflow.trace_id",
    "request_id": "mlflow.trace_id",
    "client_request_id": "mlflow.client_request_id",
    "experiment_id": "mlflow.experiment_id",
}
"""What is known of a trace → the name it has in the resource."""

AGAIN = (
    "mlflow.traceInputs",
    "mlflow.traceOutputs",
    "mlflow.trace.size",
    "mlflow.trace.infoFinalized",
    "mlflow.trace.spansLocation",
    "mlflow.trace_schema",
    "mlflow.source.",
    "mlflow.artifactLocation",
    "mlflow.user",
)
"""How entries begin that repeat the root span, or describe the machine that wrote the trace."""


def items(text: str) -> list[str]:
    """One item for each span of the trace."""
    record = decode(text)
    info, data = record.get("info"), record.get("data")
    spans = data.get("spans") if isinstance(data, dict) else None
    resource = known(info) if isinstance(info, dict) else {}
    return [item(one, resource) for one in (spans if isinstance(spans, list) else ()) if isinstance(one, dict)]


def known(info: dict[str, Any]) -> dict[str, Any]:
    """The resource: what is known of the trace."""
    found = {name: info[key] for key, name in KNOWN.items() if info.get(key)}
    place = info.get("trace_location")
    experiment = place.get("mlflow_experiment") if isinstance(place, dict) else None
    if isinstance(experiment, dict):
        found["mlflow.experiment_id"] = experiment.get("experiment_id")
    for name in ("trace_metadata", "request_metadata", "tags"):
        entries = info.get(name)
        for key, value in entries.items() if isinstance(entries, dict) else ():
            if not key.startswith(AGAIN) and value != "":
                found.setdefault(key, value)
    return found


def item(one: dict[str, Any], resource: dict[str, Any]) -> str:
    """The item of a span of either schema."""
    context, status, events = one.get("context"), one.get("status"), one.get("events")
    context = context if isinstance(context, dict) else one
    status = (
        status if isinstance(status, dict) else {"code": one.get("status_code"), "message": one.get("status_message")}
    )
    attributes = {key: plain(value) for key, value in objects(one, "attributes").items()}
    if attributes.get("mlflow.spanType") == "EMBEDDING":
        attributes.pop("mlflow.spanOutputs", None)  # vectors
    return span(
        attributes=attributes,
        status=status.get("code"),
        status_message=status.get("message"),
        events=[
            {
                "name": event.get("name"),
                "time": event.get("time_unix_nano") or event.get("timestamp"),
                "attributes": objects(event, "attributes"),
            }
            for event in (events if isinstance(events, list) else ())
            if isinstance(event, dict)
        ],
        name=one.get("name"),
        trace_id=context.get("trace_id"),
        span_id=context.get("span_id"),
        parent_id=one.get("parent_span_id") or one.get("parent_id"),
        start=one.get("start_time_unix_nano") or one.get("start_time"),
        end=one.get("end_time_unix_nano") or one.get("end_time"),
        resource=resource or None,
    )


def objects(holder: dict[str, Any], name: str) -> dict[str, Any]:
    """The object `name`; an empty one if there is none."""
    found = holder.get(name)
    return found if isinstance(found, dict) else {}


def plain(value: object) -> object:
    """The value of an attribute; of a JSON text that is a string, the string."""
    if isinstance(value, str) and value[:1] == '"' == value[-1:]:
        return value[1:-1] if "\\" not in value else decode(value)
    return value


FORMAT = Format(
    name="mlflow_traces",
    title="MLflow traces",
    layer="other",
    reference="https://mlflow.org/docs/latest/genai/tracing/",
    versions=("mlflow 3.17.2",),
    verified=True,
    recognise=Recognise(
        keys=(("data", "spans"),),
        any_of=((("info", "trace_id"), ("info", "request_id")), (("info", "request_time"), ("info", "timestamp_ms"))),
    ),
    reshape=items,
    items="span",
    fields={},
    events=(),
    export='`mlflow.search_traces(return_type="list")`, then `trace.to_json()` of each, one a line.',
    limits="A trace that was cut off has no end; assessments of the trace are not read.",
)
