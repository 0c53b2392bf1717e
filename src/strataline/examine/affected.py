"""The affected set: which requests somebody calls affected, and which they are compared with.

A selector is one of

- ``time:FROM..TO``: requests that start from FROM on and before TO (ISO times, UTC without a zone; either may be left
  out);
- ``check:F-03``, or ``check:R-05.2`` for one of its findings: requests in which a check holds;
- ``text:WORDS``: requests with a record that holds the words;
- ``sql:SELECT request FROM …``: DuckDB over the tables of the case, and nothing else; the first column names requests;
- a filter, in the language of `strataline.examine.selection`; ``where:`` before it says that it is one;
- any other: an id, of whatever kind; a session or a user is all its requests. ``id:`` before it says that it is one.

Several unite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches

import duckdb
import polars as pl

from strataline.errors import InputError
from strataline.event import EVENTS, TABLES
from strataline.examine.check import Check
from strataline.examine.facts import LOOKED_AT, Affected, Facts
from strataline.examine.run import run
from strataline.examine.selection import LOOKS_LIKE, chosen, moment

Names = Callable[[str], Iterable[str]]
"""A text to the requests that it means."""

OTHERS, BEFORE, WINDOW = "others", "before", "same-window"
BASELINES = (OTHERS, BEFORE, WINDOW)
UNKNOWN_NAMED = 5


def select(
    facts: Facts,
    selectors: Sequence[str],
    *,
    which: Names,
    find: Names,
    check: Names,
    baseline: str | Sequence[str] = OTHERS,
    chosen_by: str | None = None,
) -> Affected:
    """Choose the affected requests and those they are compared with.

    Args:
        facts: the tables of the case.
        selectors: see the module.
        which: the requests that an id means (`Case.which`).
        find: the requests with a record that holds a text.
        check: the requests in which the check or finding of an id holds.
        baseline: ``others`` (all other requests of the kinds that the affected are of), ``before`` (those of them that
            start in a window of the same length before the first affected request), ``same-window`` (those that start
            between the first and the last affected one), or selectors, united. Affected requests are never in it.
        chosen_by: who chose the set, as they say.

    Returns:
        Both sets, in order of start, and in words how they were chosen.

    Raises:
        InputError: if a selector cannot be read, an id is not known, or nothing is selected.
    """
    ways = {"text": find, "check": check}
    found = _united(facts, selectors, which, ways)
    if not found.len():
        said = " or ".join(repr(one) for one in selectors) or "no selector"
        raise InputError(f"no request is selected by {said}", hint=_seen(facts, selectors))
    requests = facts.tables["requests"]
    affected = requests.filter(pl.col("request").is_in(found.implode()))
    others = requests.filter(
        ~pl.col("request").is_in(found.implode()) & pl.col("kind").is_in(affected["kind"].unique().implode())
    )
    nouns = " and ".join(f"{kind}s" if kind != "unrooted" else "groups of events" for kind in _kinds(affected))
    start, first, last = pl.col("start_time"), affected["start_time"].min(), affected["start_time"].max()
    if isinstance(baseline, str) and baseline in (BEFORE, WINDOW) and first is None:
        raise InputError(f"baseline {baseline}: no affected request states a time", hint="--baseline others")
    if not isinstance(baseline, str) or baseline not in BASELINES:
        named = [baseline] if isinstance(baseline, str) else list(baseline)
        rest = _united(facts, named, which, ways)
        others = requests.filter(pl.col("request").is_in(rest.implode()) & ~pl.col("request").is_in(found.implode()))
        rule = f"what {' or '.join(named)} selects, less the affected"
    elif baseline == BEFORE:
        since = pl.lit(first) - (pl.lit(last) - pl.lit(first))
        others = others.filter((start >= since) & (start < first))
        rule = f"the {nouns} that started in a window of the same length before the first affected one"
    elif baseline == WINDOW:
        others = others.filter((start >= first) & (start <= last))
        rule = f"the other {nouns} that started between the first and the last affected one"
    else:
        rule = f"the other {nouns} of the case"
    return Affected(affected["request"], others["request"], tuple(selectors), chosen_by, rule)


def hits(facts: Facts, checks: Iterable[Check], name: str) -> list[str]:
    """The requests in which the check, or the one finding, called `name` holds.

    Raises:
        InputError: if there is no such check or finding, or it could not run.
    """
    known = {check.id: check for check in checks}
    wanted, _, part = name.partition(".")
    if wanted not in known:
        near = get_close_matches(wanted.upper(), known, n=3)
        raise InputError(f"no check is called {name!r}", hint=f"did you mean {', '.join(near)}?" if near else None)
    found = run(facts, [known[wanted]])
    first = found.findings.row(0, named=True)
    if first["result"] == "not_evaluable":
        raise InputError(f"check {wanted} could not run: {first['reason']}")
    rows = found.hits.filter(pl.col("finding") == name) if part else found.hits
    if part and rows.is_empty():
        listed = ", ".join(found.findings["finding"].head(8))
        raise InputError(f"no finding is called {name!r}", hint=f"check {wanted} found: {listed}")
    return rows["request"].drop_nulls().unique().to_list()


def _kinds(affected: pl.DataFrame) -> list[str]:
    kinds = affected["kind"].drop_nulls().unique().to_list()
    return sorted(kinds, key=["turn", "job", "unrooted"].index)


def _united(facts: Facts, selectors: Iterable[str], which: Names, ways: Mapping[str, Names]) -> pl.Series:
    """The requests that any of `selectors` means."""
    ids: list[str] = []
    parts: list[pl.Series] = []
    for selector in selectors:
        if any("\ud800" <= char <= "\udfff" for char in selector):
            raise InputError(f"the selector {selector!r} is no UTF-8")
        prefix, colon, rest = selector.partition(":")
        if not selector.strip() or (colon and prefix in ("id", "where", "time", "sql", *ways) and not rest.strip()):
            raise InputError(
                f"the selector {selector!r} is empty", hint="an id, a filter, time:…, text:…, check:…, sql:…"
            )
        if colon and prefix in ways:
            parts.append(pl.Series(list(ways[prefix](rest.strip())), dtype=pl.String))
        elif colon and prefix == "time":
            parts.append(_started(facts, rest))
        elif colon and prefix == "sql":
            parts.append(_asked(facts, rest))
        elif colon and prefix == "where":
            parts.append(chosen(rest, facts.tables))
        elif colon and prefix == "id":
            ids.append(rest.strip())
        elif LOOKS_LIKE.match(selector):
            parts.append(chosen(selector, facts.tables))
        else:
            ids.append(selector.strip())
    parts.append(_named(facts, list(dict.fromkeys(ids)), which))
    return pl.concat(parts).unique()


def _named(facts: Facts, ids: Sequence[str], which: Names) -> pl.Series:
    """The requests that `ids` mean: those that are written as in the records at once, the others one by one."""
    wanted = pl.DataFrame({"value": ids}, schema={"value": pl.String})
    if not ids:
        return wanted["value"]
    parts: list[pl.Series] = []
    rest = list(ids)
    if len(ids) > UNKNOWN_NAMED:
        events = facts.table("events", "event_id", "request", "ids")
        value = pl.col("ids").list.eval(pl.element().struct.field("value"))
        carried = events.select("request", value=value).explode("value")
        own = [
            facts.tables["requests"].select("request", value="request"),
            events.select("request", value="event_id"),
        ]
        hit = pl.concat([carried, *own]).drop_nulls().join(wanted, on="value", how="semi").unique()
        parts.append(hit["request"])
        known = set(hit["value"])
        rest = [one for one in ids if one not in known]
    unknown: list[str] = []
    for one in rest:
        named = list(which(one))
        parts.append(pl.Series(named, dtype=pl.String))
        if not named:
            unknown.append(one)
        if len(unknown) > UNKNOWN_NAMED:
            break
    if unknown:
        more = ", …" if len(unknown) > UNKNOWN_NAMED else ""
        listed = ", ".join(repr(one) for one in unknown[:UNKNOWN_NAMED]) + more
        values = facts.table("events", "ids").select(pl.col("ids").list.eval(pl.element().struct.field("value")))["ids"]
        lone = values.list.contains(unknown[0]).sum()
        hint = (
            f"{lone} events carry {unknown[0]!r} and are tied to no request"
            if lone
            else (
                "strataline find CASE --text … finds requests by what they say; a filter is written as "
                'ui.feedback == "down"'
            )
        )
        raise InputError(f"no request is known by {listed}", hint=hint)
    return pl.concat(parts)


def _started(facts: Facts, window: str) -> pl.Series:
    since, dots, until = window.partition("..")
    if not dots or not (since.strip() or until.strip()):
        raise InputError(f"time:{window} is no window", hint="as in time:2026-11-21T23:03..2026-11-21T23:07")
    start = pl.col("start_time")
    bounds = []
    if since.strip():
        bounds.append(start >= moment(since, f"time:{window}"))
    if until.strip():
        bounds.append(start < moment(until, f"time:{window}"))
    return facts.requests.filter(*bounds)["request"]


def _asked(facts: Facts, query: str) -> pl.Series:
    """The requests that a query names in its first column."""
    # Out of its reach: files, extensions, the network, and the variables of this process.
    settings: dict[str, str | bool | int | float | list[str]] = {"python_enable_replacements": "false"}
    with duckdb.connect(":memory:", config=settings) as connection:
        for table in TABLES:
            frame = facts.tables.get(table.name)
            if frame is not None:
                connection.register(table.name, table.to_arrow(frame))
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        try:
            statements = connection.extract_statements(query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise InputError(f"sql:{query}: one SELECT is wanted")
            found = connection.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise InputError(f"sql:{query}: {error}", hint="docs/tables.md lists tables and columns") from None
    first = pl.from_arrow(found.select([0]))
    values = (first if isinstance(first, pl.Series) else first.to_series()).cast(pl.String).drop_nulls().unique()
    known = facts.tables["requests"]["request"]
    strange = values.filter(~values.is_in(known.implode())).sort()
    if strange.len():
        hint = "the first column names requests, as requests.request does"
        raise InputError(f"sql:{query}: {strange[0]!r} is no request", hint=hint)
    return values


def _seen(facts: Facts, selectors: Sequence[str]) -> str:
    """What might have been meant by selectors that nothing meets."""
    times = facts.requests["start_time"].drop_nulls()
    if any(one.startswith("time:") for one in selectors) and times.len():
        first, last = (one.strftime("%Y-%m-%dT%H:%M:%SZ") for one in (times.min(), times.max()))  # type: ignore[union-attr]
        return f"requests start from {first} to {last}"
    for selector in selectors:
        found = LOOKS_LIKE.match(selector)
        name = found[0].strip(" (").rstrip("=!<>~ ").split() if found else []
        layer, _, column = name[-1].rpartition(".") if name else ("", "", "")
        if column in LOOKED_AT and EVENTS.schema[column] == pl.String():
            frame = facts.of(layer, columns=(column,))
            counts = frame[column].drop_nulls().value_counts().sort(["count", column], descending=[True, False])
            values = ", ".join(repr(one) for one in counts[column].head(8))
            if values:
                return f"values of {layer}.{column} in this case: {values}"
    return "no record in this case meets it"
