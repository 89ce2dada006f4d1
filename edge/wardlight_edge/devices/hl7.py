"""HL7 v2 ORU^R01 over MLLP: bedside monitors and their gateways (IHE PCD-01).

In      MLLP frames: 0B | message | 1C 0D; messages of versions 2.2 to 2.9 in ER7 encoding
Out     Events, one for each patient, moment and result status. OBX-3 by MDC code or LOINC, OBX-6
        by MDC or UCUM, converted exactly where the table does not permit the unit sent.
        "No value" in any of its forms is Absent: empty, ---, -100, 32767, 8388607, status X,
        0 of what is never 0. Whose it is: PID-3, else bed or monitor, as a Subject to be hashed
        Answers: AA once committed, with ERR of severity W for each OBX that was left out because
        its number or unit does not fit; AE or AR with ERR where nothing was taken
Errors  DecodeError from ``decode_bytes``, for what would be left out too; a conversation answers
        instead of raising
Source  HL7 v2.6 chapters 2 and 7; MLLP release 1; IHE Devices Technical Framework, volume 2, PCD-01
Vectors tests/vectors/hl7.toml
"""

from typing import Final

from wardlight_edge.devices._base import Options
from wardlight_edge.devices._hl7.conversation import Hl7Conversation, check_header, sender
from wardlight_edge.devices._hl7.message import parse
from wardlight_edge.devices._hl7.mllp import MAX_MESSAGE, unframed
from wardlight_edge.devices._hl7.observations import observations
from wardlight_shared.errors import ConfigError
from wardlight_shared.model import DeviceInfo, Reading

_LEAST: Final = 1024
_TIMEOUT_MS: Final = 30_000


def conversation(options: Options) -> Hl7Conversation:
    """Begin one connection.

    ``max_message_bytes`` bounds a message (1 MiB), ``message_timeout_ms`` its time (30 s).
    """
    unknown = sorted(set(options) - {"max_message_bytes", "message_timeout_ms"})
    longest = options.get("max_message_bytes", MAX_MESSAGE)
    timeout_ms = options.get("message_timeout_ms", _TIMEOUT_MS)
    if unknown or not isinstance(longest, int) or longest < _LEAST:
        raise ConfigError("hl7: options are max_message_bytes, 1024 or more, message_timeout_ms")
    if not isinstance(timeout_ms, int) or timeout_ms < 1:
        raise ConfigError("hl7: message_timeout_ms must be 1 or more")
    return Hl7Conversation(longest, timeout_ms)


def decode_bytes(octets: bytes, options: Options) -> tuple[tuple[Reading, ...], DeviceInfo]:
    """Decode messages in their MLLP frames, or one without: all readings, and the last sender."""
    conversation(options)
    readings: list[Reading] = []
    info = DeviceInfo()
    for octets_of_one in unframed(octets):
        message = parse(octets_of_one)
        check_header(message)
        found = observations(message)
        if found.unfit:
            raise found.unfit[0].error
        readings += (reading for event in found.events for reading in event.readings)
        info = sender(message)
    return tuple(readings), info


def decode(channel: str, octets: bytes) -> tuple[Reading, ...]:
    """Decode one message; a connection has one channel."""
    del channel
    return decode_bytes(octets, {})[0]
