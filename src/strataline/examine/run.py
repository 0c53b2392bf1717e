"""Checks to findings: what each found, that it found nothing, or why it could not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from strataline.event import FINDINGS, HITS
from strataline.examine.check import ATTENTION, Check, Count, Examination, Found, Unknown
from strataline.examine.facts import Facts

EXEMPLARS = 5
SHOWN_EVENTS = 12


def run(facts: Facts, checks: Iterable[Check]) -> Examination:
    """Run `checks` over `facts`.

    A check whose columns are not there, whose texts nobody gave to read, or that compares with an affected set that
    nobody chose is not evaluable: a row that says so. Absence of a finding is a row too.

    Returns:
        Findings in reading order, and the requests of each.
    """
    told = _Told(facts)
    chosen = list(checks)
    for check in chosen:
        if not check.after:
            told.add(check, _outcome(facts, check))
    after = [check for check in chosen if check.after]
    if after:
        examined = told.examination()
        facts = facts.after(examined.findings, examined.hits)
    for check in after:
        told.add(check, _outcome(facts, check))
    return told.examination()


def _outcome(facts: Facts, check: Check) -> Sequence[Found] | Unknown:
    return _missing(facts, check) or check.rule(facts)


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
        return Unknown("it reads whole texts, which was not asked for", ("--content",))
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
    return evaluable if isinstance(evaluable, int) else evaluable.n_unique() - (evaluable.null_count() > 0)


class _Told:
    """What checks found, and the rows that tell it: all hits are looked up together, as each look is at all events."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._rows: list[dict[str, object] | tuple[Check, Found, str]] = []
        # Their requests as numbers: most are named by many findings.
        self._hits = HITS.empty().with_columns(pl.col("request").cast(pl.Categorical))

    def add(self, check: Check, outcome: Sequence[Found] | Unknown) -> None:
        """Add what `check` made of the facts."""
        total = self._facts.total
        if isinstance(outcome, Unknown):
            self._rows.append(
                {**_declared(check), "result": "not_evaluable", "status": "UNK", "total": total}
                | {"reason": outcome.reason, "unlocks": list(outcome.unlocks)}
            )
            return
        fired = [found for found in outcome if found.hits.height or found.stands]
        if not fired:
            evaluable = sum(_size(found.evaluable) for found in outcome[:1])
            limits = _texts({**check.parameters, **(outcome[0].parameters if outcome else {})})
            clear = {"result": "clear", "evaluable": evaluable, "total": total, "parameters": limits}
            self._rows.append({**_declared(check), **clear})
        # Of several subjects of a check the requests in which it could have held are often the same ones.
        of = {id(one.evaluable): one.evaluable for one in fired}
        sizes = {key: _size(requests) for key, requests in of.items()}
        for place, one in enumerate(fired, 1):
            # A count takes less room than the requests that it is of.
            hits = one.hits.select(pl.col("request").cast(pl.Categorical), "events")
            found = replace(one, evaluable=sizes[id(one.evaluable)], hits=hits)
            self._rows.append((check, found, check.id if len(fired) == 1 else f"{check.id}.{place}"))

    def examination(self) -> Examination:
        """What was found so far."""
        self._look_up()
        rows = [row for row in self._rows if isinstance(row, dict)]
        frame = pl.DataFrame(rows, schema=_without_place(), infer_schema_length=None)
        # Sorted by numbers that stand as the texts do: those are long, and many are the same.
        order = [_rank(self._hits[name]).alias(f"_{name}") for name in HITS.sort]
        hits = self._hits.hstack(order).sort([one.name for one in order], nulls_last=True, maintain_order=True)
        self._hits = hits.select(HITS.names)
        texts = self._hits.with_columns(pl.col("request").cast(pl.String))
        return Examination(FINDINGS.conform(_placed(frame)), HITS.conform(texts))

    def _look_up(self) -> None:
        """Make rows of the findings that are none yet."""
        fired = [(place, row) for place, row in enumerate(self._rows) if isinstance(row, tuple)]
        if not fired:
            return
        hits = self._inferred(
            pl.concat(
                found.hits.select(
                    "request", "events", status=pl.lit(found.status or check.status), joined=pl.lit(found.joined)
                )
                for _, (check, found, _) in fired
            )
        )
        requests = self._facts.tables["requests"].select("request", "user").with_row_index("start")
        affected = self._facts.affected
        if affected is not None:
            requests = requests.with_columns(affected=pl.col("request").is_in(affected.requests.implode()))
        requests = requests.with_columns(pl.col("request").cast(pl.Categorical))
        hits = hits.join(requests, on="request", how="left", maintain_order="left")
        made, at, told = [], 0, [self._hits]
        for _, (check, found, name) in fired:
            tied = hits.slice(at, found.hits.height)
            at += tied.height
            stated = {"finding": pl.lit(name), "check": pl.lit(check.id)}
            told.append(tied.select("request", "status", "events", **stated).select(HITS.names))
            made.append(self._finding(check, found, name, tied))
        self._hits = pl.concat(told)
        # Redeliveries are no event of their own, but may be shown.
        known = self._facts.addresses(pl.Series([event for _, events in made for event in events], dtype=pl.String))
        for (place, _), (row, events) in zip(fired, made, strict=True):
            self._rows[place] = {**row, "events": events, "addresses": [known.get(event) for event in events]}

    def _inferred(self, hits: pl.DataFrame) -> pl.DataFrame:
        """`hits` with status INF where they rest on being joined, and an event of theirs is by text or time."""
        hits = hits.with_row_index("n")
        named = hits.lazy().filter("joined").select("n", event_id="events").explode("event_id").drop_nulls().collect()
        rows = named.filter(pl.col("event_id").is_in(self._facts.loose.implode()))["n"].unique().implode()
        status = pl.when(pl.col("n").is_in(rows)).then(pl.lit("INF")).otherwise("status")
        return hits.with_columns(status=status).drop("n", "joined")

    def _finding(
        self, check: Check, found: Found, name: str, hits: pl.DataFrame
    ) -> tuple[dict[str, object], list[str]]:
        """The row of one finding, and the events that it shows; `hits` are its own, with ``start``, user, affected."""
        tied = hits.sort("start", nulls_last=True, maintain_order=True)
        in_requests = tied.filter(pl.col("request").is_not_null())
        count = in_requests["request"].n_unique() if in_requests.height else tied.height
        inferred = in_requests.filter(pl.col("status") == "INF")["request"].n_unique()
        evaluable = _size(found.evaluable)
        values = {name: Count(v) if type(v) is int else v for name, v in found.values.items()}
        sentence = (found.statement or check.statement).format(
            n=Count(count), evaluable=Count(evaluable), total=Count(self._facts.total), **values
        )
        affected = None
        if "affected" in in_requests.columns:
            affected = in_requests.filter("affected")["request"].n_unique()
        row = {
            **_declared(check),
            "finding": name,
            "result": "fired",
            "attention": found.attention or check.attention,
            "status": "INF" if inferred and inferred == count else found.status or check.status,
            "subject": found.subject,
            "statement": sentence,
            "count": count,
            "inferred": inferred,
            "evaluable": evaluable,
            "total": self._facts.total,
            "users": in_requests["user"].drop_nulls().n_unique(),
            "affected": affected,
            "requests": in_requests["request"].unique(maintain_order=True).head(EXEMPLARS).cast(pl.String).to_list(),
            "parameters": _texts({**check.parameters, **found.parameters}),
        }
        return row, _first_events(tied["events"])


def _first_events(lists: pl.Series) -> list[str]:
    """The first events that `lists` name, none twice, `SHOWN_EVENTS` at most."""
    size = SHOWN_EVENTS
    while True:
        found = lists.head(size).explode().drop_nulls().unique(maintain_order=True)
        if found.len() >= SHOWN_EVENTS or size >= lists.len():
            return found.head(SHOWN_EVENTS).to_list()
        size *= 8


def _rank(texts: pl.Series) -> pl.Series:
    """A number for each of `texts`, in their order; null for null."""
    values = texts.cast(pl.Categorical).alias("text").to_frame()
    known = values.drop_nulls().unique().sort(pl.col("text").cast(pl.String)).with_row_index("rank")
    return values.join(known, on="text", how="left", maintain_order="left")["rank"]
