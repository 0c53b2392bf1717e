"""AWS WAF: web ACL traffic log, one JSON object per request.

What to know of these records: `timestamp` is epoch milliseconds as AWS writes it, ISO text where a SIEM rewrote it.
`httpRequest.requestId` is the id of what stands behind the WAF: the trace id of a load balancer (`1-…`), CloudFront's
or API Gateway's request id. The body that a rule looked at is not in the log.

Verdicts: ALLOW is allow, BLOCK is block, CAPTCHA and CHALLENGE are challenge (the last three enforced); another word
is unknown. Rules that matched and let the request on (COUNT, a rule excluded to count, a challenge that had been
solved) are flags of their own, not enforced. A request that was larger than the WAF inspects (`oversizeFields`, or
fewer bytes inspected than sent) gives one more decision: not_evaluated, for that part.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, decode, encode, filled, path, whole, words

TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
WANTED = {"x-request-id": "sent_request", "traceparent": "traceparent", "x-amzn-trace-id": "amazon_trace"}


def _objects(value: object) -> list[dict[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _items(text: str) -> list[str]:
    """The decision on the request, then each rule that matched without ending it, then what was not inspected."""
    record = decode(text)
    request = record.get("httpRequest")
    request = request if isinstance(request, dict) else {}
    shared = {name: record.get(name) for name in ("timestamp", "webaclId", "httpSourceName", "httpSourceId")}
    shared |= {name: request.get(name) for name in ("requestId", "httpMethod", "uri", "clientIp", "country")}
    for header in _objects(request.get("headers")):
        known = WANTED.get(str(header.get("name")).lower())
        if known:
            shared.setdefault(known, header.get("value"))
    groups = _objects(record.get("ruleGroupList"))
    ended = [rule for one in groups if isinstance(rule := one.get("terminatingRule"), dict)]
    main = {
        "what": "acl",
        "rule": record.get("terminatingRuleId"),
        "action": record.get("action"),
        "inner": ended[0].get("ruleId") if ended else None,
        "type": record.get("terminatingRuleType"),
        "status": record.get("responseCodeSent"),
        "labels": [one.get("name") for one in _objects(record.get("labels"))] or None,
    }
    items = [encode(shared | main)]
    counted: list[tuple[object, dict[str, object]]] = [
        (None, one) for one in _objects(record.get("nonTerminatingMatchingRules"))
    ]
    for group in groups:
        matched = _objects(group.get("nonTerminatingMatchingRules")) + _objects(group.get("excludedRules"))
        counted += [(group.get("ruleGroupId"), one) for one in matched]
    for group_id, one in counted:
        action = one.get("action") or one.get("exclusionType")
        items.append(encode(shared | {"what": "rule", "rule": one.get("ruleId"), "action": action, "group": group_id}))
    over = record.get("oversizeFields") or []
    sent, seen = record.get("requestBodySize"), record.get("requestBodySizeInspectedByWAF")
    if not over and isinstance(sent, int) and isinstance(seen, int) and seen < sent:
        over = ["REQUEST_BODY"]
    if isinstance(over, list) and over:
        items.append(encode(shared | {"what": "over", "rule": ",".join(map(str, over))}))
    return items


what = pl.col("what")
stopped = pl.col("action").is_in(["BLOCK", "CAPTCHA", "CHALLENGE"])
FLAGS = {"count": "flag", "excluded_as_count": "flag", "captcha": "flag", "challenge": "flag"}

FORMAT = Format(
    name="aws_waf_log",
    title="AWS WAF web ACL log",
    layer="policy",
    reference="https://docs.aws.amazon.com/waf/latest/developerguide/logging-fields.html",
    verified=True,
    export="Turn on logging of the web ACL to CloudWatch Logs, S3 or Firehose, and export the objects there.",
    limits="It holds no body, so not what a rule saw; sampled or filtered logging leaves out requests.",
    recognise=Recognise(keys=(("webaclId",), ("terminatingRuleId",), ("action",), ("httpRequest",))),
    reshape=_items,
    fields={
        name: path(name)
        for name in (
            "what",
            "rule",
            "action",
            "inner",
            "type",
            "status",
            "labels",
            "group",
            "timestamp",
            "webaclId",
            "httpSourceName",
            "httpSourceId",
            "requestId",
            "httpMethod",
            "uri",
            "clientIp",
            "country",
            "sent_request",
            "traceparent",
            "amazon_trace",
        )
    },
    time="timestamp",
    columns={
        "service": pl.lit("aws-waf"),
        "name": "rule",
        "policy_name": "rule",
        "policy_stage": pl.lit("input"),
        "parent_id": pl.col("traceparent").str.extract(TRACEPARENT, 2),
    },
    ids=(
        Id("request_id", filled("requestId")),
        Id("request_id", "sent_request"),
        Id("request_id", pl.col("amazon_trace").str.extract(r"(?:^|Root=)(1-[0-9a-f]{8}-[0-9a-f]{24})", 1)),
        Id("trace_id", pl.col("traceparent").str.extract(TRACEPARENT, 1)),
    ),
    attributes={
        "web_acl": "webaclId",
        "source": "httpSourceName",
        "source_id": "httpSourceId",
        "method": "httpMethod",
        "path": pl.col("uri").str.replace(r"\?.*$", ""),
        "client": "clientIp",
        "country": "country",
    },
    events=(
        Event(
            "policy.decision",
            when=what == "acl",
            columns={
                "verdict": words(
                    "action",
                    {"allow": "allow", "block": "block", "captcha": "challenge", "challenge": "challenge"},
                    default="unknown",
                ).fill_null("unknown"),
                "enforced": pl.when(stopped).then(pl.lit(value=True)),
                "outcome": pl.when(stopped)
                .then(pl.lit("blocked"))
                .when(pl.col("action") == "ALLOW")
                .then(pl.lit("ok"))
                .otherwise(pl.lit("unknown")),
                "http_status": whole("status"),
            },
            attributes={"waf_action": "action", "matched_rule": "inner", "rule_type": "type", "labels": "labels"},
        ),
        Event(
            "policy.decision",
            when=what == "rule",
            columns={
                "verdict": words("action", FLAGS, default="unknown").fill_null("unknown"),
                "enforced": pl.lit(value=False),
                "policy_mode": words("action", {"count": "monitor", "excluded_as_count": "monitor"}),
                "outcome": pl.lit("ok"),
            },
            attributes={"waf_action": "action", "rule_group": "group"},
        ),
        Event(
            "policy.decision",
            when=what == "over",
            columns={"name": pl.lit("not inspected"), "verdict": pl.lit("not_evaluated"), "policy_name": pl.lit(None)},
            attributes={"oversize_fields": "rule"},
        ),
    ),
)
