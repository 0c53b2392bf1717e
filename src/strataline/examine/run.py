"""Checks to findings: what each found, that it found nothing, or why it could not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from strataline.event import FINDINGS, HITS, address
from strataline.examine.check import ATTENTION, Check, Count, Examination, Found, Unknown
from strataline.examine.facts import Facts

EXEMPLARS = 5
SHOWN_EVENTS = 12


def run(facts: Facts, checks: Iterable[Check]) -> Examination:
    """Run `checks` over `facts`.

    A check whose columns are not there, whose texts are not at hand, or that compares with an affected set that nobody
    chose is not evaluable: a row that says so. Absence of a finding is a row too.

    Returns:
        Findings in reading order, and the requests of each.
    """
    rows: list[dict[str, object]] = []
    hits: list[pl.DataFrame] = [HITS.empty()]
    known = _Known(facts)
    chosen = list(checks)
    for check in chosen:
        if not check.after:
            _run(facts, check, known, rows, hits)
    after = [check for check in chosen if check.after]
    if after:
        facts = facts.after(*_tables(rows, hits))
    for check in after:
        _run(facts, check, known, rows, hits)
    return Examination(*_tables(rows, hits))


def _run(facts: Facts, check: Check, known: _Known, rows: list[dict[str, object]], hits: list[pl.DataFrame]) -> None:
    """Add what `check` makes of `facts` to `rows` and `hits`."""
    outcome = _missing(facts, check) or check.rule(facts)
    if isinstance(outcome, Unknown):
        rows.append(
            {**_declared(check), "result": "not_evaluable", "status": "UNK", "total": facts.total}
            | {"reason": outcome.reason, "unlocks": list(outcome.unlocks)}
        )
        return
    fired = [found for found in outcome if found.hits.height or found.stands]
    if not fired:
        evaluable = sum(_size(found.evaluable) for found in outcome[:1])
        limits = _texts({**check.parameters, **(outcome[0].parameters if outcome else {})})
        clear = {"result": "clear", "evaluable": evaluable, "total": facts.total, "parameters": limits}
        rows.append({**_declared(check), **clear})
    for place, found in enumerate(fired, 1):
        name = check.id if len(fired) == 1 else f"{check.id}.{place}"
        of = known.hits(check, found, name)
        hits.append(of)
        rows.append(known.finding(check, found, name, of))


def _tables(rows: list[dict[str, object]], hits: list[pl.DataFrame]) -> tuple[pl.DataFrame, pl.DataFrame]:
    findings = FINDINGS.conform(_placed(pl.DataFrame(rows, schema=_without_place(), infer_schema_length=None)))
    return findings, HITS.conform(pl.concat(hits).sort(HITS.sort, nulls_last=True, maintain_order=True))


def _without_place() -> dict[str, pl.DataType]:
    return {name: dtype for name, dtype in FINDINGS.schema.items() if name != "place"}


def _placed(findings: pl.DataFrame) -> pl.DataFrame:
    """`findings` in reading order: fired by attention, users, requests; then not evaluable, then clear, by check."""
    results = pl.col("result").replace_strict({"fired": 0, "not_evaluable": 1, "clear": 2}, return_dtype=pl.Int64)
    order = {name: place for place, name in enumerate(ATTENTION)}
    fired = pl.col("result") == "fired"
    attention = pl.when(fired).then(pl.col("attention").replace_strict(order, return_dtype=pl.Int64))
    keys = findings.with_row_index("n").select(
        "n",
        "check",
        a=results,
        b=attention,
        c=pl.when(fired).then(-pl.col("users")),
        d=pl.when(fired).then(-pl.col("count")),
    )
    rows = keys.sort("a", "b", "c", "d", "check", "n", nulls_last=True)["n"]
    return findings[rows].with_row_index("place")


def _declared(check: Check) -> dict[str, object]:
    return {
        "finding": check.id,
        "check": check.id,
        "name": check.name,
        "version": check.version,
        "attention": check.attention,
        "status": check.status,
        "layers": list(check.layers),
        "parameters": _texts(check.parameters),
        "alternatives": list(check.alternatives),
        "question": check.question,
    }


def _texts(values: Mapping[str, object]) -> list[dict[str, str]]:
    return [{"key": name, "value": str(value)} for name, value in sorted(values.items())]


def _missing(facts: Facts, check: Check) -> Unknown | None:
    absent = tuple(need for need in check.needs if not facts.has(need))
    if absent:
        return Unknown(f"not in the supplied logs: {', '.join(_said(need) for need in absent)}", absent)
    if check.content and facts.texts is None:
        return Unknown("it reads texts, and the inputs are not at hand", ("inputs",))
    if check.baseline and facts.affected is None:
        return Unknown("it compares affected requests with others, and none were named", ("--affected",))
    if check.baseline and facts.affected is not None and not facts.affected.baseline.len():
        return Unknown("there are no requests to compare the affected ones with", ("--baseline",))
    return None


def _said(need: str) -> str:
    if need.startswith("kind:"):
        return f"an event {need.removeprefix('kind:')}"
    layer, _, column = need.partition(".")
    return f"{column} of any layer" if layer == "*" else f"{column} of {layer}"


def _size(evaluable: pl.Series | int) -> int:
    return evaluable if isinstance(evaluable, int) else evaluable.drop_nulls().n_unique()


class _Known:
    """What is asked of the same tables for every finding."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.sure = facts.events.select("event_id", "sure")
        # Redeliveries are no event of their own, but may be shown.
        self.places = facts.tables["events"].select("event_id", "source", "line", "offset")
        requests = facts.tables["requests"].select("request", "user").with_row_index("start")
        self.requests = requests
        self.affected = None if facts.affected is None else facts.affected.requests.implode()

    def hits(self, check: Check, found: Found, name: str) -> pl.DataFrame:
        """`HITS` of one finding."""
        status = found.status or check.status
        rows = found.hits.select("request", "events").with_row_index("n")
        if not found.joined:
            stated = {"finding": pl.lit(name), "check": pl.lit(check.id), "status": pl.lit(status)}
            return rows.select("request", "events", **stated).select(HITS.names)
        named = rows.select("n", event_id="events").explode("event_id")
        known = _among(self.sure, named["event_id"])
        by_hit = named.join(known, on="event_id", how="left").group_by("n")
        sure = by_hit.agg(sure=pl.col("sure").fill_null(value=True).all())
        return rows.join(sure, on="n", how="left", maintain_order="left").select(
            finding=pl.lit(name),
            check=pl.lit(check.id),
            request="request",
            status=pl.when(pl.col("sure").fill_null(value=True)).then(pl.lit(status)).otherwise(pl.lit("INF")),
            events="events",
        )

    def finding(self, check: Check, found: Found, name: str, hits: pl.DataFrame) -> dict[str, object]:
        """The row of one finding."""
        tied = hits.join(self.requests, on="request", how="left", maintain_order="left")
        tied = tied.sort("start", nulls_last=True, maintain_order=True)
        in_requests = tied.filter(pl.col("request").is_not_null())
        count = in_requests["request"].n_unique() if in_requests.height else tied.height
        inferred = in_requests.filter(pl.col("status") == "INF")["request"].n_unique()
        status = found.status or check.status
        events = tied["events"].explode().drop_nulls().unique(maintain_order=True).head(SHOWN_EVENTS)
        known = _among(self.places, events).select("event_id", address=address())
        places = pl.DataFrame({"event_id": events}).join(known, on="event_id", how="left", maintain_order="left")
        evaluable = _size(found.evaluable)
        values = {name: Count(v) if type(v) is int else v for name, v in found.values.items()}
        sentence = (found.statement or check.statement).format(
            n=Count(count), evaluable=Count(evaluable), total=Count(self.facts.total), **values
        )
        affected = None
        if self.affected is not None:
            affected = in_requests.filter(pl.col("request").is_in(self.affected))["request"].n_unique()
        return {
            **_declared(check),
            "finding": name,
            "result": "fired",
            "attention": found.attention or check.attention,
            "status": "INF" if inferred and inferred == count else status,
            "subject": found.subject,
            "statement": sentence,
            "count": count,
            "inferred": inferred,
            "evaluable": evaluable,
            "total": self.facts.total,
            "users": in_requests["user"].drop_nulls().n_unique(),
            "affected": affected,
            "requests": in_requests["request"].unique(maintain_order=True).head(EXEMPLARS).to_list(),
            "events": events.to_list(),
            "addresses": places["address"].to_list(),
            "parameters": _texts({**check.parameters, **found.parameters}),
        }


def _among(events: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """The rows of `events` with one of `ids`: a scan, as few are asked of many."""
    return events.filter(pl.col("event_id").is_in(ids.drop_nulls().unique().implode()))
