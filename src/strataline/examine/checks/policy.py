"""Checks of the policy layer: whether safeguards ran, what they said, and whether that held."""

from __future__ import annotations

import polars as pl

from strataline.examine.check import Check, Found
from strataline.examine.facts import Facts


def _failed_open(facts: Facts) -> list[Found]:
    tied = facts.verdicts.filter(pl.col("request").is_not_null())
    evaluable = tied["request"]
    broke = tied.filter(pl.col("broke") & ~pl.col("stops"))
    reached = facts.reached.with_columns(reach=pl.coalesce("shown", "delivered")).select("request", "reach")
    found = broke.join(reached, on="request", how="inner").drop_nulls("reach")
    open_ = (found["policy_mode"].fill_null("") == "fail_open").any()
    hits = found.group_by("request", maintain_order=True).agg(
        events=pl.concat_list(pl.col("event_id").implode(), pl.col("reach").first().implode()).first()
    )
    mode = "open" if open_ else "not recorded"
    return [Found(hits, evaluable, {"mode": mode})]


CHECKS: tuple[Check, ...] = (
    Check(
        id="F-03",
        name="failed-open",
        layers=("policy",),
        attention="SG",
        status="DER",
        needs=("policy.verdict",),
        rule=_failed_open,
        statement="The filter's evaluation ended in an error or ran out of time in {n:request}, and delivery continued."
        " The logged failure mode is {mode}.",
        question="What did the filter tell the application when its evaluation ended that way, and what shows it?",
        alternatives=("A second filter passed the same content.",),
    ),
)
