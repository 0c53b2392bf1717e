"""Checks that read texts: instruction-like phrasing, follow-through, links, self-reports, gaps, anomalies.

What a team may declare: ``instruction_patterns`` ({family: [regex, …]} or [regex, …], over text in lower case; one of
them is enough), ``allowed_hosts`` ([host, …], with what lies below them), ``prompt_variables`` ([label, …], as they
stand before a value in the prompt).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from strataline.errors import InputError
from strataline.examine.check import HITS, Check, Found, Unknown, capped
from strataline.examine.contents import MOST, Contents
from strataline.examine.facts import Facts
from strataline.examine.text import (
    PLACEHOLDER,
    SCRIPTS,
    WINDOW,
    allowed,
    claims,
    defanged,
    instruction_like,
    links,
    markers,
    own_patterns,
    plain,
    query_values,
    repetition,
    script_letters,
)

SHARED_BY = 3
"""Sessions whose prompts hold a line, from which on it counts as the template's."""

SPANS = 5
"""Spans that a finding quotes."""

LEAST_QUERY = 16
"""Characters of a query's value, from which on it is looked for in other texts."""

FOREIGN_SHARE, LEAST_LETTERS = 0.02, 20
REPEATED, LEAST_WORDS = 0.5, 24

RECEIVED = ("prompt.received", "prompt.message", "ui.message_sent")
SENT = ("prompt.rendered", "model.call")

_NO_TEXT = ("*.input_hash", "inputs")


# What texts are.


def _user_texts(contents: Contents) -> pl.DataFrame:
    """Pieces in which users speak: what was received or asked, else what was searched for."""
    said = contents.of((pl.col("kind").is_in(RECEIVED) & (pl.col("side") == "input")) | (pl.col("side") == "asked"))
    searched = contents.of(
        (pl.col("layer") == "retrieval") & (pl.col("side") == "input"),
        ~pl.col("request").is_in(said["request"].unique().implode()),
    )
    return pl.concat([said, searched])


def _prompts(contents: Contents) -> pl.DataFrame:
    """Pieces that are whole prompts as a model gets them."""
    return contents.of(pl.col("kind").is_in(SENT), pl.col("side") == "input")


def _answers(contents: Contents) -> pl.DataFrame:
    """Pieces that are answers, those shown before those delivered before those generated."""
    shown = (pl.col("layer") == "ui") & (pl.col("kind") == "ui.rendered") & pl.col("side").is_in(["input", "output"])
    sent = (pl.col("layer") == "prompt") & (pl.col("side") == "output") & (pl.col("kind") != "prompt.rendered")
    made = (pl.col("kind") == "model.call") & (pl.col("side") == "output")
    place = pl.when(shown).then(0).when(sent).then(1).when(made).then(2)
    return contents.pieces.with_columns(place=place).drop_nulls("place")


def _passages(contents: Contents) -> pl.DataFrame:
    return contents.of(pl.col("side") == "passage")


def _owners(facts: Facts) -> pl.DataFrame:
    """Whose each request is: its session, else its user, else itself."""
    requests = facts.tables["requests"]
    return requests.select("request", owner=pl.coalesce("session", "user", "request"))


def _lines(facts: Facts, contents: Contents, pieces: pl.DataFrame) -> pl.DataFrame:
    """The lines of the texts of `pieces`: text, line, and by how many sessions' texts it is shared (``owners``)."""
    lines = contents.chosen(pieces["text"]).with_columns(line=pl.col("said").str.split("\n")).drop("said")
    lines = lines.explode("line").with_columns(pl.col("line").str.strip_chars()).filter(pl.col("line") != "")
    owned = pieces.join(_owners(facts), on="request", how="left").select("text", "owner").unique()
    counted = lines.unique().join(owned, on="text").group_by("line").agg(owners=pl.col("owner").n_unique())
    return lines.join(counted, on="line", how="left", maintain_order="left")


