"""What changed: from records of changes, from values that were not there before, and from a feed of changes.

A value that events state (a template's version, the model behind an alias, a parameter) is taken for a *setting* by
what the records of one program show, in order of time. A *stay* of a value is a run of its records without an absence
that its own frequency makes unlikely (`ABSENT`, `ABSENCES`). It is a setting if the records are many for the values
(four to each of up to four values, else ten), the stays few (at most two for each value, and two more), and the values
do not lie beside one another throughout (`BESIDE`, but for a few values). Where a stay begins, and not by chance where
it does (`CHANCE`), a value was first seen or came back: a change from the value whose stay ends there, else from the
most frequent one beside it. Where a stay ends and none begins, what remains is the new value. Two values that share a
while are therefore two rows with a share, and not one row for each record.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np
import polars as pl

from strataline.errors import InputError
from strataline.event import CHANGES, PRODUCT_LAYERS, TIME, address, utc
from strataline.examine.facts import Facts

ABSENT = 1e-4
"""An absence ends a stay if the value's frequency gives it less chance than this."""
ABSENCES = 5
"""And if it is so many times as long as nine in ten of the value's others."""
LEAST = 2
"""Records of a stay, for its place to say anything."""
CHANCE = 0.001
"""A stay begins or ends at its place by chance with less than this, or it is no change."""
BESIDE = 1.5
FEW = 8
MOST = 50
"""Values of one setting, at most."""
MIXED, MIXED_SHARE = 10, 0.1
"""Records of a value, and their share, between the first and the last of another, from which on the two are in use."""
CLOCKS = 20
"""A service with more clocks than this (browsers) is looked at as one."""
NEAR = (10, 0.05)
"""A stay ends where another begins if they overlap by no more records than this, or than this share of the shorter."""

SETTING_WORDS = (
    r"version|model|fingerprint|revision|\brev\b|_rev$|build|release|commit|deploy|region|engine|provider|config|"
    r"variant|experiment|rollout|strategy|store|system_hash|tools?_hash|environment|tier|on_error|mode$|flag"
)
"""Attributes whose name is such may be settings."""
NO_SETTING = r"error_|message|response|status|reason|comment|log|time"
NO_ATTRIBUTE = r"^(logger|source|message|level|actor|user|ip|request|event_id|id|time|timestamp|host|pid|thread)$|_id$"
"""Attributes of a record of a change that say nothing of the setting."""

SETTINGS = ("layer", "scope", "key", "service", "clock", "value", "t", "event_id")

LAYER_WORDS = {
    "policy": "policy|guard|filter|moderation|safety",
    "retrieval": "index|retriev|embedding|collection|knowledge|vector|corpus",
    "model": "model|gateway|route|alias|deployment|provider|llm",
    "prompt": "template|prompt",
    "ui": "client|web|page|frontend|^ui",
}
"""Scopes of changes whose program shows nothing else, by the layer that they belong to."""


def changes(facts: Facts, feed: pl.DataFrame | None = None) -> pl.DataFrame:
    """List what changed.

    Args:
        facts: the tables of the case.
        feed: changes from elsewhere, as `read_feed` gives them; by default the table ``feed`` of `facts`, if any.

    Returns:
        `event.CHANGES`, in order of time. What a program states when it starts is no change.
    """
    feed = facts.tables.get("feed") if feed is None else feed
    recorded = _recorded(facts)
    seen = facts.once(_first_seen)
    # The first record with a value that a change record announced is no second change.
    announced = facts.once(stated).select("layer", "service", "clock", new="value", announced="t")
    by = ["layer", "service", "clock", "new"]
    seen = (
        seen.with_columns(latest=pl.col("t") + 10**9)
        .sort("latest")
        .join_asof(announced.sort("announced"), left_on="latest", right_on="announced", by=by, check_sortedness=False)
        .filter(pl.col("announced").is_null())
    )
    columns = ["t", "layer", "scope", "key", "service", "clock", "old", "new", "share", "basis", "status", "event_id"]
    rows = _placed(facts, pl.concat([recorded.select(columns), seen.select(columns)]))
    if feed is not None:
        rows = pl.concat([rows, feed.select(rows.columns)])
    order = ["time", "scope", "key", "service", "new", "event"]
    rows = _reverting(rows.sort(order, nulls_last=True, maintain_order=True))
    return CHANGES.conform(rows.select(CHANGES.names))


