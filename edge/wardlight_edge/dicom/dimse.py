"""DIMSE command sets: octets to Command and back; no I/O.

In      a command set: group 0000, Implicit VR Little Endian (PS3.7, 6.3)
Out     Command: its elements by tag; what the association needs of them by name
Errors  CommandError: the octets are no command set

Elements are not interpreted until they are asked for, so that one nobody needs breaks nothing.
Source  DICOM PS3.7, 6.3, 9.3, 10.3 and annex E
"""

from collections.abc import Mapping
from enum import IntEnum
from struct import Struct
from typing import Final

import msgspec

from wardlight_shared.errors import TransportError

LARGEST_COMMAND: Final = 64 * 1024
_ELEMENT: Final = Struct("<HHI")
_SHORT: Final = Struct("<H")
_LONG: Final = Struct("<I")
_NO_DATA_SET: Final = 0x0101
_RESPONSE: Final = 0x8000


class Field(IntEnum):
    """Annex E: values of Command Field, of requests."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF


class Tag(IntEnum):
    """Annex E: element numbers of group 0000."""

    GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS = 0x0002
    REQUESTED_SOP_CLASS = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    RESPONDED_MESSAGE_ID = 0x0120
    DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    ERROR_COMMENT = 0x0902
    AFFECTED_SOP_INSTANCE = 0x1000
    REQUESTED_SOP_INSTANCE = 0x1001
    EVENT_TYPE = 0x1002
    ACTION_TYPE = 0x1008


class Status(IntEnum):
    """Annex C and PS3.4, B.2.3: statuses that associations give by themselves."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    INVALID_INSTANCE = 0x0117
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    UNRECOGNIZED_OPERATION = 0x0211
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


class CommandError(TransportError):
    """The peer sent a command set that is none."""


class Command(msgspec.Struct, frozen=True):
    """A command set: ``elements`` by element number, ``octets`` as they came."""

    elements: dict[int, bytes]
    octets: bytes = b""

    @property
    def field(self) -> int:
        """Command Field."""
        return self.number(Tag.COMMAND_FIELD)

    @property
    def message_id(self) -> int:
        """Message ID of a request."""
        return self.number(Tag.MESSAGE_ID)

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows."""
        return self.number(Tag.DATA_SET_TYPE) != _NO_DATA_SET

    @property
    def is_response(self) -> bool:
        """Whether it answers a request of ours."""
        return bool(self.field & _RESPONSE)

    @property
    def sop_class(self) -> str:
        """SOP class that the request is about, "" = it does not say."""
        return self.text(Tag.AFFECTED_SOP_CLASS) or self.text(Tag.REQUESTED_SOP_CLASS)

    @property
    def sop_instance(self) -> str:
        """SOP instance that the request is about, "" = it does not say."""
        return self.text(Tag.AFFECTED_SOP_INSTANCE) or self.text(Tag.REQUESTED_SOP_INSTANCE)

    def number(self, tag: int) -> int:
        """A US element; CommandError where it is not there."""
        octets = self.elements.get(tag, b"")
        if len(octets) != _SHORT.size:
            raise CommandError(f"element 0000,{tag:04X} is not there, or no number")
        return int(_SHORT.unpack(octets)[0])

    def text(self, tag: int) -> str:
        """A UID element without its padding, "" where it is not there."""
        return self.elements.get(tag, b"").rstrip(b"\0 ").decode("ascii", errors="replace")


def decode(octets: bytes) -> Command:
    """A command set that came whole."""
    elements: dict[int, bytes] = {}
    at, end = 0, len(octets)
    while at < end:
        if end - at < _ELEMENT.size:
            raise CommandError("an element of the command set is cut")
        group, tag, length = _ELEMENT.unpack_from(octets, at)
        at += _ELEMENT.size
        if group or length > end - at:
            raise CommandError(f"element {group:04X},{tag:04X} of {length} octets")
        elements[tag] = octets[at : at + length]
        at += length
    return Command(elements, octets)


def encode(elements: Mapping[int, bytes]) -> bytes:
    """A command set, its elements in order and with their group length."""
    parts = []
    for tag in sorted(elements):
        if tag != Tag.GROUP_LENGTH:
            value = elements[tag]
            parts.append(_ELEMENT.pack(0, tag, len(value)) + value)
    body = b"".join(parts)
    return _ELEMENT.pack(0, Tag.GROUP_LENGTH, _LONG.size) + _LONG.pack(len(body)) + body


def response(
    request: Command, status: int, *, has_data_set: bool = False, extra: Mapping[int, bytes]
) -> bytes:
    """The command set that answers ``request``; ``extra`` elements replace those made here."""
    elements: dict[int, bytes] = {
        Tag.COMMAND_FIELD: _SHORT.pack(request.field | _RESPONSE),
        Tag.RESPONDED_MESSAGE_ID: _SHORT.pack(request.message_id),
        Tag.DATA_SET_TYPE: _SHORT.pack(0x0001 if has_data_set else _NO_DATA_SET),
        Tag.STATUS: _SHORT.pack(status),
    }
    for asked, told in (
        (Tag.REQUESTED_SOP_CLASS, Tag.AFFECTED_SOP_CLASS),
        (Tag.AFFECTED_SOP_CLASS, Tag.AFFECTED_SOP_CLASS),
        (Tag.REQUESTED_SOP_INSTANCE, Tag.AFFECTED_SOP_INSTANCE),
        (Tag.AFFECTED_SOP_INSTANCE, Tag.AFFECTED_SOP_INSTANCE),
        (Tag.EVENT_TYPE, Tag.EVENT_TYPE),
        (Tag.ACTION_TYPE, Tag.ACTION_TYPE),
    ):
        if asked in request.elements:
            elements[told] = request.elements[asked]
    return encode({**elements, **extra})


def commented(comment: str) -> dict[int, bytes]:
    """Elements of a response with an Error Comment, at most 64 characters; {} without any."""
    octets = comment.encode("ascii", errors="replace")
    return {Tag.ERROR_COMMENT: octets + b" " * (len(octets) % 2)} if comment else {}


class CommandBuffer:
    """Puts the fragments of a command set together."""

    def __init__(self) -> None:
        self._octets = bytearray()

    @property
    def has_begun(self) -> bool:
        """Whether a fragment is there and the last one is not."""
        return bool(self._octets)

    def add(self, octets: memoryview, *, is_last: bool) -> Command | None:
        """The command when its last fragment came."""
        if len(self._octets) + len(octets) > LARGEST_COMMAND:
            raise CommandError(f"a command set of more than {LARGEST_COMMAND} octets")
        self._octets += octets
        if not is_last:
            return None
        whole, self._octets = bytes(self._octets), bytearray()
        return decode(whole)