def _remainders(facts: Facts, contents: Contents) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of prompts in whose request no user speaks elsewhere: the pieces, and what other sessions' prompts do not share.

    The second frame is ``text`` (as in the pieces) and ``said``. Both are empty where too few sessions tell what is
    shared.
    """
    spoken = _user_texts(contents)["request"].unique().implode()
    pieces = _prompts(contents).filter(~pl.col("request").is_in(spoken))
    owners = pieces.join(_owners(facts), on="request", how="left")["owner"].n_unique()
    nothing = pl.DataFrame(schema={"text": pl.Int64, "said": pl.String})
    if owners < SHARED_BY:
        return pieces.clear(), nothing
    own = _lines(facts, contents, pieces).filter(pl.col("owners") < SHARED_BY)
    return pieces, own.group_by("text", maintain_order=True).agg(said=pl.col("line").str.join("\n")).sort("text")


# Hits and words.


def _hits(facts: Facts, pieces: pl.DataFrame, first: str = "event_id") -> pl.DataFrame:
    """`HITS`: per request up to six events, in order of time; those of column `first` before others, if it is one."""
    at = facts.named(pieces[first], "t")
    rows = pieces.unique(["request", first], maintain_order=True).join(
        at, left_on=first, right_on="event_id", how="left"
    )
    rows = rows.sort("t", first, nulls_last=True)
    return rows.group_by("request", maintain_order=True).agg(events=pl.col(first).head(6)).select(HITS.names())


def _quoted(facts: Facts, contents: Contents, pieces: pl.DataFrame, spans: Mapping[int, str]) -> dict[str, str]:
    """Where the first spans stand: ``span_1`` → address, place in the text, and the span."""
    rows = (
        pieces.filter(pl.col("text").is_in(list(spans))).unique("text", keep="first", maintain_order=True).head(SPANS)
    )
    places = facts.named(rows["event_id"], "source", "line", "offset")
    found = {}
    for n, row in enumerate(
        rows.join(places, on="event_id", how="left", maintain_order="left").iter_rows(named=True), 1
    ):
        where = f"row {row['offset']}" if row["line"] is None else str(row["line"])
        span = spans[row["text"]]
        at = contents.texts[row["text"]].lower().find(span.lower())
        place = "" if at < 0 else f", characters {at + 1} to {at + len(span)}"
        found[f"span_{n}"] = f"{row['source']}:{where}, {row['side']}{place}: {span}"
    return found


def _said(items: Iterable[str]) -> str:
    return ", ".join(items)


def _unread(contents: Contents, what: str) -> Unknown:
    if contents.missing:
        why = _said(f"{why} ({count} events)" for why, count in sorted(contents.missing.items()))
        return Unknown(f"no {what} could be read: {why}", ("inputs",))
    return Unknown(f"no {what} is in the supplied logs", _NO_TEXT)


def _listed(facts: Facts, key: str) -> list[str]:
    value = facts.declared.get(key) or []
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(one, str) for one in value):
        raise InputError(f"declared {key} is no list of texts", hint=f'{key}: ["…", "…"]')
    return [str(one) for one in value]


# P-03

_MOST_HEADS = 100
"""Beginnings of lines with a placeholder that are looked for in other prompts, at most."""


def _unfilled(facts: Facts) -> Sequence[Found] | Unknown:
    contents = facts.contents
    prompts = _prompts(contents)
    columns = ("event_id", "request", "t", "input_chars", "input_hash")
    rendered = facts.of("prompt", "prompt.rendered", columns=columns).filter(pl.col("request").is_not_null())
    empty = rendered.filter((pl.col("input_chars") == 0) & pl.col("input_hash").is_null())
    if prompts.is_empty() and empty.is_empty():
        return _unread(contents, "rendered prompt")
    evaluable = pl.concat([prompts["request"], empty["request"]])
    found = []
    if empty.height:
        hits = _hits(facts, empty)
        found.append(Found(hits, evaluable, subject="prompt", statement="The rendered prompt of {n:request} is empty."))
    for name, pieces in _sites(facts, contents, prompts):
        quoted = _quoted(facts, contents, pieces, dict.fromkeys(pieces["text"].unique().to_list(), name))
        found.append(
            Found(_hits(facts, pieces), evaluable, {"v": name}, name, parameters={**contents.limits, **quoted})
        )
    if not found:
        return [Found(HITS_EMPTY, evaluable)]
    return capped(found, "{more} further variables have no value in the rendered prompt of {n:request}.")


def _sites(facts: Facts, contents: Contents, prompts: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Variables that no value was put in place of, and the prompts in which they stand.

    A placeholder counts in lines that are the template's: which prompts of several sessions hold, or begin alike. What
    users or documents brought along does not.
    """
    lines = _lines(facts, contents, prompts)
    labels = "|".join(re.escape(one) for one in _listed(facts, "prompt_variables"))
    sites = pl.col("line").str.extract_all(PLACEHOLDER)
    marked = lines.filter(pl.col("line").str.contains(PLACEHOLDER)).with_columns(name=sites)
    if labels:
        blank = pl.col("line").str.extract(rf"^({labels})\s*[:=]\s*(?:undefined|None|null|NaN)?\s*$", 1)
        blanks = lines.with_columns(name=pl.concat_list(blank)).filter(blank.is_not_null())
    else:
        blanks = marked.clear()
    if marked.height:
        before = pl.col("line").str.replace(rf"(?s)(?:{PLACEHOLDER}).*$", "")
        marked = marked.with_columns(before=before)
        heads = [one for one in marked["before"].unique().to_list() if len(one.strip()) >= 6]
        distinct = lines.unique("line")
        alike = {
            one: int(distinct.filter(pl.col("line").str.starts_with(one))["owners"].sum())
            for one in heads[:_MOST_HEADS]
        }
        shared = pl.col("before").replace_strict(alike, default=0, return_dtype=pl.Int64) >= SHARED_BY
        marked = marked.filter((pl.col("owners") >= SHARED_BY) | shared)
        brought = contents.chosen(pl.concat([_user_texts(contents)["text"], _passages(contents)["text"]]))["said"]
        theirs = [line for line in marked["line"].unique().to_list() if brought.str.contains(line, literal=True).any()]
        marked = marked.filter(~pl.col("line").is_in(theirs)).drop("before")
    rows = pl.concat([marked, blanks]).explode("name").select("text", "name").unique(maintain_order=True)
    of = prompts.join(rows, on="text", how="inner", maintain_order="left")
    return [(str(name), part) for (name,), part in of.group_by("name", maintain_order=True)]


