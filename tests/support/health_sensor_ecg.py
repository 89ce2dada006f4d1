"""The ECG of a Generic Health Sensor, as GHSS 1.0, 3.2 lays out a sample array; for tests.

130 samples a second of lead I in thousandths of a millivolt, 26 in a piece; each piece says when it
was measured, in milliseconds of the sensor's time.
"""

from struct import pack
from typing import Final

from wardlight_lab.devices.ecg_strap import BEAT, RATE

PIECE: Final = 26
MDC_ECG_ELEC_POTL_I: Final = 131329
MDC_DIM_MILLI_VOLT: Final = 4274
_MILLI, _NONE = 0xFD000001, 0  # FLOAT-Type: 1 * 10**-3, 0
_PERIOD: Final = 0xF9000000 | 76923  # s, 10**-7
_FIRST, _LAST = 0b01, 0b10


def piece(number: int, *, code: int = MDC_ECG_ELEC_POTL_I, ms: int | None = None) -> bytes:
    """One observation; ``number`` counts pieces from the beginning."""
    ticks = 1 + PIECE * number * 1000 // RATE if ms is None else ms
    played = [BEAT[place % RATE] for place in range(number * PIECE, (number + 1) * PIECE)]
    time = pack("<BIHBb", 0x28, ticks & 0xFFFFFFFF, ticks >> 32, 6, 0)  # ms, current
    array = pack("<HIIIBBI", MDC_DIM_MILLI_VOLT, _MILLI, _NONE, _PERIOD, 1, 2, PIECE)
    body = pack("<HI", 0b11, code) + time + array + pack(f"<{PIECE}h", *played)
    return pack("<BH", 4, len(body)) + body


def segments(observation: bytes) -> list[bytes]:
    """In notifications of 20 octets, each with its segmentation."""
    places = range(0, len(observation), 19)
    return [
        bytes([at // 19 << 2 | (at == 0) * _FIRST | (at + 19 >= len(observation)) * _LAST])
        + observation[at : at + 19]
        for at in places
    ]


def is_played(microvolts: list[int]) -> bool:
    """Whether this is a stretch of the ECG from the beginning of a piece on."""
    return any(
        microvolts == [BEAT[(start + place) % RATE] for place in range(len(microvolts))]
        for start in range(0, RATE, PIECE)
    )
