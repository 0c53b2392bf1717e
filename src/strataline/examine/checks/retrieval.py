"""Checks of the retrieval layer: whether documents were found, which ones, and of what version.

What a team may declare for them:

- ``retrieval_thresholds``: the score that a best match reaches; a number, or index → number;
- ``score_kind``: ``similarity`` or ``distance``; one word, or index → word;
- ``shared_tenants``: list of tenants whose documents are for all;
- ``excluded_labels``: route → list of labels that no document for it has (``*``: any route);
- ``index_embedding_models``: index → embedding model that it was built with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from strataline.event import LAYERS
from strataline.examine.check import HITS, Check, Found, Unknown, capped, moment
from strataline.examine.contrast import compare
from strataline.examine.facts import Facts

SEARCHES = ("retrieval.query", "retrieval.rerank")
OPERATIONS = (*SEARCHES, "retrieval.request", "retrieval.embed")
COUNTED = ("result_count", "results_count", "n_results", "num_results", "returned_rows", "rows", "hits", "total_hits")
BEFORE = ("candidates", "candidate_count", "pre_filter_count", "prefilter_count", "before_filter", "rerank_in")
LABELS = ("document_labels", "doc_labels", "labels", "label")
EMBEDDED_BY = ("embedding_model", "embed_model", "embed")
SHARED = ("public", "shared", "global", "common")

WINDOW_S = 3600
PERCENTILE = 0.05
LEAST = 20
DUPLICATED = 0.4
REPLACED = r"(?i)^(deleted|removed|tombstone|withdrawn|retired|expired)$"
GONE = "~"
"""Sorts behind every version."""

NOTHING = pl.DataFrame(schema=HITS)


def _whole(names: Iterable[str]) -> pl.Expr:
    """The first whole number that an event's attributes hold under one of `names`."""
    said = (pl.col("attributes").map.get(name) for name in names)
    return pl.coalesce(one.str.extract(r"^\s*(\d+)\b").cast(pl.Int64, strict=False) for one in said)


def _said(names: Iterable[str]) -> pl.Expr:
    return pl.coalesce(pl.col("attributes").map.get(name) for name in names)


def _operations(facts: Facts) -> pl.DataFrame:
    """Retrieval operations of requests, with ``found`` (how many documents they gave, if known) and ``broke``."""
    columns = ("event_id", "request", "kind", "t", "doubt", "clock", "seq", "outcome", "error_type", "index_name")
    rows = facts.of("retrieval", *OPERATIONS, "retrieval.slow_query", columns=(*columns, "documents", "attributes"))
    return rows.with_columns(
        found=pl.coalesce(pl.col("documents").list.len().cast(pl.Int64), _whole(COUNTED)),
        broke=pl.col("outcome").is_in(["error", "timeout"]).fill_null(value=False),
    )


def _in_prompt(facts: Facts) -> pl.Series:
    """Requests whose rendered prompt lists documents."""
    listed = facts.of("prompt", columns=("request", "documents")).filter(pl.col("documents").list.len() > 0)["request"]
    return listed.drop_nulls().unique()


