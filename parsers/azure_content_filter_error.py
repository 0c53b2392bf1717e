"""Azure OpenAI: the error that the content filter answers with in place of a completion.

What to know of these records: the body has no time and no id; those are in the headers (`apim-request-id`,
`x-request-id`) or in what recorded the answer. The prompt never reached the model.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, filled, path, whole

INNER = r"(?:[^{}]|\{[^{}]*\})*?"
HARM = r'"severity":\s*"(?:low|medium|high)"'

results = filled("result", "results")
told = results.str.extract_all(rf'"\w+":\s*\[?\{{{INNER}(?:"(?:filtered|detected)":\s*true|{HARM})')
found = told.list.eval(pl.element().str.extract(r'^"(\w+)"', 1)).list.join(", ")

FORMAT = Format(
    name="azure_content_filter_error",
    title="Azure OpenAI content filter error",
    layer="model",
    reference="https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter",
    verified=True,
    export="Error bodies that an application or a proxy before Azure OpenAI wrote down.",
    limits="No time, id, model or prompt: only what recorded the answer can tell them.",
    recognise=Recognise(
        keys=(("error", "message"), ("error", "code")),
        where=((("error", "innererror", "code"), "^ResponsibleAIPolicyViolation$"),),
    ),
    fields={
        "code": path("error", "code"),
        "message": path("error", "message"),
        "param": path("error", "param"),
        "status": path("error", "status"),
        "result": path("error", "innererror", "content_filter_result"),
        "results": path("error", "innererror", "content_filter_results"),
    },
    columns={
        "service": pl.lit("azure-openai"),
        "provider": pl.lit("azure"),
        "outcome": pl.lit("blocked"),
        "http_status": whole("status"),
    },
    events=(
        Event(
            "model.call",
            columns={"name": "code", "error_type": "code"},
            attributes={"error": pl.col("message").str.slice(0, 240)},
        ),
        Event(
            "policy.decision",
            layer="policy",
            columns={
                "name": pl.lit("content_filter"),
                "policy_name": pl.lit("azure-content-filter"),
                "policy_stage": pl.lit("input"),
                "verdict": pl.lit("block"),
                "enforced": pl.lit(value=True),
                "delivered": pl.lit(value=False),
            },
            attributes={"found": pl.when(found != "").then(found), "param": "param"},
        ),
    ),
)
