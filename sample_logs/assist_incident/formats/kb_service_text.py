"""The search service's own log (text): slow queries, and which collection an alias names, in Kolkata time."""

import polars as pl

from strataline.format import Event, Format, group

BEGINS = (
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<level>[A-Z]+) +"
    r"\[(?P<thread>[^\]]*)\] (?P<logger>kb\.\w+) - "
)
# The query as Python's repr writes it: a quote inside is escaped, so that where it ends is no guess.
SLOW = (
    r"slow query (?P<ms>\d+) ms k=(?P<k>\d+) "
    r"q=(?:'(?P<query>(?:[^'\\]|\\.)*)'|\"(?P<query_quoted>(?:[^\"\\]|\\.)*)\")"
)
ALIAS = r"alias (?P<alias>\S+) -> (?P<new>\S+) \(was (?P<old>\S+)\) source=(?P<source>\S+)"

FORMAT = Format(
    name="kb_service_text",
    title="kb search service log",
    layer="retrieval",
    reference="retrieval/service.log of kb-retrieval 3.2",
    versions=("3.2.1",),
    verified=True,
    container="text",
    pattern=f"{BEGINS}(?:{SLOW}|{ALIAS})",
    begins=r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ +\[",
    other=BEGINS + ".*",
    fields={
        name: group(name)
        for name in (
            "time",
            "logger",
            "ms",
            "k",
            "query",
            "query_quoted",
            "alias",
            "new",
            "old",
            "source",
        )
    },
    time="time",
    zone="Asia/Kolkata",
    # The name under which the service writes its spans: one program, one clock.
    columns={"service": pl.lit("kb-retrieval")},
    attributes={"logger": "logger"},
    events=(
        Event(
            kind="retrieval.slow_query",
            when=pl.col("ms").is_not_null(),
            time_kind="end",
            columns={"name": pl.lit("slow query"), "input": pl.coalesce("query", "query_quoted")},
            parameters={"top_k": "k"},
            attributes={"duration_ms": "ms"},
        ),
        Event(
            kind="change.applied",
            layer="change",
            when=pl.col("alias").is_not_null(),
            columns={
                "name": pl.lit("alias"),
                "index_name": "alias",
                "index_version": "new",
                "change_scope": pl.lit("index"),
                "change_key": "alias",
                "change_old": pl.when(pl.col("old") != "None").then(pl.col("old")),
                "change_new": "new",
            },
            attributes={"source": "source"},
        ),
    ),
)
