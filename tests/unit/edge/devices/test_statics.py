"""What a device says once: temperature type, device information."""

import pytest

from wardlight_edge.devices import device_information, health_thermometer
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceInfo

WITHOUT_TYPE = bytes.fromhex("006D0100FF")
IN_MOUTH = bytes.fromhex("046D0100FF06")


@pytest.mark.parametrize(
    ("octet", "site"), [(1, "armpit"), (9, "tympanum"), (0, None), (10, None), (255, None)]
)
def test_temperature_type(octet: int, site: str | None) -> None:
    assert health_thermometer.body_site(bytes([octet])) == site


def test_temperature_type_is_one_byte() -> None:
    with pytest.raises(DecodeError, match="0x2A1D: 2 bytes"):
        health_thermometer.body_site(b"\x01\x01")


def test_a_static_site_is_given_to_readings_without_one() -> None:
    readings = health_thermometer.decode("0x2A1C", WITHOUT_TYPE)
    (reading,) = health_thermometer.at_site(readings, "armpit")
    assert (reading.metric, reading.site) == ("body_temperature_axillary", "armpit")
    (reading,) = health_thermometer.at_site(readings, "toe")
    assert (reading.metric, reading.site) == ("body_temperature", "toe")
    assert health_thermometer.at_site(readings, None) == readings


def test_a_measurement_that_names_its_site_keeps_it() -> None:
    readings = health_thermometer.decode("0x2A1C", IN_MOUTH)
    assert health_thermometer.at_site(readings, "armpit") == readings


def test_device_information_is_joined_field_by_field() -> None:
    joined = DeviceInfo()
    for characteristic, octets in (
        ("0x2A29", b"A&D Medical"),
        ("0x2A24", b"UA-651BLE"),
        ("0x2A25", b"old"),
        ("0x2A25", b"5140300101"),
        ("0x2A26", b"\0"),
    ):
        joined = device_information.merge(joined, device_information.decode(characteristic, octets))
    assert joined == DeviceInfo(
        manufacturer="A&D Medical", model="UA-651BLE", serial_number="5140300101"
    )
