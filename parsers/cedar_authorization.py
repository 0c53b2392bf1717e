"""Cedar: an authorization answer, of cedar-agent (`diagnostics`) or Amazon Verified Permissions.

What to know of these records: they have no time and no id. Errors do not change a decision: a policy that could not be
evaluated is skipped, be it a permit or a forbid.

Verdicts: Allow is allow, Deny is block; there is no other word. Each error is one more decision: not_evaluated, as
some policy was not. Enforcement is the caller's.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, path, words


def _errors(each: str, error: str | None) -> Event:
    """The policies that could not be evaluated, from where the list lies."""
    return Event(
        "policy.decision",
        each=each,
        when=pl.col(each).is_not_null(),
        fields={"failure": path() if error is None else path(error)},
        columns={"name": pl.lit("policy error"), "verdict": pl.lit("not_evaluated"), "outcome": pl.lit("error")},
        attributes={"error": pl.col("failure").str.slice(0, 240)},
    )


FORMAT = Format(
    name="cedar_authorization",
    title="Cedar authorization answer",
    layer="policy",
    reference="https://docs.cedarpolicy.com/auth/authorization.html",
    verified=True,
    export="Keep the body of `/v1/is_authorized` (cedar-agent) or IsAuthorized (Verified Permissions), with a time.",
    limits="It has no time and no id, and does not repeat who asked for what.",
    recognise=Recognise(
        any_of=(
            (("diagnostics", "reason"), ("determiningPolicies",)),
            (("diagnostics", "errors"), ("errors",)),
        ),
        where=((("decision",), r"^(?:Allow|Deny|ALLOW|DENY)$"),),
    ),
    fields={
        "decision": path("decision"),
        "reason": path("diagnostics", "reason"),
        "policies": path("determiningPolicies"),
        "first_reason": path("diagnostics", "reason", 0),
        "first_policy": path("determiningPolicies", 0, "policyId"),
        "agent_errors": path("diagnostics", "errors"),
        "amazon_errors": path("errors"),
    },
    columns={"service": pl.lit("cedar")},
    events=(
        Event(
            "policy.decision",
            columns={
                "name": pl.lit("is_authorized"),
                "policy_name": pl.coalesce("first_reason", "first_policy"),
                "verdict": words("decision", {"allow": "allow", "deny": "block"}, default="unknown"),
                "outcome": words("decision", {"allow": "ok", "deny": "blocked"}, default="unknown"),
            },
            attributes={"policies": pl.coalesce("reason", "policies")},
        ),
        _errors("agent_errors", None),
        _errors("amazon_errors", "errorDescription"),
    ),
)
