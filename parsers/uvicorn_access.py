r"""uvicorn: access lines of its text log, with or without the time that a formatter may put before them.

What to know of these lines: they are written when the response ends; times are naive and local; no id is there.
"""

import polars as pl

from strataline.format import Event, Format, group, whole

TIME = r"(?:(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?) )?"
LEVEL = r"(?P<level>TRACE|DEBUG|INFO|WARNING|ERROR|CRITICAL):\s+"

# What only a model's server or a gateway is called by; /api/chat may be a product's own.
MODEL = r"/(?:chat/completions|completions|embeddings|v1/(?:messages|responses|rerank))$"

bare = pl.col("target").str.replace(r"\?.*$", "")
is_model = bare.str.contains(MODEL)

FORMAT = Format(
    name="uvicorn_access",
    title="uvicorn access log",
    layer="prompt",
    reference="https://www.uvicorn.org/settings/#logging",
    verified=True,
    export="Standard output of uvicorn, or of what runs on it (FastAPI's server, vLLM, SGLang, LiteLLM).",
    limits="It has no id and no duration; without a formatter's or a container's time it has no time.",
    container="text",
    # A reason phrase has no digits: so two lines that ran together are not taken for one.
    pattern=TIME
    + LEVEL
    + r'(?P<client>\S+) - "(?P<method>[A-Z]+) (?P<target>\S+) HTTP/(?P<version>[0-9.]+)" '
    + r"(?P<status>\d{3})(?: (?P<reason>[A-Za-z' -]+))?",
    begins=r"(?:\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]\d+ )?(?:TRACE|DEBUG|INFO|WARNING|ERROR|CRITICAL):\s",
    other=TIME + LEVEL + r".*",
    fields={name: group(name) for name in ("time", "client", "method", "target", "version", "status")},
    time="time",
    time_kind="end",
    columns={
        "service": pl.lit("uvicorn"),
        # The query is left out of the name: it may hold what a user typed.
        "name": pl.concat_str("method", bare, separator=" "),
        "http_status": whole("status"),
        "outcome": pl.when(whole("status") >= 400).then(pl.lit("error")).otherwise(pl.lit("ok")),
    },
    attributes={"method": "method", "path": "target", "client": "client", "http_version": "version"},
    events=(Event("model.access", layer="model", when=is_model), Event("prompt.access", when=~is_model)),
)
