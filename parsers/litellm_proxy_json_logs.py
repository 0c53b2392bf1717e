r"""LiteLLM proxy: its own log on stdout and stderr, with ``json_logs: true``.

What to know of these lines: times are naive and local to the proxy; most carry no id at all; below WARNING they
go to stdout and from there on to stderr; banner lines in plain text stand between them; a line ends at 4,096
characters; what looks like a dict inside a message is lifted to the top as further keys.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, path, present

ACCESS = r'^(\S+) - "([A-Z]+) (\S+) HTTP/[0-9.]+" ([0-9]{3})$'
ATTEMPT = r"^litellm\.a?\w+\(model=([^)]*)\)"
FALLBACK = r"(?i)fall(?:ing)? ?back"
ERROR = r"(?:litellm|openai)\.([A-Za-z]*(?:Error|Exception|Timeout))\b"

message = pl.col("message").str.strip_chars()
access = pl.col("component").eq("uvicorn.access") & message.str.contains(ACCESS)
attempt = ~access & message.str.contains(ATTEMPT)
# An exception handler lists the fallbacks that there are; only the router takes one.
fallback = ~attempt & pl.col("component").eq("LiteLLM Router") & message.str.contains(FALLBACK)
status = message.str.extract(ACCESS, 4).cast(pl.Int64, strict=False)
failed = pl.col("level").is_in(["ERROR", "CRITICAL"])
blocked = message.str.contains(r"(?i)\bblocked\b")
error_type = pl.coalesce(message.str.extract(ERROR, 1), pl.col("stacktrace").str.extract(ERROR, 1))

FORMAT = Format(
    name="litellm_proxy_json_logs",
    title="LiteLLM proxy log (json_logs)",
    layer="model",
    reference="https://docs.litellm.ai/docs/proxy/debugging",
    versions=("1.106.2",),
    verified=True,
    export="Set litellm_settings.json_logs to true and keep what the proxy writes to stdout and to stderr.",
    limits="Most lines name no call, access lines no duration, and a call that worked leaves no line of its own.",
    recognise=Recognise(
        keys=(("message",), ("level",), ("timestamp",), ("component",), ("logger",)),
        where=((("component",), r"^(LiteLLM( Proxy| Router)?|uvicorn\.[a-z]+)$"),),
    ),
    fields={
        "message": path("message"),
        "level": path("level"),
        "timestamp": path("timestamp"),
        "component": path("component"),
        "logger": path("logger"),
        "call_id": path("litellm_call_id"),
        "trace_id": path("trace_id"),
        "session_id": path("session_id"),
        "stacktrace": path("stacktrace"),
        "guardrail": path("guardrail_name"),
    },
    time="timestamp",
    # Not the service of the payload rows: these times are naive, so the two must not share a clock unasked.
    columns={
        "service": pl.lit("litellm-proxy"),
        "name": pl.coalesce(message.str.extract(r"^([^:({=\x1b\n]{1,80})", 1).str.strip_chars(), "component"),
        "session": pl.when(present("session_id")).then(pl.col("session_id")),
    },
    ids=(
        Id("call_id", pl.coalesce("call_id", message.str.extract(r"litellm_call_id=([0-9A-Za-z-]+)", 1))),
        Id("trace_id", "trace_id"),
    ),
    attributes={"level": "level", "component": "component", "logger": "logger", "guardrail": "guardrail"},
    events=(
        Event(
            kind="model.access",
            when=access,
            time_kind="end",
            columns={
                "name": pl.concat_str(message.str.extract(ACCESS, 2), message.str.extract(ACCESS, 3), separator=" "),
                "http_status": status,
                "outcome": pl.when(status >= 400).then(pl.lit("error")).otherwise(pl.lit("ok")),
            },
            attributes={"client": message.str.extract(ACCESS, 1)},
        ),
        Event(
            kind="model.attempt",
            when=attempt,
            time_kind="end",
            columns={
                "name": message.str.extract(r"^(litellm\.\w+)", 1),
                "requested_model": message.str.extract(ATTEMPT, 1).str.replace(r"^[a-z_]+/", ""),
                "outcome": pl.when(message.str.contains(r"\b200 OK\b"))
                .then(pl.lit("ok"))
                .when(error_type.eq("Timeout"))
                .then(pl.lit("timeout"))
                .otherwise(pl.lit("error")),
                "error_type": error_type,
            },
        ),
        Event(
            kind="model.fallback",
            when=fallback,
            columns={
                "fallback": message.str.extract(r"model_group = (\S+)", 1),
                "outcome": pl.when(failed)
                .then(pl.lit("error"))
                .when(message.str.starts_with("Successful"))
                .then(pl.lit("ok")),
                "error_type": error_type,
            },
        ),
        Event(
            kind="model.log",
            when=~access & ~attempt & ~fallback,
            columns={
                "outcome": pl.when(blocked).then(pl.lit("blocked")).when(failed).then(pl.lit("error")),
                "error_type": error_type,
            },
            attributes={"message": message.str.slice(0, 240)},
        ),
    ),
)
