"""Step 3, stitch: connected components over (event, id), transitive across layers; each event says by which id.

Sessions and users never join.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from strataline.correlate.graph import first_per, tied
from strataline.correlate.hubs import JOINING, parents
from strataline.correlate.work import OPENING, OPERATIONS, Work, in_order_of_n

TURN, JOB, UNROOTED = "turn", "job", "unrooted"


KINDS = pl.Enum([JOB, TURN, UNROOTED])
WAYS = ("id", "span", "resend", "redelivery")
"""What ties an event, the more telling first."""


def stitch(work: Work) -> Work:
    """Give each tied event its component and the id that ties it.

    Fills ``members``: n, component, request, request_kind, opener, and the links of relation ``member``.
    """
    ways = _ways(work)
    component = tied(work.events.height, ways["n"].to_numpy(), ways["key"].to_numpy())
    openers = _openers(work, component)
    found = np.full(work.events.height, -1)
    found[openers["component"].to_numpy()] = np.arange(openers.height)
    of = found[component]
    inside = np.flatnonzero(of >= 0)
    members = pl.DataFrame({"n": inside, "component": component[inside]}).with_columns(
        openers.select("request", "request_kind", "opener")[of[inside]]
    )
    return _member_links(replace(work, members=members), ways)


def _ways(work: Work) -> pl.DataFrame:
    """What may tie events: n, key (from 0), way, kind, id; in order of n, and of way where n is one."""
    size = work.events.height
    way = pl.when(pl.col("role") == "span").then(1).otherwise(0).cast(pl.Int8)
    joining = [
        part.select("n", "key", "kind", "id", way=way)
        for part in (work.ids.filter(pl.col("role").is_in(JOINING)), parents(work))
    ]
    most = max(int(part["key"].to_numpy().max(initial=-1)) for part in joining) + 1
    # Attempts of one turn are joined by the turn, whatever ids they carry.
    turns = work.groups.select("n", key=pl.col("turn") + most, way=pl.lit(2, pl.Int8))
    again = work.events.filter(pl.col("first") != pl.col("n"))
    key = pl.col("first") + (most + size)
    same = pl.concat([again.select("n", key=key), again.select(n="first", key=key)]).with_columns(
        way=pl.lit(3, pl.Int8)
    )
    return in_order_of_n([*joining, turns, same])


def _openers(work: Work, component: np.ndarray) -> pl.DataFrame:
    """component, request, request_kind and ``opener`` (n) of the components that are requests."""
    rows = work.events.select("n", "place", "kind", "layer", "t", "parent_id", "first", component=pl.Series(component))
    by = "component"
    turn = rows.filter(pl.col("kind") == OPENING)
    turn = turn.sort(by, "place").unique(by, keep="first", maintain_order=True)
    taken = np.zeros(rows.height, bool)
    taken[turn[by].to_numpy()] = True
    calls = rows.filter(pl.col("kind").is_in(OPERATIONS) & ~pl.Series(taken[component]))
    # The earliest call without a parent opens a job; a call whose parent was not exported comes after those.
    calls = calls.with_columns(orphan=pl.col("parent_id").is_not_null(), none=pl.col("t").is_null())
    job = calls.sort(by, "orphan", "none", "t", "place").unique(by, keep="first", maintain_order=True)
    taken[job[by].to_numpy()] = True
    rest = rows.filter(~pl.Series(taken[component]))
    # A lone event that cannot open a turn is no request, however often it was delivered.
    rest = rest.filter((pl.col("first").min() != pl.col("first").max()).over(by))
    # A browser's clock is the last to say when something began.
    rest = rest.with_columns(browser=pl.col("layer") == "ui").sort(by, "browser", "t", "place", nulls_last=True)
    rest = rest.unique(by, keep="first", maintain_order=True)
    parts = [
        frame.select(by, request="place", request_kind=pl.lit(kind, KINDS), opener="n")
        for frame, kind in ((turn, TURN), (job, JOB), (rest, UNROOTED))
    ]
    return pl.concat(parts)


def _member_links(work: Work, ways: pl.DataFrame) -> Work:
    """Walk from each opener along the keys, nearest first, and write by which each event was reached."""
    size = work.events.height
    n, key = ways["n"].to_numpy(), ways["key"].to_numpy()
    rank = _telling(ways)
    left = np.zeros(size, bool)
    left[work.members["n"].to_numpy()] = True
    fringe = np.unique(work.members["opener"].to_numpy())
    reached, to, row = [fringe], [fringe], [np.full(len(fringe), -1)]
    left[fringe] = False
    rest = np.flatnonzero(left[n])
    here = np.zeros(size, bool)
    walked = np.zeros(int(key.max(initial=-1)) + 1, bool)
    while len(fringe) and len(rest):
        # Each key is walked once, from the first event that reached it.
        here[fringe] = True
        begins = np.flatnonzero(here[n])
        begins = begins[~walked[key[begins]]]
        here[fringe] = False
        by = np.full(len(walked), -1)
        by[key[begins][::-1]] = n[begins][::-1]
        walked[key[begins]] = True
        found = rest[by[key[rest]] >= 0]
        found = found[first_per(n[found], rank[found])]
        fringe = n[found]
        reached.append(fringe)
        to.append(by[key[found]])
        row.append(found)
        left[fringe] = False
        rest = rest[left[n[rest]]]
    reached_n, met = np.concatenate(reached), pl.Series(np.concatenate(row))
    met = met.set(met < 0, None)
    way = (ways["way"].gather(met) + 1).fill_null(0)
    method = pl.Series("link_method", ["opening", *WAYS]).replace("redelivery", "content").gather(way)
    of = np.full(size, -1)
    of[reached_n] = np.arange(len(reached_n))
    at = pl.Series(of[work.members["n"].to_numpy()])
    members = work.members.with_columns(method.gather(at.set(at < 0, None)), confidence=pl.lit(1.0))
    request = np.full(size, -1)
    request[work.members["n"].to_numpy()] = work.members["request"].to_numpy()
    links = pl.DataFrame({"from": reached_n, "to": np.concatenate(to), "to_request": request[reached_n]})
    return replace(work, members=members).link(
        links.with_columns(
            relation=pl.lit("member"),
            method=method,
            id=ways["id"].gather(met),
            confidence=pl.lit(1.0),
        )
    )


def _telling(ways: pl.DataFrame) -> np.ndarray:
    """The less the more telling: by way, and of several ids by their kind, then in the order in which they are met."""
    number = ways["id"].fill_null(0).to_numpy()
    kind = ways["kind"].to_physical().cast(pl.Int64).fill_null(0).to_numpy()
    way = ways["way"].to_numpy().astype(np.int64)
    ids, kinds = int(number.max(initial=0)) + 1, int(kind.max(initial=0)) + 1
    return np.asarray((way * kinds + kind) * ids + number)
