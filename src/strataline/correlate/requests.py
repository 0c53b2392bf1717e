"""One row per request: who, when, which layers, and what was in force and shown."""

from __future__ import annotations

import polars as pl

from strataline.correlate.presence import presence
from strataline.correlate.work import OPENING
from strataline.event import NOTES, REQUESTS, TIME

VERSIONS = ("templates", "indexes", "models", "policies")


def summarise(events: pl.DataFrame, added: pl.DataFrame, links: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make ``requests``, and notes on what the logs do not cover.

    ``layers_absent`` are those whose logs cover the request's time and hold nothing tied to it: that is no proof
    that the layer did nothing.

    Args:
        events: as in ``events``, by (source, offset, item, index).
        added: what correlation found of them, in their order: n, first, place, request, request_kind, opener, seq,
            call and t (corrected, ns).
        links: `work.LINKED`.
    """
    if added["request"].null_count() == added.height:
        return REQUESTS.empty(), NOTES.empty()
    inside = added.filter(pl.col("request").is_not_null()).sort("request", "seq")
    at = inside["n"]
    held = events.select("kind", "clock", pl.col("end_time").dt.epoch("ns")).rechunk()[at]
    rows = inside.select("n", "first", "opener", "request", "request_kind", "t", "call").with_columns(
        held.get_columns()
    )
    opens = (pl.col("n") == pl.col("opener")) | (pl.col("kind") == OPENING)
    start = rows.filter(opens).with_columns(start_time=pl.col("t").min().over("request"))
    start = start.filter((pl.col("t") == pl.col("start_time")).fill_null(value=pl.col("start_time").is_null()))
    start = start.unique("request", keep="first", maintain_order=True)
    start = start.select("request", "start_time", judge=pl.when(pl.col("start_time").is_not_null()).then("clock"))
    rows = rows.join(start, on="request", how="left", maintain_order="left")
    # A browser may be an hour off: how long a request took is told by one clock alone.
    judged = pl.when(pl.col("clock").eq_missing(pl.col("judge"))).then(pl.max_horizontal("t", "end_time"))
    called = pl.when(pl.col("kind") == "model.call").then("call")
    grouped = rows.group_by("request", maintain_order=True).agg(
        pl.col("request_kind").first().alias("kind"),
        pl.col("start_time").first(),
        judged.max().alias("end_time"),
        pl.len().alias("events"),
        ((pl.col("kind") == OPENING) & (pl.col("n") == pl.col("first"))).sum().alias("attempts"),
        pl.min_horizontal("t", "end_time").min().alias("earliest"),
    )
    calls = rows.select("request", call=called).drop_nulls().unique().group_by("request").agg(calls=pl.len())
    grouped = grouped.join(calls, on="request", how="left", maintain_order="left").with_columns(
        pl.col("calls").fill_null(0), pl.col("start_time", "end_time", "earliest").cast(TIME)
    )
    for name, value in LISTED.items():
        said = pl.DataFrame(
            [rows["request"], events.select(value.alias(name)).to_series().rechunk().gather(at)]
        ).drop_nulls()
        said = said.unique(maintain_order=True).group_by("request").agg(name)
        grouped = grouped.join(said, on="request", how="left", maintain_order="left")
    grouped = grouped.with_columns(pl.col(*LISTED).fill_null(pl.lit([], pl.List(pl.String))))
    opener = rows.unique("request", keep="first")["opener"]
    whose = events.select("session", "user", "tenant").rechunk()[opener].with_columns(added["request"].gather(opener))
    requests = grouped.join(whose, on="request", how="left", maintain_order="left")
    columns = ("layer", "service", "outcome", "verdict", "source", "line", "offset")
    looked = (
        events.select(columns)
        .rechunk()
        .with_columns(event_id=added["n"], corrected_time=added["t"].cast(TIME), request=added["request"])
    )
    requests, notes = presence(requests, looked, links.rename({"from": "from_event", "to": "to_event"}))
    by = links.filter(pl.col("relation") == "regenerates")
    whole = added["request"]
    refers = pl.DataFrame({"request": whole.gather(by["from"]), "refers_to": whole.gather(by["to"])}).drop_nulls()
    refers = refers.filter(pl.col("request") != pl.col("refers_to")).group_by("request").agg(pl.col("refers_to").min())
    requests = requests.join(refers, on="request", how="left")
    by_place = events["event_id"].rechunk().gather(added["place"].arg_sort())
    requests = requests.with_columns(by_place.gather(requests[name]).alias(name) for name in ("request", "refers_to"))
    return REQUESTS.conform(requests.drop("earliest")).sort(REQUESTS.sort), notes


def _pair(name: str, version: str, joint: str = "@", *, always: bool = False) -> pl.Expr:
    """``name@version``; the half that is there where one is null (only if `always`, or if it is the name)."""
    both = pl.concat_str(name, pl.lit(joint), version)
    return pl.coalesce(both, version, name) if always else pl.coalesce(both, name)


LISTED = {
    "templates": _pair("template_name", "template_version"),
    "indexes": pl.coalesce(_pair("index_name", "index_version"), "index_version"),
    "models": pl.col("served_model"),
    "policies": _pair("policy_name", "policy_version", always=True),
    "verdicts": pl.when(pl.col("verdict").is_not_null()).then(_pair("policy_stage", "verdict", ":", always=True)),
    "shown": pl.when(pl.col("layer") == "ui").then("shown"),
    "outcomes": pl.when(pl.col("outcome") != "ok").then("outcome"),
}
"""What a request lists, each value once, in order."""
