"""Redelivery, repetition and resending: the same record again, the same operation again, and the same turn again.

Shippers and browsers deliver a record twice: the same in all but where it lies and when it was received. The first by
(source, offset) stands; the others are kept, counted, and take no part in judging ids. A client that resends a turn
after an error makes a further attempt of the same request.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from strataline.correlate.graph import components
from strataline.correlate.work import OPENING, Work, carried

RESEND_NS = 60 * 10**9
"""How long after an error the same turn still counts as resent."""

MOST_ATTEMPTS = 16
"""Opening events that one turn's id may be carried by."""

REPEATS = "repeats"
"""The relation of a record to another one that reports the same operation."""

RETRY = "retry_of"
RENEWALS = ("regenerate_of", "edit_of")
FAILED = ("error", "timeout", "cancelled")


def mark_redelivery(work: Work) -> Work:
    """Point each event that was delivered again to the first with its signature."""
    first = pl.when(pl.col("signature").is_not_null()).then(pl.col("n").min().over("format", "index", "signature"))
    events = work.events.with_columns(first=pl.coalesce(first, "n")).drop("signature")
    again = events.filter(pl.col("first") != pl.col("n"))
    work = replace(work, events=events)
    if again.is_empty():
        return work
    rows = again.select(
        pl.col("n").alias("from"),
        pl.col("first").alias("to"),
        relation=pl.lit("redelivery_of"),
        method=pl.lit("content"),
        confidence=pl.lit(1.0),
    )
    counted = again.group_by("source").len().sort("source")
    return work.link(rows).note_rows(
        "redelivery",
        counted.select(
            "source",
            count=pl.col("len").cast(pl.Int64),
            detail=pl.lit("records delivered again; kept, and counted once"),
        ),
    )


def collapse_repeats(work: Work) -> Work:
    """Point each event that says which other record reports the same operation to that one's event of its kind.

    Writers do so by construction: a wrapper span around each retrieval, a second post when a run has ended.
    """
    said = work.refs.filter(pl.col("role") == REPEATS).select("n", "key", "kind")
    if said.is_empty():
        return work
    # What was delivered again follows, below, the event that it delivers again.
    events = work.events.filter(pl.col("first") == pl.col("n")).select("n", step="kind")
    named = work.ids.filter(pl.col("role").is_in(["alias", "span"])).select("n", "key", "kind")
    # Those that name a record, and those that are it, by id and kind of event: each tied to the first of them, as all
    # to all would be quadratic where one id is named by thousands.
    marked = [said.with_columns(says=pl.lit(value=True)), named.with_columns(says=pl.lit(value=False))]
    by = ["key", "kind", "step"]
    mine = (
        pl.concat(marked)
        .join(events, on="n")
        .with_columns(
            said=pl.col("says").any().over(by),
            held=(~pl.col("says")).any().over(by),
            lead=pl.col("n").min().over(by),
        )
    )
    both = mine.filter(pl.col("said") & pl.col("held")).select(a="n", b="lead").unique()
    groups = components(events.select("n"), both)
    # Of all that report one operation the one that repeats none stands; of several, the first.
    ranked = groups.join(said.select("n").unique().with_columns(again=pl.lit(value=True)), on="n", how="left")
    ranked = ranked.sort(pl.col("again").fill_null(value=False), "n")
    stands = ranked.group_by("component", maintain_order=True).agg(stands=pl.col("n").first(), size=pl.len())
    moved = groups.join(stands.filter(pl.col("size") > 1), on="component").filter(pl.col("stands") != pl.col("n"))
    if moved.is_empty():
        return work
    follow = moved.select(first="n", moved="stands")
    events = work.events.join(follow, on="first", how="left", maintain_order="left")
    events = events.with_columns(first=pl.coalesce("moved", "first")).drop("moved")
    work = replace(work, events=events)
    rows = moved.sort("n").select(
        pl.col("n").alias("from"),
        pl.col("stands").alias("to"),
        relation=pl.lit(REPEATS),
        method=pl.lit("ref"),
        confidence=pl.lit(1.0),
    )
    counted = moved.join(work.events.select("n", "source"), on="n").group_by("source").len().sort("source")
    return work.link(rows).note_rows(
        "repeated",
        counted.select(
            "source",
            count=pl.col("len").cast(pl.Int64),
            detail=pl.lit("reports of an operation that another record reports as well; kept, and counted once"),
        ),
    )


