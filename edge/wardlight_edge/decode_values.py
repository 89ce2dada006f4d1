"""The decoder for what a person asks, found among the modules of ``devices``; no list to edit.

GATT      a module whose CHARACTERISTICS holds the UUID; what has no reading is said of the device
          where devices.FACTS knows it
advert    a module whose ADVERTS holds the kind
message   the module ``hl7``, ``astm``, ``apdu`` or ``serial_<name>``, by its function
          ``decode_bytes(octets, options)``, which returns the readings and a DeviceInfo; a serial
          module without one is fed through its framer
Errors    DecodeError: the bytes; ConfigError: nothing decodes what was asked for
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, cast, runtime_checkable

import msgspec

from wardlight_edge import devices
from wardlight_edge.decode_json import Decoded, time_text
from wardlight_edge.devices import Options
from wardlight_edge.devices.current_time import CurrentTime
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.model import DeviceInfo, DeviceTime, Reading

_BASE: Final = "-0000-1000-8000-00805F9B34FB"
_SHORT: Final = re.compile(r"(?:0X)?(?:0000)?([0-9A-F]{4})")
_UUID_STARTS: Final = frozenset("0123456789ABCDEF")  # no capture's "readings", no advert's kind
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


def gatt(
    characteristic: str, service: str | None, info: DeviceInfo, values: Sequence[bytes]
) -> Decoded:
    """Decode values of one characteristic, in the order in which they came."""
    _check_service(characteristic, service)
    name = _module_for(characteristic, service)
    decoder = None if name is None else devices.load(name)
    repaired = [devices.repaired(characteristic, value, info) for value in values]
    found = Decoded(device=_stated(info))
    for number, whole in _whole_values(decoder, characteristic, repaired):
        with _in_value(number, len(values)):
            if decoder is not None:
                found = _joined(found, _value(decoder, characteristic, whole))
            found = _joined(found, _fact(characteristic, whole, info))
    return found


def _fact(characteristic: str, value: bytes, info: DeviceInfo) -> Decoded:
    fact = devices.facts_of(characteristic, value, info)
    if fact is None:
        return Decoded()
    name, content = fact
    return Decoded(
        device={name: time_text(content) if isinstance(content, DeviceTime) else content}
    )


def _check_service(characteristic: str, service: str | None) -> None:
    """A service of the SIG holds its own characteristics; a vendor's may hold any."""
    holders = [name for name, held in devices.SERVICES.items() if characteristic in held]
    if service in devices.SERVICES and holders and service not in holders:
        raise ConfigError(
            f"--service: {service} does not hold {characteristic}; it is of {', '.join(holders)}"
        )


def _whole_values(
    decoder: object, characteristic: str, values: Sequence[bytes]
) -> Sequence[tuple[int, bytes]]:
    """Join what came in several notifications; (number of the last one, value) each.

    Less than a second of a waveform is no value for a session, but a person may have one frame.
    """
    if characteristic == devices.BODY_COMPOSITION:
        return _packets(values)
    if not isinstance(decoder, devices.SegmentedDecoder):
        return list(enumerate(values, 1))
    assembler, whole, joined = decoder.assembler(), None, []
    for number, value in enumerate(values, 1):
        with _in_value(number, len(values)):
            whole = assembler.take(characteristic, value)
        if whole is not None:
            joined.append((number, whole))
    if isinstance(decoder, devices.WaveformDecoder):
        return joined or _short_of_a_second(decoder, characteristic, values)
    if whole is None:
        raise DecodeError(f"{characteristic}: the value goes on in a further notification")
    return joined


def _packets(values: Sequence[bytes]) -> Sequence[tuple[int, bytes]]:
    """Body composition in two packets, as a session joins it."""
    packets, joined = devices.BodyPackets(), []
    for number, value in enumerate(values, 1):
        with _in_value(number, len(values)):
            joined += [(number, whole) for whole in packets.take(value)]
    return [*joined, *((len(values), whole) for whole in packets.left())]


def _short_of_a_second(
    decoder: devices.WaveformDecoder, characteristic: str, values: Sequence[bytes]
) -> Sequence[tuple[int, bytes]]:
    """Frames in each of the values; where a frame is cut in two, in all of them as one."""
    try:
        for value in values:
            decoder.decode_frame(characteristic, value)
    except DecodeError:
        return [(len(values), b"".join(values))]
    return list(enumerate(values, 1))


@contextmanager
def _in_value(number: int, count: int) -> Iterator[None]:
    """Say in which of several values an error was found."""
    try:
        yield
    except DecodeError as error:
        if count == 1:
            raise
        raise DecodeError(f"value {number}: {error}") from error