# P-04 and R-07


def _like(facts: Facts, texts: pl.DataFrame) -> pl.DataFrame:
    """Of texts (text, said), those that resemble instructions: text, said, families, spans."""
    own = own_patterns(facts.declared.get("instruction_patterns"))
    found = instruction_like(texts["said"], own)
    rows = texts.with_columns(n=pl.int_range(pl.len()).cast(pl.Int64))
    return found.join(rows, left_on="text", right_on="n", how="left", maintain_order="left").select(
        text="text_right", said="said", families="families", spans="spans"
    )


def _user_like(facts: Facts) -> list[tuple[pl.DataFrame, pl.DataFrame, pl.Series, str | None]]:
    """(told, pieces, evaluable, statement) of what users said, and of prompts that hold what they said."""
    contents = facts.contents
    spoken = _user_texts(contents)
    ways: list[tuple[pl.DataFrame, pl.DataFrame, pl.Series, str | None]] = []
    if spoken.height:
        ways.append((_like(facts, contents.chosen(spoken["text"])), spoken, spoken["request"], None))
    pieces, own = _remainders(facts, contents)
    if pieces.height:
        words = (
            "In {n:request}, text of the prompt that prompts of other sessions do not share resembles instructions to"
            " the model ({families}). Whether a user or a document brought it, and with what intent, is not knowable"
            " from these logs."
        )
        ways.append((_like(facts, own), pieces, pieces["request"], words))
    return ways


def _instruction_like_user(facts: Facts) -> Sequence[Found] | Unknown:
    contents = facts.contents
    ways = _user_like(facts)
    if not ways:
        return _unread(contents, "text of a user")
    found = []
    for told, pieces, evaluable, statement in ways:
        hit = pieces.join(told.select("text"), on="text", how="semi", maintain_order="left")
        spans = {text: every[0] for text, every in told.select("text", "spans").iter_rows()}
        quoted = _quoted(facts, contents, hit, spans)
        values = {"families": _families(told)}
        limits = {**contents.limits, **quoted}
        found.append(Found(_hits(facts, hit), evaluable, values, statement=statement, parameters=limits))
    return found


def _families(told: pl.DataFrame) -> str:
    counts = Counter(one for every in told["families"].to_list() for one in every)
    return _said(sorted(counts, key=lambda one: (-counts[one], one)))


