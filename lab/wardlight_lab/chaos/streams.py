"""Judging the streams of the real gateway: what was sent against samples and gaps in the store.

The gateway gives out a second at a time, reduced to what its device showed lowest, in the middle
and highest; the senders count so that none of their packets is left out of that (bedside.py).
Every packet that was sent must be a stored sample of its own, once, or lie in a named gap; the
samples must stand in the order of their sending; no gap may cover a stored sample, and each kill
of the gateway must lie in a gap of cause "restart".

A kill may fall between the COMMIT of a block and the note of it: then the gap begins one block too
early, which the gateway's design allows (sessions/open_streams.py). That must stay rare, and it is
counted.

Not judged  packets before the gateway could know the stream (two seconds of hearing it), and those
            after the last whole second of a device that was stopped
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple, Protocol

SAMPLE_MS: Final = 1000
_FIRST_SECONDS: Final = 2
_FAR_MS: Final = 60_000  # equal values so far apart are those of another packet
_CLOCK_MS: Final = 300  # of the kill's own time, and of a gap's resolved time
_CAUSE_OF_A_KILL: Final = "restart"
_KILLS_AN_EARLY_GAP: Final = 10

BLOCK_S: Final = 5
"""Seconds of a block of the gateway under test."""

_BLOCK_MS: Final = 1000 * BLOCK_S + _CLOCK_MS


Values = tuple[Decimal | int, Decimal | int]
"""SpO2 and pulse rate."""


class Packet(NamedTuple):
    """One packet sent; the times are those of its last byte. ``is_heard``: somebody listened."""

    number: int
    mono_ms: int
    wall_ms: int
    is_heard: bool


class Sender(Protocol):
    """A device as the judge knows it."""

    @property
    def name(self) -> str:
        """Its name in what is said of it."""

    @property
    def packets_a_second(self) -> int:
        """Packets that the product gives out together, dated when the last of them is whole."""

    def values(self, number: int) -> Values:
        """What a packet tells."""


class Stored(NamedTuple):
    """One sample of the store."""

    time_ms: float
    spo2: Decimal | int
    pulse: Decimal | int
    error_ms: float


class Gap(NamedTuple):
    """One named gap of the store."""

    cause: str
    from_ms: float
    to_ms: float

    def covers(self, time_ms: float, slack_ms: float) -> bool:
        """Whether a moment lies in it, or at most ``slack_ms`` outside."""
        return self.from_ms - slack_ms <= time_ms <= self.to_ms + slack_ms


@dataclass(slots=True)
class StreamVerdict:
    """One or more streams. A packet is a third of a second of a line, and a sample of the store.

    sent            packets sent while the gateway could know the stream
    stored          of these, in a stored sample
    in_named_gaps   of these, in a gap
    unexplained     of these, in neither
    samples         rows of the store
    double          samples that the store has twice, or that no packet told
    mistimed        samples further from the second of their sending than their error bound says,
                    or behind one that was sent later
    gaps            gaps by cause
    covered         stored samples that a gap covers by more than one sample
    early           gaps of cause "restart" over no more than one stored block, at their beginning
    overlapping     gaps that cover more than one sample of another gap
    kills           kills of the gateway while the stream ran
    kills_without_gap   of these, not in a gap of cause "restart"
    """

    sent: int = 0
    stored: int = 0
    in_named_gaps: int = 0
    unexplained: int = 0
    samples: int = 0
    double: int = 0
    mistimed: int = 0
    gaps: dict[str, int] = field(default_factory=dict)
    covered: int = 0
    early: int = 0
    overlapping: int = 0
    kills: int = 0
    kills_without_gap: int = 0
    first_wrong: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Every sample is stored once or named, every kill is named, nothing is named in vain."""
        return self.samples > 0 and not (
            self.unexplained
            or self.double
            or self.mistimed
            or self.covered
            or self.early > 1 + self.kills // _KILLS_AN_EARLY_GAP
            or self.overlapping
            or self.kills_without_gap
        )

    def add(self, other: "StreamVerdict") -> None:
        """Sum two verdicts."""
        for name in StreamVerdict.__slots__:
            mine, its = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                setattr(self, name, dict(Counter(mine) + Counter(its)))
            else:
                setattr(self, name, mine + its)


