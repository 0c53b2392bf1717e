"""Inputs to record batches: where the logs are, and which of their bytes are records.

Knows places, archives, compression, containers, encodings and wrappers; no format and no layer.
"""

from strataline.read.encodings import encoding_named
from strataline.read.frame import MAX_RECORD, Batch, Reading
from strataline.read.inputs import Found, Input, find_inputs
from strataline.read.records import Options, Source, at, better_encoding, may_hold_more, read, reread, rows_at
from strataline.read.streams import MAX_EXPAND, Limits

__all__ = [
    "MAX_EXPAND",
    "MAX_RECORD",
    "Batch",
    "Found",
    "Input",
    "Limits",
    "Options",
    "Reading",
    "Source",
    "at",
    "better_encoding",
    "encoding_named",
    "find_inputs",
    "may_hold_more",
    "read",
    "reread",
    "rows_at",
]
