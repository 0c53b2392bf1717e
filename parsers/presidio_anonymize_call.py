"""Presidio: a text with its analyzer results, as `/anonymize` is asked; with the anonymizer's answer where it is kept.

What to know of these records: they have no time and no id. The text is the one before any change.

Verdicts: a list without results is allow; with results it is flag, and redact (enforced) where the answer stands beside
it and changed something. No list is not_evaluated. Each result is a flag of its own.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, number, path

listed = pl.col("results").str.starts_with("[").fill_null(value=False)
found = listed & ~pl.col("results").str.contains(r"^\[\s*\]$")
changed = pl.col("items").str.contains(r"^\[\s*\{").fill_null(value=False)

FORMAT = Format(
    name="presidio_anonymize_call",
    title="Presidio text with analyzer results",
    layer="policy",
    reference="https://microsoft.github.io/presidio/api-docs/api-docs.html",
    versions=("2.2.366",),
    verified=True,
    export="Keep the body that `/anonymize` is sent, with the answer beside it as `anonymizer`.",
    limits="It has no time and no id, and does not say where the changed text went.",
    recognise=Recognise(keys=(("text",), ("analyzer_results",))),
    fields={
        "text": path("text"),
        "results": path("analyzer_results"),
        "changed": path("anonymizer", "text"),
        "items": path("anonymizer", "items"),
    },
    columns={"service": pl.lit("presidio")},
    events=(
        Event(
            "policy.decision",
            columns={
                "name": pl.lit("analyze"),
                "policy_name": pl.lit("all recognizers"),
                "verdict": pl.when(~listed)
                .then(pl.lit("not_evaluated"))
                .when(changed)
                .then(pl.lit("redact"))
                .when(found)
                .then(pl.lit("flag"))
                .otherwise(pl.lit("allow")),
                "enforced": pl.when(changed).then(pl.lit(value=True)),
                "outcome": pl.lit("ok"),
                "input": "text",
                "output": "changed",
            },
        ),
        Event(
            "policy.decision",
            each="results",
            fields={
                "entity": path("entity_type"),
                "score": path("score"),
                "start": path("start"),
                "end": path("end"),
                "recognizer": path("recognition_metadata", "recognizer_name"),
            },
            columns={
                "name": "entity",
                "policy_name": pl.coalesce("recognizer", "entity"),
                "verdict": pl.lit("flag"),
                "score": number("score"),
                "outcome": pl.lit("ok"),
            },
            attributes={"entity": "entity", "begin": "start", "end": "end"},
        ),
    ),
)
