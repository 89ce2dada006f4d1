"""AD structures: the bytes of an advertisement as a radio that does not read them hands them on.

In      octets of an advertisement and its scan response, one after the other
Out     (service data by full UUID, manufacturer data by company identifier); what is cut short or
        malformed ends the reading, never raises
Source  Bluetooth Core 5.4, Vol 3, Part C, 11; Core Specification Supplement 11, Part A, 1.4, 1.11
"""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

_MANUFACTURER: Final = 0xFF
_SERVICE_DATA: Final = {0x16: 2, 0x20: 4, 0x21: 16}  # AD type: octets of its UUID
_COMPANY_OCTETS: Final = 2
_BASE: Final = UUID("00000000-0000-1000-8000-00805f9b34fb").int
_LONG: Final = 16


def read(octets: bytes) -> tuple[dict[str, bytes], dict[int, bytes]]:
    """Read the data of services and manufacturers; of two of one kind the later counts."""
    services: dict[str, bytes] = {}
    manufacturers: dict[int, bytes] = {}
    for kind, data in structures(octets):
        width = _SERVICE_DATA.get(kind)
        if width is not None and len(data) >= width:
            services[_uuid(data[:width])] = data[width:]
        elif kind == _MANUFACTURER and len(data) >= _COMPANY_OCTETS:
            manufacturers[int.from_bytes(data[:_COMPANY_OCTETS], "little")] = data[_COMPANY_OCTETS:]
    return services, manufacturers


def structures(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Each (type, data); padding between an advertisement and its scan response is skipped."""
    at = 0
    while at < len(octets):
        length = octets[at]
        end = at + 1 + length
        if end > len(octets):
            return
        if length:
            yield octets[at + 1], octets[at + 2 : end]
        at = end


def _uuid(octets: bytes) -> str:
    number = int.from_bytes(octets, "little")
    return str(UUID(int=number if len(octets) == _LONG else number << 96 | _BASE))
