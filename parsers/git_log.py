r"""git log, one commit on a line: a hash, an ISO time and a subject, in this order or with the time first.

What to know of these lines: a commit's time is its author's or committer's clock and says when it was made, not when it
was in use anywhere; `%cI` and `%aI` state a zone. A list comes newest first. Names of authors, where the line has
them, stand before the subject and are kept with it, as nothing tells them apart.
"""

import polars as pl

from strataline.format import Event, Format, Id, Time, filled, group

TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d ?(?:Z|[+-]\d\d:?\d\d)"
# As git shortens them, or whole: 16 and 32 digits are ids of spans and traces.
HASH = r"(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{7,13})"

FORMAT = Format(
    name="git_log",
    title="git log, one commit on a line",
    layer="change",
    reference="https://git-scm.com/docs/git-log#_pretty_formats",
    verified=False,
    export="git log --format='%cI %h %s'",
    limits="It says when a commit was made, not when it was deployed. "
    "Another log that begins its lines with a time and 7 to 13 hex digits looks the same: `--format` names its own.",
    container="text",
    pattern=rf"(?:(?P<sha>{HASH}) (?P<time>{TIME})|(?P<time_first>{TIME}) (?P<sha_second>{HASH})) (?P<subject>\S.*)",
    begins=rf"(?:{HASH} {TIME}|{TIME} {HASH}) ",
    fields={name: group(name) for name in ("sha", "time", "time_first", "sha_second", "subject")},
    time=Time(filled("time", "time_first")),
    time_kind="write",
    clock=pl.lit("git"),
    columns={
        "service": pl.lit("git"),
        "name": pl.lit("commit"),
        "change_scope": pl.lit("commit"),
        "change_key": pl.col("subject").str.slice(0, 240),
        "change_new": filled("sha", "sha_second"),
    },
    ids=(Id("commit", filled("sha", "sha_second")),),
    events=(Event("change.applied"),),
)
