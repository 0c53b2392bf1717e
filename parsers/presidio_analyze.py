"""Presidio Analyzer: one recognised entity, an element of the list that `/analyze` answers with.

What to know of these records: they have no time and no id; offsets count in a text that is not there. The number in
`recognizer_identifier` is a memory address of one process. An empty list (nothing found) has no record at all.

Verdicts: an entity is flag; nothing is ever allowed or redacted here.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, number, path

FORMAT = Format(
    name="presidio_analyze",
    title="Presidio Analyzer result",
    layer="policy",
    reference="https://microsoft.github.io/presidio/api-docs/api-docs.html",
    versions=("2.2.366",),
    verified=True,
    export="Keep the list that `/analyze` (or AnalyzerEngine.analyze, each `to_dict()`) answers with.",
    limits="It has no time, no id and no text, and a text without findings leaves no record.",
    recognise=Recognise(
        keys=(("entity_type",), ("start",), ("end",), ("score",)),
        any_of=((("recognition_metadata",), ("analysis_explanation",)),),
    ),
    fields={
        "entity": path("entity_type"),
        "start": path("start"),
        "end": path("end"),
        "score": path("score"),
        "recognizer": path("recognition_metadata", "recognizer_name"),
        "recognizer_2": path("analysis_explanation", "recognizer"),
        "pattern": path("analysis_explanation", "pattern_name"),
    },
    columns={"service": pl.lit("presidio-analyzer")},
    events=(
        Event(
            "policy.decision",
            columns={
                "name": "entity",
                "policy_name": pl.coalesce("recognizer", "recognizer_2", "entity"),
                "verdict": pl.lit("flag"),
                "score": number("score"),
                "outcome": pl.lit("ok"),
            },
            attributes={"entity": "entity", "begin": "start", "end": "end", "pattern": "pattern"},
        ),
    ),
)
