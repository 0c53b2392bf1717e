"""Record batches and formats to events and rejects; knows no correlation."""

from strataline.parse.catalog import catalogue, digests, load
from strataline.parse.figures import Figures
from strataline.parse.kernel import Kernel
from strataline.parse.recognise import Marks, Recognised, recognise, score
from strataline.parse.source import Note, Parsed, Parsing, Plan, Workers, described, identify, parse_source
from strataline.parse.times import zone_named

__all__ = [
    "Figures",
    "Kernel",
    "Marks",
    "Note",
    "Parsed",
    "Parsing",
    "Plan",
    "Recognised",
    "Workers",
    "catalogue",
    "described",
    "digests",
    "identify",
    "load",
    "parse_source",
    "recognise",
    "score",
    "zone_named",
]
