"""Event bodies to columns: a few readings each, all with the event's time.

In      EventBody, checked place by place
Out     parallel lists, one place per reading; Details for what only some readings have
Errors  EnvelopeError: nothing of that event was taken
"""

from collections.abc import Iterable
from typing import Any, Final

from wardlight_cloud.ingest.dictionary import SeriesDictionary, has_nul
from wardlight_cloud.ingest.moments import LATE_AFTER_MS, Moment, checked_ms, flags_of_bound
from wardlight_cloud.store.batch import Detail, Quarantined
from wardlight_shared.errors import EnvelopeError
from wardlight_shared.model import ABSENT_BY_CODE, CLOUD_ONLY, Flag
from wardlight_shared.records import EventBody, TimeMethod
from wardlight_shared.timestamps import DEVICE_EPOCH_MS, device_isoformat

FUTURE: Final = "measured more than 5 minutes in the future"
_ORD_STEP: Final = 1 << 8  # records.event_ord leaves the low 8 bits to repeats of one series
_LARGEST_ORD: Final = (1 << 31) - 1
_LATE: Final = int(Flag.LATE)
_LARGEST_SKEW_S: Final = (1 << 31) - 1  # 68 years
_STATEMENTS: Final = {
    "corrected": int(Flag.CORRECTED),
    "deleted": int(Flag.WITHDRAWN),
    "wrong": int(Flag.WITHDRAWN),
}
"""What ``status`` in the context of an event says of a reading that was sent before."""


class EventRows:
    """Accumulates the readings of events.

    future_ms   the last time that is not future
    offset_min  the gateway's local offset when it sent, for device clocks that are taken as its
                local time where the event does not say what the offset was at receipt
    """

    def __init__(
        self, dictionary: SeriesDictionary, future_ms: int, *, offset_min: int = 0
    ) -> None:
        self._dictionary = dictionary
        self._future_ms = future_ms
        self._offset_min = offset_min
        self.offsets: dict[int, int] = {}  # of records that say theirs
        self.series: list[int] = []
        self.ord: list[int] = []
        self.mantissa: list[int] = []
        self.scale: list[int] = []
        self.absent: list[int] = []
        self.flags: list[int] = []
        # One place per event, repeated ``counts`` times at the end.
        self.counts: list[int] = []
        self.time_ms: list[int] = []
        self.clock: list[int] = []
        self.error_ms: list[int] = []
        self.record: list[int] = []
        self.details: list[Detail] = []
        self.quarantined: list[Quarantined] = []
        # (first place, place after the last, flag) of events about readings sent before.
        self.statements: list[tuple[int, int, int]] = []

    def __len__(self) -> int:
        return len(self.series)

    def add(self, record: int, body: EventBody, moment: Moment) -> None:
        """Take one event as the record with place ``record`` in the batch."""
        _check_lengths(body)
        self._dictionary.check(body.series)
        time_ms = self._measured_ms(body, moment)
        bound = moment.bound(body.error_ms)
        common = flags_of_bound(bound) | (_LATE if body.age_ms > LATE_AFTER_MS else 0)
        ords, absents = _ords(body), _absents(body)
        mantissas = _numbers(body.mantissas, absents)
        device_time = _device_time(body)
        # From here on nothing fails, so that an unfit event leaves nothing behind.
        series = [self._dictionary.place(number) for number in body.series]
        flags = [each | common for each in body.flags or [0] * len(series)]
        statement = _statement(body) if body.context else 0
        if time_ms > self._future_ms:
            flags = [each & ~CLOUD_ONLY | statement for each in flags]
            columns = (series, ords, mantissas, body.scales, absents, flags)
            details: list[Any] = [*_details(body, device_time, 0)] or [None] * len(series)
            how = moment.how(body.method), bound
            self._keep_aside(record, time_ms * 1000, how, zip(*columns, details, strict=True))
            return
        if statement:
            self.statements.append((len(self), len(self) + len(series), statement))
        self.details += _details(body, device_time, len(self.series))
        self.series += series
        self.ord += ords
        self.mantissa += mantissas
        self.scale += body.scales
        self.absent += absents
        self.flags += flags
        self.counts.append(len(series))
        self.time_ms.append(time_ms)
        self.clock.append(moment.how(body.method))
        self.error_ms.append(bound)
        self.record.append(record)
        if body.offset_min is not None:
            self.offsets[record] = body.offset_min

    def _measured_ms(self, body: EventBody, moment: Moment) -> int:
        """UTC of the measurement.

        Where the device's wall clock is taken as local time it is taken as it stands: an age
        would carry the drift between the clock of then and the anchor of now into it.
        """
        if body.method is TimeMethod.DEVICE_ASSUMED and isinstance(body.device_time, int):
            local_ms = DEVICE_EPOCH_MS + body.device_time * 1000
            offset_min = self._offset_min if body.offset_min is None else body.offset_min
            return checked_ms(local_ms - offset_min * 60_000, "device_time")
        return checked_ms(moment.time_ms - body.age_ms, "age_ms")

    def _keep_aside(
        self, record: int, time_us: int, how: tuple[int, int], rows: Iterable[tuple[Any, ...]]
    ) -> None:
        self.quarantined += [
            Quarantined(
                record, series, time_us, ord_, mantissa, scale, absent, FUTURE, flags, *how, detail
            )
            for series, ord_, mantissa, scale, absent, flags, detail in rows
        ]


