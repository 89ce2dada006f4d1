"""Values of a GATT characteristic for a person who asks what they mean.

1. The decoder is the module whose CHARACTERISTICS holds the UUID; no list to edit.
2. What came in several notifications is joined as in a session.
3. What a value says of the device, beside its readings or without any, is told as
   _facts.facts_of has it.

Errors  DecodeError: the bytes; ConfigError: nothing decodes what was asked for
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, cast

from wardlight_edge import devices
from wardlight_edge.decode_json import Decoded, stated, time_text
from wardlight_edge.decode_values import listed
from wardlight_edge.devices import NO_OPTIONS, Frame, Options, _facts
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.model import DeviceInfo, DeviceTime, Reading

_DecodeFrame = Callable[[str, bytes], Frame]
_UUID_STARTS: Final = frozenset("0123456789ABCDEF")  # no capture's "readings", no advert's kind


def gatt(
    characteristic: str,
    service: str | None,
    info: DeviceInfo,
    values: Sequence[bytes],
    options: Options = NO_OPTIONS,
) -> Decoded:
    """Decode values of one characteristic, in the order in which they came."""
    _check_service(characteristic, service)
    name = _module_for(characteristic, service)
    decoder = None if name is None else devices.load(name)
    decode_frame = _frame_decoder(decoder, options)
    repaired = [devices.repaired(characteristic, value, info) for value in values]
    found = Decoded(device=stated(info))
    for number, whole in _whole_values(decoder, characteristic, repaired):
        with _in_value(number, len(values)):
            if decoder is not None:
                found = _joined(found, _value(decoder, decode_frame, characteristic, whole))
            found = _joined(found, _fact(characteristic, whole, info))
    return found


def _fact(characteristic: str, value: bytes, info: DeviceInfo) -> Decoded:
    fact = _facts.facts_of(characteristic, value, info)
    if fact is None:
        return Decoded()
    name, content = fact
    return Decoded(
        device={name: time_text(content) if isinstance(content, DeviceTime) else content}
    )


def _check_service(characteristic: str, service: str | None) -> None:
    """A service of the SIG holds its own characteristics; a vendor's may hold any."""
    holders = [name for name, held in _facts.SERVICES.items() if characteristic in held]
    if service in _facts.SERVICES and holders and service not in holders:
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


def _module_for(characteristic: str, service: str | None) -> str | None:
    """The decoder; None for what has no reading and only says something of the device."""
    names = [name for name in devices.names() if characteristic in _characteristics(name)]
    if not names and characteristic in _facts.FACTS:
        return None
    if not names:
        decoded = {each for name in devices.names() for each in _characteristics(name)}
        known = sorted(decoded | _facts.FACTS.keys())
        raise ConfigError(
            f"--char: no decoder reads {characteristic}; known: "
            f"{', '.join(each for each in known if each.startswith('0x'))} and "
            f"{sum(not each.startswith('0x') for each in known)} of vendors"
        )
    functions = {id(_characteristics(name)[characteristic]) for name in names}
    of_service = [name for name in names if service in getattr(devices.load(name), "SERVICES", ())]
    if len(functions) > 1 and not of_service:
        raise ConfigError(f"--char: {listed(names)} read {characteristic}; say --service")
    return (of_service or names)[0]


def _characteristics(name: str) -> Mapping[str, Callable[[bytes], object]]:
    found: Mapping[str, Callable[[bytes], object]] = getattr(
        devices.load(name), "CHARACTERISTICS", {}
    )
    return {key: function for key, function in found.items() if key[:1] in _UUID_STARTS}


def _frame_decoder(decoder: object, options: Options) -> _DecodeFrame | None:
    """What gives samples too; None for a decoder without. Few of them have options."""
    if isinstance(decoder, devices.TunedWaveformDecoder) and options:
        return decoder.frame_decoder(options)
    if options:
        raise ConfigError(
            "--option: goes with --serial, --hl7, --astm, --apdu and waveforms of --char only"
        )
    return decoder.decode_frame if isinstance(decoder, devices.WaveformDecoder) else None


def _value(
    decoder: object, decode_frame: _DecodeFrame | None, characteristic: str, value: bytes
) -> Decoded:
    if decode_frame is not None:
        frame = decode_frame(characteristic, value)
        return Decoded(_final(decoder, characteristic, frame.readings), samples=frame.samples)
    decoded: object = cast(devices.GattDecoder, decoder).decode(characteristic, value)
    if isinstance(decoded, tuple):
        return Decoded(_final(decoder, characteristic, decoded))
    return Decoded(device=stated(decoded))


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
