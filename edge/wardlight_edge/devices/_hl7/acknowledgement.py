"""ACK: what became of a message, in the sender's terms.

Out     MSH | MSA | ERR (unless accepted), always with the delimiters |^~\\&, what is taken from the
        message escaped and bounded. ERR-2 says where, ERR-3 why (table 0357), ERR-8 in words
Source  HL7 v2.6, 2.9.2 (original acknowledgement), 2.14.1 MSA, 2.14.5 ERR, table 0008
"""

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


def accepted(message: Message, wall_ms: int) -> bytes:
    """The message is stored."""
    return _acknowledgement(message, ACCEPT, None, wall_ms)


def refused(message: Message | None, error: Hl7Error, wall_ms: int) -> bytes:
    """The message was not taken; ``message`` is what could be read of it, None = not even MSH."""
    code = REJECT if error.is_reject or message is None else ERROR
    return _acknowledgement(message, code, error, wall_ms)


def wants_none(message: Message) -> bool:
    """Whether the sender asks for no acknowledgement at all (MSH-15 and MSH-16 NE)."""
    header = message.header
    return (message.part(header, 15, 1), message.part(header, 16, 1)) == ("NE", "NE")


def _acknowledgement(
    message: Message | None, code: str, error: Hl7Error | None, wall_ms: int
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
    if error is not None:
        text = CONDITIONS[error.condition]
        reason = _escaped(error.reason)
        lines.append(f"ERR||{error.where}|{error.condition}^{text}^HL70357|E||||{reason}")
    return "\r".join([*lines, ""]).encode()


def _kept(message: Message | None, field: int) -> str:
    """A field of the message with its components; "" without a message."""
    if message is None:
        return ""
    return "^".join(_escaped(part) for part in message.parts(message.header, field))[:_LONGEST]


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)[:_LONGEST]
