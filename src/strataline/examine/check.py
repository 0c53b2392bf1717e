"""A check is a value: what it needs, its rule, and the words for what it finds.

The catalogue and its rules are those of the field's own incidents; `docs/checks.md` is made from these declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from strataline.examine.facts import Facts

ATTENTION = {
    "RU": "reached a user although a record holds a stop condition",
    "SG": "safeguard not evidenced",
    "DV": "differs from what was declared, or from the comparison set",
    "CC": "condition known to widen outcomes",
    "EG": "evidence gap",
    "CX": "context",
}
"""What a finding is read for, in reading order. It ranks reading, never harm, weight or cause."""

STATUSES = ("OBS", "DER", "INF", "UNK")
"""In a record; computed from records joined by ids; needed a heuristic; no record."""

HITS = pl.Schema({"request": pl.String(), "events": pl.List(pl.String())})
"""Columns that a rule's hits have at least: the request (null for events of none) and the events that show it, the
telling one first. One row per request (and subject)."""


class Count(int):
    """A number that knows its plural: ``f"{Count(2):request}"`` is ``2 requests``."""

    def __format__(self, spec: str) -> str:
        """Return the number with its noun, if `spec` names one."""
        if not spec.isidentifier():
            return f"{int(self):,}"
        return f"{int(self):,} {spec}" if self == 1 else f"{int(self):,} {spec}s"


@dataclass(frozen=True)
class Found:
    """What a rule found of one subject.

    Args:
        hits: `HITS`, and nothing else that matters; empty where it looked and found nothing.
        evaluable: the requests in which it could have held, or how many they are.
        values: what the sentence names besides ``n`` (requests hit), ``evaluable`` and ``total``. Log text as it is.
        subject: what it was found of; null where that is the whole.
        statement: another sentence than the check's, where what was found asks for it.
        attention: another class than the check's, likewise.
        status: another status than the check's, likewise.
        parameters: further parameters that the rule took.
        stands: whether it is said even where no request is hit.
        joined: whether it rests on its records being of one request, so that a tie by text or time makes it INF. What
            is found of the records themselves (a clock, a copy, a cut) does not.
    """

    hits: pl.DataFrame
    evaluable: pl.Series | int
    values: Mapping[str, object] = field(default_factory=dict)
    subject: str | None = None
    statement: str | None = None
    attention: str | None = None
    status: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    stands: bool = False
    joined: bool = True


@dataclass(frozen=True)
class Unknown:
    """Why a rule could not run although its columns are there.

    Args:
        reason: a sentence without its full stop.
        unlocks: the fields that would let it run, as ``layer.column``.
    """

    reason: str
    unlocks: Sequence[str] = ()


@dataclass(frozen=True)
class Examination:
    """What checks made of a case: ``findings`` and ``hits``, as `event.FINDINGS` and `event.HITS`."""

    findings: pl.DataFrame
    hits: pl.DataFrame


Rule = Callable[["Facts"], Sequence[Found] | Unknown]
"""The tables of a case to what was found: nothing is read, nothing is written, and no column is missing that the check
needs. An empty list says that there was nothing to look at."""


@dataclass(frozen=True)
class Check:
    """One check, declared.

    Args:
        id: ``F-03``; the letter is its group (P, R, M, F, U, X, C, E), own checks begin with ``O``.
        name: a few words, joined by hyphens.
        layers: the layers it speaks of; one of prompt, retrieval, model, policy, ui for the checks of one layer.
        attention: one of `ATTENTION`.
        status: OBS, DER or INF: what it can say at best. A hit whose records are joined by text or time is INF.
        needs: what must be there for it to run: ``layer.column`` (some event of the layer states it; ``*`` for any
            layer), ``kind:ui.rendered`` (some event is of that kind), ``table.column`` of another table.
        rule: see `Rule`.
        statement: the sentence, a format string over ``n``, ``evaluable``, ``total`` and the rule's own values; numbers
            take a noun: ``{n:request}``.
        question: what people who know this layer may be asked (how or what, never who or why not).
        alternatives: what else the records would look like this for.
        content: whether it reads texts, and so the inputs.
        baseline: whether it compares an affected set with others.
        parameters: thresholds that the rule uses, by name.
        core: whether it is of the core set.
        after: whether it looks at what the other checks found (`Facts.examined`), and so runs after them.
        version: raised when the rule changes.
    """

    id: str
    name: str
    layers: tuple[str, ...]
    attention: str
    status: str
    needs: tuple[str, ...]
    rule: Rule
    statement: str
    question: str
    alternatives: tuple[str, ...] = ()
    content: bool = False
    baseline: bool = False
    parameters: Mapping[str, object] = field(default_factory=dict)
    core: bool = True
    after: bool = False
    version: int = 1


def moment(ns: object) -> str:
    """A time (UTC ns) as a sentence gives it: to the millisecond."""
    if not isinstance(ns, int):
        return "an unknown time"
    return str(pl.Series([ns // 10**6]).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")[0])


SUBJECTS = 20
"""Subjects of a check that are told one by one; the others are told together."""


def capped(found: Sequence[Found], rest: str) -> list[Found]:
    """`found` of one subject each, most requests first; beyond `SUBJECTS`, the others as one.

    Args:
        found: what was found, of one subject each; what has no hits is left out, if anything has.
        rest: the sentence for the others: a format string over ``more`` (how many they are) and what sentences name.

    Returns:
        At least one, if `found` has one.
    """
    hit = [one for one in found if one.hits.height] or list(found[:1])
    hit.sort(key=lambda one: (-one.hits.height, one.subject or ""))
    told, others = hit[:SUBJECTS], hit[SUBJECTS:]
    if not others:
        return told
    hits = pl.concat([one.hits.select(HITS.names()) for one in others])
    hits = hits.group_by("request", maintain_order=True).agg(pl.col("events").first())
    sizes = [one.evaluable for one in others]
    requests = [size for size in sizes if isinstance(size, pl.Series)]
    evaluable = pl.concat(requests) if len(requests) == len(sizes) else max(s for s in sizes if isinstance(s, int))
    return [*told, Found(hits, evaluable, {"more": len(others)}, statement=rest)]
