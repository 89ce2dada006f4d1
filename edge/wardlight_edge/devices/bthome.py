"""BTHome v2 advertisements: plain, and encrypted with protection against replay.

In      service-data:0xFCD2: info u8 | [address 6] | objects | [counter u32 | MIC 4 bytes]
        info b0 encrypted, b1 address included, b2 sent by a trigger, b5-7 version 2
        an object is id u8 and a little endian value whose length its id tells
        encrypted: the objects under AES-CCM with the bind key; nonce = address | D2 FC | info |
        counter
Out     body_weight in kg or [lb_av] (ids 06, 07), body_temperature in Cel (02, 45, 57, 58: what
        else a thermometer may measure is the enrolment's business), battery in % (01); id 50 is
        the time in UTC, 60 and such are skipped by their length. An unknown id ends the parsing,
        for its length is unknown. 0 is NOT_MEASURED, and INVALID what is negative; several of a
        kind are told apart by context. The receiver gives a packet once
Options counter_restarts  true: an encrypted device that begins again below 100 is taken for
        restarted, as Home Assistant does. Whoever recorded its first packets can then replay them
Errors  DecodeError: another version, an object cut short; AdvertRefused: encrypted without a key,
        plain where a key is set, not authentic, a counter that goes back; ConfigError: address,
        key or option
Source  BTHome v2 format (object ids, encryption); checked against the tests of
        Bluetooth-Devices/bthome-ble, whose receiver has the limit of 100 for a restart
Vectors tests/vectors/bthome.toml
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from wardlight_edge.devices._adverts import AdvertRefused, Refusal, digest
from wardlight_edge.devices._base import NO_OPTIONS, Options
from wardlight_edge.devices._gatt import decode_value
from wardlight_edge.devices._mdc import measured
from wardlight_edge.devices._options import check_options
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import Absent, DeviceTime, Reading

_KIND: Final = "service-data:0xFCD2"
_UUID: Final = b"\xd2\xfc"
_IS_ENCRYPTED, _HAS_ADDRESS = 0b01, 0b10
_VERSION: Final = 2
_ADDRESS_BYTES: Final = 6
_KEY_BYTES: Final = 16
_COUNTER_BYTES: Final = 4
_MIC_BYTES: Final = 4
_PACKET_ID: Final = 0x00
_TIME: Final = 0x50
_TEXT, _RAW = 0x53, 0x54  # a length byte follows the id
_FULL: Final = 100
_RESTART_BELOW: Final = 100
_MOST_RECENT: Final = 16  # two adapters and a device with rotating adverts say the same again
_MOST_SHAPES: Final = 16
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)

# id: metric, UCUM unit, numerator and exponent of the step, signed
_MEASURED: Final[Mapping[int, tuple[str, str, int, int, bool]]] = {
    0x01: ("battery", "%", 1, 0, False),
    0x02: ("body_temperature", "Cel", 1, -2, True),
    0x06: ("body_weight", "kg", 1, -2, False),
    0x07: ("body_weight", "[lb_av]", 1, -2, False),
    0x45: ("body_temperature", "Cel", 1, -1, True),
    0x57: ("body_temperature", "Cel", 1, 0, True),
    0x58: ("body_temperature", "Cel", 35, -2, True),
}
_LENGTHS: Final[Mapping[int, int]] = {
    **dict.fromkeys((0x00, 0x01, 0x09, *range(0x0F, 0x12), *range(0x15, 0x30)), 1),
    **dict.fromkeys((0x3A, 0x46, 0x57, 0x58, 0x59, 0x60, 0x64), 1),
    **dict.fromkeys((0x02, 0x03, 0x06, 0x07, 0x08, 0x0C, 0x0D, 0x0E, 0x12, 0x13, 0x14), 2),
    **dict.fromkeys((0x3C, 0x3D, 0x3F, 0x40, 0x41, 0x43, 0x44, 0x45, 0x47, 0x48, 0x49, 0x4A), 2),
    **dict.fromkeys((0x51, 0x52, 0x56, 0x5A, 0x5D, 0x5E, 0x5F, 0x61), 2),
    **dict.fromkeys((0x04, 0x05, 0x0A, 0x0B, 0x42, 0x4B), 3),
    **dict.fromkeys((0x3E, 0x4C, 0x4D, 0x4E, 0x4F, 0x50, 0x55, 0x5B, 0x5C, 0x62, 0x63), 4),
}


def _plain(value: bytes) -> tuple[Reading, ...]:
    info, objects = _opened(value)
    if info & _IS_ENCRYPTED:
        raise DecodeError(f"{_KIND}: encrypted; it needs the device's address and bind key")
    return _readings(objects)


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {_KIND: _plain}

ADVERTS: Final = frozenset(CHARACTERISTICS)


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one plain advertisement."""
    return decode_value(CHARACTERISTICS, characteristic, value)


