"""How long things take: a few laws of very different shape, all in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAWS = ("constant", "exponential", "lognormal", "pareto", "bimodal")
"""Every law that `Delay.law` may name."""


@dataclass(frozen=True)
class Delay:
    """A law of durations.

    Attributes:
        law: one of `LAWS`.
        median_s: median of what comes on top of `floor_s`, in seconds.
        shape: constant: jitter as a share of the median; lognormal: sigma; pareto: the exponent alpha (small: heavy
            tail); bimodal: factor between the slow and the quick mode. Exponential has none.
        slow_share: bimodal: share of the slow mode.
        floor_s: the least that it takes, in seconds.
        cap_s: the most that it takes, in seconds (a timeout).
        load: exponent by which the load of the moment (1: average) multiplies the delay; 0: the load does not matter.
    """

    law: str = "lognormal"
    median_s: float = 0.05
    shape: float = 0.5
    slow_share: float = 0.2
    floor_s: float = 0.0005
    cap_s: float = 600.0
    load: float = 0.0

    def sample(self, draw: np.random.Generator, load: NDArray[np.float64]) -> NDArray[np.float64]:
        """One duration in seconds for each element of `load`."""
        count = len(load)
        if self.law == "constant":
            value = self.median_s * (1 + self.shape * draw.uniform(-1, 1, count))
        elif self.law == "exponential":
            value = draw.exponential(self.median_s / np.log(2), count)
        elif self.law == "lognormal":
            value = self.median_s * np.exp(self.shape * draw.standard_normal(count))
        elif self.law == "pareto":
            value = self.median_s * (draw.pareto(self.shape, count) + 1) / 2 ** (1 / self.shape)
        elif self.law == "bimodal":
            slow = draw.random(count) < self.slow_share
            value = self.median_s * np.where(slow, self.shape, 1.0) * np.exp(0.2 * draw.standard_normal(count))
        else:
            raise ValueError(f"no law of delays is called {self.law}")
        return np.clip(self.floor_s + np.maximum(value, 0) * load**self.load, self.floor_s, self.cap_s)