def judge_stream(
    sender: Sender,
    packets: Sequence[Packet],
    stored: Sequence[Stored],
    gaps: Sequence[Gap],
    kills_ms: Sequence[float],
) -> StreamVerdict:
    """Compare one device's account with the store."""
    verdict = StreamVerdict(samples=len(stored), gaps=dict(Counter(gap.cause for gap in gaps)))
    told = _told(sender, packets, stored, verdict)
    each = sender.packets_a_second
    first = _first_known(packets, _FIRST_SECONDS * each)
    last = max(told, default=-1)
    for place, packet in enumerate(packets):
        if place < first or last < packet.number <= last + each:
            continue
        verdict.sent += 1
        if packet.number in told:
            verdict.stored += 1
        elif any(gap.covers(packet.wall_ms, SAMPLE_MS) for gap in gaps):
            verdict.in_named_gaps += 1
        else:
            verdict.unexplained += 1
            _wrong(verdict, sender, f"packet {packet.number} at {packet.wall_ms} unexplained")
    _judge_gaps(sender, stored, gaps, verdict)
    if first < len(packets):
        _judge_kills(sender, packets[first].wall_ms, gaps, kills_ms, verdict)
    return verdict


def _first_known(packets: Sequence[Packet], heard: int) -> int:
    """Place after which the gateway must have decoded a sample."""
    row = 0
    for place, packet in enumerate(packets):
        row = row + 1 if packet.is_heard else 0
        if row == heard:
            return place + 1
    return len(packets)


def _told(
    sender: Sender, packets: Sequence[Packet], stored: Sequence[Stored], verdict: StreamVerdict
) -> set[int]:
    """The numbers of the packets whose values are stored; judges doubles and times."""
    by_values: dict[Values, list[Packet]] = {}
    for packet in packets:
        by_values.setdefault(sender.values(packet.number), []).append(packet)
    sent_ms = {packet.number: packet.wall_ms for packet in packets}
    told: set[int] = set()
    latest = -1
    for sample in sorted(stored, key=lambda one: one.time_ms):
        same = by_values.get((sample.spo2, sample.pulse), [])
        near = [
            packet
            for packet in same
            if packet.number not in told and abs(packet.wall_ms - sample.time_ms) <= _FAR_MS
        ]
        if not near:
            verdict.double += 1
            _wrong(verdict, sender, f"sample at {sample.time_ms} told by no packet or twice")
            continue
        number = min(near, key=lambda one: abs(one.wall_ms - sample.time_ms)).number
        told.add(number)
        # Its second was whole with itself or with one of the next packets.
        second = range(number, number + sender.packets_a_second)
        away_ms = min(abs(sample.time_ms - sent_ms[one]) for one in second if one in sent_ms)
        is_out_of_order = len(near) == 1 and number < latest
        if away_ms > sample.error_ms or is_out_of_order:
            verdict.mistimed += 1
            what = f"{away_ms} ms off, {sample.error_ms}; {number} after {latest}"
            _wrong(verdict, sender, f"sample at {sample.time_ms}: {what}")
        latest = max(latest, number)
    return told


def _judge_gaps(
    sender: Sender, stored: Sequence[Stored], gaps: Sequence[Gap], verdict: StreamVerdict
) -> None:
    for gap in gaps:
        slack_ms = -SAMPLE_MS - _CLOCK_MS
        inside = [one.time_ms for one in stored if gap.covers(one.time_ms, slack_ms)]
        if not inside:
            continue
        if gap.cause == _CAUSE_OF_A_KILL and max(inside) <= gap.from_ms + _BLOCK_MS:
            verdict.early += 1
        else:
            verdict.covered += len(inside)
            _wrong(verdict, sender, f"samples at {inside} lie in {gap}")
    for earlier, later in pairwise(sorted(gaps, key=lambda gap: gap.from_ms)):
        if later.from_ms < earlier.to_ms - SAMPLE_MS - _CLOCK_MS:
            verdict.overlapping += 1
            _wrong(verdict, sender, f"{later} overlaps {earlier}")


def _judge_kills(
    sender: Sender,
    known_from_ms: float,
    gaps: Sequence[Gap],
    kills_ms: Sequence[float],
    verdict: StreamVerdict,
) -> None:
    restarts = [gap for gap in gaps if gap.cause == _CAUSE_OF_A_KILL]
    for kill_ms in kills_ms:
        if kill_ms < known_from_ms:
            continue
        verdict.kills += 1
        if not any(gap.covers(kill_ms, _CLOCK_MS) for gap in restarts):
            verdict.kills_without_gap += 1
            _wrong(verdict, sender, f"kill at {kill_ms} in no gap")


def _wrong(verdict: StreamVerdict, sender: Sender, what: str) -> None:
    if len(verdict.first_wrong) < 5:
        verdict.first_wrong.append(f"{sender.name}: {what}")
