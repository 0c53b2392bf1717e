"""LLM Guard: lines of its structlog JSON log: scanners, summaries, and the sentences of a scanner between them.

What to know of these lines: they carry no id of any kind. A scanner's line is DEBUG and does not say whether it read
a prompt or an output; the summary after it does. Lines are written when the scan ends.

Sentences of scanners that are not listed here stay with the general format of JSON application logs.

Verdicts: of a scanner's line `is_valid` true is allow, false is flag (what the application did is not in the log). Of
a summary they follow from the scores: all negative is allow, one above 0 is flag, otherwise unknown (0 is either, by
release); no score is not_evaluated. A scanner that `fail_fast` left out has no line: it was not evaluated.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Recognise, path, words

SUMMARY = r"^Scanned (prompt|output)$"
SENTENCES = (
    "Scanner completed",
    "Scanned prompt",
    "Scanned output",
    "No secrets detected in the prompt",
    "Detected secrets in prompt",
    "No banned substrings found",
    "Found the following banned substrings",
    "None of the patterns were found in the text",
    "Pattern was detected in the text",
)
event = pl.col("event")
scored = pl.col("scores").str.extract_all(r":\s*-?[0-9.]+(?:[eE][+-]?\d+)?")
highest = scored.list.eval(pl.element().str.strip_chars(": ").cast(pl.Float64, strict=False)).list.max()

FORMAT = Format(
    name="llm_guard_log",
    title="LLM Guard log",
    layer="policy",
    reference="https://protectai.github.io/llm-guard/get_started/quickstart/",
    versions=("0.3.16",),
    verified=True,
    export="Call `llm_guard.util.configure_logger(log_level='DEBUG', render_json=True)`; the log is standard output.",
    limits="It has no id, no text and no threshold, and does not say what the application did with a verdict.",
    recognise=Recognise(
        keys=(("timestamp",), ("level",)),
        where=((("event",), "^(?:" + "|".join(SENTENCES) + ")$"),),
    ),
    fields={
        name: path(name)
        for name in (
            "event",
            "level",
            "scanner",
            "is_valid",
            "scores",
            "elapsed_time_seconds",
            "matched_substrings",
            "pattern",
            "secret_types",
        )
    }
    | {"timestamp": path("timestamp", verbatim=True)},
    time="timestamp",
    time_kind="write",
    columns={"name": "event", "service": pl.lit("llm-guard")},
    attributes={"level": "level"},
    events=(
        Event(
            "policy.decision",
            when=event == "Scanner completed",
            time_kind="end",
            duration=Duration("elapsed_time_seconds", "s"),
            columns={
                "policy_name": "scanner",
                "verdict": words("is_valid", {"true": "allow", "false": "flag"}, default="unknown").fill_null(
                    "not_evaluated"
                ),
                "outcome": pl.lit("ok"),
            },
        ),
        Event(
            "policy.decision",
            when=event.str.contains(SUMMARY),
            time_kind="end",
            duration=Duration("elapsed_time_seconds", "s"),
            columns={
                "policy_name": pl.lit("all scanners"),
                "policy_stage": event.str.extract(SUMMARY, 1).replace("prompt", "input"),
                "verdict": pl.when(highest > 0)
                .then(pl.lit("flag"))
                .when(highest < 0)
                .then(pl.lit("allow"))
                .when(highest.is_null())
                .then(pl.lit("not_evaluated"))
                .otherwise(pl.lit("unknown")),
                "score": highest,
                "outcome": pl.lit("ok"),
            },
            attributes={"scores": "scores"},
        ),
        Event(
            "policy.log",
            when=(event != "Scanner completed") & ~event.str.contains(SUMMARY),
            attributes={
                # What a scanner found names the rule; secrets themselves are not in the line.
                "matched_substrings": "matched_substrings",
                "pattern": "pattern",
                "secret_types": "secret_types",
            },
        ),
    ),
)
