"""Langfuse: a trace with its observations (download of the trace page, API), and rows of its exports.

What to know of these records: the trace id is OpenTelemetry's where the SDK is new, and else any text. Texts may be
JSON inside JSON. `latency` is seconds on a trace and milliseconds on an observation, so only start and end are read.
Exports to a bucket write snake_case and naive times in UTC, and write a row again when it changed. Scores that came
with a trace are there as well: only those whose name speaks of feedback are taken for the user's word.
"""

import re
from typing import Any

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, decode, encode, filled, path, present, words

ASKED = ("messages", "contents", "query", "question", "prompt", "input")
SAID = ("content", "text", "answer", "response", "output")
DOCUMENT_ID = ("id", "doc_id", "document_id", "chunk_id", "node_id")
DOCUMENT_TEXT = ("page_content", "text", "content")
MEANING = {
    "allow": "allow", "allowed": "allow", "pass": "allow", "passed": "allow", "safe": "allow", "none": "allow",
    "block": "block", "blocked": "block", "deny": "block", "denied": "block", "redact": "redact", "masked": "redact",
    "flag": "flag", "flagged": "flag", "error": "error",
}  # fmt: skip


def _items(text: str) -> list[str]:
    """The trace, its observations and its scores; or the one row that the record is."""
    record = decode(text)
    if not isinstance(record, dict):
        return []
    if isinstance(record.get("trace"), dict):
        trace = record["trace"]
    elif "observations" not in record and ("parent_observation_id" in record or "parentObservationId" in record):
        return [encode(_observation(_camel(record), {}))]
    else:
        trace = _camel(record)
    below = record.get("observations")
    scores = trace.get("scores")
    items = [{**_context(trace), **_texts(trace), "is": "TRACE", "name": trace.get("name"), "traceId": trace.get("id"),
              "startTime": trace.get("timestamp")}]  # fmt: skip
    items += [_observation(one, trace) for one in (below if isinstance(below, list) else ()) if isinstance(one, dict)]
    items += [{**one, "is": "SCORE"} for one in (scores if isinstance(scores, list) else ()) if isinstance(one, dict)]
    return [encode(item) for item in items]


def _camel(row: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): value for name, value in row.items()}


def _opened(value: Any) -> Any:
    """What lies in a JSON text, of up to two layers; any other value as it is."""
    for _ in range(2):
        if not (isinstance(value, str) and value[:1] in ("{", "[", '"')):
            break
        try:
            value = decode(value)
        except (ValueError, RecursionError):
            break
    return value


def _object(value: Any) -> dict[str, Any]:
    opened = _opened(value)
    return opened if isinstance(opened, dict) else {}


def _context(trace: dict[str, Any]) -> dict[str, Any]:
    """What a trace says of all of its observations."""
    metadata = _object(trace.get("metadata"))
    names = ("sessionId", "userId", "release", "environment", "version")
    known = {name: trace.get(name) for name in names}
    service = _object(metadata.get("resourceAttributes")).get("service.name")
    attributes = _object(metadata.get("attributes"))
    return {
        **known,
        "service": service,
        "requestId": metadata.get("request_id") or attributes.get("langfuse.trace.metadata.request_id"),
    }


def _texts(one: dict[str, Any]) -> dict[str, Any]:
    return {"input": _text(_opened(one.get("input")), ASKED), "output": _text(_opened(one.get("output")), SAID)}


def _text(value: Any, names: tuple[str, ...]) -> str | None:
    """The readable text of an input or output: of messages their contents; of anything unknown the JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return "\n\n".join(value)
    if isinstance(value, list) and value and all(isinstance(one, dict) and "role" in one for one in value):
        parts = [_text(one.get("content"), names) for one in value]
        return "\n\n".join(part for part in parts if part)
    if isinstance(value, dict):
        choices = value.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            return _text(_object(choices[0].get("message")).get("content"), names)
        for name in names:
            if value.get(name):
                return _text(value[name], names)
    return encode(value)


def _documents(value: Any) -> list[dict[str, Any]] | None:
    """Documents of a retriever's output: a list of objects, or one below `documents`, `results` or the like."""
    if isinstance(value, dict):
        value = next((value[name] for name in ("documents", "results", "nodes", "hits") if name in value), None)
    if not isinstance(value, list):
        return None
    found = []
    for one in value:
        flat = {**_object(one.get("metadata")), **_object(one.get("node")), **one} if isinstance(one, dict) else {}
        name = next(
            (flat[key] for key in DOCUMENT_ID if flat.get(key) is not None), one if isinstance(one, str) else None
        )
        text = next((flat[key] for key in DOCUMENT_TEXT if isinstance(flat.get(key), str)), None)
        found.append({"id": name, "score": flat.get("score"), "text": text})
    return found