class _Memory(msgspec.Struct, frozen=True, array_like=True):
    """What outlives a receiver.

    key      digest of the bind key: a counter means nothing under another one
    counter  the highest taken
    recent   digests of the encrypted packets taken last
    said     of each set of object ids, what was said last
    """

    key: bytes = b""
    counter: int | None = None
    recent: tuple[bytes, ...] = ()
    said: dict[bytes, bytes] = {}


def receiver(
    address: bytes, key: bytes | None, memory: bytes = b"", options: Options = NO_OPTIONS
) -> "BTHomeReceiver":
    """Make the receiver of one device."""
    return BTHomeReceiver(address, key, memory, options)


class BTHomeReceiver:
    """What was heard of one device: its last packets, and the counter it must not go below."""

    def __init__(
        self, address: bytes, key: bytes | None, memory: bytes = b"", options: Options = NO_OPTIONS
    ) -> None:
        if len(address) != _ADDRESS_BYTES:
            raise ConfigError(f"bthome: {len(address)} bytes, an address has {_ADDRESS_BYTES}")
        if key is not None and len(key) != _KEY_BYTES:
            raise ConfigError(f"bthome: {len(key)} bytes, a bind key has {_KEY_BYTES}")
        check_options("bthome", options, frozenset({"counter_restarts"}))
        self._may_restart = options.get("counter_restarts") is True
        self._address = address
        self._cipher = None if key is None else AESCCM(key, tag_length=_MIC_BYTES)
        self._key = b"" if key is None else digest(b"key", key)
        before = _read(memory)
        before = before if before.key == self._key else _Memory()
        self._counter = before.counter
        self._recent = before.recent
        self._said = dict(before.said)

    @property
    def is_unique(self) -> bool:
        """A counter stands in each encrypted packet."""
        return self._cipher is not None

    @property
    def memory(self) -> bytes:
        """What to give the next receiver."""
        return msgspec.msgpack.encode(_Memory(self._key, self._counter, self._recent, self._said))

    def take(self, kind: str, payload: bytes) -> tuple[Reading, ...]:
        """Decode one advertisement; () for a packet that was already given."""
        if kind != _KIND:
            raise DecodeError(f"{kind}: this decoder reads {_KIND}")
        info, body = _opened(payload)
        if self._cipher is None:
            if info & _IS_ENCRYPTED:
                raise AdvertRefused(Refusal.NO_KEY, f"{_KIND}: encrypted; no bind key is set")
            return self._news(body)
        if not info & _IS_ENCRYPTED:
            raise AdvertRefused(Refusal.NOT_ENCRYPTED, f"{_KIND}: plain, though a bind key is set")
        name = digest(payload)
        if name in self._recent:
            return ()
        counter, objects = self._decrypted(self._cipher, info, body)
        readings = self._news(objects)
        self._counter = counter
        self._recent = (*self._recent, name)[-_MOST_RECENT:]
        return readings

    def rested(self) -> None:
        """Forget what names itself neither by a packet id nor by a time."""
        self._said = {
            shape: said
            for shape, said in self._said.items()
            if _PACKET_ID in shape or _TIME in shape
        }

    def _news(self, objects: bytes) -> tuple[Reading, ...]:
        """The readings of the objects, () when the device has said just that of them before.

        A device that has more to say than fits one packet sends several in turn: each is compared
        with the last one of its own kind.
        """
        readings = _readings(objects)
        shape = bytes(name for name, _ in _objects(objects))
        packet = _packet_id(objects)
        said = digest(objects) if packet is None else bytes((packet,))
        # Encrypted, a packet with a new counter and no id is a new measurement of the same value.
        if self._said.get(shape) == said:
            return readings if packet is None and self.is_unique else ()
        self._said.pop(shape, None)
        self._said[shape] = said
        if len(self._said) > _MOST_SHAPES:
            del self._said[next(iter(self._said))]
        return readings

    def _decrypted(self, cipher: AESCCM, info: int, body: bytes) -> tuple[int, bytes]:
        """Return counter and objects of an authentic packet that is not older than the last."""
        if len(body) < _COUNTER_BYTES + _MIC_BYTES:
            raise DecodeError(f"{_KIND}: {len(body)} encrypted bytes, need at least 8")
        sealed = body[: -_COUNTER_BYTES - _MIC_BYTES]
        counter, mic = body[len(sealed) : -_MIC_BYTES], body[-_MIC_BYTES:]
        nonce = self._address + _UUID + bytes((info,)) + counter
        try:
            objects = cipher.decrypt(nonce, sealed + mic, None)
        except InvalidTag as error:
            text = f"{_KIND}: not authentic: another key or address"
            raise AdvertRefused(Refusal.WRONG_KEY, text) from error
        number = int.from_bytes(counter, "little")
        # An equal counter is let through: firmware exists that sends the battery under the
        # counter of the values, and the same bytes twice are a repetition before this.
        if self._counter is not None and number < self._counter and not self._is_restart(number):
            text = f"{_KIND}: counter {number} is below {self._counter}: a replay, or a restart"
            raise AdvertRefused(Refusal.REPLAYED, text)
        return number, objects

    def _is_restart(self, number: int) -> bool:
        return self._may_restart and number < _RESTART_BELOW


