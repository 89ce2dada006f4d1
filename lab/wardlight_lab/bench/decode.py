"""How fast device bytes become readings: GATT values per second, serial bytes per second.

The aims: 100,000 GATT vitals and 5 MB of a serial line a second on one core. A stream
brings one GATT value a second, a Nonin line 375 bytes a second.

The patient varies and no moment comes twice, so nothing is decoded from memory: every GATT value
of a round differs from those before it, a number of a serial line changes within its second, and
the pulse rate crosses 127, where its highest bit goes into another byte. What was seen in earlier
rounds is more than any table of a decoder holds.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from wardlight_edge.devices import Framer, Options, load_gatt, load_serial
from wardlight_lab.bench.figures import Row
from wardlight_lab.bench.rounds import in_turn
from wardlight_lab.bench.setting import Setting, Unsound
from wardlight_lab.devices import (
    blood_pressure_cuff,
    cgm_sensor,
    glucose_meter,
    health_sensor,
    heart_rate_strap,
    omron_memory,
    pulse_oximeter,
    thermometer,
    user_scale,
    weight_scale,
)
from wardlight_lab.devices.patient import Baseline, PatientVitals
from wardlight_lab.serialport import contec, masimo
from wardlight_lab.serialport.nonin import (
    FRAMES_A_PACKET,
    Format,
    Oximetry,
    packet,
)

NAME: Final = "decode"
_ROUNDS: Final = 5
_CHUNK: Final = 64  # what a serial read brings: 64 bytes of a USB adapter's buffer
_MORNING: Final = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
_FAST: Final = Baseline(pulse=127.0)  # a child's

Values = Sequence[tuple[str, bytes]]
"""(characteristic, octets) of one decoder."""

Timed = Callable[[], float]


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    rounds = setting.size(_ROUNDS, 1)
    kinds = _gatt_values(setting.size(20_000, 500))
    found = in_turn(rounds, {name: _timed_gatt(*kind) for name, kind in kinds.items()})
    for name, rates in found.items():
        yield Row(NAME, f"GATT values, {name}", "/s", rates)
    seconds = setting.size(2000, 20)
    found = in_turn(
        rounds,
        {name: _timed_serial(*kind, seconds) for name, kind in _serial_lines(seconds).items()},
    )
    for name, rates in found.items():
        yield Row(NAME, f"serial bytes, {name}, framed and decoded", "MB/s", rates)


def _serial_lines(seconds: int) -> dict[str, tuple[str, Options, bytes]]:
    """By name: decoder, its options, and what an oximeter sends in so many seconds."""
    return {
        "Nonin format 2": ("serial_nonin", {}, _nonin(Format.DF2, seconds)),
        "Nonin format 7": ("serial_nonin", {"data_format": 7}, _nonin(Format.DF7, seconds)),
        "Nonin format 8": ("serial_nonin_df8", {}, _nonin_df8(seconds)),
        "Contec": ("serial_contec", {}, _contec(contec.first_generation, seconds)),
        "Contec 4.6": (
            "serial_contec", {"data_format": "v46"}, _contec(contec.version_4_6, seconds)
        ),
        "Masimo ASCII 1": ("serial_masimo", {}, _masimo(seconds)),
    }  # fmt: skip


def _gatt_values(count: int) -> dict[str, tuple[str, Values]]:
    """By name: decoder module, and so many values as the emulated devices send them."""
    vitals, draw = PatientVitals("bench", _FAST), Random(1)
    instants = [_MORNING + timedelta(seconds=61 * place) for place in range(count)]
    beats = [450 + draw.randrange(600) for _ in instants]
    sugars = [Decimal(60 + draw.randrange(240)) for _ in instants]
    return {
        "pulse oximeter": (
            "pulse_oximeter",
            [
                ("0x2A5F", pulse_oximeter.encode_continuous(vitals.spo2(at), vitals.pulse(at)))
                for at in instants
            ],
        ),
        "spot check": (
            "pulse_oximeter",
            [
                ("0x2A5E", pulse_oximeter.encode_spot(vitals.spo2(at), vitals.pulse(at), at))
                for at in instants
            ],
        ),
        "heart rate": (
            "heart_rate",
            [
                ("0x2A37", heart_rate_strap.encode(second))
                for second in heart_rate_strap.measurements(beats)
            ],
        ),
        "blood pressure": (
            "blood_pressure",
            [
                ("0x2A35", blood_pressure_cuff.encode(vitals.blood_pressure(at), at, user=1))
                for at in instants
            ],
        ),
        "health thermometer": (
            "health_thermometer",
            [
                ("0x2A1C", thermometer.encode(vitals.temperature(at), at, thermometer.Site.EAR))
                for at in instants
            ],
        ),
        "weight scale": (
            "weight_scale",
            [("0x2A9D", weight_scale.encode(vitals.weight(at), at)) for at in instants],
        ),
        "body composition": (
            "body_composition",
            [
                (
                    "0x2A9C",
                    user_scale.encode(Decimal(draw.randrange(100, 400)) / 10, weight, at, 1)[0],
                )
                for at, weight in ((at, vitals.weight(at)) for at in instants)
            ],
        ),
        "glucose": (
            "glucose",
            [
                ("0x2A18", glucose_meter.encode(place, sugar, at, offset_min=place % 600))
                for place, (sugar, at) in enumerate(zip(sugars, instants, strict=True))
            ],
        ),
        "glucose sensor with CRC": (
            "cgm",
            [
                ("0x2AA7", cgm_sensor.encode(place, sugar, checked=True))
                for place, sugar in enumerate(sugars)
            ],
        ),
        "health sensor": (
            "generic_health_sensor",
            [
                ("0x2B8B", health_sensor.encode(health_sensor.SPO2, int(vitals.spo2(at)), at))
                for at in instants
            ],
        ),
        "Omron memory": (
            "omron_memory",
            [
                (
                    "HEM-7322T",
                    omron_memory.record(14, 110 + draw.randrange(60), 80, 60 + place % 40, at),
                )
                for place, at in enumerate(instants)
            ],
        ),
    }


def _timed_gatt(decoder: str, values: Values) -> Timed:
    decode = load_gatt(decoder).decode

    def rate() -> float:
        started = time.perf_counter()
        for characteristic, octets in values:
            decode(characteristic, octets)
        return len(values) / (time.perf_counter() - started)

    return rate


def _timed_serial(decoder: str, options: Options, line: bytes, seconds: int) -> Timed:
    chunks = [line[at : at + _CHUNK] for at in range(0, len(line), _CHUNK)]

    def rate() -> float:
        framer: Framer = load_serial(decoder).framer(options)
        started = time.perf_counter()
        decoded = sum(len(framer.feed(chunk)) for chunk in chunks)
        took_s = time.perf_counter() - started
        if decoded < seconds - 1:
            raise Unsound(f"{decoded} of {seconds} seconds decoded")
        return len(line) / took_s / 1e6

    return rate


def _shown(seconds: int) -> Iterator[tuple[datetime, int, int]]:
    """Moment, SpO2 and pulse rate of each second."""
    vitals = PatientVitals("bench", _FAST)
    for second in range(seconds):
        at = _MORNING + timedelta(seconds=second)
        yield at, int(vitals.spo2(at)), int(vitals.pulse(at))


def _parts(seconds: int, parts: int) -> Iterator[tuple[int, int, int]]:
    """Place of a part of all seconds, and the SpO2 and pulse rate that are shown in it.

    Each number changes within its second, at a place of its own: to what the next one begins with.
    """
    draw, shown = Random(2), [(spo2, pulse) for _, spo2, pulse in _shown(seconds)]
    for second, (now, after) in enumerate(zip(shown, [*shown[1:], shown[0]], strict=True)):
        changes = [draw.randrange(1, parts) for _ in now]
        for part in range(parts):
            spo2, pulse = (
                pair[part >= change]
                for pair, change in zip(zip(now, after, strict=True), changes, strict=True)
            )
            yield parts * second + part, spo2, pulse


def _nonin(format_: Format, seconds: int) -> bytes:
    octets = bytearray()
    for place, spo2, pulse in _parts(seconds, 3):
        pleth = [(1000 * each + 77 * place) % 65_536 for each in range(FRAMES_A_PACKET)]
        octets += packet(format_, Oximetry(spo2, pulse), pleth, timer=place % (1 << 14))
    return bytes(octets)


def _nonin_df8(seconds: int) -> bytes:
    """Format 8 sends 4 bytes a second: twenty seconds for every second of the others."""
    return b"".join(
        bytes((0x80 | pulse >> 7, pulse & 0x7F, spo2, 0)) for _, spo2, pulse in _shown(20 * seconds)
    )


def _contec(encode: Callable[[int, int, int], bytes], seconds: int) -> bytes:
    return b"".join(
        encode(spo2, pulse, 2 * place)
        for place, spo2, pulse in _parts(seconds, contec.FRAMES_A_SECOND)
    )


def _masimo(seconds: int) -> bytes:
    draw = Random(3)
    return b"".join(
        masimo.line(spo2, pulse, Decimal(draw.randrange(2, 2000)) / 100, at)
        for at, spo2, pulse in _shown(seconds)
    )
