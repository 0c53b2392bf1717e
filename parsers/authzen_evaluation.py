"""AuthZEN: the decision of an Access Evaluation, with the reasons that its specification shows.

What to know of these records: they have no time and no id; `X-Request-ID` is a header. A bare `{"decision": true}` is
too little to be recognised: name the format with --format for such a file.

Verdicts: true is allow, false is block; anything else is unknown. Enforcement is the caller's.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, path, words

FORMAT = Format(
    name="authzen_evaluation",
    title="AuthZEN access evaluation",
    layer="policy",
    reference="https://openid.net/specs/authorization-api-1_0.html",
    verified=False,
    export="Keep the body of `/access/v1/evaluation`, in a log line that has a time.",
    limits="It has no time and no id, and does not repeat who asked for what.",
    recognise=Recognise(
        any_of=((("context", "reason_admin"), ("context", "reason_user"), ("context", "acr_values")),),
        where=((("decision",), r"^(?:true|false)$"),),
    ),
    fields={
        "decision": path("decision"),
        "admin": path("context", "reason_admin"),
        "user": path("context", "reason_user"),
        "acr": path("context", "acr_values"),
    },
    columns={"service": pl.lit("authzen")},
    events=(
        Event(
            "policy.decision",
            columns={
                "name": pl.lit("evaluation"),
                "verdict": words("decision", {"true": "allow", "false": "block"}, default="unknown").fill_null(
                    "unknown"
                ),
                "outcome": words("decision", {"true": "ok", "false": "blocked"}, default="unknown"),
            },
            attributes={
                "reason": pl.coalesce("admin", "user").str.slice(0, 240),
                "step_up": "acr",
            },
        ),
    ),
)
