"""Serial oximeters: every vector; lost and added bytes; seconds."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from support.vectors import Case, cases, expected, octets, seen
from wardlight_edge.devices import Framer, serial_contec, serial_masimo, serial_nonin_df8
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.model import Absent

MODULES: dict[str, Any] = {
    "serial_contec": serial_contec,
    "serial_masimo": serial_masimo,
    "serial_nonin_df8": serial_nonin_df8,
}
CASES = [
    pytest.param(name, case, id=f"{name}: {case['name']}")
    for name in MODULES
    for case in cases(name)
]
RAD8 = (
    b"02/22/16 22:47:%02d SN=0000056661 SPO2=098%% BPM=097 PI=03.60%% SPCO=--.-%% "
    b"SPMET=--.-%% DESAT=-- PIDELTA=+-- ALARM=0000 EXC=000800\r\n"
)


def _options(case: Case) -> dict[str, str]:
    return {"data_format": case["data_format"]} if "data_format" in case else {}


@pytest.mark.parametrize(("name", "case"), CASES)
def test_vector(name: str, case: Case) -> None:
    decode = MODULES[name].decode_bytes
    if "error" in case:
        with pytest.raises(DecodeError, match=case["error"]):
            decode(octets(case), _options(case))
        return
    readings, info = decode(octets(case), _options(case))
    assert [seen(reading) for reading in readings] == [expected(each) for each in case["expect"]]
    if "device" in case:
        stated = msgspec.structs.asdict(info)
        assert {key: value for key, value in stated.items() if value} == case["device"]


@pytest.mark.parametrize("case", [each for each in cases("serial_contec") if "expect" in each])
def test_the_generation_of_a_contec_is_found(case: Case) -> None:
    given, _ = serial_contec.decode_bytes(octets(case) * 3, _options(case))
    found, _ = serial_contec.decode_bytes(octets(case) * 3, {})
    assert found == given


@pytest.mark.parametrize(("name", "case"), [each for each in CASES if "df8" in str(each.id)])
def test_options_that_are_none(name: str, case: Case) -> None:
    del case
    for module in (name, "serial_masimo", "serial_contec"):
        with pytest.raises(ConfigError):
            MODULES[module].framer({"data_format": 99})


BCI = bytes.fromhex("C530054862")
V46 = bytes.fromhex("01E085B396C1E1FFFF")
DF8 = bytes.fromhex("80486100")
LINES: list[tuple[Callable[[], Framer], bytes, int]] = [
    (lambda: serial_contec.framer({}), BCI, 60),
    (lambda: serial_contec.framer({"data_format": "v46"}), V46, 60),
    (lambda: serial_nonin_df8.framer({}), DF8, 1),
]


@pytest.mark.parametrize(("make", "frame", "places"), LINES)
def test_a_lost_byte_costs_its_frame_and_none_after_it(
    make: Callable[[], Framer], frame: bytes, places: int
) -> None:
    stream, hit = frame * 400, 100 * len(frame)
    for lost in range(hit, hit + len(frame)):
        framer = make()
        frames = framer.feed(stream[:lost] + stream[lost + 1 :])
        assert framer.counts.frames == 400 - 1 - 1, "one is damaged, the last waits"
        assert framer.counts.damaged == 1
        assert len(frames) == (398 if places == 1 else 6)


@pytest.mark.parametrize(("make", "frame", "places"), LINES)
@pytest.mark.parametrize("added", [0x00, 0x42, 0x90, 0xFF])
def test_an_added_byte_costs_at_most_its_frame(
    make: Callable[[], Framer], frame: bytes, places: int, added: int
) -> None:
    del places
    stream, hit = frame * 400, 100 * len(frame)
    for at in range(hit, hit + len(frame)):
        framer = make()
        framer.feed(stream[:at] + bytes([added]) + stream[at:])
        assert framer.counts.frames >= 400 - 1 - 2


def test_a_second_is_the_median_of_its_valid_frames() -> None:
    framer = serial_contec.framer({})
    shown = [bytes((0x85, 30, 5, 70 + place % 3, 96)) for place in range(60)]
    out = bytes((0x95, 30, 5, 40, 60))
    (frame,) = framer.feed(b"".join(shown[:-5]) + out * 5 + BCI)
    spo2, pulse = frame.readings
    assert (spo2.value, pulse.value) == (Decimal(96), Decimal(71))
    assert seen(spo2)["flags"] == {"SENSOR_OFF"}
    (samples,) = frame.samples
    assert (samples.rate_mhz, len(samples.samples)) == (60_000, 120)
    assert set(memoryview(samples.samples).cast("h")) == {30}


def test_lost_frames_leave_a_gap_in_the_pleth() -> None:
    framer = serial_contec.framer({})
    (frame,) = framer.feed(BCI * 20 + b"\x80" * 15 + BCI * 38)
    assert [(run.first, len(run.samples) // 2) for run in frame.samples] == [(0, 20), (23, 37)]


def test_a_damaged_line_of_text_costs_no_other() -> None:
    lines = [RAD8 % second for second in range(4)]
    stream = b"".join(lines)
    for lost in range(len(lines[0]), 2 * len(lines[0])):
        framer = serial_masimo.framer({})
        frames = framer.feed(stream[:lost] + stream[lost + 1 :])
        times = {frame.readings[0].time for frame in frames}
        assert {time.second for time in times if time} >= {0, 2, 3}
        # One digit less in EXC may read as an unknown sensor; then there is no number.
        values = {frame.readings[0].value for frame in frames}
        assert Decimal(98) in values
        assert values <= {Decimal(98), Absent.SENSOR_FAULT}


def test_a_line_without_end_is_bounded_and_the_next_is_read() -> None:
    framer = serial_masimo.framer({})
    for _ in range(100):
        assert framer.feed(b"x" * 1000) == ()
    (frame,) = framer.feed(RAD8 % 1)
    assert frame.readings[0].value == 98
    assert framer.counts.frames == 1
    assert framer.counts.skipped_octets == 100_000
