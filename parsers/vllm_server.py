r"""vLLM: lines of `vllm serve` on standard output and error.

What to know of these lines: their time has neither a year nor a zone, and so is no time (a container's log gives one);
the prompt is in "Received request" only with --enable-log-requests, and since 0.11.3 only at DEBUG; the id is the
client's X-Request-Id after `chatcmpl-`, or one of vLLM's own; the engine hangs eight more digits on it.
"""

import polars as pl

from strataline.format import Event, Format, Id, group

LEVEL = r"DEBUG|INFO|WARNING|ERROR|CRITICAL"
GROUPS = (
    *("level", "time", "where", "message", "severity", "client", "method", "target", "status", "process", "server"),
    *("verb", "said", "told", "state", "parameters"),
)
PARAMETERS = ("n", "temperature", "top_p", "top_k", "max_tokens", "seed", "stop", "presence_penalty")

message, verb, state, parameters = (pl.col(name) for name in ("message", "verb", "state", "parameters"))
said = pl.coalesce("said", "told")
received = verb.eq("Received request").fill_null(value=False)
# What the engine hung on the id; the server's own lines have it as the client got it.
answered = pl.when(received).then(said).otherwise(said.str.replace(r"-[0-9a-f]{8}$", ""))
aborted = verb.eq("Aborted request").fill_null(value=False) | state.eq("aborted").fill_null(value=False)
access = pl.col("status").is_not_null()


def _quoted(key: str) -> pl.Expr:
    """A text that Python wrote by `repr`."""
    single = message.str.extract(rf"(?s)\b{key}: '((?:[^'\\]|\\.)*)'", 1)
    text = pl.coalesce(single, message.str.extract(rf'(?s)\b{key}: "((?:[^"\\]|\\.)*)"', 1))
    return text.str.replace_many({r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\'": "'", r"\"": '"', "\\\\": "\\"})


prompt = _quoted("prompt")

FORMAT = Format(
    name="vllm_server",
    title="vLLM server log",
    layer="model",
    reference="https://docs.vllm.ai/en/latest/configuration/serve_args.html",
    versions=("0.7.2", "0.8", "0.9", "0.14"),
    verified=True,
    export="Standard output of `vllm serve --enable-log-requests`; `--enable-log-outputs` adds the answers.",
    limits="Without a container's time it has no time at all; the model, tokens and durations of a call are not in it.",
    container="text",
    pattern=rf"(?:\((?P<process>\w+[^()]*)\) )?(?P<level>{LEVEL}) (?P<time>\d\d-\d\d \d\d:\d\d:\d\d) "
    r"\[?(?P<where>[\w./<>-]+:\d+)\] (?P<message>"
    r"(?:Request (?P<told>\S+) (?P<state>aborted|failed|finished)\b|"
    r"(?P<verb>Received request|Added request|Generated response|Finished request|Aborted request) "
    r"(?P<said>[^\s:,]*[^\s:,.]))?"
    r"(?:.*\bparams: (?P<parameters>\w*Params\(.*)|.*))"
    # uvicorn's lines are vLLM's own where its process stands before them.
    rf"|\((?P<server>\w+ pid=\d+)\) (?P<severity>{LEVEL}): +"
    r'(?P<client>\S+) - "(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[0-9.]+" (?P<status>\d{3})[A-Za-z\' -]*',
    begins=rf"(?:\(\w+ pid=\d+\) )?(?:{LEVEL}) \d\d-\d\d \d\d:\d\d:\d\d ",
    other=rf"(?:\((?P<server>\w+[^()]*)\) )?(?P<severity>{LEVEL}): .*|\((?P<process>\w+ pid=\d+)\).*",
    fields={name: group(name) for name in GROUPS},
    time="time",
    columns={"service": pl.lit("vllm")},
    attributes={
        "process": pl.coalesce("process", "server"),
        "level": pl.coalesce("level", "severity"),
        "where": "where",
    },
    events=(
        Event(
            "model.access",
            when=access,
            time_kind="end",
            columns={
                # The query is left out of the name: it may hold what a user typed.
                "name": pl.concat_str("method", pl.col("target").str.replace(r"\?.*$", ""), separator=" "),
                "http_status": pl.col("status").cast(pl.Int64, strict=False),
                "outcome": pl.when(pl.col("status").cast(pl.Int64, strict=False) >= 400)
                .then(pl.lit("error"))
                .otherwise(pl.lit("ok")),
            },
            attributes={"path": "target", "client": "client"},
        ),
        Event(
            "model.call",
            when=received & said.is_not_null(),
            time_kind="start",
            ids=(Id("response_id", said), Id("request_id", said.str.extract(r"^[a-z]+-(.{8,})$", 1))),
            columns={
                "name": verb,
                "response_id": said,
                "input": prompt,
                "content_state": pl.when(prompt.is_null())
                .then(pl.lit("absent"))
                .when(message.str.contains(r"\bparams: \w+\(.*?\), "))
                .then(pl.lit("full"))
                .otherwise(pl.lit("truncated")),
            },
            parameters={
                # A list or a value; None is left out.
                name: parameters.str.extract(rf"\b{name}=(\[[^\]]*\]|[^,()N]+)", 1)
                for name in PARAMETERS
            },
            attributes={"lora": message.str.extract(r"lora_request: (LoRARequest\([^)]*\))", 1)},
        ),
        Event(
            "model.log",
            when=~access & ~(received & said.is_not_null()),
            ids=(
                Id("response_id", answered),
                Id("request_id", answered.str.extract(r"^[a-z]+-(.{8,})$", 1)),
                Id("call_id", pl.when(said != answered).then(said)),
            ),
            columns={
                "name": pl.coalesce(verb, pl.concat_str(pl.lit("Request "), state), "where"),
                "output": pl.when(verb == "Generated response").then(_quoted("output")),
                "finish_reason": pl.when(verb == "Generated response").then(
                    message.str.extract(r"finish_reason: (\w+)$", 1)
                ),
                "response_id": answered,
                "outcome": pl.when(aborted)
                .then(pl.lit("cancelled"))
                .when((state == "failed") | pl.col("level").is_in(["ERROR", "CRITICAL"]))
                .then(pl.lit("error"))
                .when((verb == "Generated response") | (state == "finished"))
                .then(pl.lit("ok")),
            },
            attributes={"message": pl.when(said.is_null()).then(message.str.slice(0, 240))},
        ),
    ),
)
