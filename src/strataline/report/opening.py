"""Sections 0 to 2: how to read the draft, five facts, and whom it reached."""

from __future__ import annotations

import polars as pl

from strataline import rows, wording
from strataline.event import PRODUCT_LAYERS
from strataline.report.marks import STATUSES
from strataline.report.material import FILTER_ONLY, Material
from strataline.report.pen import Pen, cells, shown, table

DEFINITIONS = {
    "shown": "a record of display of the answer, or of a part of it",
    "delivered": "a record that the answer left for the client, or a record of display",
    "exposed": "every request of the affected set",
}
VERSIONS = (
    ("prompt", "template", ("template", "template hash")),
    ("retrieval", "index", ("index version", "index")),
    ("model", "served model", ("served model",)),
    ("policy", "policy", ("policy version", "policy_rev in force", "policy")),
    ("ui", "client", ("client version",)),
)
"""The version line of each layer: layer, what it is called, dimensions that state it, in order of preference."""
SPREAD = ("tenant", "client version", "prompt route", "prompt path", "prompt locale", "ui locale", "prompt plan")
_VALUES = 4


def how_to_read(pen: Pen, m: Material) -> list[str]:
    """Section 0."""
    return [*fixed(m.redacts), "", *_set(pen, m), "", *_clocks(m)]


def fixed(redacts: str) -> list[str]:
    """What section 0 says of every draft."""
    marks = [cells([f"`{name}`", meaning]) for name, meaning in STATUSES.items()]
    return [
        (
            "Each statement that came from the logs begins with a mark, or has one in its row. A mark speaks for its "
            "list item, paragraph or row. `EV-…` is a row of the evidence register (appendix A), which names file, "
            "line, offset and hash of the record. An id such as `F-03` is a check (appendix C)."
        ),
        "",
        *table(["mark", "the statement is"], marks),
        "",
        (
            "What stands `like this`, or in a fenced block, comes from a log or names something in one. Log text is "
            "data: addresses in it are made unclickable, invisible characters are written out, and nothing in it is "
            f"advice. {redacts or 'Nothing was redacted: treat this draft as the logs themselves.'}"
        ),
        "",
        (
            "`<<HUMAN:… >>` is a place that people fill. Write over it; the comments around it keep your text when the "
            "draft is made anew (`--update`). Parts between `generated` comments are made anew from the logs."
        ),
        "",
        f"{wording.ABSENCE} {wording.ASSOCIATION}",
    ]


def _set(pen: Pen, m: Material) -> list[str]:
    some = m.examined.affected
    if some is None:
        why = "no affected set was named (`--affected`)"
        return [pen.claim("UNK", "Which requests were affected is not stated.", note=why)]
    chosen = ", ".join(shown(one) for one in some.selectors)
    by = f"by {pen.prose(some.chosen_by)}" if some.chosen_by else "nobody is named as the one who chose"
    return [
        pen.claim(
            "DER",
            f"*Affected* below means the {wording.count(m.affected.len(), 'request')} (of {m.examined.total:,} in the "
            f"case) selected by {chosen}; {by}. *Compared* means {wording.count(m.baseline.len(), 'request')}: "
            f"{some.baseline_rule}.",
            note="requests",
        )
    ]


def _clocks(m: Material) -> list[str]:
    clocks = m.frames["clocks"]
    moved = clocks.filter(pl.col("offset_ns") != 0)["clock"].n_unique()
    names = [shown(one) for one in clocks["reference"].drop_nulls().unique().sort()]
    doubt = m.theirs["doubt"].drop_nulls()
    unknown = m.theirs.filter(pl.col("doubt").is_null() & pl.col("t").is_not_null()).height
    worst = f"at most ±{wording.length(int(doubt.max()))} off" if doubt.len() else "of unknown accuracy"  # type: ignore[arg-type]
    said = (
        f"All times are UTC. {wording.count(moved, 'clock')} of {clocks['clock'].n_unique():,} were corrected against "
        f"{', '.join(names) or 'no reference'}; how far off that reference is, logs cannot tell. Times of the affected "
        f"requests' events are {worst} where linked records bound them"
    )
    return [said + (f", and unbounded for {wording.count(unknown, 'event')}." if unknown else ".")]


def summary(pen: Pen, m: Material) -> list[str]:
    """Section 1: five facts, each computed."""
    if m.examined.affected is None:
        return [pen.claim("UNK", "No summary without an affected set.", note="no affected set was named")]
    return [
        *_who_and_when(pen, m),
        *what_was_seen(pen, m),
        *_versions(pen, m),
        *_changed(pen, m),
        *_untold(pen, m),
    ]


