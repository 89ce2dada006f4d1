"""Event reports of an agent: the configuration it has, and what it observed.

Source  ISO/IEEE 11073-20601 A.10 (EventReportArgument, EventReportResult), A.11.5
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from wardlight_edge.devices._apdu.frames import Data, Message, encode_data
from wardlight_edge.devices._apdu.mder import Reader, high_resolution, item, u16
from wardlight_shared.model import DeviceInfo

_ACCEPTED_CONFIG: Final = 0
_MODEL: Final = 0x0928
_HIGH_RESOLUTION: Final = 0x09E8
_PRODUCTION: Final = 0x092D
_SERIAL: Final = 1
_FIRMWARE: Final = 5
_SYSTEM_ID: Final = 0x0984
_OPERATIONAL: Final = 0x0953
_ENABLED: Final = 1
_MOST: Final = 80


class EventReport(msgspec.Struct, frozen=True):
    """One event report: which object, when on its own counter, what kind, and its information."""

    handle: int
    time: int
    kind: int
    information: bytes


def event_report_of(body: bytes) -> EventReport:
    """Parse an EventReportArgument."""
    reader = Reader(body, "event report")
    report = EventReport(reader.u16(), reader.u32(), reader.u16(), reader.octets())
    reader.end()
    return report


def event_done(data: Data, report: EventReport, information: bytes = b"") -> bytes:
    """The result of a confirmed event report."""
    body = u16(report.handle) + report.time.to_bytes(4, "big") + u16(report.kind)
    return encode_data(Data(data.invoke_id, Message.EVENT_DONE, body + item(information)))


def config_accepted(data: Data, report: EventReport, number: int) -> bytes:
    """The result of a configuration report: accepted."""
    return event_done(data, report, u16(number, _ACCEPTED_CONFIG))


def get_device(invoke_id: int) -> bytes:
    """Ask for every attribute of the device itself (MDS, handle 0)."""
    return encode_data(Data(invoke_id, Message.GET, u16(0, 0, 0)))


def enable_scanner(invoke_id: int, handle: int) -> bytes:
    """Ask a scanner to report."""
    change = u16(0, _OPERATIONAL) + item(u16(_ENABLED))
    body = u16(handle, 1) + item(change)
    return encode_data(Data(invoke_id, Message.CONFIRMED_SET, body))


def device_attributes_of(body: bytes) -> dict[int, bytes]:
    """The attributes of the device itself."""
    reader = Reader(body, "get result")
    reader.u16()
    attributes = reader.attributes()
    reader.end()
    return attributes


def high_counter_of(attributes: Mapping[int, bytes]) -> int | None:
    """What the device's counter in high resolution shows, in us; None where it has none."""
    shown = attributes.get(_HIGH_RESOLUTION)
    return None if shown is None else high_resolution(shown)


def device_info_of(attributes: Mapping[int, bytes]) -> DeviceInfo:
    """What the attributes of the device say of it."""
    maker = model = None
    if _MODEL in attributes:
        names = Reader(attributes[_MODEL], "model")
        maker, model = _text(names.octets()), _text(names.octets())
    produced = _production(attributes.get(_PRODUCTION, b""))
    system_id = attributes[_SYSTEM_ID][2:].hex().upper() if _SYSTEM_ID in attributes else None
    return DeviceInfo(
        manufacturer=maker,
        model=model,
        serial_number=produced.get(_SERIAL),
        firmware_revision=produced.get(_FIRMWARE),
        system_id=system_id if system_id and len(system_id) == 16 else None,
    )


def _production(octets: bytes) -> dict[int, str]:
    found: dict[int, str] = {}
    if octets:
        for each in Reader(octets, "production specification").items():
            kind, _ = each.u16(), each.u16()
            text = _text(each.octets())
            if text:
                found[kind] = text
    return found


def _text(octets: bytes) -> str | None:
    return octets.decode("ascii", "replace").strip("\0 ")[:_MOST] or None
