"""Helicone: requests as its export tool and its query API write them, one object per gateway call.

What to know of these rows: bodies are objects or JSON texts, and missing without `--include-body`. The times of the
ClickHouse variant are UTC and do not say so. A status below zero is Helicone's own (-1 timeout, -2 pending,
-3 cancelled, -4 threat). `threat` is null where nothing looked.
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

REQUEST, RESPONSE, PROPERTIES = path("request_body"), path("response_body"), path("request_properties")


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines, without the JSON around them."""
    quoted = pl.col(name).str.extract_all(r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"')
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined)


status = whole("status")
hit = truth("cached").fill_null(value=False)

FORMAT = Format(
    name="helicone_requests",
    title="Helicone requests (export tool or query API)",
    layer="model",
    reference="https://docs.helicone.ai/rest/request/post-v1requestquery-clickhouse",
    verified=False,
    export="`npx @helicone/export --include-body`, or POST /v1/request/query-clickhouse.",
    limits="Retries inside the gateway are not told apart; the CSV of the export tool has no request id.",
    recognise=Recognise(
        keys=(("request_created_at",),),
        any_of=(
            (("request_properties",), ("helicone_user",), ("signed_body_url",)),
            (("response_body",), ("response_status",), ("response_created_at",)),
            (("request_id",), ("response_id",)),
        ),
    ),
    fields={
        "id": path("request_id"),
        "response_ref": path("response_id"),
        "created": path("request_created_at"),
        "answered": path("response_created_at"),
        "delay": path("delay_ms"),
        "latency": path("latency"),
        "first_token": path("time_to_first_token"),
        "route": path("request_path"),
        "status": path("response_status"),
        "user": path("request_user_id"),
        "organisation": path("helicone_org_id"),
        "session": inside(PROPERTIES, "Helicone-Session-Id"),
        "session_path": inside(PROPERTIES, "Helicone-Session-Path"),
        "app_request": inside(PROPERTIES, "request_id"),
        "properties": PROPERTIES,
        "prompt_name": path("prompt_id"),
        "asked": path("request_model"),
        "model": path("model"),
        "override": path("model_override"),
        "served": path("response_model"),
        "provider": path("provider"),
        "cached": path("cached"),
        "tokens_in": path("prompt_tokens"),
        "tokens_out": path("completion_tokens"),
        "cost": path("costUSD"),
        "cost_2": path("cost_usd"),
        "cost_3": path("cost"),
        "threat": path("threat"),
        "rating": path("feedback_rating"),
        "rated": path("feedback_created_at"),
        "rating_id": path("feedback_id"),
        "request": REQUEST,
        "response": RESPONSE,
        "body_url": path("signed_body_url"),
        "messages": inside(REQUEST, "messages"),
        "body_model": inside(REQUEST, "model"),
        "stream": inside(REQUEST, "stream"),
        "temperature": inside(REQUEST, "temperature"),
        "max_tokens": inside(REQUEST, "max_tokens"),
        "provider_response": inside(RESPONSE, "id"),
        "answer": inside(RESPONSE, "choices", 0, "message", "content"),
        "blocks": inside(RESPONSE, "content"),
        "finish": inside(RESPONSE, "choices", 0, "finish_reason"),
        "error_type": inside(RESPONSE, "error", "type"),
        "error": inside(RESPONSE, "error", "message"),
    },
    time="created",
    end="answered",
    time_kind="start",
    zone="UTC",
    columns={
        "service": pl.lit("helicone"),
        "session": filled("session"),
        "user": filled("user"),
        "tenant": filled("organisation"),
    },
    ids=(
        Id("call_id", filled("id")),
        Id("response_id", pl.when(~hit).then(filled("provider_response"))),
        Id("request_id", filled("app_request")),
    ),
    # A hit repeats the answer, and its id, of the call that filled the cache.
    refs=(Ref("response_id", pl.when(hit).then(filled("provider_response")), "cache_origin"),),
    events=(
        Event(
            kind="model.call",
            duration=Duration(pl.coalesce("delay", "latency"), "ms"),
            ids=(Id("helicone_response_id", filled("response_ref")),),
            columns={
                "name": pl.coalesce(filled("route"), pl.lit("request")),
                "outcome": pl.when(status.is_between(200, 299))
                .then(pl.lit("ok"))
                .when(status.is_in([-1, 408, 504]))
                .then(pl.lit("timeout"))
                .when(status.eq(-3))
                .then(pl.lit("cancelled"))
                .when(status.eq(-4))
                .then(pl.lit("blocked"))
                .when(status > 0)
                .then(pl.lit("error"))
                .otherwise(pl.lit("unknown")),
                "error_type": filled("error_type"),
                "http_status": pl.when(status > 0).then(status),
                "input": pl.coalesce(_texts("messages"), filled("request")),
                "output": pl.coalesce(filled("answer"), _texts("blocks"), filled("response")),
                "content_state": pl.when(present("request")).then(pl.lit("full")).otherwise(pl.lit("absent")),
                "template_name": filled("prompt_name"),
                "requested_model": filled("asked", "body_model", "model"),
                "served_model": filled("override", "served"),
                "provider": pl.col("provider").str.to_lowercase(),
                "response_id": filled("provider_response"),
                "finish_reason": "finish",
                "input_tokens": whole("tokens_in"),
                "output_tokens": whole("tokens_out"),
                "cost_usd": pl.coalesce(number("cost"), number("cost_2"), number("cost_3")),
                "cache": pl.when(truth("cached")).then(pl.lit("hit")).when(truth("cached").not_()).then(pl.lit("miss")),
                "stream": truth("stream"),
            },
            parameters={"temperature": "temperature", "max_tokens": "max_tokens"},
            attributes={
                "properties": "properties",
                "session_path": "session_path",
                "time_to_first_token_ms": "first_token",
                "body_elsewhere": pl.when(present("body_url")).then(pl.lit("true")),
                "error": pl.col("error").str.slice(0, 240),
            },
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=truth("threat").is_not_null(),
            columns={
                "name": pl.lit("threat"),
                "policy_name": pl.lit("Helicone security"),
                "policy_stage": pl.lit("input"),
                "verdict": pl.when(status.eq(-4) & truth("threat"))
                .then(pl.lit("block"))
                .otherwise(words("threat", {"true": "flag", "1": "flag", "false": "allow", "0": "allow"})),
                "enforced": pl.when(truth("threat")).then(status.eq(-4)),
            },
        ),
        Event(
            kind="ui.feedback",
            layer="ui",
            when=present("rating"),
            time="rated",
            end="rated",
            time_kind="write",
            ids=(Id("event_uuid", filled("rating_id")),),
            columns={
                "name": pl.lit("feedback"),
                "feedback": pl.when(truth("rating")).then(pl.lit("up")).otherwise(pl.lit("down")),
            },
        ),
    ),
)
