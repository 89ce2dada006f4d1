"""Whenever the gateway is killed: a sample of a stream is stored, or a named gap covers it.

The real file of open streams is used; the outbox is a list that keeps what was appended. A kill
strikes before an append, after it, or between two samples, and takes along what is in memory.
"""

import tempfile
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from support.block_reader import samples
from wardlight_edge.devices import Samples
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.decoding import Values
from wardlight_edge.sessions.limits import AlarmLimits
from wardlight_edge.sessions.open_streams import OpenStreams
from wardlight_edge.sessions.stream import StreamLog
from wardlight_edge.transports.base import Octets
from wardlight_shared.model import Reading
from wardlight_shared.profile import parse
from wardlight_shared.records import BlockBody, GapBody, WaveformBody, decode_body

DEVICE = "serial:bed-1"
PROFILE = parse(
    """
schema = 1
decoder = "serial_nonin"
device = { manufacturer = "m", model = "oximeter" }
transport = { serial = { baud = 9600 } }
stream = { block_s = 5, tick_ms = 10 }
[[metric]]
name = "spo2"
alarm_low = 88
""",
    source="oximeter.toml",
)
SECOND = bytes(150)


class Line:
    """A device, the gateway it is plugged into, and what was sent to whom."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "streams.json"
        self._now = 1_000_000
        self._is_watched = False
        self.sent: list[int] = []
        self.outbox: list[NewRecord] = []
        self._start()

    def _start(self) -> None:
        streams = OpenStreams(self._file, lambda: "boot")
        assert PROFILE.stream is not None
        self._log = StreamLog(
            DEVICE, PROFILE.stream, AlarmLimits(PROFILE), lambda key: key.metric, streams,
            lambda: 1 << 60 if self._is_watched else None,
        )  # fmt: skip

    def watch(self) -> None:
        self._is_watched = not self._is_watched

    def finish(self) -> None:
        """One more sample, and everything is in the outbox."""
        self.sample()
        self.outbox += self._log.flush()

    def sample(self, *, is_appended: bool = True) -> None:
        """The device sends one second; False = the gateway dies before its append."""
        self._now += 1000
        self.sent.append(self._now)
        reading = Reading("spo2", Decimal(97), "%")
        wave = Samples("pleth_waveform", "1", 75_000, 0, 0, SECOND)
        arrival = Octets("", b"", self._now, self._now)
        records = self._log.add(Values((reading,), True, (wave,)), arrival)
        if is_appended:
            self.outbox += records
            self._log.accepted()
        else:
            self._start()

    def interrupt(self) -> None:
        self.outbox += self._log.interrupted("link-lost")
        self._log.accepted()

    def kill(self) -> None:
        self._start()

    def unheard(self) -> None:
        """The device sends while no gateway listens."""
        self._now += 1000
        self.sent.append(self._now)
        self._start()

    def stored(self) -> list[int]:
        found: list[int] = []
        for record in self.outbox:
            body = decode_body(record.body)
            if isinstance(body, BlockBody):
                found += [one.at_ms for one in samples(body, record.mono_ms, {4: 1})]
        return sorted(found)

    def waves(self) -> list[tuple[int, int]]:
        """Start and end of each stored waveform block."""
        found: list[tuple[int, int]] = []
        for record in self.outbox:
            body = decode_body(record.body)
            if isinstance(body, WaveformBody):
                length_ms = len(body.samples) // 2 * 1_000_000 // body.rate_mhz
                found.append((record.mono_ms, record.mono_ms + length_ms))
        return found

    def gaps(self) -> list[tuple[int, int]]:
        bodies = [(record, decode_body(record.body)) for record in self.outbox]
        return [
            (record.mono_ms - body.age_ms, record.mono_ms)
            for record, body in bodies
            if isinstance(body, GapBody)
        ]


STEPS = {
    "sample": lambda line: line.sample(),
    "watch": Line.watch,
    "kill": Line.kill,
    "kill before append": lambda line: line.sample(is_appended=False),
    "unheard": Line.unheard,
    "interrupt": Line.interrupt,
}
steps = st.sampled_from([*["sample"] * 8, *STEPS])


@given(st.lists(steps, max_size=60))
def test_every_sample_is_stored_once_or_lies_in_a_gap_and_never_in_both(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        line = Line(Path(folder))
        line.sample()
        for name in names:
            STEPS[name](line)
        line.finish()
        stored, gaps = line.stored(), line.gaps()
    assert len(set(stored)) == len(stored)
    for moment in line.sent:
        inside = [gap for gap in gaps if gap[0] < moment < gap[1]]
        touched = [gap for gap in gaps if gap[0] <= moment <= gap[1]]
        assert len(inside) + stored.count(moment) <= 1, (moment, stored, gaps)
        assert touched or moment in stored, (moment, stored, gaps)
    assert all(later[0] >= earlier[1] for earlier, later in pairwise(gaps))


@given(st.lists(steps, max_size=40))
def test_the_waveform_is_stored_as_far_as_the_numbers_are(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        line = Line(Path(folder))
        for name in names:
            STEPS[name](line)
        line.interrupt()
    for moment in line.stored():
        assert any(start <= moment - 500 <= end for start, end in line.waves()), moment
