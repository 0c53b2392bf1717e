"""One case against another, such as an incident against a good day: versions, verdicts, variants, latency per step."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from strataline.event import CONTRASTS, PRODUCT_LAYERS
from strataline.examine.contrast import compare
from strataline.examine.dimensions import dimensions
from strataline.examine.facts import Facts

FEW = 20
"""A step that fewer requests of either case have is not compared."""

VARIANTS = pl.Schema({"variant": pl.String(), "here": pl.Int64(), "there": pl.Int64()})
"""Sequences of kinds of events, and how many requests of each case have them."""

LATENCY = pl.Schema(
    {
        "step": pl.String(),
        "here": pl.Int64(),
        "here_median_ms": pl.Float64(),
        "here_p95_ms": pl.Float64(),
        "there": pl.Int64(),
        "there_median_ms": pl.Float64(),
        "there_p95_ms": pl.Float64(),
        "p": pl.Float64(),
    }
)
"""``step``: an operation (how long it took by its own clock) or ``to KIND`` (from the opening event to the first event
of that kind, by corrected times); ``p``: Mann-Whitney, two-sided, uncorrected."""


@dataclass(frozen=True)
class Comparison:
    """What differs between two cases.

    Args:
        here: requests of the first case.
        there: requests of the second.
        values: `event.CONTRASTS`, the first case as affected and the second as baseline.
        variants: `VARIANTS`, the most frequent of both first.
        latency: `LATENCY`, in order of step.
    """

    here: int
    there: int
    values: pl.DataFrame
    variants: pl.DataFrame
    latency: pl.DataFrame


def comparison(here: Facts, there: Facts) -> Comparison:
    """Compare two cases."""
    sides = {"a": here, "b": there}
    values = pl.concat([_prefixed(_values(facts), side) for side, facts in sides.items()])
    asked = {side: (side + ":" + facts.requests["request"]) for side, facts in sides.items()}
    variants = [_variants(facts) for facts in sides.values()]
    both = variants[0].join(variants[1], on="variant", how="full", coalesce=True, suffix="_b").fill_null(0)
    both = both.select("variant", here="n", there="n_b").cast(VARIANTS)
    return Comparison(
        here.total,
        there.total,
        CONTRASTS.conform(compare(values, asked["a"], asked["b"])),
        both.sort(pl.col("here") + pl.col("there"), "variant", descending=[True, False]),
        _latency(_steps(here), _steps(there)),
    )


def _prefixed(values: pl.DataFrame, side: str) -> pl.DataFrame:
    return values.select((side + ":" + pl.col("request")).alias("request"), "dimension", "value")


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


def _steps(facts: Facts) -> pl.DataFrame:
    """(step, ns): one row per operation, and per request and kind."""
    tied = facts.look("request", "kind", "link_method", "duration_ns", "t", "t_end")
    tied = tied.filter(pl.col("request").is_not_null() & pl.col("t").is_not_null())
    took = pl.coalesce("duration_ns", pl.when(pl.col("t_end") > pl.col("t")).then(pl.col("t_end") - pl.col("t")))
    operations = tied.select(step="kind", ns=took).drop_nulls()
    opening = tied.filter(pl.col("link_method") == "opening").group_by("request").agg(start=pl.col("t").min())
    firsts = tied.filter(pl.col("link_method") != "opening").group_by("request", "kind").agg(pl.col("t").min())
    reached = firsts.join(opening, on="request").select(
        step=pl.format("to {}", "kind"), ns=pl.col("t") - pl.col("start")
    )
    return pl.concat([operations, reached])


def _latency(here: pl.DataFrame, there: pl.DataFrame) -> pl.DataFrame:
    rows = []
    sides = [
        {str(step): of["ns"].cast(pl.Float64) / 1e6 for (step,), of in side.group_by("step")} for side in (here, there)
    ]
    for step in sorted(set(sides[0]) & set(sides[1])):
        a, b = sides[0][step], sides[1][step]
        if min(a.len(), b.len()) < FEW:
            continue
        row: dict[str, object] = {"step": step}
        for name, ms in (("here", a), ("there", b)):
            row |= {name: ms.len(), f"{name}_median_ms": ms.median(), f"{name}_p95_ms": ms.quantile(0.95, "nearest")}
        from scipy.stats import mannwhitneyu  # noqa: PLC0415 - it takes a while to load

        row["p"] = float(mannwhitneyu(a.sort().to_numpy(), b.sort().to_numpy()).pvalue)
        rows.append(row)
    return pl.DataFrame(rows, schema=LATENCY).with_columns(pl.col(pl.Float64).round_sig_figs(6))
