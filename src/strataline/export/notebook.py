"""What a notebook shows of a case and of a request: plain HTML tables, without script, link, image or style sheet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import polars as pl

from strataline import rows, wording
from strataline.escape import excerpt
from strataline.rows import Chain, Row

_ROWS = 20
"""So many requests of a case are listed."""


@dataclass(frozen=True)
class Shown:
    """One request, to look at: printed as text, in a notebook as a table.

    Args:
        chain: the request and its events.
    """

    chain: Chain

    def __str__(self) -> str:
        return "\n".join(["  ".join(cell for cell in line if cell) for line in self._lines()])

    def _repr_html_(self) -> str:
        request = self.chain.request
        title = f"{request['kind'] or ''} {rows.short_request(request['request'])}"
        head = ("seq", "UTC", "+ms", "layer", "what", "evidence", "tied by")
        opened = _safe(wording.date_time(request["start_time"]))
        return f"<p><b>{_safe(title)}</b> {opened}</p>{_table(head, self._lines())}"

    def _lines(self) -> Iterable[Sequence[str]]:
        for event in self.chain.events:
            facts = [f"{label} {rows.cut(value)}" for label, value in rows.facts(event)]
            yield (
                str(event["seq"]),
                wording.date_time(event["corrected_time"]) or "no time",
                self.chain.since(event),
                event["layer"] or "",
                " ".join(excerpt(part) for part in (event["kind"] or "", rows.cut(rows.name(event)), *facts) if part),
                excerpt(rows.address(event)),
                " · ".join(
                    excerpt(part) for part in (" ".join(self.chain.tied(event)).strip(), *self.chain.order(event))
                ),
            )


def case(summary: Mapping[str, Any], requests: pl.DataFrame) -> str:
    """A case in a few lines: what was read, what came of it, its first requests."""
    counts = [wording.count(summary[name], name[:-1]) for name in ("sources", "records", "events", "requests")]
    head = ("request", "kind", "start (UTC)", "events", "layers", "came out")
    shown = [_request(row) for row in rows.of(requests.head(_ROWS))]
    more = requests.height - len(shown)
    left = f"<p>{more:,} more requests</p>" if more > 0 else ""
    said = f"{', '.join(counts)}; {summary['rejected']:,} records rejected"
    return f"<p><b>Strataline case</b>: {_safe(said)}</p>{_table(head, shown)}{left}"


def _request(row: Row) -> Sequence[str]:
    came = "; ".join(f"{label} {value}" for label, value in rows.came_out(row))
    return (
        rows.short_request(row["request"]),
        row["kind"] or "",
        wording.date_time(row["start_time"]) or "no time",
        f"{row['events'] or 0:,}",
        ", ".join(row["layers_present"] or ()),
        came,
    )


def _table(head: Iterable[str], lines: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{_safe(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _safe(text: str) -> str:
    return escape(excerpt(text))
