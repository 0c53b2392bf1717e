"""Perspective API: the answer of `comments:analyze`.

What to know of these records: they have no time; `clientToken` is the only id, and only if the caller sent one. The
text is not there.

Verdicts: there are scores and no threshold, so every one is unknown; `score` is the highest summary score. Each
attribute that was asked for stands with its score in the attributes.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, path

KNOWN = (
    "TOXICITY",
    "SEVERE_TOXICITY",
    "IDENTITY_ATTACK",
    "INSULT",
    "PROFANITY",
    "THREAT",
    "SEXUALLY_EXPLICIT",
    "FLIRTATION",
)
summaries = pl.col("scores").str.extract_all(r'"summaryScore":\s*\{[^{}]*\}')
values = summaries.list.eval(pl.element().str.extract(r'"value":\s*([0-9.eE+-]+)', 1).cast(pl.Float64, strict=False))

FORMAT = Format(
    name="perspective_analyze",
    title="Perspective API result",
    layer="policy",
    reference="https://developers.perspectiveapi.com/s/about-the-api-methods",
    verified=False,
    export="Keep the body of each answer of `comments:analyze`, in a log line that has a time.",
    limits="It has no time, no text, no threshold and no verdict.",
    recognise=Recognise(
        keys=(("attributeScores",),),
        any_of=((("languages",), ("detectedLanguages",), ("clientToken",)),),
    ),
    fields={
        "scores": path("attributeScores"),
        "token": path("clientToken"),
        "language": path("languages", 0),
    }
    | {name: path("attributeScores", name, "summaryScore", "value") for name in KNOWN},
    columns={"service": pl.lit("perspective")},
    ids=(Id("request_id", filled("token")),),
    events=(
        Event(
            "policy.decision",
            columns={
                "name": pl.lit("comments:analyze"),
                "policy_name": pl.lit("all attributes"),
                "verdict": pl.lit("unknown"),
                "score": values.list.max(),
                "outcome": pl.lit("ok"),
            },
            attributes={name.lower(): name for name in KNOWN} | {"language": "language"},
        ),
    ),
)
