"""Checks of the ui layer: what was displayed, of what, and whether that is on record.

What the team may declare: ``ai_label`` (name of the attribute by which a display record says that the answer was
labelled as made by a machine).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from strataline.event import ID, only
from strataline.examine.check import HITS, Check, Found, Unknown
from strataline.examine.checks.policy import (
    COVERED_S,
    HELD,
    NEAR_S,
    SECOND,
    displayed,
    later,
    middle_ms,
    showing,
    stream_begun,
)
from strataline.examine.facts import Facts

SHORTER = 0.9
"""Text shown that is shorter than so great a part of the text delivered is not the whole of it."""
MOST_TEXTS = 20_000
REMOVED = r"(?i)remov|retract|withdr[ae]w|delet|replac|hidden|hide|taken_?down|redact"
NOTICE = r"(?i)notice|warn|disclaim|caution|caveat"
WARNS = r"(?i)warn|notice|disclaim|caution"
MARKER = r"\[\^?\d{1,3}\]|【\d|\bdoc(?:ument)?[-_ ]?\d{1,3}\]"
CITED = ("document", "document_id", "doc_id", "citation", "citation_id", "source_id", "href", "url", "link")
"""Attributes by which records of a citation name what was cited."""
SEEN = ("ui.rendered", "ui.error_shown", "ui.copied", "ui.citation", "ui.feedback")
ANSWER_IDS = ("message_id", "response_id")


def _no_display(facts: Facts) -> list[Found]:
    turns = facts.requests.filter(pl.col("kind") == "turn")
    asked = turns if turns.height else facts.requests
    served = facts.reached.select("request", "delivered", t="delivered_t").drop_nulls()
    served = served.join(asked.select("request"), on="request", how="semi").sort("t", "request")
    pages = facts.of("ui", columns=("request", "kind", "t"))
    renders = pages.filter(pl.col("kind").is_in(["ui.rendered", "ui.error_shown"]))
    logged = renders.select(t="t").drop_nulls().sort("t").with_columns(other="t")
    covered = served
    for side in ("backward", "forward"):
        covered = covered.join_asof(logged, on="t", strategy=side, tolerance=COVERED_S * SECOND).drop_nulls("other")
        covered = covered.drop("other")
    # Whoever copies, rates or opens a citation has the answer before them.
    seen = pages.filter(pl.col("kind").is_in(SEEN))
    seen_in = seen["request"].drop_nulls().unique().implode()
    stray = renders.filter(pl.col("request").is_null()).select(t="t").drop_nulls().sort("t").with_columns(stray="t")
    missed = covered.filter(~pl.col("request").is_in(seen_in))
    near = missed.join_asof(stray, on="t", strategy="nearest", tolerance=NEAR_S * SECOND).drop_nulls("stray")
    silent = missed.join(near, on="request", how="anti", maintain_order="left")
    told = covered.join(near, on="request", how="anti")
    return [Found(showing(silent, "delivered"), told["request"])]


def _shown_differs(facts: Facts) -> Sequence[Found] | Unknown:
    # A user who stopped an answer, or left, sees a part of it: their record says so.
    cut = pl.concat(
        [
            facts.of("ui", "ui.stopped", columns=("request",))["request"],
            facts.responses.filter(pl.col("outcome") == "cancelled")["request"],
        ]
    ).drop_nulls()
    redacts = facts.verdicts.select("request", "verdict", "policy_stage", "output_hash").filter(
        (pl.col("verdict") == "redact") & (pl.col("policy_stage") != "input")
    )
    shown = _shown_answers(facts)
    shown = shown.filter(~pl.col("request").is_in(cut.unique().implode()))
    shown = shown.select("request", "shown", shown_hash="output_hash", shown_chars="output_chars")
    calls = facts.responses.select("request", "event_id", "seq", "completed", "output_hash", "output_chars")
    calls = calls.filter("completed").drop_nulls("request")
    columns = ("request", "output_hash")
    texts = (calls.select(columns), *(facts.of(layer, columns=columns) for layer in ("prompt", "policy")))
    hashes = pl.concat(texts).drop_nulls()
    of_request = hashes.group_by("request").agg(hashes=pl.col("output_hash").unique())
    hashed = shown.drop_nulls("shown_hash").join(of_request, on="request", maintain_order="left")
    # The delivered text is the last that any record holds; with several answers, any of them may have been shown. An
    # agent's step before one that was stopped is none of them: what was shown is the application's own.
    sent = facts.of("prompt", "prompt.responded", columns=("request", "event_id", "seq", "output_chars"))
    said = ("request", "event_id", "seq", "output_chars")
    calls = pl.concat([calls.select(said), sent.select(said)], how="vertical_relaxed")
    calls = calls.drop_nulls(["request", "output_chars"]).sort("seq", "event_id")
    stopped = facts.verdicts.filter(pl.col("verdict") == "block")["request"].drop_nulls().unique()
    sizes = calls.group_by("request").agg(least=pl.col("output_chars").min(), call=pl.col("event_id").last())
    sized = shown.drop_nulls("shown_chars").join(sizes, on="request", maintain_order="left")
    sized = sized.join(redacts.select("request"), on="request", how="anti", maintain_order="left")
    sized = sized.filter(~pl.col("request").is_in(stopped.implode()))
    if hashed.is_empty() and sized.is_empty():
        return Unknown(
            "no request holds the hash or length of an answer and that of the text shown",
            ("ui.output_hash", "ui.output_chars", "model.output_hash"),
        )
    explained = redacts.filter(pl.col("output_hash").is_null())["request"].drop_nulls().unique().implode()
    other = hashed.filter(
        ~pl.col("hashes").list.contains(pl.col("shown_hash")), ~pl.col("request").is_in(explained)
    ).join(sizes, on="request", how="left", maintain_order="left")
    short = sized.filter(pl.col("shown_chars") < SHORTER * pl.col("least"))
    short = short.join(other.select("request"), on="request", how="anti", maintain_order="left")
    compared = pl.concat([hashed["request"], sized["request"]])
    lengths = other.drop_nulls(["least", "shown_chars"])
    by_hash = "The text shown differs by hash from every text delivered in {n:request}"
    told = by_hash + " ({a}→{b} characters in the middle ones)." if lengths.height else by_hash + "."
    return [
        Found(
            showing(other, "shown", "call"),
            compared,
            {"a": _middle(lengths["least"]), "b": _middle(lengths["shown_chars"])},
            subject="hash",
            statement=told,
        ),
        Found(
            showing(short, "shown", "call"),
            compared,
            {"a": _middle(short["least"]), "b": _middle(short["shown_chars"])},
            subject="length",
        ),
    ]


def _middle(values: pl.Series) -> int:
    median = values.cast(pl.Float64).median()
    return round(median) if isinstance(median, float) else 0


def _plain(name: str) -> pl.Expr:
    """An id or URL as it is compared: without scheme, ``www.``, query, fragment and last slash, in lower case."""
    return (
        pl.col(name)
        .str.to_lowercase()
        .str.strip_chars()
        .str.replace(r"^[a-z][a-z0-9+.-]*://", "")
        .str.replace(r"^www\.", "")
        .str.replace(r"[?#].*$", "")
        .str.strip_chars_end("/")
    )


def _not_retrieved(facts: Facts) -> Sequence[Found] | Unknown:
    pages = facts.of("ui", columns=("request", "event_id", "t", "kind", "attributes", "documents"))
    pages = pages.filter(pl.col("kind").is_in(["ui.citation", "ui.rendered"]))
    named = pl.when(pl.col("kind") == "ui.citation").then(
        pl.coalesce(pl.col("attributes").map.get(name) for name in CITED)
    )
    listed = pages.with_columns(cited=named).drop_nulls("cited").select("request", "event_id", "t", "cited")
    on_page = pages.filter(pl.col("documents").list.len() > 0).select("request", "event_id", "t", "documents")
    named_there = on_page.explode("documents").select(
        "request", "event_id", "t", cited=pl.col("documents").struct.field("id")
    )
    cited = pl.concat([listed, named_there]).drop_nulls(["request", "cited"])
    if cited.is_empty():
        return Unknown("no display record names what was cited", ("ui.documents", "ui.attributes.document"))
    sessions = facts.tables["requests"].select("request", session=pl.coalesce("session", "request"))
    given = pl.concat([facts.of(layer, columns=("request", "documents")) for layer in ("retrieval", "prompt", "model")])
    used = given.drop_nulls("request").explode("documents").drop_nulls("documents")
    used = used.select("request", document=pl.col("documents").struct.field("id")).drop_nulls("document").unique()
    used = used.join(sessions, on="request")
    used = used.select("session", key=_plain("document"), known=pl.lit(value=True)).unique()
    cited = cited.join(sessions, on="request", maintain_order="left")
    # Of a conversation without any document on record, nothing can be said.
    comparable = cited.join(used.select("session").unique(), on="session", how="semi")
    if comparable.is_empty():
        return Unknown("no conversation holds a citation and the documents that it was given", ("retrieval.documents",))
    keyed = comparable.with_columns(key=_plain("cited"))
    foreign = keyed.join(used, on=["session", "key"], how="anti").sort("t", "event_id", nulls_last=True)
    return [
        Found(
            showing(foreign, "event_id"),
            comparable["request"],
            {"m": foreign.select("event_id", "key").n_unique() if foreign.height else 0},
        )
    ]


def _notice_missing(facts: Facts) -> Sequence[Found] | Unknown:
    found: list[Found] = []
    for one in (_no_notice(facts), _no_citation(facts), _no_label(facts)):
        found += [] if one is None else [one]
    return found or Unknown(
        "no verdict asks for a notice that the page records, no citations are counted beside texts that can be read,"
        " and no label is declared",
        ("policy.attributes.action", "ui.shown", "ui.citations", "inputs", "declared.ai_label"),
    )


def _shown_answers(facts: Facts) -> pl.DataFrame:
    shown = facts.renders.select(
        "request", "t", "answer", "citations", "attributes", "output_hash", "output_chars", shown="event_id"
    )
    return shown.filter("answer").drop_nulls("request").sort("t", "shown", nulls_last=True)


def _no_notice(facts: Facts) -> Found | None:
    """Flags that ask for a warning, where no notice was shown; null where this page's records never tell of one."""
    pages = facts.of("ui", columns=("request", "shown", "name", "outcome", "attributes"))
    told = pl.any_horizontal(
        pl.col("shown").str.contains(NOTICE),
        pl.col("name").str.contains(NOTICE),
        pl.col("attributes").map.get("notice").is_not_null(),
    ).fill_null(value=False)
    # The page's word for a block is no warning beside an answer.
    notices = pages.filter(told, (pl.col("outcome") != "blocked").fill_null(value=True))
    asked = pl.any_horizontal(
        pl.col("policy_mode").str.contains(WARNS),
        *(pl.col("attributes").map.get(name).str.contains(WARNS) for name in ("action", "guardrail_action", "on_flag")),
    ).fill_null(value=False)
    decisions = facts.verdicts.select("request", "event_id", "t", "verdict", "policy_mode", "attributes")
    warns = decisions.filter((pl.col("verdict") == "flag") & asked).drop_nulls("request")
    shown = (
        warns.sort("t", "event_id", nulls_last=True)
        .select("request", "event_id")
        .join(_shown_answers(facts), on="request", maintain_order="left")
    )
    if notices.is_empty() or shown.is_empty():
        return None
    without = shown.join(notices.select("request"), on="request", how="anti", maintain_order="left")
    return Found(showing(without, "event_id", "shown"), shown["request"], subject="notice")


