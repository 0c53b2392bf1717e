"""What was different: values that affected requests have more or less often than those they are compared with.

Fisher's exact test for each value, Benjamini and Hochberg over all of them, and a rule of what is shown that leaves
random splits silent (`benchmarks/null_contrasts.py`). Association in these logs, no more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

from strataline.event import CONTRASTS

ENOUGH = 5
"""Affected requests in which a dimension is known, below which nothing of it is shown (but see `SEPARATING`)."""
Q = 0.05
POINTS = 15.0
RATIO = 3.0
SMALL = 10
"""Fewer affected requests than this are marked `small`."""
CARRIED = 3
"""A value that fewer requests have is not compared: it could not differ by more than chance, and there may be many."""
SEPARATING = (3, 0.001)
"""A value that all affected and no other requests have (or the reverse) is shown from this many of both on, if chance
would give it no more often than this: one request against three is always told apart by something."""
ALIKE = 0.95
"""Values are inseparable when, of the requests that have one of them, this share has both."""
GROUPED = 500
"""How many of the shown values are looked at for that."""
CELLS = 1 << 21
"""Chances that are in memory at a time."""
FLIP_POINTS = 5.0
"""A route in which the difference has the other sign counts from this difference on."""

PARAMETERS = {
    "affected_at_least": ENOUGH,
    "q_below": Q,
    "points_at_least": POINTS,
    "or_ratio_at_least": RATIO,
    "value_in_at_least": CARRIED,
    "separator_at_least": SEPARATING[0],
    "separator_p_at_most": SEPARATING[1],
}
"""The rule of `compare`, for the parameters of a check."""

Numbers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


def compare(
    values: pl.DataFrame,
    affected: pl.Series,
    baseline: pl.Series,
    *,
    dimension: str | None = None,
    routes: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Compare how often requests of two sets have each value.

    Args:
        values: request, value (texts), one row for each value that a request has; a request may have several, and
            rows may repeat. With a column ``dimension`` it is of several dimensions, and `q` is over all of them; with
            a column ``t`` (ns) the earliest is the value's ``first_seen``. A request without a row is one in which the
            dimension is not known.
        affected: ids of one set.
        baseline: ids of the other; disjoint from it.
        dimension: what to call the dimension where `values` has no such column; null without.
        routes: request, route: where the sign of the difference is looked at by route.

    Returns:
        `event.CONTRASTS`: the values that `CARRIED` requests have, by (shown first, q, dimension, value).
    """
    if "dimension" not in values.columns:
        values = values.with_columns(dimension=pl.lit(dimension, dtype=pl.String))
    sets = [one.unique().sort().to_frame("request") for one in (affected, baseline)]
    sides = pl.concat(sets).with_columns(pl.col("request").cast(pl.Categorical)).with_row_index("r")
    values = values.select("request", "dimension", "value", *(["t"] if "t" in values.columns else []))
    values = values.filter(pl.col("request").is_not_null() & pl.col("value").is_not_null())
    values = values.with_columns(pl.col("request", "dimension", "value").cast(pl.Categorical))
    first = values.group_by("dimension", "value").agg(pl.col("t").min()) if "t" in values.columns else None
    # The affected are numbered first: a number says which side it is of.
    rows = values.select("request", "dimension", "value").join(sides, on="request").drop("request").unique()
    one = pl.col("r") < sets[0].height
    side = {"affected": one, "baseline": ~one}
    totals = rows.group_by("dimension").agg(
        **{f"{name}_total": pl.col("r").filter(of).n_unique().cast(pl.Int64) for name, of in side.items()}
    )
    counted = rows.group_by("dimension", "value").agg(
        **{f"{name}_with": of.sum().cast(pl.Int64) for name, of in side.items()}
    )
    carried = pl.col("affected_with") + pl.col("baseline_with") >= CARRIED
    table = counted.join(totals, on="dimension", nulls_equal=True)
    # A value that all have is no difference, and a dimension that one side does not have cannot be compared.
    alike = (pl.col("affected_with") == pl.col("affected_total")) & (
        pl.col("baseline_with") == pl.col("baseline_total")
    )
    table = table.filter(carried & ~alike & (pl.col("affected_total") > 0) & (pl.col("baseline_total") > 0))
    table = (
        table.with_columns(text=pl.col("value").cast(pl.String))
        .sort(pl.col("dimension").cast(pl.String), "text", nulls_last=True)
        .drop("text")
    )
    if table.is_empty():
        return CONTRASTS.empty()
    table = _tested(table)
    if first is not None:
        times = first.with_columns(
            first_seen=pl.from_epoch("t", time_unit="ns").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        ).drop("t")
        table = table.join(times, on=["dimension", "value"], how="left", nulls_equal=True, maintain_order="left")
    shown = table.filter("shown").sort("q", "p", "dimension", "value", nulls_last=True)
    shown = shown.select("dimension", "value", "difference").with_row_index("v")
    members = rows.join(shown, on=["dimension", "value"], nulls_equal=True).select("v", "r")
    marks = shown.join(_groups(members, shown.height, sides.height), on="v", how="left", maintain_order="left")
    if routes is not None:
        marks = marks.join(_flips(members, rows, sides, shown, routes, one), on="v", how="left", maintain_order="left")
    marks = marks.drop("v", "difference")
    table = table.join(marks, on=["dimension", "value"], how="left", nulls_equal=True, maintain_order="left")
    table = table.with_columns(pl.col("dimension", "value").cast(pl.String))
    return CONTRASTS.conform(table.sort(~pl.col("shown"), "q", "p", "dimension", "value", nulls_last=True))


