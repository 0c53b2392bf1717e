"""One row per request: who, when, which layers, and what was in force and shown."""

from __future__ import annotations

import polars as pl

from strataline.correlate.presence import presence
from strataline.correlate.work import OPENING
from strataline.event import NOTES, REQUESTS

VERSIONS = ("templates", "indexes", "models", "policies")


def summarise(events: pl.DataFrame, links: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make ``requests`` of correlated events (with ``request_kind``, ``opener`` and ``first`` beside them), and notes.

    ``layers_absent`` are those whose logs cover the request's time and hold nothing tied to it: that is no proof
    that the layer did nothing.
    """
    if events["request"].null_count() == events.height:
        return REQUESTS.empty(), NOTES.empty()
    inside = events.filter(pl.col("request").is_not_null()).sort("request", "seq")
    fresh = pl.col("event_id") == pl.col("first_id")
    opens = (pl.col("event_id") == pl.col("opener_id")) | (pl.col("kind") == OPENING)
    first = (
        pl.col("clock")
        .filter(opens & (pl.col("corrected_time") == pl.col("corrected_time").filter(opens).min()))
        .first()
    )
    # A browser may be an hour off: how long a request took is told by one clock alone.
    same_clock = pl.col("clock").eq_missing(first)
    listed = {
        "templates": _pair("template_name", "template_version"),
        "indexes": pl.coalesce(_pair("index_name", "index_version"), "index_version"),
        "models": pl.col("served_model"),
        "policies": _pair("policy_name", "policy_version", always=True),
        "verdicts": pl.when(pl.col("verdict").is_not_null()).then(_pair("policy_stage", "verdict", ":", always=True)),
        "shown": pl.when(pl.col("layer") == "ui").then("shown"),
        "outcomes": pl.when(pl.col("outcome") != "ok").then("outcome"),
    }
    grouped = inside.group_by("request", maintain_order=True).agg(
        pl.col("request_kind").first().alias("kind"),
        pl.col("corrected_time").filter(opens).min().alias("start_time"),
        pl.max_horizontal(pl.col(name).filter(same_clock).max() for name in ("corrected_time", "end_time")).alias(
            "end_time"
        ),
        pl.len().alias("events"),
        ((pl.col("kind") == OPENING) & fresh).sum().alias("attempts"),
        pl.col("call").filter(pl.col("kind") == "model.call").drop_nulls().n_unique().alias("calls"),
        pl.min_horizontal(pl.col("corrected_time").min(), pl.col("end_time").min()).alias("earliest"),
        *(value.drop_nulls().unique(maintain_order=True).alias(name) for name, value in listed.items()),
    )
    opener = inside.filter(pl.col("event_id") == pl.col("opener_id")).select("request", "session", "user", "tenant")
    requests = grouped.join(opener, on="request", how="left")
    requests, notes = presence(requests, events, links)
    regenerated = links.filter(pl.col("relation") == "regenerates").select("from_event", "to_event")
    names = events.select("event_id", "request")
    refers = (
        regenerated.join(names.rename({"event_id": "from_event"}), on="from_event")
        .join(names.rename({"event_id": "to_event", "request": "refers_to"}), on="to_event")
        .filter(pl.col("request") != pl.col("refers_to"))
        .group_by("request")
        .agg(pl.col("refers_to").min())
    )
    requests = requests.join(refers, on="request", how="left")
    return REQUESTS.conform(requests.drop("earliest")).sort(REQUESTS.sort), notes


def _pair(name: str, version: str, joint: str = "@", *, always: bool = False) -> pl.Expr:
    """``name@version``; the half that is there where one is null (only if `always`, or if it is the name)."""
    both = pl.concat_str(name, pl.lit(joint), version)
    return pl.coalesce(both, version, name) if always else pl.coalesce(both, name)
