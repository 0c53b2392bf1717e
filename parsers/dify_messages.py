"""Dify: messages of an app, as the log API, the service API and the `messages` table give them.

What to know of these rows: one row is question *and* answer; `created_at` is when the question came (seconds; in the
table UTC that does not say so), the answer took `provider_response_latency` seconds. A moderation shows only as a
canned answer. Retrieved segments and ratings have no time.
"""

import polars as pl

from strataline.format import (
    Documents,
    Duration,
    Event,
    Format,
    Id,
    Recognise,
    Ref,
    filled,
    inside,
    number,
    path,
    whole,
)

META = path("metadata")
resources = pl.coalesce("resources", "resources_2", "resources_3")
liked = {"like": "up", "dislike": "down"}

FORMAT = Format(
    name="dify_messages",
    title="Dify messages (logs and service API, database)",
    layer="prompt",
    reference="https://docs.dify.ai/api-reference/chat/get-conversation-history-messages",
    verified=False,
    export="GET /v1/messages (service API), the logs of the console, or the `messages` table.",
    limits="One time per exchange; steps of a workflow are elsewhere (`workflow_run_id`); no verdicts.",
    recognise=Recognise(
        keys=(("conversation_id",), ("query",), ("answer",), ("inputs",)),
        any_of=(
            (("agent_thoughts",), ("message_tokens",), ("retriever_resources",)),
            (("parent_message_id",), ("from_source",), ("feedback",)),
        ),
    ),
    fields={
        "id": path("id"),
        "conversation": path("conversation_id"),
        "parent": path("parent_message_id"),
        "run": path("workflow_run_id"),
        "app": path("app_id"),
        "created": path("created_at", verbatim=True),
        "took": path("provider_response_latency"),
        "query": path("query"),
        "answer": path("answer"),
        "status": path("status"),
        "error": path("error"),
        "source": path("from_source"),
        "user": path("from_end_user_id"),
        "account": path("from_account_id"),
        "model": path("model_id"),
        "provider": path("model_provider"),
        "tokens_in": path("message_tokens"),
        "tokens_out": path("answer_tokens"),
        "price": path("total_price"),
        "currency": path("currency"),
        "meta_in": inside(META, "usage", "prompt_tokens"),
        "meta_out": inside(META, "usage", "completion_tokens"),
        "resources": path("retriever_resources"),
        "resources_2": inside(META, "retriever_resources"),
        "resources_3": inside(path("message_metadata"), "retriever_resources"),
        "feedbacks": path("feedbacks"),
        "feedback": path("feedback"),
        "thoughts": path("agent_thoughts"),
    },
    zone="UTC",
    columns={
        "service": pl.lit("dify"),
        "session": "conversation",
        "user": filled("user", "account"),
    },
    ids=(Id("message_id", "id"), Id("run_id", filled("run"))),
    events=(
        Event(
            kind="prompt.received",
            time="created",
            time_kind="start",
            refs=(Ref("message_id", filled("parent"), "parent_message"),),
            columns={"name": pl.lit("query"), "input": "query", "content_state": pl.lit("full")},
            attributes={"app": filled("app"), "from": "source"},
        ),
        Event(
            kind="prompt.answered",
            time="created",
            time_kind="start",
            # Zero is what stands there before an answer, or where there was none.
            duration=Duration(pl.when(number("took") > 0).then(pl.col("took")), "s"),
            columns={
                "name": pl.lit("answer"),
                "output": "answer",
                "content_state": pl.lit("full"),
                "outcome": pl.when(filled("error").is_not_null() | pl.col("status").eq("error"))
                .then(pl.lit("error"))
                .when(pl.col("status").is_in(["normal", "succeeded"]))
                .then(pl.lit("ok"))
                .when(pl.col("status").eq("stopped"))
                .then(pl.lit("cancelled"))
                .otherwise(pl.lit("unknown")),
                "served_model": filled("model"),
                "provider": filled("provider"),
                "input_tokens": pl.coalesce(whole("tokens_in"), whole("meta_in")),
                "output_tokens": pl.coalesce(whole("tokens_out"), whole("meta_out")),
                "cost_usd": pl.when(pl.col("currency") == "USD").then(number("price")),
            },
            attributes={"status": "status", "error": pl.col("error").str.slice(0, 240)},
        ),
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=resources.str.contains("{", literal=True),
            columns={"name": pl.lit("retriever_resources")},
            documents=Documents(
                resources, id=("segment_id",), score=("score",), version=("index_node_hash",), text=("content",)
            ),
        ),
        Event(
            kind="app.step",
            layer="other",
            each="thoughts",
            fields={
                "thought": path("thought"),
                "tool": path("tool"),
                "given": path("tool_input"),
                "got": path("observation"),
                "thought_at": path("created_at", verbatim=True),
            },
            time="thought_at",
            columns={
                "name": pl.coalesce(filled("tool"), pl.lit("agent_thought")),
                "input": filled("given", "thought"),
                "output": filled("got"),
            },
        ),
        Event(
            kind="ui.feedback",
            layer="ui",
            each="feedbacks",
            fields={"rating": path("rating"), "comment": path("content"), "by": path("from_source")},
            columns={
                "name": pl.lit("feedback"),
                "feedback": pl.col("rating").replace(liked),
                "input": filled("comment"),
            },
            attributes={"by": "by"},
        ),
        Event(
            kind="ui.feedback",
            layer="ui",
            each="feedback",
            fields={"rating": path("rating")},
            columns={"name": pl.lit("feedback"), "feedback": pl.col("rating").replace(liked)},
        ),
    ),
)
