"""GitHub deployments, as the REST API lists them: what was deployed where, and when that was asked for.

What to know of these records: `created_at` is when the deployment was asked for; whether and when it was done stands in
its statuses, which are another list. `ref` is a branch, a tag or a commit, `sha` the commit it stood for. A list comes
newest first. Who asked for it is not taken over.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, path

FORMAT = Format(
    name="github_deployments",
    title="GitHub deployments",
    layer="change",
    reference="https://docs.github.com/en/rest/deployments/deployments#list-deployments",
    verified=False,
    export="gh api --paginate 'repos/OWNER/REPO/deployments' > deployments.json",
    limits="It says that a deployment was asked for, not that it was done, nor when.",
    recognise=Recognise(
        keys=(("task",), ("ref",), ("sha",), ("environment",), ("created_at",)),
        where=((("url",), r"/repos/[^/]+/[^/]+/deployments/[0-9]+$"),),
    ),
    fields={
        "id": path("id"),
        "url": path("url"),
        "task": path("task"),
        "ref": path("ref"),
        "sha": path("sha"),
        "environment": path("environment"),
        "created": path("created_at"),
    },
    time="created",
    time_kind="start",
    clock=pl.lit("github"),
    columns={
        "service": pl.lit("github"),
        "name": filled("task"),
        "change_scope": pl.lit("deploy"),
        "change_key": pl.concat_str(
            pl.col("url").str.extract(r"/repos/[^/]+/([^/]+)/deployments/", 1), "environment", separator=" in "
        ),
        # A branch names another commit each time: the commit is what was deployed.
        "change_new": pl.when(pl.col("ref").is_in(["main", "master", "develop"]))
        .then("sha")
        .otherwise(filled("ref", "sha")),
    },
    ids=(Id("deployment_id", "id"),),
    events=(Event("change.applied"),),
)
