"""ACK: what became of a message, in the sender's terms.

Out     MSH | MSA | ERR for each thing that is wrong, always with the delimiters |^~\\&, what is
        quoted from the message escaped and bounded. ERR-2 says where, ERR-3 why (table 0357), ERR-4
        how bad: W, the message is taken but for this, E, it is not; ERR-8 says it in words
Source  HL7 v2.6, 2.9.2 (original acknowledgement), 2.14.1 MSA, 2.14.5 ERR, tables 0008 and 0516
"""

from collections.abc import Sequence
from typing import Final

from wardlight_edge.devices._hl7.errors import CONDITIONS, Hl7Error
from wardlight_edge.devices._hl7.message import Message
from wardlight_shared.timestamps import datetime_from_utc_ms

ACCEPT: Final = "AA"
ERROR: Final = "AE"
REJECT: Final = "AR"
_APPLICATION: Final = "WARDLIGHT"
_LONGEST: Final = 200
_ESCAPES: Final = str.maketrans(
    {
        "\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\",
        "\r": " ", "\n": " ", "\x0b": " ", "\x1c": " ",
    }
)  # fmt: skip


def accepted(message: Message, left_out: Sequence[Hl7Error], wall_ms: int) -> bytes:
    """The message is stored, but for what was ``left_out``."""
    return _acknowledgement(message, ACCEPT, left_out, wall_ms)


def refused(message: Message | None, error: Hl7Error, wall_ms: int) -> bytes:
    """The message was not taken; ``message`` is what could be read of it, None = not even MSH."""
    code = REJECT if error.is_reject or message is None else ERROR
    return _acknowledgement(message, code, (error,), wall_ms)


def wants_none(message: Message) -> bool:
    """Whether the sender asks for no acknowledgement at all (MSH-15 and MSH-16 NE)."""
    header = message.header
    return (message.part(header, 15, 1), message.part(header, 16, 1)) == ("NE", "NE")


def _acknowledgement(
    message: Message | None, code: str, errors: Sequence[Hl7Error], wall_ms: int
) -> bytes:
    stamp = datetime_from_utc_ms(wall_ms)
    moment = stamp.strftime("%Y%m%d%H%M%S+0000")
    own = f"{stamp:%Y%m%d%H%M%S}{stamp.microsecond // 1000:03}"
    sender, facility, control = _kept(message, 3), _kept(message, 4), _kept(message, 10)
    receiver, at = _kept(message, 5) or _APPLICATION, _kept(message, 6)
    version = _kept(message, 12) or "2.6"
    processing = _kept(message, 11) or "P"
    trigger = "" if message is None else _escaped(message.part(message.header, 9, 2))
    kind = f"ACK^{trigger}^ACK" if trigger else "ACK"
    lines = [
        rf"MSH|^~\&|{receiver}|{at}|{sender}|{facility}|{moment}||{kind}|{own}|{processing}"
        f"|{version}||||||UNICODE UTF-8",
        f"MSA|{code}|{control}",
    ]
    severity = "W" if code == ACCEPT else "E"
    lines += [_error(each, severity) for each in errors]
    return "\r".join([*lines, ""]).encode()


def _error(error: Hl7Error, severity: str) -> str:
    text, reason = CONDITIONS[error.condition], _escaped(error.reason)
    return f"ERR||{error.where}|{error.condition}^{text}^HL70357|{severity}||||{reason}"


def _kept(message: Message | None, field: int) -> str:
    """A field of the message with its components; "" without a message."""
    if message is None:
        return ""
    return "^".join(_escaped(part) for part in message.parts(message.header, field))[:_LONGEST]


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)[:_LONGEST]
