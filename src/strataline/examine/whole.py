"""A whole examination: the affected set, what checks found, what changed, what was different, whom it reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from strataline.event import CONTRASTS, MEASURES
from strataline.examine.changes import changes
from strataline.examine.check import Check
from strataline.examine.checks import CHECKS
from strataline.examine.coverage import presence, services, unseen
from strataline.examine.dimensions import contrasts
from strataline.examine.facts import Affected, Facts
from strataline.examine.impact import Impact, impact
from strataline.examine.measures import measured, measures
from strataline.examine.run import run


@dataclass(frozen=True)
class Examined:
    """What an examination gives.

    Args:
        total: requests of the case.
        affected: the affected set, and what it is compared with; null if none was chosen.
        findings: `event.FINDINGS`, in reading order.
        hits: `event.HITS`.
        changes: `event.CHANGES`.
        contrasts: `event.CONTRASTS`, those that pass the rule first; empty without an affected set.
        measures: `event.MEASURES`, those that pass the rule first; empty without an affected set.
        impact: whom the affected requests reached; null without an affected set.
        checks: what was run.
        presence: `coverage.PRESENCE`: per layer and hour, in how many requests it is present, absent, …
        services: `coverage.SERVICES`: what each service of each layer logged.
        unseen: `coverage.UNSEEN`: what no log of the case shows, whatever happened.
    """

    total: int
    affected: Affected | None
    findings: pl.DataFrame
    hits: pl.DataFrame
    changes: pl.DataFrame
    contrasts: pl.DataFrame
    measures: pl.DataFrame
    impact: Impact | None
    checks: tuple[Check, ...]
    presence: pl.DataFrame
    services: pl.DataFrame
    unseen: pl.DataFrame


def examine(
    facts: Facts,
    checks: Iterable[Check] = CHECKS,
    *,
    feed: pl.DataFrame | None = None,
    signalled: datetime | None = None,
    mitigated: datetime | None = None,
) -> Examined:
    """Run checks over `facts`, and tell what changed, what was different, and whom it reached.

    Args:
        facts: the tables of a case, with an affected set or without.
        checks: which; content checks run where `facts` can read texts.
        feed: changes from elsewhere, as `changes.read_feed` gives them.
        signalled: when the team first knew, as somebody says.
        mitigated: when the mitigation took effect, as somebody says.
    """
    chosen = tuple(checks)
    found = run(facts, chosen)
    facts.let_go("judged", "displays", "documents")  # checks alone look at these
    affected = facts.affected
    some = affected is not None and affected.requests.len() > 0
    changed = facts.once(changes) if feed is None else changes(facts, feed)
    compared = facts.once(contrasts) if some else CONTRASTS.empty()
    numbers = MEASURES.empty()
    if affected and some:
        numbers = measures(measured(facts), affected.requests, affected.baseline)
    reached = impact(facts, signalled=signalled, mitigated=mitigated) if some else None
    # What is read of all events is much, and is held beside none of that.
    events = facts.table("events", "layer", "service", "source", "clock", "request", "corrected_time")
    logged = services(events)
    events = events.drop("service", "clock")
    return Examined(
        total=facts.total,
        affected=facts.affected,
        findings=found.findings,
        hits=found.hits,
        changes=changed,
        contrasts=compared,
        measures=numbers,
        impact=reached,
        checks=chosen,
        presence=presence(facts.tables["requests"]),
        services=logged,
        unseen=unseen(events, facts.tables["sources"], facts.states),
    )
