"""What a person typed or piped, as bytes: hex in the ways people write it. Pure.

Out     one value of bytes for an argument; one for each line of a text with several
Errors  DecodeError: no hex digit, half a byte, nothing at all, too much; with its place
"""

import re
from collections.abc import Sequence
from typing import Final

from wardlight_shared.errors import DecodeError

MAX_CHARACTERS: Final = 4 * 1024 * 1024
_SEPARATORS: Final = " \t\r\n\f\v:,-"
_GROUP: Final = re.compile(r"[^ \t\r\n\f\v:,\-]+")
_NO_DIGIT: Final = re.compile(r"[^0-9A-Fa-f]")
_MASIMO_START: Final = re.compile(r"\s*\d\d/\d\d/\d\d ")
_TEXT_START: Final = re.compile(r"MSH[^0-9A-Za-z\s]|[HPOQRCMSL][|\\^&~!@]")
_BEFORE_TEXT: Final = re.compile(r"(?:\ufeff|\xef\xbb\xbf)?\s*")  # a byte order mark, blank lines
_CAPTURE_STARTS: Final = ("\x0bMSH|", "\x05", "\x02")
ARGUMENT: Final = "utf-8"
"""How the text of an argument becomes bytes."""

STANDARD_INPUT: Final = "latin-1"
"""How the text of standard input becomes the bytes that were read."""


def octets(text: str, where: str = "HEX") -> bytes:
    """Return the bytes of hex digits; spaces, colons, commas, dashes and 0x may part the bytes."""
    if len(text) > MAX_CHARACTERS:
        raise DecodeError(f"{where}: {len(text)} characters, at most {MAX_CHARACTERS}")
    found = bytearray()
    for group in _GROUP.finditer(text):
        found += _group(group.group(), group.start() + 1, where)
    if not found:
        raise DecodeError(f"{where}: no hex digits")
    return bytes(found)


def lines(text: str) -> Sequence[bytes]:
    """Return one value of bytes for each line that is not empty."""
    values = [
        octets(line, f"line {number}")
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip(_SEPARATORS)
    ]
    if not values:
        raise DecodeError("standard input: no hex digits")
    return values


def message(text: str, where: str = "HEX", encoding: str = ARGUMENT) -> bytes:
    """Return the bytes of a message: as hex, or as its own text (HL7 or ASTM from a file).

    Lines of a text that was saved with line feeds get the carriage returns of the protocol; what
    has the frames of the protocol was captured, and is left as it is.
    """
    if text.startswith(_CAPTURE_STARTS):
        return _encoded(text, encoding)
    found = _BEFORE_TEXT.match(text)
    text = text[found.end() :] if found and _TEXT_START.match(text, found.end()) else text
    if not _TEXT_START.match(text):
        return octets(text, where)
    return _encoded(text.replace("\r\n", "\r").replace("\n", "\r"), encoding)


def line(text: str, where: str = "HEX", encoding: str = ARGUMENT) -> bytes:
    """Return the bytes of a stretch of a serial line: as hex, or as the text that Masimo sends."""
    return _encoded(text, encoding) if _MASIMO_START.match(text) else octets(text, where)


def _encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "surrogateescape")  # an argument may be no UTF-8


def _group(group: str, at: int, where: str) -> bytes:
    digits = group
    if group[:2] in ("0x", "0X"):
        digits, at = group[2:], at + 2
    wrong = _NO_DIGIT.search(digits)
    if wrong is not None:
        raise DecodeError(f"{where}: character {at + wrong.start()} is no hex digit")
    if len(digits) % 2 or not digits:
        raise DecodeError(f"{where}: {len(digits)} hex digits at character {at}, a byte has two")
    return bytes.fromhex(digits)
