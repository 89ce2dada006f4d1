"""Oximeters on serial lines for the real gateway, and the harness's own account of what they sent.

Real bytes at the real pace (Nonin data formats 2 and 7, three packets a second). The values count:
each packet tells another pair of SpO2 and pulse rate for four minutes, so that a stored sample
names the packet it came from.

The product reduces a second to its median, its lowest and its highest. From each packet to the
next both numbers rise or both fall, so of three packets the median is one, and the lowest and the
highest are the other two: every packet that is whole leaves a sample of its own.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from wardlight_lab.chaos.streams import Packet
from wardlight_lab.demo.ward import DemoDevice
from wardlight_lab.serialport import Format, Oximetry, Player, PtyPort, packet
from wardlight_lab.serialport.nonin import FRAMES_A_PACKET

PACKETS_A_SECOND: Final = 3
PAIRS: Final = 700
_SPO2_STEPS: Final = 10
_PULSE_TO: Final = 119
_FLAT: Final = tuple(range(20_000, 20_000 + 400 * FRAMES_A_PACKET, 400))


@dataclass(frozen=True, slots=True)
class BedSpec:
    """One oximeter: profile of the gateway, line format, lowest SpO2 it shows."""

    name: str
    profile: str
    format: Format
    spo2_from: int

    @property
    def identity(self) -> str:
        """Device identity at the gateway."""
        return f"serial:{self.name}"

    @property
    def packets_a_second(self) -> int:
        """The product gives out what it hears a second at a time."""
        return PACKETS_A_SECOND

    def values(self, number: int) -> tuple[int, int]:
        """SpO2 and pulse rate of a packet: another pair for each of PAIRS packets.

        SpO2 rises by 1 up to its highest and falls back to its lowest, with the pulse rate by 1.
        """
        place = number % PAIRS
        return self.spo2_from + place % _SPO2_STEPS, _PULSE_TO - place // _SPO2_STEPS


SHORT_BLOCKS: Final = "chaos-oximeter"
"""A profile of the campaign: blocks of 5 s, so that many are accepted between two kills."""
BEDS: Final = (
    BedSpec("bed-1", SHORT_BLOCKS, Format.DF2, 91),
    BedSpec("bed-2", "nonin-xpod-df7", Format.DF7, 84),  # at the alarm limit: blocks of 1 s
    BedSpec("bed-3", "nonin-xpod", Format.DF2, 91),  # as delivered: blocks of 60 s
)


@dataclass
class Bed:
    """An oximeter that plays, and what it has sent so far."""

    spec: BedSpec
    port: PtyPort
    packets: list[Packet] = field(default_factory=list)

    def play(self) -> Player:
        """The player of its line."""
        return Player(self.port, self._pieces(), on_sent=self._note)

    def device(self) -> DemoDevice:
        """Its settings for the gateway."""
        return DemoDevice(
            self.spec.identity, self.spec.profile, self.spec.name, port=str(self.port.path)
        )

    def heard_in_a_row(self) -> int:
        """Packets heard since the port was last closed."""
        count = 0
        while count < len(self.packets) and self.packets[-1 - count].is_heard:
            count += 1
        return count

    def _pieces(self) -> Iterator[tuple[bytes, dict[str, str]]]:
        number = len(self.packets)
        while True:
            spo2, pulse = self.spec.values(number)
            raw = packet(self.spec.format, Oximetry(spo2, pulse), _FLAT, timer=number % (1 << 14))
            yield raw, {"number": str(number)}
            number += 1

    def _note(self, raw: bytes, values: dict[str, str], heard: bool) -> None:
        del raw
        mono_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        wall_ms = time.time_ns() // 1_000_000
        self.packets.append(Packet(int(values["number"]), mono_ms, wall_ms, heard))


class Bedside:
    """``async with Bedside(folder) as bedside:`` the oximeters play until ``stop``."""

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self.beds = [Bed(spec, PtyPort(folder / spec.name)) for spec in BEDS]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for bed in self.beds:
            self._stack.enter_context(bed.port)
            name = f"player of {bed.spec.name}"
            self._tasks.append(asyncio.create_task(bed.play().play(), name=name))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
        self._stack.close()

    async def stop(self) -> None:
        """The oximeters fall silent; their ports stay."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()
