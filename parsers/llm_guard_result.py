"""LLM Guard API: the body of `/analyze/prompt` and `/analyze/output`.

What to know of these records: they have no time and no id; the wrapper around them must give both. Scores run from -1
(nothing found) to 1.

Verdicts: `is_valid` true is allow, false is flag, another word is unknown, none is not_evaluated. A scanner that
`fail_fast` left out is not in the body: it was not evaluated, and nothing here says so. Whether the text was changed,
and what the application did, is not said either.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, filled, path, present, words

prompt = present("sanitized_prompt")
scored = pl.col("scanners").str.extract_all(r":\s*-?[0-9.]+(?:[eE][+-]?\d+)?")
highest = scored.list.eval(pl.element().str.strip_chars(": ").cast(pl.Float64, strict=False)).list.max()

FORMAT = Format(
    name="llm_guard_result",
    title="LLM Guard API result",
    layer="policy",
    reference="https://protectai.github.io/llm-guard/api/overview/",
    verified=False,
    export="Keep the body that the LLM Guard API answers with, in a log line or HAR that has a time.",
    limits="It has no time and no id, and leaves out scanners that did not run.",
    recognise=Recognise(
        keys=(("is_valid",), ("scanners",)),
        any_of=((("sanitized_prompt",), ("sanitized_output",)),),
    ),
    fields={name: path(name) for name in ("is_valid", "scanners", "sanitized_prompt", "sanitized_output")},
    columns={"service": pl.lit("llm-guard")},
    events=(
        Event(
            "policy.decision",
            columns={
                "name": pl.when(prompt).then(pl.lit("analyze prompt")).otherwise(pl.lit("analyze output")),
                "policy_name": pl.lit("all scanners"),
                "policy_stage": pl.when(prompt).then(pl.lit("input")).otherwise(pl.lit("output")),
                "verdict": words("is_valid", {"true": "allow", "false": "flag"}, default="unknown").fill_null(
                    "not_evaluated"
                ),
                "score": highest,
                "output": filled("sanitized_prompt", "sanitized_output"),
                "outcome": pl.lit("ok"),
            },
            attributes={"scores": "scanners"},
        ),
    ),
)