def _document_like(facts: Facts) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Passages that resemble instructions (as `_like`), and the pieces that hold them and may have reached a prompt."""
    contents = facts.contents
    passages = _passages(contents)
    told = _like(facts, contents.chosen(passages["text"]))
    hit = passages.join(told.select("text", "families"), on="text", how="inner", maintain_order="left")
    if hit.is_empty():
        return told, hit.with_columns(prompt=pl.lit(None, pl.String), sent=pl.lit(None, pl.Boolean))
    prompts = _prompts(contents).filter(pl.col("request").is_in(hit["request"].unique().implode()))
    folded = {place: plain(text) for place, text in contents.chosen(prompts["text"]).iter_rows()}
    parts = {place: plain(text) for place, text in told.select("text", "said").iter_rows()}
    pairs = (
        hit.select("request", "text")
        .unique()
        .join(prompts.select("request", prompt_text="text", prompt="event_id"), on="request", how="left")
    )
    inside = [
        None if prompt is None else parts[text] in folded[prompt]
        for text, prompt in pairs.select("text", "prompt_text").iter_rows()
    ]
    pairs = pairs.with_columns(sent=pl.Series(inside, dtype=pl.Boolean)).sort(
        "request", "text", "prompt", nulls_last=True
    )
    reached = pairs.group_by("request", "text", maintain_order=True).agg(
        sent=pl.col("sent").any(ignore_nulls=False),
        prompt=pl.col("prompt").filter(pl.col("sent").fill_null(value=False)).first(),
    )
    hit = hit.join(reached, on=["request", "text"], how="left", maintain_order="left")
    hidden = pl.col("families").list.contains("hidden")
    return told, hit.filter(pl.col("sent").fill_null(value=True) | hidden).drop("families")


def _instruction_like_document(facts: Facts) -> Sequence[Found] | Unknown:
    contents = facts.contents
    passages = _passages(contents)
    if passages.is_empty():
        return _unread(contents, "text of a document")
    evaluable = passages["request"]
    told, hit = _document_like(facts)
    if hit.is_empty():
        return [Found(HITS_EMPTY, evaluable, parameters=contents.limits)]
    index = facts.named(hit["event_id"], "index_name")
    hit = hit.join(index, on="event_id", how="left", maintain_order="left")
    said = {text: (families, spans) for text, families, spans in told.select("text", "families", "spans").iter_rows()}
    found = []
    named = hit.with_columns(name=pl.col("document").fill_null("that no id names"))
    for (name,), part in named.group_by("name", maintain_order=True):
        texts = part["text"].unique().sort().to_list()
        spans = {text: said[text][1][0] for text in texts}
        families = sorted({one for text in texts for one in said[text][0]})
        sources = part["index_name"].drop_nulls().unique().sort().to_list()
        held = part.filter(pl.col("prompt").is_not_null())
        events = pl.concat([part.select("request", "event_id"), held.select("request", event_id="prompt")])
        values = {"d": name, "p": _said(sources) or "not recorded", "families": _said(families)}
        quoted = _quoted(facts, contents, part, spans)
        in_prompt = held["request"].n_unique()
        limits = {**contents.limits, **quoted, "requests_whose_prompt_holds_it": in_prompt}
        found.append(Found(_hits(facts, events), evaluable, values, str(name), parameters=limits))
    return capped(
        found, "{more} further documents, supplied in {n:request}, contain text resembling instructions to a model."
    )


#


def _followed(facts: Facts) -> Sequence[Found] | Unknown:
    contents = facts.contents
    answers = _answers(contents)
    sources = pl.concat([_user_texts(contents), _passages(contents)])
    if answers.is_empty() or sources.is_empty():
        return _unread(contents, "request with an answer and the text of a user or a document")
    evaluable = answers.filter(pl.col("request").is_in(sources["request"].unique().implode()))["request"]
    _, documents = _document_like(facts)
    documents = documents.select(
        *_PIECE, of=pl.concat_str(pl.lit("document "), pl.col("document").fill_null("that no id names"))
    )
    users = [
        pieces.join(told.select("text"), on="text", how="semi", maintain_order="left").with_columns(
            of=pl.lit("the user's text")
        )
        for told, pieces, _, statement in _user_like(facts)
        if statement is None
    ]
    likely = pl.concat([documents, *(one.select(*_PIECE, "of") for one in users)])
    rows = _shared_markers(contents, likely, answers)
    if rows.is_empty():
        return [Found(HITS_EMPTY, evaluable, parameters=contents.limits)]
    shown = _shown_hosts(facts)
    rows = rows.join(shown, on=["request", "marker"], how="left", maintain_order="left")
    displayed = rows.filter("displayed").select("request", "of").unique()
    found = []
    shown_too = rows.join(displayed, on=["request", "of"], how="semi", maintain_order="left")
    others = rows.join(displayed, on=["request", "of"], how="anti", maintain_order="left")
    for attention, part in (("RU", shown_too), ("CC", others)):
        told = [_follow(facts, held, str(of), evaluable) for (of,), held in part.group_by("of", maintain_order=True)]
        found += [replace(one, attention=attention) for one in capped(told, _FURTHER)]
    return found


_FURTHER = "Strings from {more} further passages resembling instructions also appear in the responses of {n:request}."


def _follow(facts: Facts, rows: pl.DataFrame, of: str, evaluable: pl.Series) -> Found:
    events = pl.concat([rows.select("request", "event_id"), rows.select("request", event_id="answer")])
    strings = rows["marker"].unique().sort().to_list()
    named = {f"string_{n}": one for n, one in enumerate(strings[:SPANS], 1)}
    return Found(_hits(facts, events), evaluable, {"d": of}, of, parameters={**facts.contents.limits, **named})


_PIECE = ("request", "event_id", "text")
_MOST_PAIRS = 5_000
_SEEN = 2


def _shared_markers(contents: Contents, likely: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Rare strings of instruction-like passages that the answer has and the rest of the prompt has not.

    Returns:
        request, event_id (of the passage), of, marker, answer (event).
    """
    schema = {"request": pl.String, "event_id": pl.String, "of": pl.String, "marker": pl.String, "answer": pl.String}
    pairs = (
        likely.join(
            answers.select("request", answer="event_id", said="text"), on="request", how="inner", maintain_order="left"
        )
        .unique(["request", "text", "said", "of"], keep="first", maintain_order=True)
        .head(_MOST_PAIRS)
    )
    texts = contents.texts
    flat: dict[int, str] = {}

    def of(place: int) -> str:
        if place not in flat:
            flat[place] = plain(texts[place])
        return flat[place]

    marks = {text: markers(texts[text]) for text in pairs["text"].unique().sort().to_list()}
    rows = []
    in_request = contents.pieces.filter(pl.col("request").is_in(pairs["request"].unique().implode()))
    others = in_request.filter(pl.col("side") != "output").group_by("request").agg(pl.col("text").unique().sort())
    beside = dict(others.iter_rows())
    for row in pairs.iter_rows(named=True):
        answer, own = of(row["said"]), of(row["text"])
        met = [one for one in marks[row["text"]] if one in answer]
        if not met:
            continue
        # The prompt holds the passage itself: what is left of it is looked at.
        rest = [of(place).replace(own, " ") for place in beside.get(row["request"], ()) if place != row["text"]]
        rows += [
            (row["request"], row["event_id"], row["of"], one, row["answer"])
            for one in met
            if not any(one in text for text in rest)
        ]
    found = pl.DataFrame(rows, schema=schema, orient="row")
    if found.is_empty():
        return found
    common = _common(contents, found, likely, answers)
    return found.filter(~pl.col("marker").is_in(common))


