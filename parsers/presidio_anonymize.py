"""Presidio Anonymizer: the answer of `/anonymize`: the changed text and what was changed in it.

What to know of these records: they have no time and no id. Offsets count in the changed text, and the list runs from
its end. An answer in which nothing was changed looks like any other text with a list, and is not recognised.

Verdicts: redact (enforced) where an operator changed something; flag (not enforced) where all of them kept what was
found; unknown where they only decrypted it.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, path

operators, kept, restored = (
    pl.col("items").str.count_matches(r'"operator":\s*"' + word) for word in ("", 'keep"', 'decrypt"')
)
changed = operators > kept + restored

FORMAT = Format(
    name="presidio_anonymize",
    title="Presidio Anonymizer result",
    layer="policy",
    reference="https://microsoft.github.io/presidio/api-docs/api-docs.html",
    versions=("2.2.366",),
    verified=True,
    export="Keep the body that `/anonymize` (or AnonymizerEngine.anonymize, `to_json()`) answers with.",
    limits="It has no time and no id, and tells neither the text before nor where the changed one went.",
    recognise=Recognise(
        keys=(("text",), ("items", 0, "entity_type"), ("items", 0, "operator"), ("items", 0, "start")),
    ),
    fields={"text": path("text"), "items": path("items")},
    columns={"service": pl.lit("presidio-anonymizer")},
    events=(
        Event(
            "policy.decision",
            columns={
                "name": pl.lit("anonymize"),
                "policy_name": pl.lit("anonymizer"),
                "verdict": pl.when(changed)
                .then(pl.lit("redact"))
                .when(kept > 0)
                .then(pl.lit("flag"))
                .otherwise(pl.lit("unknown")),
                "enforced": pl.when(changed).then(pl.lit(value=True)).when(kept > 0).then(pl.lit(value=False)),
                "outcome": pl.lit("ok"),
                "output": "text",
                "content_state": pl.when(changed).then(pl.lit("redacted")),
            },
            attributes={
                "entities": pl.col("items")
                .str.extract_all(r'"entity_type":\s*"[^"]*"')
                .list.eval(pl.element().str.extract(r':\s*"([^"]*)"', 1))
                .list.join(","),
            },
        ),
    ),
)
