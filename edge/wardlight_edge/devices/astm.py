"""ASTM E1381 / E1394 (CLSI LIS01, LIS02): meters and analysers that send results by record.

In      the byte stream of a line or connection: ENQ, frames with checksum, EOT; both directions
Out     Events, one a result (R record) whose test is known: by LOINC, or by a name of the option
        ``tests``. Each is acknowledged when it is committed. P-3 names the patient, as a Subject
        Values beyond a limit (<, >), control material, corrections: see ``_astm/records``
        ``decode_bytes`` takes the frames of a transmission, or its records without frames
Errors  DecodeError from ``decode_bytes``: wrong checksum, a record that cannot be read
        ConfigError: an option other than ``tests``, or a metric in it that is none
Source  ASTM E1381-02, E1394-97; glucometerutils and Tidepool's driver for Contour meters
Vectors tests/vectors/astm.toml
"""

from typing import Final

from wardlight_edge.devices._astm.conversation import AstmConversation
from wardlight_edge.devices._astm.delimiters import Delimiters
from wardlight_edge.devices._astm.frames import STX, Frame, decode_frame
from wardlight_edge.devices._astm.records import AstmRecords
from wardlight_edge.devices._base import Options
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.model import DeviceInfo, Reading

_TESTS: Final = (
    "Glucose^P=glucose_capillary_plasma, Glucose^B=glucose_capillary_whole_blood, "
    "Glucose=glucose_undetermined_whole_blood"
)
"""What is read without a profile: Contour's names, and glucose of which no sample is told."""


def conversation(options: Options) -> AstmConversation:
    """Begin one link.

    ``tests``: "NAME=metric, NAME^SUFFIX=metric", the maker's test names, with the second component
    of the unit where it tells samples apart (Contour: P plasma, B whole blood).
    """
    return AstmConversation(_tests(options))


def decode_bytes(octets: bytes, options: Options) -> tuple[tuple[Reading, ...], DeviceInfo]:
    """Decode a transmission: all its results, and the device of its header.

    Records without a header are read with the delimiters that all meters use.
    """
    records = AstmRecords(_tests(options), Delimiters())
    text = _text(octets) if STX in octets else octets
    readings: list[Reading] = []
    for line in text.replace(b"\n", b"\r").split(b"\r"):
        result = records.take(line) if line.strip() else None
        if result is not None:
            readings.append(result.reading)
    if records.info == DeviceInfo() and not readings:
        raise DecodeError("ASTM: no header and no result")
    return tuple(readings), records.info


def decode(channel: str, octets: bytes) -> tuple[Reading, ...]:
    """Decode one transmission; a link has one channel."""
    del channel
    return decode_bytes(octets, {})[0]


def _text(octets: bytes) -> bytes:
    """The texts of all frames, one after the other; one that was sent again counts once."""
    parts: list[bytes] = []
    before: Frame | None = None
    at = octets.find(STX)
    while at >= 0:
        end = octets.find(b"\r\n", at)
        if end < 0:
            raise DecodeError("ASTM: the last frame is cut off")
        frame = decode_frame(octets[at : end + 2])
        if frame != before:
            parts.append(frame.text + (b"\r" if frame.is_last else b""))
        before, at = frame, octets.find(STX, end)
    return b"".join(parts)


def _tests(options: Options) -> dict[str, str]:
    unknown = sorted(set(options) - {"tests"})
    text = options.get("tests", _TESTS)
    if unknown or not isinstance(text, str):
        raise ConfigError("astm: the one option is tests, as NAME=metric, NAME=metric")
    found: dict[str, str] = {}
    for pair in text.split(","):
        name, _, metric = (part.strip() for part in pair.partition("="))
        if metric not in METRICS or not name:
            raise ConfigError(f"astm: tests: {pair.strip()!r} is not NAME=metric")
        found[name] = metric
    return found