def _common(contents: Contents, found: pl.DataFrame, likely: pl.DataFrame, answers: pl.DataFrame) -> list[str]:
    """The strings that stand in more than `_SEEN` answers of requests that have nothing of the kind."""
    without = answers.filter(~pl.col("request").is_in(likely["request"].unique().implode()))
    flat = contents.chosen(without["text"])["said"].str.to_lowercase()
    return [
        one for one in found["marker"].unique().sort().to_list() if flat.str.contains(one, literal=True).sum() > _SEEN
    ]


# U-07


def _shown(facts: Facts, contents: Contents) -> pl.DataFrame:
    """The answers that reached someone: pieces; of each request those of the layer nearest to the user."""
    reached = facts.reached["request"]
    answers = _answers(contents).filter(pl.col("request").is_in(reached.implode()))
    kept = pl.concat([facts.renders.filter(~pl.col("answer"))["event_id"], _undelivered(facts)])
    answers = answers.filter(~pl.col("event_id").is_in(kept.implode()))
    return answers.filter(pl.col("place") == pl.col("place").min().over("request"))


def _undelivered(facts: Facts) -> pl.Series:
    calls = facts.responses
    return calls.filter(pl.col("delivered_").not_().fill_null(value=False))["event_id"]


def _shown_links(facts: Facts) -> pl.DataFrame:
    """Links in what was shown: request, event_id, text, url, host, image."""
    contents = facts.contents
    shown = _shown(facts, contents)
    texts = contents.chosen(shown["text"]).filter(pl.col("said").str.contains("https?://"))
    rows = [(place, one.url, one.host, one.image) for place, said in texts.iter_rows() for one in links(said)]
    schema = {"text": pl.Int64, "url": pl.String, "host": pl.String, "image": pl.Boolean}
    found = pl.DataFrame(rows, schema=schema, orient="row")
    return shown.select(*_PIECE).join(found, on="text", how="inner", maintain_order="left")


def _shown_hosts(facts: Facts) -> pl.DataFrame:
    """Hosts of links that were shown: request, marker (the host), displayed."""
    found = _shown_links(facts).select("request", marker="host").unique()
    return found.with_columns(displayed=pl.lit(value=True))


