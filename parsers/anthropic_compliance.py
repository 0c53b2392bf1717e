"""Anthropic Compliance API: activities of an organisation, one object per activity.

What to know of these records: most say who changed what; some that a chat was made, seen, or could not be opened.
There is no text of any chat. An actor may be a person, an API key or nobody known.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Value, filled, path

CHANGED = (
    r"_(created|updated|deleted|toggled|granted|revoked|transferred|connected|disconnected|sent|activated|deactivated|"
    r"enabled|disabled|added|removed|archived|restored)$"
)
kind = pl.col("type")
chat = kind.str.contains(r"^claude_(chat|file)_")
changed = kind.str.contains(CHANGED) & ~chat
failed = kind.str.ends_with("_failed")
about: dict[str, Value] = {
    "actor_type": "actor_type",
    "actor_ip": "ip",
    "actor_key": "key",
    "mcp_server": filled("server_name", "server"),
    "integration": "integration",
}

FORMAT = Format(
    name="anthropic_compliance",
    title="Anthropic Compliance API activities",
    layer="change",
    reference="https://support.claude.com/en/articles/13015708-access-the-compliance-api",
    verified=True,
    export="GET https://api.anthropic.com/v1/compliance/activities (needs the Compliance API and a compliance key).",
    limits="Activities only: no prompts, answers, models or token counts; old values of settings are not told.",
    recognise=Recognise(
        keys=(("id",), ("created_at",), ("organization_id",), ("type",)), where=((("actor", "type"), "_actor$"),)
    ),
    fields={
        "id": path("id"),
        "created": path("created_at"),
        "type": path("type"),
        "organisation": path("organization_id"),
        "actor_type": path("actor", "type"),
        "user": path("actor", "user_id"),
        "email": path("actor", "email_address"),
        "key": path("actor", "api_key_id"),
        "ip": path("actor", "ip_address"),
        "chat": path("claude_chat_id"),
        "artifact": path("claude_artifact_id"),
        "updates": path("updates"),
        "enabled": path("is_enabled"),
        "role": path("role"),
        "audience": path("audience"),
        "target": path("target_id"),
        "deleted": path("deleted_user_id"),
        "resource": path("resource_id"),
        "server": path("mcp_server_id"),
        "server_name": path("mcp_server_name"),
        "integration": path("integration_type"),
    },
    time="created",
    columns={
        "name": "type",
        "service": pl.lit("anthropic"),
        "session": filled("chat"),
        "user": filled("user", "email"),
        "tenant": "organisation",
    },
    ids=(Id("event_uuid", "id"),),
    attributes=about,
    events=(
        Event(
            kind="change.applied",
            when=changed,
            columns={
                "change_scope": kind.str.replace(CHANGED, ""),
                "change_key": filled("artifact", "server", "target", "deleted", "resource", "integration"),
                "change_new": filled("updates", "enabled", "role", "audience"),
            },
        ),
        Event(
            kind="ui.event",
            layer="ui",
            when=chat & ~failed,
            columns={"outcome": pl.lit("ok"), "content_state": pl.lit("absent")},
        ),
        Event(
            kind="policy.log",
            layer="policy",
            when=~changed & (failed | ~chat),
            columns={
                "outcome": pl.when(failed)
                .then(pl.lit("error"))
                .when(kind.str.ends_with("_succeeded"))
                .then(pl.lit("ok"))
            },
        ),
    ),
)
