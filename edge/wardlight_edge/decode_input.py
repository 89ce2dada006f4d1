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
_TEXT_STARTS: Final = ("MSH|", "\x0bMSH|", "\x05", "\x02", "H|", "H\\")


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


def message(text: str, where: str = "HEX") -> bytes:
    """Return the bytes of a message: as hex, or as its own text (HL7 or ASTM from a file).

    Lines of a text that was saved with line feeds get the carriage returns of the protocol.
    """
    if not text.startswith(_TEXT_STARTS):
        return octets(text, where)
    return text.replace("\r\n", "\r").replace("\n", "\r").encode()


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
