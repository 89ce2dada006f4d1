"""Device Information: what a device says of itself.

In      one value of a characteristic of service 0x180A:
        0x2A24 model, 0x2A25 serial number, 0x2A26 firmware, 0x2A27 hardware, 0x2A28 software
        revision, 0x2A29 manufacturer: UTF-8, some pad with NUL, some are not UTF-8
        0x2A23 System ID, 8 bytes: manufacturer part 40 bit, OUI 24 bit, both little endian
        0x2A50 PnP ID, 7 bytes: source u8, vendor, product, version u16
        0x2BFF UDI: flags u8, then as they say label, device identifier, issuer, authority, each
        ended by NUL
        0x2A2A Regulatory Certification Data List: see _certification.py
Out     DeviceInfo with the one field set (an empty string sets none); ``merge`` joins several
Errors  DecodeError: another length, a string over 512 bytes (the longest attribute), a UDI whose
        strings are not those of its flags, a certification list whose lengths do not fit
Source  Bluetooth DIS 1.2, 3.1 to 3.10; GSS PnP ID, System ID, UDI for Medical Devices
Vectors tests/vectors/device_information.toml
"""

from collections.abc import Callable, Mapping
from functools import partial
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.devices import _certification
from wardlight_edge.devices._gatt import check_at_least, check_length, decode_value
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceInfo

_PNP: Final = Struct("<BHHH")
_LONGEST: Final = 512  # Core 5.4, vol 3, part F, 3.2.9
_UDI_STRINGS: Final = 4
_UDI_LABEL, _UDI_DEVICE_IDENTIFIER = 0, 1


def _text(name: str, field: str, value: bytes) -> DeviceInfo:
    if len(value) > _LONGEST:
        raise DecodeError(f"{name}: {len(value)} bytes, at most {_LONGEST}")
    text = _printable(value)
    return DeviceInfo(**{field: text}) if text else DeviceInfo()


def _system_id(value: bytes) -> DeviceInfo:
    check_length("0x2A23", value, 8)
    return DeviceInfo(system_id=value[::-1].hex().upper())


def _pnp_id(value: bytes) -> DeviceInfo:
    check_length("0x2A50", value, _PNP.size)
    source, vendor, product, version = _PNP.unpack(value)
    return DeviceInfo(pnp_id=f"{source:02X}:{vendor:04X}:{product:04X}:{version:04X}")


def _udi(value: bytes) -> DeviceInfo:
    check_at_least("0x2BFF", value, 1)
    present = [place for place in range(_UDI_STRINGS) if value[0] >> place & 1]
    strings = value[1:].split(b"\0")
    if len(strings) != len(present) + 1 or strings.pop():
        raise DecodeError(f"0x2BFF: flags {value[0]:#04x} ask for {len(present)} ended strings")
    named = {place: _printable(text) for place, text in zip(present, strings, strict=True)}
    # The label holds the whole UDI as printed; the device identifier alone is its fixed part.
    return DeviceInfo(udi=named.get(_UDI_LABEL) or named.get(_UDI_DEVICE_IDENTIFIER) or None)


def _certified(value: bytes) -> DeviceInfo:
    found = _certification.certification_of(value)
    return DeviceInfo(
        continua_version=found.version,
        continua_classes=found.classes,
        regulated=found.regulated,
    )


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], DeviceInfo]]] = {
    "0x2A23": _system_id,
    "0x2A24": partial(_text, "0x2A24", "model"),
    "0x2A25": partial(_text, "0x2A25", "serial_number"),
    "0x2A26": partial(_text, "0x2A26", "firmware_revision"),
    "0x2A27": partial(_text, "0x2A27", "hardware_revision"),
    "0x2A28": partial(_text, "0x2A28", "software_revision"),
    "0x2A29": partial(_text, "0x2A29", "manufacturer"),
    _certification.NAME: _certified,
    "0x2A50": _pnp_id,
    "0x2BFF": _udi,
}


def decode(characteristic: str, value: bytes) -> DeviceInfo:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def merge(first: DeviceInfo, second: DeviceInfo) -> DeviceInfo:
    """Join two: a field that ``second`` states wins."""
    return msgspec.structs.replace(first, **_stated(second))


def _stated(info: DeviceInfo) -> dict[str, str]:
    return {name: text for name, text in msgspec.structs.asdict(info).items() if text is not None}


def _printable(octets: bytes) -> str:
    """Text without padding and control characters; Latin-1 where it is not UTF-8."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    return "".join(letter for letter in text if letter.isprintable()).strip()
