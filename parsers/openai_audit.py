"""OpenAI organisation audit log: who changed what, one object per event.

What to know of these records: `effective_at` has whole seconds. What was changed stands under a key that is named
after the type (`api_key.created`, or `api_key_created`); old values are not told. No request, prompt or model is there.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Time, decode, encode, filled, path


def _with_details(text: str) -> list[str]:
    """The record, with what lies under the key of its type as `details`."""
    record = decode(text)
    if not isinstance(record, dict):
        return []
    kind = str(record.get("type"))
    details = record.get(kind, record.get(kind.replace(".", "_")))
    return [encode({**record, "details": details})]


kind = pl.col("type")
access = kind.str.contains(r"^(login|logout)\.")

FORMAT = Format(
    name="openai_audit",
    title="OpenAI organisation audit log",
    layer="change",
    reference="https://platform.openai.com/docs/api-reference/audit-logs/object",
    verified=True,
    export="GET https://api.openai.com/v1/organization/audit_logs with an admin key.",
    limits="Administration only: no prompts, answers or calls; seconds, and no old values.",
    recognise=Recognise(keys=(("type",), ("effective_at",), ("actor",)), where=((("id",), "^audit_log-"),)),
    reshape=_with_details,
    fields={
        "id": path("id"),
        "type": path("type"),
        "effective": path("effective_at"),
        "actor_type": path("actor", "type"),
        "user": path("actor", "session", "user", "id"),
        "key_user": path("actor", "api_key", "user", "id"),
        "robot": path("actor", "api_key", "service_account", "id"),
        "key": path("actor", "api_key", "id"),
        "ip": path("actor", "session", "ip_address"),
        "country": path("actor", "session", "ip_address_details", "country"),
        "project": path("project", "id"),
        "details": path("details"),
        "changed": path("details", "id"),
        "data": path("details", "data"),
        "requested": path("details", "changes_requested"),
        "error_code": path("details", "error_code"),
    },
    time=Time("effective", "s"),
    columns={
        "name": "type",
        "service": pl.lit("openai"),
        "user": filled("user", "key_user", "robot"),
        "tenant": filled("project"),
    },
    ids=(Id("event_uuid", "id"),),
    attributes={"actor_type": "actor_type", "actor_key": "key", "actor_ip": "ip", "actor_country": "country"},
    events=(
        Event(
            kind="change.applied",
            when=~access,
            columns={
                "change_scope": kind.str.replace(r"\.[a-z]+$", ""),
                "change_key": filled("changed"),
                "change_new": filled("requested", "data", "details"),
            },
        ),
        Event(
            kind="policy.log",
            layer="policy",
            when=access,
            columns={
                "outcome": pl.when(kind.str.ends_with(".failed"))
                .then(pl.lit("error"))
                .when(kind.str.ends_with(".succeeded"))
                .then(pl.lit("ok")),
                "error_type": filled("error_code"),
            },
        ),
    ),
)
