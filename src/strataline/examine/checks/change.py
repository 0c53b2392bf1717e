"""Checks of change: what was different, what changed before it, what cannot be told apart, and what reversals show."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from strataline.examine.changes import changes
from strataline.examine.check import HITS, Check, Found, Unknown
from strataline.examine.checks.baseline import SUBJECTS, by_dimension, of_set, percent, with_values
from strataline.examine.contrast import PARAMETERS
from strataline.examine.dimensions import contrasts, dimensions
from strataline.examine.facts import Facts

LOOKBACK = timedelta(days=7)
HOUR = timedelta(hours=1)
ALIKE = 0.95
STEPS = 200
"""Changes that are looked at together: the last ones."""
LISTED = 12
"""Changes named in one sentence, at most."""

_TIME = "%Y-%m-%dT%H:%M:%S%.3fZ"


def _contrast(facts: Facts) -> list[Found]:
    table = facts.once(contrasts)
    values = facts.once(dimensions)
    found = by_dimension(facts, values, table)
    of = of_set(facts)
    few = ""
    if of.requests.len() < 30:
        few = " This comparison could only have shown large differences."
    names = table.filter("shown")["dimension"].n_unique()
    one = [Found(item.hits, item.evaluable, {**item.values, "few": few}, subject=item.subject) for _, _, item in found]
    if names > SUBJECTS:
        more = f" {names - SUBJECTS} more dimensions differ; the contrasts list them."
        one[-1] = Found(one[-1].hits, one[-1].evaluable, {**one[-1].values, "few": few + more}, subject=one[-1].subject)
    return one or [Found(HITS.to_frame(), pl.concat([of.requests, of.baseline]))]


def _steps(facts: Facts) -> pl.DataFrame:
    """Changes with a time, the same change of several programs as one, and until when each was in force.

    Columns: time (first), last (of the last program), until (null if nothing changed it again), scope, key, old, new,
    said (in words), events (ids), n (programs), reverts.
    """
    rows = facts.once(changes).drop_nulls("time")
    setting = ["layer", "scope", "key"]
    of = [*setting, "service"]
    rows = rows.sort("time", *of, "new", nulls_last=True).with_columns(until=pl.col("time").shift(-1).over(of))
    # Replicas take the same change at different times: one change, from the first on.
    again = (pl.col("old").ne_missing(pl.col("old").shift()) | pl.col("new").ne_missing(pl.col("new").shift())).over(
        setting
    )
    twice = pl.struct("service", "old", "new").is_first_distinct().over(setting)
    rows = rows.with_columns(run=(again | ~twice).fill_null(value=True).cast(pl.Int64).cum_sum().over(setting))
    merged = rows.group_by(*setting, "run", maintain_order=True).agg(
        pl.col("time").min(),
        last=pl.col("time").max(),
        until=pl.when(pl.col("until").is_null().any()).then(None).otherwise(pl.col("until").max()),
        old=pl.col("old").first(),
        new=pl.col("new").first(),
        events=pl.col("event").drop_nulls(),
        programs=pl.col("service").drop_nulls().unique().sort().str.join(", "),
        reverts=pl.col("reverts").drop_nulls().first(),
        basis=pl.col("basis").first(),
    )
    value = pl.when(pl.col("old").is_null()).then(pl.format("to {}", pl.col("new").fill_null("?")))
    arrow = value.otherwise(pl.format("{} → {}", "old", pl.col("new").fill_null("?")))
    place = pl.when(pl.col("programs") == "").then(pl.lit("")).otherwise(pl.format(" in {}", "programs"))
    # A key that says what kind of setting it is needs no word before it.
    key = pl.col("key").fill_null("(no key)")
    plain = (
        pl.col("key").fill_null("").str.to_lowercase().str.contains(pl.col("scope").str.to_lowercase(), literal=True)
    )
    label = pl.when(plain).then(key).otherwise(pl.format("{} {}", "scope", key))
    return merged.sort("time", *setting, nulls_last=True).with_columns(
        label=label,
        said=pl.format("{} {}{} at {}", label, arrow, place, pl.col("time").dt.strftime(_TIME)),
        short=pl.format("{} {}", label, arrow),
    )


def _listed(rows: pl.DataFrame, column: str = "said", limit: int = LISTED) -> str:
    more = rows.height - limit
    return "; ".join(rows[column].head(limit)) + (f"; and {more} more" if more > 0 else "")


def _affected_times(facts: Facts) -> pl.DataFrame:
    """The requests of both sets that state a time: request, start_time, end_time, one (whether it is affected)."""
    of = of_set(facts)
    requests = facts.tables["requests"].select("request", "start_time", "end_time").drop_nulls("start_time")
    requests = requests.with_columns(
        one=pl.col("request").is_in(of.requests.implode()), other=pl.col("request").is_in(of.baseline.implode())
    )
    return requests.filter(pl.col("one") | pl.col("other")).drop("other")


def _before_onset(facts: Facts) -> list[Found] | Unknown:
    times = _affected_times(facts).filter("one").sort("start_time", "request")
    if times.is_empty():
        return Unknown("no affected request states a time", ("requests.start_time",))
    onset = times.row(0, named=True)
    # What took effect while the first affected request was under way counts: it may have met it.
    until = max(onset["end_time"] or onset["start_time"], onset["start_time"])
    steps = _steps(facts)
    rows = steps.filter((pl.col("time") <= pl.lit(until)) & (pl.col("time") >= pl.lit(onset["start_time"] - LOOKBACK)))
    hits = rows.select(request=pl.lit(None, dtype=pl.String), events="events")
    return [Found(hits, steps.height, {"list": _listed(rows), "days": f"{LOOKBACK.days} days"})]


def _exposed(times: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """For each of `steps` the requests of `times` that started while it was in force: n, request, one."""
    rows = steps.with_row_index("n").select("n", "time", "until")
    if rows.is_empty():
        return times.head(0).select(n=pl.lit(0, dtype=pl.UInt32), request="request", one="one")
    parts = [
        times.filter(
            (pl.col("start_time") >= pl.lit(time))
            & ((pl.col("start_time") < pl.lit(until)) if until is not None else pl.lit(value=True))
        ).select(n=pl.lit(n, dtype=pl.UInt32), request="request", one="one")
        for n, time, until in rows.iter_rows()
    ]
    return pl.concat(parts)


def _overlapping(facts: Facts) -> list[Found] | Unknown:
    found = []
    table = facts.once(contrasts).filter(pl.col("shown") & pl.col("group").is_not_null())
    values = facts.once(dimensions)
    for group in table["group"].unique().sort():
        rows = table.filter(pl.col("group") == group).sort("dimension", "value")
        # Its mirror, what the affected have less often, says the same again.
        if rows["dimension"].n_unique() < 2 or (rows["difference"] < 0).all():
            continue
        named = [f"{dimension} {value}" for dimension, value in rows.select("dimension", "value").iter_rows()]
        numbers = {"a": named[0], "b": " and ".join(named[1:5])}
        statement = "The records cannot separate {a} from {b}: they go together in {n:request} of the affected set."
        hits = with_values(facts, values, rows)
        if hits.height:
            found.append(Found(hits, of_set(facts).requests, numbers, f"group {group}", statement))
    times = _affected_times(facts)
    affected = times.filter("one")
    if affected.height:
        last = affected["start_time"].max()
        # What takes a change back leaves what was there before: nothing new is in force.
        steps = _steps(facts).filter((pl.col("time") <= pl.lit(last)) & pl.col("reverts").is_null()).tail(STEPS)
        exposed = _exposed(affected, steps)
        exposed = exposed.join(steps.with_row_index("n").select("n", "said", "events"), on="n", maintain_order="left")
        per = exposed.group_by("request", maintain_order=True).agg(
            # One record may state several settings.
            k=pl.coalesce(pl.col("events").list.first(), "said").n_unique(),
            events=pl.col("events").list.first().drop_nulls().unique(maintain_order=True).head(6),
        )
        both = per.filter(pl.col("k") >= 2)
        if both.height:
            hits = (
                affected.select("request").join(both, on="request", maintain_order="left").select("request", "events")
            )
            used = exposed.join(both.select("request"), on="request", how="semi")["n"].unique().sort()
            together = steps[used.to_list()]
            found.append(Found(hits, affected["request"], {"list": _listed(together)}, "in force together"))
    return found[:SUBJECTS] or [Found(HITS.to_frame(), affected["request"])]


def _reversal(facts: Facts) -> list[Found] | Unknown:
    times = _affected_times(facts)
    steps = _steps(facts)
    back = steps.filter(pl.col("reverts").is_not_null())
    if back.is_empty():
        return Unknown("no recorded or observed change takes another one back", ("change.change_new",))
    found = []
    for row in back.head(SUBJECTS).iter_rows(named=True):
        same = steps.filter(
            (pl.col("scope") == row["scope"])
            & pl.col("key").eq_missing(pl.lit(row["key"]))
            & (pl.col("layer") == row["layer"])
            & pl.col("new").eq_missing(pl.lit(row["old"]))
            & (pl.col("time") < pl.lit(row["time"]))
        )
        if same.is_empty():
            continue
        first = same.row(-1, named=True)
        start = pl.col("start_time")
        parts = [
            times.filter(start < pl.lit(first["time"])),
            times.filter((start >= pl.lit(first["time"])) & (start < pl.lit(row["time"]))),
            times.filter(start >= pl.lit(row["time"])),
        ]
        rates = [f"{percent(int(part['one'].sum()), part.height)} of {part.height:,}" for part in parts]
        near = steps.filter(
            ((pl.col("time") - pl.lit(row["time"])).abs() <= HOUR)
            & ~(
                (pl.col("scope") == row["scope"])
                & pl.col("key").eq_missing(pl.lit(row["key"]))
                & (pl.col("layer") == row["layer"])
            )
        )
        during = parts[1].filter("one")
        events = [*first["events"][:2], *row["events"][:2]]
        hits = during.select("request", events=pl.lit(events, dtype=pl.List(pl.String)))
        if hits.is_empty():
            hits = pl.DataFrame({"request": [None], "events": [events]}, schema=HITS)
        numbers = {
            "a": row["label"],
            "old": row["old"],
            "new": row["new"],
            "before": rates[0],
            "during": rates[1],
            "after": rates[2],
            "t1": f"{first['time']:%Y-%m-%dT%H:%M:%S}Z",
            "t2": f"{row['time']:%Y-%m-%dT%H:%M:%S}Z",
            "others": _listed(near, "short") or "none",
        }
        found.append(Found(hits, times["request"], numbers, subject=f"{row['label']}: {row['new']}"))
    return found or [Found(HITS.to_frame(), times["request"])]


CHECKS: tuple[Check, ...] = (
    Check(
        id="C-01",
        name="contrast",
        layers=("prompt", "retrieval", "model", "policy", "ui"),
        attention="CX",
        status="DER",
        needs=(),
        rule=_contrast,
        statement="{what} differs between affected and compared requests: {values}. "
        "Association in these logs; it does not show effect.{few}",
        question="What else do these requests have in common that no log records?",
        alternatives=(
            "The two sets differ in when they were asked, by whom, or about what.",
            "Another value that goes with this one differs too: see what the records cannot separate.",
        ),
        baseline=True,
        parameters=PARAMETERS,
    ),
    Check(
        id="C-02",
        name="change-before-onset",
        layers=("change",),
        attention="DV",
        status="DER",
        needs=(),
        rule=_before_onset,
        statement="In the {days} before the first affected request was done the records show {n:change}, in order of "
        "time: {list}.",
        question="What other changes in that time leave no record in these logs?",
        alternatives=(
            "The change was planned and had no bearing on these requests.",
            "What differs began before the logs do.",
        ),
        baseline=True,
        parameters={"lookback_days": LOOKBACK.days},
    ),
    Check(
        id="C-03",
        name="overlapping-changes",
        layers=("change",),
        attention="CX",
        status="DER",
        needs=(),
        rule=_overlapping,
        statement="{n:request} of the affected set started while two or more changes were in force. The records of "
        "such requests cannot separate one from another: {list}.",
        question="What could tell these changes apart: a request that met one of them alone, or a replay?",
        alternatives=("The changes concern different parts of the product.",),
        baseline=True,
        parameters={"alike_at_least": ALIKE},
    ),
    Check(
        id="C-04",
        name="reversal",
        layers=("change",),
        attention="CX",
        status="DER",
        needs=(),
        rule=_reversal,
        statement="{a} was {old} from {t1} to {t2}. Of the requests that started before, {before} are of the affected "
        "set; of those while it was, {during}; after {new} was restored, {after}. Other changes within an hour "
        "of that: {others}.",
        question="What else was done in the hour around the reversal?",
        alternatives=("Something else ended at about the same time.", "Fewer people asked the same afterwards."),
        baseline=True,
        parameters={"hours": 1},
    ),
)