def _external(facts: Facts) -> Sequence[Found] | Unknown:
    contents = facts.contents
    shown = _shown(facts, contents)
    if shown.is_empty():
        return _unread(contents, "text that was shown")
    evaluable = shown["request"]
    rows = _shown_links(facts)
    if rows.is_empty():
        return [Found(HITS_EMPTY, evaluable, parameters=contents.limits)]
    rows = rows.join(_carried(contents, rows), on=["request", "text", "url"], how="left", maintain_order="left")
    hosts = _listed(facts, "allowed_hosts")
    known = _known_hosts(facts, contents, rows)
    rows = rows.join(known, on=["request", "host"], how="left", maintain_order="left")
    listed = [allowed(host, hosts) for host in rows["host"].to_list()]
    rows = rows.with_columns(listed=pl.Series(listed, dtype=pl.Boolean))
    strange = pl.col("known").is_null() & ~pl.col("listed")
    limits = {**contents.limits, "allowed_hosts": _said(hosts) or "none declared"}
    found = []
    carried = rows.filter(pl.col("carried").is_not_null())
    for (host, of), part in carried.group_by("host", "carried", maintain_order=True):
        events = pl.concat(
            [part.select("request", "event_id"), part.select("request", event_id="carrier").drop_nulls()]
        )
        values = {"what": _what(part), "host": defanged(str(host)), "doc": of}
        where = pl.col("event_id") == pl.col("event_id").first()
        more = {"url": defanged(str(part.filter(where)["url"][0]))}
        found.append(Found(_hits(facts, events), evaluable, values, defanged(str(host)), parameters={**limits, **more}))
    words = (
        "A displayed {what} points to {host}, which is in no document and no message recorded for the request{listed}."
    )
    said = " and on no list of allowed hosts" if hosts else ""
    others = []
    for (host,), part in rows.filter(strange & pl.col("carried").is_null()).group_by("host", maintain_order=True):
        values = {"what": _what(part), "host": defanged(str(host)), "listed": said}
        others.append(
            Found(
                _hits(facts, part),
                evaluable,
                values,
                defanged(str(host)),
                statement=words,
                parameters=limits,
            )
        )
    rest = "Displayed links or images of {n:request} point to {more} further hosts."
    found = capped(found, rest) + [replace(one, attention="CC", status="INF") for one in capped(others, rest)]
    return found or [Found(HITS_EMPTY, evaluable, parameters=limits)]


def _what(part: pl.DataFrame) -> str:
    return "image" if part["image"].any() else "link"


def _known_hosts(facts: Facts, contents: Contents, rows: pl.DataFrame) -> pl.DataFrame:
    """Hosts that need no list: of the request's documents and messages, or shown to users of several sessions."""
    pieces = contents.of(pl.col("request").is_in(rows["request"].unique().implode()), pl.col("side") != "output")
    texts = contents.chosen(pieces["text"]).filter(pl.col("said").str.contains("https?://"))
    told = [(place, one.host) for place, said in texts.iter_rows() for one in links(said)]
    inside = pl.DataFrame(told, schema={"text": pl.Int64, "host": pl.String}, orient="row").unique()
    here = pieces.join(inside, on="text", how="inner").select("request", "host")
    # A document may be named by where it lies.
    ids = pieces.filter(pl.col("document").str.contains("^https?://"))
    ids = ids.select("request", host=pl.col("document").str.extract(r"^https?://([^/?#:]+)").str.to_lowercase())
    usual = rows.join(_owners(facts), on="request", how="left").group_by("host").agg(owners=pl.col("owner").n_unique())
    usual = usual.filter(pl.col("owners") >= SHARED_BY)
    often = rows.join(usual, on="host", how="semi").select("request", "host")
    return pl.concat([here, ids, often]).unique().with_columns(known=pl.lit(value=True))


