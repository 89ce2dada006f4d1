"""Nonin packets against frames worked out by hand from the serial format description."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_lab.devices import PatientVitals
from wardlight_lab.serialport import Format, NoninOximeter, Oximetry, packet
from wardlight_lab.serialport.nonin import NO_FINGER, NO_SENSOR

FLAT = [0] * 25


def frames(raw: bytes) -> list[bytes]:
    return [raw[at : at + 5] for at in range(0, len(raw), 5)]


def test_format_2_first_frames() -> None:
    # pulse 298 = 0b10_0101010: bits 8-7 = 2, bits 6-0 = 0x2A; SpO2 97 = 0x61; pleth 0x4000 -> 0x40
    got = frames(packet(Format.DF2, Oximetry(97, 298, status=0), [0x4000] * 25))
    assert got[0].hex() == "01814002c4"  # bit 7 and SYNC; 01+81+40+02 = 0xC4
    assert got[1].hex() == "0180402aeb"  # SYNC only on the first; 01+80+40+2A = 0xEB
    assert got[2].hex() == "0180406122"  # 01+80+40+61 = 0x122


def test_format_7_first_frames() -> None:
    # pulse 72 = 0x48 in bits 6-0; the pleth takes two bytes, high byte first
    got = frames(packet(Format.DF7, Oximetry(95, 72, status=0x02), [0x1234] * 25))
    assert got[0].hex() == "83123400c9"  # 83+12+34+00 = 0xC9
    assert got[1].hex() == "8212344810"  # 82+12+34+48 = 0x110
    assert got[2].hex() == "8212345f27"  # 95 = 0x5F


def test_the_display_and_extended_averages_stand_in_their_frames() -> None:
    got = frames(packet(Format.DF2, Oximetry(93, 150, status=0), FLAT, timer=0x91))
    fourth = {number: frame[3] for number, frame in enumerate(got, start=1)}
    high, low = 1, 22  # 150 = 1 * 128 + 22
    assert {fourth[n] for n in (1, 14, 20, 22)} == {high}
    assert {fourth[n] for n in (2, 15, 21, 23)} == {low}
    assert {fourth[n] for n in (3, 9, 10, 11, 16, 17)} == {93}
    assert (fourth[6], fourth[7]) == (1, 0x11)


@pytest.mark.parametrize(("values", "status"), [(NO_SENSOR, 0xC0), (NO_FINGER, 0x98)])
def test_missing_values_are_511_and_127_with_their_status(values: Oximetry, status: int) -> None:
    got = frames(packet(Format.DF2, values, FLAT))
    assert (got[0][3], got[1][3], got[2][3]) == (0x03, 0x7F, 127)
    assert got[1][1] == status
    assert got[0][1] == status | 1


@given(
    st.sampled_from(Format),
    st.integers(0, 100),
    st.integers(18, 321),
    st.lists(st.integers(0, 65535), min_size=25, max_size=25),
)
def test_every_frame_ends_with_the_sum_of_the_others(
    format_: Format, spo2: int, pulse: int, pleth: list[int]
) -> None:
    got = frames(packet(format_, Oximetry(spo2, pulse), pleth))
    assert len(got) == 25
    assert all(sum(frame[:4]) % 256 == frame[4] for frame in got)
    synced = [frame[1 if format_ is Format.DF2 else 0] & 1 for frame in got]
    assert synced == [1] + [0] * 24


def test_a_packet_without_25_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="25"):
        packet(Format.DF2, NO_FINGER, [0] * 24)


def test_an_oximeter_tells_what_it_shows_and_makes_a_pulse_wave() -> None:
    oximeter = NoninOximeter(PatientVitals("a"), format_=Format.DF7)
    packets = oximeter.packets()
    got = [next(packets) for _ in range(9)]  # three seconds
    values = got[0][1]
    assert int(values["spo2"]) == frames(got[0][0])[2][3]
    wave = [frame[1] << 8 | frame[2] for raw, _ in got for frame in frames(raw)]
    assert max(wave) > 4 * min(wave)
    oximeter.finger_out = True
    assert next(packets)[1] == {}
    oximeter.unplugged_sensor = True
    assert oximeter.values() is NO_SENSOR