def advert(kind: str, address: bytes, key: bytes | None, payloads: Sequence[bytes]) -> Decoded:
    """Decode advertisements of one device, in the order in which they were heard."""
    kind = advert_kind(kind)
    names = [name for name in devices.names() if kind in getattr(devices.load(name), "ADVERTS", ())]
    if not names:
        raise ConfigError(f"--advert: no decoder reads {kind}; known: {', '.join(_adverts())}")
    receiver = devices.load_advert(names[0]).receiver(address, key)
    return Decoded(tuple(each for payload in payloads for each in receiver.take(kind, payload)))


def advert_kind(text: str) -> str:
    """Return a kind as decoders write it: "service-data:0xFCD2", "manufacturer:0x0157"."""
    what, _, number = text.partition(":")
    if what == "service-data":
        return f"service-data:{uuid(number, '--advert')}"
    if what == "manufacturer" and re.fullmatch(r"(0[xX])?[0-9A-Fa-f]{1,4}", number):
        return f"manufacturer:0x{int(number, 16):04X}"
    raise ConfigError("--advert: write service-data:UUID or manufacturer:ID (ID in hex)")


def message(name: str, octets: bytes, options: Options) -> Decoded:
    """Decode a message of the module ``name``."""
    if name not in devices.names():
        known = [each for each in devices.names() if _takes_bytes(each)]
        raise ConfigError(f"no decoder for {_spoken(name)} yet; there is {_listed(known)}")
    module = devices.load(name)
    if isinstance(module, MessageDecoder):
        readings, info = module.decode_bytes(octets, options)
        return Decoded(tuple(readings), _stated(info))
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
            f"{_spoken(name)}: {len(octets)} bytes {what} ({whole} whole frames, {damaged} damaged)"
        )
    return Decoded(
        tuple(reading for frame in frames for reading in frame.readings),
        samples=tuple(run for frame in frames for run in frame.samples),
    )


def _module_for(characteristic: str, service: str | None) -> str | None:
    """The decoder; None for what has no reading and only says something of the device."""
    names = [name for name in devices.names() if characteristic in _characteristics(name)]
    if not names and characteristic in devices.FACTS:
        return None
    if not names:
        decoded = {each for name in devices.names() for each in _characteristics(name)}
        known = sorted(decoded | devices.FACTS.keys())
        raise ConfigError(
            f"--char: no decoder reads {characteristic}; known: "
            f"{', '.join(each for each in known if each.startswith('0x'))} and "
            f"{sum(not each.startswith('0x') for each in known)} of vendors"
        )
    functions = {id(_characteristics(name)[characteristic]) for name in names}
    of_service = [name for name in names if service in getattr(devices.load(name), "SERVICES", ())]
    if len(functions) > 1 and not of_service:
        raise ConfigError(f"--char: {_listed(names)} read {characteristic}; say --service")
    return (of_service or names)[0]


def _characteristics(name: str) -> Mapping[str, Callable[[bytes], object]]:
    found: Mapping[str, Callable[[bytes], object]] = getattr(
        devices.load(name), "CHARACTERISTICS", {}
    )
    return {key: function for key, function in found.items() if key[:1] in _UUID_STARTS}


def _value(decoder: object, characteristic: str, value: bytes) -> Decoded:
    if isinstance(decoder, devices.WaveformDecoder):
        frame = decoder.decode_frame(characteristic, value)
        return Decoded(_final(decoder, characteristic, frame.readings), samples=frame.samples)
    decoded: object = cast(devices.GattDecoder, decoder).decode(characteristic, value)
    if isinstance(decoded, tuple):
        return Decoded(_final(decoder, characteristic, decoded))
    return Decoded(device=_stated(decoded))


def _final(
    decoder: object, characteristic: str, readings: tuple[Reading, ...]
) -> tuple[Reading, ...]:
    """Without those of a characteristic that shows a measurement before it has settled."""
    return () if characteristic in getattr(decoder, "PROVISIONAL", ()) else readings


def _joined(first: Decoded, second: Decoded) -> Decoded:
    return Decoded(
        first.readings + second.readings,
        {**first.device, **second.device},
        first.samples + second.samples,
    )


def _stated(told: object) -> dict[str, Any]:
    """What a device says of itself or of its clock, without what it does not say."""
    if isinstance(told, DeviceInfo):
        return {name: text for name, text in msgspec.structs.asdict(told).items() if text}
    if isinstance(told, CurrentTime):
        shown = {
            name: each for name, each in msgspec.structs.asdict(told).items() if each is not None
        }
        if told.time is not None:
            shown["time"] = time_text(told.time)
        return {"clock": shown}
    built: object = msgspec.to_builtins(told)
    return {type(told).__name__.lower(): built}


def _adverts() -> list[str]:
    return sorted(
        {kind for n in devices.names() for kind in getattr(devices.load(n), "ADVERTS", ())}
    )


def _takes_bytes(name: str) -> bool:
    return name.startswith("serial_") or isinstance(devices.load(name), MessageDecoder)


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(_spoken, names))
