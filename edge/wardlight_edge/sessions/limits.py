"""Which lane a reading takes: the alarm limits of its profile, and how near it is to them. Pure.

These limits only decide what travels first and how finely; the collector's rules raise alarms.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from wardlight_edge.devices._units import ConversionError, convert
from wardlight_shared.codes import METRICS
from wardlight_shared.model import NOT_CLINICAL, Flag, Reading
from wardlight_shared.profile import MetricSection, Profile

NEAR = Decimal("0.05")  # of the limit: 88 % SpO2 is near from 92.4 % on


class Limits(msgspec.Struct, frozen=True):
    """Limits of one metric in the code table's unit; None = none on that side."""

    low: Decimal | None
    high: Decimal | None

    def is_reached(self, value: Decimal) -> bool:
        """At a limit or beyond."""
        return self._is_beyond(value, Decimal(0))

    def is_near(self, value: Decimal) -> bool:
        """Within NEAR of a limit, or beyond."""
        return self._is_beyond(value, NEAR)

    def _is_beyond(self, value: Decimal, margin: Decimal) -> bool:
        low, high = self.low, self.high
        return (low is not None and value <= low + abs(low) * margin) or (
            high is not None and value >= high - abs(high) * margin
        )


class AlarmLimits:
    """The limits of a profile."""

    def __init__(self, profile: Profile) -> None:
        self._limits = {
            metric.name: Limits(_exact(metric.alarm_low), _exact(metric.alarm_high))
            for metric in profile.metrics
            if _has_limit(metric)
        }

    def is_alarm(self, readings: Iterable[Reading]) -> bool:
        """Whether one of them has reached a limit, or its device raises an alarm."""
        return any(
            bool(reading.flags & Flag.DEVICE_ALARM) or self._judge(reading, Limits.is_reached)
            for reading in readings
        )

    def is_near(self, readings: Iterable[Reading]) -> bool:
        """Whether one of them is near a limit."""
        return any(self._judge(reading, Limits.is_near) for reading in readings)

    def _judge(self, reading: Reading, rule: Callable[[Limits, Decimal], bool]) -> bool:
        limits = self._limits.get(reading.metric)
        if limits is None or not isinstance(reading.value, Decimal):
            return False
        if reading.flags & NOT_CLINICAL:
            return False
        try:
            value = convert(reading.value, reading.unit, METRICS[reading.metric].unit)
        except ConversionError:
            return False
        return rule(limits, value)


def _has_limit(metric: MetricSection) -> bool:
    return metric.alarm_low is not None or metric.alarm_high is not None


def _exact(limit: float | None) -> Decimal | None:
    # str() of a float is the decimal the operator wrote; the float itself is not.
    return None if limit is None else Decimal(str(limit))
