"""One row per request: who, when, which layers, and what was in force and shown."""

from __future__ import annotations

import numpy as np
import polars as pl

from strataline.correlate.graph import sorting
from strataline.correlate.presence import presence
from strataline.correlate.work import OPENING, inverse
from strataline.event import NOTES, REQUESTS, TIME

NEVER, LATEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max

VERSIONS = ("templates", "indexes", "models", "policies")


def summarise(events: pl.DataFrame, added: pl.DataFrame, links: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Make ``requests``, and notes on what the logs do not cover.

    ``layers_absent`` are those whose logs cover the request's time and hold nothing tied to it: that is no proof
    that the layer did nothing.

    Args:
        events: as `work.Seen` has them; `SUMMED`.
        added: what correlation found of them, in their order: n, first, place, request, request_kind, opener, seq,
            call and t (corrected, ns).
        links: `work.LINKED`.
    """
    if added["request"].null_count() == added.height:
        return REQUESTS.empty(), NOTES.empty()
    request = added["request"].fill_null(-1).to_numpy()
    seq = added["seq"].fill_null(0).to_numpy()
    inside = np.flatnonzero(request >= 0)
    by = inside[sorting(request[inside] * (int(seq.max(initial=0)) + 1) + seq[inside])]
    at, whose = pl.Series(by), request[by]
    begins = np.flatnonzero(np.concatenate([[True], whose[1:] != whose[:-1]]))
    rows = added.select("n", "first", "opener", "request", "request_kind", "t", "call")[at].with_columns(
        events[name].rechunk().gather(at) for name in ("kind", "clock")
    )
    # A browser may be an hour off: how long a request took is told by one clock alone.
    opens = rows.filter((pl.col("n") == pl.col("opener")) | (pl.col("kind") == OPENING))
    opens = opens.with_columns(start_time=pl.col("t").min().over("request"))
    opens = opens.filter((pl.col("t") == pl.col("start_time")).fill_null(value=pl.col("start_time").is_null()))
    opens = opens.unique("request", keep="first", maintain_order=True)
    start = rows[begins].select("request", kind="request_kind")
    start = start.join(
        opens.select("request", "start_time", judge=pl.when(pl.col("start_time").is_not_null()).then("clock")),
        on="request",
        how="left",
        maintain_order="left",
    )
    sizes = np.diff(np.append(begins, len(by)))
    run = np.repeat(np.arange(len(begins)), sizes)
    judge = start["judge"].to_physical().gather(run)
    judged = rows["clock"].to_physical().eq_missing(judge).to_numpy()
    ends = events["end_time"].dt.epoch("ns").rechunk().gather(at)
    late = np.maximum(rows["t"].fill_null(NEVER).to_numpy(), ends.fill_null(NEVER).to_numpy())
    late = np.maximum.reduceat(np.where(judged, late, NEVER), begins)
    early = np.minimum(rows["t"].fill_null(LATEST).to_numpy(), ends.fill_null(LATEST).to_numpy())
    early = np.minimum.reduceat(early, begins)
    calls = rows.filter(pl.col("kind") == "model.call").select("request", "call").drop_nulls().unique()
    opened = rows.select((pl.col("kind") == OPENING) & (pl.col("n") == pl.col("first"))).to_series()
    attempts = opened.fill_null(value=False).to_numpy()
    grouped = start.select(
        "request",
        "kind",
        "start_time",
        end_time=pl.Series(late).set(pl.Series(late == NEVER), None),
        events=pl.Series(sizes).cast(pl.UInt32),
        attempts=pl.Series(np.add.reduceat(attempts.astype(np.int64), begins)).cast(pl.UInt32),
        earliest=pl.Series(early).set(pl.Series(early == LATEST), None),
    )
    grouped = grouped.join(
        calls.group_by("request").agg(calls=pl.len()), on="request", how="left", maintain_order="left"
    ).with_columns(pl.col("calls").fill_null(0), pl.col("start_time", "end_time", "earliest").cast(TIME))
    grouped = grouped.with_columns(_each_once(run, events[name].rechunk().gather(at), len(begins)) for name in LISTED)
    opener = rows["opener"].gather(begins)
    requests = grouped.with_columns(
        events[name].gather(opener).cast(pl.String) for name in ("session", "user", "tenant")
    )
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
    by_place = events["event_id"].rechunk().gather(inverse(added["place"]))
    requests = requests.with_columns(by_place.gather(requests[name]).alias(name) for name in ("request", "refers_to"))
    return REQUESTS.conform(requests.drop("earliest")).sort(REQUESTS.sort), notes


def _each_once(run: np.ndarray, column: pl.Series, runs: int) -> pl.Series:
    """For each of `runs` runs of rows the words of `column` in it, as text, each once, in order."""
    word = column.to_physical()
    there = np.flatnonzero(word.is_not_null().to_numpy())
    number = word.gather(there).cast(pl.Int64).to_numpy()
    _, first = np.unique(run[there] * (int(number.max(initial=0)) + 1) + number, return_index=True)
    first.sort()
    rows = pl.DataFrame([pl.Series("run", run[there[first]]), column.gather(there[first]).cast(pl.String)])
    lists = rows.group_by("run", maintain_order=True).agg(column.name)
    found = pl.DataFrame({"run": np.arange(runs)}).join(lists, on="run", how="left", maintain_order="left")
    return found[column.name].fill_null(pl.lit([], pl.List(pl.String)))


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

SUMMED = (
    "event_id",
    "layer",
    "kind",
    "service",
    "outcome",
    "verdict",
    "source",
    "line",
    "offset",
    "clock",
    "end_time",
    "session",
    "user",
    "tenant",
    *LISTED,
)
"""Columns of the events that `summarise` looks at."""
