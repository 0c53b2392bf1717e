"""Step 2, refuse hubs: an id value that ties two turns, or two users, is a group key here and joins nothing.

What a value is follows from these very logs, never from the name of its field: a gateway's `trace_id` may hold the
session, an API key's hash or a constant. A value is refused if

- opening events of two turns carry it, in any role;
- events of one format that carry it name two users;
- without the ids of its own kind, the events that carry it lie in components that hold different turns.

What still joins two turns after that is cut back to what an opening event vouches for.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from strataline.correlate.graph import tied
from strataline.correlate.work import Work

ROUNDS = 5
JOINING = ("alias", "span")


def refuse_hubs(work: Work) -> Work:
    """Take the refused values out of the joining ids, and note each."""
    fresh = work.events.filter(pl.col("first") == pl.col("n")).select("n", "format", "user")
    ids = with_parents(work).join(fresh, on="n")
    turns = ids.join(work.groups, on="n")
    shared = turns.group_by("key").agg(pl.col("turn").n_unique()).filter(pl.col("turn") > 1)
    refused = shared.select("key", why=pl.lit("opening events of several turns carry it"))
    joining = ids.filter(pl.col("role").is_in(JOINING))
    users = (
        joining.filter(pl.col("user").is_not_null())
        .group_by("key", "format")
        .agg(pl.col("user").n_unique())
        .filter(pl.col("user") > 1)
    )
    refused = _more(refused, users.select("key").unique(), "events that carry it name several users")
    for _ in range(ROUNDS):
        found = _across(work, joining.join(refused, on="key", how="anti"))
        if found.is_empty():
            break
        refused = _more(refused, found, "without it, the events that carry it belong to different turns")
    left = joining.join(refused, on="key", how="anti")
    refused = _more(refused, _unvouched(work, left), "it still tied several turns, and no opening event vouches for it")
    hubs = joining.join(refused, on="key")
    rows = (
        hubs.group_by("key")
        .agg(
            subject=pl.col("value").min(),
            kind=pl.col("kind").min(),
            count=pl.col("n").n_unique(),
            why=pl.col("why").first(),
        )
        .filter(pl.col("count") > 1)
        .sort("kind", "subject", "key")
    )
    kept = work.ids.join(refused.select("key"), on="key", how="anti")
    groups = work.ids.join(refused.select("key"), on="key", how="semi").with_columns(role=pl.lit("group"))
    work = replace(work, ids=pl.concat([kept, groups]))
    return work.note_rows(
        "hub_refused",
        rows.select(
            "subject",
            count=pl.col("count").cast(pl.Int64),
            detail=pl.format("{} joins nothing: {}", "kind", "why"),
        ),
    )


def with_parents(work: Work) -> pl.DataFrame:
    """The ids, and the parent's span id as one more that ties a span to the one above it."""
    spans = work.ids.filter(pl.col("role") == "span").select("value", "key").unique()
    parents = work.events.filter(pl.col("parent_id").is_not_null()).select("n", value="parent_id")
    parents = parents.join(spans, on="value").select(
        "n", kind=pl.lit("span_id"), value="value", role=pl.lit("span"), key="key"
    )
    return pl.concat([work.ids, parents.select(work.ids.columns)])


def _more(refused: pl.DataFrame, keys: pl.DataFrame, why: str) -> pl.DataFrame:
    new = keys.select("key").unique().join(refused, on="key", how="anti")
    return pl.concat([refused, new.with_columns(why=pl.lit(why))])


def _across(work: Work, joining: pl.DataFrame) -> pl.DataFrame:
    """Values that tie different turns, judged for each kind of id by the components that the other kinds make."""
    nodes = work.events.filter(pl.col("first") == pl.col("n")).select("n")
    found = []
    # Values that only one event carries join nothing, and need no judging.
    several = joining.filter(pl.col("n").n_unique().over("key") > 1)
    for kind in sorted(several["kind"].unique().to_list()):
        own = several.filter(pl.col("kind") == kind)
        others = several.filter(pl.col("kind") != kind)
        places = tied(nodes, others)
        holding = places.join(work.groups, on="n").select("component").unique()
        reached = own.join(places, on="n").join(holding, on="component")
        counted = reached.group_by("key").agg(pl.col("component").n_unique()).filter(pl.col("component") > 1)
        # One turn may lie in two components (its attempts, each with ids of its own): only two turns make a hub.
        turns = _turns_of(work, places)
        suspects = reached.join(counted.select("key"), on="key").join(turns, on="component")
        counted = suspects.group_by("key").agg(pl.col("turn").n_unique()).filter(pl.col("turn") > 1)
        # An opening event that carries the value vouches for it: then the way around is what is wrong.
        vouched = own.join(work.groups, on="n").select("key").unique()
        found.append(counted.select("key").join(vouched, on="key", how="anti"))
    return pl.concat(found).unique() if found else pl.DataFrame(schema={"key": pl.String})


def _turns_of(work: Work, places: pl.DataFrame) -> pl.DataFrame:
    return places.join(work.groups, on="n").select("component", "turn").unique()


def _unvouched(work: Work, joining: pl.DataFrame) -> pl.DataFrame:
    """Values to refuse so that no component holds two turns.

    In the components that still do, labels spread from the opening events: a value joins while the events that
    carry it bear one turn's label; a value that meets two, or is never reached, is refused.
    """
    nodes = work.events.filter(pl.col("first") == pl.col("n")).select("n")
    places = tied(nodes, joining)
    crowded = _turns_of(work, places).group_by("component").agg(pl.col("turn").n_unique()).filter(pl.col("turn") > 1)
    if crowded.is_empty():
        return pl.DataFrame(schema={"key": pl.String})
    here = joining.join(places.join(crowded.select("component"), on="component"), on="n").select("n", "key").unique()
    labels = here.join(work.groups, on="n").select("n", "turn").unique()
    keys = here.select("key").unique()
    accepted = pl.DataFrame(schema={"key": pl.String})
    while True:
        seen = (
            here.join(labels, on="n")
            .group_by("key")
            .agg(pl.col("turn").n_unique().alias("turns"), pl.col("turn").min())
        )
        fresh = seen.filter(pl.col("turns") == 1).join(accepted, on="key", how="anti")
        reach = here.join(fresh, on="key").join(labels.select("n"), on="n", how="anti")
        # Two values that call the same event to different turns are both left out of this.
        torn = reach.group_by("n").agg(pl.col("turn").n_unique()).filter(pl.col("turn") > 1)
        bad = reach.join(torn.select("n"), on="n").select("key").unique()
        fresh = fresh.join(bad, on="key", how="anti")
        if fresh.is_empty():
            break
        accepted = pl.concat([accepted, fresh.select("key")])
        new = (
            here.join(fresh, on="key")
            .join(labels.select("n"), on="n", how="anti")
            .select("n", "turn")
            .unique("n", keep="any")
        )
        labels = pl.concat([labels, new])
        clash = here.join(labels, on="n").group_by("key").agg(pl.col("turn").n_unique()).filter(pl.col("turn") > 1)
        accepted = accepted.join(clash.select("key"), on="key", how="anti")
        if new.is_empty():
            break
    return keys.join(accepted, on="key", how="anti")
