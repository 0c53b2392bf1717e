"""What options can be set to, and to what they are set by default, without loading what knows it.

`strataline --help` and the completion of a shell wait for every import. tests/test_startup.py holds each of these
against the place that it comes from.
"""

from __future__ import annotations

LAYERS = ("prompt", "retrieval", "model", "policy", "ui", "change", "other")
"""`event.LAYERS`."""

TARGETS = ("parquet", "jsonl", "csv", "timesketch", "timesketch-csv", "perfetto", "otlp", "markdown")
"""`folder.FORMATS`: what a case can be exported to."""

ANSWERS = ("table", "csv", "json", "parquet")
"""`export.query.FORMATS`."""

HAND_OFFS = ("pytest", "promptfoo", "inspect", "trace-invariants")
"""`report.regressions.TARGETS`."""

BASELINES = ("others", "before", "same-window")
"""`examine.affected.BASELINES`."""

LISTED = 200
"""`case.LIMIT`: requests of timeline.md."""

DRAWN = 200
"""`export.html.LIMIT`."""

HANDED = 10
"""`report.regressions.LIMIT`."""

MAX_RECORD = 16 * 1024**2
"""`read.MAX_RECORD`."""

MAX_EXPAND = 64 * 1024**3
"""`read.MAX_EXPAND`."""
