"""The serial devices there are: what each sends, how fast, and which profile reads it.

A line is played in pieces, each with the values it tells: a third of a second of a Nonin, a second
of the others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Final

from wardlight_lab.devices.encoding import DeviceClock
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.serialport import contec, masimo
from wardlight_lab.serialport.nonin import Format
from wardlight_lab.serialport.oximeter import NoninOximeter
from wardlight_lab.serialport.player import BYTES_A_SECOND, FRAMES_AT_ONCE, Piece
from wardlight_lab.serialport.pulse_wave import wave

Pieces = Callable[[PatientVitals], Iterator[Piece]]
_CONTEC_PEAK: Final = 100
_PERFUSION: Final = Decimal("3.60")


class Protocol(Enum):
    """What is spoken on a line; a Nonin's are those of ``nonin.Format``."""

    NONIN_DF2 = "nonin-df2"
    NONIN_DF7 = "nonin-df7"
    CONTEC_BCI = "contec-bci"
    CONTEC_V46 = "contec-v46"
    MASIMO_ASCII_1 = "masimo-ascii-1"


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of device.

    short    what a person calls it on the command line
    port     name of its port, as udev would make it
    profile  file in firmware-configs that reads it, without .toml
    chunk    bytes that its adapter hands over at once
    """

    short: str
    port: str
    profile: str
    pieces: Pieces
    bytes_a_second: int
    chunk: int


def _nonin(protocol: Protocol) -> Pieces:
    return lambda vitals: NoninOximeter(vitals, format_=Format(protocol.value)).packets()


def _contec(frame: Callable[[int, int, int], bytes]) -> Pieces:
    def pieces(vitals: PatientVitals) -> Iterator[Piece]:
        phase = 0.0
        clock = DeviceClock()
        while True:
            now = clock.now()
            spo2, pulse = int(vitals.spo2(now)), int(vitals.pulse(now))
            second = bytearray()
            for _ in range(contec.FRAMES_A_SECOND):
                second += frame(spo2, pulse, int(_CONTEC_PEAK * wave(phase)))
                phase = (phase + pulse / 60 / contec.FRAMES_A_SECOND) % 1.0
            yield bytes(second), _named(spo2, pulse)

    return pieces


def _masimo(vitals: PatientVitals) -> Iterator[Piece]:
    clock = DeviceClock()
    while True:
        now = clock.now()
        spo2, pulse = int(vitals.spo2(now)), int(vitals.pulse(now))
        told = {**_named(spo2, pulse), "perfusion_index": str(_PERFUSION)}
        yield masimo.line(spo2, pulse, _PERFUSION, now), told


def _named(spo2: int, pulse: int) -> dict[str, str]:
    return {"spo2": str(spo2), "pulse_rate_oximeter": str(pulse)}


_BCI_BYTES: Final = len(contec.first_generation(0, 0, 0))
_V46_BYTES: Final = len(contec.version_4_6(0, 0, 0))
_MASIMO_BYTES: Final = len(masimo.line(0, 0, _PERFUSION, datetime.now(UTC)))  # widths are fixed
_NONIN_CHUNK: Final = FRAMES_AT_ONCE * 5

LINES: Final = {
    Protocol.NONIN_DF2: Line(
        "nonin", "usb-Nonin_Medical_Inc._OEM_III_WL000003-if00-port0", "nonin-xpod",
        _nonin(Protocol.NONIN_DF2), BYTES_A_SECOND, _NONIN_CHUNK,
    ),
    Protocol.NONIN_DF7: Line(
        "nonin-df7", "usb-Nonin_Medical_Inc._OEM_III_WL000007-if00-port0", "nonin-xpod-df7",
        _nonin(Protocol.NONIN_DF7), BYTES_A_SECOND, _NONIN_CHUNK,
    ),
    Protocol.CONTEC_BCI: Line(
        "contec", "usb-Silicon_Labs_CP2102_CMS50D-if00-port0", "contec-cms50d-plus",
        _contec(contec.first_generation), _BCI_BYTES * contec.FRAMES_A_SECOND,
        _BCI_BYTES * FRAMES_AT_ONCE,
    ),
    Protocol.CONTEC_V46: Line(
        "contec-v46", "usb-Silicon_Labs_CP2102_CMS50D_v46-if00-port0", "contec-cms50d-plus-v46",
        _contec(contec.version_4_6), _V46_BYTES * contec.FRAMES_A_SECOND,
        _V46_BYTES * FRAMES_AT_ONCE,
    ),
    Protocol.MASIMO_ASCII_1: Line(
        "masimo", "usb-FTDI_FT232R_Rad-8-if00-port0", "masimo-rad-8",
        _masimo, _MASIMO_BYTES, _MASIMO_BYTES,
    ),
}  # fmt: skip
BY_SHORT: Final = {line.short: protocol for protocol, line in LINES.items()}
