"""Every vector of every decoder, and every GATT vector cut at every place."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from support.vectors import Case, cases, decoders, expected, octets, seen
from wardlight_edge import devices
from wardlight_edge.devices import device_information
from wardlight_edge.devices.current_time import CurrentTime
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceInfo, DeviceTime, Reading

NONIN = ["serial_nonin"]


def _named(names: Iterable[str]) -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name}: {case['name']}")
        for name in names
        for case in cases(name)
    ]


GATT = sorted(name for name in decoders() if hasattr(devices.load(name), "CHARACTERISTICS"))


def _as_written(decoded: object) -> object:
    if isinstance(decoded, tuple):
        assert all(isinstance(reading, Reading) for reading in decoded)
        return [seen(reading) for reading in decoded]
    assert isinstance(decoded, CurrentTime | DeviceInfo)
    stated = {name: value for name, value in msgspec.structs.asdict(decoded).items()}
    return {
        name: value.isoformat() if isinstance(value, DeviceTime) else value
        for name, value in stated.items()
        if value is not None
    }


def _expectation(case: Case) -> object:
    if isinstance(case["expect"], dict):
        return dict(case["expect"])
    return [expected(entry) for entry in case["expect"]]


@pytest.mark.parametrize(("name", "case"), _named(GATT))
def test_gatt_vector(name: str, case: Case) -> None:
    decoder = devices.load_gatt(name)
    if "error" in case:
        with pytest.raises(DecodeError) as raised:
            decoder.decode(case["characteristic"], octets(case))
        assert case["error"] in str(raised.value)
    else:
        decoded = decoder.decode(case["characteristic"], octets(case))
        assert _as_written(decoded) == _expectation(case)


@pytest.mark.parametrize("name", GATT)
def test_a_gatt_vector_cut_short_is_an_error(name: str) -> None:
    """At every place but those in ``whole_at``, where a list ends between two of its entries."""
    decoder = devices.load_gatt(name)
    for case in _whole(name):
        whole = octets(case)
        for length in range(len(whole)):
            if length not in case.get("whole_at", ()):
                _assert_refused(decoder, case, whole[:length])


@pytest.mark.parametrize("name", GATT)
def test_a_gatt_vector_with_a_byte_more_is_an_error(name: str) -> None:
    decoder = devices.load_gatt(name)
    for case in _whole(name):
        _assert_refused(decoder, case, octets(case) + b"\xff")


def _whole(name: str) -> list[Case]:
    """Values that mean nothing with a byte less or more."""
    return [
        case
        for case in cases(name)
        if "error" not in case and "text" not in case and case.get("chop", True)
    ]


def _assert_refused(decoder: devices.GattDecoder, case: Case, value: bytes) -> None:
    try:
        decoded = decoder.decode(case["characteristic"], value)
    except DecodeError:
        return
    pytest.fail(f"{case['name']}: {len(value)} bytes decoded to {decoded}")


@pytest.mark.parametrize("name", GATT)
def test_errors_hold_no_bytes_of_the_device(name: str) -> None:
    """A message goes to the log: lengths, codes and places only."""
    decoder = devices.load_gatt(name)
    for case in cases(name):
        if "error" in case and "text" not in case:
            with pytest.raises(DecodeError) as raised:
                decoder.decode(case["characteristic"], octets(case))
            message = str(raised.value).lower()
            assert len(octets(case)) < 3 or octets(case).hex() not in message, case["name"]


@pytest.mark.parametrize(("name", "case"), _named(NONIN))
def test_serial_vector(name: str, case: Case) -> None:
    framer = devices.load_serial(name).framer({"data_format": case["data_format"]})
    frames = framer.feed(octets(case) * case.get("repeat", 4))
    if "error" in case:
        assert not frames
        assert f"{framer.counts.damaged} damaged" == case["error"]
        return
    first = [seen(reading) for frame in frames[:1] for reading in frame.readings]
    assert first == [expected(entry) for entry in case["expect"]]
    if "pleth" in case:
        (samples,) = frames[0].samples
        words = memoryview(samples.samples).cast("h")
        assert [samples.origin + word for word in words] == case["pleth"] * 3


def test_a_string_longer_than_an_attribute_is_an_error() -> None:
    with pytest.raises(DecodeError, match="513 bytes, at most 512"):
        device_information.decode("0x2A29", b"x" * 513)


def test_a_capture_line_larger_than_its_limit_is_an_error() -> None:
    with pytest.raises(DecodeError, match="at most 65536"):
        devices.load_gatt("replayed_readings").decode("readings", b" " * 65_537)


def test_deeply_nested_json_is_an_error() -> None:
    with pytest.raises(DecodeError, match="not of the described form"):
        devices.load_gatt("replayed_readings").decode("readings", b'{"x":' + b"[" * 60_000)


def test_replayed_text_never_stands_in_an_error() -> None:
    with pytest.raises(DecodeError) as raised:
        devices.load_gatt("replayed_readings").decode(
            "readings", b'{"metric": "spo2", "unit": "%", "absent": "Ada Lovelace"}'
        )
    assert "Lovelace" not in str(raised.value)