def _carried(contents: Contents, rows: pl.DataFrame) -> pl.DataFrame:
    """What a link's query carries of another text of its request, or else of a document: whose text, and the event.

    Returns:
        request, text, url, carried (what holds it), carrier (event).
    """
    schema = {"request": pl.String, "text": pl.Int64, "url": pl.String, "carried": pl.String, "carrier": pl.String}
    urls = rows.select("url").unique(maintain_order=True)["url"].to_list()
    values = {url: query_values(url, LEAST_QUERY) for url in urls}
    asked = rows.filter(pl.col("url").is_in([url for url, found in values.items() if found]))
    sources = contents.of(pl.col("side") != "output")
    flat: dict[int, str] = {}
    found = []
    for row in asked.unique(["request", "text", "url"], maintain_order=True).head(_MOST_PAIRS).iter_rows(named=True):
        here = sources.filter(pl.col("request") == row["request"])
        near = [
            *here.filter(pl.col("side") == "passage").rows(named=True),
            *here.filter(pl.col("side") != "passage").rows(named=True),
        ]
        for piece in near:
            text = flat.setdefault(piece["text"], plain(contents.texts[piece["text"]]))
            # What holds the link itself shows nothing.
            bare = text.replace(plain(row["url"]), " ")
            if any(value in bare for value in values[row["url"]]):
                of = f"document {piece['document']}" if piece["document"] else f"the {piece['kind']} record"
                found.append((row["request"], row["text"], row["url"], of, piece["event_id"]))
                break
    return pl.DataFrame(found, schema=schema, orient="row")


# E-07


def _self_reports(facts: Facts) -> Sequence[Found] | Unknown:
    contents = facts.contents
    answers = _answers(contents)
    if answers.is_empty():
        return _unread(contents, "answer")
    texts = contents.chosen(answers["text"])
    told = texts.with_columns(claim=claims(texts["said"])).drop_nulls("claim")
    hit = answers.join(told.select("text"), on="text", how="semi", maintain_order="left")
    spans = {text: claim.strip() for text, claim in told.select("text", "claim").iter_rows()}
    limits = {**contents.limits, **_quoted(facts, contents, hit, spans)}
    return [Found(_hits(facts, hit), answers["request"], parameters=limits)]


# M-12


def _anomalies(facts: Facts) -> Sequence[Found] | Unknown:
    contents = facts.contents
    made = contents.of(pl.col("kind") == "model.call", pl.col("side") == "output")
    calls = facts.responses.filter(pl.col("completed") & pl.col("request").is_not_null())
    if facts.affected is not None:
        calls = calls.filter(pl.col("request").is_in(facts.affected.requests.implode()))
    empty = calls.filter((pl.col("output_chars") == 0) & pl.col("output_hash").is_null())
    if made.is_empty() and empty.is_empty():
        return _unread(contents, "output of a model")
    evaluable = pl.concat([made["request"], empty["request"]])
    found = []
    if empty.height:
        found.append(
            Found(
                _hits(facts, empty),
                evaluable,
                subject="empty",
                statement="Outputs of the model in {n:request} hold no text.",
            )
        )
    texts = contents.chosen(made["text"])
    for script, part in _foreign(contents, made, texts):
        found.append(Found(_hits(facts, part), evaluable, {"script": script}, script, parameters=contents.limits))
    words = pl.col("said").str.split(" ")
    likely = texts.filter(words.list.len() >= LEAST_WORDS, words.list.n_unique() < REPEATED * words.list.len())
    rates = [repetition(text) for text in likely["said"].to_list()]
    again = likely.with_columns(rate=pl.Series(rates, dtype=pl.Float64)).filter(pl.col("rate") > REPEATED)
    part = made.join(again.select("text"), on="text", how="semi", maintain_order="left")
    if part.height:
        said = "In outputs of {n:request}, more than half of the runs of six words repeat earlier ones."
        found.append(
            Found(_hits(facts, part), evaluable, subject="repetition", statement=said, parameters=contents.limits)
        )
    return found or [Found(HITS_EMPTY, evaluable, parameters=contents.limits)]


