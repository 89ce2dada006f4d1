"""What a 1 Hz stream costs on the wire, sealed as the uplink seals it."""

import random
from decimal import Decimal

import pytest

from wardlight_edge.streams import Block, Folder
from wardlight_shared.envelope import Clock, SendHeader, SeriesEntry, seal
from wardlight_shared.model import Flag, Reading
from wardlight_shared.profile import StreamSection
from wardlight_shared.records import Lane, Record, SeriesKey, encode_body

MINUTES = 10
NUMBERS_A_SECOND = 2  # SpO2 and pulse rate


def _recorded(jitter_ms: int) -> tuple[list[Block], list[SeriesKey]]:
    """Ten minutes of a sleeper's oximeter: values wander, receipts jitter, a finger slips once."""
    wander = random.Random(20260801)
    keys: list[SeriesKey] = []

    def number(key: SeriesKey) -> int:
        if key not in keys:
            keys.append(key)
        return keys.index(key)

    folder = Folder("ble:E00000000001", StreamSection(), number)
    blocks: list[Block] = []
    spo2, pulse = 96, 61
    for second in range(MINUTES * 60):
        spo2 = min(max(spo2 + wander.choice([-1, 0, 0, 0, 0, 0, 0, 1]), 91), 99)
        pulse = min(max(pulse + wander.choice([-2, -1, -1, 0, 0, 0, 1, 1, 2]), 50), 80)
        bits = Flag.ARTIFACT if 200 <= second < 205 else Flag(0)
        readings = (
            Reading("spo2", Decimal(spo2), "%", flags=bits),
            Reading("pulse_rate_oximeter", Decimal(pulse), "/min", flags=bits),
        )
        at = 1_000_000 + second * 1000 + wander.randint(-jitter_ms, jitter_ms)
        blocks += folder.add(readings, at, 1_700_000_000_000 + at)
    return [*blocks, *folder.flush()], keys


def _sealed(blocks: list[Block], keys: list[SeriesKey]) -> int:
    records = [
        Record(seq, Lane.LIVE, None, 1, block.mono_ms, block.wall_ms, encode_body(block.body))
        for seq, block in enumerate(blocks, 400_000)
    ]
    header = SendHeader("gw-0001", 1 << 62, 812, 1_700_000_600_000, 120, [Clock(3, 12)])
    series = [SeriesEntry(number, key) for number, key in enumerate(keys)]
    return len(seal(header, series, records, [block.wall_ms for block in blocks]))


@pytest.mark.parametrize("jitter_ms", [0, 40])
def test_a_sample_costs_at_most_two_bytes(jitter_ms: int) -> None:
    blocks, keys = _recorded(jitter_ms)
    samples = sum(block.samples for block in blocks)
    assert samples == MINUTES * 60 * NUMBERS_A_SECOND
    assert len(blocks) <= MINUTES + 1
    assert _sealed(blocks, keys) / samples <= 2.0
    alone = max(_sealed([block], keys) / block.samples for block in blocks[:-1])
    assert alone <= 2.0, "also for one lone block with its envelope"
