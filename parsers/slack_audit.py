"""Slack audit logs: who did what to a workspace or organisation; of note are apps, their rights, and settings.

What to know of these entries: `date_create` is Slack's clock, in whole seconds; copies in a SIEM rewrite it as text
without a zone, which is UTC. `id` names the entry. Sign-ins and the like change nothing, and are the greater part.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Time, filled, path

CHANGES = (
    r"^(?:app_|pref\.|bot_token|org_app|role_|permissions_|idp_|ekm_|barrier_|legal_hold_policy|intune_|native_dlp_rule"
    r"|owner_transferred|service_owner|workflow_app|organization_|private_channel_converted)"
)
changed = pl.col("action").str.contains(CHANGES)

FORMAT = Format(
    name="slack_audit",
    title="Slack audit logs",
    layer="other",
    reference="https://docs.slack.dev/reference/audit-logs-api/methods-actions-reference/",
    verified=True,
    export="Audit Logs API (api.slack.com/audit/v1/logs) of an Enterprise organisation, or a SIEM's copy of it.",
    limits="Administration only: no message, and nothing of what an app answered.",
    recognise=Recognise(
        keys=(("action",), ("actor", "type"), ("context", "ua")),
        any_of=((("actor", "user", "team"), ("actor", "user", "email")),),
        where=((("context", "location", "type"), r"^(?:workspace|enterprise)$"),),
    ),
    fields={name: path(name) for name in ("action", "date_create", "id")}
    | {
        "copied_time": path("p_event_time"),
        "user": path("actor", "user", "id"),
        "team": path("context", "location", "id"),
        "session": path("context", "session_id"),
        "entity_type": path("entity", "type"),
        "entity_app": path("entity", "app", "id"),
        "entity_app_name": path("entity", "app", "name"),
        "entity_user": path("entity", "user", "id"),
        "entity_space": path("entity", "workspace", "id"),
        "details": path("details"),
        "old": path("details", "previous_value"),
        "new": path("details", "new_value"),
        "old_scopes": path("details", "previous_scopes"),
        "new_scopes": path("details", "new_scopes"),
    },
    time=Time(filled("date_create", "copied_time")),
    zone="UTC",
    columns={
        "service": pl.lit("slack"),
        "name": "action",
        "user": "user",
        "tenant": "team",
        "session": "session",
    },
    ids=(Id("event_uuid", "id"),),
    attributes={"entity": filled("entity_app_name", "entity_app", "entity_user", "entity_space")},
    events=(
        Event(
            kind="change.applied",
            layer="change",
            when=changed,
            columns={
                "change_scope": filled("entity_app_name", "entity_app", "entity_type"),
                "change_key": "action",
                "change_old": filled("old", "old_scopes"),
                "change_new": filled("new", "new_scopes", "details"),
            },
        ),
        Event(kind="app.log", when=~changed, attributes={"details": "details"}),
    ),
)
