"""Upper layer PDUs; octets by hand from PS3.8, 9.3 and annex E."""

import struct

import pytest

from support.dicom_wire import data, pdu, pdv
from wardlight_edge.dicom.pdu import (
    AbortReason,
    Fragment,
    PduError,
    PduReader,
    abort_pdu,
    data_pdus,
    fragments,
)

# PS3.8, annex F of edition 2023 has a P-DATA-TF with a C-ECHO-RQ command; its head:
ECHO_HEAD = bytes.fromhex("04 00 00 00 00 4a 00 00 00 46 01 03".replace(" ", ""))


def _feed(reader: PduReader, octets: bytes) -> None:
    room = reader.room()
    room[: len(octets)] = octets
    reader.received(len(octets))


def _all(body: bytes) -> list[Fragment]:
    return list(fragments(memoryview(body)))


def test_a_pdu_is_given_when_its_last_octet_came() -> None:
    reader = PduReader(4096)
    whole = pdu(4, b"abcdef")
    for octet in whole[:-1]:
        _feed(reader, bytes([octet]))
        assert reader.take() is None
    _feed(reader, whole[-1:])
    taken = reader.take()
    assert taken is not None
    assert (taken[0], bytes(taken[1])) == (4, b"abcdef")
    assert not reader.has_begun


def test_several_pdus_that_came_at_once_are_given_one_by_one() -> None:
    reader = PduReader(4096)
    _feed(reader, pdu(4, b"a") + pdu(5, bytes(4)) + pdu(4, b"rest")[:7])
    assert [reader.take()[0], reader.take()[0], reader.take()] == [4, 5, None]  # type: ignore[index]
    assert reader.has_begun


@pytest.mark.parametrize("length", [4097, 1 << 31, 0xFFFFFFFF])
def test_a_pdu_over_the_limit_is_refused_at_its_head(length: int) -> None:
    """Also one that claims 4 GB: nothing is kept for it."""
    reader = PduReader(4096)
    _feed(reader, struct.pack(">BBI", 4, 0, length))
    with pytest.raises(PduError) as caught:
        reader.take()
    assert caught.value.reason is AbortReason.INVALID_PARAMETER


def test_a_pdu_of_exactly_the_limit_is_given_wherever_it_begins() -> None:
    reader = PduReader(4096)
    for count in range(1, 200):
        _feed(reader, pdu(4, bytes([count]) * 4096))
        taken = reader.take()
        assert taken is not None
        assert bytes(taken[1]) == bytes([count]) * 4096


@pytest.mark.parametrize("kind", [0, 8, 255])
def test_an_unknown_type_is_refused(kind: int) -> None:
    reader = PduReader(4096)
    _feed(reader, pdu(kind, b""))
    with pytest.raises(PduError) as caught:
        reader.take()
    assert caught.value.reason is AbortReason.UNRECOGNIZED_PDU


def test_fragments_of_one_pdu() -> None:
    """Several values, odd lengths, and a value of no octets."""
    found = _all(pdv(1, 3, b"odd") + pdv(3, 0, b"") + pdv(255, 2, b"x"))
    assert [(each[0], each[1], each[2], bytes(each[3])) for each in found] == [
        (1, True, True, b"odd"),
        (3, False, False, b""),
        (255, False, True, b"x"),
    ]


def test_the_head_of_a_known_echo_is_read() -> None:
    body = ECHO_HEAD[6:] + bytes(68)
    (fragment,) = _all(body)
    assert (fragment.context_id, fragment.is_command, fragment.is_last) == (1, True, True)
    assert len(fragment.octets) == 68


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0",
        struct.pack(">IBB", 1, 1, 3),
        struct.pack(">IBB", 0, 1, 3),
        struct.pack(">IBB", 3, 1, 3),
        struct.pack(">IBB", 0xFFFFFFFF, 1, 3) + b"abc",
        pdv(1, 3, b"ab") + b"\0",
    ],
)
def test_values_that_do_not_fit_their_pdu_are_refused(body: bytes) -> None:
    with pytest.raises(PduError):
        _all(body)


def test_a_message_is_cut_to_what_the_peer_takes() -> None:
    pdus = list(data_pdus(7, b"abcdefg", 8, is_command=False))
    assert pdus == [
        data(pdv(7, 0, b"ab")),
        data(pdv(7, 0, b"cd")),
        data(pdv(7, 0, b"ef")),
        data(pdv(7, 2, b"g")),
    ]
    assert list(data_pdus(7, b"", 64, is_command=True)) == [data(pdv(7, 3, b""))]


def test_an_abort_names_the_provider_and_the_reason() -> None:
    assert abort_pdu(AbortReason.UNEXPECTED_PDU) == bytes.fromhex("0700000000040000 0202")
