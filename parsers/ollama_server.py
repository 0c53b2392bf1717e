r"""Ollama: lines of `ollama serve`: its web server's access lines ([GIN]) and its own log (time= level= source= msg=).

What to know of these lines: an access line is written when the answer is complete, in local time without a zone; it
names neither a request nor a model. The log's own times state their offset. Other Go programs write such lines, too:
the routes and the source files are what tells Ollama's.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Time, group, whole

STAMP = r"\[GIN\] (?P<stamp>\d{4}/\d\d/\d\d - \d\d:\d\d:\d\d) \|"
ROUTES = (
    r"/api/(?:chat|generate|embed|embeddings|tags|show|ps|pull|push|create|copy|delete|version|blobs/\S*)|"
    r"/v1/(?:chat/completions|completions|embeddings|models|responses|messages)(?:/\S*)?"
)
SOURCES = (
    r"routes|server|sched|runner|gpu\w*|types|memory|images?|download|upload|layer|manifest|prefix_cache|cache|"
    r"causal|ggml|device|amd_\w+|cuda_\w+|llama|llm|model\w*|vocabulary|bytepairencoding|sentencepiece|process_text\w*|"
    r"wordpiece|cpu_common|gguf|harmony\w*|status|payload|auth|quantization|create|envconfig|config|convert"
)
NAMES = (
    "stamp",
    "status",
    "took",
    "client",
    "method",
    "target",
    "time",
    "level",
    "source",
    "message",
    "rest",
    "heartbeat",
)

access = pl.col("status").is_not_null()
status = whole("status")
stamp = pl.col("stamp").str.replace(r"^(\d{4})/(\d\d)/(\d\d) - ", "$1-$2-$3 ")
failing = pl.col("level") == "ERROR"
cancelled = pl.any_horizontal(
    pl.col("rest").str.contains("context canceled", literal=True),
    pl.col("message").str.contains("client closing", literal=True),
).fill_null(value=False)

FORMAT = Format(
    name="ollama_server",
    title="Ollama server log",
    layer="model",
    reference="https://docs.ollama.com/troubleshooting",
    versions=("0.6.0",),
    verified=True,
    export="`journalctl -u ollama`, `docker logs`, ~/.ollama/logs/server.log or %LOCALAPPDATA%\\Ollama\\server.log.",
    limits="It names no request, model or text; a line is tied to a request only by its time, duration and route.",
    container="text",
    pattern=STAMP
    + r" *(?P<status>\d{3}) \| *(?P<took>[0-9.a-zµ]+) \| *(?P<client>\S+) \| "
    + rf'(?:(?P<method>[A-Z]+) +"(?P<target>(?:{ROUTES})(?:\?[^"]*)?)"|(?P<heartbeat>HEAD) +"/")'
    + rf"|time=(?P<time>\S+) level=(?P<level>[A-Z]+\S*) source=(?P<source>(?:{SOURCES})\.go:\d+) "
    + r'msg=(?:"(?P<message>(?:[^"\\]|\\.)*)"|(?P<word>\S+))(?P<rest>(?: [^ =]+=(?:"(?:[^"\\]|\\.)*"|[^" ]*))*)',
    begins=r"\[GIN\] \d{4}/|time=\d{4}-\d\d-\d\dT\S+ level=[A-Z]+ source=",
    other=STAMP + r".*|time=(?P<time>\S+) level=[A-Z]+\S* (?:source=\S+\.go:\d+ )?msg=.*|"
    r"(?:llama_\w+|ggml_\w+|gguf_\w+|print_info|load\w*|clip_\w+|init_tokenizer|common_\w+|slot|srv)\b.*: .*",
    fields={name: group(name) for name in (*NAMES, "word")},
    time=Time(pl.coalesce(stamp, "time"), "iso"),
    columns={"service": pl.lit("ollama")},
    events=(
        Event(
            "model.access",
            when=access,
            time_kind="end",
            duration=Duration("took", "text"),
            columns={
                # The query is left out of the name: it may hold what a user typed.
                "name": pl.concat_str("method", pl.col("target").str.replace(r"\?.*$", ""), separator=" ").fill_null(
                    pl.concat_str("heartbeat", pl.lit(" /"))
                ),
                "http_status": status,
                "outcome": pl.when(status == 499)
                .then(pl.lit("cancelled"))
                .when(status >= 400)
                .then(pl.lit("error"))
                .otherwise(pl.lit("ok")),
            },
            attributes={"path": "target", "client": "client", "latency": "took"},
        ),
        Event(
            "model.log",
            when=~access,
            columns={
                "name": pl.coalesce("message", "word"),
                "outcome": pl.when(cancelled).then(pl.lit("cancelled")).when(failing).then(pl.lit("error")),
                "error_type": pl.coalesce(
                    pl.col("rest")
                    .str.extract(r' err(?:or)?="((?:[^"\\]|\\.)*)"', 1)
                    .str.replace_all(r"\"", '"', literal=True),
                    pl.col("rest").str.extract(r" err(?:or)?=(\S+)", 1),
                ),
            },
            attributes={
                "level": "level",
                "source": "source",
                "facts": pl.col("rest").str.strip_chars().str.slice(0, 240),
            },
        ),
    ),
)
