"""Presidio Analyzer: its decision process log (`log_decision_process=True`), text lines.

What to know of these lines: times are local and state no zone. The id in the fourth bracket is the caller's
`correlation_id`; without one it is the word None. The last bracket holds Python's notation, not JSON; a line with the
tokens of the text comes before the line with the results.

Verdicts: results are flag; an empty list is allow (it was looked at, and nothing was found). What became of the text is
not in this log.
"""

import polars as pl

from strataline.format import Event, Format, Id, group

HEAD = r"\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})\]\[decision_process\]\[(?P<level>[A-Z]+)\]"
body = pl.col("body")
tokens = body.str.starts_with("nlp artifacts:")
scores = body.str.extract_all(r"'end': \d+, 'score': [0-9.]+").list.eval(
    pl.element().str.extract(r"([0-9.]+)$", 1).cast(pl.Float64, strict=False)
)
entities = body.str.extract_all(r"'entity_type': '\w+'").list.eval(pl.element().str.extract(r"'(\w+)'$", 1))

FORMAT = Format(
    name="presidio_decision_log",
    title="Presidio decision process log",
    layer="policy",
    reference="https://microsoft.github.io/presidio/analyzer/decision_process/",
    versions=("2.2.366",),
    verified=True,
    export="Create AnalyzerEngine(log_decision_process=True), pass `correlation_id`, and keep logger decision_process.",
    limits="It tells what was found, not what became of the text.",
    container="text",
    pattern=HEAD + r"\[(?P<correlation>[^\]]*)\]\[(?P<body>.*)\]",
    begins=r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]\[decision_process\]",
    other=HEAD + ".*",
    fields={name: group(name) for name in ("time", "level", "correlation", "body")},
    time="time",
    columns={"service": pl.lit("presidio-analyzer")},
    ids=(Id("request_id", pl.when(pl.col("correlation") != "None").then(pl.col("correlation"))),),
    attributes={"level": "level"},
    events=(
        Event("policy.log", when=tokens, columns={"name": pl.lit("nlp artifacts")}),
        Event(
            "policy.decision",
            when=~tokens,
            columns={
                "name": pl.lit("analyze"),
                "policy_name": pl.lit("all recognizers"),
                "verdict": pl.when(body == "[]")
                .then(pl.lit("allow"))
                .when(entities.list.len() > 0)
                .then(pl.lit("flag"))
                .otherwise(pl.lit("unknown")),
                "score": scores.list.max(),
                "outcome": pl.lit("ok"),
            },
            attributes={"entities": pl.when(entities.list.len() > 0).then(entities.list.join(","))},
        ),
    ),
)
