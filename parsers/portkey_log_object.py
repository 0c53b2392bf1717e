"""Portkey gateway: the log object that a self-hosted gateway puts into its log store, one per request.

What to know of these objects: `created_at` is when the answer was there (16 ms after the provider's last byte in the
sample), `responseTime` how long it took. Headers hold masked keys: none is read but trace, attempt and cache. The
trace id is the caller's, or one that the gateway made; callers put sessions there too.
"""

import polars as pl

from strataline.format import (
    Duration,
    Event,
    Format,
    Id,
    Recognise,
    Ref,
    Value,
    filled,
    inside,
    path,
    present,
    truth,
    whole,
    words,
)

ASKED, ANSWER = ("request", "body"), ("response", "body")
SENT, GOT = ("request", "portkeyHeaders"), ("response", "headers")


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines, without the JSON around them."""
    quoted = pl.col(name).str.extract_all(r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"')
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined)


status = whole("status")
# 246: a guardrail failed and the answer went out; 446: it was denied.
denied = status.eq(446).fill_null(value=False)
hook = {
    "check": path("id"),
    "passed": path("verdict"),
    "deny": path("deny"),
    "asynchronous": path("async"),
    "ran_ms": path("execution_time"),
    "decided": path("created_at"),
    "transformed": path("transformed"),
}
verdict: dict[str, Value] = {
    "name": "check",
    "policy_name": "check",
    "policy_mode": pl.when(truth("deny")).then(pl.lit("enforce")).when(truth("deny").not_()).then(pl.lit("monitor")),
    "verdict": pl.when(truth("transformed"))
    .then(pl.lit("redact"))
    .when(truth("passed"))
    .then(pl.lit("allow"))
    .when(truth("passed").not_() & truth("deny"))
    .then(pl.lit("block"))
    .when(truth("passed").not_())
    .then(pl.lit("flag"))
    .otherwise(pl.lit("unknown")),
    "enforced": pl.when(truth("passed").not_()).then(truth("deny")).when(truth("transformed")).then(pl.lit(value=True)),
    "outcome": pl.when(truth("passed").not_() & truth("deny")).then(pl.lit("blocked")).otherwise(pl.lit("ok")),
}
details = {"execution_ms": "ran_ms", "async": "asynchronous"}
hit = pl.col("cached").str.to_lowercase().str.ends_with("hit").fill_null(value=False)

FORMAT = Format(
    name="portkey_log_object",
    title="Portkey gateway log object (self-hosted log store)",
    layer="model",
    reference="https://portkey.ai/docs/product/enterprise-offering/private-cloud-deployments/architecture",
    verified=True,
    export="Read the objects of the gateway's log store (S3, GCS, Azure Blob or MongoDB: `LOG_STORE`).",
    limits="Attempts that the gateway repeated are a count in one object; bodies may be left out by its settings.",
    recognise=Recognise(
        keys=(
            ("request", "portkeyHeaders"),
            ("response", "responseTime"),
            ("response", "status"),
            ("organisation_id",),
            ("created_at",),
        )
    ),
    fields={
        "id": path("_id"),
        "organisation": path("organisation_id"),
        "created": path("created_at"),
        "url": path("request", "url"),
        "trace": path(*SENT, "x-portkey-trace-id"),
        "trace_back": path(*GOT, "x-portkey-trace-id"),
        "provider": path(*SENT, "x-portkey-provider"),
        "provider_2": inside(path(*SENT, "x-portkey-config"), "provider"),
        "sent_user": inside(path(*SENT, "x-portkey-metadata"), "_user"),
        "sent_session": inside(path(*SENT, "x-portkey-metadata"), "session_id"),
        "messages": path(*ASKED, "messages"),
        "prompt": path(*ASKED, "prompt"),
        "asked": path(*ASKED, "model"),
        "stream": path(*ASKED, "stream"),
        "temperature": path(*ASKED, "temperature"),
        "max_tokens": path(*ASKED, "max_tokens"),
        "end_user": path(*ASKED, "user"),
        "status": path("response", "status"),
        "took": path("response", "responseTime"),
        "option": path("response", "lastUsedOptionJsonPath"),
        "retries": path(*GOT, "x-portkey-retry-attempt-count"),
        "cached": path(*GOT, "x-portkey-cache-status"),
        "provider_request": path(*GOT, "x-request-id"),
        "provider_request_2": path(*GOT, "request-id"),
        "ray": path(*GOT, "cf-ray"),
        "response_id": path(*ANSWER, "id"),
        "served": path(*ANSWER, "model"),
        "answer": path(*ANSWER, "choices", 0, "message", "content"),
        "tool_calls": path(*ANSWER, "choices", 0, "message", "tool_calls"),
        "finish": path(*ANSWER, "choices", 0, "finish_reason"),
        "prompt_tokens": path(*ANSWER, "usage", "prompt_tokens"),
        "completion_tokens": path(*ANSWER, "usage", "completion_tokens"),
        "error_type": path(*ANSWER, "error", "type"),
        "error_code": path(*ANSWER, "error", "code"),
        "error": path(*ANSWER, "error", "message"),
        "before": path(*ANSWER, "hook_results", "before_request_hooks"),
        "after": path(*ANSWER, "hook_results", "after_request_hooks"),
    },
    time="created",
    time_kind="end",
    columns={
        "service": pl.lit("portkey"),
        "user": filled("end_user", "sent_user"),
        "session": filled("sent_session"),
        "tenant": "organisation",
    },
    ids=(
        Id("call_id", "id"),
        Id("trace_id", filled("trace", "trace_back")),
        Id("response_id", pl.when(~hit).then(pl.col("response_id"))),
        Id("provider_request_id", filled("provider_request", "provider_request_2")),
    ),
    # A hit repeats the answer, and its id, of the call that filled the cache.
    refs=(Ref("response_id", pl.when(hit).then(pl.col("response_id")), "cache_origin"),),
    events=(
        Event(
            kind="model.call",
            duration=Duration("took", "ms"),
            columns={
                "name": pl.col("url").str.extract(r"^https?://[^/?]+(/[^?]*)", 1),
                "outcome": pl.when(denied)
                .then(pl.lit("blocked"))
                .when(status.is_between(200, 299))
                .then(pl.lit("ok"))
                .when(status.is_in([408, 504]))
                .then(pl.lit("timeout"))
                .when(status.is_not_null())
                .then(pl.lit("error"))
                .otherwise(pl.lit("unknown")),
                "error_type": filled("error_type", "error_code"),
                "http_status": status,
                "input": pl.coalesce(_texts("messages"), filled("prompt")),
                "output": filled("answer", "tool_calls"),
                "content_state": pl.when(present("messages") | present("prompt"))
                .then(pl.lit("full"))
                .otherwise(pl.lit("absent")),
                "requested_model": "asked",
                "served_model": "served",
                "provider": filled("provider", "provider_2"),
                "response_id": "response_id",
                "finish_reason": "finish",
                "input_tokens": whole("prompt_tokens"),
                "output_tokens": whole("completion_tokens"),
                "attempt": pl.when(whole("retries") >= 0).then(whole("retries") + 1),
                "cache": words("cached", {"hit": "hit", "semantic hit": "hit", "miss": "miss", "disabled": "disabled"}),
                "stream": truth("stream"),
            },
            parameters={"temperature": "temperature", "max_tokens": "max_tokens"},
            attributes={
                "last_used_option": "option",
                "cache_status": "cached",
                "provider_cf_ray": "ray",
                "error": pl.col("error").str.slice(0, 240),
            },
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            each="before",
            fields=hook,
            time="decided",
            time_kind="write",
            columns={**verdict, "policy_stage": pl.lit("input")},
            attributes=details,
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            each="after",
            fields=hook,
            time="decided",
            time_kind="write",
            columns={**verdict, "policy_stage": pl.lit("output")},
            attributes=details,
        ),
    ),
)