def _tested(table: pl.DataFrame) -> pl.DataFrame:
    """`table` with difference, ratio, p, q, shown, separates and small."""
    a, n1, b, n0 = (pl.col(f"{of}_{what}") for of in ("affected", "baseline") for what in ("with", "total"))
    counts = [table[name].to_numpy() for name in ("affected_with", "affected_total", "baseline_with", "baseline_total")]
    p = fisher(*counts)
    separates = ((a == n1) & (b == 0)) | ((a == 0) & (b == n0))
    table = table.with_columns(
        difference=(100 * (a / n1 - b / n0)).round(4),
        ratio=(((a + 0.5) / (n1 + 0.5)) / ((b + 0.5) / (n0 + 0.5))).round(4),
        p=pl.Series(p),
        q=pl.Series(benjamini_hochberg(p)),
        separates=separates,
        small=n1 < SMALL,
    ).with_columns(pl.col("p", "q").round_sig_figs(6))
    large = (pl.col("difference").abs() >= POINTS) | (pl.col("ratio") >= RATIO) | (pl.col("ratio") <= 1 / RATIO)
    rule = (n1 >= ENOUGH) & (pl.col("q") < Q) & large
    enough, chance = SEPARATING
    parted = pl.col("separates") & (n1 >= enough) & (n0 >= enough) & (pl.col("p") <= chance)
    return table.with_columns(shown=rule | parted)


