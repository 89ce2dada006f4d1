"""Waveform samples of a serial frame joined into blocks of some seconds. Pure.

A block ends at its length, at a break in the samples, and where rate, scale, origin or series
change. The time of a block is that of its sample 0; inside it samples are counted, not timed.
"""

from collections.abc import Sequence

import msgspec

from wardlight_edge.devices import Samples

BLOCK_S = 5
FRAME_MS = 1000  # a Frame of devices.Framer holds the samples of one second; others of several
ERROR_MS = 1000
_LATE_MS = 500  # a frame that comes later than this follows one that never came
_SAMPLE_BYTES = 2


class Waveform(msgspec.Struct, frozen=True):
    """A finished run: ``mono_ms`` is the time of sample 0, ``wall_ms`` the same moment."""

    mono_ms: int
    wall_ms: int
    run: Samples


class WaveformFolder:
    """Joins the runs of successive frames; one instance for each series."""

    def __init__(self) -> None:
        self._start: tuple[int, int] | None = None
        self._run: Samples | None = None
        self._octets = bytearray()
        self._last_ms = 0

    def add(self, samples: Sequence[Samples], mono_ms: int, wall_ms: int) -> list[Waveform]:
        """Take the samples of the frame received at ``mono_ms``; return what this finishes."""
        frame_ms = _lasts_ms(samples)
        done = self.flush() if mono_ms - self._last_ms > frame_ms + _LATE_MS else []
        self._last_ms = mono_ms
        for run in samples:
            offset = frame_ms - (run.first * 1_000_000 + run.rate_mhz // 2) // run.rate_mhz
            if not self._continues(run):
                done += self.flush()
                self._start, self._run = (mono_ms - offset, wall_ms - offset), run
            self._octets += run.samples
            if self._is_full(run):
                done += self.flush()
        if not samples or not _reaches_end(samples[-1]):
            done += self.flush()
        return done

    def flush(self) -> list[Waveform]:
        """End the running block; [] without one."""
        if self._run is None or self._start is None:
            return []
        run = msgspec.structs.replace(self._run, first=0, samples=bytes(self._octets))
        mono_ms, wall_ms = self._start
        self._start, self._run = None, None
        self._octets.clear()
        return [Waveform(mono_ms, wall_ms, run)]

    def _continues(self, run: Samples) -> bool:
        before = self._run
        return before is not None and run.first == 0 and _form(before) == _form(run)

    def _is_full(self, run: Samples) -> bool:
        return len(self._octets) * 1000 >= BLOCK_S * run.rate_mhz * _SAMPLE_BYTES


def _lasts_ms(samples: Sequence[Samples]) -> int:
    """How long the frame is: a second, or the seconds up to the last sample of a longer one."""
    if not samples:
        return FRAME_MS
    last = samples[-1]
    count = last.first + len(last.samples) // _SAMPLE_BYTES
    return max(1, round(count * 1000 / last.rate_mhz)) * FRAME_MS


def _form(run: Samples) -> tuple[str, str, int, int, int]:
    return run.metric, run.unit, run.rate_mhz, run.origin, run.scale


def _reaches_end(run: Samples) -> bool:
    """Whether a run lasts to the end of its frame, so that the next frame's may continue it."""
    count = run.first + len(run.samples) // _SAMPLE_BYTES
    return count * 1000 >= run.rate_mhz
