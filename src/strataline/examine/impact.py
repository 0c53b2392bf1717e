"""Whom the affected requests reached, in numbers with bounds, and the named moments. No harm, no money, no intent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from strataline.event import address
from strataline.examine.facts import Facts

NEGATIVE = (
    r"(?i)^(down|thumbs?[_ -]?down|negative|bad|dislike|poor|report|flag|no|not[_ -]?helpful|unhelpful|false|-1|0)$"
)
"""Feedback that says that an answer was not wanted, as products write it."""

SIGNALS = ("ui.regenerate", "ui.edited", "ui.retry", "ui.escalated", "ui.reported")
"""What users do besides feedback when an answer did not serve them; context, not a verdict."""

TIERS = pl.Schema(
    {
        "tier": pl.String(),
        "of": pl.String(),
        "by_ids": pl.Int64(),
        "recorded": pl.Int64(),
        "at_most": pl.Int64(),
    }
)
"""``tier``: shown, delivered or exposed; ``of``: requests, sessions, users or tenants; ``by_ids``: those whose records
are joined by ids (the lower bound); ``recorded``: with those joined by text or time; ``at_most``: with those of which
no record says that it was held back (the upper bound)."""

DEFINITIONS = {
    "shown": "a record of display of the answer, or of a part of it",
    "delivered": "a record that the answer left for the client, or a record of display",
    "exposed": "every request of the affected set",
}

MOMENTS = pl.Schema(
    {
        "moment": pl.String(),
        "time": pl.Datetime("ns", "UTC"),
        "status": pl.String(),
        "event": pl.String(),
        "address": pl.String(),
        "meaning": pl.String(),
    }
)
"""``time`` is null and ``status`` UNK where no record and nobody says; HUM where somebody said so."""


@dataclass(frozen=True)
class Impact:
    """What `impact` counts.

    Args:
        tiers: `TIERS`.
        moments: `MOMENTS`, in the order onset, first user signal, first internal signal, mitigation, last.
        signals: what users did after they were shown affected answers: kind or feedback → requests.
        without_user: affected requests without a user id; the numbers of users leave them out.
        traffic: turns of the case between the first and the last affected request, those two included.
        repeated: users with more than one affected request.
        most: affected requests of the user with most of them; null where no user is known.
        median: median over users; null likewise.
        longest_ns: longest time between the first and the last affected answer shown to one user; null if unknown.
        tail: affected answers shown after the mitigation; null where that is unknown.
    """

    tiers: pl.DataFrame
    moments: pl.DataFrame
    signals: dict[str, int]
    without_user: int
    traffic: int
    repeated: int
    most: int | None
    median: float | None
    longest_ns: int | None
    tail: int | None


def impact(facts: Facts, *, signalled: datetime | None = None, mitigated: datetime | None = None) -> Impact:
    """Count whom the affected requests of `facts` reached.

    Args:
        facts: with an affected set.
        signalled: when the team first knew, as somebody says; UTC.
        mitigated: when the mitigation took effect, as somebody says; UTC.

    Raises:
        ValueError: if there is no affected set.
    """
    if facts.affected is None:
        msg = "impact needs an affected set"
        raise ValueError(msg)
    chosen = facts.affected.requests.implode()
    requests = facts.tables["requests"].filter(pl.col("request").is_in(chosen))
    reached = facts.reached.filter(pl.col("request").is_in(chosen))
    told = pl.concat([reached["shown"], reached["delivered"]])
    events = facts.named(told, "t", "sure", "corrected_time", "source", "line", "offset")
    events = events.select("event_id", "t", "sure", "corrected_time", address=address())
    shown = _by(reached, "shown", events)
    delivered = pl.concat([_by(reached, "delivered", events), shown])
    kept = _held(facts)
    unshown = facts.renders.group_by("request").agg(pl.col("answer").any()).filter(~pl.col("answer"))["request"]
    open_ = requests.filter(~pl.col("request").is_in(kept.implode()))["request"]
    sets = {
        "shown": (
            shown.filter("sure")["request"],
            shown["request"],
            pl.concat([open_.filter(~open_.is_in(unshown.drop_nulls().implode())), shown["request"]]),
        ),
        "delivered": (
            delivered.filter("sure")["request"],
            delivered["request"],
            pl.concat([open_, delivered["request"]]),
        ),
        "exposed": (requests["request"],) * 3,
    }
    tiers = [
        {"tier": tier, "of": of, **dict(zip(("by_ids", "recorded", "at_most"), counts, strict=True))}
        for tier, three in sets.items()
        for of, counts in _counts(requests, three)
    ]
    per_user = requests.drop_nulls("user").group_by("user").len()["len"]
    at = shown.join(requests.select("request", "user"), on="request").drop_nulls("t")
    spans = at.drop_nulls("user").group_by("user").agg(span=pl.col("t").max() - pl.col("t").min())["span"]
    tail = None if mitigated is None else at.filter(pl.col("corrected_time") > mitigated)["request"].n_unique()
    signals = _signals(facts, requests["request"])
    return Impact(
        tiers=pl.DataFrame(tiers, schema=TIERS),
        moments=_moments(at if at.height else delivered.drop_nulls("t"), signals, signalled, mitigated),
        signals=dict(signals.group_by("signal").agg(pl.col("request").n_unique()).sort("signal").iter_rows()),
        without_user=requests["user"].null_count(),
        traffic=_traffic(facts, requests),
        repeated=int((per_user > 1).sum()),
        most=None if per_user.is_empty() else int(per_user.max()),  # type: ignore[arg-type]
        median=None if per_user.is_empty() else float(per_user.median()),  # type: ignore[arg-type]
        longest_ns=None if spans.is_empty() else int(spans.max()),  # type: ignore[arg-type]
        tail=tail,
    )


def _by(reached: pl.DataFrame, column: str, events: pl.DataFrame) -> pl.DataFrame:
    """(request, event_id, t, sure, corrected_time, address) of the requests with such an event."""
    some = reached.drop_nulls(column).select("request", event_id=column)
    return some.join(events, on="event_id", how="left").with_columns(pl.col("sure").fill_null(value=False))


def _held(facts: Facts) -> pl.Series:
    """Requests of which a record says that the answer was held back."""
    blocked = pl.col("outcome").is_in(["blocked", "error"])
    some = [
        facts.of("prompt", "prompt.blocked", columns=("request",))["request"],
        facts.of("prompt", "prompt.responded", columns=("request", "outcome")).filter(blocked)["request"],
    ]
    return pl.concat(some).drop_nulls().unique()


def _counts(requests: pl.DataFrame, sets: tuple[pl.Series, ...]) -> list[tuple[str, list[int]]]:
    some = [requests.filter(pl.col("request").is_in(one.unique().implode())) for one in sets]
    return [
        (name, [one[column].drop_nulls().n_unique() for one in some])
        for name, column in (
            ("requests", "request"),
            ("sessions", "session"),
            ("users", "user"),
            ("tenants", "tenant"),
        )
    ]


def _signals(facts: Facts, chosen: pl.Series) -> pl.DataFrame:
    """What users of the chosen requests did: (request, event_id, t, corrected_time, address, signal), in order."""
    columns = ("request", "event_id", "t", "corrected_time", "source", "line", "offset", "feedback", "kind")
    ui = facts.of("ui", columns=columns).filter(pl.col("request").is_in(chosen.implode()))
    said = pl.when(pl.col("feedback").str.contains(NEGATIVE)).then(pl.lit("feedback ") + pl.col("feedback"))
    did = pl.when(pl.col("kind").is_in(SIGNALS)).then(pl.col("kind"))
    return (
        ui.select("request", "event_id", "t", "corrected_time", address=address(), signal=pl.coalesce(said, did))
        .drop_nulls("signal")
        .sort("t", "event_id", nulls_last=True)
    )


def _moments(
    shown: pl.DataFrame, signals: pl.DataFrame, signalled: datetime | None, mitigated: datetime | None
) -> pl.DataFrame:
    ordered = shown.sort("t", "event_id")
    rows: list[dict[str, object]] = []

    def add(moment: str, meaning: str, found: pl.DataFrame, said: datetime | None = None) -> None:
        row: dict[str, object] = {"moment": moment, "meaning": meaning, "status": "UNK"}
        if said is not None:
            row |= {"time": said, "status": "HUM"}
        elif found.height:
            first = found.row(0, named=True)
            status = "DER" if first.get("sure", True) else "INF"
            row |= {"time": first["corrected_time"], "status": status, "event": first["event_id"]}
            row |= {"address": first["address"]}
        rows.append(row)

    none = ordered.clear()
    add("onset", "the first affected answer was shown, or left for the client where no display is logged", ordered)
    add("first user signal", "the first feedback, retry or regenerate on an affected request", signals.drop_nulls("t"))
    add("first internal signal", "the team first knew: an alert, a ticket, a change; people say when", none, signalled)
    add("mitigation", "the change that ended it took effect; people say which", none, mitigated)
    add("last", "the last affected answer was shown, or left for the client", ordered.reverse())
    return pl.DataFrame(rows, schema=MOMENTS)


def _traffic(facts: Facts, requests: pl.DataFrame) -> int:
    first, last = requests["start_time"].min(), requests["start_time"].max()
    within = pl.col("start_time").is_between(pl.lit(first), pl.lit(last))
    return facts.requests.filter(within).height
