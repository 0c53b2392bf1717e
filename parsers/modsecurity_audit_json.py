"""ModSecurity v3: audit log in JSON, one object per transaction.

What to know of these records: `time_stamp` is local time without a zone. ModSecurity's own `unique_id` begins with the
epoch seconds, which are taken instead where they are there; a connector may set another id. Header names are as the
client sent them. Which parts are written (headers, body, messages) is set by `SecAuditLogParts`. The body is the prompt
as the client sent it.

Verdicts: `is_interrupted` true is block (enforced); messages without an interruption are flag (not enforced); no
messages and not interrupted is allow; an engine that is disabled is not_evaluated; without `messages`, or without both
messages and `is_interrupted` (older releases), it is unknown. Each rule that matched is a log line with its own id.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Time, path, truth, whole, words

TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
TOP = "transaction"
interrupted = truth("interrupted")
listed = pl.col("messages").str.starts_with("[")
matched = listed & ~pl.col("messages").str.contains(r"^\[\s*\]$")
disabled = pl.col("engine").str.to_lowercase().eq("disabled").fill_null(value=False)
watches = pl.col("engine").str.to_lowercase().eq("detectiononly").fill_null(value=False)
traceparent = pl.coalesce("traceparent", "traceparent_2")
# asctime, such as `Sat Nov  7 22:39:45 2026`.
local = pl.col("time_stamp").str.to_datetime("%a %b %e %H:%M:%S %Y", strict=False).dt.strftime("%Y-%m-%d %H:%M:%S")
epoch = pl.col("unique_id").str.extract(r"^(1\d{9})\d{1,2}\.\d{6}$", 1)

FORMAT = Format(
    name="modsecurity_audit_json",
    title="ModSecurity audit log (JSON)",
    layer="policy",
    reference="https://github.com/owasp-modsecurity/ModSecurity/wiki/Reference-Manual-(v3.x)#secauditlogformat",
    versions=("3.0.15",),
    verified=True,
    export="Set `SecAuditEngine On` (or RelevantOnly) and `SecAuditLogFormat JSON`; `SecAuditLog` names the file.",
    limits="It leaves out what SecAuditLogParts does not name, and transactions that SecAuditEngine passes over.",
    recognise=Recognise(
        keys=((TOP, "unique_id"), (TOP, "time_stamp"), (TOP, "client_ip"), (TOP, "request", "uri")),
    ),
    fields={
        "unique_id": path(TOP, "unique_id"),
        "time_stamp": path(TOP, "time_stamp"),
        "interrupted": path(TOP, "is_interrupted"),
        "engine": path(TOP, "producer", "secrules_engine"),
        "component": path(TOP, "producer", "components", 0),
        "messages": path(TOP, "messages"),
        "rule": path(TOP, "messages", -1, "details", "ruleId"),
        "rules_version": path(TOP, "messages", -1, "details", "ver"),
        "client": path(TOP, "client_ip"),
        "method": path(TOP, "request", "method"),
        "uri": path(TOP, "request", "uri"),
        "body": path(TOP, "request", "body"),
        "status": path(TOP, "response", "http_code"),
        "host": path(TOP, "request", "headers", "Host"),
        "x_request_id": path(TOP, "request", "headers", "X-Request-Id"),
        "x_request_id_2": path(TOP, "request", "headers", "x-request-id"),
        "x_request_id_3": path(TOP, "request", "headers", "X-Request-ID"),
        "traceparent": path(TOP, "request", "headers", "traceparent"),
        "traceparent_2": path(TOP, "request", "headers", "Traceparent"),
    },
    time=Time(pl.coalesce(epoch, local)),
    time_kind="start",
    columns={
        "service": pl.lit("modsecurity"),
        "policy_stage": pl.lit("input"),
        "policy_version": pl.coalesce(
            "component", pl.when(pl.col("rules_version") != "").then(pl.col("rules_version"))
        ),
        "policy_mode": words("engine", {"enabled": "enforce", "detectiononly": "monitor"}),
        "parent_id": traceparent.str.extract(TRACEPARENT, 2),
    },
    ids=(
        Id("request_id", "unique_id"),
        Id("request_id", pl.coalesce("x_request_id", "x_request_id_2", "x_request_id_3")),
        Id("trace_id", traceparent.str.extract(TRACEPARENT, 1)),
    ),
    events=(
        Event(
            "policy.decision",
            columns={
                "name": pl.concat_str("method", pl.col("uri").str.replace(r"\?.*$", ""), separator=" "),
                "policy_name": "rule",
                "verdict": pl.when(interrupted)
                .then(pl.lit("block"))
                .when(disabled)
                .then(pl.lit("not_evaluated"))
                .when(matched)
                .then(pl.lit("flag"))
                .when(listed & interrupted.not_())
                .then(pl.lit("allow"))
                .otherwise(pl.lit("unknown")),
                # A release that does not say whether it interrupted may have.
                "enforced": pl.when(interrupted)
                .then(pl.lit(value=True))
                .when(matched & (interrupted.not_() | watches))
                .then(pl.lit(value=False)),
                "outcome": pl.when(interrupted)
                .then(pl.lit("blocked"))
                .when(interrupted.not_())
                .then(pl.lit("ok"))
                .otherwise(pl.lit("unknown")),
                "http_status": whole("status"),
                "input": "body",
            },
            attributes={"client": "client", "host": "host", "engine": "engine"},
        ),
        Event(
            "policy.log",
            each="messages",
            fields={
                "message": path("message"),
                "rule": path("details", "ruleId"),
                "severity": path("details", "severity"),
                "rules_version": path("details", "ver"),
                "tags": path("details", "tags"),
            },
            columns={"name": "message", "policy_name": "rule"},
            attributes={"severity": "severity", "tags": "tags"},
        ),
    ),
)
