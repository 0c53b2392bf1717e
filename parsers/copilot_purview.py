"""Microsoft Purview audit: CopilotInteraction records, one per exchange with a Copilot.

What to know of these records: `CreationTime` is UTC and does not say so. There are no texts, only ids of messages.
A message id looks like an epoch in milliseconds and is none (in Microsoft's own samples it is months off). What is
missing was not looked at: `JailbreakDetected` and `XPIADetected` are there only where a check ran.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, filled, path, present, truth, words

DATA = "CopilotEventData"


def _found(name: str) -> dict[str, pl.Expr]:
    """What a detection says; without one, nothing was evaluated."""
    return {"verdict": words(name, {"true": "flag", "false": "allow"}, default="unknown").fill_null("not_evaluated")}


FORMAT = Format(
    name="copilot_purview",
    title="Microsoft Purview audit: Copilot interactions",
    layer="prompt",
    reference="https://learn.microsoft.com/en-us/office/office-365-management-api/copilot-schema",
    verified=True,
    export="Purview, Audit, search the activity `CopilotInteraction`, Export (CSV); or the Management Activity API.",
    limits="No texts, no model in most apps, one time for prompt and answer alike.",
    recognise=Recognise(
        keys=((DATA,), ("CreationTime",), ("RecordType",)), where=((("Operation",), r"^[A-Za-z]*Interaction$"),)
    ),
    fields={
        "id": path("Id"),
        "created": path("CreationTime"),
        "operation": path("Operation"),
        "user": path("UserId"),
        "organisation": path("OrganizationId"),
        "workload": path("Workload"),
        "host": path(DATA, "AppHost"),
        "thread": path(DATA, "ThreadId"),
        "messages": path(DATA, "Messages"),
        "resources": path(DATA, "AccessedResources"),
        "plugins": path(DATA, "AISystemPlugin"),
        "plugin": path(DATA, "AISystemPlugin", 0, "Id"),
        "model": path(DATA, "ModelTransparencyDetails", 0, "ModelName"),
        "context": path(DATA, "Contexts", 0, "Type"),
        "app": path("AppIdentity"),
    },
    time="created",
    zone="UTC",
    columns={
        "service": pl.concat_str(pl.lit("copilot-"), pl.col("host").str.to_lowercase().fill_null("unknown")),
        "session": filled("thread"),
        "user": filled("user"),
        "tenant": filled("organisation"),
    },
    ids=(Id("event_uuid", "id"),),
    events=(
        Event(
            kind=pl.when(truth("prompt")).then(pl.lit("prompt.received")).otherwise(pl.lit("prompt.answered")),
            each="messages",
            fields={"message": path("Id"), "prompt": path("isPrompt")},
            ids=(Id("message_id", "message"),),
            columns={
                "name": "operation",
                "content_state": pl.lit("absent"),
                "served_model": pl.when(truth("prompt").not_()).then(filled("model")),
            },
            attributes={"workload": "workload", "context": "context", "plugin": "plugin", "app": filled("app")},
        ),
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=pl.col("resources").str.contains("{", literal=True) | present("plugin"),
            columns={
                "name": pl.coalesce(filled("plugin"), pl.lit("AccessedResources")),
                "content_state": pl.lit("absent"),
            },
            documents=Documents("resources", id=("Id",)),
            attributes={"plugins": pl.when(present("plugin")).then(pl.col("plugins"))},
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=pl.col("messages").str.contains("JailbreakDetected", literal=True),
            each="messages",
            fields={"message": path("Id"), "prompt": path("isPrompt"), "jailbreak": path("JailbreakDetected")},
            ids=(Id("message_id", "message"),),
            columns={
                "name": pl.lit("JailbreakDetected"),
                "policy_name": pl.lit("jailbreak detection"),
                "policy_stage": pl.when(truth("prompt")).then(pl.lit("input")).otherwise(pl.lit("output")),
                **_found("jailbreak"),
            },
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=pl.col("resources").str.contains(r'"(?:XPIADetected|PolicyDetails)"'),
            each="resources",
            fields={
                "resource": path("Id"),
                "label": path("SensitivityLabelId"),
                "status": path("Status"),
                "policies": path("PolicyDetails"),
                "injected": path("XPIADetected"),
            },
            columns={
                "name": pl.when(present("policies")).then(pl.lit("PolicyDetails")).otherwise(pl.lit("XPIADetected")),
                "policy_name": pl.when(present("policies"))
                .then(pl.lit("data loss prevention"))
                .otherwise(pl.lit("cross-prompt injection detection")),
                "policy_stage": pl.lit("retrieval"),
                "verdict": pl.when(pl.col("status").str.to_lowercase().eq("failure") & present("policies"))
                .then(pl.lit("block"))
                .otherwise(_found("injected")["verdict"]),
                "enforced": pl.when(pl.col("status").str.to_lowercase().eq("failure") & present("policies")).then(
                    pl.lit(value=True)
                ),
            },
            attributes={
                "resource": "resource",
                "sensitivity_label": "label",
                "status": "status",
                "policies": "policies",
            },
        ),
    ),
)
