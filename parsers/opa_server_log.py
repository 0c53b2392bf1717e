"""Open Policy Agent: the lines of its console between decision logs: requests, responses, returned decisions.

What to know of these lines: `time` is in whole seconds; `req_id` and `txn` count within one process and are no ids.
A line "Returning policy decision." repeats a decision that the decision log tells in full, so it is a log line here and
not a second decision; its `decision-id` (with a hyphen) is the same id. No verdict is read from these lines.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, path, whole, words

FORMAT = Format(
    name="opa_server_log",
    title="Open Policy Agent server log",
    layer="policy",
    reference="https://www.openpolicyagent.org/docs/cli#run",
    versions=("1.11.0",),
    verified=True,
    export="Run OPA with `--log-level debug --log-format json` and keep its standard error.",
    limits="It has whole seconds only, and no id of the caller's request.",
    recognise=Recognise(
        keys=(("level",), ("time",)),
        where=((("msg",), r"^(?:Received request\.|Sent response\.|Returning policy decision\.)$"),),
    ),
    fields={
        "msg": path("msg"),
        "level": path("level"),
        "time": path("time"),
        "decision_id": path("decision-id"),
        "decision": path("decision"),
        "query": path("query"),
        "dry_run": path("dry-run"),
        "took": path("total_decision_time"),
        "method": path("req_method"),
        "target": path("req_path"),
        "status": path("resp_status"),
        "client": path("client_addr"),
        "error": path("err"),
    },
    time="time",
    columns={"name": "msg", "service": pl.lit("opa")},
    ids=(Id("decision_id", "decision_id"),),
    events=(
        Event(
            "policy.log",
            duration=Duration("took", "ns"),
            columns={
                "policy_name": "query",
                "policy_mode": words("dry_run", {"true": "monitor"}),
                "http_status": whole("status"),
                "outcome": pl.when(pl.col("error").is_not_null() | (whole("status") >= 400))
                .then(pl.lit("error"))
                .when(pl.col("msg") != "Received request.")
                .then(pl.lit("ok")),
            },
            attributes={
                "level": "level",
                "decision": pl.col("decision").str.slice(0, 240),
                "method": "method",
                "path": pl.col("target").str.replace(r"\?.*$", ""),
                "client": "client",
            },
        ),
    ),
)
