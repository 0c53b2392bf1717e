"""Cloudflare AI Gateway: Logpush lines, whose metadata and bodies are encrypted for the owner's key.

What to know of these lines: `Metadata`, `RequestBody` and `ResponseBody` are each a wrapped key, an initial vector and
a text that only the private key opens: nothing that could tie a line to a request is readable, and `content_state`
says `encrypted`. Decrypt them first if you can. Other columns depend on the fields of the Logpush job.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, filled, path, truth, whole

FORMAT = Format(
    name="cloudflare_logpush",
    title="Cloudflare AI Gateway Logpush (encrypted)",
    layer="model",
    reference="https://developers.cloudflare.com/ai-gateway/observability/logging/logpush/",
    verified=False,
    export="Turn on Logpush of the gateway with your public key, and take the files of the destination (gz, NDJSON).",
    limits="Texts, metadata and ids are encrypted; logs over 1 MB are not sent.",
    recognise=Recognise(
        keys=(("RequestBody", "iv"), ("RequestBody", "key"), ("ResponseBody", "iv"), ("ResponseBody", "key"))
    ),
    fields={
        "stamp": path("Timestamp", verbatim=True),
        "gateway": path("Gateway"),
        "endpoint": path("Endpoint"),
        "provider": path("Provider"),
        "model": path("Model"),
        "cached": path("Cached"),
        "limited": path("RateLimited"),
        "status": path("StatusCode"),
    },
    time="stamp",
    columns={"service": pl.lit("cloudflare-ai-gateway")},
    events=(
        Event(
            kind="model.call",
            columns={
                "name": filled("endpoint"),
                "outcome": pl.when(truth("limited"))
                .then(pl.lit("blocked"))
                .when(whole("status").is_between(200, 299))
                .then(pl.lit("ok"))
                .when(whole("status") > 0)
                .then(pl.lit("error"))
                .otherwise(pl.lit("unknown")),
                "http_status": whole("status"),
                "content_state": pl.lit("encrypted"),
                "requested_model": filled("model"),
                "provider": filled("provider"),
                "cache": pl.when(truth("cached")).then(pl.lit("hit")).when(truth("cached").not_()).then(pl.lit("miss")),
            },
            attributes={"gateway": filled("gateway"), "rate_limited": "limited"},
        ),
    ),
)
