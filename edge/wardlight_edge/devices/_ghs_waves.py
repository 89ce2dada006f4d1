"""Pieces of a waveform that a Generic Health Sensor sends, joined to whole seconds. Pure.

A sensor may send 50 ms of an ECG at a time; what a session folds into blocks are seconds. Joined
are live sample arrays that have a code and a time (by which a lost piece is seen), last less than a
second, and come at a whole number of samples a second. Everything else passes as it came.

Source  Bluetooth GHSS 1.0, 3.2; ETS 1.0, 3.1 (time stamp); _ghs_samples has the sample array
"""

from struct import Struct
from typing import Final

from wardlight_edge.devices._ghs_samples import HEAD, rate_mhz
from wardlight_edge.devices._seconds import Seconds

# segmentation u8 | class u8 | length u16 | flags u16 | code u32 | time: flags u8, count u48, u8, s8
_START: Final = Struct("<BBHHIBIHBb")
_LENGTH: Final = Struct("<H").pack_into
_COUNT: Final = Struct("<I").pack_into
_FLAGS_AT, _LENGTH_AT = 4, 2
_CLASS: Final = 4
_CODE_AND_TIME: Final = 0b11
_STATUS: Final = 1 << 3
_STATUS_OCTETS: Final = 2
_TICKS_A_SECOND: Final = (1, 10, 1000, 10_000)  # by bits 2 and 3 of the flags of a time
_MOST_WAVES: Final = 16


class _Wave:
    """One waveform: its samples of a second not yet full, and when the next are due."""

    def __init__(self, rate: int, width: int) -> None:
        self.seconds = Seconds(rate, width)
        self.rate = rate
        self.due: int | None = None

    def follows(self, ticks: int, ticks_a_second: int) -> bool:
        """Whether a piece of this time is the next one; clocks jitter by a tick or two samples."""
        if self.due is None:
            return True
        late = abs(ticks - self.due) - 1
        return late * self.rate <= 2 * ticks_a_second


class WaveJoin:
    """The waveforms of one link, at most ``_MOST_WAVES``."""

    def __init__(self) -> None:
        self._waves: dict[bytes, _Wave] = {}

    def take(self, value: bytes) -> bytes | None:
        """Take a whole live observation; return it, the seconds it fills, or None for neither."""
        at = _place_of_samples(value)
        if at is None:
            return value
        *_, period, _, width, count = HEAD.unpack_from(value, at - HEAD.size)
        rate = _whole_rate(period)
        if rate is None or not 0 < count < rate or count * width != len(value) - at:
            return value
        wave = self._wave(value, at, rate, width)
        *_, time_flags, low, high, _, _ = _START.unpack_from(value)
        ticks, unit = high << 32 | low, _TICKS_A_SECOND[time_flags >> 2 & 0b11]
        if not wave.follows(ticks, unit):
            wave.seconds.broken()
        wave.due = ticks + count * unit // rate
        whole = wave.seconds.add(value[at:])
        return None if whole is None else _with_samples(value, at, width, whole)

    def _wave(self, value: bytes, at: int, rate: int, width: int) -> _Wave:
        """The waveform with this code, status, unit, factor, offset, period and width."""
        key = value[_FLAGS_AT : _START.size - 9] + value[_START.size : at - 4]
        wave = self._waves.get(key)
        if wave is None:
            if len(self._waves) >= _MOST_WAVES:
                self._waves.clear()
            wave = self._waves[key] = _Wave(rate, width)
        return wave


def _place_of_samples(value: bytes) -> int | None:
    """Where the samples of a sample array with code and time begin; None for another value."""
    if len(value) < _START.size + HEAD.size or value[1] != _CLASS:
        return None
    _, _, length, flags, *_ = _START.unpack_from(value)
    if flags & ~_STATUS != _CODE_AND_TIME or length != len(value) - _FLAGS_AT:
        return None
    at = _START.size + HEAD.size + (_STATUS_OCTETS if flags & _STATUS else 0)
    return at if at <= len(value) else None


def _whole_rate(period: int) -> int | None:
    rate = rate_mhz(period)
    return None if rate is None or rate % 1000 else rate // 1000


def _with_samples(value: bytes, at: int, width: int, samples: bytes) -> bytes:
    """The observation with other samples; its time, that of the last piece, says no more."""
    joined = bytearray(value[:at] + samples)
    _LENGTH(joined, _LENGTH_AT, len(joined) - _FLAGS_AT)
    _COUNT(joined, at - 4, len(samples) // width)
    return bytes(joined)
