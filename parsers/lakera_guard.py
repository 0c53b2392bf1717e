"""Lakera Guard v2: the answer of `/v2/guard`, bare or as `response.body` of a logged exchange.

What to know of these records: they have no time. `metadata.request_uuid` is the only id. `breakdown` is there only if
it was asked for, and the project only in the request.

Verdicts: `flagged` true is flag, false is allow; another word is unknown, none is not_evaluated. The same holds for
`detected` of each detector. Lakera never blocks by itself: what the caller did is not said. Levels L1 (confident) to L5
(unlikely) run the other way round than a score, so they are attributes.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, path, words

VERDICT = {"true": "flag", "false": "allow"}


def _detectors(each: str) -> Event:
    """The detectors, from where the list lies."""
    return Event(
        "policy.decision",
        each=each,
        when=pl.col(each).is_not_null(),
        fields={
            "detector": path("detector_type"),
            "detector_id": path("detector_id"),
            "policy": path("policy_id"),
            "detected": path("detected"),
            "result": path("result"),
            "confidence": path("confidence"),
        },
        columns={
            "name": "detector",
            "policy_name": pl.coalesce("detector", "detector_id"),
            "verdict": words("detected", VERDICT, default="unknown").fill_null("not_evaluated"),
            "outcome": pl.lit("ok"),
        },
        attributes={"policy": "policy", "level": pl.coalesce("result", "confidence")},
    )


FORMAT = Format(
    name="lakera_guard",
    title="Lakera Guard result",
    layer="policy",
    reference="https://docs.lakera.ai/docs/api/guard",
    verified=False,
    export="Keep the body of each answer of `/v2/guard` (ask for `breakdown`), in a log line that has a time.",
    limits="It has no time and no verdict beyond a flag, and does not name the project's policy.",
    recognise=Recognise(
        any_of=(
            (("flagged",), ("response", "body", "flagged")),
            (("metadata", "request_uuid"), ("response", "body", "metadata", "request_uuid")),
        ),
    ),
    fields={
        "bare_flagged": path("flagged"),
        "inner_flagged": path("response", "body", "flagged"),
        "bare_id": path("metadata", "request_uuid"),
        "inner_id": path("response", "body", "metadata", "request_uuid"),
        "bare_breakdown": path("breakdown"),
        "inner_breakdown": path("response", "body", "breakdown"),
        "version": path("dev_info", "model_version"),
        "project": path("request", "body", "project_id"),
        "messages": path("request", "body", "messages"),
        "status": path("response", "status"),
    },
    columns={"service": pl.lit("lakera"), "policy_version": "version"},
    ids=(Id("request_id", pl.coalesce("bare_id", "inner_id")),),
    events=(
        Event(
            "policy.decision",
            columns={
                "name": pl.lit("guard"),
                "policy_name": pl.coalesce(pl.col("project"), pl.lit("all detectors")),
                "verdict": pl.coalesce(
                    words("bare_flagged", VERDICT, default="unknown"),
                    words("inner_flagged", VERDICT, default="unknown"),
                ).fill_null("not_evaluated"),
                "outcome": pl.lit("ok"),
                "http_status": pl.col("status").cast(pl.Int64, strict=False),
                "input": "messages",
            },
        ),
        _detectors("bare_breakdown"),
        _detectors("inner_breakdown"),
    ),
)
