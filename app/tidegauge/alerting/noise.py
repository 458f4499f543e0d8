"""How many events a divergence must rest on to say more than its own noise."""

import math
from typing import NamedTuple


class Noise(NamedTuple):
    """What a divergence is on average, nats, of n values: ``per_value`` / n + ``of_baseline``."""

    per_value: float
    of_baseline: float

    def minimum_events(self, threshold: float) -> float:
        """Return the events from which on noise is no more than a threshold; perhaps infinite.

        >>> Noise(per_value=8.5, of_baseline=0.0).minimum_events(0.05)
        170.0
        >>> Noise(per_value=6.5, of_baseline=0.065).minimum_events(0.05)
        inf
        """
        rest = threshold - self.of_baseline
        return math.ceil(self.per_value / rest - 1e-9) * 1.0 if rest > 0 else math.inf
