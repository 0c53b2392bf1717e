"""Phoenix: the list of traces of its REST API, one object per trace, with no spans.

Times are those of the first and last span, in UTC, µs. Token counts are sums over the spans of the trace.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, path, whole

FIELDS = ("trace_id", "project_id", "start_time", "end_time", "token_count_prompt", "token_count_completion")

FORMAT = Format(
    name="phoenix_traces",
    title="Phoenix traces (REST)",
    layer="other",
    reference="https://arize.com/docs/phoenix/sdk-api-reference/rest-api/api-reference/traces/list-traces-for-a-project",
    versions=("arize-phoenix 20.26.1",),
    verified=True,
    recognise=Recognise(
        keys=(("trace_id",), ("project_id",), ("token_count_prompt",), ("token_count_completion",), ("start_time",))
    ),
    fields={name: path(name) for name in FIELDS},
    time="start_time",
    end="end_time",
    time_kind="start",
    columns={"name": pl.lit("trace")},
    ids=(Id("trace_id", "trace_id"), Id("project", "project_id", role="group")),
    events=(
        Event(
            kind="app.step",
            columns={"input_tokens": whole("token_count_prompt"), "output_tokens": whole("token_count_completion")},
        ),
    ),
    export="GET /v1/projects/{project}/traces of a Phoenix server, page by page.",
    limits="It says that a trace was, how long it took and how many tokens; what happened in it the spans say.",
)
