"""Portkey: rows of a logs export, and of the analytics store of a self-hosted gateway (the same names).

What to know of these rows: an export holds only the columns that were asked for; whole numbers may be written as
`200.0`. `trace_id` is the caller's, and may hold a session. The unit of `cost` differs (cents in exports): it is kept
as written and not as dollars. It is not said whether `created_at` is the start or the end.
"""

import polars as pl

from strataline.format import (
    Duration,
    Event,
    Format,
    Id,
    Recognise,
    Ref,
    filled,
    inside,
    number,
    path,
    present,
    truth,
    whole,
    words,
)

REQUEST, RESPONSE = path("request"), path("response")


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines, without the JSON around them."""
    quoted = pl.col(name).str.extract_all(r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"')
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined)


status = whole("status")
hit = pl.col("cache_status").str.to_lowercase().str.ends_with("hit").fill_null(value=False)

FORMAT = Format(
    name="portkey_logs",
    title="Portkey logs export and analytics rows",
    layer="model",
    reference="https://portkey.ai/docs/product/observability/logs-export",
    verified=True,
    export="Portkey app, Exports, Request Data (JSONL); or the analytics store of a self-hosted gateway.",
    limits="Only the requested columns; no guardrail results; retries are a count.",
    recognise=Recognise(
        keys=(("ai_org",), ("ai_model",), ("req_units",), ("res_units",)),
        any_of=((("response_status_code",), ("is_success",)), (("id",), ("trace_id",))),
    ),
    fields={
        "id": path("id"),
        "trace": path("trace_id"),
        "internal_trace": path("internal_trace_id"),
        "span": path("span_id"),
        "parent": path("parent_span_id"),
        "span_name": path("span_name"),
        "created": path("created_at"),
        "organisation": path("organisation_id"),
        "workspace": path("workspace_slug"),
        "user_id": path("user_id"),
        "sent_user": path("_user"),
        "meta_user": inside(path("metadata"), "_user"),
        "meta_session": inside(path("metadata"), "session_id"),
        "meta_request": inside(path("metadata"), "request_id"),
        "provider": path("ai_org"),
        "model": path("ai_model"),
        "tokens_in": path("req_units"),
        "tokens_out": path("res_units"),
        "cost": path("cost"),
        "currency": path("cost_currency"),
        "url": path("request_url"),
        "status": path("response_status_code"),
        "success": path("is_success"),
        "took": path("response_time"),
        "cache_status": path("cache_status"),
        "stream": path("stream_mode"),
        "retries": path("retry_success_count"),
        "config": path("config"),
        "config_id": path("config_id"),
        "option": path("last_used_option_index"),
        "prompt_slug": path("prompt_slug"),
        "prompt_version": path("prompt_version_id"),
        "version": path("gateway_version"),
        "messages": inside(REQUEST, "messages"),
        "request": REQUEST,
        "response": RESPONSE,
        "response_id": inside(RESPONSE, "id"),
        "served": inside(RESPONSE, "model"),
        "answer": inside(RESPONSE, "choices", 0, "message", "content"),
        "finish": inside(RESPONSE, "choices", 0, "finish_reason"),
    },
    time="created",
    columns={
        "service": pl.lit("portkey"),
        "span_id": filled("span"),
        "parent_id": filled("parent"),
        "user": filled("meta_user", "sent_user", "user_id"),
        "session": filled("meta_session"),
        "tenant": filled("organisation", "workspace"),
    },
    ids=(
        Id("call_id", filled("id")),
        Id("trace_id", filled("trace")),
        Id("trace_id", filled("internal_trace")),
        Id("response_id", pl.when(~hit).then(filled("response_id"))),
        Id("request_id", filled("meta_request")),
    ),
    # A hit repeats the answer, and its id, of the call that filled the cache.
    refs=(Ref("response_id", pl.when(hit).then(filled("response_id")), "cache_origin"),),
    events=(
        Event(
            kind="model.call",
            duration=Duration("took", "ms"),
            columns={
                "name": pl.coalesce(
                    filled("span_name"), pl.col("url").str.extract(r"^https?://[^/?]+(/[^?]*)", 1), pl.lit("request")
                ),
                "outcome": pl.when(status.eq(446))
                .then(pl.lit("blocked"))
                .when(status.is_in([408, 504]))
                .then(pl.lit("timeout"))
                .when(status.is_between(200, 299))
                .then(pl.lit("ok"))
                .when(status.is_not_null() | number("success").eq(0))
                .then(pl.lit("error"))
                .when(number("success").eq(1))
                .then(pl.lit("ok"))
                .otherwise(pl.lit("unknown")),
                "http_status": status,
                "input": pl.coalesce(_texts("messages"), filled("request")),
                "output": filled("answer", "response"),
                "content_state": pl.when(present("request")).then(pl.lit("full")).otherwise(pl.lit("absent")),
                "template_name": filled("prompt_slug"),
                "template_version": filled("prompt_version"),
                "requested_model": "model",
                "served_model": filled("served"),
                "provider": "provider",
                "response_id": filled("response_id"),
                "finish_reason": "finish",
                "input_tokens": whole("tokens_in"),
                "output_tokens": whole("tokens_out"),
                "cache": words("cache_status", {"hit": "hit", "semantic hit": "hit", "miss": "miss"}),
                "stream": pl.coalesce(number("stream").eq(1), truth("stream")),
            },
            attributes={
                "cost": "cost",
                "cost_currency": "currency",
                "retry_success_count": "retries",
                "config": filled("config_id", "config"),
                "last_used_option_index": "option",
                "gateway_version": "version",
            },
        ),
    ),
)