def _details(body: EventBody, device_time: str | None, first: int) -> list[Detail]:
    """One for each reading, or none at all; ``first`` is the place of the first reading."""
    if not (body.raws or body.context or device_time or body.skew_s is not None):
        return []
    context = tuple(body.context or ())
    raws = [raw or (None, None) for raw in body.raws or [None] * len(body.series)]
    return [
        Detail(first + place, mantissa, scale, device_time, body.skew_s, context)
        for place, (mantissa, scale) in enumerate(raws)
    ]


def _statement(body: EventBody) -> int:
    return next(
        (_STATEMENTS.get(value, 0) for name, value in body.context or () if name == "status"), 0
    )


def _check_lengths(body: EventBody) -> None:
    count = len(body.series)
    if not count:
        raise EnvelopeError("an event without readings", where="series")
    for name in ("mantissas", "scales", "absents", "flags", "raws"):
        column = getattr(body, name)
        if column is not None and len(column) != count:
            raise EnvelopeError(f"{len(column)} places, series has {count}", where=name)


def _ords(body: EventBody) -> list[int]:
    """The first ord for each reading, one more for each repeat of its series."""
    count = len(body.series)
    if body.ord > _LARGEST_ORD - _ORD_STEP:
        raise EnvelopeError("too large to count repeats", where="ord")
    if len(set(body.series)) == count:
        return [body.ord] * count
    seen: dict[int, int] = {}
    ords: list[int] = []
    for number in body.series:
        repeats = seen.get(number, 0)
        if repeats == _ORD_STEP:
            raise EnvelopeError(f"series {number} more than {_ORD_STEP} times", where="series")
        seen[number] = repeats + 1
        ords.append(body.ord + repeats)
    return ords


def _absents(body: EventBody) -> list[int]:
    absents = body.absents
    if absents is None:
        return [0] * len(body.series)
    if max(absents) >= len(ABSENT_BY_CODE):
        raise EnvelopeError(f"unknown reason {max(absents)}", where="absents")
    return absents


def _numbers(mantissas: list[int], absents: list[int]) -> list[int]:
    """Absent is not zero: the row's reason says so; its mantissa is 0 and means nothing."""
    if not any(absents):
        return mantissas
    return [0 if absent else mantissa for mantissa, absent in zip(mantissas, absents, strict=True)]


def _device_time(body: EventBody) -> str | None:
    """Device time as ISO text; also checks the other texts that go beside it."""
    if any(has_nul(name, value) for name, value in body.context or ()):
        raise EnvelopeError("text with a NUL character", where="context")
    if body.skew_s is not None and abs(body.skew_s) > _LARGEST_SKEW_S:
        raise EnvelopeError("more than 68 years", where="skew_s")
    if body.device_time is None:
        return None
    if isinstance(body.device_time, str):
        if has_nul(body.device_time):
            raise EnvelopeError("text with a NUL character", where="device_time")
        return body.device_time or None
    try:
        return device_isoformat(body.device_time)
    except OverflowError as error:
        raise EnvelopeError("not a date of years 1 to 9999", where="device_time") from error