def _no_citation(facts: Facts) -> Found | None:
    """Answers that cite by markers from documents, displayed without a citation; null where texts cannot be read."""
    if facts.texts is None:
        return None
    given = pl.concat([facts.of(layer, columns=("request", "documents")) for layer in ("retrieval", "prompt")])
    documented = given.filter(pl.col("documents").list.len() > 0)["request"]
    bare = _shown_answers(facts).drop_nulls("citations")
    compared = bare.filter(pl.col("request").is_in(documented.drop_nulls().unique().implode()))
    if compared.is_empty():
        return None
    none = compared.filter(pl.col("citations") == 0)
    calls = facts.responses.select("request", "event_id", "seq", "completed").filter("completed")
    calls = calls.sort("seq", "event_id").unique("request", keep="last", maintain_order=True)
    about = none.join(calls.select("request", call="event_id"), on="request", maintain_order="left").head(MOST_TEXTS)
    texts = facts.texts(about["call"].to_list())
    marked = pl.DataFrame(
        {"call": list(texts), "text": [one.output for one in texts.values()]},
        schema={"call": pl.String, "text": pl.String},
    ).filter(pl.col("text").str.contains(MARKER))
    rows = about.join(marked.select("call"), on="call", how="semi", maintain_order="left")
    return Found(
        showing(rows, "shown", "call"),
        compared["request"],
        subject="citation",
        statement="The response text of {n:request} holds citation markers and documents were supplied; the display"
        " record counts no citation.",
    )


