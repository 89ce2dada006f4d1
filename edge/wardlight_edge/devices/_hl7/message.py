r"""HL7 v2 in ER7 encoding: a message into segments, fields, repetitions, components.

In      segments ended by CR (CR LF and LF are taken too); MSH-1 and MSH-2 declare the delimiters
Out     texts as sent; ``Delimiters.text`` turns escapes (\F\ \S\ \T\ \R\ \E\ \Xhh\ \.br\) into text
        and leaves as sent what it does not know
Bounds  MAX_SEGMENTS; a message is bounded by its frame
Errors  Hl7Error
Source  HL7 v2.6, 2.5 to 2.8 (encoding rules, escape sequences), 2.14.9 MSH
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from wardlight_edge.devices._escapes import resolved
from wardlight_edge.devices._hl7.errors import Hl7Error

MAX_SEGMENTS: Final = 4096
_CHARSETS: Final[Mapping[str, str]] = {
    "": "",  # not declared
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",
    "UTF-8": "utf-8",
    "8859/1": "latin-1",
    "8859/15": "iso8859-15",
}
_SEGMENT: Final = re.compile(r"[A-Z][A-Z0-9]{2}\Z")


class Delimiters(msgspec.Struct, frozen=True):
    """What MSH-1 and MSH-2 declare; "" = not declared."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    def repetitions(self, field: str) -> list[str]:
        """The repetitions of a field, one at least."""
        return field.split(self.repetition) if self.repetition else [field]

    def components(self, field: str) -> list[str]:
        """The components of one repetition."""
        return field.split(self.component)

    def text(self, part: str) -> str:
        """A component as text, escapes resolved."""
        if self.escape and self.escape in part:
            part = resolved(part, self.escape, self._meanings(), "utf-8")
        return part.strip()

    def _meanings(self) -> dict[str, str]:
        return {
            "F": self.field,
            "S": self.component,
            "T": self.subcomponent,
            "R": self.repetition,
            "E": self.escape,
            ".br": "\n",
        }


class Segment(msgspec.Struct, frozen=True):
    """One segment.

    number  its place among the segments of its name, from 1
    fields  fields[n] is field n; of MSH fields[1] is the delimiter itself
    text    as sent
    """

    name: str
    number: int
    fields: tuple[str, ...]
    text: str

    def field(self, number: int) -> str:
        """Field ``number`` as sent; "" when it is not there. HL7 null ("") is "" too."""
        found = self.fields[number] if number < len(self.fields) else ""
        return "" if found == '""' else found

    def where(self, field: int) -> str:
        """A place in the form of ERR-2."""
        return f"{self.name}^{self.number}^{field}"


class Message(msgspec.Struct, frozen=True):
    """One message; segments[0] is its MSH."""

    delimiters: Delimiters
    segments: tuple[Segment, ...]

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    def parts(self, segment: Segment, field: int) -> list[str]:
        """Components of the first repetition of a field, as text."""
        delimiters = self.delimiters
        first = delimiters.repetitions(segment.field(field))[0]
        return [delimiters.text(part) for part in delimiters.components(first)]

    def part(self, segment: Segment, field: int, component: int) -> str:
        """Component ``component`` (from 1) of a field's first repetition; "" when not there."""
        found = self.parts(segment, field)
        return found[component - 1] if component <= len(found) else ""


def parse(octets: bytes) -> Message:
    """Parse one message."""
    delimiters = _delimiters(octets)
    text = _text(octets, delimiters)
    lines = [line for line in text.replace("\n", "\r").split("\r") if line.strip()]
    if len(lines) > MAX_SEGMENTS:
        raise Hl7Error(100, "", f"{len(lines)} segments, at most {MAX_SEGMENTS}")
    numbers: dict[str, int] = {}
    segments: list[Segment] = []
    for line in lines:
        name = line[:3]
        if not _SEGMENT.match(name) or line[3:4] not in ("", delimiters.field):
            raise Hl7Error(100, "", f"line {len(segments) + 1} is no segment")
        if name == "MSH" and segments:
            raise Hl7Error(100, "", "a second MSH")
        numbers[name] = numbers.get(name, 0) + 1
        segments.append(Segment(name, numbers[name], _fields(line, delimiters), line))
    return Message(delimiters, tuple(segments))


def header_of(octets: bytes) -> Message | None:
    """MSH alone of what ``parse`` refuses, for its answer; None = not even that can be read."""
    try:
        delimiters = _delimiters(octets)
    except Hl7Error:
        return None
    line = _undeclared(octets.splitlines()[0])
    return Message(delimiters, (Segment("MSH", 1, _fields(line, delimiters), line),))


def _delimiters(octets: bytes) -> Delimiters:
    head = octets[:9].decode("latin-1")
    if head[:3] != "MSH" or len(head) < 5:
        raise Hl7Error(100, "MSH^1", "the message does not begin with MSH")
    field = head[3]
    declared = re.split(f"[{re.escape(field)}\r\n]", head[4:])[0][:5]
    every = field + declared
    if len(declared) < 1 or len(set(every)) != len(every) or not _are_delimiters(every):
        raise Hl7Error(102, "MSH^1^2", "delimiters that are none, or two the same")
    return Delimiters(field, *declared[:4], *[""] * (4 - len(declared[:4])))


def _are_delimiters(characters: str) -> bool:
    return all("!" <= each <= "~" and not each.isalnum() for each in characters)


def _text(octets: bytes, delimiters: Delimiters) -> str:
    first = octets.splitlines()[0].decode("latin-1").split(delimiters.field)
    declared = first[17].split(delimiters.repetition or "~")[0].strip() if len(first) > 17 else ""
    charset = _CHARSETS.get(declared.upper())
    if charset is None:
        raise Hl7Error(103, "MSH^1^18", "a character set this gateway does not read")
    if not declared:
        return _undeclared(octets)
    try:
        return octets.decode(charset)
    except UnicodeDecodeError as error:
        raise Hl7Error(102, "MSH^1^18", f"byte {error.start} is not of the declared set") from error


def _undeclared(octets: bytes) -> str:
    """Text of a set nobody named: UTF-8, else what every byte is a character of."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _fields(line: str, delimiters: Delimiters) -> tuple[str, ...]:
    fields = line.split(delimiters.field)
    if fields[0] == "MSH":
        fields.insert(1, delimiters.field)
    return tuple(fields)