def group_turns(work: Work) -> Work:
    """Tell which opening events are attempts of one turn.

    Two opening events that follow each other by one clock, or in one format by the clocks of replicas, among those that
    share an id, or with the same text within a session, are attempts of one turn if nothing known of them differs
    (session, text), and either the first ended in an error at most 60 s before the second, or the client says in a
    retry event tied to one of them that it sent the turn again. Clocks are not aligned yet: where those of replicas are
    further apart than that, a resend to another one is not found. One that names the other as what it tries again
    (`retry_of`) is an attempt of it as well. A regenerate or an edit names the turn it replaces: that is a new request,
    whatever came before it.
    """
    columns = ("n", "kind", "t", "clock", "format", "outcome")
    fresh = work.events.filter(pl.col("first") == pl.col("n"))
    every = fresh.filter(pl.col("kind") == OPENING).select("n").sort("n")
    openings = fresh.filter((pl.col("kind") == OPENING) & pl.col("t").is_not_null()).select(
        "n", "t", "clock", "format", scope=pl.coalesce(pl.col("session", "user").cast(pl.String))
    )
    alias = carried(work.ids.filter(pl.col("role") == "alias"))
    # An id that many opening events carry is no turn's own, and would pair all with all.
    own = alias.join(every, on="n").filter(pl.len().over("key") <= MOST_ATTEMPTS)
    # A text is an opening's own if the opening holds it, or an event that no other opening shares an id with.
    prompts = fresh.filter((pl.col("layer") == "prompt") & pl.col("input_hash").is_not_null())
    prompts = prompts.select("n", "kind", "input_hash")
    its = _tied_to_openings(own, alias.join(prompts.select("n"), on="n", how="semi")).join(prompts, on="n")
    its = its.filter(pl.col("sole") | (pl.col("n") == pl.col("opening")))
    texts = its.select(n="opening", kind="kind", text="input_hash").unique()
    by_id = _consecutive(openings.join(own, on="n"), "key")
    by_text = _consecutive(openings.filter(pl.col("scope").is_not_null()), "scope").join(texts, on="n")
    by_text = by_text.join(texts.rename({"n": "next"}), on=["next", "kind", "text"], how="semi").select(by_id.columns)
    shared = by_id.select("n", "next").unique().with_columns(shared=pl.lit(value=True))
    pairs = pl.concat([by_id, by_text]).unique(["n", "next"], maintain_order=True)
    pairs = pairs.join(shared, on=["n", "next"], how="left").with_columns(pl.col("shared").fill_null(value=False))
    renewed = work.refs.filter(pl.col("role").is_in(RENEWALS)).select("n").unique()
    pairs = pairs.join(renewed, left_on="next", right_on="n", how="anti")
    pairs = pairs.join(_differing(pairs, openings, texts), on=["n", "next"], how="anti")
    # Only of these is it worth knowing what else is tied to them.
    ends = pl.concat([pairs.select(opening="n"), pairs.select(opening="next")]).unique()
    beside = _tied_to_openings(own, alias, ends).join(fresh.select(columns), on="n")
    resent = pairs.join(_confirmed(pairs, beside), on=["n", "next"], how="semi")
    resent = resent.sort("n", "next")
    groups = components(every, pl.concat([resent.select(a="n", b="next"), _named(work, openings, own)]))
    work = replace(work, groups=groups.rename({"component": "turn"}))
    if resent.is_empty():
        return work
    rows = resent.select(
        pl.col("next").alias("from"),
        pl.col("n").alias("to"),
        relation=pl.lit("retries"),
        method=pl.lit("resend"),
        confidence=pl.when("shared").then(1.0),
        delta_ns=pl.col("next_t") - pl.col("t"),
        scope=pl.when("shared").then(pl.lit("id")).otherwise(pl.lit("session")),
    )
    return work.link(rows).note(
        "resend", "opening events that send a turn again; counted as attempts of it", count=resent.height
    )