def _verdict(value: Any) -> str | None:
    """The word of a guardrail's output."""
    if not isinstance(value, dict):
        return value if isinstance(value, str) else None
    for name in ("action", "verdict", "decision", "result"):
        if isinstance(value.get(name), str):
            return str(value[name])
    for name, true, false in (
        ("blocked", "block", "allow"),
        ("flagged", "flag", "allow"),
        ("passed", "allow", "flag"),
    ):
        if isinstance(value.get(name), bool):
            return true if value[name] else false
    return None


def _observation(one: dict[str, Any], trace: dict[str, Any]) -> dict[str, Any]:
    metadata, made = _object(one.get("metadata")), _opened(one.get("output"))
    kind = str(one.get("type") or "SPAN").upper()
    usage = next((used for name in ("usageDetails", "usage") if (used := _object(one.get(name)))), {})
    attributes = _object(metadata.get("attributes"))
    context = _context(trace) if trace else _context({**one, "metadata": metadata})
    item = {
        **{name: value for name, value in context.items() if value is not None},
        **{name: value for name, value in one.items() if name not in ("metadata", "input", "output", "usage")},
        **_texts(one),
        "is": kind,
        "model": one.get("providedModelName") or one.get("model"),
        "totalCost": _object(one.get("costDetails")).get("total") or one.get("totalCost") or None,
        "inputTokens": usage.get("input"),
        "outputTokens": usage.get("output"),
        "modelParameters": _object(one.get("modelParameters")),
        "requestId": metadata.get("request_id") or context["requestId"],
        "responseId": made.get("id") if isinstance(made, dict) and kind == "GENERATION" else None,
        "served": made.get("model") if isinstance(made, dict) else None,
        "finish": attributes.get("gen_ai.response.finish_reasons"),
    }
    if isinstance(made, dict) and isinstance(made.get("choices"), list) and made["choices"]:
        item["finish"] = _object(made["choices"][0]).get("finish_reason")
    if kind == "RETRIEVER":
        item["documents"] = _documents(made)
    if kind == "GUARDRAIL":
        item["verdict"] = _verdict(made)
    return item


