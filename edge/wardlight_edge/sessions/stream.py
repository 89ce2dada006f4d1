"""One device's stream on its way to blocks: how long they are, on which lane, and what is missing.

A block lasts as long as the profile says (60 s); 1 s while somebody watches or while a value is
near an alarm limit and for a minute after. Waveform blocks end with the blocks of the numbers, so
that one moment tells up to where the whole stream is stored. What is not in a block yet is not
accepted yet: a kill loses at most one running block, a graceful stop nothing. The loss is named
with the first sample that follows it (``gap_record``); from that sample on the next one counts.
"""

from collections.abc import Callable

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.decoding import Values
from wardlight_edge.sessions.limits import AlarmLimits
from wardlight_edge.sessions.open_streams import OpenStreams
from wardlight_edge.sessions.records import (
    Numbering,
    block_record,
    gap_record,
    waveform_record,
)
from wardlight_edge.streams import Block, Folder, WaveformFolder
from wardlight_edge.transports.base import Octets
from wardlight_shared.profile import StreamSection
from wardlight_shared.records import Lane

NEAR_MS = 60_000
RESTART = "restart"
"""Cause of the gap that a killed or stopped gateway leaves."""


class StreamLog:
    """Blocks, waveforms and gaps of one device.

    live_until  UTC ms until which somebody watches, or None
    """

    def __init__(
        self,
        device: str,
        stream: StreamSection,
        limits: AlarmLimits,
        number: Numbering,
        open_streams: OpenStreams,
        live_until: Callable[[], int | None],
    ) -> None:
        self._device = device
        self._limits = limits
        self._number = number
        self._open_streams = open_streams
        self._live_until = live_until
        self._folder = Folder(device, stream, number)
        self._waveforms: dict[str, WaveformFolder] = {}
        self._is_alarm = False
        self._near_until_ms: int | None = None
        self._last_ms: int | None = None
        self._gap: tuple[str, int] | None = None
        self._accounted: tuple[int, int] | None = None

    @property
    def due_ms(self) -> int | None:
        """When the running block must be flushed; None without one."""
        return self._folder.due_ms

    @property
    def is_empty(self) -> bool:
        """True when every sample so far is in a record."""
        return self._folder.is_empty

    def add(self, values: Values, arrival: Octets) -> list[NewRecord]:
        """Take one notification or frame."""
        mono_ms, wall_ms = arrival.mono_ms, arrival.wall_ms
        made = self._gap_before(mono_ms, wall_ms)
        self._last_ms = mono_ms
        if self._limits.is_near(values.readings):
            self._near_until_ms = mono_ms + NEAR_MS
        done = self._folder.add(values.readings, mono_ms, wall_ms, arrival.age_ms)
        made += self._ended(done)
        self._is_alarm = self._is_alarm or self._limits.is_alarm(values.readings)
        made += self._waves(values, arrival)
        return made + self.tick(mono_ms, wall_ms)

    def tick(self, mono_ms: int, wall_ms: int) -> list[NewRecord]:
        """Flush the running block when its time has come."""
        self._folder.shorten(self._is_short(mono_ms, wall_ms))
        due = self._folder.due_ms
        return self._ended(self._folder.flush()) if due is not None and mono_ms >= due else []

    def interrupted(self, cause: str) -> list[NewRecord]:
        """The stream has stopped: flush, and name the gap when it goes on."""
        if self._last_ms is not None and self._gap is None:
            self._gap = (cause, self._last_ms)
        return self.flush()

    def flush(self) -> list[NewRecord]:
        """End every running block."""
        return self._records(self._folder.flush()) + self._ended_waves()

    def accepted(self) -> None:
        """The records given out so far are in the outbox."""
        accounted, self._accounted = self._accounted, None
        if accounted is not None:
            self._open_streams.account(self._device, *accounted)

    def _is_short(self, mono_ms: int, wall_ms: int) -> bool:
        live_until = self._live_until()
        if live_until is not None and wall_ms < live_until:
            return True
        return self._near_until_ms is not None and mono_ms < self._near_until_ms

    def _gap_before(self, mono_ms: int, wall_ms: int) -> list[NewRecord]:
        if self._last_ms is None:
            since = self._open_streams.lost_since_ms(self._device, mono_ms, wall_ms)
            if since is None:
                # Nothing to name yet, but a kill from here on takes this sample along.
                self._open_streams.account(self._device, mono_ms, wall_ms)
            self._gap = None if since is None else (RESTART, since)
        if self._gap is None:
            return []
        cause, since_ms = self._gap
        self._gap = None
        self._accounted = (mono_ms, wall_ms)
        return [gap_record(self._device, cause, 0, since_ms, mono_ms, wall_ms)]

    def _ended(self, blocks: list[Block]) -> list[NewRecord]:
        """Records of these blocks, and of the waveforms that ran beside them."""
        return self._records(blocks) + self._ended_waves() if blocks else []

    def _ended_waves(self) -> list[NewRecord]:
        return [
            waveform_record(self._device, each, self._number)
            for folder in self._waveforms.values()
            for each in folder.flush()
        ]

    def _records(self, blocks: list[Block]) -> list[NewRecord]:
        made: list[NewRecord] = []
        for block in blocks:
            made.append(block_record(block, Lane.ALARM if self._is_alarm else Lane.LIVE))
            self._is_alarm = False
            end_ms = block.end_mono_ms
            self._accounted = (end_ms, block.wall_ms + end_ms - block.mono_ms)
        return made

    def _waves(self, values: Values, arrival: Octets) -> list[NewRecord]:
        made: list[NewRecord] = []
        for metric in sorted({run.metric for run in values.samples}):
            folder = self._waveforms.setdefault(metric, WaveformFolder())
            runs = [run for run in values.samples if run.metric == metric]
            moment, wall_ms = arrival.mono_ms - arrival.age_ms, arrival.wall_ms - arrival.age_ms
            finished = folder.add(runs, moment, wall_ms)
            made += [waveform_record(self._device, each, self._number) for each in finished]
        return made