def _who_and_when(pen: Pen, m: Material) -> list[str]:
    starts = m.chosen["start_time"].drop_nulls()
    opening = m.theirs.filter(pl.col("kind") == "prompt.received").sort("t", "event_id", nulls_last=True)
    ends = [] if opening.is_empty() else [opening["event_id"][0], opening["event_id"][-1]]
    if not starts.len():
        when = "none of them states when it began"
    else:
        first, last = (wording.date_time(wording.epoch_ms(one)) for one in (starts.min(), starts.max()))
        when = f"the first began {first} UTC, the last {last} UTC"
    users = m.chosen["user"].drop_nulls().n_unique()
    whose = wording.count(users, "user") if users else "no user id is logged"
    return [
        pen.claim(
            "DER",
            f"**Who and when.** {m.affected.len():,} of {wording.count(m.examined.total, 'request')} are affected "
            f"({whose}); {when}.",
            events=ends,
        )
    ]


def what_was_seen(pen: Pen, m: Material) -> list[str]:
    """What the page records say was shown for affected requests, and what people then did."""
    ui = m.theirs.filter((pl.col("kind") == "ui.rendered") & pl.col("request").is_not_null())
    if ui.is_empty():
        return [
            pen.claim("UNK", "**What users saw** is not in the supplied logs.", note="no record of display of these")
        ]
    each = ui.sort("t", "event_id", nulls_last=True).group_by("request", maintain_order=True).last()
    counts = (
        each.group_by(pl.col("shown").fill_null("not stated what"))
        .agg(pl.len(), pl.col("event_id").sort_by("t", "event_id").first())
        .sort(["len", "shown"], descending=[True, False])
    )
    said = ", ".join(f"{pen.code(value)} in {number:,}" for value, number, _ in counts.head(6).iter_rows())
    none = m.affected.len() - each.height
    signals = m.impact.signals if m.impact is not None else {}
    did = ", ".join(f"{pen.code(name)} in {number:,}" for name, number in signals.items())
    inferred = ui.filter(pl.col("link_method").is_in(FILTER_ONLY))["request"].n_unique()
    by_time = f" In {inferred:,} requests the display is tied by time or text." if inferred else ""
    return [
        pen.claim(
            "DER",
            f"**What users saw.** The last display that the page recorded for an affected request was {said}; for "
            f"{none:,} no display is recorded.{by_time} Afterwards users left "
            f"{did or 'no feedback, retry or regenerate that is recorded'}.{_first_read(m)}",
            events=counts["event_id"].to_list(),
        )
    ]


def _first_read(m: Material) -> str:
    """The findings that are read first, with how many affected requests they hold in."""
    some = [one for one in m.fired if one["attention"] in ("RU", "SG") and one["affected"] is not None]
    listed = ", ".join(f"{one['finding']} {one['name']} in {one['affected']:,}" for one in some)
    return f" Findings to read first, by affected requests: {listed}." if some else ""


def version_rows(m: Material, dimensions: tuple[str, ...]) -> pl.DataFrame:
    """As `value_counts`, of the first of `dimensions` that affected requests state."""
    for name in dimensions:
        found = value_counts(m, name)
        if found.height and found["affected"].sum():
            return found
    return value_counts(m, "")


def value_counts(m: Material, dimension: str) -> pl.DataFrame:
    """value, affected, compared, event_id, t: how many requests of each set have each value; most affected first.

    ``event_id`` is the first record that states it, ``t`` its time (ns); null where requests state it.
    """
    return m.counted.filter(pl.col("dimension") == dimension).drop("dimension")


def _versions(pen: Pen, m: Material) -> list[str]:
    parts, events = [], []
    for layer, name, dimensions in VERSIONS:
        found = version_rows(m, dimensions).filter(pl.col("affected") > 0)
        if found.is_empty():
            parts.append(f"{name} of {layer}: not in the supplied logs")
            continue
        some = ", ".join(
            f"{pen.code(value)} in {affected:,}"
            for value, affected in found.head(_VALUES).select("value", "affected").iter_rows()
        )
        more = f" and {found.height - _VALUES:,} more" if found.height > _VALUES else ""
        parts.append(f"{name} {some}{more}")
        events += found["event_id"].head(1).to_list()
    return [pen.claim("DER", f"**Under which versions**, by affected requests: {'; '.join(parts)}.", events=events)]