def _read(memory: bytes) -> _Memory:
    try:
        return msgspec.msgpack.decode(memory, type=_Memory)
    except msgspec.DecodeError:
        return _Memory()


def _opened(value: bytes) -> tuple[int, bytes]:
    """Return info and what follows it, without an included address."""
    if not value:
        raise DecodeError(f"{_KIND}: 0 bytes, need at least 1")
    info, at = value[0], 1
    if info >> 5 != _VERSION:
        raise DecodeError(f"{_KIND}: version {info >> 5}, this program reads version {_VERSION}")
    if info & _HAS_ADDRESS:
        at += _ADDRESS_BYTES
        if len(value) < at:
            raise DecodeError(f"{_KIND}: {len(value)} bytes, its flags ask for at least {at}")
    return info, value[at:]


def _objects(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield id and value of each object, up to an unknown id."""
    at = 0
    while at < len(octets):
        name, at = octets[at], at + 1
        if name in (_TEXT, _RAW):
            length = octets[at] if at < len(octets) else 0
            at += 1
        elif name in _LENGTHS:
            length = _LENGTHS[name]
        else:
            return
        if at + length > len(octets):
            raise DecodeError(f"{_KIND}: object {name:#04x} is cut short")
        yield name, octets[at : at + length]
        at += length


def _packet_id(octets: bytes) -> int | None:
    return next((value[0] for name, value in _objects(octets) if name == _PACKET_ID), None)


def _readings(octets: bytes) -> tuple[Reading, ...]:
    objects = list(_objects(octets))
    time = next((_utc(value) for name, value in objects if name == _TIME), None)
    metrics = [_MEASURED[name][0] for name, _ in objects if name in _MEASURED]
    found: list[Reading] = []
    for name, value in objects:
        if name not in _MEASURED:
            continue
        metric = _MEASURED[name][0]
        place = 1 + sum(each.metric == metric for each in found)
        context = (("sensor", str(place)),) if metrics.count(metric) > 1 else ()
        found.append(_reading(name, value, time, context))
    return tuple(found)


def _reading(
    name: int, value: bytes, time: DeviceTime | None, context: tuple[tuple[str, str], ...]
) -> Reading:
    metric, unit, numerator, exponent, is_signed = _MEASURED[name]
    word = int.from_bytes(value, "little", signed=is_signed)
    sent = decimal_from_parts(word * numerator, exponent)
    (number, raw, raw_unit), unit = measured(metric, sent, unit)
    if metric == "battery" and word > _FULL:
        number, raw, raw_unit = Absent.INVALID, sent, unit
    return Reading(metric, number, unit, raw, raw_unit, time, context=context)


def _utc(value: bytes) -> DeviceTime:
    moment = _UNIX + timedelta(seconds=int.from_bytes(value, "little"))
    day = (moment.year, moment.month, moment.day)
    return DeviceTime(*day, moment.hour, moment.minute, moment.second, 0)
