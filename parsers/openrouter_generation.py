"""OpenRouter: what its API knows of one generation, with the attempts at its providers.

What to know of these records: `gen-…` is the id that the caller saw in the completion, `upstream_id` the provider's.
`latency` is the time to the first token; it is not said whether `created_at` is the start or the end.
`native_tokens_*` are billed, `tokens_*` are counted alike for all models: the native ones are taken.
"""

import polars as pl

from strataline.format import (
    Duration,
    Event,
    Format,
    Id,
    Recognise,
    decode,
    encode,
    filled,
    number,
    path,
    truth,
    whole,
)


def _generations(text: str) -> list[str]:
    """The generation, which an answer of the API puts under `data`."""
    record = decode(text)
    found = record.get("data", record) if isinstance(record, dict) else None
    return [encode(found)] if isinstance(found, dict) else []


def _marks(name: str) -> tuple[tuple[str, ...], ...]:
    return ((name,), ("data", name))


attempt_status = whole("attempt_status")

FORMAT = Format(
    name="openrouter_generation",
    title="OpenRouter generation",
    layer="model",
    reference="https://openrouter.ai/docs/api-reference/get-a-generation",
    verified=True,
    export="GET https://openrouter.ai/api/v1/generation?id=gen-… for each generation.",
    limits="No texts; one record per generation that you know the id of.",
    recognise=Recognise(
        any_of=tuple(
            _marks(name) for name in ("native_tokens_prompt", "tokens_prompt", "upstream_id", "generation_time")
        )
    ),
    reshape=_generations,
    fields={
        "id": path("id"),
        "request_id": path("request_id"),
        "upstream": path("upstream_id"),
        "session": path("session_id"),
        "user": path("external_user"),
        "workspace": path("workspace_id"),
        "created": path("created_at"),
        "api": path("api_type"),
        "model": path("model"),
        "router": path("router"),
        "provider": path("provider_name"),
        "attempts": path("provider_responses"),
        "tokens_in": path("native_tokens_prompt"),
        "tokens_out": path("native_tokens_completion"),
        "counted_in": path("tokens_prompt"),
        "counted_out": path("tokens_completion"),
        "reasoning": path("native_tokens_reasoning"),
        "cached_tokens": path("native_tokens_cached"),
        "cost": path("total_cost"),
        "finish": path("finish_reason"),
        "native_finish": path("native_finish_reason"),
        "streamed": path("streamed"),
        "cancelled": path("cancelled"),
        "latency": path("latency"),
        "generation_time": path("generation_time"),
        "moderation": path("moderation_latency"),
        "own_key": path("is_byok"),
        "preset": path("preset_id"),
    },
    time="created",
    columns={
        "service": pl.lit("openrouter"),
        "session": filled("session"),
        "user": filled("user"),
        "tenant": filled("workspace"),
    },
    ids=(Id("call_id", filled("request_id")), Id("response_id", "id")),
    events=(
        Event(
            kind="model.call",
            ids=(Id("response_id", filled("upstream")),),
            columns={
                "name": filled("api"),
                "outcome": pl.when(truth("cancelled"))
                .then(pl.lit("cancelled"))
                .when(pl.col("finish").is_in(["error"]))
                .then(pl.lit("error"))
                .when(pl.col("finish").eq("content_filter"))
                .then(pl.lit("blocked"))
                .when(pl.col("finish").is_not_null())
                .then(pl.lit("ok"))
                .otherwise(pl.lit("unknown")),
                "content_state": pl.lit("absent"),
                "requested_model": filled("router", "model"),
                "served_model": filled("model"),
                "provider": filled("provider"),
                "response_id": filled("id"),
                "finish_reason": filled("finish"),
                "input_tokens": pl.coalesce(whole("tokens_in"), whole("counted_in")),
                "output_tokens": pl.coalesce(whole("tokens_out"), whole("counted_out")),
                "cost_usd": number("cost"),
                "stream": truth("streamed"),
            },
            attributes={
                "native_finish_reason": "native_finish",
                "first_token_ms": "latency",
                "generation_ms": "generation_time",
                "moderation_ms": "moderation",
                "reasoning_tokens": "reasoning",
                "cached_tokens": "cached_tokens",
                "is_byok": "own_key",
                "preset_id": "preset",
            },
        ),
        Event(
            kind="model.attempt",
            each="attempts",
            fields={
                "attempt_id": path("id"),
                "attempt_status": path("status"),
                "attempt_provider": path("provider_name"),
                "attempt_model": path("model_permaslug"),
                "attempt_ms": path("latency"),
                "endpoint": path("endpoint_id"),
            },
            ids=(Id("response_id", filled("attempt_id")),),
            columns={
                "name": filled("api"),
                "outcome": pl.when(attempt_status.is_between(200, 299))
                .then(pl.lit("ok"))
                .when(attempt_status.is_in([408, 504]))
                .then(pl.lit("timeout"))
                .when(attempt_status.is_not_null())
                .then(pl.lit("error"))
                .otherwise(pl.lit("unknown")),
                "http_status": attempt_status,
                "served_model": "attempt_model",
                "provider": "attempt_provider",
                "response_id": filled("attempt_id"),
            },
            duration=Duration("attempt_ms", "ms"),
            attributes={"endpoint_id": "endpoint"},
        ),
    ),
)
