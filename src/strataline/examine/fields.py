"""Fields that checks need, by the name that a team would log them under, and the log that would carry them.

Names are those of the OpenTelemetry semantic conventions for generative AI where they have one (https://opentelemetry.io/
docs/specs/semconv/gen-ai/), of the CoSAI telemetry conventions (``rag.*``, ``security.*``, ``model_ops.*``) otherwise,
and plain words where neither has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from strataline.event import PRODUCT_LAYERS
from strataline.examine.check import Check

LOGS = {
    "prompt": "the application's prompt log",
    "retrieval": "the retriever's trace or log",
    "model": "the model gateway's log",
    "policy": "the filter's decision log",
    "ui": "the page's or client's events",
    "change": "deploy, flag or configuration events (--changes FILE)",
}
"""The log of each layer, in words."""

NAMES = {
    "template_name": "gen_ai.prompt.name",
    "template_version": "gen_ai.prompt.version",
    "template_hash": "gen_ai.system_prompt.hash",
    "index_name": "gen_ai.data_source.id",
    "index_version": "rag.retrieve.index (with its version)",
    "embedding_model": "gen_ai.request.model of the embeddings operation",
    "documents": "rag.doc.id, rag.doc.score (a list; id, version, score, tenant, hash)",
    "requested_model": "gen_ai.request.model",
    "served_model": "gen_ai.response.model",
    "provider": "gen_ai.provider.name",
    "parameters": "gen_ai.request.temperature, .max_tokens, .top_p, …",
    "response_id": "gen_ai.response.id",
    "finish_reason": "gen_ai.response.finish_reasons",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "attempt": "http.request.resend_count",
    "fallback": "model_ops.serving.fallback.original_model, .final_model",
    "cache": "model_ops.serving.cache.hit",
    "stream": "gen_ai.request.stream",
    "http_status": "http.response.status_code",
    "policy_name": "security.guardrail.name",
    "policy_version": "security.guardrail.policy (with its version)",
    "policy_stage": "security.guardrail.type (input, output)",
    "policy_mode": "the filter's mode (enforce, monitor, fail_open)",
    "verdict": "security.guardrail.result",
    "enforced": "security.blocked",
    "delivered": "whether the answer left for the user",
    "score": "the decision's score",
    "threshold": "the threshold that it is compared with",
    "shown": "what the page showed (answer, notice, error)",
    "citations": "how many citations the page showed",
    "feedback": "quality.feedback.thumbs",
    "client_version": "service.version of the client",
    "session": "session.id",
    "user": "user.id or its hash",
    "tenant": "the tenant's id",
    "input_hash": "a hash or the text of what went in (gen_ai.input.messages)",
    "output_hash": "a hash or the text of what came out (gen_ai.output.messages)",
    "input_chars": "the length of what went in",
    "output_chars": "the length of what came out",
    "span_id": "span_id",
    "event_time": "a time",
}
"""Column of ``events`` → the name that it is logged under."""


def named(need: str) -> str:
    """A need of a check in the words of a team: ``policy.verdict`` as the field's name and its log.

    >>> named("policy.verdict")
    "security.guardrail.result in the filter's decision log"
    >>> named("kind:ui.rendered")
    "an event that says what was rendered, in the page's or client's events"
    """
    if need.startswith("kind:"):
        layer, _, what = need.removeprefix("kind:").partition(".")
        log = LOGS.get(layer, f"a log of {layer}")
        return f"an event that says what was {what}, in {log}"
    layer, _, column = need.partition(".")
    if layer == "declared":
        return f"{column} in the file of --declared"
    if need == "--content":
        return "--content, which lets checks read whole texts"
    if not column:
        return need
    where = LOGS.get(layer, "any log" if layer == "*" else f"the table {layer}")
    return f"{NAMES.get(column, column)} in {where}"


def unlocking(findings: pl.DataFrame, checks: Sequence[Check]) -> pl.DataFrame:
    """What would let most checks run that could not.

    Args:
        findings: as `run` gives them.
        checks: the checks that were run.

    Returns:
        (need, named, alone, checks): one row per field that some check lacks, those first that alone would unlock most
        checks: ``alone`` is how many lack nothing else, ``checks`` the ids of all that lack it.
    """
    order = {check.id: place for place, check in enumerate(checks)}
    lacking = findings.filter(pl.col("result") == "not_evaluable").select("check", "unlocks")
    rows: dict[str, tuple[list[str], int]] = {}
    for check, unlocks in lacking.iter_rows():
        for need in unlocks or []:
            of, alone = rows.get(need, ([], 0))
            rows[need] = ([*of, check], alone + (len(unlocks) == 1))
    listed = [
        {
            "need": need,
            "named": named(need),
            "alone": alone,
            "checks": sorted(of, key=lambda one: order.get(one, len(order))),
        }
        for need, (of, alone) in rows.items()
    ]
    schema = pl.Schema({"need": pl.String(), "named": pl.String(), "alone": pl.Int64(), "checks": pl.List(pl.String())})
    frame = pl.DataFrame(listed, schema=schema)
    return frame.sort(pl.col("alone"), pl.col("checks").list.len(), "need", descending=[True, True, False])


def logs_of(layers: Iterable[str]) -> str:
    """The logs of `layers`, in words."""
    return ", ".join(LOGS[layer] for layer in PRODUCT_LAYERS if layer in set(layers))
