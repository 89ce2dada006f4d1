"""Which profile fits what a device advertises."""

import pytest

from support.tree import ROOT
from wardlight_edge.profiles import load_all
from wardlight_edge.recognition import matching, services_of
from wardlight_edge.transports.adverts import Advert, Sighting, adverts_of, short_uuid
from wardlight_shared.profile import parse

PROFILES = load_all(ROOT / "firmware-configs")
BASE = "-0000-1000-8000-00805f9b34fb"


def sighting(
    name: str | None = None, services: tuple[str, ...] = (), adverts: tuple[Advert, ...] = ()
) -> Sighting:
    return Sighting("C0:00:00:00:00:01", "random", name, -60, services, adverts)


def bthome() -> tuple[Advert, ...]:
    return adverts_of({f"0000fcd2{BASE}": b"\x40\x06\x5e\x1f"}, {})


@pytest.mark.parametrize(
    ("heard", "first"),
    [
        (sighting("A&D_UA-651BLE_123456", ("0x1810",)), "and-ua-651ble"),
        (sighting("a cuff of nobody", ("0x1810",)), "generic-blood-pressure"),
        (sighting(None, ("0x1810",)), "generic-blood-pressure"),
        (sighting("MIBCS", adverts=(Advert("service-data:0x181B", bytes(13)),)),
         "xiaomi-mi-body-composition-scale"),
        (sighting("ATC", adverts=bthome()), "generic-bthome"),
    ],
)  # fmt: skip
def test_the_most_particular_profile_comes_first(heard: Sighting, first: str) -> None:
    assert matching(heard, PROFILES)[0] == first


def test_a_scale_that_only_lists_the_service_is_no_advertising_one() -> None:
    found = matching(sighting("MIBFS", ("0x181B",)), PROFILES)
    assert "xiaomi-mi-body-composition-scale" not in found
    assert "generic-body-composition" in found


def test_nothing_fits_what_says_nothing() -> None:
    assert matching(sighting(), PROFILES) == ()
    assert matching(sighting("somebody", ("0xFEED",)), PROFILES) == ()


def test_every_key_of_a_match_must_fit() -> None:
    text = """
schema = 1
decoder = "battery"
device = {manufacturer = "m", model = "m"}
match.ble = {service = "0x180F", name_prefix = "Ab", manufacturer_id = 0x0157}
[[metric]]
name = "battery"
"""
    profiles = {"it": parse(text, source="it.toml")}
    company = adverts_of({}, {0x0157: b"x"})
    assert matching(sighting("Abc", ("0x180F",), company), profiles) == ("it",)
    assert matching(sighting("abc", ("0x180F",), company), profiles) == ()
    assert matching(sighting("Abc", (), company), profiles) == ()
    assert matching(sighting("Abc", ("0x180F",), adverts_of({}, {0x0158: b"x"})), profiles) == ()


def test_service_data_names_a_service() -> None:
    assert services_of(sighting(services=("0x180F",), adverts=bthome())) == ("0x180F", "0xFCD2")


def test_kinds_are_written_as_decoders_write_them() -> None:
    full = "49535343-fe7d-4ae5-8fa9-9fafd205e455"
    made = adverts_of({f"0000fcd2{BASE}": b"1", full: b"2"}, {0x004C: b"3"})
    assert [each.kind for each in made] == [
        "service-data:0xFCD2", f"service-data:{full.upper()}", "manufacturer:0x004C"
    ]  # fmt: skip
    assert [each.payload for each in made] == [b"1", b"2", b"3"]
    assert short_uuid(f"00002A35{BASE}") == "0x2A35"
    assert adverts_of({full: bytes(600)}, {1: bytes(600)}) == ()
