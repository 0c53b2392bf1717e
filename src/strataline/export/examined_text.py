"""An examination as a page: what fired, in reading order; what was different; what changed; what could not run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from strataline.escape import defang
from strataline.export.examined import READ
from strataline.export.page import Page
from strataline.wording import ABSENCE, ASSOCIATION, LEFT_OPEN, MEASURED, count, date_time, duration, epoch_ms, figure

Row = Mapping[str, Any]

_ADDRESSES = 4
_OF_ONE_CHECK = 3
_CONTRASTS = 20
_CHANGES = 30
_VARIANTS = 12
_UNSEEN = 12


def page(examined: Any, case: str, *, every: bool = False, width: int | None = None, colour: bool = False) -> str:
    """Return `examined` (an ``examine.Examined``) as text.

    Args:
        examined: what an examination gave.
        case: the case, as hints name it.
        every: whether to list what was compared without passing, all changes, and the checks that found nothing.
        width: columns of the terminal; null where it is none.
        colour: whether to paint.
    """
    page = Page(width, colour)
    text = _heading(examined, page)
    if examined.impact is not None:
        text += page.section("Reached", _impact(examined.impact, page))
    fired = examined.findings.filter(pl.col("result") == "fired")
    for attention, heading in READ.items():
        some = fired.filter(pl.col("attention") == attention)
        if not every:
            # What was different has a section of its own.
            some = some.filter(pl.col("check") != "C-01")
        few = some if every else some.filter(pl.int_range(pl.len()).over("check") < _OF_ONE_CHECK)
        lines = []
        seen: set[str] = set()
        for row in few.to_dicts():
            # What else it may be and what to ask is said once of a check; of what is background, on request.
            told = every or (row["check"] not in seen and attention not in ("EG", "CX"))
            lines += _finding(row, case, page, told=told)
            seen.add(row["check"])
        more = some.join(few, on="finding", how="anti").group_by("check", maintain_order=True).len()
        for check, number in more.iter_rows():
            lines += page.prose([("  ", "")], f"{number:,} more of {check}: --all", "dim")
        text += page.section(heading, lines)
    if fired.is_empty():
        text += page.section("Findings", page.prose([("  ", "")], "no check fired"))
    text += _contrasts(examined, every, page)
    text += _measured(examined, every, page)
    text += _changes(examined.changes, every, page)
    text += _layers(examined, every, page)
    clear = examined.findings.filter(pl.col("result") == "clear")
    not_run = examined.findings.filter(pl.col("result") == "not_evaluable")
    if every:
        ran: list[Sequence[str]] = [["check", "", "evaluable", "attention"]]
        ran += [[row["check"], row["name"], f"{row['evaluable'] or 0:,}", row["attention"]] for row in clear.to_dicts()]
        text += page.section("Ran and found nothing", page.table(ran, right=(2,)) if clear.height else [])
        reasons: list[Sequence[str]] = [["check", "", "why"]]
        reasons += [[row["check"], row["name"], row["reason"]] for row in not_run.to_dicts()]
        text += page.section("Could not run", page.table(reasons) if not_run.height else [])
    else:
        others = page.labelled("no finding", [(check, "") for check in clear["check"]] or [("none", "")])
        others += page.labelled("not run", [(check, "") for check in not_run["check"]] or [("none", "")])
        text += page.section("Other checks", others)
        if not_run.height:
            text += page.labelled("", [(f"which field would let them: strataline doctor {shlex.quote(case)}", "dim")])
    text += page.section(
        "Left open, for people",
        [line for matter, about in LEFT_OPEN for line in page.prose([(f"  {matter}: ", "dim")], about)],
    )
    return "\n".join(text) + "\n"


def _heading(examined: Any, page: Page) -> list[str]:
    affected = examined.affected
    if affected is None:
        lines = page.labelled("requests", [(f"{examined.total:,}", "")])
        hint = "none was named: checks that compare could not run (--affected)"
        return [*lines, *page.labelled("affected", [(hint, "")])]
    chosen = [(f"{count(affected.requests.n_unique(), 'request')} of {examined.total:,}", "strong")]
    chosen += [(f"chosen as {one}", "") for one in affected.selectors]
    by = affected.chosen_by
    chosen.append((f"by {by}" if by else "nobody named as the one who chose", "dim"))
    against = [(f"{count(affected.baseline.n_unique(), 'request')}: {affected.baseline_rule}", "")]
    return [*page.labelled("affected", chosen), *page.labelled("compared", against)]


def _impact(found: Any, page: Page) -> list[str]:
    of = {(row["tier"], row["of"]): row for row in found.tiers.to_dicts()}
    lines = [["", "by ids", "recorded", "at most", ""]]
    for tier in ("shown", "delivered", "exposed"):
        for what in ("requests", "users", "sessions", "tenants"):
            row = of[tier, what]
            if row["at_most"]:
                name = f"{tier}, {what}"
                lines.append([name, *(f"{row[one]:,}" for one in ("by_ids", "recorded", "at_most")), ""])
    text = page.table(lines, right=(1, 2, 3))
    facts = [f"{count(found.traffic, 'request')} of the case lie between the first and the last of them"]
    if found.without_user:
        facts.append(f"{count(found.without_user, 'affected request')} without a user id")
    if found.most is not None:
        facts.append(f"{count(found.repeated, 'user')} affected more than once, at most {found.most:,} times")
    facts += [f"{signal}: {count(number, 'request')}" for signal, number in found.signals.items()]
    text += page.labelled("", [(one, "") for one in facts])
    for row in found.moments.to_dicts():
        when = date_time(epoch_ms(row["time"])) or "not in the supplied logs"
        parts = [(when, ""), (row["status"], "dim"), *([(row["address"], "dim")] if row["address"] else [])]
        text += page.fold([(f"  {row['moment']:<23}", "dim")], parts, 25)
    return text


def _finding(row: Row, case: str, page: Page, *, told: bool) -> list[str]:
    numbers = count(row["count"], "request") if row["requests"] else f"{row['count']:,}"
    if row["evaluable"]:
        numbers += f" of {row['evaluable']:,} it could be asked of"
    parts = [(row["status"], "strong"), (row["name"], ""), (", ".join(row["layers"]), "dim"), (numbers, "")]
    if row["users"]:
        parts.append((count(row["users"], "user"), ""))
    if row["affected"] is not None:
        parts.append((f"{row['affected']:,} affected", ""))
    if row["inferred"] and row["status"] != "INF":
        parts.append((f"{row['inferred']:,} joined by text or time", ""))
    text = page.fold([(f"  {row['finding']:<7} ", "strong")], parts, 10)
    text += page.prose([("          ", "")], defang(row["statement"]))
    named = list(dict.fromkeys(row["addresses"]))
    places = [(one, "dim") for one in named[:_ADDRESSES]]
    if len(named) > _ADDRESSES:
        places.append((f"and {len(named) - _ADDRESSES} more", "dim"))
    text += page.fold([("          evidence  ", "dim")], places, 20) if places else []
    if not told:
        return text
    if row["requests"]:
        text += page.prose(
            [("          ", "")], f"strataline show {shlex.quote(case)} {row['requests'][0][:12]}", "dim"
        )
    for one in row["alternatives"]:
        text += page.prose([("          ", ""), ("or: ", "dim")], one, "dim")
    return [*text, *page.prose([("          ", ""), ("ask: ", "dim")], row["question"])]


def _contrasts(examined: Any, every: bool, page: Page) -> list[str]:
    if examined.affected is None:
        return []
    shown = examined.contrasts.filter("shown")
    some = examined.contrasts if every else shown.head(_CONTRASTS)
    lines: list[Sequence[str]] = [["what", "affected", "compared", "points", "value"]]
    for row in some.to_dicts():
        marks = [
            mark
            for mark, on in (
                ("separates the two", row["separates"]),
                (f"inseparable group {row['group']}", row["group"] is not None),
                ("small n", row["small"]),
                ("other sign within a route", row["flips"]),
                ("does not pass", every and not row["shown"]),
            )
            if on
        ]
        value = defang(row["value"]) + (f" ({', '.join(marks)})" if marks else "")
        lines.append(
            [
                defang(row["dimension"]),
                f"{row['affected_with']:,}/{row['affected_total']:,}",
                f"{row['baseline_with']:,}/{row['baseline_total']:,}",
                f"{row['difference']:+.0f}",
                value,
            ]
        )
    text = page.table(lines, right=(1, 2, 3)) if some.height else page.prose([("  ", "")], "no value passed the rule")
    more = shown.height - some.height
    if not every and more > 0:
        text += page.prose([("  ", "")], f"{more:,} more: --all", "dim")
    text += page.prose([("  ", "")], f"{count(examined.contrasts.height, 'value')} compared. {ASSOCIATION}", "dim")
    return page.section("What was different", text)


def _measured(examined: Any, every: bool, page: Page) -> list[str]:
    if examined.affected is None:
        return []
    shown = examined.measures.filter("shown")
    some = examined.measures if every else shown.head(_CONTRASTS)
    none = page.prose([("  ", "")], "no number passed the rule")
    text = _measures(some, ("affected", "compared"), page) if some.height else none
    more = shown.height - some.height
    if not every and more > 0:
        text += page.labelled("", [(f"{more:,} more: --all", "dim")])
    said = f"{count(examined.measures.height, 'measure')} compared. {MEASURED}"
    return page.section("What was measured", [*text, *page.prose([("  ", "")], said, "dim")])


def _measures(some: pl.DataFrame, sides: tuple[str, str], page: Page) -> list[str]:
    """Medians and 95th percentiles of both sides, and in how many pairs the first is greater."""
    one, other = sides
    lines: list[Sequence[str]] = [["what", one, "median", "p95", other, "median", "p95", "greater", "unit"]]
    for row in some.to_dicts():
        marks = [name for name, on in (("small n", row["small"]), ("does not pass", not row["shown"])) if on]
        unit = row["unit"] + (f" ({', '.join(marks)})" if marks else "")
        cells = [
            cell
            for side in ("affected", "baseline")
            for cell in (f"{row[f'{side}_n']:,}", figure(row[f"{side}_median"]), figure(row[f"{side}_p95"]))
        ]
        lines.append([defang(row["measure"]), *cells, f"{100 * row['greater']:.0f} %", unit])
    return page.table(lines, right=tuple(range(1, 8)))


def _layers(examined: Any, every: bool, page: Page) -> list[str]:
    """In how many requests each layer is present, and what no log of the case shows."""
    counts = [pl.col(name).sum() for name in ("present", "absent", "not_covered", "ambiguous")]
    by_layer = examined.presence.group_by("layer", maintain_order=True).agg(*counts)
    lines: list[Sequence[str]] = [["layer", "present", "absent", "not covered", "ambiguous", "logged by"]]
    for row in by_layer.to_dicts():
        named = examined.services.filter(pl.col("layer") == row["layer"])["service"].drop_nulls().to_list()
        numbers = [f"{row[name]:,}" for name in ("present", "absent", "not_covered", "ambiguous")]
        lines.append([row["layer"], *numbers, ", ".join(named[:4]) + (" …" if len(named) > 4 else "")])
    text = page.table(lines, right=(1, 2, 3, 4)) if by_layer.height else []
    text += page.prose([("  ", "")], ABSENCE, "dim")
    said = [
        row["sentence"] if row["layer"] else f"{row['subject']}: {row['sentence']}"
        for row in examined.unseen.to_dicts()
    ]
    some = said if every else said[:_UNSEEN]
    text += [line for one in some for line in page.prose([("  - ", "dim")], one)]
    if len(said) > len(some):
        text += page.prose([("  ", "")], f"{len(said) - len(some):,} more: --all", "dim")
    return page.section("Layers, and what no log here shows", text)


def _changes(changes: pl.DataFrame, every: bool, page: Page) -> list[str]:
    some = changes if every else changes.head(_CHANGES)
    lines: list[Sequence[str]] = [["time (UTC)", "may be off by", "layer", "where", "what"]]
    for row in some.to_dicts():
        off = "unknown" if row["doubt_ns"] is None else duration(-(-row["doubt_ns"] // 10**6))
        what = f"{row['scope']} {row['key']}: {row['old'] or '?'} -> {row['new'] or '?'}"
        marks = [row["status"], row["basis"].replace("_", " ")] + (["takes one back"] if row["reverts"] else [])
        place = row["address"] or ""
        what = f"{defang(what)} ({', '.join(marks)}) {place}"
        lines.append([date_time(epoch_ms(row["time"])), off, row["layer"], row["service"] or "", what.rstrip()])
    text = page.table(lines, right=(1,)) if some.height else page.prose([("  ", "")], "none is recorded or seen")
    if changes.height > some.height:
        text += page.prose([("  ", "")], f"{changes.height - some.height:,} more: --all", "dim")
    return page.section("Changes, in order of time", text)


def doctor(findings: pl.DataFrame, unlocking: pl.DataFrame, *, width: int | None = None, colour: bool = False) -> str:
    """Return which checks can run on a case, and which field would let most others.

    Args:
        findings: `event.FINDINGS` of all checks.
        unlocking: as `examine.unlocking` gives it.
        width: columns of the terminal; null where it is none.
        colour: whether to paint.
    """
    page = Page(width, colour)
    can = findings.filter(pl.col("result") != "not_evaluable").sort("check")
    cannot = findings.filter(pl.col("result") == "not_evaluable")
    runs = can["check"].unique().sort()
    text = page.prose(
        [("", "")], f"{count(runs.len(), 'check')} can run on this case, {count(cannot.height, 'other')} cannot."
    )
    lines: list[Sequence[str]] = [["alone", "with others", "field and log"]]
    lines += [
        [f"{row['alone']:,}", f"{len(row['checks']) - row['alone']:,}", f"{row['named']}: {', '.join(row['checks'])}"]
        for row in unlocking.to_dicts()
    ]
    text += page.section("What would let more of them run", page.table(lines, right=(0, 1)) if unlocking.height else [])
    listing: list[Sequence[str]] = [["check", "name", "could be asked of", ""]]
    asked = can.group_by("check", maintain_order=True).agg(pl.col("name").first(), pl.col("evaluable").max())
    listing += [[row["check"], row["name"], f"{row['evaluable'] or 0:,}", ""] for row in asked.to_dicts()]
    text += page.section("Can run", page.table(listing, right=(2,)) if asked.height else [])
    listing = [["check", "name", "why not"]]
    listing += [[row["check"], row["name"], row["reason"]] for row in cannot.to_dicts()]
    text += page.section("Cannot run", page.table(listing) if cannot.height else [])
    return "\n".join(text) + "\n"


def compared(
    found: Any, here: str, there: str, *, every: bool = False, width: int | None = None, colour: bool = False
) -> str:
    """Return how two cases differ.

    Args:
        found: an ``examine.Comparison``.
        here: the first case, by name.
        there: the second.
        every: whether to list values and variants that do not differ.
        width: columns of the terminal; null where it is none.
        colour: whether to paint.
    """
    page = Page(width, colour)
    text = page.labelled("here", [(here, ""), (count(found.here, "request"), "")])
    text += page.labelled("there", [(there, ""), (count(found.there, "request"), "")])
    some = found.values if every else found.values.filter("shown")
    lines: list[Sequence[str]] = [["what", "here", "there", "points", "value"]]
    lines += [
        [
            defang(row["dimension"]),
            f"{row['affected_with']:,}/{row['affected_total']:,}",
            f"{row['baseline_with']:,}/{row['baseline_total']:,}",
            f"{row['difference']:+.0f}",
            defang(row["value"]),
        ]
        for row in some.to_dicts()
    ]
    none = page.prose([("  ", "")], "no value passed the rule")
    text += page.section("What differs", page.table(lines, right=(1, 2, 3)) if some.height else none)
    variants = found.variants if every else found.variants.head(_VARIANTS)
    lines = [["here", "there", "sequence of events"]]
    lines += [[f"{row['here']:,}", f"{row['there']:,}", row["variant"]] for row in variants.to_dicts()]
    text += page.section("Variants", page.table(lines, right=(0, 1)) if variants.height else [])
    numbers = found.measures if every else found.measures.filter(pl.col("shown") | (pl.col("unit") == "ms"))
    none = page.prose([("  ", "")], "no number passed the rule")
    text += page.section("What was measured", _measures(numbers, ("here", "there"), page) if numbers.height else none)
    text += ["", *page.prose([("", "")], ASSOCIATION, "dim")]
    return "\n".join(text) + "\n"
