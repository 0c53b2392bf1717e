"""Azure OpenAI: the same resource log as rows of the Log Analytics table ``AzureDiagnostics``.

What to know of these rows: columns of all services share the table, so most are empty; properties are columns with a
suffix for their type, or one JSON text `properties_s`; `TimeGenerated` is when the platform took the record, while
`requestTime` and `responseTime` are .NET ticks and tell the call, if they are there.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Time, filled, inside, path, whole

PROPERTIES = path("properties_s")
NAMES = ("requestTime", "responseTime", "streamType", "modelDeploymentName", "modelName", "modelVersion", "apiName")

status = whole("ResultSignature")
timed = pl.col("requestTime").is_not_null()
served = filled("modelDeploymentName", "deployment", "modelName", "model").is_not_null()
call = pl.col("Category").eq("RequestResponse")
streamed = filled("streamType", "stream")
columns = {
    "outcome": pl.when(status.is_in([408, 504]))
    .then(pl.lit("timeout"))
    .when(status == 499)
    .then(pl.lit("cancelled"))
    .when(status >= 400)
    .then(pl.lit("error"))
    .when(status < 400)
    .then(pl.lit("ok")),
    "http_status": status,
    "requested_model": filled("modelDeploymentName", "deployment", "modelName", "model"),
    "served_model": pl.when(status < 400).then(filled("modelName", "model")),
    "stream": pl.when(streamed == "Streaming")
    .then(pl.lit(value=True))
    .when(streamed == "Non-Streaming")
    .then(pl.lit(value=False)),
    "content_state": pl.lit("absent"),
}
kind = pl.when(served).then(pl.lit("model.call")).otherwise(pl.lit("model.access"))

FORMAT = Format(
    name="azure_openai_log_analytics",
    title="Azure OpenAI rows of AzureDiagnostics",
    layer="model",
    reference="https://learn.microsoft.com/azure/azure-monitor/reference/tables/azurediagnostics",
    export="Query AzureDiagnostics in Log Analytics (az monitor log-analytics query) and keep the JSON.",
    limits="No prompt, answer, tokens, response id, nor the caller's trace.",
    recognise=Recognise(
        keys=(("TimeGenerated",), ("CorrelationId",), ("Category",), ("OperationName",)),
        where=((("ResourceProvider",), r"(?i)^MICROSOFT\.COGNITIVESERVICES$"),),
    ),
    fields={
        name: path(name)
        for name in (
            *("TimeGenerated", "CorrelationId", "Category", "OperationName", "ResultSignature", "DurationMs"),
            *("CallerIPAddress", "Resource"),
        )
    }
    | {name: inside(PROPERTIES, name) for name in NAMES}
    | {
        "deployment": path("modelDeploymentName_s"),
        "model": path("modelName_s"),
        "stream": path("streamType_s"),
        "version": path("modelVersion_s"),
    },
    time="TimeGenerated",
    columns={"service": pl.lit("azure-openai"), "name": "OperationName", "provider": pl.lit("azure")},
    ids=(Id("provider_request_id", "CorrelationId"),),
    attributes={
        "category": "Category",
        "resource": "Resource",
        "api": "apiName",
        "client": "CallerIPAddress",
        "model_version": filled("modelVersion", "version"),
        "duration_ms": "DurationMs",
        "logged_time": "TimeGenerated",
    },
    events=(
        Event(
            kind,
            when=call & timed,
            time=Time("requestTime", "ticks"),
            end=Time("responseTime", "ticks"),
            time_kind="start",
            columns=columns,
        ),
        Event(kind, when=call & ~timed, columns=columns),
        Event("model.log", when=~call, columns={"http_status": status}),
    ),
)