def _placed(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as `event.CHANGES`, all but ``reverts``: with time, doubt and address, and services told apart by clock."""
    known = facts.named(rows["event_id"], "doubt", "source", "line", "offset")
    known = known.select("event_id", "doubt", place=address())
    clocks = (
        facts.once(_programs).group_by("service").agg(clocks=pl.col("clock").filter(pl.col("clock") != "").n_unique())
    )
    rows = rows.join(known, on="event_id", how="left", maintain_order="left")
    rows = rows.join(clocks, on="service", how="left", maintain_order="left")
    service, clock = (pl.when(pl.col(name) != "").then(pl.col(name)) for name in ("service", "clock"))
    told = pl.col("clocks").is_between(2, CLOCKS) & (pl.col("clock") != "") & (pl.col("clock") != pl.col("service"))
    return rows.select(
        time=pl.from_epoch("t", time_unit="ns").cast(TIME),
        doubt_ns="doubt",
        layer="layer",
        scope="scope",
        key="key",
        service=pl.when(told).then(pl.format("{} ({})", service, clock)).otherwise(pl.coalesce(service, clock)),
        old="old",
        new="new",
        share="share",
        basis="basis",
        status="status",
        event="event_id",
        address="place",
    )


def _reverting(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with ``reverts``: the time of the last change before it that it takes back."""
    rows = rows.with_row_index("n")
    by = ["layer", "scope", "key", "service"]
    times = pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    back = rows.select(*by, of="n", old="new", new="old", reverts=times)
    pairs = rows.join(back.drop_nulls(["old", "new"]), on=[*by, "old", "new"], nulls_equal=True)
    last = pairs.filter(pl.col("of") < pl.col("n")).sort("n", "of").group_by("n", maintain_order=True)
    return rows.join(last.agg(pl.col("reverts").last()), on="n", how="left", maintain_order="left")


def stated(facts: Facts) -> pl.DataFrame:
    """What records of changes say is in force from then on.

    Attributes of such records that differ from one to the next are settings of their own (``policy_rev on_error``).

    Returns:
        `SETTINGS` (service and clock empty where none is stated), ``before`` (the value before, as this or the last
        record says; null if neither does) and ``initial`` (whether a program read it as it started), in order of time.
    """
    told = ("event_id", "name", "service", "clock", "t", "change_scope", "change_key", "change_old", "change_new")
    events = facts.of("change", columns=(*told, "attributes")).filter(
        pl.col("change_new").is_not_null() & pl.col("t").is_not_null()
    )
    events = events.with_columns(
        pl.col("service", "clock").fill_null(""),
        scope=pl.col("change_scope").fill_null("change"),
        key=pl.coalesce("change_key", "name", pl.lit("setting")),
    )
    used = facts.once(_programs).filter(pl.col("of").is_in(PRODUCT_LAYERS)).sort("n", "of", descending=[True, False])
    used = used.group_by("service", "clock", maintain_order=True).agg(pl.col("of").first(), pl.col("since").min())
    events = events.join(used, on=["service", "clock"], how="left", maintain_order="left")
    scope = pl.col("scope").str.to_lowercase()
    said = (pl.when(scope.str.contains(words)).then(pl.lit(layer)) for layer, words in LAYER_WORDS.items())
    events = events.with_columns(layer=pl.coalesce("of", *said, pl.lit("change")))
    own = ["layer", "scope", "key", "service", "clock"]
    rows = events.select(*own, "t", "event_id", "since", value="change_new", old="change_old")
    beside = events.select(*own, "t", "event_id", "since", a=pl.col("attributes").map.entries()).explode("a")
    beside = beside.with_columns(
        key=pl.format("{} {}", "key", pl.col("a").struct.field("key")), value=pl.col("a").struct.field("value")
    )
    beside = beside.filter(
        pl.col("value").is_not_null()
        & ~pl.col("a").struct.field("key").str.to_lowercase().str.contains(NO_ATTRIBUTE)
        & (pl.col("value").n_unique().over(own) > 1)
    )
    rows = pl.concat([rows, beside.select(*own, "t", "event_id", "since", "value", old=pl.lit(None, dtype=pl.String))])
    rows = rows.sort(*own, "t", "event_id")
    first = pl.col("t").rank("ordinal").over(own) == 1
    # A program that was at work before cannot have read it as it started.
    starting = first & pl.col("old").is_null() & (pl.col("t") <= pl.col("since")).fill_null(value=False)
    rows = rows.with_columns(before=pl.coalesce("old", pl.col("value").shift().over(own)), initial=starting)
    return rows.sort("t", *own, "event_id").select(*SETTINGS, "before", "initial")


def _programs(facts: Facts) -> pl.DataFrame:
    """service, clock (empty where none is stated), of (layer), n (events), since (the first, ns)."""
    events = facts.look("kind", "service", "clock", "layer", "t").lazy().filter(pl.col("kind") != "log.other")
    columns = (pl.col(name).cast(pl.Categorical) for name in ("service", "clock", "layer"))
    counted = (
        events.select(*columns, "t").group_by("service", "clock", "layer").agg(n=pl.len(), since=pl.col("t").min())
    )
    found = counted.select(
        pl.col("service", "clock").cast(pl.String).fill_null(""), "n", "since", of=pl.col("layer").cast(pl.String)
    )
    return found.collect().sort("service", "clock", "of")


def _recorded(facts: Facts) -> pl.DataFrame:
    """Changes that records state; what is stated again is none."""
    rows = facts.once(stated)
    changed = ~pl.col("initial") & pl.col("value").ne_missing(pl.col("before"))
    return rows.filter(changed).select(
        *(name for name in SETTINGS if name != "value"),
        old="before",
        new="value",
        share=pl.lit(None, dtype=pl.Float64),
        basis=pl.lit("record"),
        status=pl.lit("OBS"),
    )


def _values(facts: Facts) -> pl.DataFrame:
    """`SETTINGS` of all events that state a value which another event of the same setting states otherwise."""
    index = pl.coalesce("index_name", pl.lit("index"))
    template = pl.coalesce("template_name", pl.lit("template"))
    policy = pl.coalesce("policy_name", pl.lit("policy"))
    number = pl.col("threshold").round(6).cast(pl.String)
    columns: list[tuple[str, str, pl.Expr, pl.Expr]] = [
        ("prompt", "template", template, pl.coalesce("template_version", "template_hash")),
        (
            "prompt",
            "template hash",
            pl.format("{}@{}", template, "template_version"),
            pl.when(pl.col("template_version").is_not_null()).then("template_hash"),
        ),
        ("retrieval", "index", index, pl.col("index_version")),
        # What each search goes to, and what each call asks for, is a setting where it is the same for a while.
        ("retrieval", "index", pl.lit("searched"), pl.col("index_name")),
        ("retrieval", "embedding", index, pl.col("embedding_model")),
        ("model", "model", pl.lit("requested"), pl.col("requested_model")),
        ("model", "model", pl.col("requested_model"), pl.col("served_model")),
        ("model", "provider", pl.col("requested_model"), pl.col("provider")),
        ("policy", "policy", policy, pl.col("policy_version")),
        ("policy", "policy threshold", policy, number),
        ("ui", "client", pl.lit("client_version"), pl.col("client_version")),
    ]
    parts = []
    for layer, scope, key, value in columns:
        needed = ("service", "clock", "t", "event_id", *key.meta.root_names(), *value.meta.root_names())
        parts.append(_differing(facts.of(layer, columns=needed), layer, scope, key, value))
    for layer in PRODUCT_LAYERS:
        events = facts.of(layer, columns=("service", "clock", "t", "event_id", "parameters", "attributes"))
        for column, scope, wanted in (("parameters", "parameter", None), ("attributes", "attribute", SETTING_WORDS)):
            parts += [
                _differing(events, layer, scope, pl.lit(name), pl.col(column).map.get(name))
                for name in keys(events, column)
                if wanted is None or (re.search(wanted, name.lower()) and not re.search(NO_SETTING, name.lower()))
            ]
    rows = pl.concat(parts)
    return _by_program(rows)


def keys(events: pl.DataFrame, column: str) -> list[str]:
    """The keys of a column that is a map, sorted."""
    return (
        events[column]
        .drop_nulls()
        .to_frame()
        .select(pl.col(column).map.keys())
        .to_series()
        .explode()
        .drop_nulls()
        .unique()
        .sort()
        .to_list()
    )


def _differing(events: pl.DataFrame, layer: str, scope: str, key: pl.Expr, value: pl.Expr) -> pl.DataFrame:
    if events.select(value.drop_nulls().n_unique()).item() < 2:
        events = events.clear()
    # Not lazily: the streaming engine of Polars 2.1 panics where texts are put together and a part of them is empty.
    texts = {
        "layer": pl.lit(layer),
        "scope": pl.lit(scope),
        "key": key,
        "service": pl.col("service").fill_null(""),
        "clock": pl.col("clock").fill_null(""),
        "value": value,
    }
    # Few texts, and each in many events: numbers, until it is known which of them are changes.
    numbers = {name: text.cast(pl.Categorical) for name, text in texts.items()}
    return events.select("t", "event_id", **numbers).drop_nulls(["value", "key", "t"])


def _by_program(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` by the program that states them: the clocks of one that has many are one."""
    many = pl.col("clock").n_unique().over("layer", "scope", "service") > CLOCKS
    # A device says its version in each of its records, and in a row: of these, the one says no more than the first.
    own = ["layer", "scope", "key", "service", "clock"]
    devices = rows.filter(many).sort("t", "event_id")
    devices = devices.filter(pl.col("value").ne_missing(pl.col("value").shift().over(own)))
    devices = devices.with_columns(clock=pl.lit("", dtype=pl.Categorical))
    rows = pl.concat([rows.filter(~many), devices])
    # Where all policies of a program have one version at a time, it is the program's.
    place = ["layer", "scope", "service", "clock"]
    versions = rows.filter(pl.col("scope") == "policy").sort("t", "event_id")
    switches = versions.group_by(place).agg(
        switches=(pl.col("value") != pl.col("value").shift()).sum(), n=pl.len(), names=pl.col("key").n_unique()
    )
    one = switches.filter((pl.col("names") > 1) & (pl.col("switches") <= pl.max_horizontal(4, pl.col("n") // 50)))
    one = one.select(*place, one=pl.lit(value=True))
    rows = rows.join(one, on=place, how="left", maintain_order="left")
    policy = pl.lit("policy", dtype=pl.Categorical)
    return rows.with_columns(key=pl.when("one").then(policy).otherwise("key")).drop("one")


def _first_seen(facts: Facts) -> pl.DataFrame:
    """Changes that values show: where a stay of one begins, or ends and leaves others."""
    setting = ["layer", "scope", "key", "service", "clock"]
    rows = _values(facts)
    texts = [pl.col(name).cast(pl.String) for name in setting]
    settings = rows.select(setting).unique().sort(texts).with_row_index("g", 1).cast({"g": pl.Int64})
    rows = rows.join(settings, on=setting).sort("g", "t", "event_id")
    rows = rows.with_columns(
        n=pl.len().over("g").cast(pl.Int64),
        i=pl.int_range(pl.len(), dtype=pl.Int64).over("g"),
        values=pl.col("value").n_unique().over("g"),
    )
    enough = pl.col("n") >= pl.col("values") * pl.when(pl.col("values") <= 4).then(4).otherwise(10)
    rows = rows.filter(pl.col("values").is_between(2, MOST) & enough)
    if rows.is_empty():
        return _changed(rows)
    of = ["g", "value"]
    count, first, last = pl.len().over(of), pl.col("i").min().over(of), pl.col("i").max().over(of)
    share = ((count - 1) / (last - first).cast(pl.Float64)).fill_nan(1.0).clip(0.0, 1 - 1e-9)
    # A value may be rarer where another is in use too, as in a roll-out to a part: its absences there are no end of it.
    rows = rows.join(_beside(rows), on=of, how="left", maintain_order="left")
    share = pl.min_horizontal(share, "beside")
    gap = pl.col("i") - pl.col("i").shift().over(of)
    absence = (pl.lit(ABSENT).log() / (1 - share).log()).ceil()
    # A value may be rarer in one part than in another: its longer absences say how rare.
    absence = pl.max_horizontal(pl.lit(5.0), absence, ABSENCES * gap.quantile(0.9).over(of))
    gone = gap > absence
    rows = rows.with_columns(stay=gone.fill_null(value=False).cast(pl.Int64).cum_sum().over(of))
    stays = rows.group_by("g", "value", "stay").agg(
        start=pl.col("i").min(), end=pl.col("i").max(), count=pl.len().cast(pl.Int64), n=pl.col("n").first()
    )
    stays = stays.with_columns(pl.col("value").cast(pl.String)).sort("g", "start", "value")
    stays = stays.with_columns(
        latest=pl.col("stay") == pl.col("stay").max().over(of), length=pl.col("end") - pl.col("start") + 1
    )
    values = pl.col("value").n_unique()
    few = pl.len() <= 2 * values + 2
    apart = (pl.col("length").sum() <= BESIDE * pl.col("n").first()) | (values <= FEW)
    kept = stays.group_by("g").agg(setting=few & apart).filter("setting")
    stays = stays.join(kept, on="g", how="semi", maintain_order="left")
    stays = stays.with_columns(
        begins=(pl.col("stay") > 0) | _unlikely(stays, stays["n"] - stays["start"]),
        ends=~pl.col("latest") | _unlikely(stays, stays["end"] + 1),
    )
    return _changed(_turns(stays).join(rows.select("g", "i", "t", "event_id", *setting), on=["g", "i"], how="left"))


def _beside(rows: pl.DataFrame) -> pl.DataFrame:
    """g, value, ``beside``: the least share that a value has between the first and the last record of another one.

    Null where it has none, or fewer than `MIXED` records or than `MIXED_SHARE` there: then the other took its place.
    """
    found = []
    for (g,), some in rows.select("g", "value", "i").partition_by("g", as_dict=True).items():
        places = {value: one["i"].to_numpy() for (value,), one in some.partition_by("value", as_dict=True).items()}
        for value, mine in places.items():
            shares = []
            for other, theirs in places.items():
                first, last = theirs.min(), theirs.max()
                ends = np.searchsorted(np.sort(mine), [first, last])
                count, length = int(ends[1] - ends[0]), int(last - first + 1)
                if other != value and count >= max(MIXED, MIXED_SHARE * length):
                    shares.append(count / length)
            found.append((g, value, min(shares, default=None)))
    made = pl.DataFrame(found, schema={"g": pl.Int64, "value": pl.String, "beside": pl.Float64}, orient="row")
    return made.cast({"value": pl.Categorical})


def _unlikely(stays: pl.DataFrame, room: pl.Series) -> pl.Series:
    """Whether chance puts all records of a stay within `room` records of its setting with less than `CHANCE`."""
    count, n, within = (one.to_numpy().astype(np.float64) for one in (stays["count"], stays["n"], room))
    # Of all ways to lay `count` records among `n`, those that lie within the room.
    from scipy.special import gammaln  # noqa: PLC0415 - it takes a while to load

    ways = gammaln(within + 1) - gammaln(within - count + 1) - gammaln(n + 1) + gammaln(n - count + 1)
    return pl.Series((ways < np.log(CHANCE)) & (count >= LEAST))


def _turns(stays: pl.DataFrame) -> pl.DataFrame:
    """g, i, old, new, share, basis: the places at which stays begin, or end without another's beginning."""
    old = stays.select("g", value_old="value", start_old="start", end_old="end", count_old="count", ends_old="ends")
    new = stays.filter("begins").select("g", "value", "start", "end", "count", "length")
    least, part = NEAR
    pairs = new.join(old, on="g").filter(
        (pl.col("value") != pl.col("value_old")) & (pl.col("start_old") < pl.col("start"))
    )
    room = pl.max_horizontal(pl.lit(least), part * pl.min_horizontal("count", "count_old"))
    pairs = pairs.with_columns(
        replaced=pl.col("ends_old") & ((pl.col("end_old") - pl.col("start")).abs() <= room),
        beside=(pl.col("start_old") < pl.col("start")) & (pl.col("end_old") >= pl.col("start") - 1),
    ).filter(pl.col("replaced") | pl.col("beside"))
    best = pairs.sort(
        "g", "start", "value", "replaced", "count_old", "value_old", descending=[False, False, False, True, True, False]
    ).unique(["g", "start", "value"], keep="first", maintain_order=True)
    begun = new.join(best.select("g", "start", "value", "value_old"), on=["g", "start", "value"], how="left")
    begun = begun.select(
        "g", i="start", old="value_old", new="value", share=(pl.col("count") / pl.col("length")).round(4)
    )
    paired = pairs.filter("replaced").select("g", value="value_old", start="start_old").unique()
    over = stays.filter("ends").join(paired, on=["g", "value", "start"], how="anti")
    left = over.select("g", "value", "end").join(
        stays.select("g", new="value", start_new="start", end_new="end", count_new="count", length_new="length"), on="g"
    )
    left = left.filter(
        (pl.col("new") != pl.col("value"))
        & (pl.col("start_new") <= pl.col("end"))
        & (pl.col("end_new") > pl.col("end"))
    )
    left = left.sort("g", "end", "value", "count_new", "new", descending=[False, False, False, True, False])
    left = left.unique(["g", "end", "value"], keep="first", maintain_order=True)
    ended = left.select("g", i=pl.col("end") + 1, old="value", new="new", share=pl.lit(None, dtype=pl.Float64))
    seen = (one.with_columns(basis=pl.lit(name)) for one, name in ((begun, "first_seen"), (ended, "last_seen")))
    return pl.concat(list(seen))


def _changed(rows: pl.DataFrame) -> pl.DataFrame:
    columns = pl.Schema(
        {
            "t": pl.Int64(),
            **dict.fromkeys(("layer", "scope", "key", "service", "clock", "old", "new"), pl.String()),
            "share": pl.Float64(),
            "basis": pl.String(),
            "status": pl.String(),
            "event_id": pl.String(),
        }
    )
    if "old" not in rows.columns:
        return pl.DataFrame(schema=columns)
    return rows.with_columns(status=pl.lit("DER")).select(columns.names()).cast(columns)


def in_force(facts: Facts) -> pl.DataFrame:
    """What was in force when the programs worked on each request, as records of changes say.

    A value is carried forward by the clock of the program that stated it, and unknown before the first record.

    Returns:
        request, dimension (``policy_rev in force``), value, stage (of the policy decision that it was in force at; null
        elsewhere), event_id (the first such event of the request), t, since (event id of the record that states it):
        one row for each value and stage of a request. Status DER.
    """
    states = facts.once(stated).filter(pl.col("clock") != "")
    columns = ["request", "dimension", "value", "stage", "event_id", "t", "since"]
    settings = states.select("layer", "scope", "key", "service", "clock").unique(maintain_order=True)
    columns_of = ("request", "event_id", "t", "clock")
    worked: dict[tuple[str, str], pl.DataFrame] = {}
    for layer, clock in settings.select("layer", "clock").unique(maintain_order=True).iter_rows():
        events = facts.of(layer, columns=(*columns_of, "policy_stage")).lazy().rename({"policy_stage": "stage"})
        events = events.filter(pl.col("clock") == clock)
        worked[layer, clock] = events.drop_nulls(["request", "t"]).drop("clock").collect().sort("t", "event_id")
    parts = []
    for layer, scope, key, service, clock in settings.iter_rows():
        here = states.filter(layer=layer, scope=scope, key=key, service=service, clock=clock)
        found = (
            worked[layer, clock]
            .join_asof(here.select("t", "value", since="event_id").sort("t"), on="t", check_sortedness=False)
            .drop_nulls("value")
        )
        found = found.unique(["request", "value", "stage"], keep="first", maintain_order=True)
        label = f"{key} in force" if scope in key.lower() else f"{scope} {key} in force"
        parts.append(found.with_columns(dimension=pl.lit(label)).select(columns))
    if not parts:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String()) | {"t": pl.Int64()})
    # Replicas state the same setting: of a request that several worked on, every value once.
    return pl.concat(parts).sort("t", "event_id", "dimension").unique(columns[:4], keep="first", maintain_order=True)


FEED_TIMES = ("time", "timestamp", "ts", "date", "at", "created_at", "deployed_at", "committed_at", "when")
FEED = {
    "scope": ("scope", "kind", "type", "what", "layer"),
    "key": ("key", "name", "flag", "component", "setting", "title", "subject", "message", "description"),
    "old": ("old", "from", "before", "previous"),
    "new": ("new", "to", "after", "value", "version", "ref", "sha", "commit", "id"),
    "service": ("service", "app", "program", "repo", "repository"),
}
"""Names of the columns of a feed, the first that is there."""
_COMMIT = re.compile(r"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T\S+)\s+(?P<new>[0-9a-f]{7,40})\s+(?P<key>.*)")


def read_feed(text: str, name: str) -> pl.DataFrame:
    """Read changes from elsewhere.

    Args:
        text: JSON lines, or CSV with a header, whose fields are called as in `FEED_TIMES` and `FEED`; or what
            ``git log --format='%cI %h %s'`` prints.
        name: of the file, for addresses and errors.

    Returns:
        Columns of `event.CHANGES` but ``reverts``; times are by whatever clock the feed has, so no doubt is known.

    Raises:
        InputError: with file and line, if a line states no time or cannot be read.
    """
    # Not `splitlines`: what else it takes for the end of a line may stand in a text.
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    begin = next((line for line in lines if line.strip()), "")
    if begin.lstrip().startswith("{"):
        rows: Iterable[tuple[int, Mapping[str, object]]] = _json_rows(lines, name)
    elif _COMMIT.match(begin):
        rows = _commits(lines, name)
    else:
        rows = _table_rows(text.removeprefix("\ufeff"), name)
    found = [_change(row, name, line) for line, row in rows]
    return pl.DataFrame(found, schema={one: CHANGES.schema[one] for one in _FEED_COLUMNS})


_FEED_COLUMNS = (
    *("time", "doubt_ns", "layer", "scope", "key", "service", "old", "new", "share", "basis", "status"),
    *("event", "address"),
)


def _json_rows(lines: list[str], name: str) -> Iterable[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"no JSON: {error}", path=name, line=number) from None
        if not isinstance(row, dict):
            raise InputError("no JSON object", path=name, line=number)
        yield number, {str(key).lower(): value for key, value in row.items()}


def _commits(lines: list[str], name: str) -> Iterable[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _COMMIT.match(line.strip())
        if found is None:
            hint = "git log --format='%cI %h %s'"
            raise InputError("no time, commit and subject", path=name, line=number, hint=hint)
        yield number, {"scope": "commit", **found.groupdict()}


def _table_rows(text: str, name: str) -> Iterable[tuple[int, Mapping[str, object]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    head: list[str] = []
    begin = 1
    try:
        for cells in reader:
            number, begin = begin, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not head:
                head = [cell.strip().lower() for cell in cells]
                if not set(head) & set(FEED_TIMES):
                    hint = "JSON lines, CSV with a column time, or git log --format='%cI %h %s'"
                    raise InputError("no header with a time", path=name, line=number, hint=hint)
                continue
            if len(cells) != len(head):
                message = f"{len(cells)} cells, and the header has {len(head)}"
                raise InputError(message, path=name, line=number)
            yield number, dict(zip(head, cells, strict=True))
    except csv.Error as error:
        raise InputError(f"no CSV: {error}", path=name, line=reader.line_num) from None


def _change(row: Mapping[str, object], name: str, line: int) -> dict[str, object]:
    """One row of a feed."""
    when = next((row[key] for key in FEED_TIMES if row.get(key) not in (None, "")), None)
    if when is None:
        raise InputError("no time", path=name, line=line, hint=f"one of {', '.join(FEED_TIMES)}")
    taken: set[str] = set()

    def field(of: str) -> str | None:
        for key in FEED[of]:
            value = row.get(key)
            if key not in taken and value not in (None, ""):
                taken.add(key)
                said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
                return _utf8(said)
        return None

    return {
        "time": _feed_time(when, name, line),
        "doubt_ns": None,
        "layer": "change",
        "scope": field("scope") or "change",
        "key": field("key"),
        "service": field("service"),
        "old": field("old"),
        "new": field("new"),
        "share": None,
        "basis": "feed",
        "status": "OBS",
        "event": None,
        "address": _utf8(f"{name}:{line}"),
    }


def _utf8(text: str) -> str:
    """`text`, in which halves of surrogate pairs are written out: no table holds them."""
    return text.encode("utf-8", "backslashreplace").decode()


def _feed_time(when: object, name: str, line: int) -> datetime:
    """A time of a feed: an ISO text (UTC where it names no zone), or an epoch in s, ms, us or ns."""
    try:
        if isinstance(when, str) and not re.fullmatch(r"[0-9]{9,19}(?:\.[0-9]+)?", when.strip()):
            return utc(datetime.fromisoformat(when.strip()), "time")
        number = float(str(when))
        while number > 1e11:
            number /= 1000
        return utc(datetime.fromtimestamp(number, UTC), "time")
    except (ValueError, OverflowError, OSError, InputError):
        hint = "an ISO time, as in 2026-11-21T23:03:00Z, or an epoch"
        raise InputError(f"no time: {when!r}", path=name, line=line, hint=hint) from None
