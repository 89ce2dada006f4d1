"""What an advertisement carries besides its name, in the words of profiles and decoders. Pure.

A radio makes Adverts of service data and manufacturer data with ``adverts_of`` and puts them into
``ble.Heard``; the kinds are "service-data:0xFCD2" (a full UUID in capitals where it is no 16-bit
one) and "manufacturer:0x0157".

Source  Core Specification Supplement 11, Part A, 1.4 and 1.11; the base UUID: Bluetooth Core 5.4,
        Vol 3, Part B, 2.5.1
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

MOST_OCTETS: Final = 512
"""More is no advertisement: an extended one has at most 1650 octets, no device here sends that."""

_SHORT: Final = re.compile(r"0000([0-9A-F]{4})-0000-1000-8000-00805F9B34FB")


class Advert(msgspec.Struct, frozen=True):
    """One piece of data: its kind and its bytes, without the UUID or company identifier."""

    kind: str
    payload: bytes


class Sighting(msgspec.Struct, frozen=True):
    """One advertisement of anybody, for a person who looks around.

    address_type  "public" or "random"
    services      16-bit UUIDs as "0x1810", others in full and in capitals
    """

    address: str
    address_type: str
    name: str | None
    rssi: int
    services: tuple[str, ...]
    adverts: tuple[Advert, ...]


def short_uuid(uuid: str) -> str:
    """ "0x2A35" for a full UUID made of a 16-bit one, else the UUID in capitals."""
    capitals = uuid.upper()
    short = _SHORT.fullmatch(capitals)
    return f"0x{short[1]}" if short else capitals


def adverts_of(
    service_data: Mapping[str, bytes], manufacturer_data: Mapping[int, bytes]
) -> tuple[Advert, ...]:
    """Every piece of data; the keys are full UUIDs and company identifiers."""
    found = [
        Advert(f"service-data:{short_uuid(uuid)}", bytes(payload))
        for uuid, payload in service_data.items()
    ]
    found += [
        Advert(f"manufacturer:0x{company:04X}", bytes(payload))
        for company, payload in manufacturer_data.items()
    ]
    return tuple(each for each in found if len(each.payload) <= MOST_OCTETS)