def _no_label(facts: Facts) -> Found | None:
    label = facts.declared.get("ai_label")
    if not isinstance(label, str):
        return None
    shown = _shown_answers(facts)
    said = pl.col("attributes").map.get(label).str.to_lowercase()
    rows = shown.filter(~said.is_not_null() | said.is_in(["false", "0", "no", ""]))
    return Found(
        showing(rows, "shown"),
        shown["request"],
        {"label": label},
        subject="label",
        statement="The declared label {label} is not in the display record of {n:request}.",
    )


def _twice(facts: Facts) -> Sequence[Found] | Unknown:
    shown = facts.renders.select("request", "event_id", "t", "answer", "session", "response_id", "output_hash")
    shown = shown.filter("answer").drop_nulls("request").sort("t", "event_id", nulls_last=True)
    records = (pl.col("layer") == "ui") & (pl.col("kind") == "ui.rendered")
    carried = (
        only(facts.tables, "events", records, ("event_id", "ids"))
        .select("event_id", id=pl.col("ids").cast(pl.List(ID)))
        .explode("id")
        .unnest("id")
        .filter(pl.col("kind").is_in(ANSWER_IDS), pl.col("role") == "alias")
        .group_by("event_id")
        .agg(message=pl.col("value").min())
    )
    named = shown.join(carried, on="event_id", how="left", maintain_order="left").with_columns(
        response=pl.coalesce("response_id", "message"),
        session=pl.coalesce("session", "request"),
    )
    named = named.with_columns(key=pl.coalesce("response", "output_hash"))
    by_id = named.drop_nulls("response")
    again = by_id.filter(pl.len().over("session", "response") > 1)
    again = again.with_columns(other=pl.col("event_id").last().over("session", "response"))
    keyed = named.drop_nulls("key")
    if keyed.is_empty():
        return Unknown(
            "no display record names or hashes the response that it is of", ("ui.response_id", "ui.output_hash")
        )
    several = keyed.filter(pl.col("key").n_unique().over("request") > 1)
    several = several.with_columns(other=pl.col("event_id").last().over("request"))
    return [
        Found(
            showing(again, "event_id", "other"),
            by_id["request"],
            {"k": again.select("session", "response").n_unique() if again.height else 0},
            subject="same response again",
        ),
        Found(
            showing(several, "event_id", "other"),
            keyed["request"],
            subject="several responses",
            statement="Two or more different responses are recorded as shown in {n:request}.",
        ),
    ]