def _named(work: Work, openings: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """Opening events (b) that name the one before them, in the same format, that they try again (a)."""
    refs = work.refs.filter(pl.col("role") == RETRY).join(openings, on="n")
    there = openings.join(own, on="n")
    pairs = refs.join(there, on="key", suffix="_first").filter(
        (pl.col("format") == pl.col("format_first"))
        & (pl.col("t") - pl.col("t_first")).is_between(0, work.options.window_ns)
        & (pl.col("n") != pl.col("n_first"))
        & (pl.col("scope") == pl.col("scope_first")).fill_null(value=True)
    )
    # A value may be used again: the latest that it names is meant.
    last = pairs.sort("n", "t_first", "n_first").unique("n", keep="last", maintain_order=True)
    return last.select(a="n_first", b="n")


def _tied_to_openings(own: pl.DataFrame, alias: pl.DataFrame, only: pl.DataFrame | None = None) -> pl.DataFrame:
    """What carries an id of an opening event: opening, n, sole.

    ``sole`` says that one of these ids is carried by this opening event alone.

    Args:
        own: n (of an opening event) and key.
        alias: n and key.
        only: ``opening``: those that are asked for, if not all are.
    """
    sole = own.with_columns(sole=pl.len().over("key") == 1).rename({"n": "opening"})
    if only is not None:
        sole = sole.join(only, on="opening", how="semi")
    return sole.join(alias, on="key").group_by("opening", "n").agg(pl.col("sole").any())


def _consecutive(openings: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Pairs of openings with the same `by`: n, t, clock and format, and ``next`` and ``next_t`` of the next one.

    The next one is that of the same clock, and that of the same format, whose clock may be another (``one`` is false).
    """
    distinct = openings.unique(["n", *by])
    found = []
    for program in ("clock", "format"):
        pairs = distinct.sort(*by, program, "t", "n")
        later = {f"next_{name}": pl.col(name).shift(-1).over(*by, program) for name in ("n", "t", "clock")}
        found.append(pairs.with_columns(**later).drop_nulls("next_n"))
    pairs = pl.concat(found).unique(["n", "next_n"], maintain_order=True)
    one = pl.col("clock") == pl.col("next_clock")
    return pairs.select("n", "t", "clock", "format", "next_t", next="next_n", one=one)


def _differing(pairs: pl.DataFrame, openings: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Pairs whose sessions are known and differ, or whose texts are known, of one kind, and differ."""
    scope = openings.select("n", "scope").filter(pl.col("scope").is_not_null())
    sessions = pairs.join(scope, on="n").join(scope, left_on="next", right_on="n", suffix="_next")
    sessions = sessions.filter(pl.col("scope") != pl.col("scope_next")).select("n", "next")
    both = pairs.join(texts, on="n").join(texts, left_on=["next", "kind"], right_on=["n", "kind"], suffix="_next")
    same = (pl.col("text") == pl.col("text_next")).any().over("n", "next", "kind")
    return pl.concat([sessions, both.filter(~same).select("n", "next")]).unique()


def _confirmed(pairs: pl.DataFrame, tied: pl.DataFrame) -> pl.DataFrame:
    """Pairs (n, next) that an error, or the client in a retry event, shows to be one turn sent again.

    The error is tied to the first and came at most 60 s before the second, by its clock (by those of the replicas where
    it has another); of a retry event the time is the browser's, so that what was last heard of the first counts. An
    answer to the client after all ends it.
    """
    events = tied.select("opening", "kind", "outcome", te="t", its="clock", its_format="format")
    after = pairs.join(events, left_on="n", right_on="opening")
    here = pl.when("one").then(pl.col("its") == pl.col("clock")).otherwise(pl.col("its_format") == pl.col("format"))
    after = after.filter(here & (pl.col("te") >= pl.col("t")) & (pl.col("te") <= pl.col("next_t")))
    answered = after.filter((pl.col("kind") == "prompt.responded") & (pl.col("outcome") == "ok"))
    recent = after.filter(pl.col("next_t") - pl.col("te") <= RESEND_NS)
    failed = recent.filter(pl.col("outcome").is_in(FAILED)).select("n", "next")
    retried = tied.filter(pl.col("kind") == "ui.retry").select("opening").unique()
    said = [recent.join(retried, left_on=side, right_on="opening").select("n", "next") for side in ("n", "next")]
    return pl.concat([failed, *said]).unique().join(answered, on=["n", "next"], how="anti")
