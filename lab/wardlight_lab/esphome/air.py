"""What a proxy hears on the air: advertisements as AD structures.

Source  Core Specification Supplement 11, Part A, 1.1 to 1.11; Assigned Numbers 2.3
"""

from typing import Final
from uuid import UUID

from wardlight_lab.bluez import Peripheral

FLAGS: Final = 0x01
COMPLETE_16_BIT_UUIDS: Final = 0x03
COMPLETE_128_BIT_UUIDS: Final = 0x07
COMPLETE_NAME: Final = 0x09
SERVICE_DATA_16_BIT: Final = 0x16
SERVICE_DATA_128_BIT: Final = 0x21
MANUFACTURER: Final = 0xFF
_BASE: Final = "-0000-1000-8000-00805f9b34fb"


def packet_of(peripheral: Peripheral) -> bytes:
    """The advertisement and the scan response of a device, one after the other."""
    said = peripheral.advertisement
    parts = [structure(FLAGS, bytes([said.flags]))]
    for uuid in said.service_uuids:
        kind = COMPLETE_16_BIT_UUIDS if uuid.endswith(_BASE) else COMPLETE_128_BIT_UUIDS
        parts.append(structure(kind, _uuid(uuid)))
    for uuid, octets in said.service_data.items():
        kind = SERVICE_DATA_16_BIT if uuid.endswith(_BASE) else SERVICE_DATA_128_BIT
        parts.append(structure(kind, _uuid(uuid) + octets))
    for company, octets in said.manufacturer_data.items():
        parts.append(structure(MANUFACTURER, company.to_bytes(2, "little") + octets))
    if peripheral.name:
        parts.append(structure(COMPLETE_NAME, peripheral.name.encode()))
    return b"".join(parts)


def structure(kind: int, octets: bytes) -> bytes:
    """One AD structure: length, type, data."""
    return bytes([len(octets) + 1, kind]) + octets


def _uuid(text: str) -> bytes:
    whole = UUID(text).bytes[::-1]
    return whole[12:14] if text.endswith(_BASE) else whole
