"""Whatever octets come, however they are cut: values or a named error, and bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.dicom_wire import CT, EXPLICIT, context, data, pdu, pdv, request
from wardlight_edge.dicom import dimse, negotiation
from wardlight_edge.dicom.admission import Grant
from wardlight_edge.dicom.negotiation import Acceptable
from wardlight_edge.dicom.pdu import Fragment, PduError, PduReader, data_pdus, fragments

# pydicom warns of UIDs that are none; the imaging process does not let it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
LIMIT = 4096
ACCEPTABLE = Acceptable([], [])
value = st.tuples(st.integers(0, 255), st.integers(0, 3), st.binary(max_size=300))
values = st.lists(value, min_size=1, max_size=5)
cuts = st.lists(st.integers(1, 700), min_size=1, max_size=40)


def _read(octets: bytes, pieces: list[int]) -> list[tuple[int, bytes]]:
    """PDUs of a stream that arrives in pieces; the last piece size repeats."""
    reader, found, at, turn = PduReader(LIMIT), [], 0, 0
    while at < len(octets):
        room = reader.room()
        assert 0 < len(room) <= LIMIT + 6 + 64 * 1024
        part = octets[at : at + min(pieces[min(turn, len(pieces) - 1)], len(room))]
        room[: len(part)] = part
        reader.received(len(part))
        at, turn = at + len(part), turn + 1
        while (taken := reader.take()) is not None:
            found.append((taken[0], bytes(taken[1])))
    return found


@given(st.lists(st.tuples(st.integers(1, 7), st.binary(max_size=LIMIT)), max_size=6), cuts)
def test_pdus_are_the_same_however_they_are_cut(
    pdus: list[tuple[int, bytes]], pieces: list[int]
) -> None:
    stream = b"".join(pdu(kind, body) for kind, body in pdus)
    assert _read(stream, pieces) == pdus


@given(st.binary(max_size=3000), cuts)
def test_any_octets_are_pdus_or_an_error(octets: bytes, pieces: list[int]) -> None:
    try:
        found = _read(octets, pieces)
    except PduError:
        return
    assert sum(6 + len(body) for _, body in found) <= len(octets)


@given(values)
def test_fragments_come_out_as_they_were_put_in(sent: list[tuple[int, int, bytes]]) -> None:
    body = data(*(pdv(*each) for each in sent))[6:]
    read = fragments(memoryview(body))
    assert [(each[0], each[1] | each[2] << 1, bytes(each[3])) for each in read] == sent


@given(st.binary(max_size=600))
def test_any_body_is_fragments_or_an_error(body: bytes) -> None:
    try:
        found = list(fragments(memoryview(body)))
    except PduError:
        return
    assert sum(6 + len(each.octets) for each in found) == len(body)


@given(st.binary(max_size=2000), st.integers(8, 300), st.booleans())
def test_a_message_that_is_cut_is_put_together_again(
    octets: bytes, limit: int, is_command: bool
) -> None:
    pdus = list(data_pdus(5, octets, limit, is_command=is_command))
    parts: list[Fragment] = []
    for each in pdus:
        assert len(each) <= limit + 6
        parts += fragments(memoryview(each)[6:])
    assert b"".join(part.octets for part in parts) == octets
    assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert all(len(part.octets) % 2 == 0 for part in parts[:-1])


@given(st.binary(max_size=400))
def test_any_octets_are_a_command_or_an_error(octets: bytes) -> None:
    try:
        command = dimse.decode(octets)
        _ = command.field, command.message_id, command.has_data_set, command.sop_instance
        dimse.response(command, 0, extra={})
    except dimse.CommandError:
        return


@given(st.dictionaries(st.integers(1, 0xFFFF), st.binary(max_size=40), max_size=8))
def test_a_command_set_is_read_as_it_was_written(elements: dict[int, bytes]) -> None:
    read = dict(dimse.decode(dimse.encode(elements)).elements)
    assert len(read.pop(0)) == 4
    assert read == elements


@given(st.binary(max_size=400))
def test_any_octets_are_a_request_or_an_error(octets: bytes) -> None:
    _negotiate(octets)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_a_request_with_a_few_wrong_octets_is_a_request_or_an_error(at: int, wrong: bytes) -> None:
    octets = bytearray(request(context(1, CT, EXPLICIT), context(3, CT, EXPLICIT))[6:])
    octets[at : at + len(wrong)] = wrong
    _negotiate(bytes(octets))


def _negotiate(octets: bytes) -> None:
    try:
        proposal = negotiation.decode_request(memoryview(octets))
        negotiation.accept(proposal, ACCEPTABLE, Grant(), LIMIT)
    except PduError:
        return