kind = pl.col("is")
observed = ~kind.is_in(["TRACE", "SCORE"])
failed = pl.col("level").eq("ERROR").fill_null(value=False)
outcome = (
    pl.when(failed & pl.col("status_message").str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(failed)
    .then(pl.lit("error"))
    .when(present("ended"))
    .then(pl.lit("ok"))
)
verdict = (
    words("verdict", MEANING, default="unknown").fill_null(pl.when(failed).then(pl.lit("error"))).fill_null("unknown")
)
by_user = pl.col("source").ne("EVAL") & pl.col("name").str.contains(r"(?i)feedback|thumb|rating|like|csat|vote")
response_id = pl.when(pl.col("response").str.contains(r"^(?:chatcmpl|cmpl|resp|msg|gen)[-_]")).then(pl.col("response"))
PARAMETERS = ("temperature", "top_p", "max_tokens", "seed")
LEFT = ["TRACE", "SCORE", "GENERATION", "RETRIEVER", "EMBEDDING", "GUARDRAIL"]

FORMAT = Format(
    name="langfuse_traces",
    title="Langfuse traces and observations",
    layer="other",
    reference="https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields",
    verified=True,
    export="Langfuse: the download button of a trace, GET /api/public/traces or /observations, or the blob export.",
    limits="Older traces call every step a SPAN; what was searched is then not told apart from other steps.",
    recognise=Recognise(
        any_of=(
            (("observations",), ("parentObservationId",), ("parent_observation_id",), ("bookmarked",)),
            (("trace", "id"), ("traceId",), ("trace_id",), ("htmlPath",), ("release",)),
            (("trace", "timestamp"), ("timestamp",), ("startTime",), ("start_time",)),
        )
    ),
    reshape=_items,
    fields={
        name: path(key)
        for name, key in {
            "is": "is",
            "id": "id",
            "trace_id": "traceId",
            "parent": "parentObservationId",
            "name": "name",
            "level": "level",
            "status_message": "statusMessage",
            "session": "sessionId",
            "user": "userId",
            "release": "release",
            "environment": "environment",
            "version": "version",
            "service": "service",
            "request": "requestId",
            "input": "input",
            "output": "output",
            "model": "model",
            "served": "served",
            "response": "responseId",
            "finish": "finish",
            "tokens_in": "inputTokens",
            "tokens_out": "outputTokens",
            "cost": "totalCost",
            "prompt_name": "promptName",
            "prompt_version": "promptVersion",
            "documents": "documents",
            "verdict": "verdict",
            "source": "source",
            "value": "value",
            "string_value": "stringValue",
            "data_type": "dataType",
            "comment": "comment",
            "about": "observationId",
            "started": "startTime",
            "ended": "endTime",
            "timestamp": "timestamp",
            "first_token": "completionStartTime",
        }.items()
    }
    | {name: path("modelParameters", name) for name in PARAMETERS},
    time="started",
    end="ended",
    time_kind="start",
    zone="UTC",
    columns={
        "name": pl.coalesce(filled("name"), "is"),
        "service": pl.when(~pl.col("service").str.starts_with("unknown_service"))
        .then(pl.col("service"))
        .otherwise(pl.lit("langfuse")),
        "span_id": pl.when(observed).then(pl.col("id")),
        "parent_id": filled("parent"),
        "session": filled("session"),
        "user": filled("user"),
        "outcome": outcome,
        "error_type": pl.when(failed).then(pl.col("status_message").str.extract(r"^([A-Za-z_][\w.]*)[:(]", 1)),
    },
    ids=(Id("trace_id", "trace_id"), Id("request_id", "request")),
    attributes={
        "type": "is",
        "release": filled("release"),
        "environment": "environment",
        "version": filled("version"),
        "error": pl.when(failed).then(pl.col("status_message").str.slice(0, 240)),
    },
    events=(
        Event(
            kind="model.call",
            layer="model",
            when=kind == "GENERATION",
            columns={
                "input": "input",
                "output": "output",
                "requested_model": "model",
                "served_model": "served",
                "response_id": response_id,
                "finish_reason": "finish",
                "input_tokens": "tokens_in",
                "output_tokens": "tokens_out",
                "cost_usd": "cost",
                "template_name": "prompt_name",
                "template_version": "prompt_version",
            },
            ids=(Id("response_id", response_id),),
            parameters={name: pl.when(pl.col(name) != "null").then(pl.col(name)) for name in PARAMETERS},
            attributes={"first_token_time": "first_token"},
        ),
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=kind == "RETRIEVER",
            columns={"input": "input"},
            documents=Documents("documents", id=("id",), score=("score",), text=("text",)),
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=kind == "EMBEDDING",
            columns={"input": "input", "embedding_model": "model", "input_tokens": "tokens_in", "cost_usd": "cost"},
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=kind == "GUARDRAIL",
            columns={
                "input": "input",
                "output": "output",
                "policy_name": "name",
                "policy_stage": pl.col("name").str.to_lowercase().str.extract(r"(input|output|retrieval|tool)", 1),
                "verdict": verdict,
                "outcome": pl.when(~failed & (verdict == "block")).then(pl.lit("blocked")).otherwise(outcome),
                "enforced": pl.when(verdict.is_in(["block", "redact"])).then(pl.lit(value=True)),
            },
        ),
        Event(
            kind="ui.feedback",
            layer="ui",
            when=(kind == "SCORE") & by_user,
            time="timestamp",
            time_kind="write",
            columns={
                "feedback": pl.when(pl.col("data_type") == "BOOLEAN")
                .then(words("value", {"1": "up", "1.0": "up", "0": "down", "0.0": "down"}, default="unknown"))
                .otherwise(pl.coalesce("string_value", "value")),
                "score": "value",
                "input": "comment",
                "parent_id": "about",
            },
            ids=(Id("event_uuid", "id"),),
            attributes={"source": "source"},
        ),
        # What a judge or an annotator said of the trace: no part of the turn.
        Event(
            kind="app.step",
            when=(kind == "SCORE") & ~by_user.fill_null(value=False),
            time="timestamp",
            time_kind="write",
            columns={"score": "value", "output": "comment", "parent_id": "about"},
            ids=(Id("event_uuid", "id"),),
            attributes={"source": "source", "value": pl.coalesce("string_value", "value")},
        ),
        # The trace itself, and agents, chains, tools, spans: a bridge between the layers of the product.
        Event(
            kind="app.step",
            when=(kind == "TRACE") | ~kind.is_in(LEFT),
            columns={"input": "input", "output": "output"},
        ),
    ),
)
