"""OpenAI: answers of the moderation endpoint.

What to know of these records: they have no time and no request id (the header `x-request-id` has); results stand in
the order of the inputs, which are not there. The endpoint flags and never blocks: what was done is the application's.
Scores mean something for one model only, which so is the version of the policy.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, path, truth, words

flags = pl.col("categories").str.extract_all(r'"[^"]+":\s*true').list.eval(pl.element().str.extract(r'"([^"]+)"', 1))
scores = pl.col("scores").str.extract_all(r":\s*[0-9.eE+-]+")
highest = scores.list.eval(pl.element().str.strip_chars(": ").cast(pl.Float64, strict=False)).list.max()

FORMAT = Format(
    name="openai_moderation",
    title="OpenAI moderation answer",
    layer="policy",
    reference="https://platform.openai.com/docs/api-reference/moderations/object",
    verified=True,
    export="No log holds it: the application must write down what the moderations endpoint answers.",
    limits="No time, no input, no threshold, and not what the application made of it.",
    recognise=Recognise(
        keys=(("model",), ("results", 0, "flagged"), ("results", 0, "category_scores")),
        where=((("id",), r"^modr-"),),
    ),
    fields={"id": path("id"), "model": path("model"), "results": path("results")},
    columns={"service": pl.lit("openai"), "name": pl.lit("moderation"), "outcome": pl.lit("ok")},
    ids=(Id("decision_id", "id"),),
    events=(
        Event(
            "policy.decision",
            each="results",
            fields={
                "flagged": path("flagged"),
                "categories": path("categories"),
                "scores": path("category_scores"),
            },
            columns={
                "policy_name": pl.lit("openai-moderation"),
                "policy_version": "model",
                "verdict": words("flagged", {"true": "flag", "false": "allow"}, default="unknown").fill_null("unknown"),
                "score": highest,
            },
            attributes={"categories": pl.when(truth("flagged")).then(flags.list.join(", "))},
        ),
    ),
)
