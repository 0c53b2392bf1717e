"""AuthZEN: the decisions of an Access Evaluations call, one event for each, in the order of the request.

What to know of these records: they have no time and no id. Which decision answers which question is told by its place
alone; after a stop (`deny_on_first_deny`) the rest is missing.

Verdicts: true is allow, false is block; anything else is unknown. A question without a decision was not evaluated, and
is not in the record. Enforcement is the caller's.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, path, words

FORMAT = Format(
    name="authzen_evaluations",
    title="AuthZEN access evaluations",
    layer="policy",
    reference="https://openid.net/specs/authorization-api-1_0.html",
    verified=False,
    export="Keep the body of `/access/v1/evaluations`, in a log line that has a time.",
    limits="It has no time and no id, and does not repeat who asked for what.",
    recognise=Recognise(where=((("evaluations", 0, "decision"), r"^(?:true|false)$"),)),
    explode=(("evaluations",),),
    fields={
        "decision": path("decision"),
        "admin": path("context", "reason_admin"),
        "user": path("context", "reason_user"),
        "reason": path("context", "reason"),
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
            attributes={"reason": pl.coalesce("admin", "user", "reason").str.slice(0, 240)},
        ),
    ),
)
