"""Checks that compare an affected set with others: what its requests had more often, and what else differed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from strataline.examine.changes import changes
from strataline.examine.check import HITS, Check, Found, Unknown
from strataline.examine.contrast import PARAMETERS, compare
from strataline.examine.dimensions import dimensions
from strataline.examine.facts import Affected, Facts
from strataline.examine.impact import NEGATIVE, SIGNALS

SUBJECTS = 20
"""Findings of one check, at most; the last says how many more there are."""
EVENTS = 6
LISTED = 4
"""Values named in one sentence, at most."""
LONG_SESSION = 15
NEW_DOCUMENT = 5.0
DOCUMENTS = 5
"""Documents that get a finding of their own; the last says how many more there are."""
EARLIER = 20
"""Retrievals that must lie before the first use of a document for it to be called new in these logs."""
SECONDS = "%Y-%m-%dT%H:%M:%SZ"
STICKY = 4.0
"""Standard deviations beyond what chance gives."""

DIMENSION = pl.col("dimension").cast(pl.String)
"""The dimension of a value as a text: frames of values have it as a category."""

_ROUTE = r"(^| )(replica|.*(route|region|host|zone|endpoint|deployment|model_id|api_base|cluster|pod|node|path))$"
_POLICY = ("policy version", "policy mode", "policy threshold")
_NEVER = "The records show the difference, not its effect."


def of_set(facts: Facts) -> Affected:
    """The affected set of `facts`, which a check with ``baseline`` has.

    Raises:
        ValueError: if there is none.
    """
    if facts.affected is None:
        msg = "no affected set"
        raise ValueError(msg)
    return facts.affected


def percent(part: int, whole: int) -> str:
    """A share in words: ``64%``, ``0.4%``."""
    if not whole:
        return "–"
    share = 100 * part / whole
    return f"{share:.0f}%" if share >= 10 or share == int(share) else f"{share:.1f}%"


def with_values(facts: Facts, values: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    """`HITS` of the affected requests that have one of the values `shown`, with the events that state them.

    Args:
        facts: with an affected set.
        values: request, dimension, value, event_id, t.
        shown: dimension, value.
    """
    return _hits(_of_affected(facts, values), shown)


def _of_affected(facts: Facts, values: pl.DataFrame) -> pl.DataFrame:
    """`values` of affected requests, in order of their start, with texts for categories."""
    order = facts.requests.select("request").with_row_index("start")
    order = order.filter(pl.col("request").is_in(of_set(facts).requests.implode()))
    # Sorted as numbers, which texts are longer than.
    rows = values.with_columns(pl.col("request", "dimension", "value").cast(pl.Categorical))
    rows = rows.join(order.with_columns(pl.col("request").cast(pl.Categorical)), on="request")
    rows = rows.sort("start", "t", "event_id", nulls_last=True)
    return rows.with_columns(pl.col("request", "dimension", "value").cast(pl.String))


def _hits(rows: pl.DataFrame, shown: pl.DataFrame | None = None) -> pl.DataFrame:
    """`HITS` of `rows` (as `_of_affected` gives them), or of those that have one of the values `shown`."""
    if shown is not None:
        wanted = shown.select(pl.col("dimension", "value").cast(pl.String)).unique()
        rows = rows.join(wanted, on=["dimension", "value"], how="semi", maintain_order="left")
    by_request = rows.group_by("request", maintain_order=True)
    return by_request.agg(events=pl.col("event_id").drop_nulls().unique(maintain_order=True).head(EVENTS))


def said(rows: pl.DataFrame) -> str:
    """Rows of `event.CONTRASTS` as a list: ``v12 (73% of affected, 0.3% of compared)``."""
    parts = [
        f"{row['value']} ({percent(row['affected_with'], row['affected_total'])} of affected, "
        f"{percent(row['baseline_with'], row['baseline_total'])} of compared)"
        for row in rows.head(LISTED).iter_rows(named=True)
    ]
    more = rows.height - LISTED
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def by_dimension(
    facts: Facts, values: pl.DataFrame, table: pl.DataFrame, limit: int = SUBJECTS
) -> list[tuple[str, pl.DataFrame, Found]]:
    """For each dimension with a value that is shown: its name, its shown values, and a finding of them.

    The values stand by largest difference; the finding names ``what``, ``values``, and of the value that affected
    requests have more often (else the first) ``b`` and the shares ``x`` and ``y``.
    """
    shown = table.filter("shown").sort(
        pl.col("difference").abs(), "dimension", "value", descending=[True, False, False]
    )
    names = shown["dimension"].unique(maintain_order=True).head(limit)
    known = values.filter(DIMENSION.is_in(names.implode()))
    of_affected = _of_affected(facts, known)
    found = []
    for name in names:
        rows = shown.filter(pl.col("dimension") == name)
        here = of_affected.filter(pl.col("dimension") == name)
        more = rows.filter(pl.col("difference") > 0)
        first = (more if more.height else rows).row(0, named=True)
        hits = _hits(here, more if more.height else rows)
        if hits.is_empty():
            # They lack what the others have.
            hits = _hits(here)
        numbers = {
            "what": name,
            "values": said(pl.concat([more, rows.filter(pl.col("difference") <= 0)])),
            "b": first["value"],
            "x": percent(first["affected_with"], first["affected_total"]),
            "y": percent(first["baseline_with"], first["baseline_total"]),
        }
        evaluable = first["affected_total"] + first["baseline_total"]
        found.append((name, rows, Found(hits, evaluable, numbers, subject=name)))
    return found


def _nothing(facts: Facts, values: pl.DataFrame) -> list[Found]:
    both = pl.concat([of_set(facts).requests, of_set(facts).baseline]).implode()
    return [Found(HITS.to_frame(), values.filter(pl.col("request").is_in(both))["request"])]


def _compared(facts: Facts, values: pl.DataFrame) -> pl.DataFrame:
    return compare(values, of_set(facts).requests, of_set(facts).baseline)


def _template(facts: Facts) -> list[Found] | Unknown:
    columns = ("event_id", "request", "t", "template_name", "template_version")
    stated = facts.of("prompt", columns=columns).filter(pl.col("template_version").is_not_null())
    values = stated.select(
        "request", "event_id", "t", dimension=pl.col("template_name").fill_null("template"), value="template_version"
    )
    table = _compared(facts, values)
    found = []
    for name, _, one in by_dimension(facts, values, table):
        others = table.filter((pl.col("dimension") == name) & (pl.col("value") != one.values["b"]))
        if others.is_empty():
            continue
        most = others.sort("baseline_with", "value", descending=[True, False]).row(0, named=True)
        old, new = (_version(str(value)) for value in (most["value"], one.values["b"]))
        named = "" if name == "template" else f"{name} "
        numbers = {**one.values, "t": f"{named}{new}", "a": old}
        numbers["z"] = percent(most["baseline_with"], most["baseline_total"])
        found.append(Found(one.hits, one.evaluable, numbers, subject=name))
    return found or _nothing(facts, values)


def _version(value: str) -> str:
    """A version as it is spoken of: v12, but coach@12."""
    return f"v{value}" if value[:1].isdigit() else value


def _parameters(facts: Facts) -> list[Found]:
    values = facts.once(dimensions)
    values = values.filter(
        DIMENSION.str.starts_with("parameter ")
        | DIMENSION.str.contains(r"^model .*(tools?_hash|response_format|reasoning|temperature|seed)")
    )
    values = values.with_columns(DIMENSION.str.strip_prefix("parameter ").str.strip_prefix("model "))
    found = [one for _, _, one in by_dimension(facts, values, _compared(facts, values))]
    return found or _nothing(facts, values)


def _routes(facts: Facts) -> list[Found] | Unknown:
    values = facts.once(dimensions).filter(DIMENSION.str.contains(_ROUTE) & ~DIMENSION.str.starts_with("ui "))
    stuck, sentence, beyond = _stickiness(facts)
    found = []
    for _, _, one in by_dimension(facts, values, _compared(facts, values)):
        found.append(Found(one.hits, one.evaluable, {**one.values, "users": sentence}, subject=one.subject))
    if not found and beyond:
        statement = "No route or host differs; {users}"
        found.append(Found(stuck, of_set(facts).requests, {"users": sentence}, "users", statement))
    if not found and values.is_empty() and stuck.is_empty():
        reason = "no record says which route, region, host or replica a request took, and no user had two requests"
        return Unknown(reason, ("model.attributes", "*.user"))
    return found or _nothing(facts, values)


def _stickiness(facts: Facts) -> tuple[pl.DataFrame, str, bool]:
    """Affected requests of users with more than one, that in words, and whether it is beyond what chance gives."""
    chosen = of_set(facts)
    both = facts.requests.filter(pl.col("user").is_not_null()).with_columns(
        one=pl.col("request").is_in(chosen.requests.implode()), other=pl.col("request").is_in(chosen.baseline.implode())
    )
    both = both.filter(pl.col("one") | pl.col("other"))
    users = both.group_by("user").agg(n=pl.len(), a=pl.col("one").sum())
    hit = users.filter(pl.col("a") > 0)
    if hit.is_empty():
        return HITS.to_frame(), "no user of the affected requests is known.", False
    p = both["one"].mean()
    n = users["n"].to_numpy().astype(np.float64)
    rate = float(p) if isinstance(p, float) else 0.0
    none = (1 - rate) ** n
    several = np.clip(1 - none - n * rate * (1 - rate) ** (n - 1), 0, 1)
    observed = int((hit["a"] >= 2).sum())
    spread = float(np.sqrt((several * (1 - several)).sum()))
    expected = float(several.sum()) / max(float((1 - none).sum()), 1e-9)
    beyond = observed >= 5 and spread > 0 and (observed - float(several.sum())) > STICKY * spread
    sentence = (
        f"{percent(observed, hit.height)} of the users of affected requests had more than one, where "
        f"{expected:.0%} is what a draw without regard to users gives."
    )
    again = hit.filter(pl.col("a") >= 2)["user"]
    rows = both.filter(pl.col("one") & pl.col("user").is_in(again.implode()))
    return rows.select("request", events=pl.concat_list("request")), sentence, beyond


def _policy(facts: Facts) -> list[Found]:
    values = facts.once(dimensions)
    force = facts.once(changes).filter(pl.col("layer") == "policy")
    stated = DIMENSION.is_in(_POLICY) | DIMENSION.str.contains("^polic.* in force$")
    values = values.filter(stated)
    found = [one for _, _, one in by_dimension(facts, values, _compared(facts, values))]
    last = facts.requests.filter(pl.col("request").is_in(of_set(facts).requests.implode()))["end_time"].max()
    if last is not None:
        force = force.filter(pl.col("time") <= pl.lit(last))
    rows = force.filter(pl.col("event").is_not_null() & pl.col("old").is_not_null())
    for key, group in rows.group_by("scope", "key", "old", "new", maintain_order=True):
        scope, name, old, new = (str(part) for part in key)
        first = group["time"].dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").first()
        many = "" if group.height == 1 else f" (in the first of {group.height} programs)"
        numbers = {"p": name, "a": old, "b": new, "t": first, "many": many}
        statement = "Policy setting {p} was {a} before {t} and {b} after{many}."
        hits = group.select(request=pl.lit(None, dtype=pl.String), events=pl.concat_list("event"))
        found.append(Found(hits, values["request"], numbers, f"{scope} {name}: {new}", statement))
    return _capped(found, SUBJECTS, "setting") or _nothing(facts, values)


def _capped(found: Sequence[Found], most: int, noun: str) -> list[Found]:
    """The first `most` of `found`; the last of them says how many are left out."""
    if len(found) <= most:
        return list(found)
    rest = found[most - 1 :]
    hits = pl.concat([one.hits for one in rest])
    named = hits.drop_nulls("request").unique("request", keep="first", maintain_order=True)
    hits = named if named.height else hits
    statement = f"{{more:{noun}}} more, in {{n:request}}." if named.height else f"{{more:{noun}}} more."
    return [*found[: most - 1], Found(hits, rest[0].evaluable, {"more": len(rest)}, "more", statement)]


def _stopped(facts: Facts) -> list[Found] | Unknown:
    verdicts = facts.verdicts.filter(pl.col("stops") & pl.col("acts"))
    refused = facts.of("model", columns=("event_id", "request", "t", "finish_reason")).filter(
        pl.col("finish_reason").str.to_lowercase().str.contains("refus|content_filter|safety|blocked|guardrail")
    )
    blocked = facts.of("prompt", columns=("event_id", "request", "t", "kind", "outcome"))
    blocked = blocked.filter((pl.col("outcome") == "blocked") | (pl.col("kind") == "prompt.blocked"))
    stops = pl.concat([one.select("request", "event_id", "t") for one in (verdicts, refused, blocked)])
    stops = stops.drop_nulls("request").unique("request", keep="first", maintain_order=True)
    judged = (
        pl.concat([facts.verdicts["request"], facts.responses["request"], blocked["request"]])
        .drop_nulls()
        .unique(maintain_order=True)
        .to_frame("request")
    )
    values = judged.join(stops, on="request", how="left", maintain_order="left").with_columns(
        value=pl.when(pl.col("event_id").is_not_null()).then(pl.lit("blocked")).otherwise(pl.lit("not blocked")),
        dimension=pl.lit("blocked or refused"),
    )
    rows = _compared(facts, values).filter(pl.col("shown") & (pl.col("value") == "blocked"))
    if rows.is_empty():
        return _nothing(facts, values)
    row = rows.row(0, named=True)
    numbers = {
        "x": percent(row["affected_with"], row["affected_total"]),
        "y": percent(row["baseline_with"], row["baseline_total"]),
    }
    hits = with_values(facts, values, rows)
    if hits.is_empty():
        hits = values.filter(pl.col("request").is_in(of_set(facts).requests.implode()))
        hits = hits.select("request", events=pl.concat_list("request"))
    return [Found(hits, _nothing(facts, values)[0].evaluable, numbers)]


def _signals(facts: Facts) -> list[Found] | Unknown:
    chosen = of_set(facts)
    columns = ("event_id", "request", "t", "corrected_time", "kind", "feedback")
    page = facts.of("ui", columns=columns).filter(pl.col("request").is_not_null())
    down = pl.col("feedback").str.contains(NEGATIVE).fill_null(value=False) | pl.col("kind").is_in(SIGNALS)
    signals = page.filter(down)
    known = page.select("request").unique(maintain_order=True)
    first = signals.unique("request", keep="first", maintain_order=True).select("request", "event_id", "t")
    values = known.join(first, on="request", how="left", maintain_order="left").with_columns(
        dimension=pl.lit("signal"),
        value=pl.when(pl.col("event_id").is_not_null()).then(pl.lit("given")).otherwise(pl.lit("none")),
    )
    rows = _compared(facts, values).filter(pl.col("shown") & (pl.col("value") == "given"))
    if rows.is_empty() or rows.row(0, named=True)["difference"] <= 0:
        return _nothing(facts, values)
    row = rows.row(0, named=True)
    here = signals.filter(pl.col("request").is_in(chosen.requests.implode())).sort("t", "event_id", nulls_last=True)
    began = here["corrected_time"].dt.strftime(SECONDS).head(1).to_list()[0] or "a time that is not stated"
    since = here["t"].drop_nulls().min()
    back = facts.once(changes).filter(pl.col("reverts").is_not_null() & (pl.col("time").dt.epoch("ns") > pl.lit(since)))
    if back.height:
        first_back = back.head(1)
        before = here.filter(pl.col("corrected_time") < pl.lit(first_back["time"].to_list()[0])).height
        when = first_back["time"].dt.strftime(SECONDS).to_list()[0]
        internal = f"{before:,} before the first recorded reversal of a change at {when}"
    else:
        internal = "the supplied logs hold no later reversal of a change to compare them with"
    numbers = {
        "x": percent(row["affected_with"], row["affected_total"]),
        "y": percent(row["baseline_with"], row["baseline_total"]),
        "began": began,
        "signals": here.height,
        "internal": internal,
    }
    return [Found(with_values(facts, values, rows), _nothing(facts, values)[0].evaluable, numbers)]


def _long_sessions(facts: Facts) -> list[Found] | Unknown:
    chosen = of_set(facts)
    turns = facts.requests.filter(pl.col("session").is_not_null() & pl.col("start_time").is_not_null()).with_columns(
        turn=pl.col("start_time").rank("ordinal").over("session").cast(pl.Int64)
    )
    usual = turns.filter(pl.col("request").is_in(chosen.baseline.implode()))["turn"]
    usual_most = usual.quantile(0.99)
    if usual_most is None:
        return Unknown("no request that the affected ones are compared with names a session", ("requests.session",))
    k = max(LONG_SESSION, int(usual_most))
    affected = turns.filter(pl.col("request").is_in(chosen.requests.implode()))
    late = affected.filter(pl.col("turn") >= k)
    numbers = {"k": str(k), "y": percent(int((usual >= k).sum()), usual.len())}
    late_or_not = pl.when(pl.col("turn") >= k).then(pl.lit("late")).otherwise(pl.lit("early"))
    table = _compared(facts, turns.select("request", dimension=pl.lit("turn"), value=late_or_not))
    if table.filter(pl.col("shown") & (pl.col("value") == "late") & (pl.col("difference") > 0)).is_empty():
        late = late.clear()
    return [
        Found(
            late.select("request", events=pl.concat_list("request")),
            affected["request"],
            numbers,
            parameters={"turn": k},
        )
    ]


def _new_documents(facts: Facts) -> list[Found] | Unknown:
    """Documents that no retrieval before the first affected use returned, of which the affected got more."""
    values = facts.once(dimensions).filter(pl.col("dimension") == "document")
    if values.is_empty():
        return Unknown("no record of a retrieval lists its documents by id", ("retrieval.documents",))
    table = _compared(facts, values).filter(pl.col("shown") & (pl.col("ratio") >= NEW_DOCUMENT))
    values = values.with_columns(pl.col("value").cast(pl.String)).join(table.select("value"), on="value", how="semi")
    use = _of_affected(facts, values)
    first = use.group_by("value").agg(used=pl.col("t").min())
    seen = values.join(first, on="value").group_by("value", "used").agg(seen=pl.col("t").min())
    searched = (
        facts.of("retrieval", columns=("t", "documents"))
        .filter(pl.col("documents").list.len() > 0)["t"]
        .drop_nulls()
        .sort()
    )
    seen = seen.drop_nulls("seen").with_columns(earlier=searched.search_sorted(seen.drop_nulls("seen")["seen"]))
    day = 24 * 3600 * 10**9
    new = seen.filter((pl.col("used") - pl.col("seen") <= day) & (pl.col("earlier") >= EARLIER))
    rows = table.join(new, on="value").sort("affected_with", "value", descending=[True, False])
    found = []
    for row in rows.iter_rows(named=True):
        hits = _hits(use.filter(pl.col("value") == row["value"]))
        numbers = {
            "x": percent(row["affected_with"], row["affected_total"]),
            "y": percent(row["baseline_with"], row["baseline_total"]),
            "d": row["value"],
            "since": f"{_for(row['used'] - row['seen'])} before" if row["used"] > row["seen"] else "in",
            "earlier": row["earlier"],
        }
        evaluable = row["affected_total"] + row["baseline_total"]
        found.append(Found(hits, evaluable, numbers, subject=row["value"]))
    return _capped(found, DOCUMENTS, "document") or _nothing(facts, values)


def _for(ns: int) -> str:
    """A time span in words."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if ns >= 2 * size * 10**9:
            return f"{ns / (size * 10**9):.0f} {unit}"
    return f"{ns / 10**9:.1f} s"


