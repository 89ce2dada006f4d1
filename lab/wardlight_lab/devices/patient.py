"""Vital signs of an emulated patient: a pure function of seed, metric and time.

A value is a baseline, a circadian wave, a slow drift over days, and the scatter from one
measurement to the next. The same seed gives the same values at the same moment, in any order, so a
test can foretell what a device sends.

Source  amplitudes and hours of the circadian waves: rounded from textbook physiology (temperature
        lowest before waking and highest in the late afternoon; pressure and pulse highest by day)
"""

import math
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import blake2b
from statistics import NormalDist
from typing import Final

import msgspec

SCATTER: Final = NormalDist()
DAY_S: Final = 86_400.0
DRIFT_PERIODS_S: Final = (3.7 * DAY_S, 11.3 * DAY_S)


@dataclass(frozen=True, slots=True)
class Wave:
    """How one vital sign moves: mean, circadian amplitude and hour of its peak, drift, scatter."""

    mean: float
    circadian: float
    peak_hour: float
    drift: float
    scatter: float
    low: float
    high: float


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What sets one patient apart from another: mmHg, beats per minute, %, degrees Celsius, kg."""

    systolic: float = 124.0
    diastolic: float = 78.0
    pulse: float = 68.0
    spo2: float = 97.0
    temperature: float = 36.7
    weight: float = 74.0


@dataclass(frozen=True, slots=True)
class BloodPressure:
    """One cuff measurement in mmHg, with the pulse per minute."""

    systolic: Decimal
    diastolic: Decimal
    mean: Decimal
    pulse: Decimal


class PatientVitals:
    """The vital signs of one patient at any time."""

    def __init__(self, seed: str, baseline: Baseline | None = None) -> None:
        base = baseline or Baseline()
        self.seed = seed
        self._waves = {
            "systolic": Wave(base.systolic, 7.0, 15.0, 4.0, 3.0, 70, 230),
            "diastolic": Wave(base.diastolic, 4.0, 14.0, 2.5, 2.0, 40, 130),
            "pulse": Wave(base.pulse, 5.0, 14.5, 2.0, 2.0, 35, 180),
            "spo2": Wave(base.spo2, 0.4, 14.0, 0.6, 0.5, 70, 100),
            "temperature": Wave(base.temperature, 0.35, 17.0, 0.1, 0.05, 34.0, 41.5),
            "weight": Wave(base.weight, 0.3, 20.0, 0.5, 0.1, 30, 250),
        }

    def blood_pressure(self, at: datetime) -> BloodPressure:
        """A cuff measurement in whole mmHg; the mean is diastolic and a third of the difference."""
        systolic = self._value("systolic", at, "1")
        diastolic = min(self._value("diastolic", at, "1"), systolic - 15)
        mean = ((systolic + 2 * diastolic) / 3).quantize(Decimal(1), ROUND_HALF_EVEN)
        return BloodPressure(systolic, diastolic, mean, self._value("pulse", at, "1"))

    def spo2(self, at: datetime) -> Decimal:
        """Oxygen saturation in whole per cent."""
        return self._value("spo2", at, "1")

    def pulse(self, at: datetime) -> Decimal:
        """Pulse rate in whole beats per minute."""
        return self._value("pulse", at, "1")

    def temperature(self, at: datetime) -> Decimal:
        """Body temperature in tenths of a degree Celsius."""
        return self._value("temperature", at, "0.1")

    def weight(self, at: datetime) -> Decimal:
        """Body weight in kilograms, in steps of 0.05 as household scales show it."""
        steps = self._value("weight", at, "0.01") / Decimal("0.05")
        return (steps.quantize(Decimal(1), ROUND_HALF_EVEN) * Decimal("0.05")).quantize(
            Decimal("0.01")
        )

    def _value(self, what: str, at: datetime, step: str) -> Decimal:
        wave, seconds = self._waves[what], at.timestamp()
        hour = at.hour + at.minute / 60 + at.second / 3600
        value = wave.mean + wave.circadian * math.cos((hour - wave.peak_hour) * math.pi / 12)
        for number, period in enumerate(DRIFT_PERIODS_S):
            phase = 2 * math.pi * self._chance(what, f"drift {number}")
            value += wave.drift / 2 * math.sin(2 * math.pi * seconds / period + phase)
        value += wave.scatter * SCATTER.inv_cdf(self._chance(what, str(int(seconds))))
        inside = min(max(value, wave.low), wave.high)
        return Decimal(inside).quantize(Decimal(step), ROUND_HALF_EVEN)

    def _chance(self, what: str, draw: str) -> float:
        """A number in (0, 1) that depends on nothing but seed, metric and draw."""
        digest = blake2b(f"{self.seed}|{what}|{draw}".encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") + 0.5) / 2**64
