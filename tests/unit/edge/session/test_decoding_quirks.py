"""A quirky model is read right: by its profile at once, by what it says of itself afterwards."""

import pytest

from support.tree import ROOT
from wardlight_edge import profiles
from wardlight_edge.sessions.decoding import Values, decoding_of
from wardlight_edge.transports.base import Octets
from wardlight_shared.errors import DecodeError
from wardlight_shared.profile import Profile

# Recorded from a Beurer BM85, in the tests of derdilla/blood-pressure-monitor-fl.
BM85 = bytes.fromhex("566A0047000000EA07080B121F00003F000000")


def _arrival(channel: str, octets: bytes) -> Octets:
    return Octets(channel, octets, 0, 0)


def _profile(name: str) -> Profile:
    return profiles.load_file(ROOT / "firmware-configs" / f"{name}.toml")


def test_by_the_profile() -> None:
    (values,) = decoding_of(_profile("beurer-bm85")).decode(_arrival("0x2A35", BM85))
    assert isinstance(values, Values)
    assert [reading.value for reading in values.readings][:2] == [106, 71]


def test_by_device_information() -> None:
    decoding = decoding_of(_profile("generic-blood-pressure"))
    with pytest.raises(DecodeError):
        decoding.decode(_arrival("0x2A35", BM85))
    decoding.decode(_arrival("0x2A29", b"Beurer GmbH"))
    decoding.decode(_arrival("0x2A24", b"BM85\0"))
    (values,) = decoding.decode(_arrival("0x2A35", BM85))
    assert isinstance(values, Values)
    assert values.readings[3].value == 63


def test_what_has_not_settled_is_no_reading() -> None:
    """A capture may hold it; HTS 1.0, 3.3, by hand: 36.5 degrees."""
    decoding = decoding_of(_profile("generic-health-thermometer"))
    value = bytes.fromhex("006D0100FF")
    assert decoding.decode(_arrival("0x2A1E", value)) == ()
    assert len(decoding.decode(_arrival("0x2A1C", value))) == 1
    with pytest.raises(DecodeError):
        decoding.decode(_arrival("0x2A1E", value[:3]))
