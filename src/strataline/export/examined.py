"""An examination as plain numbers and texts: what ``strataline examine --json`` prints."""

from __future__ import annotations

from typing import Any

import polars as pl

from strataline.wording import ASSOCIATION, LEFT_OPEN

READ = {
    "RU": "Read first: reached a user although a record holds a stop condition",
    "SG": "Read first: safeguards not evidenced",
    "DV": "Read next: what differs",
    "CC": "Read next: conditions known to widen outcomes",
    "EG": "Background: gaps in the evidence",
    "CX": "Background: context",
}
"""Headings, by attention. They say what to read when; not what weighs more."""


def rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as JSON has them: times as ISO text in UTC, maps as objects, null as null."""
    made = frame.with_columns(
        pl.col(pl.Datetime("ns", "UTC")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
    )
    found = made.to_dicts()
    for row in found:
        for name, value in row.items():
            if isinstance(value, list) and value and isinstance(value[0], dict) and set(value[0]) == {"key", "value"}:
                row[name] = {one["key"]: one["value"] for one in value}
            elif name == "parameters" and value == []:
                row[name] = {}
    return found


def listed(examined: Any, *, hits: bool = False) -> dict[str, Any]:
    """`examined` (an ``examine.Examined``) as one JSON object.

    Args:
        examined: what an examination gave.
        hits: whether to list every request of every finding.
    """
    affected = examined.affected
    made: dict[str, Any] = {
        "requests": examined.total,
        "affected": None
        if affected is None
        else {
            "selectors": list(affected.selectors),
            "chosen_by": affected.chosen_by,
            "count": affected.requests.n_unique(),
            "baseline": affected.baseline_rule,
            "baseline_count": affected.baseline.n_unique(),
            "requests": affected.requests.unique().sort().to_list(),
        },
        "impact": None if examined.impact is None else impact(examined.impact),
        "findings": rows(examined.findings),
        "contrasts": rows(examined.contrasts.filter("shown")),
        "contrasts_compared": examined.contrasts.height,
        "contrasts_mean": ASSOCIATION,
        "measures": rows(examined.measures.filter("shown")),
        "measures_compared": examined.measures.height,
        "changes": rows(examined.changes),
        "presence": rows(examined.presence),
        "services": rows(examined.services),
        "unseen": rows(examined.unseen),
        "left_open": dict(LEFT_OPEN),
    }
    if hits:
        made["hits"] = rows(examined.hits)
    return made


def impact(found: Any) -> dict[str, Any]:
    """`found` (an ``examine.Impact``) as one JSON object."""
    return {
        "tiers": rows(found.tiers),
        "moments": rows(found.moments),
        "signals": found.signals,
        "without_user": found.without_user,
        "traffic": found.traffic,
        "users_repeated": found.repeated,
        "requests_per_user_median": found.median,
        "requests_per_user_most": found.most,
        "longest_exposure_s": None if found.longest_ns is None else found.longest_ns / 1e9,
        "shown_after_mitigation": found.tail,
    }


def compared(found: Any) -> dict[str, Any]:
    """`found` (an ``examine.Comparison``) as one JSON object; affected is the first case, baseline the second."""
    return {
        "requests": {"here": found.here, "there": found.there},
        "values": rows(found.values),
        "variants": rows(found.variants),
        "measures": rows(found.measures),
        "means": ASSOCIATION,
    }
