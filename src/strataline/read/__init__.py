"""Inputs to record batches: where the logs are, and which of their bytes are records.

Knows containers and compression; no format and no layer.
"""

from strataline.read.inputs import Found, Input, find_inputs
from strataline.read.records import MAX_RECORD, Batch, Reading, at, read

__all__ = ["MAX_RECORD", "Batch", "Found", "Input", "Reading", "at", "find_inputs", "read"]