def _retracted(facts: Facts) -> Sequence[Found] | Unknown:
    blocks = facts.judged.filter("acts", pl.col("verdict").is_in(HELD))
    if blocks.is_empty():
        return [Found(HITS.to_frame(), 0)]
    # Several records of one verdict: the one whose clock is known best.
    best = blocks.sort("doubt", "decided", "event_id", nulls_last=True)
    best = best.unique(["request", "of_call"], keep="first", maintain_order=True).select(
        *("request", "of_call", "event_id"), v_t="decided", v_clock="clock", v_offset="clock_offset", v_doubt="doubt"
    )
    begun = facts.once(stream_begun).filter(pl.col("basis").is_not_null())
    shown = facts.once(displayed).filter("despite").select("request", "of_call", shows="shown")
    out = pl.concat([shown, begun.select("request", "of_call", "shows")])
    out = out.join(best, on=["request", "of_call"], nulls_equal=True).sort("v_t", "event_id", "shows", nulls_last=True)
    out = out.unique("request", keep="first", maintain_order=True)
    columns = ("request", "event_id", "t", "clock", "clock_offset", "doubt")
    pages = facts.of("ui", columns=(*columns, "kind", "name"))
    removals = pages.filter(pl.col("kind").str.contains(REMOVED) | pl.col("name").str.contains(REMOVED)).select(columns)
    notices = facts.renders.select(*columns, "answer").filter(~pl.col("answer")).select(columns)
    gone = pl.concat([removals, notices]).select(
        "request", gone="event_id", r_t="t", r_clock="clock", r_offset="clock_offset", r_doubt="doubt"
    )
    after = out.join(gone, on="request").with_columns(
        lag=pl.col("r_t") - pl.col("v_t"), late=later("r_", "v_"), ahead=later("v_", "r_")
    )
    # What surely came before the verdict is no answer to it; what the clocks cannot place gives no time.
    after = after.filter((pl.col("ahead") <= 0).fill_null(value=True)).sort("lag", "gone", nulls_last=True)
    after = after.unique("request", keep="first", maintain_order=True)
    timed = after.filter(pl.col("late") > 0)
    rows = out.join(after.select("request", "gone"), on="request", how="left", maintain_order="left")
    values = {
        "removed": after.height,
        "timed": timed.height,
        "d": middle_ms(timed["lag"]),
        "bound": middle_ms(timed["lag"] - timed["late"]),
        "most": _most_ms(timed["lag"]),
    }
    told = "A verdict `block` came for {n:response} of which a display, or delivery as a stream, is on record."
    told += " A removal, or a notice in its place, is recorded in {removed:request}" if after.height else ""
    told += (
        "; in {timed:request} it follows the verdict beyond the clock bound, by {d} ms in the middle one and {most} ms"
        " at most (clock bound ±{bound} ms)"
        if timed.height
        else ""
    )
    told += "." if after.height else " No removal is recorded."
    return [Found(showing(rows, "event_id", "shows", "gone"), blocks["request"], values, statement=told)]


