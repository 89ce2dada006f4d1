"""Any bytes end in values or DecodeError, for every decoder that the package holds."""

from decimal import Decimal
from functools import cache
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.vectors import cases, decoders, octets
from wardlight_edge import devices
from wardlight_edge.decode_values import MessageDecoder
from wardlight_edge.devices import Frame, Samples, event_id, flag_implausible
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, Reading
from wardlight_shared.profile import DeviceSection, MetricSection, Profile
from wardlight_shared.timestamps import device_seconds

MODULES = {name: devices.load(name) for name in devices.names()}
CHARACTERISTICS = [
    (name, key)
    for name, module in MODULES.items()
    for key in getattr(module, "CHARACTERISTICS", {})
]
SERIAL = [name for name, module in MODULES.items() if hasattr(module, "framer")]
MESSAGES = [name for name, module in MODULES.items() if isinstance(module, MessageDecoder)]
SEGMENTED = [n for n, module in MODULES.items() if isinstance(module, devices.SegmentedDecoder)]
PROFILE = Profile(
    schema=1, decoder="x", device=DeviceSection("m", "d"), metrics=(MetricSection("spo2"),)
)


@cache
def _known(name: str, characteristic: str | None) -> list[bytes]:
    """The bytes of the vectors of a decoder, for one characteristic or for all."""
    if name not in decoders():
        return []
    return [
        octets(case)
        for case in cases(name)
        if ("hex" in case or "text" in case)
        and characteristic in (None, case.get("characteristic"))
    ]


@cache
def _hostile(name: str, characteristic: str | None = None) -> st.SearchStrategy[bytes]:
    """Bytes of a vector with a few of them changed, cut or added; or any."""
    known = _known(name, characteristic)
    if not known:
        return st.binary(max_size=40)
    changes = st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), max_size=4)
    length = st.none() | st.integers(0, max(len(each) for each in known))
    return st.binary(max_size=40) | st.builds(
        _damaged, st.sampled_from(known), changes, length, st.binary(max_size=3)
    )


def _damaged(
    known: bytes, changes: list[tuple[int, int]], length: int | None, more: bytes
) -> bytes:
    value = bytearray(known)
    for place, octet in changes:
        if value:
            value[place % len(value)] = octet
    return bytes(value[:length]) + more


@pytest.mark.parametrize(("name", "characteristic"), CHARACTERISTICS)
@given(data=st.data())
def test_a_gatt_value(name: str, characteristic: str, data: st.DataObject) -> None:
    module = cast(devices.GattDecoder, MODULES[name])
    value = data.draw(_hostile(name, characteristic))
    try:
        decoded = module.decode(characteristic, value)
    except DecodeError as error:
        assert len(str(error)) < 200
        return
    if not isinstance(decoded, tuple):
        return
    for reading in decoded:
        _check(reading)
    assert len(flag_implausible(decoded, PROFILE)) == len(decoded)
    identified = event_id("ble:00112233AABB", decoded, value)
    assert identified is None or len(identified) == 16
    if isinstance(module, devices.WaveformDecoder):
        frame = module.decode_frame(characteristic, value)
        assert frame.readings == decoded
        _check_frame(frame)


@pytest.mark.parametrize("name", SEGMENTED)
@given(data=st.data())
def test_segments(name: str, data: st.DataObject) -> None:
    """Whatever an assembler gives is a value or no value of its decoder, and it forgets."""
    module = cast(devices.GattDecoder, MODULES[name])
    assembler = cast(devices.SegmentedDecoder, module).assembler()
    for characteristic in module.CHARACTERISTICS:
        for segment in data.draw(st.lists(_hostile(name, characteristic), max_size=6)):
            try:
                whole = assembler.take(characteristic, segment)
                if whole is not None:
                    module.decode(characteristic, whole)
            except DecodeError as error:
                assert len(str(error)) < 200


@pytest.mark.parametrize("name", SERIAL)
@given(data=st.data())
def test_a_serial_line(name: str, data: st.DataObject) -> None:
    framer = devices.load_serial(name).framer({})
    for piece in data.draw(st.lists(_hostile(name), max_size=8)):
        for frame in framer.feed(piece):
            _check_frame(frame)


@pytest.mark.parametrize("name", MESSAGES)
@given(data=st.data())
def test_a_message(name: str, data: st.DataObject) -> None:
    module = cast(MessageDecoder, MODULES[name])
    try:
        readings, _ = module.decode_bytes(data.draw(_hostile(name)), {})
    except DecodeError as error:
        assert len(str(error)) < 300
        return
    for reading in readings:
        _check(reading)


def _check_frame(frame: Frame) -> None:
    for reading in frame.readings:
        _check(reading)
    for samples in frame.samples:
        _check_samples(samples)


def _check_samples(samples: Samples) -> None:
    assert samples.metric in METRICS
    assert len(samples.samples) % 2 == 0
    assert samples.rate_mhz > 0
    assert samples.first >= 0


def _check(reading: Reading) -> None:
    """What every reading keeps, so that the way to the store cannot fail on it."""
    row = METRICS[reading.metric]
    assert reading.unit in (row.unit, *row.units_also)
    assert isinstance(reading.value, Decimal | Absent)
    for number in (reading.value, reading.raw_value):
        if isinstance(number, Decimal):
            _, digits, exponent = number.as_tuple()
            assert isinstance(exponent, int)
            assert -128 <= exponent <= 127
            assert len(digits) <= 18
    assert (reading.raw_value is None) == (reading.raw_unit is None)
    assert reading.flags >= 0
    assert reading.user is None or 0 <= reading.user <= 254
    if reading.time is not None:
        time = reading.time
        assert time.hour < 24
        assert time.minute < 60
        assert time.second < 60
        if time.year and time.month and time.day:
            assert device_seconds(time) is not None
    msgspec.msgpack.encode(reading)
