"""Azure AI Foundry: results of its guardrails, the attribute ``microsoft.foundry.content_filter.results`` of a trace.

What to know of these records: one result for each side that was looked at; the span around them, where it was kept, has
time and ids. An ``error`` in the details of a filter means that it did not run, though ``detected`` and ``filtered``
say false beside it: not evaluated.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, path, truth, words

KEY = "microsoft.foundry.content_filter.results"
HARM = r'"severity":\s*"(?:low|medium|high)"'

result = pl.col("result")
blocked = truth("blocked").fill_null(value=False) | result.str.contains(r'"filtered":\s*true')
verdict = (
    pl.when(blocked)
    .then(pl.lit("block"))
    .when(result.str.contains(rf'"detected":\s*true|{HARM}'))
    .then(pl.lit("flag"))
    .when(result.str.contains(r'"error":\s*\{'))
    .then(pl.lit("not_evaluated"))
    .when(result.str.contains(r'"filtered":\s*false'))
    .then(pl.lit("allow"))
    .otherwise(pl.lit("unknown"))
)
filters = result.str.extract_all(r'"(\w+)":\s*\{"?[^{}]*"(?:filtered|detected)"').list.eval(
    pl.element().str.extract(r'^"(\w+)"', 1)
)

FORMAT = Format(
    name="azure_foundry_content_filter",
    title="Azure AI Foundry content filter results",
    layer="policy",
    reference="https://learn.microsoft.com/azure/ai-foundry/concepts/trace",
    verified=True,
    export="Traces of a Foundry project, exported from Application Insights with their attributes.",
    limits="Without the span around them the results have no time and no id.",
    recognise=Recognise(where=(((KEY,), r'"content_filter_results"'), ((KEY,), r'"source_type"'))),
    fields={"results": path(KEY)},
    columns={"service": pl.lit("azure-foundry")},
    events=(
        Event(
            "policy.decision",
            each="results",
            fields={
                "blocked": path("blocked"),
                "source": path("source_type"),
                "result": path("content_filter_results"),
                "offsets": path("content_filter_offsets"),
            },
            columns={
                "name": pl.lit("content_filter"),
                "policy_name": pl.lit("azure-content-filter"),
                "policy_stage": words("source", {"prompt": "input", "completion": "output"}),
                "verdict": verdict,
                "enforced": verdict.replace_strict(
                    {"block": True, "flag": False}, default=None, return_dtype=pl.Boolean
                ),
                "outcome": pl.when(blocked)
                .then(pl.lit("blocked"))
                .when(verdict == "not_evaluated")
                .then(pl.lit("error"))
                .otherwise(pl.lit("ok")),
            },
            attributes={
                "filters": pl.when(filters.list.len() > 0).then(filters.list.join(", ")),
                "error": result.str.extract(r'"message":\s*"([^"]{1,240})', 1),
                "offsets": "offsets",
            },
        ),
    ),
)
