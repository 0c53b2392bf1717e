"""Checks of the model gateway: which model answered, how its answer ended, and where a cached answer came from.

Declarations that they read: ``alias_map`` (name asked for → the model, or the list of models, that it stands for),
``cache_scope`` (``global``: answers in the cache may go to anyone), ``shared_tenants`` (list of tenants whose answers
others may be given), ``needs_approval`` and ``allowed_tools`` (lists of names of tools).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from strataline.examine.check import Check, Count, Found, Unknown
from strataline.examine.facts import Facts

SUBJECTS = 20
"""Findings of one check that stand alone; what goes beyond is one more, with their number."""

EVENTS = 6
"""Events that show one hit."""

VALUES = 3
"""Values that a sentence names; what goes beyond is counted."""

SNAPSHOT = (
    r"(?:[-@:_. ](?:\d{4}-?\d{2}-?\d{2}|\d{4}-\d{2}|\d{2}-\d{2}|\d{3,4}|v?\d+:\d+|v\d{1,2}|0"
    r"|latest|preview|stable|exp|free))+$"
)
"""What names a snapshot of a model, behind its name."""

VENDOR = (
    r"^(?:(?:us|us-gov|eu|apac|global)\.)?"
    r"(?:(?:amazon|anthropic|meta|mistral|cohere|ai21|deepseek|qwen|openai|writer)\.)?"
)
"""What a cloud writes before the name of a model."""

LENGTH = r"(?i)^(length|max_?(output_|new_)?(tokens|length)|model_(length|context_window_exceeded))$"
"""Finish reasons that say that the token limit was reached."""

REFUSED = (
    r"(?i)^(content_?filter(ed)?|refusal|(image_)?safety|recitation|language|blocklist|prohibited_content|spii"
    r"|guardrail_intervened)$"
)
"""Finish reasons, and codes of errors, that say that the provider would not answer, or not go on."""

SWITCHES = {"interleaved": 0.05}
"""Share of calls that may lie on the other side of a switch between two fingerprints."""

ONE_FOR_MANY = {"prompts": 10}
TOKENS = {"difference": 0.2}

CHOSEN_NOTE = "Where no record names the response that went on, the last completed one of the request was taken."


def _said(name: str) -> pl.Expr:
    return pl.col("attributes").map.get(name)


def _moment(ns: object) -> str:
    """A corrected time (ns), to the second; "an unknown time" without one."""
    if not isinstance(ns, int):
        return "an unknown time"
    return f"{pl.Series([ns]).cast(pl.Datetime('ns')).dt.strftime('%Y-%m-%d %H:%M:%S')[0]} UTC"


def _named(values: Sequence[str]) -> str:
    """Values in a sentence: the first few, and how many more there are."""
    shown = ", ".join(values[:VALUES])
    return shown if len(values) <= VALUES else f"{shown} and {len(values) - VALUES} more"


def _most(values: pl.Series) -> list[str]:
    """Distinct values, most frequent first."""
    counted = values.drop_nulls().to_frame("value").group_by("value").len()
    return counted.sort("len", "value", descending=[True, False])["value"].to_list()


def _hits(rows: pl.DataFrame, *also: str) -> pl.DataFrame:
    """`rows` of events as hits: one row for each request; behind its events those that the columns `also` name."""
    ordered = rows.sort("t", "event_id", nulls_last=True)
    # Events of no request do not belong together.
    alone = pl.when(pl.col("request").is_null()).then("event_id")
    lists = pl.concat_list("event_id", *also)
    events = lists.explode().drop_nulls().unique(maintain_order=True).head(EVENTS)
    return ordered.group_by("request", alone.alias("alone"), maintain_order=True).agg(events=events).drop("alone")


def _each(
    rows: pl.DataFrame, subject: str, found: Callable[[str, pl.DataFrame], Found], evaluable: pl.Series
) -> list[Found]:
    """One `Found` for each value of the column `subject`, most requests first; the rest in one."""
    sizes = rows.group_by(subject).agg(n=pl.coalesce("request", "event_id").n_unique())
    sizes = sizes.sort("n", subject, descending=[True, False])
    first = sizes.head(SUBJECTS)[subject].to_list()
    parts = rows.filter(pl.col(subject).is_in(first)).partition_by(subject, as_dict=True)
    made = [found(name, parts[(name,)]) for name in first]
    if sizes.height > SUBJECTS:
        rest = rows.join(sizes.tail(sizes.height - SUBJECTS).select(subject), on=subject, how="semi")
        more = sizes.height - SUBJECTS
        made.append(Found(_hits(rest), evaluable, {"more": more}, statement="And {more} more like it, in {n:request}."))
    return made or [Found(rows.clear().select("request", events=pl.concat_list("event_id")), evaluable)]


def _answered(facts: Facts) -> pl.DataFrame:
    """Responses that went on; where none is named, the last completed one of a request."""
    calls = facts.responses
    named = pl.col("delivered_").any().over(pl.coalesce("request", "event_id"))
    return calls.filter(pl.col("completed") & pl.col("answers") & pl.when(named).then("delivered_").otherwise("last"))


def _model(name: str | pl.Expr) -> pl.Expr:
    """The name of a model as it is compared: without provider, vendor, case and punctuation."""
    column = pl.col(name) if isinstance(name, str) else name
    text = column.str.to_lowercase().str.strip_chars().str.replace(r"^.*/", "").str.replace(VENDOR, "")
    return pl.when(text != "").then(text)


def _base(name: str | pl.Expr) -> pl.Expr:
    return _model(name).str.replace(SNAPSHOT, "").str.replace_all(r"[^a-z0-9]+", "-")


def _pin(name: str | pl.Expr) -> pl.Expr:
    """The digits of the snapshot that a name states; null without."""
    return (
        _model(name)
        .str.extract(r"[-@:_. ](\d{4}-?\d{2}-?\d{2}|\d{4}-\d{2}|\d{3,4})(?:[-@:_. ].*)?$", 1)
        .str.replace_all("-", "")
    )


def _declared_models(facts: Facts) -> pl.DataFrame:
    """``alias_map`` as rows: asked (as declared), base and pin of what it stands for."""
    given = facts.declared.get("alias_map")
    pairs: list[tuple[str, str]] = []
    if isinstance(given, Mapping):
        for asked, target in given.items():
            targets = target if isinstance(target, Sequence) and not isinstance(target, str) else [target]
            pairs += [(str(asked), str(one)) for one in targets]
    frame = pl.DataFrame(pairs, schema={"requested_model": pl.String, "target": pl.String}, orient="row")
    return frame.with_columns(base=_base("target"), pin=_pin("target"))


def _substituted(facts: Facts) -> list[Found] | Unknown:
    calls = facts.responses.filter("completed").drop_nulls(["requested_model", "served_model"])
    if not calls.height:
        return Unknown("no answered call states both the model asked for and the model that answered", NAMES)
    # What a gateway is configured to ask its provider for is what the name that it was asked by stands for.
    names = (
        calls.with_columns(configured=_said("configured_model"))
        .group_by("requested_model", "served_model", "configured")
        .len()
    )
    asked = pl.coalesce("configured", "requested_model")
    names = names.with_columns(
        same=(_base(asked) == _base("served_model")) | (_base("requested_model") == _base("served_model")),
        pins=(_pin(asked) != _pin("served_model")).fill_null(value=False),
        served=_base("served_model"),
        served_pin=_pin("served_model"),
    )
    declared = _declared_models(facts)
    if declared.height:
        fits = (pl.col("base") == pl.col("served")) & (pl.col("pin") == pl.col("served_pin")).fill_null(value=True)
        told = names.join(declared, on="requested_model").group_by("requested_model", "served_model")
        names = names.join(told.agg(fits=fits.any()), on=["requested_model", "served_model"], how="left")
    else:
        names = names.with_columns(fits=pl.lit(None, pl.Boolean))
    names = names.with_columns(differs=~pl.coalesce("fits", pl.col("same") & ~pl.col("pins")))
    # Names of models carry a number. Another name is an alias that nobody declared: it is taken to stand for what most
    # often answered to it, and that it does is context.
    bare = pl.col("configured").is_null() & pl.col("fits").is_null() & ~pl.col("requested_model").str.contains(r"\d")
    most = names.group_by("requested_model", "served").agg(n=pl.col("len").sum())
    most = most.sort("n", "served", descending=[True, False]).group_by("requested_model", maintain_order=True).first()
    names = names.join(most.select("requested_model", usual="served"), on="requested_model", how="left")
    names = names.with_columns(alias=bare & (pl.col("served") == pl.col("usual")))
    differs = names.filter("differs")
    pair = pl.concat_str("requested_model", "served_model", separator=" → ")
    keys = ["requested_model", "served_model", "configured"]
    rows = (
        calls.with_columns(configured=_said("configured_model"))
        .join(differs.select(*keys, "alias"), on=keys, nulls_equal=True, maintain_order="left")
        .with_columns(pair=pair)
    )

    def found(name: str, part: pl.DataFrame) -> Found:
        asked, served = part.row(0, named=True)["requested_model"], part.row(0, named=True)["served_model"]
        values = {"a": asked, "b": served}
        if part["alias"].all():
            alias = "{n:request} asked for {a}, which is taken for an alias; the gateway recorded {b}."
            return Found(_hits(part), calls["request"], values, name, alias, "CX")
        return Found(_hits(part), calls["request"], values, name)

    return _each(rows, "pair", found, calls["request"])


NAMES = ("model.requested_model", "model.served_model")


def _snapshots(facts: Facts) -> list[Found] | Unknown:
    asked = pl.coalesce(_said("configured_model"), "requested_model")
    calls = facts.responses.filter(pl.col("completed") & pl.col("fallback").is_null()).with_columns(
        alias=asked.str.replace(r"^[A-Za-z_]+/", ""), fingerprint=_said("system_fingerprint")
    )
    calls = calls.drop_nulls("alias").filter(_pin("alias").is_null())
    if not (calls["served_model"].count() or calls["fingerprint"].count()):
        return Unknown("no call that asked for an alias states what answered", NAMES)
    known = calls.filter(pl.coalesce("served_model", "fingerprint").is_not_null())["request"]
    # A name without a snapshot says less than one with it, and nothing else.
    calls = calls.with_columns(served=_model("served_model"), base=_base("served_model"), pin=_pin("served_model"))
    stated = calls.with_columns(vague=pl.col("pin").is_null() & pl.col("pin").is_not_null().any().over("alias", "base"))
    calls = stated.with_columns(served=pl.when(~pl.col("vague")).then("served"))
    served = _over_time(calls, "served")
    several = served.filter(pl.len().over("alias") > 1)
    prints = _over_time(calls.filter(~pl.col("alias").is_in(several["alias"].implode())), "fingerprint")
    changed = facts.of("change", columns=("change_key", "change_old", "change_new"))

    def found(column: str, spans: pl.DataFrame) -> Callable[[str, pl.DataFrame], Found]:
        def of(alias: str, part: pl.DataFrame) -> Found:
            values = spans.filter(pl.col("alias") == alias)
            told = [
                f"{value} ({Count(n):call}, {_moment(first)} to {_moment(last)})"
                for value, n, first, last in values.select("value", "n", "first", "last").iter_rows()
            ]
            names = [alias, *values["value"].to_list()]
            recorded = changed.filter(
                pl.any_horizontal(
                    pl.col(name).is_in(names).fill_null(value=False)
                    for name in ("change_key", "change_old", "change_new")
                )
            )
            change = "a change record names it" if recorded.height else "no change record of it was supplied"
            statement = None
            if column == "fingerprint":
                statement = "Alias {a} answered with {k} fingerprints, one after another: {told}; {change}."
            shown = {"a": alias, "k": values.height, "told": "; ".join(told), "change": change}
            one = values["event_id"].drop_nulls().to_list()[:EVENTS]
            rows = part.with_columns(seen=pl.lit(one, pl.List(pl.String)))
            return Found(_hits(rows, "seen"), known, shown, subject=alias, statement=statement)

        return of

    made: list[Found] = []
    for column, spans in (("served", several), ("fingerprint", _switches(calls, prints))):
        first = spans.group_by("alias", maintain_order=True).agg(pl.col("value").first())
        rows = calls.join(first, on="alias").filter(pl.col(column) != pl.col("value")).drop("value")
        if rows.height:
            made += _each(rows, "alias", found(column, spans), known)
    return made or [Found(_hits(calls.clear()), known)]


def _over_time(calls: pl.DataFrame, column: str) -> pl.DataFrame:
    """What each alias answered with: alias, value, n, first and last (ns), first event; by alias and time."""
    ordered = calls.drop_nulls(column).sort("t", "event_id", nulls_last=True)
    spans = ordered.group_by("alias", pl.col(column).alias("value"), maintain_order=True).agg(
        n=pl.len(),
        first=pl.col("t").min(),
        last=pl.col("t").max(),
        # What is tied to its request by time alone would make each hit that cites it an inference.
        event_id=pl.col("event_id").filter(pl.col("sure").fill_null(value=True)).first(),
    )
    return spans.sort("alias", "first", "value", nulls_last=True)


def _switches(calls: pl.DataFrame, prints: pl.DataFrame) -> pl.DataFrame:
    """`prints` of aliases that changed from one fingerprint to the next: hosts that answer by turns do not count."""
    several = prints.drop_nulls(["first", "last"]).filter(pl.len().over("alias") > 1)
    if several.is_empty():
        return several
    after = several.with_columns(follows=pl.col("first").shift(-1).over("alias"))
    rows = calls.join(after.select("alias", "follows", fingerprint="value"), on=["alias", "fingerprint"])
    late = rows.group_by("alias").agg(share=(pl.col("t") >= pl.col("follows")).fill_null(value=False).mean())
    return several.join(late.filter(pl.col("share") <= SWITCHES["interleaved"]), on="alias", how="semi")


def _fallback(facts: Facts) -> list[Found] | Unknown:
    calls = facts.responses.with_columns(turn=pl.coalesce("request", "event_id"))
    several = (pl.len().over("call") > 1) & pl.col("call").is_not_null()
    if not (calls["fallback"].count() or calls["attempt"].count() or calls.select(several.any()).item()):
        return Unknown("no record tells attempts or fallbacks apart", ("model.fallback", "model.attempt"))
    chosen = _answered(facts).with_columns(turn=pl.coalesce("request", "event_id"))
    ended = pl.col("outcome").is_in(["error", "timeout"])
    why = pl.coalesce("error_type", "outcome")
    trigger = pl.when(pl.col("http_status").is_not_null()).then(pl.format("{} ({})", why, "http_status")).otherwise(why)
    tried = calls.filter(ended).select(
        "turn",
        "call",
        "t",
        tried="event_id",
        trigger=trigger,
        wanted="requested_model",
        wanted_base=_base("requested_model"),
        served_before=_base("served_model"),
    )
    other = (pl.col("wanted_base") != pl.col("asked")) & (pl.col("served_before") != pl.col("served")).fill_null(
        value=True
    )
    chosen = chosen.with_columns(asked=_base("requested_model"), served=_base("served_model"))
    pairs = chosen.drop_nulls("call").join(tried.drop("turn"), on="call", suffix="_tried").filter(other)
    # A gateway that says that it fell back need not give both calls one id.
    loose = chosen.filter(pl.col("fallback").is_not_null() & ~pl.col("event_id").is_in(pairs["event_id"].implode()))
    loose = loose.join(tried.drop("call"), on="turn", suffix="_tried", how="left")
    asked = facts.of("prompt", columns=("request", "requested_model")).drop_nulls().group_by("request")
    rows = pl.concat([pairs.select(loose.columns), loose]).join(
        asked.agg(app=pl.col("requested_model").first()), on="request", how="left"
    )
    rows = rows.with_columns(
        to=pl.coalesce("fallback", "requested_model", "served_model"), of=pl.coalesce("wanted", "app")
    ).with_columns(to=pl.col("to").fill_null("a model that no record names"))

    def found(name: str, part: pl.DataFrame) -> Found:
        triggers, wanted = _most(part["trigger"]), _most(part["of"])
        after = f"after {_named(triggers)}" if triggers else "after a call of which no record was supplied"
        of = f" on {_named(wanted)}" if wanted else ""
        return Found(_hits(part, "tried"), chosen["request"], {"b": name, "after": after, "on": of}, subject=name)

    return _each(rows, "to", found, chosen["request"])


def _by_length(facts: Facts) -> list[Found]:
    known = _answered(facts).drop_nulls("finish_reason")
    return [Found(_hits(known.filter(pl.col("finish_reason").str.contains(LENGTH))), known["request"])]


def _refused(facts: Facts) -> list[Found]:
    calls = facts.responses
    reason = pl.coalesce(
        *(pl.when(value.str.contains(REFUSED)).then(value) for value in (pl.col("finish_reason"), _said("error_code"))),
        pl.when(pl.col("error_type").str.contains("(?i)content_?filter|content_?policy")).then("error_type"),
    )
    known = calls.filter(pl.any_horizontal(pl.col("finish_reason", "error_type").is_not_null()))
    rows = known.with_columns(reason=reason.str.to_lowercase()).drop_nulls("reason")

    def found(name: str, part: pl.DataFrame) -> Found:
        statuses = part["http_status"].drop_nulls().unique().sort().cast(pl.String).to_list()
        return Found(
            _hits(part), known["request"], {"reason": name, "status": _named(statuses) or "not recorded"}, subject=name
        )

    return _each(rows, "reason", found, known["request"])


def _ambiguous(facts: Facts) -> list[Found]:
    calls = facts.responses.filter("completed", "answers").drop_nulls("request")
    answered = calls["request"]
    done = calls.filter((pl.col("outcome") != "cancelled").fill_null(value=True))
    # Attempts of one call, or the same prompt sent again through the same log. Steps of an agent are neither.
    answers, texts = pl.col("answer"), pl.col("output_hash")
    same = ["request", "format", "input_hash"]
    again = done.drop_nulls("input_hash").filter((answers.n_unique().over(same) > 1) & _differ(texts, same))
    attempts = done.drop_nulls("call").filter((answers.n_unique().over("call") > 1) & _differ(texts, ["call"]))
    rows = pl.concat([attempts, again]).unique("event_id", maintain_order=True)
    if rows.is_empty():
        return [Found(_hits(rows), answered)]
    rows = rows.with_columns(known=pl.col("delivered_").fill_null(value=False).any().over("request"))
    unknown = rows.filter(~pl.col("known"))
    judged = _judged(facts, rows)
    sides = rows.filter("known").join(judged, on="event_id", how="left", maintain_order="left")
    sides = sides.with_columns(
        held=(pl.col("delivered_").fill_null(value=False) & pl.col("judgement").is_not_null()).any().over("request"),
        told=pl.col("judgement").is_not_null().any().over("request"),
    )
    mismatch = sides.filter(pl.col("told") & ~pl.col("held")).sort("request", "t", "event_id", nulls_last=True)
    return [
        Found(_hits(mismatch, "judgement"), answered),
        Found(
            _hits(unknown),
            answered,
            attention="EG",
            statement="Several completed attempts exist in {n:request}, and which of them was delivered is not in the "
            "supplied logs.",
        ),
    ]


def _differ(texts: pl.Expr, over: Sequence[str]) -> pl.Expr:
    """Whether the texts are not known to be the same."""
    return (texts.n_unique().over(over) > 1) | (texts.null_count().over(over) > 0)


def _judged(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    """Which of the calls `rows` a filter evaluated: event_id, and ``judgement``, its decision."""
    verdicts = facts.verdicts.filter((pl.col("policy_stage") != "input").fill_null(value=True))
    decided = verdicts.select(
        "request", judgement="event_id", response_id="response_id", text="input_hash", out="output_hash"
    )
    mine = rows.select("request", "event_id", "response_id", "output_hash")
    evaluated = (pl.col("relation") == "evaluated") & pl.col("to_event").is_not_null()
    links = facts.links(evaluated, "from_event", "to_event")
    linked = links.select(judgement="from_event", event_id="to_event").join(decided.select("judgement"), on="judgement")
    by_id = mine.join(decided.drop_nulls("response_id"), on=["request", "response_id"])
    texts = pl.concat([decided.select("request", "judgement", output_hash=name) for name in ("text", "out")])
    by_text = mine.join(texts.drop_nulls("output_hash"), on=["request", "output_hash"])
    every = pl.concat([one.select("event_id", "judgement") for one in (linked, by_id, by_text)])
    return every.join(mine, on="event_id", how="semi").group_by("event_id").agg(pl.col("judgement").min())


CACHED = ("event_id", "request", "user", "tenant", "t", "doubt", "response_id", "requested_model", "cache")
HIT = pl.col("cache").str.to_lowercase().str.ends_with("hit")


def _any_cached(facts: Facts) -> bool:
    """Whether any answer came from a cache."""
    return not facts.of("model", columns=("cache",)).filter(HIT).is_empty()


def _cached(facts: Facts) -> pl.DataFrame:
    """Answers from a cache: the hit's columns, and ``from_…``, those of what filled the cache.

    Hits whose origin is in none of the logs, or is a hit itself, are left out; so is what a request kept for itself.
    """
    hits = facts.of("model", columns=CACHED).filter(HIT)
    whose = facts.tables["requests"].select("request", of_user="user", of_tenant="tenant")
    links = facts.links(pl.col("relation") == "served_from_cache_of", "from_event", "to_event").drop_nulls("to_event")
    filled = links.filter(~pl.col("to_event").is_in(hits["event_id"].implode()))["to_event"].unique()
    origin = (
        facts.named(filled, "request", "user", "tenant", "t_end", "doubt", "requested_model")
        .join(whose, on="request", how="left")
        .select(
            "event_id",
            from_request="request",
            from_user=pl.coalesce("user", "of_user"),
            from_tenant=pl.coalesce("tenant", "of_tenant"),
            from_t="t_end",
            from_doubt="doubt",
            from_requested="requested_model",
        )
    )
    pairs = links.select(event_id="from_event", from_event="to_event").drop_nulls().unique("event_id", keep="first")
    found = hits.join(pairs, on="event_id").join(origin, left_on="from_event", right_on="event_id")
    found = found.filter(pl.col("from_request").ne_missing(pl.col("request")) | pl.col("request").is_null())
    return found.join(whose, on="request", how="left").with_columns(
        user=pl.coalesce("user", "of_user"), tenant=pl.coalesce("tenant", "of_tenant")
    )


ORIGIN = Unknown(
    "answers from a cache are recorded, and the records of the calls that filled it are not in the supplied logs",
    ("model.refs",),
)


def _other_identity(facts: Facts) -> list[Found] | Unknown:
    if str(facts.declared.get("cache_scope", "")).lower() == "global":
        return Unknown("the team declared that cached answers may go to anyone (cache_scope: global)")
    hits = _cached(facts)
    if hits.is_empty():
        return ORIGIN if _any_cached(facts) else []
    shared = facts.declared.get("shared_tenants")
    open_to_all = [str(one) for one in shared] if isinstance(shared, Sequence) and not isinstance(shared, str) else []
    hits = hits.filter(~pl.col("from_tenant").is_in(open_to_all).fill_null(value=False))
    known = hits.filter(
        (pl.col("user").is_not_null() & pl.col("from_user").is_not_null())
        | (pl.col("tenant").is_not_null() & pl.col("from_tenant").is_not_null())
    )
    if known.is_empty():
        return Unknown("cached answers and their first calls name no user or tenant on both sides", ("model.user",))
    user = (pl.col("user") != pl.col("from_user")).fill_null(value=False)
    tenant = (pl.col("tenant") != pl.col("from_tenant")).fill_null(value=False)
    who = pl.when(user & tenant).then(pl.lit("user and tenant")).when(tenant).then(pl.lit("tenant"))
    seen = facts.reached.select("request", "shown", reach=pl.coalesce("shown", "delivered"))
    rows = known.filter(user | tenant).join(seen, on="request", how="left", maintain_order="left")
    rows = rows.with_columns(whose=who.otherwise(pl.lit("user")), of=pl.coalesce("response_id", "from_event"))
    made: list[Found] = []
    for reached, attention in ((True, "RU"), (False, "CC")):
        part = rows.filter(pl.col("reach").is_not_null() == reached)

        def found(name: str, of: pl.DataFrame, attention: str = attention) -> Found:
            whose = " or ".join(_most(of["whose"]))
            return Found(
                _hits(of, "from_event", "reach"), known["request"], {"r": name, "whose": whose}, name, None, attention
            )

        if part.height:
            made += _each(part, "of", found, known["request"])
    return made or [Found(_hits(rows.clear()), known["request"])]


def _in_force(facts: Facts) -> pl.DataFrame:
    """What each request had in force: request, what, key, value; where it had one value of a key."""
    dimensions = (
        ("prompt template", "template_name", "template_version"),
        ("content of the prompt template", "template_name", "template_hash"),
        ("index", "index_name", "index_version"),
        ("policy", "policy_name", "policy_version"),
    )
    parts = [
        facts.look("request", key, value)
        .drop_nulls(["request", value])
        .select("request", what=pl.lit(what), key=pl.col(key).fill_null(""), value=value)
        for what, key, value in dimensions
    ]
    rows = pl.concat(parts).unique()
    return rows.filter(pl.len().over("request", "what", "key") == 1)


def _other_context(facts: Facts) -> list[Found] | Unknown:
    hits = _cached(facts).drop_nulls(["request", "from_request"])
    if hits.is_empty():
        return ORIGIN if _any_cached(facts) else []
    needed = pl.concat([hits["request"], hits["from_request"]]).unique().implode()
    force = _in_force(facts).filter(pl.col("request").is_in(needed))
    was = force.select(from_request="request", what="what", key="key", was="value")
    pairs = hits.select("event_id", "request", "from_request", "from_event", "t").join(force, on="request")
    pairs = pairs.join(was, on=["from_request", "what", "key"])
    model = hits.drop_nulls(["requested_model", "from_requested"]).select(
        *("event_id", "request", "from_request", "from_event", "t"),
        what=pl.lit("model asked for"),
        key=pl.lit(""),
        value="requested_model",
        was="from_requested",
    )
    pairs = pl.concat([pairs, model.select(pairs.columns)])
    # A change between the two times, where no clock leaves the order open.
    told = ("event_id", "t", "doubt", "change_scope", "change_key", "change_new", "change_old")
    changes = facts.of("change", columns=told).drop_nulls(["t", "doubt", "change_new", "change_old"])
    client = pl.col("change_scope").str.contains("(?i)client|page|ui").fill_null(value=False)
    changes = changes.filter((pl.col("change_new") != pl.col("change_old")) & ~client).sort("t", "event_id")
    timed = hits.drop_nulls(["t", "from_t", "doubt", "from_doubt"]).sort("t", "event_id")
    after = timed.join_asof(
        changes.select(
            "t", changed="t", change_doubt="doubt", change="event_id", what="change_key", value="change_new"
        ).with_columns(was=changes["change_old"], scope=changes["change_scope"]),
        on="t",
        check_sortedness=False,
    ).filter(
        (pl.col("t") - pl.col("changed") > pl.col("doubt") + pl.col("change_doubt"))
        & (pl.col("changed") - pl.col("from_t") > pl.col("from_doubt") + pl.col("change_doubt"))
    )
    differ = pairs.filter(pl.col("value") != pl.col("was")).with_columns(change=pl.lit(None, pl.String))
    after = after.with_columns(
        what=pl.concat_str(pl.col("scope").fill_null("setting"), pl.col("what").fill_null(""), separator=" ")
    )
    columns = ["event_id", "request", "from_event", "t", "what", "value", "was", "change"]
    rows = pl.concat([differ.select(columns), after.select(columns)]).unique(maintain_order=True)
    evaluable = pl.concat([pairs["request"], timed["request"]]) if changes.height else pairs["request"]
    if evaluable.is_empty():
        return Unknown(
            "no version is recorded of both a cached answer's request and the request that filled the cache",
            ("prompt.template_version", "retrieval.index_version", "policy.policy_version"),
        )

    def found(name: str, part: pl.DataFrame) -> Found:
        old, new = _named(_most(part["was"])), _named(_most(part["value"]))
        return Found(_hits(part, "from_event", "change"), evaluable, {"what": name, "old": old, "new": new}, name)

    return _each(rows, "what", found, evaluable)


def _one_for_many(facts: Facts) -> list[Found] | Unknown:
    if not _any_cached(facts):
        return []
    columns = ("event_id", "request", "t", "cache", "refs", "response_id", "input_hash")
    hits = facts.of("model", columns=columns).filter(HIT)
    named = pl.col("refs").list.eval(
        pl.element().filter(pl.element().struct.field("role") == "cache_origin").struct.field("value")
    )
    hits = hits.with_columns(of=pl.coalesce(named.list.first(), "response_id"))
    told = ("event_id", "request", "t", "input_hash")
    sent = facts.of("prompt", "prompt.rendered", "prompt.sent", columns=told).drop_nulls(["request", "input_hash"])
    sent = sent.group_by("request").agg(sent=pl.col("input_hash").sort_by("t", "event_id").last())
    hits = hits.join(sent, on="request", how="left", maintain_order="left")
    hits = hits.with_columns(asked=pl.coalesce("input_hash", "sent")).drop_nulls(["of", "asked"])
    if hits.is_empty():
        return Unknown(
            "answers from a cache state no response id, or no prompt", ("model.response_id", "model.input_hash")
        )
    many = hits.filter(pl.col("asked").n_unique().over("of") >= ONE_FOR_MANY["prompts"])

    def found(name: str, part: pl.DataFrame) -> Found:
        return Found(_hits(part), hits["request"], {"r": name, "k": part["asked"].n_unique()}, subject=name)

    return _each(many, "of", found, hits["request"])


def _cut_streams(facts: Facts) -> list[Found]:
    streams = facts.responses.filter(pl.col("stream"))
    begun = pl.col("output_hash").is_not_null() | pl.col("first").is_not_null() | (pl.col("output_tokens") > 0)
    broken = pl.col("outcome").is_in(["error", "timeout"]) & begun.fill_null(value=False)
    aborted = (pl.col("outcome") == "cancelled") | pl.col("finish_reason").str.contains("(?i)^(abort|cancel)")
    early = streams.filter((aborted.fill_null(value=False) | broken).fill_null(value=False))
    stopped = facts.of("ui", "ui.stopped", columns=("event_id", "request")).drop_nulls("request").group_by("request")
    early = early.join(stopped.agg(stop=pl.col("event_id").first()), on="request", how="left", maintain_order="left")
    # Only a log that states an end for most answered streams tells that one has none.
    ends = pl.col("finish_reason").is_not_null()
    answered = streams.filter(~pl.col("event_id").is_in(early["event_id"].implode())).filter(
        (pl.col("outcome") == "ok").fill_null(value=True) & begun.fill_null(value=False)
    )
    usual = answered.group_by("format").agg(share=ends.mean()).filter(pl.col("share") >= SOME["share"])
    open_ = answered.filter(~ends).join(usual, on="format", how="semi")
    return [
        Found(_hits(early, "stop"), streams["request"]),
        Found(
            _hits(open_),
            streams["request"],
            attention="EG",
            status="DER",
            statement="Of the streamed answer in {n:request} no end is recorded, although the same log states one for "
            "others.",
        ),
    ]


SOME = {"share": 0.5}


def _tokens(facts: Facts) -> list[Found] | Unknown:
    calls = facts.responses.filter(
        "completed", "answers", pl.col("input_tokens") > 0, pl.col("cache").str.to_lowercase().ne_missing("hit")
    )
    calls = calls.drop_nulls("request")
    prompts = (
        facts.of("prompt", columns=("event_id", "request", "call", "input_tokens"))
        .filter(pl.col("input_tokens") > 0)
        .drop_nulls("request")
    )
    counted = prompts.select("request", "call", counted="input_tokens", prompt="event_id")
    about = calls.join(counted.drop_nulls("call").drop("request"), on="call")
    sole = calls.filter(pl.len().over("request") == 1).join(
        counted.filter(pl.col("call").is_null() & (pl.len().over("request") == 1)).drop("call"), on="request"
    )
    pairs = pl.concat([about, sole.select(about.columns)]).filter(pl.len().over("event_id") == 1)
    if pairs.is_empty():
        return Unknown(
            "no prompt record with a token count is tied to one model call with one", ("prompt.input_tokens",)
        )
    share = (pl.col("input_tokens") - pl.col("counted")).abs() / pl.col("counted")
    rows = pairs.with_columns(share=share).filter(pl.col("share") > TOKENS["difference"])
    widest = rows.sort("share", "event_id", descending=[True, False]).select("counted", "input_tokens").head(1).rows()
    a, b = widest[0] if widest else (0, 0)
    return [Found(_hits(rows, "prompt"), pairs["request"], {"a": a, "b": b})]


TOOL = r"^(?:execute_tool|tools/call)\s+(\S+)"


def _unapproved(facts: Facts) -> list[Found] | Unknown:
    needs, allowed = (facts.declared.get(name) for name in ("needs_approval", "allowed_tools"))
    lists = {
        name: [str(one) for one in given]
        for name, given in (("needs_approval", needs), ("allowed_tools", allowed))
        if isinstance(given, Sequence) and not isinstance(given, str)
    }
    if not lists:
        return Unknown(
            "which tools need an approval, or are allowed, is not declared",
            ("declared.needs_approval", "declared.allowed_tools"),
        )
    events = facts.look("event_id", "request", "layer", "kind", "name", "t", "doubt", "attributes")
    events = events.filter(pl.col("layer") != "policy")
    kinds = ("span_kind", "type", "step_type", "run_type", "kind")
    is_tool = pl.any_horizontal(
        *(_said(name).str.to_lowercase().is_in(["tool", "tool_call"]).fill_null(value=False) for name in kinds),
        pl.col("kind").str.starts_with("tool."),
    )
    by_name = pl.col("name").str.extract(TOOL, 1)
    stated = pl.coalesce(_said("tool"), _said("tool_name"), by_name, pl.when(is_tool).then("name"))
    step = pl.when((pl.col("kind") == "app.step") & pl.col("name").is_in(lists.get("needs_approval", []))).then("name")
    runs = events.with_columns(tool=pl.coalesce(stated, step)).drop_nulls("tool")
    if runs.is_empty():
        return Unknown("no record of a tool that ran", ("*.attributes.tool",))
    made: list[Found] = []
    if "needs_approval" in lists:
        words = pl.concat_str(
            [pl.col(name).fill_null("") for name in ("kind", "name", "policy_name", "policy_stage")], separator=" "
        )
        refused = pl.col("outcome").is_in(["error", "blocked", "cancelled"]) | pl.col("verdict").is_in(
            ["block", "challenge", "error"]
        )
        told = ("request", "kind", "name", "outcome", "policy_name", "policy_stage", "verdict", "t", "doubt")
        given = (
            facts.look(*told)
            .filter(words.str.contains("(?i)approv|confirm|consent") & ~refused.fill_null(value=False))
            .drop_nulls("request")
        )
        given = given.group_by("request").agg(approved=pl.col("t").min(), unsure=pl.col("doubt").max(), some=pl.len())
        rows = runs.filter(pl.col("tool").is_in(lists["needs_approval"])).join(
            given, on="request", how="left", maintain_order="left"
        )
        # An approval counts unless it was surely given after the tool ran.
        late = (pl.col("approved") - pl.col("t") > pl.col("unsure") + pl.col("doubt")).fill_null(value=False)
        rows = rows.filter(pl.col("some").is_null() | late)
        made += _each(rows, "tool", _tool_run(runs, None), runs["request"]) if rows.height else []
    if "allowed_tools" in lists:
        rows = runs.filter(~pl.col("tool").is_in(lists["allowed_tools"]))
        statement = "{tool} ran in {n:request}, first at {at}; the declared list of allowed tools does not name it."
        made += _each(rows, "tool", _tool_run(runs, statement), runs["request"]) if rows.height else []
    return made or [Found(_hits(runs.clear()), runs["request"])]


def _tool_run(runs: pl.DataFrame, statement: str | None) -> Callable[[str, pl.DataFrame], Found]:
    def found(name: str, part: pl.DataFrame) -> Found:
        values = {"tool": name, "at": _moment(part["t"].min())}
        return Found(_hits(part), runs["request"], values, subject=name, statement=statement)

    return found


CHECKS: tuple[Check, ...] = (
    Check(
        id="M-01",
        name="served-differs-from-requested",
        layers=("model",),
        attention="DV",
        status="OBS",
        needs=NAMES,
        rule=_substituted,
        statement="{n:request} asked for {a}; the gateway recorded {b}.",
        question="What is the name that was asked for set up to mean, and since when?",
        alternatives=(
            "The name asked for is an alias or a deployment that stands for this model: declare alias_map.",
            "The two records write one model in two ways.",
        ),
    ),
    Check(
        id="M-02",
        name="alias-resolved-to-several-snapshots",
        layers=("model",),
        attention="DV",
        status="DER",
        needs=("model.requested_model",),
        rule=_snapshots,
        statement="Alias {a} resolved to {k} snapshots: {told}; {change}. {n:request} got another than the first.",
        question="What announced the other snapshot, and how would the team see it?",
        alternatives=(
            "The alias is spread over several models by design.",
            "A fingerprint differs from host to host.",
        ),
        parameters=SWITCHES,
    ),
    Check(
        id="M-03",
        name="fallback-served",
        layers=("model",),
        attention="DV",
        status="OBS",
        needs=("kind:model.call",),
        rule=_fallback,
        statement="The delivered response of {n:request} came from fallback {b} {after}{on}.",
        question="How does what follows (prompt, filter, page) treat an answer of the fallback?",
        alternatives=(CHOSEN_NOTE,),
    ),
    Check(
        id="M-04",
        name="ended-by-length",
        layers=("model",),
        attention="CC",
        status="OBS",
        needs=("model.finish_reason",),
        rule=_by_length,
        statement="The response of {n:request} stopped at the token limit; its text is incomplete by record.",
        question="What did the page do with a response that stopped at the limit?",
        alternatives=("Short outputs are intended here.", CHOSEN_NOTE),
    ),
    Check(
        id="M-05",
        name="provider-refusal-or-filter",
        layers=("model",),
        attention="CX",
        status="OBS",
        needs=("model.finish_reason",),
        rule=_refused,
        statement="The provider ended the response of {n:request} with {reason}; HTTP status: {status}.",
        question="What does the application do with a response that ended so, and what does the page show?",
        alternatives=("A filter of the gateway reports itself in the provider's words.",),
    ),
    Check(
        id="M-06",
        name="retry-ambiguity",
        layers=("model", "policy"),
        attention="SG",
        status="DER",
        needs=("kind:model.call",),
        rule=_ambiguous,
        statement="Several completed attempts exist in {n:request}; the filter's record matches one, and the record of "
        "what was delivered another.",
        question="How is one of several completed attempts chosen, and what does the filter get to see?",
        alternatives=(
            "Several samples of one prompt are wanted, and one is chosen.",
            "The filter's record of the delivered attempt is not in the supplied logs.",
        ),
    ),
    Check(
        id="M-08",
        name="cached-answer-from-other-identity",
        layers=("model",),
        attention="RU",
        status="DER",
        needs=("model.cache",),
        rule=_other_identity,
        statement="Response {r}, first produced for a different {whose}, was returned from cache in {n:request}. "
        "Whether it held personal content needs human review.",
        question="What is the cache's key made of, and whose answers may it share?",
        alternatives=(
            "The cache is shared by design, for public content: declare cache_scope.",
            "Hashed ids were rotated between the two calls.",
        ),
    ),
    Check(
        id="M-09",
        name="cache-context-mismatch",
        layers=("model",),
        attention="CC",
        status="DER",
        needs=("model.cache",),
        rule=_other_context,
        statement="Cached answers produced under {what} {old} were returned after {new} was in use ({n:request}).",
        question="What empties the cache, or enters its key, when this setting changes?",
        alternatives=("The setting is left out of the cache's key by design.",),
    ),
    Check(
        id="M-10",
        name="one-cached-answer-many-questions",
        layers=("model",),
        attention="CC",
        status="DER",
        needs=("model.cache",),
        rule=_one_for_many,
        statement="One cached response ({r}) answered {k} different prompts, in {n:request}.",
        question="How near must a prompt be to another for the cache to answer it?",
        alternatives=("The prompts differ in what does not matter to the answer (a date, a name).",),
        parameters=ONE_FOR_MANY,
        core=False,
    ),
    Check(
        id="M-13",
        name="stream-ended-early",
        layers=("model",),
        attention="CC",
        status="OBS",
        needs=("model.stream",),
        rule=_cut_streams,
        statement="The streamed response of {n:request} ended early by record: cancelled, cut off by an error, or out "
        "of time.",
        question="What did the page keep of a stream that ended so?",
        alternatives=("The user stopped it.",),
        parameters=SOME,
        core=False,
    ),
    Check(
        id="M-14",
        name="token-count-mismatch",
        layers=("prompt", "model"),
        attention="DV",
        status="INF",
        needs=("prompt.input_tokens", "model.input_tokens"),
        rule=_tokens,
        statement="The token counts of prompt layer and gateway differ by more than a fifth in {n:request}; the widest "
        "apart are {a} and {b}. What differs is not in the records.",
        question="What is added to the prompt between the two counts?",
        alternatives=("The two use different tokenizers.", "One counts the schemas of tools."),
        parameters=TOKENS,
        core=False,
    ),
    Check(
        id="M-15",
        name="action-without-recorded-approval",
        layers=("model",),
        attention="SG",
        status="DER",
        needs=(),
        rule=_unapproved,
        statement="{tool} ran in {n:request}, first at {at}; no approval record was found in the supplied logs.",
        question="Where are approvals of this tool recorded, and what would show one?",
        alternatives=("Approvals are logged elsewhere.",),
        core=False,
    ),
)
