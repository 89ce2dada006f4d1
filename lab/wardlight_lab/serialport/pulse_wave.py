"""The pulse wave that an oximeter shows."""

import math


def wave(phase: float) -> float:
    """Between 0 and 1: the systolic peak, and the smaller one after the notch; a beat is 0 to 1."""
    systolic = math.exp(-(((phase - 0.20) / 0.09) ** 2))
    diastolic = 0.42 * math.exp(-(((phase - 0.48) / 0.12) ** 2))
    return min(systolic + diastolic, 1.0)
