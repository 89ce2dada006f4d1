"""Nonin OEM oximetry, Data Formats 2 and 7: 75 frames of 5 bytes a second, 25 frames to a packet.

Out     format 2: 01 | status | pleth u8 | value | sum of the four, modulo 256
        format 7: status | pleth u16 big endian | value | sum of the four, modulo 256
        The fourth byte of frame 1 to 25 carries the packet's values in turn.
Source  Nonin OEM III module specification, Serial Data Formats 2 and 7
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

FRAMES_A_PACKET: Final = 25
FRAMES_A_SECOND: Final = 75
FRAME_BYTES: Final = 5
BAUD: Final = 9600

HR_MISSING: Final = 511
SPO2_MISSING: Final = 127
START: Final = 0x01
REVISION: Final = 0x21

# Status byte; bit 7 is always set.
ALWAYS: Final = 0x80
SENSOR_DISCONNECTED: Final = 0x40
ARTEFACT: Final = 0x20
OUT_OF_TRACK: Final = 0x10
SENSOR_ALARM: Final = 0x08
RED_PERFUSION: Final = 0x04
GREEN_PERFUSION: Final = 0x02
SYNC: Final = 0x01  # frame 1 of a packet


class Format(Enum):
    """The two line formats."""

    DF2 = "nonin-df2"
    DF7 = "nonin-df7"


@dataclass(frozen=True, slots=True)
class Oximetry:
    """What one packet tells.

    spo2, pulse  per cent and beats per minute; None is sent as the value for "missing"
    status       bits of the status byte besides bit 7 and SYNC
    """

    spo2: int | None
    pulse: int | None
    status: int = GREEN_PERFUSION


NO_SENSOR: Final = Oximetry(None, None, SENSOR_DISCONNECTED)
NO_FINGER: Final = Oximetry(None, None, SENSOR_ALARM | OUT_OF_TRACK)


def packet(format_: Format, values: Oximetry, pleth: Sequence[int], *, timer: int = 0) -> bytes:
    """One packet: 25 frames.

    pleth  25 samples, 0 to 65535; format 2 sends their high byte
    timer  the packet counter of frames 6 and 7
    """
    if len(pleth) != FRAMES_A_PACKET:
        raise ValueError(f"{len(pleth)} pleth samples, a packet has {FRAMES_A_PACKET}")
    carried = _carried(values, timer)
    frames = (
        _frame(format_, values.status, number, sample, value)
        for number, (sample, value) in enumerate(zip(pleth, carried, strict=True))
    )
    return b"".join(frames)


def _frame(format_: Format, status: int, number: int, sample: int, value: int) -> bytes:
    first = ALWAYS | status | (SYNC if number == 0 else 0)
    if format_ is Format.DF2:
        head = bytes((START, first, sample >> 8, value))
    else:
        head = bytes((first, sample >> 8, sample & 0xFF, value))
    return head + bytes((sum(head) % 256,))


def _carried(values: Oximetry, timer: int) -> list[int]:
    """The fourth bytes of the 25 frames; frames are counted from 1 in the specification."""
    spo2 = SPO2_MISSING if values.spo2 is None else values.spo2
    high, low = _split(HR_MISSING if values.pulse is None else values.pulse)
    carried = [0] * FRAMES_A_PACKET
    for frame, value in {
        1: high,
        2: low,
        3: spo2,
        4: REVISION,
        6: timer >> 7 & 0x7F,
        7: timer & 0x7F,
        9: spo2,  # SpO2-D, for display
        10: spo2,  # SpO2 fast
        11: spo2,  # SpO2 beat to beat
        14: high,  # E-HR, the average over 8 beats
        15: low,
        16: spo2,  # E-SpO2
        17: spo2,  # E-SpO2-D
        20: high,  # HR-D, for display
        21: low,
        22: high,  # E-HR-D
        23: low,
    }.items():
        carried[frame - 1] = value
    return carried


def _split(rate: int) -> tuple[int, int]:
    """Bits 8-7 and bits 6-0 of a rate."""
    return rate >> 7 & 0x03, rate & 0x7F