def fisher(a: Numbers, n1: Numbers, b: Numbers, n0: Numbers) -> Reals:
    """Fisher's exact test, two-sided, for many tables at once.

    The p of a table is the chance of all tables with its margins that are no likelier than it, as in
    `scipy.stats.fisher_exact`.

    Args:
        a: of `n1` affected requests, those with the value.
        n1: affected requests.
        b: of `n0` others, those with the value.
        n0: the others.
    """
    tables, back = np.unique(np.stack([a, n1, b, n0], axis=1).astype(np.int64), axis=0, return_inverse=True)
    ones, ones_of, others, others_of = tables.T
    with_it = ones + others
    low = np.maximum(0, with_it - others_of)
    high = np.minimum(with_it, ones_of)

    def log_chance(x: Numbers, rows: slice | Numbers = slice(None)) -> Reals:
        of1, of0, k = ones_of[rows], others_of[rows], with_it[rows]
        return _log_choose(of1, x) + _log_choose(of0, k - x) - _log_choose(of1 + of0, k)

    # What is as likely but for rounding is no likelier.
    bar = log_chance(ones) + 1e-7
    mode = np.clip(((with_it + 1) * (ones_of + 1)) // (ones_of + others_of + 2), low, high)
    left = _last_below(log_chance, bar, low - 1, mode)
    right = -_last_below(lambda x: log_chance(-x), bar, -high - 1, -mode)
    share = with_it / (ones_of + others_of)
    # Beyond twelve spreads from where a tail begins nothing is left that a double could hold beside it.
    reach = (np.ceil(12 * np.sqrt(ones_of * share * (1 - share))) + 60).astype(np.int64)
    p = np.zeros(len(tables))
    by_reach = np.argsort(-reach, kind="stable")
    start = 0
    while start < len(by_reach):
        wide = int(reach[by_reach[start]])
        rows = by_reach[start : start + max(1, CELLS // wide)]
        start += len(rows)
        steps = np.arange(wide)
        for edge, step in ((left, -1), (right, 1)):
            x = edge[rows, None] + step * steps
            inside = (x >= low[rows, None]) & (x <= high[rows, None])
            of = np.broadcast_to(rows[:, None], x.shape)[inside]
            p += np.bincount(of, np.exp(log_chance(x[inside], of)), len(tables))
    p = np.where(right <= left, 1.0, np.minimum(p, 1.0))
    return np.asarray(p[back.reshape(-1)], dtype=np.float64)


def _last_below(log_chance: Callable[[Numbers], Reals], bar: Reals, outside: Numbers, mode: Numbers) -> Numbers:
    """The last x from `outside` (before the first) to `mode` at which `log_chance`, which rises there, is in `bar`."""
    below, above = np.where(log_chance(mode) <= bar, mode, outside), mode
    while (open_ := above - below > 1).any():
        middle = np.where(open_, (below + above) // 2, mode)
        under = log_chance(middle) <= bar
        below, above = np.where(open_ & under, middle, below), np.where(open_ & ~under, middle, above)
    return below


def _log_choose(n: Numbers, k: Numbers) -> Reals:
    from scipy.special import gammaln  # noqa: PLC0415 - it takes a while to load

    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), dtype=np.float64)


def benjamini_hochberg(p: Reals) -> Reals:
    """`p` as false discovery rates over all of them."""
    order = np.argsort(p, kind="stable")[::-1]
    scaled = p[order] * len(p) / np.arange(len(p), 0, -1)
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return q


def _groups(members: pl.DataFrame, values: int, requests: int) -> pl.DataFrame:
    """v, group: of the first `GROUPED` values, those whose requests are the same (`ALIKE`); none that is alone."""
    few = members.filter(pl.col("v") < GROUPED)
    marks = np.ones(few.height, dtype=np.int64)
    from scipy.sparse import csr_array  # noqa: PLC0415 - it takes a while to load
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - it takes a while to load

    here = csr_array((marks, (few["v"].to_numpy(), few["r"].to_numpy())), shape=(min(values, GROUPED), requests))
    both = (here @ here.T).tocoo()
    sizes = np.asarray(here.sum(axis=1)).reshape(-1)
    one, other = both.coords
    either = sizes[one] + sizes[other] - both.data
    alike = both.data >= ALIKE * either
    tied = csr_array((np.ones(int(alike.sum())), (one[alike], other[alike])), shape=both.shape)
    _, labels = connected_components(tied, directed=False)
    found = pl.DataFrame({"v": np.arange(len(labels)), "label": labels}, schema={"v": pl.UInt32, "label": pl.Int64})
    several = found.filter(pl.len().over("label") > 1)
    return several.select("v", group=pl.col("label").rank("dense").cast(pl.Int64))


def _flips(
    members: pl.DataFrame,
    rows: pl.DataFrame,
    sides: pl.DataFrame,
    shown: pl.DataFrame,
    routes: pl.DataFrame,
    one: pl.Expr,
) -> pl.DataFrame:
    """v, flips: whether the difference has the other sign in a route; no row without two routes of `ENOUGH` of both."""
    one_each = routes.drop_nulls().unique("request", keep="first", maintain_order=True)
    one_each = one_each.with_columns(pl.col("request").cast(pl.Categorical))
    of = sides.join(one_each, on="request").select("r", "route")
    counts = {"a": one.sum(), "b": (~one).sum()}
    known = rows.join(shown.select("dimension").unique(), on="dimension", how="semi", nulls_equal=True)
    r = pl.col("r")
    known = (
        known.join(of, on="r")
        .group_by("dimension", "route")
        .agg(n1=r.filter(one).n_unique(), n0=r.filter(~one).n_unique())
    )
    known = known.filter((pl.col("n1") >= ENOUGH) & (pl.col("n0") >= ENOUGH))
    known = known.filter(pl.len().over("dimension") > 1)
    have = members.join(of, on="r").group_by("v", "route").agg(**counts)
    each = shown.join(known, on="dimension", nulls_equal=True).join(have, on=["v", "route"], how="left")
    here = 100 * (pl.col("a").fill_null(0) / pl.col("n1") - pl.col("b").fill_null(0) / pl.col("n0"))
    other = (here * pl.col("difference").sign() <= -FLIP_POINTS).any()
    return each.group_by("v").agg(flips=other)