def _most_ms(values: pl.Series) -> int:
    most = values.max()
    return round(most / 1e6) if isinstance(most, int) else 0


CHECKS: tuple[Check, ...] = (
    Check(
        id="U-01",
        name="no-display-record",
        layers=("ui",),
        attention="EG",
        status="DER",
        needs=("kind:ui.rendered",),
        rule=_no_display,
        statement="For {n:response} there is no record of display; whether a person saw them is unknown.",
        question="Which clients show answers without writing to this log?",
        alternatives=(
            "The request came from a client of the API that shows nothing.",
            "The page's records are sampled, or were held back by the browser.",
            "The person stopped the answer, or had left before it came.",
        ),
        parameters={"covered_within_s": COVERED_S, "stray_within_s": NEAR_S},
    ),
    Check(
        id="U-02",
        name="shown-text-differs",
        layers=("ui", "model"),
        attention="DV",
        status="DER",
        needs=("kind:ui.rendered",),
        rule=_shown_differs,
        statement="The text shown is shorter than the text delivered in {n:request}: {a}→{b} characters in the middle"
        " ones.",
        question="What does the page change in a text before it shows it?",
        alternatives=(
            "The page counts, or hashes, the text after it rendered its markup.",
            "The answer was cut by the person or by their connection.",
            "A part of the answer is kept for the product's own use.",
        ),
        parameters={"shorter_than": SHORTER},
    ),
    Check(
        id="U-03",
        name="citation-not-retrieved",
        layers=("ui", "retrieval"),
        attention="CC",
        status="DER",
        needs=("*.documents",),
        rule=_not_retrieved,
        statement="Displayed citations that match no document recorded for the conversation: {m:citation}, in"
        " {n:request}.",
        question="Where can the page take a citation from besides the retriever?",
        alternatives=(
            "The citation is of an earlier conversation.",
            "A tool supplied the document, and its log is not among the supplied ones.",
            "The page names documents otherwise than the retriever does.",
        ),
    ),
    Check(
        id="U-04",
        name="notice-or-citation-missing",
        layers=("ui", "policy"),
        attention="SG",
        status="DER",
        needs=("kind:ui.rendered",),
        rule=_notice_missing,
        statement="The filter asked for a notice in {n:request}; none is recorded as shown.",
        question="How does the page learn that a notice, a citation or a label is to be shown?",
        alternatives=("The page shows it and does not log it.",),
        parameters={"most_texts": MOST_TEXTS},
    ),
    Check(
        id="U-05",
        name="duplicate-delivery",
        layers=("ui",),
        attention="CX",
        status="DER",
        needs=("kind:ui.rendered",),
        rule=_twice,
        statement="Display records count two or more for {k:response} in one session, in {n:request}.",
        question="When does the page write a display record for an answer that it already showed?",
        alternatives=("The page was drawn again, or scrolled back to.", "The turn was sent again."),
    ),
    Check(
        id="U-08",
        name="retraction-lag",
        layers=("ui", "policy"),
        attention="CX",
        status="DER",
        needs=("policy.verdict", "policy.policy_stage", "kind:ui.rendered"),
        rule=_retracted,
        statement="A verdict `block` came for {n:response} of which a display, or delivery as a stream, is on record.",
        question="How is an answer taken back once a part of it has been sent?",
        alternatives=("The removal is not logged.", "The application held the stream back and sent nothing on."),
        core=False,
    ),
)
