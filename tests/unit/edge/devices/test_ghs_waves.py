"""A waveform of a Generic Health Sensor: pieces joined to seconds, and values in powers of ten."""

from decimal import Decimal
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import health_sensor_ecg as ecg
from support.vectors import cases, octets
from wardlight_edge.devices import Samples
from wardlight_edge.devices import generic_health_sensor as ghs
from wardlight_edge.devices._ghs_samples import SampleArray, runs
from wardlight_lab.devices.ecg_strap import BEAT, RATE
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.floats import decimal_from_parts

LIVE = "0x2B8B"
WHOLE = b"\x03"


def _values(samples: tuple[Samples, ...]) -> list[int]:
    return [each.origin + n for each in samples for n in memoryview(each.samples).cast("h")]


def _seconds(pieces: list[bytes]) -> list[tuple[Samples, ...]]:
    assembler = ghs.assembler()
    joined = [assembler.take(LIVE, WHOLE + piece) for piece in pieces]
    return [ghs.decode_frame(LIVE, whole).samples for whole in joined if whole is not None]


def test_fifths_of_a_second_become_seconds() -> None:
    found = _seconds([ecg.piece(number) for number in range(12)])
    assert [_values(samples) for samples in found] == [list(BEAT), list(BEAT)]
    (first,) = found[0]
    assert (first.metric, first.unit, first.rate_mhz) == ("ecg_lead_i", "mV", RATE * 1000)
    assert (first.first, first.scale) == (0, -3)


def test_a_lost_piece_is_a_break_and_its_second_is_given_up() -> None:
    found = _seconds([ecg.piece(number) for number in range(20) if number != 7])
    # The second after the break lacks its first sample: the block before it ends there.
    assert [(len(_values(each)), each[0].first) for each in found] == [(130, 0), (129, 1), (130, 0)]
    whole = [BEAT[(8 * ecg.PIECE + place) % RATE] for place in range(2 * RATE)]
    assert _values(found[1]) + _values(found[2]) == whole[1:]


def test_two_leads_are_joined_apart() -> None:
    leads = (ecg.MDC_ECG_ELEC_POTL_I, 131330)
    pieces = [ecg.piece(number, code=code) for number in range(5) for code in leads]
    assert [each[0].metric for each in _seconds(pieces)] == ["ecg_lead_i", "ecg_lead_ii"]


def test_more_waveforms_than_a_sensor_has_are_bounded() -> None:
    assembler = ghs.assembler()
    for code in range(1, 200):
        assert assembler.take(LIVE, WHOLE + ecg.piece(0, code=code)) is None
    assert len(assembler._waves._waves) <= 16


def test_what_lasts_a_second_passes_as_it_came() -> None:
    value = octets(next(each for each in cases("generic_health_sensor") if "1.612" in each["name"]))
    assembler = ghs.assembler()
    assert assembler.take(LIVE, value) == value
    assert assembler.take(LIVE, value) == value


@given(
    mantissa=st.integers(-(1 << 23) + 4, (1 << 23) - 4).filter(bool),
    exponent=st.integers(-6, 1),
    offset=st.integers(-(1 << 23) + 4, (1 << 23) - 4),
    offset_exponent=st.integers(-6, 1),
    sent=st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=1, max_size=40),
)
def test_values_are_factor_times_sample_plus_offset(
    mantissa: int, exponent: int, offset: int, offset_exponent: int, sent: list[int]
) -> None:
    """To less than a twentieth of a step of the sensor, and no sample is lost."""
    array = SampleArray(
        4274, _word(mantissa, exponent), _word(offset, offset_exponent), _word(4, -3), 1, 2,
        pack(f"<{len(sent)}h", *sent),
    )  # fmt: skip
    factor = decimal_from_parts(mantissa, exponent)
    plus = decimal_from_parts(offset, offset_exponent)
    found = runs(array, "ecg_lead_i", LIVE)
    values = [
        decimal_from_parts(each.origin + n, each.scale)
        for each in found
        for n in memoryview(each.samples).cast("h")
    ]
    assert len(values) == len(sent)
    for value, sample in zip(values, sent, strict=True):
        assert abs(value - (factor * sample + plus)) <= abs(factor) / 20
    assert found[-1].first + len(found[-1].samples) // 2 == 250


def _word(mantissa: int, exponent: int) -> int:
    return mantissa & 0xFFFFFF | (exponent & 0xFF) << 24


@pytest.mark.parametrize(("factor", "exponent"), [(1, -3), (5, -1), (12, -4), (99, 0)])
def test_factors_of_two_digits_are_exact(factor: int, exponent: int) -> None:
    array = SampleArray(4274, _word(factor, exponent), 0, _word(4, -3), 1, 1, b"\x01\x03\x80")
    (run,) = runs(array, "ecg_lead_i", LIVE)
    step = decimal_from_parts(factor, exponent)
    shown = [decimal_from_parts(n, run.scale) for n in memoryview(run.samples).cast("h")]
    assert shown == [step, 3 * step, Decimal(-128) * step]


def test_a_sensor_without_a_sign() -> None:
    value = octets(
        next(each for each in cases("generic_health_sensor") if "lead II" in each["name"])
    )
    assert _values(ghs.decode_frame(LIVE, value).samples) == [1, -1, 1000]
    unsigned = ghs.frame_decoder({"samples": "unsigned"})
    assert _values(unsigned(LIVE, value).samples) == [1, 65535, 1000]
    signed = ghs.frame_decoder({"samples": "signed"})
    assert _values(signed(LIVE, value).samples) == [1, -1, 1000]


@pytest.mark.parametrize("options", [{"samples": "float"}, {"samples": True}, {"sign": "no"}])
def test_other_options_are_refused(options: dict[str, str | int | float | bool]) -> None:
    with pytest.raises(ConfigError):
        ghs.frame_decoder(options)
    with pytest.raises(ConfigError):
        ghs.dialogue(options, {})


def test_noise_over_the_whole_range_is_refused_soon() -> None:
    sent = [(-1) ** place << 23 for place in range(10_000)]
    array = SampleArray(4274, _word(99, 0), 0, _word(4, -3), 1, 4, pack("<10000i", *sent))
    with pytest.raises(DecodeError, match="varies too much"):
        runs(array, "ecg_lead_i", LIVE)
