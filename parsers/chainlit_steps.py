"""Chainlit: the `steps` table of its data layer: messages, and the steps between them, as a tree.

What to know of these rows: times are UTC; a message has only `createdAt`, a step a start and an end. `parentId` is the
step above; the first is the user's message. A user's text lies in `output`, as all messages' do. `isError` is null
where nobody said. `metadata` and `generation` are JSON texts; ids of your own app lie in `metadata`, if anywhere.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Time, filled, inside, path, truth, whole

META, GENERATION = path("metadata"), path("generation")
kind = pl.col("type")
step = ~kind.is_in(["user_message", "assistant_message", "system_message", "llm", "retrieval", "rerank", "embedding"])
outcome = pl.when(truth("failed")).then(pl.lit("error")).when(truth("failed").not_()).then(pl.lit("ok"))
texts = {"input": filled("input"), "output": filled("output"), "outcome": outcome}

FORMAT = Format(
    name="chainlit_steps",
    title="Chainlit steps (data layer)",
    layer="prompt",
    reference="https://docs.chainlit.io/data-layers/sqlalchemy",
    versions=("2.12.0",),
    verified=True,
    export="Export the `steps` table of the data layer's database (SQLite, Postgres; CSV, JSON).",
    limits="Only what the app wrapped in steps; a message has one time, and no answer says when it was shown.",
    recognise=Recognise(
        keys=(("threadId",), ("parentId",), ("isError",), ("showInput",)),
        any_of=((("start",), ("startTime",)),),
        where=((("type",), r"^[a-z_]+$"),),
    ),
    fields={
        "id": path("id"),
        "name": path("name"),
        "type": path("type"),
        "thread": path("threadId"),
        "parent": path("parentId"),
        "failed": path("isError"),
        "input": path("input"),
        "output": path("output"),
        "created": path("createdAt"),
        "started": path("start"),
        "ended": path("end"),
        "started_2": path("startTime"),
        "ended_2": path("endTime"),
        "request": inside(META, "request_id"),
        "trace": inside(META, "trace_id"),
        "provider": inside(GENERATION, "provider"),
        "model": inside(GENERATION, "model"),
        "messages": inside(GENERATION, "messages"),
        "answer": inside(GENERATION, "messageCompletion", "content"),
        "completion": inside(GENERATION, "completion"),
        "tokens_in": inside(GENERATION, "inputTokenCount"),
        "tokens_out": inside(GENERATION, "outputTokenCount"),
        "temperature": inside(GENERATION, "settings", "temperature"),
    },
    time=Time(pl.coalesce("started", "started_2", "created")),
    end=Time(pl.coalesce("ended", "ended_2")),
    time_kind="start",
    zone="UTC",
    columns={
        "name": "name",
        "service": pl.lit("chainlit"),
        "session": "thread",
        "span_id": "id",
        "parent_id": filled("parent"),
    },
    ids=(Id("message_id", "id"), Id("request_id", filled("request")), Id("trace_id", filled("trace"))),
    events=(
        Event(
            kind="prompt.received",
            when=kind.eq("user_message"),
            time_kind="write",
            columns={"input": filled("output"), "user": "name", "content_state": pl.lit("full")},
        ),
        Event(
            kind="prompt.answered",
            when=kind.eq("assistant_message"),
            time_kind="write",
            columns={"output": filled("output"), "outcome": outcome, "content_state": pl.lit("full")},
        ),
        Event(
            kind="prompt.message",
            when=kind.eq("system_message"),
            time_kind="write",
            columns={"output": filled("output")},
        ),
        Event(
            kind="model.call",
            layer="model",
            when=kind.eq("llm"),
            columns=texts
            | {
                "input": filled("messages", "input"),
                "output": filled("answer", "completion", "output"),
                "requested_model": filled("model"),
                "provider": filled("provider"),
                "input_tokens": whole("tokens_in"),
                "output_tokens": whole("tokens_out"),
            },
            parameters={"temperature": "temperature"},
        ),
        Event(
            kind=kind.replace(
                {"retrieval": "retrieval.query", "rerank": "retrieval.rerank", "embedding": "retrieval.embed"}
            ),
            layer="retrieval",
            when=kind.is_in(["retrieval", "rerank", "embedding"]),
            columns=texts,
        ),
        Event(kind="app.step", layer="other", when=step, columns=texts, attributes={"step_type": "type"}),
    ),
)