CHECKS: tuple[Check, ...] = (
    Check(
        id="P-01",
        name="template-version-contrast",
        layers=("prompt",),
        attention="DV",
        status="DER",
        needs=("prompt.template_version",),
        rule=_template,
        statement="Requests in the affected set used template {t} ({x}); of the comparison set {y} did, and "
        "{z} used {a}. " + _NEVER,
        question="What changed in the template between these versions, and on which routes is each in use?",
        alternatives=("The version was raised for a route of its own.", "A gradual roll-out was under way."),
        baseline=True,
        parameters=PARAMETERS,
    ),
    Check(
        id="P-07",
        name="long-session",
        layers=("prompt",),
        attention="CC",
        status="DER",
        needs=("requests.session",),
        rule=_long_sessions,
        statement="{n:request} of the affected set came at turn {k} of the session or later; {y} of the comparison "
        "set did.",
        question="What does the product carry over from earlier turns, and what is known of long sessions?",
        alternatives=("Sessions of this product are long.",),
        baseline=True,
        parameters={"turn_at_least": LONG_SESSION, "or_quantile_of_compared": 0.99},
        core=False,
    ),
    Check(
        id="R-11",
        name="recently-ingested-or-new-source",
        layers=("retrieval",),
        attention="CC",
        status="DER",
        needs=("retrieval.documents",),
        rule=_new_documents,
        statement="{x} of affected requests received document {d} ({y} of compared), first seen in these logs "
        "{since} the first of them; {earlier:retrieval} before that returned other documents.",
        question="When was this document added, from which source, and what else came with it?",
        alternatives=(
            "Fresh content is usual here.",
            "The document is older than these logs and was seldom asked for.",
        ),
        baseline=True,
        parameters={
            **PARAMETERS,
            "ratio_at_least": NEW_DOCUMENT,
            "hours": 24,
            "earlier_retrievals_at_least": EARLIER,
        },
        core=False,
    ),
    Check(
        id="M-07",
        name="parameter-contrast",
        layers=("model",),
        attention="DV",
        status="DER",
        needs=("model.parameters",),
        rule=_parameters,
        statement="{what} was {b} in {x} of affected requests and in {y} of compared ones. All values that differ: "
        "{values}.",
        question="What sets this parameter, and for which users or routes does it differ?",
        alternatives=("The parameter is set by user or by route.",),
        baseline=True,
        parameters=PARAMETERS,
    ),
    Check(
        id="M-11",
        name="route-concentration-and-stickiness",
        layers=("model",),
        attention="DV",
        status="DER",
        needs=(),
        rule=_routes,
        statement="{x} of affected requests have {what} {b}, and {y} of compared ones; {users}",
        question="How are requests spread over routes, regions and hosts, and what keeps a user on one?",
        alternatives=("Users of different regions ask different things.", "The affected set was chosen by user."),
        baseline=True,
        parameters={**PARAMETERS, "spread_beyond_chance": STICKY},
    ),
    Check(
        id="F-07",
        name="policy-version-or-threshold-contrast",
        layers=("policy",),
        attention="DV",
        status="DER",
        needs=("*.policy_version",),
        rule=_policy,
        statement="{what} was {b} in {x} of affected requests and in {y} of compared ones. All values that differ: "
        "{values}.",
        question="What differs between these versions of the policy, and what was each meant to do?",
        alternatives=("The policy was changed as planned.", "Versions differ by route or by program."),
        baseline=True,
        parameters=PARAMETERS,
    ),
    Check(
        id="F-11",
        name="block-or-refusal-rate-shift",
        layers=("policy", "model"),
        attention="DV",
        status="DER",
        needs=("*.verdict",),
        rule=_stopped,
        statement="Share of blocked or refused requests was {x} in the affected set and {y} in the comparison set.",
        question="What did the filters and the model hold back in each of the two sets?",
        alternatives=("The affected set was chosen by verdict.", "Users asked other things."),
        baseline=True,
        parameters=PARAMETERS,
        core=False,
    ),
    Check(
        id="U-06",
        name="user-signal-shift",
        layers=("ui",),
        attention="CX",
        status="DER",
        needs=("ui.kind",),
        rule=_signals,
        statement="{x} of affected requests have a negative signal of the user, and {y} of compared ones. The first is "
        "at {began}; of {signals:signal}, {internal}.",
        question="How do people tell that an answer did not serve them, and where does that arrive?",
        alternatives=("The affected set was chosen by such signals.", "A campaign asked for feedback."),
        baseline=True,
        parameters=PARAMETERS,
    ),
)
