"""Adverts and messages for a person who asks what they mean; no list of decoders to edit.

advert    a module whose ADVERTS holds the kind
message   the module ``hl7``, ``astm``, ``apdu`` or ``serial_<name>``, by its function
          ``decode_bytes(octets, options)``, which returns the readings and a DeviceInfo; a serial
          module without one is fed through its framer
Errors    DecodeError: the bytes; ConfigError: nothing decodes what was asked for
"""

import re
from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from wardlight_edge import devices
from wardlight_edge.decode_json import Decoded, stated
from wardlight_edge.devices import AdvertReceiver, Options
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.model import DeviceInfo, Reading

_BASE: Final = "-0000-1000-8000-00805F9B34FB"
_SHORT: Final = re.compile(r"(?:0X)?(?:0000)?([0-9A-F]{4})")
_LONG: Final = re.compile(r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}")


@runtime_checkable
class MessageDecoder(Protocol):
    """A decoder of whole messages or of a stretch of a line."""

    def decode_bytes(
        self, octets: bytes, options: Options
    ) -> tuple[tuple[Reading, ...], DeviceInfo]:
        """Decode all the bytes: readings, and what the device says of itself."""
        ...


def uuid(text: str, option: str) -> str:
    """Return a UUID as profiles write it: "0x2A35", or 128 bits in capitals."""
    capitals = text.strip().upper()
    plain = capitals.replace("-", "")
    if len(plain) == 32:
        capitals = "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))
    capitals = capitals.removesuffix(_BASE)
    short = _SHORT.fullmatch(capitals)
    if short is not None:
        return f"0x{short[1]}"
    if _LONG.fullmatch(capitals) is None:
        raise ConfigError(f"{option}: no UUID of 16 or 128 bits; write 2A35 or the long form")
    return capitals


def advert(kind: str, address: bytes, key: bytes | None, payloads: Sequence[bytes]) -> Decoded:
    """Decode advertisements of one device, in the order in which they were heard."""
    kind = advert_kind(kind)
    names = [name for name in devices.names() if kind in getattr(devices.load(name), "ADVERTS", ())]
    if not names:
        raise ConfigError(f"--advert: no decoder reads {kind}; known: {', '.join(_adverts())}")
    receiver = devices.load_advert(names[0]).receiver(address, key)
    return Decoded(tuple(each for payload in payloads for each in _taken(receiver, kind, payload)))


def _taken(receiver: AdvertReceiver, kind: str, payload: bytes) -> tuple[Reading, ...]:
    """What one says. Sniffers show the UUID before its data: taken off where it is no data."""
    before = bytes.fromhex(kind[-4:])[::-1]
    try:
        return receiver.take(kind, payload)
    except DecodeError:
        if not payload.startswith(before):
            raise
    return receiver.take(kind, payload.removeprefix(before))


def advert_kind(text: str) -> str:
    """Return a kind as decoders write it: "service-data:0xFCD2", "manufacturer:0x0157"."""
    what, _, number = text.partition(":")
    if what == "service-data":
        return f"service-data:{uuid(number, '--advert')}"
    if what == "manufacturer" and re.fullmatch(r"(0[xX])?[0-9A-Fa-f]{1,4}", number):
        return f"manufacturer:0x{int(number, 16):04X}"
    raise ConfigError("--advert: write service-data:UUID or manufacturer:ID (ID in hex)")


def serial(name: str, octets: bytes, options: Options) -> Decoded:
    """Decode a stretch of the serial line ``name``."""
    if name not in serial_names():
        raise ConfigError(f"--serial: no decoder reads {name}; known: {', '.join(serial_names())}")
    return message(f"serial_{name}", octets, options)


def message(name: str, octets: bytes, options: Options) -> Decoded:
    """Decode a message of the module ``name``."""
    if name not in devices.names():
        known = [each for each in devices.names() if _takes_bytes(each)]
        raise ConfigError(f"no decoder for {spoken(name)} yet; there is {listed(known)}")
    module = devices.load(name)
    if isinstance(module, MessageDecoder):
        readings, info = module.decode_bytes(octets, options)
        return Decoded(tuple(readings), stated(info))
    return _line(name, octets, options)


def serial_names() -> tuple[str, ...]:
    """What --serial may be."""
    return tuple(n.removeprefix("serial_") for n in devices.names() if n.startswith("serial_"))


def _line(name: str, octets: bytes, options: Options) -> Decoded:
    framer = devices.load_serial(name).framer(options)
    frames = framer.feed(octets)
    whole, damaged = framer.counts.frames, framer.counts.damaged
    if not frames or damaged:
        at = framer.counts.damaged_at
        what = "hold no reading" if at is None else f"are damaged at byte {at}"
        raise DecodeError(
            f"{spoken(name)}: {len(octets)} bytes {what} ({whole} whole frames, {damaged} damaged)"
        )
    return Decoded(
        tuple(reading for frame in frames for reading in frame.readings),
        samples=tuple(run for frame in frames for run in frame.samples),
    )


def _adverts() -> list[str]:
    return sorted(
        {kind for n in devices.names() for kind in getattr(devices.load(n), "ADVERTS", ())}
    )


def _takes_bytes(name: str) -> bool:
    return name.startswith("serial_") or isinstance(devices.load(name), MessageDecoder)


def spoken(name: str) -> str:
    """The name of a module as a person says it."""
    return name.replace("_", " ")


def listed(names: Sequence[str]) -> str:
    """Names of modules in a row."""
    return ", ".join(map(spoken, names))
