"""Cloudflare AI Gateway: logs as its API gives them (a list, or one log with the head of its bodies).

What to know of these logs: `id` is the caller's header `cf-aig-log-id`. It is not said whether `created_at` is the
start or the end. `metadata` is a JSON text in lists and an object in Workers; it keeps five entries and drops the
rest. The list has no bodies; one log has their heads, which may be cut. A fallback is a further log, with its `step`.
"""

import polars as pl

from strataline.format import (
    Duration,
    Event,
    Format,
    Id,
    Recognise,
    Ref,
    decode,
    encode,
    filled,
    inside,
    number,
    path,
    present,
    truth,
    whole,
)

META, ASKED, ANSWER = path("metadata"), path("request_head"), path("response_head")


def _logs(text: str) -> list[str]:
    """The logs of an answer of the API: it puts one, or a list, under `result`."""
    record = decode(text)
    found = record.get("result", record) if isinstance(record, dict) else []
    return [encode(one) for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]


def _marks(name: str) -> tuple[tuple[str | int, ...], ...]:
    return ((name,), ("result", name), ("result", 0, name))


status = whole("status_code")
cut = truth("asked_whole").not_() | truth("answer_whole").not_()
hit = truth("cached").fill_null(value=False)

FORMAT = Format(
    name="cloudflare_ai_gateway",
    title="Cloudflare AI Gateway logs (API)",
    layer="model",
    reference="https://developers.cloudflare.com/api/resources/ai_gateway/subresources/logs/methods/list/",
    verified=True,
    export="GET /accounts/{account}/ai-gateway/gateways/{gateway}/logs, and …/logs/{id} for the bodies.",
    limits="No id of the provider's request, no retries of one step, no guardrail verdicts.",
    recognise=Recognise(
        any_of=tuple(
            _marks(name) for name in ("tokens_in", "tokens_out", "cached", "duration", "path", "provider", "success")
        )
    ),
    reshape=_logs,
    fields={
        "id": path("id"),
        "event_id": path("event_id"),
        "created": path("created_at"),
        "duration": path("duration"),
        "provider": path("provider"),
        "model": path("model"),
        "model_type": path("model_type"),
        "route": path("path"),
        "success": path("success"),
        "status_code": path("status_code"),
        "cached": path("cached"),
        "tokens_in": path("tokens_in"),
        "tokens_out": path("tokens_out"),
        "cost": path("cost"),
        "custom_cost": path("custom_cost"),
        "step": path("step"),
        "metadata": META,
        "session": inside(META, "session_id"),
        "user": inside(META, "user_id"),
        "request": inside(META, "request_id"),
        "asked": ASKED,
        "answered": ANSWER,
        "asked_whole": path("request_head_complete"),
        "answer_whole": path("response_head_complete"),
        "messages": inside(ASKED, "messages"),
        "response_id": inside(ANSWER, "id"),
        "answer": inside(ANSWER, "choices", 0, "message", "content"),
        "finish": inside(ANSWER, "choices", 0, "finish_reason"),
    },
    time="created",
    columns={"service": pl.lit("cloudflare-ai-gateway"), "session": filled("session"), "user": filled("user")},
    ids=(
        Id("call_id", "id"),
        Id("event_uuid", "event_id"),
        Id("request_id", filled("request")),
        Id("response_id", pl.when(~hit).then(filled("response_id"))),
    ),
    # A hit repeats the answer, and its id, of the call that filled the cache.
    refs=(Ref("response_id", pl.when(hit).then(filled("response_id")), "cache_origin"),),
    events=(
        Event(
            kind="model.call",
            duration=Duration("duration", "ms"),
            columns={
                "name": "route",
                "outcome": pl.when(status.is_in([408, 504]))
                .then(pl.lit("timeout"))
                .when(truth("success"))
                .then(pl.lit("ok"))
                .when(truth("success").not_())
                .then(pl.lit("error"))
                .otherwise(pl.lit("unknown")),
                "http_status": pl.when(status > 0).then(status),
                "input": filled("messages", "asked"),
                "output": filled("answer", "answered"),
                "content_state": pl.when(cut)
                .then(pl.lit("truncated"))
                .when(present("asked"))
                .then(pl.lit("full"))
                .otherwise(pl.lit("absent")),
                "requested_model": "model",
                "provider": "provider",
                "response_id": filled("response_id"),
                "finish_reason": "finish",
                "input_tokens": whole("tokens_in"),
                "output_tokens": whole("tokens_out"),
                "cost_usd": number("cost"),
                "fallback": pl.when(whole("step") > 0).then(pl.col("model")),
                "cache": pl.when(truth("cached")).then(pl.lit("hit")).when(truth("cached").not_()).then(pl.lit("miss")),
            },
            attributes={
                "step": "step",
                "model_type": "model_type",
                "custom_cost": "custom_cost",
                "metadata": "metadata",
            },
        ),
    ),
)
