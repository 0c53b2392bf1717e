"""Step 2, refuse hubs: an id value that ties two turns, or two users, is a group key here and joins nothing.

What a value is follows from these very logs, never from the name of its field: a gateway's `trace_id` may hold the
session, an API key's hash or a constant. A value is refused if opening events of two turns carry it, in any role; if
events of one format that carry it name two users; or if, when turns spread from their opening events along the ids,
the events that carry it come to belong to two turns.

Where two values call one event to different turns, the one whose kind names fewer events in that format is believed: a
call id before a trace id, and a trace id before a constant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from strataline.correlate.graph import first_per
from strataline.correlate.work import Work, carried as once_each, in_order_of_n

ROUNDS = 50
JOINING = ("alias", "span")


def refuse_hubs(work: Work) -> Work:
    """Make the refused values group ids, and note each."""
    above = parents(work)
    fresh = (work.events["first"] == work.events["n"]).to_numpy()
    turn = np.full(len(fresh), -1)
    turn[work.groups["n"].to_numpy()] = work.groups["turn"].to_numpy()
    n, key = (np.concatenate([part[name].to_numpy() for part in (work.ids, above)]) for name in ("n", "key"))
    size = int(key.max(initial=-1)) + 1
    opens = np.flatnonzero(turn[n] >= 0)
    of_several = np.flatnonzero(_several(key[opens], turn[n[opens]], size))
    refused = pl.DataFrame({"key": of_several}).with_columns(why=pl.lit("opening events of several turns carry it"))
    parts = [work.ids.filter(pl.col("role").is_in(JOINING)), above]
    joining = in_order_of_n([part.filter(pl.Series(fresh[part["n"].to_numpy()])) for part in parts])
    users = _of_several_users(work, joining, size)
    refused = _more(refused, users, "events that carry it name several users")
    across = refused_across(_carried(work, joining, refused["key"].to_numpy(), size), turn)
    refused = _more(refused, across, "events that carry it belong to several turns by their other ids")
    rows = (
        joining.join(refused, on="key")
        .join(work.values.select("id", "value"), on="id")
        .group_by("key")
        .agg(
            subject=pl.col("value").min(),
            kind=pl.col("kind").min(),
            count=pl.col("n").n_unique(),
            why=pl.col("why").first(),
        )
        .filter(pl.col("count") > 1)
        .sort("kind", "subject", "key")
    )
    gone = np.zeros(size, bool)
    gone[refused["key"].to_numpy()] = True
    group = pl.lit("group", work.ids.schema["role"])
    role = pl.when(pl.Series(gone[work.ids["key"].to_numpy()])).then(group).otherwise("role")
    work = replace(work, ids=work.ids.with_columns(role=role))
    return work.note_rows(
        "hub_refused",
        rows.select(
            "subject", count=pl.col("count").cast(pl.Int64), detail=pl.format("{} joins nothing: {}", "kind", "why")
        ),
    )


def refused_across(carried: Carried, turn: np.ndarray) -> np.ndarray:
    """The keys that would join two turns, chosen so that without them none does.

    Turns spread along the keys. Of the keys whose carriers come to bear several turns, those that meet the most go
    first, and of these the ones that no opening event carries; then turns spread anew.

    Args:
        carried: the joining ids.
        turn: of each event; -1 if it opens none.
    """
    vouched = np.zeros(carried.size, bool)
    vouched[carried.key[turn[carried.n] >= 0]] = True
    refused = [np.zeros(0, np.int64)]
    for number in range(ROUNDS):
        labels = _spread(carried, turn)
        at = np.flatnonzero(labels[carried.n] >= 0)
        key, label = carried.key[at], labels[carried.n[at]]
        several = _several(key, label, carried.size)
        if not several.any():
            break
        some = several[key]
        met = pl.DataFrame({"key": key[some], "turn": label[some]}).group_by("key").agg(pl.col("turn").n_unique())
        worst = met if number == ROUNDS - 1 else met.filter(pl.col("turn") == pl.col("turn").max())
        keys = worst["key"].to_numpy()
        unvouched = keys[~vouched[keys]]
        keys = unvouched if len(unvouched) else keys
        refused.append(keys)
        carried = carried.without(keys)
    return np.concatenate(refused)


@dataclass(frozen=True)
class Carried:
    """Which events carry which keys, as far as a key is carried by several.

    Args:
        n: of the event, ascending.
        key: that it carries.
        rank: the less the more it is believed: by how many events a value of this kind names on average in this
            format, then how many this value does, then by the key.
        size: keys are numbers below this one.
    """

    n: np.ndarray
    key: np.ndarray
    rank: np.ndarray
    size: int

    def without(self, keys: np.ndarray) -> Carried:
        """This, without some keys."""
        gone = np.zeros(self.size, bool)
        gone[keys] = True
        left = ~gone[self.key]
        return Carried(self.n[left], self.key[left], self.rank[left], self.size)


def _carried(work: Work, joining: pl.DataFrame, refused: np.ndarray, size: int) -> Carried:
    gone = np.zeros(size, bool)
    gone[refused] = True
    joining = joining.filter(pl.Series(~gone[joining["key"].to_numpy()]))
    n, key = joining["n"].to_numpy(), joining["key"].to_numpy()
    sizes = np.bincount(once_each(joining)["key"].to_numpy(), minlength=size)
    kind = joining["kind"].to_physical().cast(pl.Int64).to_numpy()
    kinds = int(kind.max(initial=0)) + 1
    sort = work.events["format"].to_physical().cast(pl.Int64).fill_null(-1).to_numpy()[n] + 1
    sort = sort * kinds + kind
    sorts = int(sort.max(initial=0)) + 1
    named = pl.Series(key * sorts + sort).unique().to_numpy()
    of = named % sorts
    mean = np.bincount(of, sizes[named // sorts], sorts) / np.maximum(np.bincount(of, minlength=sorts), 1)
    _, by_mean = np.unique(mean, return_inverse=True)
    _, by_size = np.unique(sizes, return_inverse=True)
    rank = (by_mean[sort] * (int(by_size.max(initial=0)) + 1) + by_size[key]) * size + key
    shared = sizes[key] > 1
    return Carried(n[shared], key[shared], rank[shared], size)


def _of_several_users(work: Work, joining: pl.DataFrame, size: int) -> np.ndarray:
    """The keys that events of one format carry that name several users."""
    user = work.events["user"].to_physical().cast(pl.Int64).fill_null(-1).to_numpy()[joining["n"].to_numpy()]
    key = joining["key"].to_numpy()
    at = np.flatnonzero(user >= 0)
    at = at[_several(key[at], user[at], size)[key[at]]]
    some = pl.DataFrame(
        {"key": key[at], "user": user[at], "format": work.events["format"][joining["n"].to_numpy()[at]]}
    )
    found = some.group_by("key", "format").agg(pl.col("user").n_unique()).filter(pl.col("user") > 1)
    return found["key"].unique().to_numpy()


def _several(key: np.ndarray, value: np.ndarray, size: int) -> np.ndarray:
    """Of each key, whether several values stand with it."""
    least, most = np.full(size, np.iinfo(np.int64).max), np.full(size, -1)
    np.minimum.at(least, key, value)
    np.maximum.at(most, key, value)
    return np.asarray(least < most)


def _spread(carried: Carried, turn: np.ndarray) -> np.ndarray:
    """The turn of every event that the turns reach along the keys, nearest first; -1 of the others."""
    n, key, rank = carried.n, carried.key, carried.rank
    labels, here = turn.copy(), turn >= 0
    walked, called = np.zeros(carried.size, bool), np.full(carried.size, -1)
    rest, begins = np.flatnonzero(~here[n]), np.flatnonzero(here[n])
    while len(begins) and len(rest):
        begins = begins[~walked[key[begins]]]
        seen, label = key[begins], labels[n[begins]]
        walked[seen] = True
        # A key that calls to several turns calls to none.
        called[:] = -1
        called[seen] = label
        called[seen[called[seen] != label]] = -1
        found = rest[called[key[rest]] >= 0]
        found = found[first_per(n[found], rank[found])]
        labels[n[found]] = called[key[found]]
        here[:] = False
        here[n[found]] = True
        begins = rest[here[n[rest]]]
        rest = rest[labels[n[rest]] < 0]
    return labels


def parents(work: Work) -> pl.DataFrame:
    """The parents' span ids, as ids that tie a span to the one above it: columns as `work.ids`, in order of n."""
    spans = work.ids.filter(pl.col("role") == "span")["key"].unique().implode()
    below = work.events.filter(pl.col("parent_id").is_not_null() & pl.col("parent_id").is_in(spans))
    types = work.ids.schema
    ids = below.select(
        "n", kind=pl.lit("span_id", types["kind"]), id="parent_raw", role=pl.lit("span", types["role"]), key="parent_id"
    )
    return ids.select(work.ids.columns)


def _more(refused: pl.DataFrame, keys: np.ndarray, why: str) -> pl.DataFrame:
    new = pl.DataFrame({"key": keys}, schema={"key": pl.Int64}).join(refused, on="key", how="anti")
    return pl.concat([refused, new.with_columns(why=pl.lit(why))])
