"""Decoders are found by name; companions stand beside any measurement."""

import pytest

from wardlight_edge import devices
from wardlight_shared.errors import ConfigError

GATT = [
    "battery",
    "blood_pressure",
    "current_time",
    "device_information",
    "health_thermometer",
    "heart_rate",
    "pulse_oximeter",
    "replayed_readings",
    "weight_scale",
]


@pytest.mark.parametrize("name", GATT)
def test_a_gatt_decoder_is_found(name: str) -> None:
    assert devices.load_gatt(name) is devices.load(name)
    assert devices.load_gatt(name).CHARACTERISTICS


def test_a_serial_decoder_is_found() -> None:
    assert devices.load_serial("serial_nonin") is devices.load("serial_nonin")


@pytest.mark.parametrize(
    "name", ["", "_gatt", "no_such_decoder", "os.path", "..battery", "Battery"]
)
def test_an_unknown_name_is_a_configuration_error(name: str) -> None:
    with pytest.raises(ConfigError, match="no such module"):
        devices.load(name)


def test_the_wrong_kind_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="no GATT"):
        devices.load_gatt("serial_nonin")
    with pytest.raises(ConfigError, match="no serial"):
        devices.load_serial("battery")


def test_the_package_lists_its_decoders() -> None:
    assert {*GATT, "serial_nonin"} <= set(devices.names())
    assert not [name for name in devices.names() if name.startswith("_")]


@pytest.mark.parametrize(("characteristic", "name"), devices.COMPANIONS.items())
def test_every_companion_decodes_its_characteristic(characteristic: str, name: str) -> None:
    assert characteristic in devices.load_gatt(name).CHARACTERISTICS
