"""The benchmark's page: what was shown and how it was rated, by the clock of the user's device."""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, path

action = pl.col("action")

FORMAT = Format(
    name="bench_ui",
    title="Benchmark: page",
    layer="ui",
    reference="benchmarks/rivals/generate.py",
    recognise=Recognise(
        keys=(("ts",), ("action",), ("chatId",), ("deviceId",)), where=((("action",), r"^answer_(?:shown|rated)$"),)
    ),
    fields={
        "ts": path("ts"),
        "action": path("action"),
        "turn": path("turnId"),
        "message": path("messageId"),
        "chat": path("chatId"),
        "device": path("deviceId"),
        "client": path("client"),
        "text": path("text"),
        "rating": path("rating"),
    },
    time="ts",
    clock=pl.lit("device:") + pl.col("device"),
    columns={"name": "action", "service": pl.lit("page"), "session": "chat", "client_version": "client"},
    ids=(Id("turn_id", "turn"), Id("message_id", "message")),
    events=(
        Event("ui.rendered", when=action == "answer_shown", columns={"output": "text"}),
        Event("ui.feedback", when=action == "answer_rated", columns={"feedback": "rating"}),
    ),
)
