"""AD structures: the bytes of an advertisement as a radio that does not read them hands them on.

In      octets of an advertisement and its scan response, one after the other
Out     (service data by full UUID, manufacturer data by company identifier); what is cut short or
        malformed ends the reading, never raises
Source  Bluetooth Core 5.4, Vol 3, Part C, 11; Core Specification Supplement 11, Part A, 1.1, 1.2,
        1.4, 1.11; Assigned Numbers 2.3
"""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

_MANUFACTURER: Final = 0xFF
_SERVICE_DATA: Final = {0x16: 2, 0x20: 4, 0x21: 16}  # AD type: octets of its UUID
_SERVICES: Final = {0x02: 2, 0x03: 2, 0x04: 4, 0x05: 4, 0x06: 16, 0x07: 16}  # AD type: octets each
_SHORT_NAME, _NAME = 0x08, 0x09
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


def name(octets: bytes) -> str | None:
    """What the device calls itself; the whole name counts before a shortened one."""
    found = dict(structures(octets))
    text = found.get(_NAME, found.get(_SHORT_NAME))
    return None if text is None else text.decode(errors="replace").rstrip("\0") or None


def services(octets: bytes) -> tuple[str, ...]:
    """The full UUIDs of the services that the device lists."""
    return tuple(
        _uuid(data[at : at + width])
        for kind, data in structures(octets)
        if (width := _SERVICES.get(kind)) is not None
        for at in range(0, len(data) - width + 1, width)
    )


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
