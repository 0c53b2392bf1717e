"""Open Policy Agent: decision log, as printed on the console or uploaded (a gzipped JSON array).

What to know of these records: `timestamp` is when the decision was logged, after its evaluation; the console's `time`
is the same in whole seconds. `req_id` counts within one process and Envoy's `http.id` names a stream: neither is an
id here. A failed upload is sent again, so decisions may come twice with one `decision_id`. Inputs may hold tokens.

Verdicts: `error` is error; a `result` of true, or with `allow` or `allowed` true, is allow, and false is block; under a
path that ends in `deny`, `violation` or `block` it is the other way round, and a list is block if it holds anything.
An object with `deny` or `violations` follows these; one that both allows and denies is unknown. The words allow, deny,
block, flag, redact in `decision`, `action` or `effect` are taken. No result at all (undefined, or erased) is unknown,
as is any other shape. OPA decides and its caller enforces: `enforced` and `delivered` are never known.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, filled, path, truth, words

TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
WORDS = {
    "allow": "allow",
    "allowed": "allow",
    "permit": "allow",
    "true": "allow",
    "deny": "block",
    "denied": "block",
    "block": "block",
    "false": "block",
    "flag": "flag",
    "redact": "redact",
    "mask": "redact",
}
HEADERS = ("input", "attributes", "request", "http", "headers")


def _denies(name: str) -> pl.Expr:
    """Whether a deny, a truth or a list of reasons, holds; null where the field is neither."""
    return (
        pl.when(pl.col(name).str.starts_with("[")).then(~pl.col(name).str.contains(r"^\[\s*\]$")).otherwise(truth(name))
    )


def _first(name: str) -> pl.Expr:
    """The first value of a header that is logged as a list."""
    return pl.col(name).str.strip_chars('[]"').str.split('","').list.first()


rule = filled("path", "query")
inverted = rule.str.contains(r"(?:^|[./])(?:deny|denied|violations?|block|blocked)$").fill_null(value=False)
allows, denies = pl.coalesce(truth("allow"), truth("allowed")), pl.coalesce(_denies("deny"), _denies("violations"))
failed = pl.col("error").is_not_null()
verdict = (
    pl.when(failed)
    .then(pl.lit("error"))
    .when(inverted)
    .then(_denies("result").replace_strict({True: "block", False: "allow"}, default=None, return_dtype=pl.String))
    .when(allows & denies)
    .then(pl.lit("unknown"))
    .when(allows.is_not_null() | denies.is_not_null())
    .then(pl.when(pl.coalesce(allows, ~denies)).then(pl.lit("allow")).otherwise(pl.lit("block")))
    .otherwise(pl.coalesce(words("result", WORDS), *(words(name, WORDS) for name in ("decision", "action", "effect"))))
    .fill_null("unknown")
)
traceparent = pl.coalesce(filled("envoy_traceparent"), _first("sent_traceparent"))

FORMAT = Format(
    name="opa_decision_log",
    title="Open Policy Agent decision log",
    layer="policy",
    reference="https://www.openpolicyagent.org/docs/management-decision-logs",
    versions=("0.28.0-envoy", "1.11.0", "1.18.0"),
    verified=True,
    export="Set `decision_logs.console: true` and keep OPA's output, or `decision_logs.service` and keep the uploads.",
    limits="It does not say whether the caller obeyed, and drop rules, masks and full buffers lose decisions silently.",
    recognise=Recognise(
        keys=(("decision_id",), ("timestamp",), ("labels", "id")),
        any_of=((("path",), ("query",), ("input",), ("bundles",), ("type",)),),
    ),
    fields={
        "decision_id": path("decision_id"),
        "batch": path("batch_decision_id"),
        "trace_id": path("trace_id"),
        "span_id": path("span_id"),
        "path": path("path"),
        "query": path("query"),
        "result": path("result"),
        "allow": path("result", "allow"),
        "allowed": path("result", "allowed"),
        "deny": path("result", "deny"),
        "violations": path("result", "violations"),
        "decision": path("result", "decision"),
        "action": path("result", "action"),
        "effect": path("result", "effect"),
        "reason": path("result", "reason"),
        "error": path("error"),
        "error_code": path("error", "code"),
        "bundles": path("bundles"),
        "revision": path("revision"),
        "timestamp": path("timestamp"),
        "handler_ns": path("metrics", "timer_server_handler_ns"),
        "instance": path("labels", "id"),
        "version": path("labels", "version"),
        "app": path("labels", "app"),
        "requested_by": path("requested_by"),
        "erased": path("erased"),
        "masked": path("masked"),
        "sent_request_id": path("request_context", "http", "headers", "x-request-id"),
        "sent_request_id_2": path("request_context", "http", "headers", "X-Request-Id"),
        "sent_traceparent": path("request_context", "http", "headers", "traceparent"),
        "input_request_id": path("input", "request_id"),
        "input_session": path("input", "session_id"),
        "input_tenant": path("input", "tenant"),
        "prompt": path("input", "prompt"),
        "envoy_request_id": path(*HEADERS, "x-request-id"),
        "envoy_traceparent": path(*HEADERS, "traceparent"),
        "method": path("input", "attributes", "request", "http", "method"),
        "target": path("input", "attributes", "request", "http", "path"),
    },
    time="timestamp",
    time_kind="end",
    duration=Duration("handler_ns", "ns"),
    columns={
        "name": rule.fill_null("decision"),
        "service": pl.lit("opa"),
        "outcome": verdict.replace_strict(
            {"error": "error", "allow": "ok", "flag": "ok", "redact": "ok", "block": "blocked"},
            default="unknown",
            return_dtype=pl.String,
        ),
        "error_type": "error_code",
        "span_id": "span_id",
        "parent_id": traceparent.str.extract(TRACEPARENT, 2),
        "session": "input_session",
        "tenant": "input_tenant",
        "policy_name": rule,
        # One revision for each bundle: `authz@r7,base@r3`.
        "policy_version": pl.coalesce(
            pl.col("bundles").str.replace_all('":{"revision":"', "@", literal=True).str.replace_all(r'[{}"]', ""),
            filled("revision"),
        ),
        "verdict": verdict,
        "input": "prompt",
        "content_state": pl.when(pl.col("erased").is_not_null() | pl.col("masked").is_not_null()).then(
            pl.lit("redacted")
        ),
    },
    ids=(
        Id("decision_id", "decision_id"),
        Id("decision_batch", "batch", role="group"),
        Id("request_id", "envoy_request_id"),
        Id("request_id", pl.coalesce(_first("sent_request_id"), _first("sent_request_id_2"))),
        Id("request_id", "input_request_id"),
        Id("trace_id", "trace_id"),
        Id("trace_id", traceparent.str.extract(TRACEPARENT, 1)),
    ),
    events=(
        Event(
            "policy.decision",
            attributes={
                "result": pl.when(pl.col("result").is_null() & ~failed)
                .then(pl.lit("undefined"))
                .otherwise(pl.col("result").str.slice(0, 240)),
                "reason": pl.col("reason").str.slice(0, 240),
                "error": pl.col("error").str.slice(0, 240),
                "instance": "instance",
                "opa_version": "version",
                "app": "app",
                "requested_by": filled("requested_by"),
                "method": "method",
                "path": pl.col("target").str.replace(r"\?.*$", ""),
                "erased": "erased",
                "masked": "masked",
            },
        ),
    ),
)
