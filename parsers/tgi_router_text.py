r"""Text Generation Inference: text lines of its router and launcher.

What to know of these lines: a "Success" line is written when the answer is complete, and so is its time; no request id
is in it (builds before 2.0 and those with tracing name a trace id); colours are written, too, unless the output is no
terminal.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, group

ROUTES = r"generate_stream|generate|chat_completions|completions|embed"
E = r"(?:\x1b\[[0-9;]*m)*"
HEAD = rf"{E}(?P<time>\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z){E} +{E} *(?P<level>TRACE|DEBUG|INFO|WARN|ERROR){E} "
NAMES = ("time", "level", "span", "target", "file", "line", "message", "plain")

failing = pl.col("level") == "ERROR"
span = pl.col("span").str.replace_all(r"\x1b\[[0-9;]*m", "")
# Spans stand one behind the other, the outermost first.
route = span.str.extract(rf"(?:^|:)({ROUTES})\b", 1)
said = pl.coalesce("message", "plain").str.replace_all(r"\x1b\[[0-9;]*m", "")
is_call = route.is_not_null() & ((said == "Success") | failing)

FORMAT = Format(
    name="tgi_router_text",
    title="Text Generation Inference log (text)",
    layer="model",
    reference="https://huggingface.co/docs/text-generation-inference/reference/launcher",
    versions=("1.0", "2.3", "2.4"),
    verified=True,
    export="Standard output of `text-generation-launcher`.",
    limits="It has no request id, no model and no text: a line is tied to a request only by its time and duration.",
    container="text",
    pattern=HEAD
    + rf"(?:(?P<span>(?:.*\}}|\w+)(?:{E}:{E}\w+)*{E}):{E} )?{E}(?P<target>text_generation_\w+(?:::\w+)*){E}:{E} "
    # What is said begins with no path, and "Success" is all of it: so two lines that ran together are not one.
    + rf"(?:{E}(?P<file>[\w./-]+\.rs){E}:{E}(?P<line>\d+){E}:{E} (?P<message>Success|(?:[^S]|S[^u]|Su[^c]).*)"
    + r"|(?P<plain>[^ /]*(?: .*)?))",
    begins=r"(?:\x1b\[2m)?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
    r"(?:\x1b\[\d*m)? +(?:\x1b\[\d*m)? *(?:TRACE|DEBUG|INFO|WARN|ERROR)(?:\x1b\[\d*m)? ",
    other=HEAD + "(?:text_generation_|HTTP request|generate|chat_completions|completions|embed|shard-manager).*",
    fields={name: group(name) for name in NAMES},
    time="time",
    columns={"service": pl.lit("tgi")},
    ids=(Id("trace_id", span.str.extract(r"\btrace_id=([0-9a-f]{32})", 1)),),
    attributes={"level": "level", "target": "target", "where": pl.concat_str("file", "line", separator=":")},
    events=(
        Event(
            "model.call",
            when=is_call,
            time_kind="end",
            duration=Duration(span.str.extract(r'\btotal_time="([^"]+)"', 1), "text"),
            columns={
                "name": route,
                "outcome": pl.when(failing).then(pl.lit("error")).otherwise(pl.lit("ok")),
                "stream": pl.when(route.str.ends_with("_stream")).then(pl.lit(value=True)),
                "content_state": pl.lit("absent"),
            },
            parameters={
                name: span.str.extract(rf"\b{name}: Some\(([^)]*)\)", 1) for name in ("temperature", "top_p", "top_k")
            }
            | {
                "max_new_tokens": span.str.extract(r"\bmax_new_tokens: (?:Some\()?(\d+)", 1),
                "seed": span.str.extract(r'\bseed="Some\((\d+)\)"', 1),
            },
            attributes={
                "error": pl.when(failing).then(said.str.slice(0, 240)),
                **{
                    name: span.str.extract(rf'\b{name}="([^"]+)"', 1)
                    for name in ("total_time", "queue_time", "validation_time", "inference_time", "time_per_token")
                },
            },
        ),
        Event(
            "model.log",
            when=~is_call,
            columns={"name": pl.coalesce(route, "target"), "outcome": pl.when(failing).then(pl.lit("error"))},
            attributes={"message": said.str.slice(0, 240)},
        ),
    ),
)
