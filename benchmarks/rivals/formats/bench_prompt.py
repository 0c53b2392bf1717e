"""The benchmark's application log: what a user asked, and the prompt that was made of it."""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, path

event = pl.col("event")

FORMAT = Format(
    name="bench_prompt",
    title="Benchmark: application log",
    layer="prompt",
    reference="benchmarks/rivals/generate.py",
    recognise=Recognise(
        keys=(("timestamp",), ("level",), ("request_id",), ("session_id",)),
        where=((("service",), r"^assist-api$"), (("event",), r"^(?:chat\.received|prompt\.rendered)$")),
    ),
    fields={
        name: path(name)
        for name in (
            "timestamp",
            "event",
            "request_id",
            "session_id",
            "user_id",
            "service",
            "question",
            "template",
            "template_version",
            "prompt",
        )
    },
    time="timestamp",
    columns={"name": "event", "service": "service", "session": "session_id", "user": "user_id"},
    ids=(Id("request_id", "request_id"),),
    events=(
        Event("prompt.received", when=event == "chat.received", columns={"input": "question"}),
        Event(
            "prompt.rendered",
            when=event == "prompt.rendered",
            columns={"input": "prompt", "template_name": "template", "template_version": "template_version"},
        ),
    ),
)
