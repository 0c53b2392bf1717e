"""Azure OpenAI: answers and stream chunks that carry results of the content filter.

What to know of these records: `created` is when the model began, to the second, alike in all chunks. Chunks that carry
only results have an empty id and 0 as time: they belong to the stream that they stand in, and only their place there
ties them to it. With the asynchronous filter the text goes out before its verdict comes. An ``error`` where a result
should be means that the filter did not run and the text passed: not evaluated. What was found and not filtered is a
flag.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Time, Value, filled, path, whole

INNER = r"(?:[^{}]|\{[^{}]*\})*?"
HARM = r'"severity":\s*"(?:low|medium|high)"'


def _decision(stage: str, text: pl.Expr, *, ended: pl.Expr, attributes: dict[str, Value]) -> Event:
    """What the content filter said of one side; `ended`: it cut the answer off."""
    verdict = (
        pl.when(text.str.contains(r'"filtered":\s*true') | ended)
        .then(pl.lit("block"))
        .when(text.str.contains(rf'"detected":\s*true|{HARM}'))
        .then(pl.lit("flag"))
        .when(text.str.contains(r'"error":\s*\{'))
        .then(pl.lit("not_evaluated"))
        .when(text.str.contains(r'"filtered":\s*false'))
        .then(pl.lit("allow"))
        .otherwise(pl.lit("unknown"))
    )
    told = text.str.extract_all(rf'"\w+":\s*\[?\{{{INNER}(?:"(?:filtered|detected)":\s*true|{HARM}|"code":)')
    found = told.list.eval(pl.element().str.extract(r'^"(\w+)"', 1)).list.join(", ")
    withheld = ended & pl.col("object").is_in(WHOLE) & filled("content", "text").is_null()
    return Event(
        "policy.decision",
        layer="policy",
        when=text.str.contains('"', literal=True).fill_null(value=False) | ended,
        columns={
            "name": pl.lit("content_filter"),
            "policy_name": pl.lit("azure-content-filter"),
            "policy_stage": pl.lit(stage),
            "verdict": verdict,
            "enforced": verdict.replace_strict({"block": True, "flag": False}, default=None, return_dtype=pl.Boolean),
            "delivered": pl.when(withheld).then(pl.lit(value=False)),
            "outcome": pl.when(verdict == "block").then(pl.lit("blocked")).otherwise(pl.lit("ok")),
        },
        attributes={"found": pl.when(found != "").then(found), **attributes},
    )


WHOLE = ["chat.completion", "text_completion"]
finish = filled("finish")
cut_off = finish.eq_missing(pl.lit("content_filter"))
answers = pl.col("object").is_in(WHOLE)
chunk = ~answers & filled("id").is_not_null() & (finish.is_not_null() | filled("delta", "text").is_not_null())
on_input = filled("prompt_filter_results", "prompt_annotations")
output = filled("content", "text", "tool_calls", "delta")
state = pl.when(output.is_null()).then(pl.lit("absent")).otherwise(pl.lit("full"))
answered: dict[str, Value] = {
    "output": output,
    "served_model": filled("model"),
    "response_id": filled("id"),
    "finish_reason": finish,
    "input_tokens": whole("prompt_tokens"),
    "output_tokens": whole("completion_tokens"),
    "outcome": pl.when(cut_off).then(pl.lit("blocked")).otherwise(pl.lit("ok")),
}

FORMAT = Format(
    name="azure_content_filter",
    title="Azure OpenAI answer with content filter results",
    layer="model",
    reference="https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter",
    verified=True,
    export="Bodies of answers, or captured streams, that an application or a proxy before Azure OpenAI wrote down.",
    limits="The prompt, and whether the text reached the user, are not there; chunks of results name no answer.",
    recognise=Recognise(
        keys=(("id",), ("object",), ("created",), ("model",), ("choices",)),
        any_of=((("prompt_filter_results",), ("prompt_annotations",), ("choices", 0, "content_filter_results")),),
    ),
    fields={
        **{name: path(name) for name in ("id", "object", "created", "model", "system_fingerprint")},
        "prompt_filter_results": path("prompt_filter_results"),
        "prompt_annotations": path("prompt_annotations"),
        "result": path("choices", 0, "content_filter_results"),
        "offsets": path("choices", 0, "content_filter_offsets"),
        "finish": path("choices", 0, "finish_reason"),
        "content": path("choices", 0, "message", "content"),
        "tool_calls": path("choices", 0, "message", "tool_calls"),
        "text": path("choices", 0, "text"),
        "delta": path("choices", 0, "delta", "content"),
        "prompt_tokens": path("usage", "prompt_tokens"),
        "completion_tokens": path("usage", "completion_tokens"),
    },
    time=Time(pl.when(pl.col("created") != "0").then(pl.col("created")), "s"),
    time_kind="start",
    columns={"service": pl.lit("azure-openai"), "provider": pl.lit("azure")},
    ids=(Id("response_id", filled("id")),),
    attributes={"system_fingerprint": "system_fingerprint"},
    events=(
        Event("model.call", when=answers, columns={"name": "object", **answered, "content_state": state}),
        # Of a stream the chunk that ends it stands for the call; the others hold parts of the text.
        Event(
            pl.when(finish.is_not_null()).then(pl.lit("model.call")).otherwise(pl.lit("model.log")),
            when=chunk,
            columns={
                "name": "object",
                **answered,
                "stream": pl.lit(value=True),
                "content_state": pl.lit("truncated"),
                "outcome": pl.when(finish.is_not_null()).then(answered["outcome"]),
            },
        ),
        _decision("input", on_input, ended=pl.lit(value=False), attributes={}),
        _decision(
            "output", pl.col("result"), ended=cut_off, attributes={"offsets": "offsets", "finish_reason": finish}
        ),
    ),
)