def _changed(pen: Pen, m: Material) -> list[str]:
    last = m.moments.get("last", {}).get("time")
    some = rows.of(m.examined.changes)
    if last is not None:
        some = [one for one in some if one["time"] is not None and one["time"] <= last]
    if not some:
        note = "no record of a change, and no value first seen"
        return [pen.claim("UNK", "**What changed** up to the last affected answer is not in the logs.", note=note)]
    before = sum(1 for one in some if m.onset is not None and one["time"] < m.onset)
    status = "DER" if any(one["status"] != "OBS" for one in some) else "OBS"
    listed = ", ".join(
        f"{pen.code(' '.join(part for part in (one['scope'], one['key']) if part))} "
        f"{pen.code(one['old'] or '?')} → {pen.code(one['new'] or '?')} at {wording.date_time(one['time'])[11:19]}"
        for one in some[:6]
    )
    more = f", and {len(some) - 6:,} more" if len(some) > 6 else ""
    return [
        pen.claim(
            status,
            f"**What changed.** {wording.count(len(some), 'change')} are recorded, or show in values, up to the last "
            f"affected answer, {before:,} of them before the first: {listed}{more} (section 6, in order of time).",
            events=[one["event"] for one in some],
        )
    ]


def _untold(pen: Pen, m: Material) -> list[str]:
    lacking = []
    for layer in PRODUCT_LAYERS:
        gone = m.chosen.filter(
            pl.col("layers_not_covered").list.contains(layer) | pl.col("layers_absent").list.contains(layer)
        ).height
        if gone:
            lacking.append(f"{layer} ({gone:,} without a record)")
    inferred = m.theirs.filter(pl.col("link_method").is_in(FILTER_ONLY))["request"].n_unique()
    return [
        pen.claim(
            "UNK",
            f"**What the logs cannot tell.** {wording.count(len(m.not_run), 'check')} could not run (section 10); "
            f"layers with affected requests that they hold nothing of: {', '.join(lacking) or 'none'}; "
            f"{inferred:,} affected requests have at least one record that is tied to them by time or text. Whether "
            "answers were right, what people meant, and what it meant for them, no log says.",
            note="checks that could not run, and layers without records",
        )
    ]


def impact(pen: Pen, m: Material) -> list[str]:
    """Section 2: tiers with bounds, each defined; per user; where they were."""
    found = m.impact
    if found is None:
        return [pen.claim("UNK", "Whom it reached cannot be counted.", note="no affected set was named")]
    lines = [
        pen.row(
            "DER",
            [
                one["tier"],
                one["of"],
                *(f"{one[name]:,}" for name in ("by_ids", "recorded", "at_most")),
                DEFINITIONS[one["tier"]],
            ],
            note="impact",
        )
        for one in found.tiers.to_dicts()
        if one["at_most"]
    ]
    text = table(["tier", "of", "by ids (at least)", "recorded", "at most", "counted is", "mark"], lines)
    text += [
        "",
        (
            "*By ids*: the records are joined by ids. *Recorded*: with those joined by text or time. *At most*: with "
            "those of which no record says that the answer was held back. Users and sessions are counted as the logs "
            "name them."
        ),
        "",
        pen.claim(
            "DER",
            f"{wording.count(found.traffic, 'request')} of the case began between the first and the last affected one: "
            f"{m.affected.len():,} of them ({100 * m.affected.len() / max(1, found.traffic):.1f} %) are affected.",
            note="requests",
        ),
    ]
    if found.most is not None:
        text.append(
            pen.claim(
                "DER",
                f"Affected requests per user: {found.median:g} in the middle, {found.most:,} at most; "
                f"{wording.count(found.repeated, 'user')} met it more than once.",
                note="requests",
            )
        )
    if found.longest_ns is not None:
        longest = wording.duration(found.longest_ns // 1_000_000)
        text.append(
            pen.claim("DER", f"Longest time from a user's first to last affected answer: {longest}.", note="requests")
        )
    if found.without_user:
        text.append(
            pen.claim(
                "UNK",
                f"{wording.count(found.without_user, 'affected request')} carry no user id: whose they were is not in "
                "the supplied logs.",
                note="no user id",
            )
        )
    return [*text, *_spread(pen, m)]


def _spread(pen: Pen, m: Material) -> list[str]:
    lines = []
    for name in SPREAD:
        for one in value_counts(m, name).filter(pl.col("affected") > 0).head(6).to_dicts():
            counts = [f"{one[which]:,}" for which in ("affected", "compared")]
            lines.append(pen.row("DER", [name, pen.code(one["value"]), *counts], events=[one["event_id"]]))
    return ["", *table(["where", "value", "affected requests", "compared requests", "mark"], lines)] if lines else []
