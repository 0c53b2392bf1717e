"""OpenTelemetry log records: OTLP as JSON, and what the Python SDK's console exporter prints.

`timeUnixNano` may be absent or 0; then the time is the one at which the record was observed. An event of the gen_ai
conventions is written when the call ends, and reports the call of the span that it names. A record that a collector
read from a file holds the line of another log in its body, and says no more of it.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from strataline.format import (
    Event,
    Format,
    Id,
    Recognise,
    Ref,
    Time,
    Value,
    decode,
    encode,
    filled,
    number,
    path,
    present,
    whole,
)
from strataline.span import any_value, key_values

ROOTS = ("resourceLogs", "resource_logs")
SCOPES = ("scopeLogs", "scope_logs", "instrumentationLibraryLogs", "instrumentation_library_logs")
RECORDS = ("logRecords", "log_records", "logs")
HEARD = ("gen_ai.system_instructions", "gen_ai.input.messages")
DETAILS, EVALUATION = "gen_ai.client.inference.operation.details", "gen_ai.evaluation.result"
UNSET = (None, "", "0", 0)
"""Zeros are times that were not set."""
MESSAGE = r"^gen_ai\.(?:system|user|assistant|tool)\.message$"


def items(text: str) -> list[str]:
    """One item for each log record of the batch, or the one that was printed."""
    record = decode(text)
    batches = [one for root in ROOTS for one in objects(record, root)]
    if not batches:
        resource = record.get("resource")
        return [item(record, attributes(resource), record.get("instrumentation_scope"))]
    return [
        item(one, resource, scoped.get("scope") or scoped.get("instrumentationLibrary"))
        for batch in batches
        for resource in (attributes(batch.get("resource")),)
        for scoped in (one for name in SCOPES for one in objects(batch, name))
        for one in (one for name in RECORDS for one in objects(scoped, name))
    ]


def item(one: dict[str, Any], resource: dict[str, Any], scope: object) -> str:
    """The item of a log record, in any of its spellings."""
    given, body = attributes(one), one.get("body")
    # What is printed is plain JSON; a value of OTLP says its type.
    body = any_value(body) if "attributes" not in one or isinstance(one["attributes"], list) else body
    return encode(
        {
            "time": first(one, "timeUnixNano", "time_unix_nano", "timestamp"),
            "observed": first(one, "observedTimeUnixNano", "observed_time_unix_nano", "observed_timestamp"),
            "level": first(one, "severityText", "severity_text"),
            "severity": first(one, "severityNumber", "severity_number"),
            # Before it was a member of the record the event's name was an attribute.
            "event": first(one, "eventName", "event_name") or given.get("event.name"),
            "trace_id": first(one, "traceId", "trace_id"),
            "span_id": first(one, "spanId", "span_id"),
            "service": resource.get("service.name"),
            "service_version": resource.get("service.version"),
            "scope": scope.get("name") if isinstance(scope, dict) else None,
            "attributes": given,
            "heard": "\n\n".join(text for key in HEARD if key in given for text in texts(given[key])),
            "said": "\n\n".join(texts(given.get("gen_ai.output.messages"))),
            "body": body
            if isinstance(body, dict)
            else {"text": body if isinstance(body, str) else encode(body)}
            if body is not None
            else None,
        }
    )


def texts(messages: object) -> list[str]:
    """The texts of chat messages: a list, or the JSON text of one."""
    if isinstance(messages, str):
        try:
            messages = decode(messages)
        except ValueError:
            return [str(messages)]
    parts = [one for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []
    found: list[str] = []
    for one in parts:
        content = one.get("content")
        found += [content] if isinstance(content, str) else texts(one.get("parts"))
    return found


def first(one: dict[str, Any], *names: str) -> Any:
    """The first member that says something."""
    for name in names:
        value = one.get(name)
        if value not in UNSET:
            return value
    return None


def attributes(holder: object) -> dict[str, Any]:
    """The attributes of a resource or record: a list in OTLP, an object in what is printed."""
    listed = holder.get("attributes") if isinstance(holder, dict) else None
    return listed if isinstance(listed, dict) else key_values(listed)


def objects(holder: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """The objects of the list `name`; none if there is no such list."""
    listed = holder.get(name)
    return (one for one in listed if isinstance(one, dict)) if isinstance(listed, list) else iter(())


ATTRIBUTES = {
    "request": "request_id",
    "header": "http.request.header.x-request-id",
    "session": "session.id",
    "session_by_hand": "session_id",
    "conversation": "gen_ai.conversation.id",
    "user": "user.id",
    "user_by_hand": "user_id",
    "enduser": "enduser.id",
    "tenant": "tenant",
    "provider": "gen_ai.provider.name",
    "system": "gen_ai.system",
    "operation": "gen_ai.operation.name",
    "requested": "gen_ai.request.model",
    "served": "gen_ai.response.model",
    "response": "gen_ai.response.id",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "error_type": "error.type",
    "exception": "exception.type",
    "problem": "exception.message",
    "judge": "gen_ai.evaluation.name",
    "judged": "gen_ai.evaluation.score.value",
    "label": "gen_ai.evaluation.score.label",
    "url": "url.full",
    "browser": "browser.platform",
}
TOP = (
    "time",
    "observed",
    "level",
    "severity",
    "event",
    "trace_id",
    "span_id",
    "service",
    "service_version",
    "scope",
    "heard",
    "said",
)
BODY = {"text": "text", "message": "message", "msg": "msg", "content": "content", "page": "url", "title": "title"}

event = pl.col("event").fill_null("")
severity = whole("severity")
error = pl.coalesce("error_type", "exception")
# Severities from 17 on are errors. Written but lower ones say nothing of how the request ended.
outcome = (
    pl.when(error.str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(error.is_not_null() | (severity >= 17))
    .then(pl.lit("error"))
)
details, evaluated = event == DETAILS, event == EVALUATION
message, choice = event.str.contains(MESSAGE), event == "gen_ai.choice"
page, browser = event.is_in(["browser.page_view", "page_view"]), event.str.starts_with("browser.")
called: dict[str, Value] = {
    "requested_model": "requested",
    "served_model": "served",
    "provider": pl.coalesce("provider", "system"),
    "response_id": "response",
}
printed = (("severity_number",), ("severityNumber",))
scopes = [(root, 0, name) for root in ROOTS for name in SCOPES]

FORMAT = Format(
    name="otlp_logs",
    title="OpenTelemetry logs (OTLP JSON, SDK console)",
    layer="other",
    reference="https://opentelemetry.io/docs/specs/otel/logs/data-model/",
    versions=("opentelemetry-sdk 1.45.2", "opentelemetry-util-genai 1.3b0"),
    verified=True,
    recognise=Recognise(
        any_of=(
            (*((root,) for root in ROOTS), ("observed_timestamp",)),
            (*((root, 0) for root in ROOTS), ("severity_number",)),
            (*scopes, ("trace_flags",)),
            (*scopes, ("resource",)),
        )
    ),
    reshape=items,
    fields={name: path(name) for name in TOP}
    | {name: path("attributes", key) for name, key in ATTRIBUTES.items()}
    | {name: path("body", key) for name, key in BODY.items()}
    | {"finish": path("attributes", "gen_ai.response.finish_reasons", 0), "chosen": path("body", "finish_reason")}
    | {"spoken": path("body", "message", "content")},
    time=Time(filled("time", "observed")),
    observed="observed",
    columns={
        "name": pl.coalesce(filled("event"), pl.coalesce("text", "message", "msg").str.slice(0, 240)),
        "service": "service",
        "span_id": "span_id",
        "session": pl.coalesce(filled("session", "session_by_hand"), "conversation"),
        "user": filled("user", "user_by_hand", "enduser"),
        "tenant": "tenant",
        "outcome": outcome,
        "error_type": error,
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id("request_id", "request"),
        Id("request_id", pl.col("header").str.extract(r'^(?:\[\s*")?([^"\]]+)', 1)),
        Id("conversation", "conversation", role="group"),
    ),
    attributes={"level": "level", "scope": "scope", "service_version": "service_version", "error": "problem"},
    events=(
        Event(
            kind="model.call",
            layer="model",
            when=details,
            time_kind="end",
            columns={
                **called,
                "input": pl.when(present("heard")).then(pl.col("heard")),
                "output": pl.when(present("said")).then(pl.col("said")),
                "finish_reason": "finish",
                "input_tokens": whole("input_tokens"),
                "output_tokens": whole("output_tokens"),
                "outcome": outcome.fill_null(pl.when(present("response")).then(pl.lit("ok"))),
            },
            ids=(Id("response_id", "response"),),
            refs=(Ref("span_id", "span_id", "repeats"),),
            attributes={"operation": "operation"},
        ),
        Event(
            kind="model.log",
            layer="model",
            when=choice,
            columns={**called, "output": pl.coalesce("spoken", "message"), "finish_reason": "chosen"},
        ),
        Event(kind="prompt.message", layer="prompt", when=message, columns={**called, "input": "content"}),
        Event(
            kind="app.log",
            when=evaluated,
            columns={"score": number("judged"), "response_id": "response"},
            attributes={"evaluation": "judge", "label": "label"},
        ),
        Event(
            kind=pl.when(page).then(pl.lit("ui.pageview")).otherwise(pl.lit("ui.event")),
            layer="ui",
            when=page | browser,
            attributes={"url": pl.coalesce("url", "page"), "title": "title", "platform": "browser"},
        ),
        Event(kind="app.log", when=~(details | choice | message | evaluated | page | browser)),
    ),
    export="The collector's `file` exporter, an SDK's OTLP file exporter, or `ConsoleLogRecordExporter`.",
    limits="Content of model calls is there only if its capture was switched on; a printed record names no scope.",
)
