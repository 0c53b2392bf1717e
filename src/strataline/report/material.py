"""What a draft is drawn from: the tables of a case, an examination of it, and ways back to its records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from strataline import rows, wording
from strataline.event import PRODUCT_LAYERS, only

Row = Mapping[str, Any]

EXEMPLARS = 3
CHOICE = (
    f"one from each of the up to {EXEMPLARS} most frequent combinations of conditions (section 7.1); of each, the "
    "request with most layers present, then most of them tied by ids, then the earliest start, then the smallest id"
)
"""How the requests that are shown whole are chosen."""
CONDITIONS = ("RU", "SG", "DV", "CC")
"""Attention of findings that name a condition; the others are context or gaps."""
OF = {"P": "prompt", "R": "retrieval", "M": "model", "F": "policy", "U": "ui"}
"""The layer that the letter of a check stands for."""
FILTER_ONLY = ("window", "content")


@dataclass(frozen=True)
class Material:
    """What a draft is drawn from.

    Args:
        examined: an ``examine.Examined``.
        frames: the tables of the case.
        look: columns of the events as rules look at them, by name: of ``events``, and ``t`` and ``t_end`` (corrected,
            ns), ``doubt`` (ns), ``sure``.
        values: ``examine.dimensions`` of the requests: request, dimension, value (categories), event_id, t.
        coverage: ``examine.coverage``.
        version: of the tool.
        texts: event ids → their whole texts (``input``, ``output``, ``passages``, ``missing``).
        records: rows of ``events`` → the bytes of each record; null where its input is not at hand.
        gone: inputs of which nothing can be read again.
        options: what was asked for, as (name, value).
        content: whether checks that read whole texts were asked to run.
        redacts: what was done to log text, in words; empty where nothing was.
    """

    examined: Any
    frames: Mapping[str, pl.DataFrame]
    look: Callable[..., pl.DataFrame]
    values: pl.DataFrame
    coverage: pl.DataFrame
    version: str
    texts: Callable[[Iterable[str]], Mapping[str, Any]]
    records: Callable[[pl.DataFrame], Sequence[bytes | None]]
    gone: Sequence[str] = ()
    options: Sequence[tuple[str, str]] = field(default_factory=tuple)
    redacts: str = ""
    content: bool = False

    @cached_property
    def affected(self) -> pl.Series:
        """Ids of the affected requests; none where no set was named."""
        some = self.examined.affected
        return pl.Series([], dtype=pl.String) if some is None else some.requests.unique()

    @cached_property
    def baseline(self) -> pl.Series:
        """Ids of the requests that they are compared with."""
        some = self.examined.affected
        return pl.Series([], dtype=pl.String) if some is None else some.baseline.unique()

    @cached_property
    def chosen(self) -> pl.DataFrame:
        """The affected rows of ``requests``, in order of start."""
        requests = self.frames["requests"]
        found = requests.filter(pl.col("request").is_in(self.affected.implode()))
        return found.sort("start_time", "request", nulls_last=True)

    @cached_property
    def theirs(self) -> pl.DataFrame:
        """The events of affected requests: what is told of them all."""
        told = ("event_id", "request", "layer", "kind", "t", "doubt", "sure", "link_method", "shown")
        return self.look(*told).filter(pl.col("request").is_in(self.affected.implode()))

    @cached_property
    def impact(self) -> Any:
        """``examine.Impact``; null without an affected set."""
        return self.examined.impact

    @cached_property
    def moments(self) -> dict[str, dict[str, Any]]:
        """The named moments, by name; empty without an affected set. ``time`` in epoch ms."""
        if self.impact is None:
            return {}
        return {row["moment"]: row for row in rows.of(self.impact.moments)}

    @property
    def onset(self) -> int | None:
        """When the first affected answer was shown or left, in epoch ms; null where that is unknown."""
        found = self.moments.get("onset", {}).get("time")
        return int(found) if found is not None else None

    @cached_property
    def fired(self) -> list[dict[str, Any]]:
        """The findings that fired, in reading order."""
        return self.examined.findings.filter(pl.col("result") == "fired").to_dicts()  # type: ignore[no-any-return]

    @cached_property
    def clear(self) -> list[dict[str, Any]]:
        """The checks that ran and found nothing."""
        return self.examined.findings.filter(pl.col("result") == "clear").to_dicts()  # type: ignore[no-any-return]

    @cached_property
    def not_run(self) -> list[dict[str, Any]]:
        """The checks that could not run."""
        found: list[dict[str, Any]] = self.examined.findings.filter(pl.col("result") == "not_evaluable").to_dicts()
        reading = {check.id for check in self.examined.checks if check.content}
        for one in found:
            if not self.content and one["check"] in reading:
                one |= {"reason": "it reads whole texts, and was not asked to", "unlocks": ["--content"]}
        return found

    def found(self, check: str) -> list[dict[str, Any]]:
        """What the check `check` found."""
        return [one for one in self.fired if one["check"] == check]

    @staticmethod
    def layer_of(finding: Row) -> str | None:
        """The layer whose check it is; null for checks over several, of changes, and of evidence."""
        own = finding["layers"] if len(finding["layers"]) == 1 and finding["check"].startswith("O") else []
        return OF.get(finding["check"][0]) or (own[0] if own else None)

    @cached_property
    def conditions(self) -> list[dict[str, Any]]:
        """The findings that name a condition and hold in affected requests, if those are known; by layer, unranked."""
        some = [one for one in self.fired if one["attention"] in CONDITIONS and one["affected"] != 0]
        order = {layer: place for place, layer in enumerate(PRODUCT_LAYERS)}
        return sorted(some, key=lambda one: (order.get(self.layer_of(one) or "", 9), one["finding"]))

    @cached_property
    def combinations(self) -> pl.DataFrame:
        """request, set (checks of the conditions that hold in it, joined; "" for none), n (affected requests with it).

        Affected requests alone; the most frequent set first.
        """
        names = [one["finding"] for one in self.conditions]
        held = self.examined.hits.filter(pl.col("finding").is_in(names)).select("request", "check").unique()
        sets = held.group_by("request").agg(set=pl.col("check").sort().str.join(" + "))
        of = (
            self.affected.sort()
            .to_frame("request")
            .join(sets, on="request", how="left")
            .with_columns(pl.col("set").fill_null(""))
        )
        return of.with_columns(n=pl.len().over("set")).sort(["n", "set", "request"], descending=[True, False, False])

    @cached_property
    def exemplars(self) -> list[dict[str, Any]]:
        """Rows of ``requests``: one of each of the most frequent combinations of conditions, see `CHOICE`."""
        if self.chosen.is_empty():
            return []
        tied = (
            self.theirs.filter(pl.col("layer").is_in(PRODUCT_LAYERS))
            .group_by("request")
            .agg(sure=pl.col("layer").filter(pl.col("sure")).n_unique(), layers=pl.col("layer").n_unique())
        )
        ranked = self.chosen.join(tied, on="request", how="left").join(self.combinations, on="request", how="left")
        order = ["layers", "sure", "start_time", "request"]
        ranked = ranked.sort(order, descending=[True, True, False, False], nulls_last=True)
        best = ranked.unique("set", keep="first", maintain_order=True).sort(["n", "set"], descending=[True, False])
        best = best.head(EXEMPLARS)
        rest = ranked.filter(~pl.col("request").is_in(best["request"].implode())).head(EXEMPLARS - best.height)
        return rows.of(pl.concat([best, rest]).select(self.chosen.columns))

    @cached_property
    def chains(self) -> list[rows.Chain]:
        """The chains of the exemplars."""
        if not self.exemplars:
            return []
        order = {one["request"]: n for n, one in enumerate(self.exemplars)}
        requests = self.chosen.filter(pl.col("request").is_in(list(order)))
        events = only(self.frames, "events", pl.col("request").is_in(requests["request"].implode()))
        links = only(self.frames, "links", pl.col("from_event").is_in(events["event_id"].implode()))
        found = rows.chains(requests, events, links)
        return sorted(found, key=lambda chain: order[chain.request["request"]])

    @cached_property
    def whole(self) -> Mapping[str, Any]:
        """The whole texts of the first exemplar's events, by event id: read once."""
        return self.texts([event["event_id"] for event in self.chains[0].events]) if self.chains else {}

    @cached_property
    def doubts(self) -> dict[str, int | None]:
        """Event id → how far its time may be off (ns), of the exemplars' events."""
        ids = [event["event_id"] for chain in self.chains for event in chain.events]
        found = self.look("event_id", "doubt").filter(pl.col("event_id").is_in(ids))
        return dict(found.iter_rows())

    @cached_property
    def layer_of_dimension(self) -> dict[str, str]:
        """Dimension → the layer whose events state it; those that requests state are not there."""
        first = self.counted.drop_nulls("event_id").group_by("dimension").agg(pl.col("event_id").min())
        found = self.look("event_id", "layer").join(first, on="event_id")
        return dict(found.select("dimension", "layer").sort("dimension").iter_rows())

    @cached_property
    def counted(self) -> pl.DataFrame:
        """dimension, value, affected, compared (requests of each set that have it), event_id (the first), t (ns)."""
        sides = pl.concat(
            [
                self.affected.to_frame("request").with_columns(one=True),
                self.baseline.to_frame("request").with_columns(one=False),
            ]
        )
        sides = sides.with_columns(pl.col("request").cast(pl.Categorical))
        rows_ = self.values.with_columns(pl.col("request", "dimension", "value").cast(pl.Categorical))
        of = ("dimension", "value")
        # A request may have a value at several stages.
        counts = (
            rows_.join(sides, on="request", how="left")
            .group_by(of)
            .agg(
                affected=pl.col("request").filter(pl.col("one")).n_unique(),
                compared=pl.col("request").filter(~pl.col("one")).n_unique(),
            )
        )
        earliest = pl.col("t").eq_missing(pl.col("t").min().over(of))
        firsts = rows_.filter(earliest).group_by(of).agg(pl.col("event_id").min(), pl.col("t").first())
        grouped = counts.join(firsts, on=of).with_columns(pl.col(of).cast(pl.String))
        order = ["dimension", "affected", "compared", "value"]
        return grouped.sort(order, descending=[False, True, True, False])

    def when(self, t: int | None) -> str:
        """A corrected time (ns) as text."""
        return wording.date_time(None if t is None else t // 1_000_000)

    @cached_property
    def inputs(self) -> list[dict[str, Any]]:
        """The rows of ``sources``."""
        return rows.of(self.frames["sources"].sort("source"))