def _foreign(contents: Contents, made: pl.DataFrame, texts: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Outputs with letters of a script that no prompt and no document of their request has."""
    counted = texts.select("text").hstack(script_letters(texts["said"]))
    least = pl.max_horizontal(pl.col("letters") * FOREIGN_SHARE, 2)
    enough = counted.filter(pl.col("letters") >= LEAST_LETTERS)
    long = enough.unpivot(SCRIPTS, index=["text", "letters"], variable_name="script", value_name="n")
    likely = made.join(long.filter(pl.col("n") > least), on="text", how="inner", maintain_order="left")
    if likely.is_empty():
        return []
    sources = contents.of(pl.col("side") != "output", pl.col("request").is_in(likely["request"].unique().implode()))
    read = contents.chosen(sources["text"])
    has = read.select("text").hstack(script_letters(read["said"])).drop("letters")
    has = has.unpivot(SCRIPTS, index="text", variable_name="script", value_name="n").filter(pl.col("n") > 0)
    there = sources.join(has, on="text", how="inner").select("request", "script").unique()
    # Where nothing of the prompt is known, nothing is absent from it.
    known = likely.filter(pl.col("request").is_in(sources["request"].unique().implode()))
    rows = known.join(there, on=["request", "script"], how="anti", maintain_order="left")
    return [(str(script), part) for (script,), part in rows.group_by("script", maintain_order=True)]


HITS_EMPTY = HITS.to_frame()
_MISS = "A text that this does not name is not cleared by it: most wordings are of no family."

CHECKS: tuple[Check, ...] = (
    Check(
        id="P-03",
        name="unfilled-or-empty-segment",
        layers=("prompt",),
        attention="CC",
        status="OBS",
        needs=("*.input_chars",),
        rule=_unfilled,
        statement="Variable {v} has no value in the rendered prompt of {n:request}.",
        question="What fills this variable, and what does the template do where it has nothing to fill it with?",
        alternatives=(
            "The template shows braces on purpose, as an example of a format.",
            "Users of several sessions sent the same text with braces, and no record holds it apart from the prompt.",
        ),
        content=True,
        parameters={"line_shared_by_sessions": SHARED_BY, "most_events": MOST},
    ),
    Check(
        id="P-04",
        name="instruction-like-user-text",
        layers=("prompt",),
        attention="CC",
        status="INF",
        needs=("*.input_chars",),
        rule=_instruction_like_user,
        statement="User text in {n:request} contains phrasing that resembles instructions to the model ({families})."
        " Intent is not knowable from logs.",
        question="What do people who use this product that way want of it?",
        alternatives=(
            "Security staff tried the product.",
            "The user quotes, translates or asks about such text.",
            "The user gives the model a role for a task of their own.",
            _MISS,
        ),
        content=True,
        parameters={"families_needed": 2, "window_characters": WINDOW, "most_events": MOST},
    ),
    Check(
        id="R-07",
        name="instruction-like-document-text",
        layers=("retrieval",),
        attention="CC",
        status="INF",
        needs=("retrieval.documents",),
        rule=_instruction_like_document,
        statement="Document {d} (source {p}) contains text resembling instructions to a model ({families}), and was"
        " supplied in {n:request}. Whether the model acted on it is treated in X-06.",
        question="How did this document get into the index, and who may change it there?",
        alternatives=("The document is about prompts or security.", "A read-me file with HTML comments.", _MISS),
        content=True,
        parameters={"families_needed": 2, "window_characters": WINDOW, "most_events": MOST},
    ),
    Check(
        id="M-12",
        name="output-anomaly",
        layers=("model",),
        attention="CC",
        status="DER",
        needs=("model.output_chars",),
        rule=_anomalies,
        statement="Outputs in {n:request} contain {script} characters where prompt and documents have none.",
        question="What else do these outputs have in common?",
        alternatives=("The task was a translation.", "Names are written so."),
        content=True,
        core=False,
        parameters={
            "foreign_share": FOREIGN_SHARE,
            "least_letters": LEAST_LETTERS,
            "repeated_share": REPEATED,
            "most_events": MOST,
        },
    ),
    Check(
        id="U-07",
        name="external-link-or-image-shown",
        layers=("ui",),
        attention="RU",
        status="DER",
        needs=("*.output_chars",),
        rule=_external,
        statement="A displayed {what} points to {host}; its query contains a string also present in {doc}.",
        question="What does the page do with links and images in an answer, and which hosts may they point to?",
        alternatives=("The user supplied the URL in an earlier turn.", "The product's own host, which no log names."),
        content=True,
        parameters={"least_query_characters": LEAST_QUERY, "host_shown_to_sessions": SHARED_BY, "most_events": MOST},
    ),
    Check(
        id="X-06",
        name="instruction-follow-through-candidate",
        layers=("retrieval", "model"),
        attention="CC",
        status="INF",
        needs=("*.output_chars",),
        rule=_followed,
        statement="A string from the instruction-like passage in {d} also appears in the response of {n:request}. This"
        " is consistent with the passage having influenced it; the records do not establish it.",
        question="What else could the response have taken this string from?",
        alternatives=("The user asked for the passage to be quoted or summed up.", _MISS),
        content=True,
        parameters={"least_characters": 8, "answers_without_it": _SEEN, "most_events": MOST},
    ),
    Check(
        id="E-07",
        name="model-self-report",
        layers=("model",),
        attention="EG",
        status="INF",
        needs=("*.output_chars",),
        rule=_self_reports,
        statement="In {n:request} the system's output resembles an account of its own past actions: a statement by the"
        " system, not a record of events.",
        question="Which log records the actions themselves?",
        alternatives=("The text is a draft in somebody else's name.", _MISS),
        content=True,
        parameters={"most_events": MOST},
    ),
)
