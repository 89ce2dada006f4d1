"""AD structures against the examples of the formats that use them, and against anything."""

from hypothesis import example, given
from hypothesis import strategies as st

from wardlight_edge.transports import ad_structures


def test_the_example_of_bthome() -> None:
    """bthome.io/format: flags, then service data of 0xFCD2."""
    octets = bytes.fromhex("020106 0b094449592d73656e736f72 0a16d2fc4002c40903bf13")
    services, manufacturers = ad_structures.read(octets)
    assert services == {
        "0000fcd2-0000-1000-8000-00805f9b34fb": bytes.fromhex("4002c40903bf13"),
    }
    assert manufacturers == {}


def test_manufacturer_data_and_long_uuids() -> None:
    """Core Specification Supplement, Part A, 1.4 and 1.11: little endian, UUID first."""
    long = bytes(range(16))
    octets = bytes.fromhex("05ff57010203") + b"\x13\x21" + long + b"\xaa\xbb"
    octets += bytes.fromhex("0620 78563412 ff")
    services, manufacturers = ad_structures.read(octets)
    assert manufacturers == {0x0157: b"\x02\x03"}
    assert services == {
        "0f0e0d0c-0b0a-0908-0706-050403020100": b"\xaa\xbb",
        "12345678-0000-1000-8000-00805f9b34fb": b"\xff",
    }


def test_padding_before_a_scan_response_is_skipped() -> None:
    octets = bytes.fromhex("020106 00 00 04ff570105")
    assert ad_structures.read(octets)[1] == {0x0157: b"\x05"}


def test_what_is_cut_short_is_not_read() -> None:
    whole = bytes.fromhex("04ff570105 0a16d2fc4002c40903bf13")
    for length in range(5, len(whole)):
        assert ad_structures.read(whole[:length]) == ({}, {0x0157: b"\x05"})


def test_the_name_in_the_example_of_bthome() -> None:
    octets = bytes.fromhex("020106 0b094449592d73656e736f72 0a16d2fc4002c40903bf13")
    assert ad_structures.name(octets) == "DIY-sensor"
    assert ad_structures.services(octets) == ()


def test_names_and_lists_of_services() -> None:
    """Core Specification Supplement, Part A, 1.1 and 1.2; Assigned Numbers 2.3: types 02 to 09."""
    base = "-0000-1000-8000-00805f9b34fb"
    octets = bytes.fromhex("0302 0a18 0503 1018 0f18 0505 78563412 03084142 00 040941c3a9")
    assert ad_structures.services(octets) == (
        f"0000180a{base}", f"00001810{base}", f"0000180f{base}", f"12345678{base}"
    )  # fmt: skip
    assert ad_structures.name(octets) == "Aé"
    assert ad_structures.name(bytes.fromhex("03084142")) == "AB"
    assert ad_structures.name(bytes.fromhex("0209ff")) == "\N{REPLACEMENT CHARACTER}"
    assert ad_structures.name(bytes.fromhex("0109 020106")) is None
    long = ad_structures.services(b"\x11\x07" + bytes(range(16)))
    assert long == ("0f0e0d0c-0b0a-0908-0706-050403020100",)
    assert ad_structures.services(bytes.fromhex("0403 0a1811")) == (f"0000180a{base}",)


@given(st.binary(max_size=300))
@example(b"\x03\x16\xd2")
@example(b"\x01\xff")
@example(b"\x02\x21\x00")
def test_any_octets_are_read(octets: bytes) -> None:
    services, manufacturers = ad_structures.read(octets)
    found = [*services.values(), *manufacturers.values()]
    assert all(each in octets for each in found)
    assert sum(map(len, found)) <= len(octets)
    assert len(ad_structures.services(octets)) <= len(octets) // 2
    assert len(ad_structures.name(octets) or "") <= len(octets)
