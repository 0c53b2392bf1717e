"""SGLang: its request log as text, in Python's own notation of objects.

What to know of these lines: the time is local, names no zone and has whole seconds; `received_time` within the object
is an epoch; what came over the OpenAI API has no rid; long texts are cut in their middle, which may cut a quote, too.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Time, group

TRACEPARENT = r"'traceparent': '[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
HEAD = r"\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?P<rank>(?: [A-Z]+\d+)*)\] "
# Python's notation, quotes and all: a list that ends is followed by no space, as the time of a next line would be.
PYTHON = r"""(?:[^'"\]]|\](?:[^ '"]| \.)|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")*"""
NAMES = ("time", "rank", "what", "obj", "headers", "out")

what, obj, headers, out = (pl.col(name) for name in ("what", "obj", "headers", "out"))
rid = obj.str.extract(r"\brid='([^']+)'", 1)
finish = out.str.extract(r"'finish_reason': (?:\{'type': )?'(\w+)'", 1)
reason = out.str.extract(r"'type': 'abort', 'message': '([^']*)'", 1)


def _quoted(text: pl.Expr, before: str) -> pl.Expr:
    """A text that Python wrote by `repr`, behind `before`."""
    single = text.str.extract(rf"{before}'((?:[^'\\]|\\.)*)'", 1)
    either = pl.coalesce(single, text.str.extract(rf'{before}"((?:[^"\\]|\\.)*)"', 1))
    return either.str.replace_many({r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\'": "'", r"\"": '"', "\\\\": "\\"})


def _messages() -> pl.Expr:
    """The texts of a list of chat messages, parted by empty lines."""
    quoted = obj.str.extract_all(r"""'content': (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
    bare = pl.element().str.replace(r"""^'content': ['"]""", "").str.replace(r"""['"]$""", "")
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\'": "'", r"\"": '"', "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined)


asked = pl.coalesce(_quoted(obj, r"\btext="), pl.when(what == "Receive OpenAI").then(_messages()))
received = obj.str.extract(r"\breceived_time=(\d+\.\d+)", 1)

FORMAT = Format(
    name="sglang_request_text",
    title="SGLang request log (text)",
    layer="model",
    reference="https://docs.sglang.ai/advanced_features/server_arguments.html#logging",
    versions=("0.5.23",),
    verified=True,
    export="`python -m sglang.launch_server --log-requests`, on standard output.",
    limits="What came over the OpenAI API has no rid there; how much text is logged depends on --log-requests-level.",
    container="text",
    pattern=HEAD
    + r"(?P<what>Receive OpenAI|Receive|Finish): obj=(?P<obj>"
    + PYTHON
    + r"?)(?:, headers=(?P<headers>\{[^{}]*\}))?(?:, out=(?P<out>[\[{]"
    + PYTHON
    + r"[\]}]))?",
    begins=r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: [A-Z]+\d+)*\] (?:Receive|Finish)",
    # Lines of the server itself, and of uvicorn within it.
    other=HEAD
    + r"(?:INFO: |WARNING: |ERROR: |Prefill batch|Decode batch|server_args=|Load weight|KV Cache|Memory pool|Capture|"
    + r"max_total_num_tokens|The server is fired up|Cache flushed|Attention backend|Using |Init |Mem).*",
    fields={name: group(name) for name in NAMES},
    time="time",
    columns={
        "service": pl.lit("sglang"),
        "name": "what",
        "parent_id": headers.str.extract(TRACEPARENT, 2),
        "response_id": rid,
        "input": asked,
        "content_state": pl.when(asked.is_null())
        .then(pl.lit("absent"))
        # Two halves, each quoted, stand for a long text.
        .when(obj.str.contains(r"""\btext=(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*") \.\.\. """))
        .then(pl.lit("truncated"))
        .otherwise(pl.lit("full")),
        "stream": obj.str.extract(r"(?:\bstream=|'stream': )(True|False)", 1).eq("True"),
    },
    ids=(
        Id("response_id", rid),
        Id("request_id", headers.str.extract(r"'x-request-id': '([^']+)'", 1)),
        Id("trace_id", headers.str.extract(TRACEPARENT, 1)),
    ),
    attributes={"rank": pl.col("rank").str.strip_chars()},
    events=(
        Event(
            "model.log",
            when=what != "Finish",
            # The epoch needs no zone.
            time=Time(pl.coalesce(received, "time")),
            time_kind="start",
            columns={"requested_model": obj.str.extract(r"^\{'model': '([^']+)'", 1)},
            parameters={
                "temperature": obj.str.extract(r"'temperature': ([0-9.]+)", 1),
                "max_new_tokens": obj.str.extract(r"'max_new_tokens': (\d+)", 1),
            },
        ),
        Event(
            "model.call",
            when=what == "Finish",
            time_kind="end",
            duration=Duration(out.str.extract(r"'e2e_latency': ([0-9.]+)", 1), "s"),
            columns={
                "output": _quoted(out, r"^\{'text': "),
                "finish_reason": finish,
                "outcome": pl.when((finish == "abort") & reason.str.contains("(?i)disconnect"))
                .then(pl.lit("cancelled"))
                .when(finish == "abort")
                .then(pl.lit("error"))
                .when(finish.is_not_null())
                .then(pl.lit("ok")),
                "error_type": pl.when(finish == "abort").then(reason),
                "input_tokens": out.str.extract(r"'prompt_tokens': (\d+)", 1).cast(pl.Int64, strict=False),
                "output_tokens": out.str.extract(r"'completion_tokens': (\d+)", 1).cast(pl.Int64, strict=False),
            },
            parameters={
                "temperature": obj.str.extract(r"'temperature': ([0-9.]+)", 1),
                "max_new_tokens": obj.str.extract(r"'max_new_tokens': (\d+)", 1),
            },
            attributes={
                "received_time": received,
                "cached_tokens": out.str.extract(r"'cached_tokens': (\d+)", 1),
                "weight_version": out.str.extract(r"'weight_version': '([^']*)'", 1),
            },
        ),
    ),
)
