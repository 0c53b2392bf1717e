"""Step 3, stitch: connected components over (event, id), transitive across layers; each event says by which id.

Sessions and users never join.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from strataline.correlate.graph import tied
from strataline.correlate.hubs import JOINING, with_parents
from strataline.correlate.work import OPENING, OPERATIONS, Work

TURN, JOB, UNROOTED = "turn", "job", "unrooted"


def stitch(work: Work) -> Work:
    """Give each tied event its component and the id that ties it.

    Fills ``members``: n, component, request (event id), kind, and the links of relation ``member``.
    """
    joining = with_parents(work).filter(pl.col("role").is_in(JOINING))
    # Attempts of one turn are joined by the turn, whatever ids they carry.
    turns = work.groups.select("n", key=-2 * pl.col("turn") - 1)
    again = work.events.filter(pl.col("first") != pl.col("n")).rechunk()
    same = pl.concat(
        [
            again.select("n", key=-2 * pl.col("first") - 2),
            again.select(n="first", key=-2 * pl.col("first") - 2),
        ]
    )
    carried = pl.concat([joining.select("n", "key"), turns, same])
    places = tied(work.events.select("n"), carried)
    kinds = _kinds(work, places)
    members = places.join(kinds, on="component").sort("n")
    work = replace(work, members=members)
    return _member_links(work, joining, turns, same)


def _kinds(work: Work, places: pl.DataFrame) -> pl.DataFrame:
    """component, request, request_kind and ``opener`` (n) of the components that are requests."""
    columns = ("n", "event_id", "kind", "layer", "t", "parent_id", "first")
    rows = places.join(work.events.select(columns), on="n")
    turn = rows.filter(pl.col("kind") == OPENING)
    turn = turn.sort("component", "event_id").group_by("component", maintain_order=True).first()
    calls = rows.filter(pl.col("kind").is_in(OPERATIONS)).join(turn.select("component"), on="component", how="anti")
    # The earliest call without a parent opens a job; a call whose parent was not exported comes after those.
    calls = calls.with_columns(orphan=pl.col("parent_id").is_not_null(), none=pl.col("t").is_null())
    job = calls.sort("component", "orphan", "none", "t", "event_id").group_by("component", maintain_order=True).first()
    rest = rows.join(pl.concat([turn.select("component"), job.select("component")]), on="component", how="anti")
    # A lone event that cannot open a turn is no request, however often it was delivered.
    rest = rest.filter(pl.col("first").n_unique().over("component") > 1)
    # A browser's clock is the last to say when something began.
    rest = rest.with_columns(browser=pl.col("layer") == "ui")
    rest = (
        rest.sort("component", "browser", "t", "event_id", nulls_last=True)
        .group_by("component", maintain_order=True)
        .first()
    )
    parts = [
        frame.select("component", request="event_id", request_kind=pl.lit(kind), opener="n")
        for frame, kind in ((turn, TURN), (job, JOB), (rest, UNROOTED))
    ]
    return pl.concat(parts)


def _member_links(work: Work, joining: pl.DataFrame, turns: pl.DataFrame, same: pl.DataFrame) -> Work:
    """Walk from each opener along the keys, nearest first, and write by which each event was reached."""
    inside = work.members.select("n", "request", "opener")
    ways = (
        pl.concat(
            [
                joining.select(
                    "n",
                    "key",
                    "kind",
                    "value",
                    way=pl.when(pl.col("role") == "span").then(pl.lit("span")).otherwise(pl.lit("id")),
                ),
                turns.select(
                    "n", "key", kind=pl.lit(None, pl.String), value=pl.lit(None, pl.String), way=pl.lit("resend")
                ),
                same.select(
                    "n", "key", kind=pl.lit(None, pl.String), value=pl.lit(None, pl.String), way=pl.lit("redelivery")
                ),
            ]
        )
        .join(inside, on="n")
        .with_columns(
            rank=pl.col("way").replace_strict({"id": 0, "span": 1, "resend": 2, "redelivery": 3}, return_dtype=pl.Int64)
        )
    )
    openers = inside.filter(pl.col("n") == pl.col("opener"))
    reached = openers.select("n")
    steps = [
        openers.select(
            pl.col("n").alias("from"),
            pl.col("n").alias("to"),
            to_request="request",
            method=pl.lit("opening"),
            id_kind=pl.lit(None, pl.String),
            id_value=pl.lit(None, pl.String),
        )
    ]
    fringe, left = reached, ways.join(reached, on="n", how="anti")
    used = pl.DataFrame(schema={"key": pl.Int64})
    while fringe.height and left.height:
        # Each key is walked once, from the first event that reached it.
        keys = ways.join(fringe, on="n").join(used, on="key", how="anti").group_by("key").agg(to=pl.col("n").min())
        found = left.join(keys, on="key").sort("n", "rank", "kind", "value", "to", nulls_last=True)
        found = found.group_by("n", maintain_order=True).first()
        steps.append(
            found.select(
                pl.col("n").alias("from"),
                "to",
                to_request="request",
                method="way",
                id_kind="kind",
                id_value="value",
            )
        )
        fringe = found.select("n")
        left = left.join(fringe, on="n", how="anti")
        used = pl.concat([used, keys.select("key")])
    rows = pl.concat(steps).with_columns(
        relation=pl.lit("member"),
        confidence=pl.lit(1.0),
        method=pl.col("method").replace({"redelivery": "content"}),
    )
    how = rows.select(n="from", link_method="method")
    work = replace(work, members=work.members.join(how, on="n", how="left").with_columns(confidence=pl.lit(1.0)))
    return work.link(rows)
