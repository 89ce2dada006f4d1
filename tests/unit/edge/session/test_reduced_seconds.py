"""Many values a second on their way to blocks: median, lowest and highest, the pleth once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.session_bench import SessionBench
from support.tree import ROOT
from wardlight_edge import profiles
from wardlight_edge.transports.base import LinkState
from wardlight_lab.serialport import Format, Oximetry, contec, packet
from wardlight_shared.codes import METRICS

BERRY = "49535343-1E4D-4BD9-BA61-23C647249616"
FLAT = (20_000,) * 25


def _berry(spo2: int) -> bytes:
    return bytes((0x86, 50, 5, 72, spo2)) * 20


def _contec(spo2: int) -> bytes:
    return contec.first_generation(spo2, 72, 30) * 20


def _nonin(spo2: int) -> bytes:
    return packet(Format.DF2, Oximetry(spo2, 72), FLAT)


# Profile, channel, what a part of a second brings, and how many parts a second has.
LINES = [
    ("berry-bm1000", BERRY, _berry, 5),
    ("contec-cms50d-plus", "", _contec, 3),
    ("nonin-xpod", "", _nonin, 3),
    ("nonin-oem3", "", _nonin, 3),
]


@pytest.mark.parametrize(("name", "channel", "part", "parts"), LINES)
async def test_a_fall_within_a_second_is_in_the_block(
    name: str, channel: str, part: Callable[[int], bytes], parts: int, tmp_path: Path
) -> None:
    bench = SessionBench(tmp_path, profiles.load_file(ROOT / "firmware-configs" / f"{name}.toml"))
    async with bench.running():
        bench.connect()
        for second in range(6):
            shown = [98] * parts
            if second == 2:
                shown[1] = 91
            bench.octets(b"".join(map(part, shown)), channel)
            bench.clock.advance(1000)
        bench.link(LinkState.LOST)
    kept = _numbers(bench)
    assert kept in ([98, 98, 98, 91, 98, 98], [98, 98, 98, 91, 98, 98, 98])  # the last may wait
    waves = [bench.outbox.key(wave.series).metric for wave in bench.outbox.waveforms()]
    keeps_pleth = name == "berry-bm1000"
    assert set(waves) <= {METRICS["pleth_waveform"].wire}
    assert bool(waves) is keeps_pleth
    if keeps_pleth:
        assert sum(len(wave.samples) // 2 for wave in bench.outbox.waveforms()) == 600


def _numbers(bench: SessionBench) -> list[int]:
    """SpO2 of every sample of the blocks, in order."""
    found: list[int] = []
    for block in bench.outbox.blocks():
        for group in block.groups:
            column = group.columns[0]
            assert bench.outbox.key(column.series).metric == METRICS["spo2"].wire
            numbers = [column.first]
            for delta in memoryview(column.deltas).cast("b"):
                numbers.append(numbers[-1] + delta)
            found += numbers
    return found
