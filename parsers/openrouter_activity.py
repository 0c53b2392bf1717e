"""OpenRouter: its activity, a sum of requests per day, model and provider.

What to know of these rows: a row is no request. `date` is a day in UTC, which is no time; sums of tokens and requests
are kept as attributes, so that nothing counts them as those of a call.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, number, path

FORMAT = Format(
    name="openrouter_activity",
    title="OpenRouter activity (sums per day)",
    layer="model",
    reference="https://openrouter.ai/docs/api-reference/analytics/get-user-activity",
    verified=True,
    export="GET https://openrouter.ai/api/v1/activity, or Activity, Export of the web page (CSV).",
    limits="Sums per day, model and provider: no request can be told from another.",
    recognise=Recognise(
        keys=(("model_permaslug",), ("requests",), ("byok_usage_inference",), ("usage",), ("prompt_tokens",), ("date",))
    ),
    fields={
        "day": path("date"),
        "model": path("model"),
        "permaslug": path("model_permaslug"),
        "endpoint": path("endpoint_id"),
        "provider": path("provider_name"),
        "requests": path("requests"),
        "prompt_tokens": path("prompt_tokens"),
        "completion_tokens": path("completion_tokens"),
        "reasoning_tokens": path("reasoning_tokens"),
        "usage": path("usage"),
        "own_key": path("byok_usage_inference"),
    },
    columns={"service": pl.lit("openrouter")},
    events=(
        Event(
            kind="model.log",
            columns={
                "name": pl.lit("activity"),
                "requested_model": "model",
                "served_model": "permaslug",
                "provider": "provider",
                "cost_usd": number("usage"),
            },
            attributes={
                "day": "day",
                "requests": "requests",
                "prompt_tokens": "prompt_tokens",
                "completion_tokens": "completion_tokens",
                "reasoning_tokens": "reasoning_tokens",
                "byok_usage": "own_key",
                "endpoint_id": "endpoint",
            },
        ),
    ),
)
