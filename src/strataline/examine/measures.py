"""What was measured: how the numbers of affected requests lie beside those of the requests they are compared with.

A request has one number of each measure, so that one with many calls counts once. Association in these logs, no more;
and unlike the dimensions of a contrast, much of this is what became of a request.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from strataline.event import MEASURES, PRODUCT_LAYERS
from strataline.examine.contrast import ENOUGH, SMALL, Q, benjamini_hochberg
from strataline.examine.facts import Facts

GREATER = 0.65
"""A measure is shown if numbers of one side are greater than those of the other at least this often, ties half."""

MEASURED = pl.Schema(
    {"request": pl.Categorical(), "measure": pl.Categorical(), "unit": pl.Categorical(), "value": pl.Float64()}
)
"""Columns of `measured`: the texts as numbers, as each stands in many rows."""

_SCORES = pl.col("documents").list.eval(pl.element().struct.field("score"))
_TOOK = pl.coalesce("duration_ns", pl.when(pl.col("t_end") > pl.col("t")).then(pl.col("t_end") - pl.col("t"))) / 1e6

STATED: tuple[tuple[str, str, pl.Expr], ...] = (
    ("input tokens", "tokens", pl.col("input_tokens")),
    ("output tokens", "tokens", pl.col("output_tokens")),
    ("input", "characters", pl.col("input_chars")),
    ("output", "characters", pl.col("output_chars")),
    ("cost", "USD", pl.col("cost_usd")),
    ("documents", "documents", pl.col("documents").list.len()),
    ("best document score", "score", _SCORES.list.max()),
    ("citations", "citations", pl.col("citations")),
    ("score", "score", pl.col("score")),
    ("took", "ms", _TOOK),
)
"""What records state in numbers: name, unit, value. How long something took is by its own clock."""


def measured(facts: Facts) -> pl.DataFrame:
    """The numbers of each request, by kind of event: the largest that its records of that kind state (`STATED`).

    And how many records of that kind there are, and how long after the opening event the first was (corrected times).

    Returns:
        `MEASURED`, a row for each request of `Facts.requests` and measure of which there is a number.
    """
    wanted = dict.fromkeys(name for _, _, value in STATED for name in value.meta.root_names())
    parts = []
    steps = []
    for layer in PRODUCT_LAYERS:
        events = facts.of(layer, columns=("request", "kind", "link_method", "policy_name", *wanted))
        events = events.filter(pl.col("request").is_not_null() & (pl.col("kind") != "log.other"))
        events = events.with_columns(pl.col("request", "kind", "policy_name").cast(pl.Categorical))
        for name, unit, value in STATED:
            of = pl.coalesce("policy_name", "kind") if name == "score" else pl.col("kind")
            rows = events.select("request", value.cast(pl.Float64).alias("value"), of=of)
            parts.append(_largest(rows.filter(pl.col("value").is_finite()), name, unit))
        opens = pl.col("link_method") == "opening"
        steps.append(
            events.group_by("request", "kind").agg(
                records=pl.len(), first=pl.col("t").min(), opened=pl.col("t").filter(opens).min(), opens=opens.any()
            )
        )
    of_kind = pl.concat(steps).with_columns(pl.col("opened").min().over("request")).rename({"kind": "of"})
    parts.append(_largest(of_kind.select("request", "of", value=pl.col("records")), "records", "records"))
    later = of_kind.filter(~pl.col("opens")).select("request", "of", value=(pl.col("first") - pl.col("opened")) / 1e6)
    parts.append(_largest(later.drop_nulls("value"), "first, after the opening event", "ms"))
    return pl.concat(parts).join(
        facts.requests.select(pl.col("request").cast(pl.Categorical)), on="request", how="semi"
    )


def _largest(rows: pl.DataFrame, name: str, unit: str) -> pl.DataFrame:
    """The largest ``value`` by request and by what it is ``of``, as `MEASURED`."""
    found = rows.group_by("request", "of").agg(pl.col("value").max())
    named = pl.format("{}: {}", pl.col("of").cast(pl.String), pl.lit(name)).cast(pl.Categorical)
    found = found.join(found.select("of").unique().with_columns(measure=named), on="of")
    return found.select("request", "measure", pl.lit(unit).alias("unit"), "value").cast(MEASURED)


def measures(values: pl.DataFrame, affected: pl.Series, baseline: pl.Series) -> pl.DataFrame:
    """Compare the numbers of two sets of requests, measure by measure.

    The test is that of Mann and Whitney, two-sided, by its normal approximation with ties and continuity corrected, as
    `scipy.stats.mannwhitneyu` has it; Benjamini and Hochberg over all measures.

    Args:
        values: `MEASURED`.
        affected: ids of one set.
        baseline: ids of the other; disjoint from it.

    Returns:
        `event.MEASURES`: the measures that `ENOUGH` requests of both sets have and that vary, by (shown first, q,
        measure).
    """
    # A frame of an empty series and a scalar has no types.
    sides = pl.concat(
        [
            requests.unique().to_frame("request").with_columns(pl.col("request").cast(pl.Categorical), one=pl.lit(side))
            for requests, side in ((affected, True), (baseline, False))
        ]
    )
    of = ["measure", "unit"]
    rows = values.cast(MEASURED).join(sides, on="request").drop("request")
    one, value = pl.col("one"), pl.col("value")
    numbers = rows.group_by(*of, "value").agg(n=pl.len().cast(pl.Int64), ones=one.sum().cast(pl.Int64))
    n = pl.col("n")
    numbers = numbers.sort(pl.col(of).to_physical(), "value").with_columns(upto=n.cum_sum().over(of))
    # Equal numbers share the middle of their places.
    ranked = numbers.group_by(of).agg(
        ranks=(pl.col("ones") * (pl.col("upto") - (n - 1) / 2)).sum(),
        ties=(n.cast(pl.Int128) ** 3 - n).sum().cast(pl.Float64),
    )
    table = rows.group_by(of).agg(
        affected_n=one.sum().cast(pl.Int64),
        affected_median=value.filter(one).median(),
        affected_p95=value.filter(one).quantile(0.95, "nearest"),
        baseline_n=(~one).sum().cast(pl.Int64),
        baseline_median=value.filter(~one).median(),
        baseline_p95=value.filter(~one).quantile(0.95, "nearest"),
        varies=value.min() < value.max(),
    )
    table = table.join(ranked, on=of).with_columns(pl.col(of).cast(pl.String))
    enough = (pl.col("affected_n") >= ENOUGH) & (pl.col("baseline_n") >= ENOUGH)
    table = table.filter(enough & pl.col("varies")).sort("measure")
    if table.is_empty():
        return MEASURES.empty()
    from scipy.special import ndtr  # noqa: PLC0415 - it takes a while to load

    n1, n0, ranks, tied = (
        table[name].to_numpy().astype(np.float64) for name in ("affected_n", "baseline_n", "ranks", "ties")
    )
    total = n1 + n0
    u = ranks - n1 * (n1 + 1) / 2
    spread = np.sqrt(n1 * n0 / 12 * (total + 1 - tied / (total * (total - 1))))
    p = np.minimum(2 * ndtr(-(np.abs(u - n1 * n0 / 2) - 0.5) / spread), 1.0)
    table = table.with_columns(
        greater=pl.Series(u / (n1 * n0)).round(4),
        p=pl.Series(p).round_sig_figs(6),
        q=pl.Series(benjamini_hochberg(p)).round_sig_figs(6),
        small=pl.col("affected_n") < SMALL,
    )
    apart = (pl.col("greater") >= GREATER) | (pl.col("greater") <= 1 - GREATER)
    table = table.with_columns(pl.col("^.*_(median|p95)$").round_sig_figs(6), shown=(pl.col("q") < Q) & apart)
    return MEASURES.conform(table.drop("ranks", "ties", "varies").sort(~pl.col("shown"), "q", "p", "measure"))
