"""Azure OpenAI and AI services: resource logs (categories RequestResponse, Audit, Trace, AzureOpenAIRequestUsage).

What to know of these records: `requestTime` and `responseTime` in `properties` are .NET ticks and tell the call; `time`
is when the platform took the record, and may lie seconds later; `durationMs` has been seen negative and is not used;
`properties` is an object or a JSON text; `Tenant` is a region; one `correlationId` may stand on several rows. Neither
prompt, answer nor response id is there.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Time, filled, inside, path, whole

PROPERTIES = path("properties")
RESOURCE = r"(?i)/PROVIDERS/MICROSOFT\.COGNITIVESERVICES/ACCOUNTS/([^/]+)"

status = whole("resultSignature")
timed = pl.col("requestTime").is_not_null()
served = pl.col("modelDeploymentName").is_not_null() | pl.col("modelName").is_not_null()
call = pl.col("category").eq("RequestResponse")
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
    "requested_model": filled("modelDeploymentName", "modelName"),
    "served_model": pl.when(status < 400).then(filled("modelName")),
    "stream": pl.when(pl.col("streamType") == "Streaming")
    .then(pl.lit(value=True))
    .when(pl.col("streamType") == "Non-Streaming")
    .then(pl.lit(value=False)),
    "content_state": pl.lit("absent"),
}
kind = pl.when(served).then(pl.lit("model.call")).otherwise(pl.lit("model.access"))

FORMAT = Format(
    name="azure_openai_diagnostics",
    title="Azure OpenAI resource log",
    layer="model",
    reference="https://learn.microsoft.com/azure/ai-services/openai/monitor-openai-reference",
    verified=True,
    export="Diagnostic settings of the Azure OpenAI resource, sent to a storage account or an event hub.",
    limits="No prompt, answer, tokens, response id, nor the caller's trace; the last part of the address is masked.",
    recognise=Recognise(
        keys=(("correlationId",), ("operationName",), ("category",), ("time",)),
        where=((("resourceId",), r"(?i)MICROSOFT\.COGNITIVESERVICES/"),),
    ),
    fields={
        name: path(name)
        for name in (
            *("time", "category", "operationName", "correlationId", "resultSignature", "resultType", "durationMs"),
            *("callerIpAddress", "resourceId", "location"),
        )
    }
    | {
        name: inside(PROPERTIES, name)
        for name in (
            *("requestTime", "responseTime", "streamType", "modelDeploymentName", "modelName", "modelVersion"),
            *("apiName", "objectId", "requestLength", "responseLength"),
        )
    },
    time="time",
    columns={"service": pl.lit("azure-openai"), "name": "operationName", "provider": pl.lit("azure")},
    ids=(Id("provider_request_id", "correlationId"),),
    attributes={
        "category": "category",
        "resource": pl.col("resourceId").str.extract(RESOURCE, 1),
        "location": "location",
        "api": "apiName",
        "client": "callerIpAddress",
        "model_version": "modelVersion",
        "object_id": filled("objectId"),
        "result_type": "resultType",
        "duration_ms": "durationMs",
        "request_bytes": "requestLength",
        "response_bytes": "responseLength",
        "logged_time": "time",
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
