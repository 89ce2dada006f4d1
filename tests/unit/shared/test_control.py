"""The small messages, both ways and wrong."""

import msgspec
import pytest

from wardlight_shared import control
from wardlight_shared.control import Ack, Control, GatewayConfig, GatewayState, Hello, Receipt
from wardlight_shared.errors import EnvelopeError, VersionError

# fixarray 9 | 1 | epoch 7 | upto 40 | [[42, 45]] | [[41, "no unit"]] | server time | nil | true | 2
ACK_BYTES = bytes.fromhex("99 01 07 28 91922A2D 91 92 29 A76E6F20756E6974 CD03E8 C0 C3 02")
ACK = Ack(1, 7, 40, [(42, 45)], [(41, "no unit")], 1000, None, True, 2)

MESSAGES: list[Control] = [
    ACK,
    Hello(1, "gw-1", 7, 3, 60, 123_456, "0.1.0"),
    GatewayConfig(1, None),
    GatewayConfig(1, 1_718_464_647_250),
    Receipt(1, 7, [41, 50]),
    GatewayState(1, True, 7, "0.1.0"),
]


def test_an_ack_has_the_bytes_of_its_description() -> None:
    assert control.encode(ACK) == ACK_BYTES
    assert control.decode(ACK_BYTES, Ack) == ACK


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_each_message_both_ways(message: Control) -> None:
    decoded = control.decode(control.encode(message), type(message))  # type: ignore[type-var]
    assert decoded == message


@pytest.mark.parametrize(
    ("octets", "where"),
    [
        (b"", "truncated"),
        (b"\x90", "length"),
        (b"\xc0", "array"),
        (ACK_BYTES[:-1], "truncated"),
        (b"\x91" * 60_000, "length"),
        (b"\x9a" + ACK_BYTES[1:] + b"\x91" * 60_000, "recursion"),
        (msgspec.msgpack.encode([1, -1, 0, [], [], 0]), "$[1]"),
        (msgspec.msgpack.encode([1, 0, 0, [[1, 2, 3]], [], 0]), "$[3][0]"),
        (msgspec.msgpack.encode([1, 0, 0, [[1, 2]] * 65, [], 0]), "$[3]"),
        (msgspec.msgpack.encode([1, 0, 0, [], [[1, "x" * 257]], 0]), "$[4][0][1]"),
        (bytes.fromhex("96 01 00 00 90 91 92 01 A1FF 00"), "$"),
    ],
)
def test_a_wrong_ack_is_refused(octets: bytes, where: str) -> None:
    with pytest.raises(EnvelopeError) as raised:
        control.decode(octets, Ack)
    assert where in str(raised.value)


def test_an_older_collector_s_ack_says_what_it_reads_by_saying_nothing() -> None:
    older = b"\x98" + ACK_BYTES[1:-1]
    assert control.decode(older, Ack) == Ack(
        1, 7, 40, [(42, 45)], [(41, "no unit")], 1000, None, True, 1
    )


def test_at_most_64_ranges_fit() -> None:
    ack = Ack(1, 7, 0, [(2 * place, 2 * place) for place in range(64)], [], 0)
    assert control.decode(control.encode(ack), Ack) == ack


def test_a_newer_version_is_named() -> None:
    with pytest.raises(VersionError) as raised:
        control.decode(msgspec.msgpack.encode([2, None]), GatewayConfig)
    assert raised.value.version == 2


def test_a_message_has_at_most_64_kib() -> None:
    with pytest.raises(EnvelopeError, match="65537 bytes"):
        control.decode(bytes(65_537), Receipt)
