"""Lines of a capture, the file a replay plays. Pure.

One JSON object a line, times in seconds from the start of the recording, never going back:

    {"t": 0.0, "device": "strap", "characteristic": "0x2A37", "hex": "16 3C E8 03"}
    {"t": 0.4, "serial": "01 8B 4E 00 DA"}
    {"t": 1.2, "reading": {"metric": "glucose_cgm", "value": "103", "unit": "mg/dL",
                           "time": "2015-06-06T16:50:27"}}

``device`` may be left out. Where a capture names several devices, a replay plays the lines of the
one its identity names (``replay:strap``) and those that name none.

Errors  DecodeError: a line that is none of these; it never quotes what the line holds
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from wardlight_shared.errors import DecodeError

MAX_LINE = 64 * 1024
READINGS = "readings"
"""Channel of a reading in decoded form (devices/replayed_readings)."""

_MAX_OCTETS = 4096
_Hex = Annotated[str, Meta(max_length=3 * _MAX_OCTETS)]
_Channel = Annotated[str, Meta(pattern=r"\A(0x[0-9A-F]{4}|[0-9A-F-]{36})\Z")]


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    t: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    device: Annotated[str, Meta(max_length=80)] | None = None
    characteristic: _Channel | None = None
    hex: _Hex | None = None
    serial: _Hex | None = None
    reading: msgspec.Raw = msgspec.Raw()  # kept as text: a number's digits are its precision


class CaptureLine(msgspec.Struct, frozen=True):
    """One line: ``at_ms`` from the start; ``channel`` as in transports.base.Octets."""

    at_ms: int
    device: str | None
    channel: str
    octets: bytes


_decoder = msgspec.json.Decoder(_Line)


def parse(line: bytes) -> CaptureLine | None:
    """Parse one line; None for an empty one."""
    if not line.strip():
        return None
    if len(line) > MAX_LINE:
        raise DecodeError(f"capture: a line of {len(line)} bytes, at most {MAX_LINE}")
    try:
        parsed = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _, found, where = str(error).rpartition(" - at ")  # the rest may quote what the line holds
        place = f", at {where}" if found else ""
        raise DecodeError(f"capture: not a line of the described form{place}") from error
    channel, octets = _content(parsed)
    return CaptureLine(round(parsed.t * 1000), parsed.device, channel, octets)


def _content(line: _Line) -> tuple[str, bytes]:
    reading = bytes(line.reading)
    given = [line.characteristic is not None, line.serial is not None, bool(reading)]
    if sum(given) != 1 or (line.characteristic is None) != (line.hex is None):
        raise DecodeError("capture: a line holds characteristic and hex, or serial, or reading")
    if reading:
        return READINGS, reading
    if line.characteristic is not None and line.hex is not None:
        return line.characteristic, _octets(line.hex)
    return "", _octets(line.serial or "")


def _octets(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise DecodeError("capture: hex digits come in pairs of 0-9, a-f") from error


def is_for(line: CaptureLine, identity: str) -> bool:
    """Whether a replay with this identity plays the line."""
    name = identity.removeprefix("replay:")
    return line.device is None or line.device in {identity, name}
