"""LaunchDarkly: entries of the audit log, as the API lists them or a webhook sends them.

What to know of these records: `date` is epoch milliseconds; `name` is what was changed and `kind` what it is (a flag, a
segment, an environment); `target.resources` names project, environment and flag. The list holds what was done in words
(`titleVerb`); the values before and after (`previousVersion`, `currentVersion`) are in single entries and webhooks, as
whole flags, of which the words alone are taken over. Who did it is not.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, path

verb, flag = filled("verb"), filled("flag")
environment = pl.col("resource").str.extract(r"env/([^:/;]+)", 1)
markup = r"\*\*|`|\[([^\]]*)\]\([^)]*\)"

FORMAT = Format(
    name="launchdarkly_audit",
    title="LaunchDarkly audit log entries",
    layer="change",
    reference="https://launchdarkly.com/docs/api/audit-log/get-audit-log-entries",
    verified=False,
    export="GET /api/v2/auditlog (its `items`), or the body of each webhook, one on a line.",
    limits="The list says what was done in words; values before and after are not in it.",
    recognise=Recognise(
        keys=(("_id",), ("date",), ("kind",), ("name",), ("titleVerb",)),
        any_of=((("target", "resources"), ("accesses",), ("member",)),),
    ),
    fields={
        "id": path("_id"),
        "date": path("date"),
        "kind": path("kind"),
        "flag": path("name"),
        "verb": path("titleVerb"),
        "short": path("shortDescription"),
        "description": path("description"),
        "resource": path("target", "resources", 0),
    },
    time="date",
    time_kind="write",
    clock=pl.lit("launchdarkly"),
    columns={
        "service": pl.lit("launchdarkly"),
        "name": pl.coalesce(pl.concat_str(verb, flag, separator=" "), verb, flag),
        "change_scope": filled("kind"),
        "change_key": pl.coalesce(pl.concat_str(flag, environment, separator=" in "), flag, environment),
        "change_new": filled("short", "description", "verb")
        .str.replace_all(markup, "${1}")
        .str.replace(r"^[-*\s]+", "")
        .str.slice(0, 240),
    },
    ids=(Id("event_uuid", "id"),),
    events=(Event("change.applied"),),
)
