"""Why an event is in its request, or in none: what `export.why` found, as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from strataline import rows, wording
from strataline.escape import excerpt
from strataline.export.page import Page
from strataline.export.why import AGAIN, STATUSES, Step
from strataline.rows import Row

# So many candidates are listed.
_MOST = 5


def page(found: Mapping[str, Any], *, width: int | None = None, colour: bool = False) -> str:
    """Return what `explain` found, ready to read.

    Args:
        found: what `explain` returned.
        width: columns of the terminal; null where it is none.
        colour: whether to paint.
    """
    page = Page(width, colour)
    event = found["event"]
    name = [(excerpt(rows.cut(event["name"])), "")] if event["name"] else []
    text = page.labelled(
        "event", [(event["kind"], "strong"), *name, (event["address"], ""), (event["event_id"], "dim")]
    )
    text += page.labelled("time", [(part, "") for part in _when(event)])
    text += page.labelled("request", [(part, "strong" if not n else "") for n, part in enumerate(_which(found))])
    if found["request"] is not None:
        sure = found["confidence"]
        how = {"window": "by time", "content": "by text", "opening": "it opens the request"}
        tied = [
            (how.get(found["method"], f"by {found['method']}"), "strong"),
            *([] if sure is None else [(f"confidence {wording.chance(sure)}", "")]),
            (f"{found['status']}: {STATUSES[found['status']]}", "dim"),
        ]
        text += page.labelled("tied", tied)
    text += page.section("Why", [line for one in found["why"] for line in page.prose([("  ", "")], one)])
    text += _way(found["way"], page)
    other = found["runner_up"]
    if other is not None:
        where = f"in request {rows.short_request(other['request'])}" if other["request"] else "in no request"
        sure = wording.chance(other["confidence"] or 0)
        parts = [(other["address"] or other["event_id"], ""), (other["kind"] or "", ""), (where, "")]
        lines = page.fold([("  ", "")], [*(part for part in parts if part[0]), (f"confidence {sure}", "strong")], 4)
        text += page.section("Next best", lines)
    elif found["method"] == "window":
        text += page.section("Next best", ["  No other turn came into question."])
    text += _candidates(found["candidates"], page)
    lines = [line for one in found["otherwise"] for line in page.prose([("  - ", "")], one)]
    text += page.section("What would have changed it", lines)
    return "\n".join(text) + "\n"


def _when(event: Row) -> list[str]:
    if event["time"] is None:
        return ["the record states none"]
    said = f"{event['time'].replace('T', ' ').rstrip('Z')} UTC"
    by = f"by clock {event['clock']}" if event["clock"] else "by a clock without a name"
    if not event["clock_offset_ns"]:
        return [said, f"{by}, as logged"]
    logged = event["logged_time"].replace("T", " ").rstrip("Z")
    return [said, f"logged as {logged} {by}, from which {wording.offset(event['clock_offset_ns'])} was taken"]


def _which(found: Mapping[str, Any]) -> list[str]:
    if found["request"] is None:
        return ["none", "it is tied to nothing"]
    opened = found["opened"]
    when = f"opened {opened.replace('T', ' ').rstrip('Z')}" if opened else "opened at no known time"
    return [found["request"], found["request_kind"] or "", when]


def _way(way: Sequence[Step], page: Page) -> list[str]:
    if not way:
        return []
    lines = [["", "event", "evidence", "tied to the next one by"]]
    for number, step in enumerate(way):
        lines.append([str(number), step["kind"], step["address"], _by(step)])
    title = "Way to the opening event" if way[-1]["method"] == "opening" else "Way towards the opening event"
    return page.section(title, page.table(lines, 2))


def _by(step: Step) -> str:
    method = step["method"]
    if method == "opening":
        return "opens the request"
    if method is None:
        return "came in with those above"
    if step["relation"] in AGAIN:
        return str(step["relation"]).replace("_", " ")
    sure = step["confidence"]
    doubt = f" ~{wording.chance(sure)}" if sure is not None and sure < 1 else ""
    if method == "window":
        delay = f", {wording.length(step['delta_ns'])} apart" if step["delta_ns"] is not None else ""
        return f"time{delay}, {step['scope'] or 'no scope'}{doubt}"
    if method == "content":
        return f"the same text{doubt}" if step["content_hash"] else "the same record again"
    if step["id_kind"]:
        return f"{step['id_kind']} {step['id_value']}{doubt}"
    return ("the same turn, sent again" if method == "resend" else str(method)) + doubt


def _candidates(candidates: Sequence[Row], page: Page) -> list[str]:
    if not candidates:
        return []
    lines = [["confidence", "request", "by", "what it would be tied to"]]
    for one in candidates[:_MOST]:
        apart = "" if one["delta_ns"] is None else f", {wording.length(one['delta_ns'])} apart"
        by = f"{'time' if one['method'] == 'window' else one['method']}{apart}, {one['scope'] or 'no scope'}"
        what = f"{one['kind'] or ''} {one['to_address'] or one['to_event']}".strip()
        lines.append([wording.chance(one["confidence"] or 0), rows.short_request(one["request"]), by, what])
    more = len(candidates) - _MOST
    text = page.table(lines, 2)
    return page.section("Candidates, none taken", text + ([f"  and {more} more"] if more > 0 else []))