def _answered(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """`rows` (request, t, doubt, clock) with ``answer``: the last completed model call, if it is not surely earlier."""
    last = facts.responses.filter("last").select(
        "request", answer="event_id", ended="t_end", answer_doubt="doubt", answer_clock="clock"
    )
    rows = rows.join(last, on="request", how="left", maintain_order="left")
    slack = (
        pl.when(pl.col("clock") == pl.col("answer_clock")).then(0).otherwise(pl.col("doubt") + pl.col("answer_doubt"))
    )
    earlier = (pl.col("ended") + slack < pl.col("t")).fill_null(value=False)
    return rows.with_columns(answer=pl.when(~earlier).then("answer"))


def _zero_results(facts: Facts) -> list[Found] | Unknown:
    every = _operations(facts).filter(~pl.col("broke") & pl.col("request").is_not_null())
    rows = every.drop_nulls("found")
    if not rows.height:
        return Unknown("no record says how many documents a query returned", ("retrieval.documents",))
    # What another index gave to the same request, no record says; a search and the store's log of it name one index.
    asked = every.group_by("request", "index_name").agg(pl.col("found").max()).drop_nulls("index_name")
    silent = asked.filter(pl.col("found").is_null())["request"].unique()
    rows = rows.filter(~pl.col("request").is_in(silent.implode()))
    empty = (
        rows.filter(
            (pl.col("found").max().over("request") == 0) & ~pl.col("request").is_in(_in_prompt(facts).implode())
        )
        .group_by("request", maintain_order=True)
        .agg(pl.col("event_id").head(4), pl.col("t").first(), pl.col("doubt").first(), pl.col("clock").first())
    )
    hits = (
        _answered(empty, facts)
        .drop_nulls("answer")
        .select("request", events=pl.concat_list("event_id", pl.concat_list("answer")))
    )
    return [Found(hits, rows["request"], {"empty": empty.height})]


def _low_scores(facts: Facts) -> list[Found] | Unknown:
    scored = facts.documents.filter(pl.col("kind") == "retrieval.query").drop_nulls(["score", "request"])
    if not scored.height:
        return Unknown("no query of a request has scored documents", ("retrieval.documents",))
    kinds, thresholds = facts.declared.get("score_kind"), facts.declared.get("retrieval_thresholds")
    if kinds is None:
        return Unknown(
            "whether a higher score is a better match is not declared, and scores of several kinds do not compare",
            ("declared.score_kind",),
        )
    if thresholds is None and facts.affected is None:
        return Unknown(
            "no threshold is declared, and no affected requests were named to compare with others",
            ("declared.retrieval_thresholds", "--affected"),
        )
    found = []
    for (index, model), part in scored.sort("t", "event_id", "rank", nulls_last=True).group_by(
        "index_name", "embedding_model", maintain_order=True
    ):
        kind, threshold = _of_index(kinds, index), _of_index(thresholds, index)
        if kind not in ("similarity", "distance"):
            continue
        far = kind == "distance"
        best = part.sort("score", "event_id", descending=[not far, False]).unique(
            "request", keep="first", maintain_order=True
        )
        limit = float(threshold) if isinstance(threshold, int | float) else None
        one = _below(best, limit, far, facts)
        if one is None:
            continue
        low, limit, basis = one
        low = low.sort("t", "event_id", nulls_last=True)
        values = {
            "index": index or "(unnamed)",
            "score": low.select((pl.col("score").max() if far else pl.col("score").min()).round(4)).item(),
            "limit": round(limit, 4),
            "basis": basis,
            "side": "above" if far else "below",
        }
        hits = low.select("request", events=pl.concat_list("event_id"))
        found.append(
            Found(hits, best["request"], values, subject=f"{index or '(unnamed)'}, {model or 'model unknown'}")
        )
    if not found:
        return Unknown(
            "of no index the kind of score is declared, with a threshold or enough queries to compare with",
            ("declared.score_kind", "declared.retrieval_thresholds", "--affected"),
        )
    return capped(found, "And {more:index} more whose best matches lie beyond the limit, in {n:request}.")


def _of_index(declared: object, index: object) -> object:
    return declared.get(str(index)) if isinstance(declared, Mapping) else declared


def _below(best: pl.DataFrame, limit: float | None, far: bool, facts: Facts) -> tuple[pl.DataFrame, float, str] | None:
    """Requests whose best match lies beyond the threshold, else beyond what is usual in the comparison set."""
    score = pl.col("score")
    if limit is not None:
        return best.filter(score > limit if far else score < limit), limit, "declared threshold"
    if facts.affected is None:
        return None
    usual = best.filter(pl.col("request").is_in(facts.affected.baseline.implode()))["score"]
    if usual.len() < LEAST:
        return None
    edge = usual.quantile(1 - PERCENTILE if far else PERCENTILE, "nearest")
    if edge is None:
        return None
    beyond = score > edge if far else score < edge
    values = best.select("request", value=pl.when(beyond).then(pl.lit("beyond")).otherwise(pl.lit("within")))
    differs = compare(values, facts.affected.requests, facts.affected.baseline, dimension="best match").filter(
        pl.col("shown") & (pl.col("value") == "beyond") & (pl.col("difference") > 0)
    )
    affected = best.filter(beyond & pl.col("request").is_in(facts.affected.requests.implode()))
    name = f"{'95th' if far else '5th'} percentile of the comparison set"
    return affected if differs.height else affected.clear(), edge, name


def _emptied(facts: Facts) -> list[Found] | Unknown:
    rows = _operations(facts).filter(pl.col("request").is_not_null()).with_columns(before=_whole(BEFORE))
    filtered = rows.filter(pl.col("kind") == "retrieval.query").drop_nulls(["before", "found"])
    emptied = filtered.filter((pl.col("before") > 0) & (pl.col("found") == 0)).sort("t", "event_id", nulls_last=True)
    named = facts.documents.drop_nulls(["id", "request"])
    kept = named.filter(pl.col("kind") == "retrieval.rerank")
    given = named.filter(pl.col("kind") == "retrieval.query")
    both = given.join(
        kept.select("request", "id").unique().with_columns(kept=pl.lit(value=True)), on=["request", "id"], how="left"
    )
    both = both.join(
        kept.select("request", reranked="event_id").unique("request", keep="last", maintain_order=True), on="request"
    )
    per = (
        both.sort("t", "event_id", "rank", nulls_last=True)
        .group_by("request", maintain_order=True)
        .agg(
            given=pl.col("id").n_unique(),
            kept=pl.col("id").filter(pl.col("kept")).n_unique(),
            top=(pl.col("kept") & (pl.col("rank") == 1)).fill_null(value=False).any(),
            query=pl.col("event_id").first(),
            reranked=pl.col("reranked").first(),
        )
        # Ids that have nothing in common are of two kinds: they show nothing.
        .filter(pl.col("kept") > 0)
    )
    if not filtered.height and not per.height:
        return Unknown(
            "no record counts candidates before a filter, and no rerank lists documents of a query",
            ("retrieval.candidates", "retrieval.documents"),
        )
    dropped = per.filter(~pl.col("top") & (pl.col("kept") < pl.col("given")))
    return [
        Found(NOTHING, pl.concat([filtered["request"], per["request"]])),
        Found(
            emptied.group_by("request", maintain_order=True).agg(events=pl.col("event_id").head(6)),
            filtered["request"],
            {"k": _total(emptied["before"]), "j": _total(emptied["found"])},
            subject="filter",
        ),
        Found(
            dropped.select("request", events=pl.concat_list("reranked", "query")),
            per["request"],
            {"k": _total(dropped["given"]), "j": _total(dropped["kept"])},
            subject="rerank",
            statement="{k:candidate} were found before the rerank and {j} are listed after it, in {n:request}; none of"
            " those listed is the first of its query.",
        ),
    ]


def _total(numbers: pl.Series) -> int:
    return int(numbers.sum())


def _mixed_versions(facts: Facts) -> list[Found] | Unknown:
    own = ("event_id", "request", "service", "clock", "t", "index_name", "index_version")
    queries = facts.of("retrieval", "retrieval.query", columns=own).drop_nulls("t")
    queries = queries.select(
        "event_id", "request", "service", "clock", "t", index="index_name", version="index_version"
    )
    stated = ("clock", "t", "index_name", "change_scope", "change_key", "change_new")
    changes = facts.of("change", columns=stated).filter(
        pl.col("change_scope").str.to_lowercase().is_in(["index", "alias", "collection"])
        | pl.col("index_name").is_not_null()
    )
    keys = changes.select("clock", key=pl.coalesce("change_key", "index_name")).drop_nulls().unique()
    sole = keys.group_by("clock").agg(pl.col("key").first(), pl.len()).filter(pl.col("len") == 1)
    # A query that names no index is of the one that its service has.
    queries = queries.join(sole.select("clock", "key"), on="clock", how="left", maintain_order="left")
    queries = queries.with_columns(
        unnamed=pl.col("index").is_null(), index=pl.coalesce("index", "key", "service", pl.lit("(unnamed)"))
    )
    basis = "as queries state it"
    if not queries["version"].count():
        # None states its version: what the service said that it took into use holds from then on, by its own clock.
        put = changes.select("t", "clock", index=pl.coalesce("change_key", "index_name"), put="change_new").drop_nulls()
        queries = queries.sort("t", "event_id").join_asof(
            put.sort("t", maintain_order=True), on="t", by=["clock", "index"], check_sortedness=False
        )
        queries, basis = queries.with_columns(version="put"), "as changes of the index put it in force"
    known = queries.drop_nulls("version").sort("index", "t", "event_id")
    # Of unnamed indexes, which may be several, only versions of one form are of one.
    form = pl.when("unnamed").then(pl.col("version").str.replace_all(r"\d+", "#")).otherwise(pl.lit(""))
    known = known.with_columns(form=form)
    of = ["index", "form"]
    if not known.height:
        return Unknown(
            "no query states the version of its index, and no change of one is logged", ("retrieval.index_version",)
        )
    other = pl.col("version") != pl.col("version").shift(1).over(of)
    near = pl.col("t") - pl.col("t").shift(1).over(of) <= WINDOW_S * 10**9
    flips = known.filter(other & near).select(*of, "t", turn="t")
    mixed = known.join_asof(
        flips.sort("t", maintain_order=True),
        on="t",
        by=of,
        strategy="nearest",
        tolerance=WINDOW_S * 10**9,
        check_sortedness=False,
    ).drop_nulls("turn")
    found = [Found(NOTHING, known["request"])]
    for (index, _), part in mixed.group_by(of, maintain_order=True):
        shares = (
            part.group_by("version")
            .agg(pl.len(), first=pl.col("t").min(), last=pl.col("t").max())
            .sort("len", "version", descending=[True, False])
        )
        most = shares["version"][0]
        told = [
            f"{version} {100 * count / part.height:.1f} % (first {moment(first)}, last {moment(last)})"
            for version, count, first, last in shares.head(6).iter_rows()
        ]
        hits = (
            part.filter((pl.col("version") != most) & pl.col("request").is_not_null())
            .group_by("request", maintain_order=True)
            .agg(events=pl.col("event_id").head(6))
        )
        values = {"index": index, "versions": ", ".join(told), "k": shares.height, "most": most, "basis": basis}
        found.append(Found(hits, known.filter(pl.col("index") == index)["request"], values, subject=str(index)))
    return capped(found, "And {more:index} more of which several versions answered in the same hour, in {n:request}.")


def _order(versions: pl.DataFrame) -> pl.DataFrame:
    """`versions` whose order can be told, with ``prefix`` and ``key``: of one prefix, keys sort as versions do."""
    listed = pl.col("version").str.extract_all(r"\d+")
    ordered = pl.col("version").str.contains(r"^[A-Za-z_.\- ]{0,24}\d[\d.\-_:TZ+]*$") & ~pl.col("version").str.contains(
        r"\d{21}"
    )
    distinct = versions.select("version").unique().filter(ordered)
    keys = distinct.with_columns(
        prefix=pl.col("version").str.extract(r"^([^0-9]*)"),
        key=listed.list.eval(pl.element().str.zfill(20)).list.join("."),
    )
    return versions.join(keys, on="version", how="inner", maintain_order="left")


def _superseded(facts: Facts) -> list[Found] | Unknown:
    columns = ["id", "version", "event_id", "clock", "t", "doubt"]
    supplied = facts.documents.select("request", *columns).drop_nulls(["id", "version", "t"])
    known = _order(supplied.select("id", "version").unique())
    if not known.height:
        return Unknown("no document has a version whose order can be told", ("retrieval.documents",))
    evaluable = supplied["request"].filter(supplied["version"].is_in(known["version"].unique().implode()))
    told = ("event_id", "clock", "t", "doubt", "change_scope", "change_key", "change_new")
    changes = facts.of("change", columns=told).filter(
        pl.col("change_scope").str.to_lowercase().is_in(["document", "doc", "article"])
    )
    changes = changes.with_columns(id="change_key", version=pl.coalesce("change_new", pl.lit("deleted")))
    changes = changes.select(columns).drop_nulls(["id", "t"])
    gone = changes.filter(pl.col("version").str.contains(REPLACED)).with_columns(key=pl.lit(GONE))
    gone = gone.join(known.select("id", "prefix").unique(), on="id")
    changes = pl.concat([_order(changes).select(*columns, "prefix", "key"), gone.select(*columns, "prefix", "key")])
    per = ["id", "prefix", "key"]
    # Nothing is newer than the one version that a document is known in.
    several = pl.concat([known.select(per), changes.select(per)]).unique().group_by("id", "prefix").len()
    several = several.filter(pl.col("len") > 1).select("id", "prefix")
    supplied = _order(supplied.filter(pl.col("id").is_in(several["id"].implode())))
    supplied, changes = (
        rows.join(several, on=["id", "prefix"], how="semi", maintain_order="left") for rows in (supplied, changes)
    )
    seen = pl.concat([supplied.select(*columns, "prefix", "key"), changes])
    first = (
        seen.sort("t", "event_id")
        .group_by(*per, "clock", maintain_order=True)
        .agg(pl.col("t").first(), pl.col("doubt").max(), pl.col("event_id").first(), pl.col("version").first())
    )
    pairs = pl.concat(
        [
            _next(first, ["id", "prefix", "clock"]).with_columns(by_clock=pl.lit(value=True)),
            # By another clock only what is later by more than both clocks may be off.
            _next(
                first.with_columns(t=pl.col("t") + pl.col("doubt"), clock=pl.lit(None, pl.String))
                .drop_nulls("t")
                .sort("t", "event_id")
                .unique(per, keep="first", maintain_order=True),
                ["id", "prefix"],
            ).with_columns(by_clock=pl.lit(value=False)),
        ]
    )
    own = pairs.filter("by_clock").select(*per, "clock", "since", "newer", "newer_event")
    any_ = pairs.filter(~pl.col("by_clock")).select(*per, since_="since", newer_="newer", newer_event_="newer_event")
    rows = supplied.join(own, on=[*per, "clock"], how="left").join(any_, on=per, how="left")
    rows = rows.with_columns(
        here=(pl.col("t") > pl.col("since")).fill_null(value=False),
        there=(pl.col("t") - pl.col("doubt") > pl.col("since_")).fill_null(value=False),
    ).filter(pl.col("request").is_not_null() & (pl.col("here") | pl.col("there")))
    rows = rows.with_columns(
        pl.when("here").then(name).otherwise(f"{name}_").alias(name) for name in ("since", "newer", "newer_event")
    )
    found = [Found(NOTHING, evaluable)]
    rows = rows.sort("t", "event_id", "id").select(*columns, "request", "since", "newer", "newer_event")
    turn = ["version", "newer"]
    # Lists are put together for all at once: of each request alone they take 4 KiB and more.
    every = rows.unique([*turn, "request", "event_id"], keep="first", maintain_order=True)
    every = every.group_by(*turn, "request", maintain_order=True).agg(
        pl.col("event_id").head(5), pl.col("newer_event").first()
    )
    every = every.select(*turn, "request", events=pl.concat_list("event_id", "newer_event"))
    of = every.partition_by(turn, include_key=False, as_dict=True)
    turns = rows.group_by(turn, maintain_order=True).agg(
        pl.col("t").first(),
        pl.col("since").min(),
        documents=pl.col("id").n_unique(),
        document=pl.col("id").first(),
    )
    for old, new, t, since, documents, document in turns.iter_rows():
        values = {"documents": documents, "document": document, "old": old, "new": new}
        values |= {"t": moment(t), "since": moment(since)}
        # An index that went back has every document in its older version: one thing, and so one finding.
        many = (
            "{documents:document} (the first is {document}) were supplied in version {old}, from {t} on, in"
            " {n:request}; version {new} of them is recorded from {since}."
        )
        subject = f"{document} {old}" if documents == 1 else f"{old} after {new}"
        found.append(Found(of[old, new], evaluable, values, subject, many if documents > 1 else None))
    return capped(found, "And {more:version} more that were supplied after a newer one was recorded, in {n:request}.")


def _next(first: pl.DataFrame, group: list[str]) -> pl.DataFrame:
    """For each version of a document: since when a newer one is recorded, which, and by which event."""
    rows = first.sort(*group, "key", "t", descending=[False] * len(group) + [True, False])
    rows = rows.with_columns(since=pl.col("t").cum_min().shift(1).over(group)).drop_nulls("since")
    named = first.select(*group, since="t", newer="version", newer_event="event_id", newer_key="key").unique(
        [*group, "since", "newer_key"], keep="first", maintain_order=True
    )
    rows = rows.join(named, on=[*group, "since"], nulls_equal=True).filter(pl.col("newer_key") > pl.col("key"))
    rows = rows.sort(*group, "key", "newer_key").unique([*group, "key"], keep="last", maintain_order=True)
    return rows.select("id", "prefix", "key", "clock", "since", "newer", "newer_event")


def _duplicates(facts: Facts) -> list[Found] | Unknown:
    # Where the text is known only what says the same counts: chunks of one document may share its id.
    rows = facts.documents.select("event_id", "request", "t", "id", "hash").filter(pl.col("request").is_not_null())
    # Documents of an event follow each other: a number for it.
    rows = rows.with_columns(event=pl.col("event_id").rle_id())
    rows = rows.with_columns(by_text=pl.col("hash").is_not_null().any().over("event"), supplied=pl.len().over("event"))
    rows = rows.with_columns(what=pl.when("by_text").then("hash").otherwise("id")).drop_nulls("what")
    known = rows.filter(pl.len().over("event") > 1)
    if not known.height:
        return Unknown("no query lists two documents by text or id", ("retrieval.documents",))
    sets = (
        known.group_by("event", "what", "by_text", maintain_order=True)
        .agg(pl.len(), pl.col("event_id", "request", "t", "supplied").first())
        .group_by("event", "by_text", maintain_order=True)
        .agg(
            pl.col("event_id", "request", "t").first(),
            supplied=pl.col("supplied").first().cast(pl.Int64),
            same=pl.col("len").filter(pl.col("len") > 1).sum().cast(pl.Int64),
        )
        .filter(pl.col("same") >= DUPLICATED * pl.col("supplied"))
        .sort("t", "event_id", nulls_last=True)
    )
    found = [Found(NOTHING, known["request"])]
    for by_text, words in ((True, "identical content"), (False, "the same document id")):
        part = sets.filter(pl.col("by_text") == by_text)
        evaluable = known.filter(pl.col("by_text") == by_text)["request"]
        if not evaluable.len():
            continue
        hits = part.group_by("request", maintain_order=True).agg(events=pl.col("event_id").head(6))
        values = {"k": _total(part["same"]), "supplied": _total(part["supplied"]), "words": words}
        found.append(Found(hits, evaluable, values, subject=words))
    return found


def _other_embedding(facts: Facts) -> list[Found] | Unknown:
    def plain(column: str) -> pl.Expr:
        return pl.col(column).str.to_lowercase().str.extract(r"([^/]+)$")

    declared = facts.declared.get("index_embedding_models")
    told = {str(k): str(v) for k, v in declared.items()} if isinstance(declared, Mapping) else {}
    columns = ("event_id", "kind", "layer", "index_name", "embedding_model", "attributes")
    built = pl.concat(facts.of(layer, columns=columns) for layer in LAYERS).filter(
        (pl.col("kind") == "retrieval.index") | ((pl.col("layer") == "change") & pl.col("index_name").is_not_null())
    )
    # In the order of events, whichever layer they are of.
    order = facts.named(built["event_id"]).with_row_index("n")
    built = (
        built.join(order, on="event_id")
        .sort("n")
        .select("event_id", index="index_name", built=pl.coalesce("embedding_model", _said(EMBEDDED_BY)))
    )
    stated = pl.DataFrame(
        {"event_id": [None] * len(told), "index": list(told), "built": list(told.values())}, schema=built.schema
    )
    built = pl.concat([built.filter(~pl.col("index").is_in(list(told))), stated]).drop_nulls(["index", "built"])
    if not built.height:
        return Unknown(
            "no record says which model embedded an index, and none is declared",
            ("declared.index_embedding_models", "retrieval.embedding_model"),
        )
    asked = ("event_id", "request", "t", "index_name", "embedding_model")
    queries = facts.of("retrieval", "retrieval.query", columns=asked).filter(pl.col("request").is_not_null())
    queries = queries.drop_nulls("index_name")
    embeds = facts.of("retrieval", "retrieval.embed", columns=("request", "embedding_model")).drop_nulls(
        ["request", "embedding_model"]
    )
    one = (
        embeds.group_by("request")
        .agg(pl.col("embedding_model").unique())
        .filter(pl.col("embedding_model").list.len() == 1)
    )
    queries = queries.join(
        one.select("request", embed=pl.col("embedding_model").list.first()), on="request", how="left"
    )
    queries = queries.select(
        "event_id", "request", "t", index="index_name", used=pl.coalesce("embedding_model", "embed")
    ).drop_nulls("used")
    ways = (
        built.with_columns(way=plain("built"))
        .group_by("index", maintain_order=True)
        .agg("way", built=pl.col("built").last(), said=pl.col("event_id").last())
    )
    known = queries.join(ways, on="index").with_columns(way=pl.col("way"), plain=plain("used"))
    if not known.height:
        return Unknown(
            "no query names both its index and the model that embedded it",
            ("retrieval.embedding_model", "retrieval.index_name"),
        )
    differ = known.filter(~pl.col("plain").is_in("way")).sort("t", "event_id", nulls_last=True)
    found = [Found(NOTHING, known["request"])]
    for (index, used), part in differ.group_by("index", "used", maintain_order=True):
        events = (
            pl.concat_list(pl.col("event_id").head(5).implode(), pl.col("said").first().implode())
            .first()
            .list.drop_nulls()
        )
        hits = part.group_by("request", maintain_order=True).agg(events=events)
        values = {"index": index, "used": used, "built": part["built"][0]}
        found.append(Found(hits, known.filter(pl.col("index") == index)["request"], values, subject=f"{index}, {used}"))
    return capped(found, "And {more:index} more that were searched by another model's vectors, in {n:request}.")


def _crossing(facts: Facts) -> list[Found] | Unknown:
    declared = facts.declared.get("shared_tenants")
    shared = [*SHARED, *(str(one) for one in declared)] if isinstance(declared, list | tuple) else list(SHARED)
    asked = facts.tables["requests"].select("request", of="tenant")
    rows = facts.documents.filter(pl.col("tenant").is_not_null() & pl.col("request").is_not_null())
    rows = rows.join(asked, on="request", how="left", maintain_order="left").with_columns(of=pl.coalesce("of", "asker"))
    known = rows.drop_nulls("of")
    labelled = _labelled(facts)
    if not known.height and labelled is None:
        return Unknown(
            "documents or requests name no tenant, and no document label is declared as excluded",
            ("retrieval.documents", "*.tenant", "declared.excluded_labels"),
        )
    found = labelled or []
    if known.height:
        words = known["tenant"].unique()
        if not known["of"].is_in(words.implode()).any() and not words.is_in(shared).all():
            reason = "documents and requests name their tenants in different words"
            return found or Unknown(reason, ("retrieval.documents", "*.tenant"))
        other = known.filter((pl.col("tenant") != pl.col("of")) & ~pl.col("tenant").str.to_lowercase().is_in(shared))
        other = other.sort("t", "event_id", "rank", nulls_last=True)
        hits = other.group_by("request", maintain_order=True).agg(
            events=pl.col("event_id").unique(maintain_order=True).head(5)
        )
        values = {"documents": other["id"].n_unique(), "document": other["id"][0] if other.height else None}
        found = [Found(NOTHING, known["request"]), *found]
        found += _by_display(facts, hits, known["request"], values, "tenant", None)
    return found


def _labelled(facts: Facts) -> list[Found] | None:
    """Documents that carry a label which the team declared as excluded for the route; null where none can be told."""
    declared = facts.declared.get("excluded_labels")
    if not isinstance(declared, Mapping):
        return None
    routes = (
        facts.of("prompt", columns=("request", "attributes"))
        .select("request", route=pl.col("attributes").map.get("route"))
        .drop_nulls()
        .unique("request", keep="first", maintain_order=True)
    )
    rows = (
        facts.of("retrieval", columns=("event_id", "request", "t", "attributes"))
        .filter(pl.col("request").is_not_null())
        .with_columns(label=_said(LABELS))
    )
    rows = rows.drop_nulls("label").join(routes, on="request", how="left", maintain_order="left")
    if not rows.height:
        return None
    rows = rows.with_columns(pl.col("label").str.extract_all(r"[^\[\]\",;\s]+")).explode("label")
    found: list[Found] = []
    for route, labels in sorted(declared.items()):
        within = rows if route == "*" else rows.filter(pl.col("route") == str(route))
        excluded = [str(one) for one in labels] if isinstance(labels, list | tuple) else [str(labels)]
        for label in excluded:
            part = within.filter(pl.col("label") == label).sort("t", "event_id", nulls_last=True)
            hits = part.group_by("request", maintain_order=True).agg(events=pl.col("event_id").head(5))
            sentence = (
                "A document labelled {label}, listed as excluded for {route}, was supplied in {n:request}, in {place}."
            )
            values = {"label": label, "route": "any route" if route == "*" else str(route)}
            found += _by_display(facts, hits, within["request"], values, f"{label}, {route}", sentence)
    return found


def _by_display(
    facts: Facts,
    hits: pl.DataFrame,
    evaluable: pl.Series,
    values: Mapping[str, object],
    subject: str,
    sentence: str | None,
) -> list[Found]:
    """What was shown, and what is not recorded as shown, apart."""
    hits = hits.join(facts.reached.select("request", "shown"), on="request", how="left", maintain_order="left")
    shown = pl.col("shown").is_not_null()
    ways = (
        (hits.filter(shown), "RU", "requests whose answer is recorded as shown"),
        (hits.filter(~shown), "SG", "requests without a record of display"),
    )
    return [
        Found(
            part.select("request", events=pl.concat_list("events", pl.concat_list("shown")).list.drop_nulls()),
            evaluable,
            {**values, "place": place},
            subject=f"{subject}, {'shown' if attention == 'RU' else 'no record of display'}",
            statement=sentence,
            attention=attention,
        )
        for part, attention, place in ways
    ]


def _error_then_answer(facts: Facts) -> list[Found] | Unknown:
    rows = _operations(facts).filter(pl.col("kind").is_in(OPERATIONS) & pl.col("request").is_not_null())
    stated = rows.drop_nulls("outcome")
    if not stated.height:
        return Unknown("no retrieval of a request states how it ended", ("retrieval.outcome",))
    # A retry that went well is not this: of each kind, the last one counts.
    last = rows.sort("t", "seq", "event_id", nulls_last=True).unique(
        ["request", "kind"], keep="last", maintain_order=True
    )
    supplied = rows.filter(
        (pl.col("found") > 0) | ((pl.col("kind") == "retrieval.query") & pl.col("found").is_null() & ~pl.col("broke"))
    )["request"]
    supplied = pl.concat([supplied, _in_prompt(facts)]).unique()
    broke = last.filter(pl.col("broke") & ~pl.col("request").is_in(supplied.implode()))
    ended = broke.group_by("request", maintain_order=True).agg(
        pl.col("event_id").head(4),
        pl.col("t").first(),
        pl.col("doubt").first(),
        pl.col("clock").first(),
        what=pl.coalesce("error_type", "outcome").last(),
    )
    went_on = _answered(ended, facts).drop_nulls("answer")
    hits = went_on.select("request", events=pl.concat_list("event_id", pl.concat_list("answer")))
    ways = went_on.group_by("what").len().sort("len", "what", descending=[True, False])["what"].head(3).to_list()
    return [Found(hits, stated["request"], {"error": ", ".join(ways), "ended": ended.height})]


CHECKS: tuple[Check, ...] = (
    Check(
        id="R-01",
        name="zero-results",
        layers=("retrieval", "model"),
        attention="CC",
        status="OBS",
        needs=("kind:retrieval.query", "kind:model.call"),
        rule=_zero_results,
        statement="Retrieval returned no documents for {empty:request}; a response was generated in {n} of them.",
        question="What is the application meant to do when nothing is found, and on which routes?",
        alternatives=("The route needs no documents.", "Documents came from a source that is not logged."),
    ),
    Check(
        id="R-02",
        name="low-scores",
        layers=("retrieval",),
        attention="CC",
        status="DER",
        needs=("retrieval.documents",),
        rule=_low_scores,
        statement="The best match of {n:request} in index {index} scored {side} {limit} ({basis}); the farthest scored"
        " {score}.",
        question="What score does a useful match have in this index, and how was that found?",
        alternatives=("Scores of another metric or model do not compare.", "The questions were about something else."),
        parameters={"percentile": PERCENTILE, "comparison_at_least": LEAST},
    ),
    Check(
        id="R-03",
        name="filter-or-rerank-emptied",
        layers=("retrieval",),
        attention="CC",
        status="DER",
        needs=("kind:retrieval.query",),
        rule=_emptied,
        statement="{k:candidate} were found before the filter and {j} after, in {n:request}.",
        question="What does the filter or the reranker take away, and how is that recorded?",
        alternatives=(
            "The filter is meant to take away what the user may not see.",
            "The reranker found a better order.",
        ),
        core=False,
    ),
    Check(
        id="R-04",
        name="mixed-index-versions",
        layers=("retrieval",),
        attention="DV",
        status="DER",
        needs=("kind:retrieval.query",),
        rule=_mixed_versions,
        statement="{k} versions of index {index} answered within an hour, {basis}: {versions}; {n:request} had another"
        " than {most}.",
        question="Which version of the index was meant to answer at that time, and how is a switch made?",
        alternatives=(
            "The index was switched by plan, or two versions run side by side by plan.",
            "Queries that name no index are of several.",
        ),
        parameters={"window_s": WINDOW_S},
    ),
    Check(
        id="R-05",
        name="stale-or-superseded-document",
        layers=("retrieval",),
        attention="CC",
        status="DER",
        needs=("retrieval.documents",),
        rule=_superseded,
        statement="Document {document} {old} was supplied from {t} on, in {n:request}; {new} is recorded from {since}.",
        question="Which version of these documents was meant to be in use at that time?",
        alternatives=("The older version is still valid.", "The version counts something else than the text."),
    ),
    Check(
        id="R-06",
        name="duplicate-documents",
        layers=("retrieval",),
        attention="CC",
        status="OBS",
        needs=("retrieval.documents",),
        rule=_duplicates,
        statement="{k} of {supplied} supplied passages had {words} as another of the same list, in {n:request}.",
        question="How do documents come to be in the index more than once?",
        alternatives=("Chunks overlap by design.",),
        parameters={"share": DUPLICATED},
    ),
    Check(
        id="R-08",
        name="embedding-model-mismatch",
        layers=("retrieval",),
        attention="DV",
        status="DER",
        needs=("*.embedding_model",),
        rule=_other_embedding,
        statement="Queries of {n:request} to index {index} were embedded by {used}; {built} is recorded for the index.",
        question="How are the model of an index and that of its queries kept the same?",
        alternatives=("Two names are of one model.",),
        core=False,
    ),
    Check(
        id="R-09",
        name="boundary-crossing-document",
        layers=("retrieval", "ui"),
        attention="SG",
        status="DER",
        needs=("retrieval.documents",),
        rule=_crossing,
        statement="{documents:document} of another tenant than the request's (the first is {document}) were supplied in"
        " {n:request}, in {place}.",
        question="Which documents may be supplied to whom, and where is that enforced?",
        alternatives=("The tenant is shared or public.", "The label was given after the retrieval."),
        parameters={"shared": ", ".join(SHARED)},
    ),
    Check(
        id="R-10",
        name="retrieval-error-then-answer",
        layers=("retrieval", "model"),
        attention="CC",
        status="OBS",
        needs=("kind:model.call", "retrieval.outcome"),
        rule=_error_then_answer,
        statement="Retrieval ended with {error} and without documents in {ended:request}; a response was generated in"
        " {n} of them.",
        question="What is the application meant to do when retrieval ends that way?",
        alternatives=(
            "A later try gave documents and is not logged.",
            "Documents came from elsewhere, such as a cache.",
        ),
    ),
)
