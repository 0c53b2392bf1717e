"""OTLP metrics as JSON, which share a file with traces and logs: one event for each export, and no figures.

A point of a metric sums over many requests and belongs to none of them. The time is that of the first point.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, Time, attribute, path

FIRST = ("resourceMetrics", 0, "scopeMetrics", 0)
SHAPES = ("sum", "gauge", "histogram", "exponentialHistogram", "summary")

FORMAT = Format(
    name="otlp_metrics",
    title="OTLP metrics (JSON)",
    layer="other",
    reference="https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding",
    recognise=Recognise(any_of=((("resourceMetrics",), ("resource_metrics",)),)),
    fields={
        "service": attribute("service.name", "resourceMetrics", 0, "resource", "attributes"),
        "scope": path(*FIRST, "scope", "name"),
        "metric": path(*FIRST, "metrics", 0, "name"),
    }
    | {shape: path(*FIRST, "metrics", 0, shape, "dataPoints", 0, "timeUnixNano") for shape in SHAPES},
    time=Time(pl.coalesce("sum", "gauge", "histogram", "exponentialHistogram", "summary")),
    columns={"service": "service", "name": pl.coalesce("metric", pl.lit("metrics"))},
    attributes={"scope": "scope"},
    events=(Event(kind="app.log"),),
    export="The collector's `file` exporter, or an OTLP/HTTP JSON body.",
    limits="A metric says nothing of a single request; its figures are not read.",
)
