"""Amazon Bedrock: answers of ``ApplyGuardrail``, as an SDK returns them and an application keeps them.

What to know of these records: the body has no time and no id; an SDK adds `ResponseMetadata`, with the id that
CloudTrail knows and the time of the answer to the second. An intervention blocks or masks, and only the members of
`assessments` tell which; a member that was detected with action ``NONE`` was let through; text that was not covered
was not judged.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, filled, path, whole

MEMBER = r'"action":\s*"(?:BLOCKED|ANONYMIZED)"|"detected":\s*true'
ACTED = {"block": True, "redact": True, "unknown": True, "flag": False}

found = pl.col("assessments")
members = found.str.extract_all(r"\{[^{}]*\}")
hit = pl.element().filter(pl.element().str.contains(MEMBER))
names = members.list.eval(hit.str.extract(r'"(?:name|type)":\s*"([^"]*)"')).list.unique(maintain_order=True)
intervened = pl.col("action") == "GUARDRAIL_INTERVENED"
verdict = (
    pl.when(found.str.contains(r'"action":\s*"BLOCKED"'))
    .then(pl.lit("block"))
    .when(found.str.contains(r'"action":\s*"ANONYMIZED"'))
    .then(pl.lit("redact"))
    .when(intervened)
    .then(pl.lit("unknown"))
    .when(found.str.contains(r'"detected":\s*true'))
    .then(pl.lit("flag"))
    .when((whole("guarded") == 0) & (whole("total") > 0))
    .then(pl.lit("not_evaluated"))
    .when(pl.col("action") == "NONE")
    .then(pl.lit("allow"))
    .otherwise(pl.lit("unknown"))
)

FORMAT = Format(
    name="bedrock_apply_guardrail",
    title="Amazon Bedrock ApplyGuardrail answer",
    layer="policy",
    reference="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html",
    verified=True,
    export="No log of Bedrock holds it: the application must write down what apply_guardrail() returns.",
    limits="What was judged is not said, nor whether input or output; without SDK metadata there is no time or id.",
    recognise=Recognise(keys=(("assessments",), ("outputs",)), where=((("action",), "^(NONE|GUARDRAIL_INTERVENED)$"),)),
    fields={
        "action": path("action"),
        "reason": path("actionReason"),
        "assessments": path("assessments"),
        "text": path("outputs", 0, "text"),
        "request": path("ResponseMetadata", "RequestId"),
        "header": path("ResponseMetadata", "HTTPHeaders", "x-amzn-requestid"),
        "date": path("ResponseMetadata", "HTTPHeaders", "date"),
        "status": path("ResponseMetadata", "HTTPStatusCode"),
        "retries": path("ResponseMetadata", "RetryAttempts"),
        "guarded": path("guardrailCoverage", "textCharacters", "guarded"),
        "total": path("guardrailCoverage", "textCharacters", "total"),
        "latency": path("assessments", 0, "invocationMetrics", "guardrailProcessingLatency"),
        "guardrail": path("assessments", 0, "appliedGuardrailDetails", "guardrailId"),
        "version": path("assessments", 0, "appliedGuardrailDetails", "guardrailVersion"),
        "arn": path("assessments", 0, "appliedGuardrailDetails", "guardrailArn"),
        "origin": path("assessments", 0, "appliedGuardrailDetails", "guardrailOrigin"),
    },
    time="date",
    time_kind="end",
    duration=Duration("latency", "ms"),
    columns={"service": pl.lit("bedrock-guardrails"), "name": pl.lit("ApplyGuardrail")},
    ids=(Id("provider_request_id", filled("request", "header")),),
    events=(
        Event(
            "policy.decision",
            columns={
                "outcome": pl.when(verdict == "block")
                .then(pl.lit("blocked"))
                .when(verdict.is_in(["not_evaluated", "unknown"]))
                .then(pl.lit("unknown"))
                .otherwise(pl.lit("ok")),
                "http_status": whole("status"),
                "policy_name": "guardrail",
                # A draft has no version: it changes under its name.
                "policy_version": pl.when(pl.col("version") != "DRAFT").then(pl.col("version")),
                "verdict": verdict,
                "enforced": verdict.replace_strict(ACTED, default=None, return_dtype=pl.Boolean),
                "output": filled("text"),
            },
            attributes={
                "action": "action",
                "action_reason": "reason",
                "found": pl.when(names.list.len() > 0).then(names.list.join(", ")),
                "coverage": pl.concat_str("guarded", "total", separator="/"),
                "guardrail_version": "version",
                "guardrail_arn": "arn",
                "guardrail_origin": "origin",
                "retries": "retries",
            },
        ),
    ),
)
