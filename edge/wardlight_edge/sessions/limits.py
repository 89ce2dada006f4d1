"""Which lane a reading takes: the alarm limits of its profile, and how near it is to them. Pure.

These limits only decide what travels first and how finely; the collector's rules raise alarms.
What is beyond the range of the device itself (HI, LO) is beyond the limit on that side.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from wardlight_edge.devices import ConversionError, convert
from wardlight_shared.codes import METRICS
from wardlight_shared.model import NOT_CLINICAL, Absent, Flag, Reading
from wardlight_shared.profile import MetricSection, Profile

NEAR = Decimal("0.05")
"""A value is near within this part of the limit or of the plausible range, whichever is less."""

_TRIAL = int(NOT_CLINICAL)
_ALARM = int(Flag.DEVICE_ALARM)
_ALARM_OR_TRIAL = _ALARM | _TRIAL
_LOW = frozenset({Absent.UNDER_RANGE, Absent.NEGATIVE_INFINITY})
_HIGH = frozenset({Absent.OVER_RANGE, Absent.POSITIVE_INFINITY})


class Limits(msgspec.Struct, frozen=True):
    """Limits of one metric in the code table's unit; None = none on that side.

    span  width of the plausible range; None = the metric has none
    """

    low: Decimal | None
    high: Decimal | None
    span: Decimal | None = None

    def is_reached(self, value: Decimal) -> bool:
        """At a limit or beyond."""
        return (self.low is not None and value <= self.low) or (
            self.high is not None and value >= self.high
        )

    def is_near(self, value: Decimal) -> bool:
        """Near a limit, or beyond."""
        return (self.low is not None and value <= self.low + self._margin(self.low)) or (
            self.high is not None and value >= self.high - self._margin(self.high)
        )

    def is_passed(self, absent: Absent) -> bool:
        """Whether a number is missing because it is beyond what the device can show."""
        return (self.low is not None and absent in _LOW) or (
            self.high is not None and absent in _HIGH
        )

    def _margin(self, limit: Decimal) -> Decimal:
        return NEAR * (abs(limit) if self.span is None else min(abs(limit), self.span))


class AlarmLimits:
    """The limits of a profile."""

    def __init__(self, profile: Profile) -> None:
        self._limits = {
            metric.name: _limits(metric) for metric in profile.metrics if _has_limit(metric)
        }

    def is_alarm(self, readings: Iterable[Reading]) -> bool:
        """Whether one of them has reached a limit, or its device raises an alarm."""
        return any(
            reading.flags & _ALARM_OR_TRIAL == _ALARM or self._judge(reading, Limits.is_reached)
            for reading in readings
        )

    def is_near(self, readings: Iterable[Reading]) -> bool:
        """Whether one of them is near a limit."""
        return any(self._judge(reading, Limits.is_near) for reading in readings)

    def _judge(self, reading: Reading, rule: Callable[[Limits, Decimal], bool]) -> bool:
        limits = self._limits.get(reading.metric)
        if limits is None or reading.flags & _TRIAL:
            return False
        if isinstance(reading.value, Absent):
            return limits.is_passed(reading.value)
        try:
            value = convert(reading.value, reading.unit, METRICS[reading.metric].unit)
        except ConversionError:
            return False
        return rule(limits, value)


def _limits(metric: MetricSection) -> Limits:
    plausible = METRICS[metric.name].plausible
    span = None if plausible is None else plausible[1] - plausible[0]
    return Limits(_exact(metric.alarm_low), _exact(metric.alarm_high), span)


def _has_limit(metric: MetricSection) -> bool:
    return metric.alarm_low is not None or metric.alarm_high is not None


def _exact(limit: float | None) -> Decimal | None:
    # str() of a float is the decimal the operator wrote; the float itself is not.
    return None if limit is None else Decimal(str(limit))
