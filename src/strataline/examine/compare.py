"""One case against another, such as an incident against a good day: versions, verdicts, variants, what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from strataline.event import CONTRASTS, PRODUCT_LAYERS
from strataline.examine.contrast import compare
from strataline.examine.dimensions import dimensions
from strataline.examine.facts import Facts
from strataline.examine.measures import measured, measures

VARIANTS = pl.Schema({"variant": pl.String(), "here": pl.Int64(), "there": pl.Int64()})
"""Sequences of kinds of events, and how many requests of each case have them."""


@dataclass(frozen=True)
class Comparison:
    """What differs between two cases.

    Args:
        here: requests of the first case.
        there: requests of the second.
        values: `event.CONTRASTS`, the first case as affected and the second as baseline.
        variants: `VARIANTS`, the most frequent of both first.
        measures: `event.MEASURES`, the first case as affected and the second as baseline.
    """

    here: int
    there: int
    values: pl.DataFrame
    variants: pl.DataFrame
    measures: pl.DataFrame


def comparison(here: Facts, there: Facts) -> Comparison:
    """Compare two cases."""
    sides = {"a": here, "b": there}
    values = pl.concat([_prefixed(_values(facts), side) for side, facts in sides.items()])
    numbers = pl.concat([_prefixed(measured(facts), side) for side, facts in sides.items()])
    asked = {side: (side + ":" + facts.requests["request"]) for side, facts in sides.items()}
    variants = [_variants(facts) for facts in sides.values()]
    both = variants[0].join(variants[1], on="variant", how="full", coalesce=True, suffix="_b").fill_null(0)
    both = both.select("variant", here="n", there="n_b").cast(VARIANTS)
    return Comparison(
        here.total,
        there.total,
        CONTRASTS.conform(compare(values, asked["a"], asked["b"])),
        both.sort(pl.col("here") + pl.col("there"), "variant", descending=[True, False]),
        measures(numbers, asked["a"], asked["b"]),
    )


def _prefixed(values: pl.DataFrame, side: str) -> pl.DataFrame:
    return values.with_columns(request=side + ":" + pl.col("request"))


def _values(facts: Facts) -> pl.DataFrame:
    """Settings, and what became of requests: verdicts, outcomes, what was shown."""
    tied = facts.look("request", "kind", "outcome", "verdict", "policy_stage", "shown")
    tied = tied.filter(pl.col("request").is_not_null())
    stage = pl.col("policy_stage").fill_null("unstated")
    verdicts = tied.filter(pl.col("verdict").is_not_null()).select(
        "request", dimension=pl.format("verdict ({})", stage), value="verdict"
    )
    outcomes = tied.filter(pl.col("outcome").is_not_null()).select(
        "request", dimension=pl.format("outcome of {}", "kind"), value="outcome"
    )
    shown = tied.filter(pl.col("shown").is_not_null()).select("request", dimension=pl.lit("shown"), value="shown")
    settings = dimensions(facts).select("request", "dimension", "value")
    text = pl.Schema({"request": pl.String(), "dimension": pl.String(), "value": pl.String()})
    return (
        pl.concat([one.cast(text) for one in (settings, verdicts, outcomes, shown)])
        .unique()
        .sort("request", "dimension", "value")
    )


def _variants(facts: Facts) -> pl.DataFrame:
    """(variant, n): kinds of a request's events in order, repeats side by side drawn together."""
    of = facts.requests.select("request")
    tied = facts.look("request", "seq", "layer", "kind")
    tied = tied.filter(pl.col("layer").is_in(PRODUCT_LAYERS) & (pl.col("kind") != "log.other"))
    tied = tied.join(of, on="request", how="semi").sort("request", "seq").select("request", "kind")
    new = (pl.col("kind") != pl.col("kind").shift().over("request")).fill_null(value=True)
    sequences = tied.filter(new).group_by("request", maintain_order=True).agg(pl.col("kind").str.join(" > "))
    return sequences.group_by(variant="kind").agg(n=pl.len())
