"""Azure API Management: gateway log (resource log GatewayLogs, table ApiManagementGatewayLogs).

What to know of these records: `time` (in the table `TimeGenerated`) is the start; `correlationId` is this gateway's own
id and differs at each gateway; bodies are JSON texts that are cut at 8,192 bytes, so what is read from them is read by
pattern, and may be missing. Verdicts of Azure's content filter stand in the backend's body: a category that failed to
run was not evaluated; a detection or a severity above safe that was not filtered is a flag.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Time, Value, filled, path

STRING = r'"(?:[^"\\]|\\.)*'
"""The last text of a body that was cut has no end."""
OBJECT = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
PROMPT = r'"prompt_(?:filter_results|annotations)":\s*\[\s*\{[^{}]*"content_filter_results":\s*(' + OBJECT + ")"
CHOICE = r'"choices":\s*\[.*?"content_filter_results":\s*(' + OBJECT + ")"
INNER = r"(?:[^{}]|\{[^{}]*\})*?"
HARM = r'"severity":\s*"(?:low|medium|high)"'
AI = r"/completions|/embeddings|/responses|/messages|/images/|/audio/"
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
PROPERTIES = (
    *("apiId", "operationId", "method", "url", "responseCode", "backendUrl", "backendTime", "backendResponseCode"),
    *("cache", "requestBody", "responseBody", "backendRequestBody", "backendResponseBody", "lastErrorReason"),
    *("lastErrorMessage", "apimSubscriptionId", "userId"),
)
COLUMNS = (
    *("ApiId", "OperationId", "Method", "Url", "ResponseCode", "BackendUrl", "BackendTime", "BackendResponseCode"),
    *("Cache", "RequestBody", "ResponseBody", "BackendRequestBody", "BackendResponseBody", "LastErrorReason"),
    *("LastErrorMessage", "ApimSubscriptionId", "UserId"),
)
"""The same properties as columns of the table."""


def _texts(value: pl.Expr, keys: str, between: str) -> pl.Expr:
    """The strings under `keys` anywhere in a JSON text, joined."""
    bare = pl.element().str.replace(rf'^"(?:{keys})":\s*"', "")
    joined = value.str.extract_all(rf'"(?:{keys})":\s*{STRING}').list.eval(bare).list.join(between)
    return pl.when(joined != "").then(joined.str.replace_many(ESCAPES))


def _count(keys: str) -> pl.Expr:
    return answered.str.extract(rf'"(?:{keys})":\s*(\d+)', 1).cast(pl.Int64, strict=False)


def _decision(stage: str, text: pl.Expr) -> Event:
    """What the content filter said of one side."""
    verdict = (
        pl.when(text.str.contains(r'"filtered":\s*true'))
        .then(pl.lit("block"))
        .when(text.str.contains(rf'"detected":\s*true|{HARM}'))
        .then(pl.lit("flag"))
        .when(text.str.contains(r'"error":\s*\{'))
        .then(pl.lit("not_evaluated"))
        .when(text.str.contains(r'"filtered":\s*false'))
        .then(pl.lit("allow"))
        .otherwise(pl.lit("unknown"))
    )
    told = text.str.extract_all(rf'"\w+":\s*\[?\{{{INNER}(?:"(?:filtered|detected)":\s*true|{HARM}|"code":)')
    found = told.list.eval(pl.element().str.extract(r'^"(\w+)"', 1)).list.join(", ")
    return Event(
        "policy.decision",
        layer="policy",
        when=text.is_not_null(),
        columns={
            "name": pl.lit("content_filter"),
            "policy_name": pl.lit("azure-content-filter"),
            "policy_stage": pl.lit(stage),
            "verdict": verdict,
            "enforced": verdict.replace_strict({"block": True, "flag": False}, default=None, return_dtype=pl.Boolean),
            "delivered": pl.when((verdict == "block") & (status >= 400)).then(pl.lit(value=False)),
            "outcome": pl.when(verdict == "block").then(pl.lit("blocked")).otherwise(pl.lit("ok")),
        },
        attributes={"found": pl.when(found != "").then(found)},
    )


asked, answered = (
    filled("backendRequestBody", "BackendRequestBody", "requestBody", "RequestBody"),
    filled("backendResponseBody", "BackendResponseBody", "responseBody", "ResponseBody"),
)
url = filled("backendUrl", "BackendUrl", "url", "Url")
status = filled("responseCode", "ResponseCode").cast(pl.Int64, strict=False)
code = answered.str.extract(r'"code":\s*"([A-Za-z_]+)"', 1)
blocked = (status >= 400) & code.is_in(["content_filter", "ResponsibleAIPolicyViolation"])
streamed = answered.str.starts_with("data:")
# Of a refusal the input is at fault; of a stream all chunks count.
on_input = pl.coalesce(answered.str.extract(PROMPT, 1), answered.str.extract(r'"content_filter_result":\s*(\{.*)', 1))
rest = answered.str.replace(PROMPT, "")
on_output = (
    pl.when(streamed & rest.str.contains('"content_filter_results"', literal=True))
    .then(rest)
    .otherwise(answered.str.extract(CHOICE, 1))
)
facts: dict[str, Value] = {
    "name": pl.coalesce(filled("operationId", "OperationId"), "operationName"),
    "outcome": pl.when(blocked)
    .then(pl.lit("blocked"))
    .when(status.is_in([408, 504]))
    .then(pl.lit("timeout"))
    .when((status == 499) | (status == 0))
    .then(pl.lit("cancelled"))
    .when(status >= 400)
    .then(pl.lit("error"))
    .when(status < 400)
    .then(pl.lit("ok"))
    .otherwise(pl.lit("unknown")),
    "error_type": pl.coalesce(filled("lastErrorReason", "LastErrorReason"), pl.when(status >= 400).then(code)),
    "http_status": status,
    "input": _texts(asked, "content|text|input|prompt", "\n\n"),
    "output": pl.when(status < 400).then(
        pl.when(streamed).then(_texts(answered, "content|text", "")).otherwise(_texts(answered, "content|text", "\n\n"))
    ),
    "content_state": pl.when(asked.is_null() & answered.is_null())
    .then(pl.lit("absent"))
    .when(pl.max_horizontal(asked.str.len_bytes(), answered.str.len_bytes()) >= 8192)
    .then(pl.lit("truncated"))
    .otherwise(pl.lit("full")),
    "requested_model": pl.coalesce(
        url.str.extract(r"/deployments/([^/?]+)", 1), asked.str.extract(r'"model":\s*"([^"]+)"', 1)
    ),
    "served_model": answered.str.extract(r'"model":\s*"([^"]+)"', 1),
    "response_id": answered.str.extract(r'"id":\s*"((?:chatcmpl|cmpl|resp|msg)[-_][^"]+)"', 1),
    "finish_reason": answered.str.extract(r'"(?:finish|stop)_reason":\s*"([^"]+)"', 1),
    "input_tokens": _count("prompt_tokens|input_tokens"),
    "output_tokens": _count("completion_tokens|output_tokens"),
    "cache": pl.when(filled("cache", "Cache") != "none").then(filled("cache", "Cache")),
    "stream": asked.str.contains(r'"stream":\s*true'),
}

FORMAT = Format(
    name="azure_apim_gateway",
    title="Azure API Management gateway log",
    layer="model",
    reference="https://learn.microsoft.com/azure/azure-monitor/reference/tables/apimanagementgatewaylogs",
    verified=True,
    export="Diagnostic setting with GatewayLogs to storage or an event hub, or the table ApiManagementGatewayLogs.",
    limits="Bodies are there only where they are logged, and end at 8,192 bytes; the caller's trace is not there.",
    recognise=Recognise(
        any_of=(
            (("correlationId",), ("CorrelationId",)),
            (("isRequestSuccess",), ("IsRequestSuccess",)),
            (("durationMs",), ("TotalTime",)),
            (("time",), ("TimeGenerated",)),
            (("properties", "apiId"), ("properties", "method"), ("properties", "responseCode"), ("ResponseCode",)),
        )
    ),
    fields={name: path("properties", name) for name in PROPERTIES}
    | {name: path(name) for name in COLUMNS}
    | {
        "time": path("time"),
        "TimeGenerated": path("TimeGenerated"),
        "correlationId": path("correlationId"),
        "CorrelationId": path("CorrelationId"),
        "durationMs": path("durationMs"),
        "TotalTime": path("TotalTime"),
        "operationName": path("operationName"),
        "client": path("callerIpAddress"),
        "CallerIpAddress": path("CallerIpAddress"),
        "resourceId": path("resourceId"),
        "_ResourceId": path("_ResourceId"),
    },
    time=Time(pl.coalesce("time", "TimeGenerated")),
    time_kind="start",
    duration=Duration(pl.coalesce("durationMs", "TotalTime"), "ms"),
    columns={
        "service": pl.lit("azure-apim"),
        "user": filled("userId", "UserId"),
        "provider": pl.when(url.str.contains(r"\.azure\.com|\.windows\.net|\.azure\.us")).then(pl.lit("azure")),
    },
    ids=(
        Id("call_id", filled("correlationId", "CorrelationId")),
        Id("response_id", facts["response_id"]),
        Id("subscription", filled("apimSubscriptionId", "ApimSubscriptionId"), role="group"),
    ),
    events=(
        Event(
            pl.when(url.str.contains(AI).fill_null(value=False))
            .then(pl.lit("model.call"))
            .otherwise(pl.lit("model.access")),
            columns=facts,
            attributes={
                "method": filled("method", "Method"),
                # The query holds no more than a version, or what must not be kept.
                "url": filled("url", "Url").str.replace(r"\?.*$", ""),
                "backend_url": filled("backendUrl", "BackendUrl").str.replace(r"\?.*$", ""),
                "backend_status": filled("backendResponseCode", "BackendResponseCode"),
                "backend_ms": filled("backendTime", "BackendTime"),
                "api": filled("apiId", "ApiId"),
                "error": filled("lastErrorMessage", "LastErrorMessage"),
                "client": filled("client", "CallerIpAddress"),
                "gateway": filled("resourceId", "_ResourceId").str.extract(r"([^/]+)$", 1),
            },
        ),
        _decision("input", on_input),
        _decision("output", on_output),
    ),
)
