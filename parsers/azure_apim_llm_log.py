"""Azure API Management: log of language models (category GatewayLlmLogs, table ApiManagementGatewayLlmLog).

What to know of these records: a call is several, which share the gateway's `CorrelationId` and are ordered by
`SequenceNumber`: number 0 has model and tokens, the others the messages, in parts, and no deployment. `RequestId` is
the model's id of the response, empty on probes. Names are capital in the table, and begin small in an event hub. Who
called is only in the gateway log of the same `CorrelationId`.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Ref, Time, filled, path

STRING = r'"(?:[^"\\]|\\.)*"'
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
NAMES = (
    *("requestId", "deploymentName", "modelName", "promptTokens", "completionTokens", "requestMessages"),
    *("responseMessages", "isStreamCompletion", "sequenceNumber", "apiVersion", "operationName"),
    *("promptCachedTokens",),
)
COLUMNS = (
    *("RequestId", "DeploymentName", "ModelName", "PromptTokens", "CompletionTokens", "RequestMessages"),
    *("ResponseMessages", "IsStreamCompletion", "SequenceNumber", "ApiVersion", "OperationName"),
)
"""The same properties as columns of the table, which drops the cached tokens."""


def _count(*names: str) -> pl.Expr:
    return filled(*names).cast(pl.Int64, strict=False)


def _texts(value: pl.Expr) -> pl.Expr:
    """The texts of a JSON list of messages; a part that is no JSON is itself."""
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    found = value.str.extract_all(rf'"(?:content|text)":\s*{STRING}').list.eval(bare)
    joined = found.list.join("\n\n").str.replace_many(ESCAPES)
    return pl.when(joined != "").then(joined).when(~value.is_in(["[]", "{}"])).then(value)


correlation = filled("correlation", "correlation_inside", "CorrelationId")
asked, answered = (
    _texts(filled("requestMessages", "RequestMessages")),
    _texts(filled("responseMessages", "ResponseMessages")),
)
head = filled("deploymentName", "DeploymentName").is_not_null() | filled("modelName", "ModelName").is_not_null()

FORMAT = Format(
    name="azure_apim_llm_log",
    title="Azure API Management language model log",
    layer="model",
    reference="https://learn.microsoft.com/azure/azure-monitor/reference/tables/apimanagementgatewayllmlog",
    export="Diagnostic setting with GatewayLlmLogs to an event hub, or the table ApiManagementGatewayLlmLog.",
    limits="It names neither caller nor status nor duration; tokens that were written to a cache are in no field.",
    recognise=Recognise(
        any_of=(
            (("correlationId",), ("CorrelationId",), ("properties", "correlationId")),
            (("properties", "sequenceNumber"), ("SequenceNumber",), ("properties", "promptTokens")),
            (
                ("properties", "deploymentName"),
                ("properties", "modelName"),
                ("properties", "requestMessages"),
                ("properties", "responseMessages"),
                ("DeploymentName",),
            ),
            (("time",), ("TimeGenerated",)),
        )
    ),
    fields={name: path("properties", name) for name in NAMES}
    | {name: path(name) for name in COLUMNS}
    | {
        "time": path("time"),
        "TimeGenerated": path("TimeGenerated"),
        "correlation": path("correlationId"),
        "correlation_inside": path("properties", "correlationId"),
        "CorrelationId": path("CorrelationId"),
        "operation": path("operationName"),
        "resourceId": path("resourceId"),
        "_ResourceId": path("_ResourceId"),
    },
    time=Time(pl.coalesce("time", "TimeGenerated")),
    time_kind="start",
    columns={
        "service": pl.lit("azure-apim"),
        "name": pl.coalesce(filled("operationName", "OperationName"), filled("operation")),
    },
    ids=(
        Id("call_id", correlation),
        Id("response_id", filled("requestId", "RequestId")),
    ),
    attributes={
        "sequence": filled("sequenceNumber", "SequenceNumber"),
        "api_version": filled("apiVersion", "ApiVersion"),
        "gateway": filled("resourceId", "_ResourceId").str.extract(r"([^/]+)$", 1),
    },
    events=(
        Event(
            "model.call",
            when=head,
            # The gateway log reports the same call, if it is there.
            refs=(Ref("call_id", correlation, "repeats"),),
            columns={
                "input": asked,
                "output": answered,
                "content_state": pl.when(asked.is_null() & answered.is_null())
                .then(pl.lit("absent"))
                .otherwise(pl.lit("full")),
                "requested_model": filled("deploymentName", "DeploymentName"),
                "served_model": filled("modelName", "ModelName"),
                "response_id": filled("requestId", "RequestId"),
                "input_tokens": _count("promptTokens", "PromptTokens"),
                "output_tokens": _count("completionTokens", "CompletionTokens"),
                "stream": filled("isStreamCompletion", "IsStreamCompletion").str.to_lowercase().eq("true"),
            },
            attributes={"cached_tokens": "promptCachedTokens"},
        ),
        # A part of the messages, which the other records of its call complete; or a probe, which has neither.
        Event(
            "model.log",
            when=~head,
            columns={
                "input": asked,
                "output": answered,
                "content_state": pl.when(asked.is_not_null() | answered.is_not_null())
                .then(pl.lit("truncated"))
                .otherwise(pl.lit("absent")),
            },
        ),
    ),
)
