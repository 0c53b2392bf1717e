"""A simulator of AI products: logs as a correlation engine receives them, beside what really happened.

`python benchmarks/simulate --help` writes a run to a folder. As a library, `draw_product` or `PRESETS` describe a
product, and `simulate` gives its events, the truth about each of them, and the true clocks. Nothing is shared with the
engine but the schema of its input, so an assumption of one cannot hide in the other.
"""

from __future__ import annotations

from .clocks import CLOCKS, EPOCH_NS, Browsers, Clock
from .delays import Delay
from .draw import draw_product
from .emit import TRUTH
from .presets import PRESETS, no_skew
from .product import Carry, Family, Flow, Product, Service, Traffic
from .run import Simulated, simulate, simulate_parts

__all__ = [
    "CLOCKS",
    "EPOCH_NS",
    "PRESETS",
    "TRUTH",
    "Browsers",
    "Carry",
    "Clock",
    "Delay",
    "Family",
    "Flow",
    "Product",
    "Service",
    "Simulated",
    "Traffic",
    "draw_product",
    "no_skew",
    "simulate",
    "simulate_parts",
]
