"""Command sets; octets by hand and by pynetdicom, whose codec is not ours."""

import struct
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode as pynetdicom_decode
from pynetdicom.dsutils import encode as pynetdicom_encode

from support.dicom_wire import CT, command, store
from wardlight_edge.dicom.dimse import (
    LARGEST_COMMAND,
    CommandBuffer,
    CommandError,
    Field,
    decode,
    response,
)


def test_a_store_request_is_read() -> None:
    read = decode(store("1.2.3.4", message=77))
    assert (read.field, read.message_id) == (Field.C_STORE, 77)
    assert (read.sop_class, read.sop_instance) == (CT, "1.2.3.4")
    assert read.has_data_set
    assert not read.is_response


def test_a_request_of_pynetdicom_is_read() -> None:
    made = Dataset()
    made.RequestedSOPClassUID, made.RequestedSOPInstanceUID = "1.2.840.10008.3.1.2.3.3", "1.9"
    made.CommandField, made.MessageID, made.CommandDataSetType = 0x0120, 5, 0x0001
    encoded = pynetdicom_encode(made, True, True)
    assert encoded is not None
    read = decode(encoded)
    assert (read.field, read.message_id, read.sop_instance) == (Field.N_SET, 5, "1.9")


def test_pynetdicom_reads_the_response() -> None:
    request = decode(store("1.2.3.5", message=9))
    read = pynetdicom_decode(BytesIO(response(request, 0xA700, extra={})), True, True)
    assert read.CommandGroupLength == len(response(request, 0xA700, extra={})) - 12
    assert (read.CommandField, read.MessageIDBeingRespondedTo) == (0x8001, 9)
    assert (read.AffectedSOPClassUID, read.AffectedSOPInstanceUID) == (CT, "1.2.3.5")
    assert (read.Status, read.CommandDataSetType) == (0xA700, 0x0101)


def test_extra_elements_replace_those_of_the_response() -> None:
    request = decode(store("1.2.3.5"))
    extra = {0x1000: b"1.2.9\0", 0x0902: b"no room "}
    read = pynetdicom_decode(
        BytesIO(response(request, 0, has_data_set=True, extra=extra)), True, True
    )
    assert (read.AffectedSOPInstanceUID, read.ErrorComment) == ("1.2.9", "no room")
    assert read.CommandDataSetType != 0x0101


@pytest.mark.parametrize(
    "octets",
    [
        b"\0",
        struct.pack("<HHI", 0, 0x100, 4) + b"\0\0",
        struct.pack("<HHI", 0, 0x100, 0xFFFFFFFF) + b"\0\0",
        struct.pack("<HHI", 8, 0x18, 2) + b"1\0",
    ],
)
def test_octets_that_are_no_command_set_are_refused(octets: bytes) -> None:
    with pytest.raises(CommandError):
        decode(octets)


def test_a_missing_element_is_refused_when_it_is_needed() -> None:
    with pytest.raises(CommandError):
        decode(command(c=CT, i="1.2"))  # fmt: skip
        _ = decode(command(c=CT, i="1.2")).message_id


def test_a_command_is_put_together_from_its_fragments() -> None:
    buffer, octets = CommandBuffer(), store("1.2.3")
    for octet in octets[:-1]:
        assert buffer.add(memoryview(bytes([octet])), is_last=False) is None
        assert buffer.has_begun
    assert buffer.add(memoryview(octets[-1:]), is_last=True) == decode(octets)
    assert not buffer.has_begun


def test_a_command_without_end_is_refused() -> None:
    buffer = CommandBuffer()
    piece = memoryview(bytes(LARGEST_COMMAND))
    assert buffer.add(piece, is_last=False) is None
    with pytest.raises(CommandError):
        buffer.add(piece, is_last=False)
