"""What is said of a measurement beside its number: OBX-8, and remarks (NTE).

OBX-8   QUES, INV, EARLY, ALACT (the device is in alarm): what the device said of the measurement;
        > and <: it is above or below what the device can measure (HI, LO), which is a result
        without OBX-5; NAV: there is no result
NTE     behind OBX: why there is no number, and the flags of the number that FHIR shows, by the
        names that FHIR has for them; behind OBR: how sure the time is, circumstances, the number
        as it was sent

Source  HL7 v2.6, 2.10.18 (NTE), 7.4.2.8 and table 0078: a result may be an OBX-8 without OBX-5;
        IHE Devices Technical Framework, volume 2, B.8 (OBX-8)
"""

from collections.abc import Iterable
from typing import Final

from wardlight_cloud.hl7.fields import escaped, segment
from wardlight_cloud.store.observation_rows import Circumstances, ObservationRow, Value
from wardlight_shared.model import ABSENT_BY_CODE, NO_NUMBER, NOT_CLINICAL, Absent, Flag
from wardlight_shared.records import TimeMethod
from wardlight_shared.timestamps import ClockQuality

_DOUBTFUL: Final = (
    Flag.QUESTIONABLE | Flag.IMPLAUSIBLE | Flag.BODY_MOVEMENT | Flag.CUFF_LOOSE
    | Flag.IMPROPER_POSITION | Flag.SENSOR_OFF | Flag.SENSOR_FAULT | Flag.SIGNAL_POOR
    | Flag.LOW_PERFUSION | Flag.ARTIFACT | Flag.OUT_OF_TRACK | Flag.CONTACT_LOST
)  # fmt: skip
_ABOVE: Final = (Absent.OVER_RANGE, Absent.POSITIVE_INFINITY)
_BELOW: Final = (Absent.UNDER_RANGE, Absent.NEGATIVE_INFINITY)
# OBX-8 and OBX-11 say these, and the remark of the time; what is not clinical is not sent.
_SAID_ELSEWHERE: Final = (
    Flag.EARLY | Flag.CORRECTED | NO_NUMBER | NOT_CLINICAL | Flag.TIME_UNCERTAIN
)
_TOLD: Final = [
    (flag, str(flag.name).lower().replace("_", "-")) for flag in Flag if not flag & _SAID_ELSEWHERE
]
_EXACT_MS: Final = 1000
_METHODS: Final = {
    int(TimeMethod.RECEIPT): "the moment when the gateway received it",
    int(TimeMethod.DEVICE_CLOCK): "the device's clock, compared with the gateway's",
    int(TimeMethod.DEVICE_ASSUMED): "the device's clock, which nobody compared",
    int(TimeMethod.SAMPLE_COUNT): "its place in a stream",
}
_CLOCKS: Final = {
    int(ClockQuality.UNKNOWN): "the gateway's clock was not set",
    int(ClockQuality.ESTIMATED): "the gateway's clock was set by hand or from its disk",
}


def is_number(value: Value) -> bool:
    """Whether its digits are told: there are some, and the device does not call them invalid."""
    return not (value.absent or value.flags & NO_NUMBER)


def is_beyond_scale(value: Value) -> bool:
    """Whether the device measured it, and can only say that it is above or below its range."""
    return not value.flags & NO_NUMBER and _reason(value) in (*_ABOVE, *_BELOW)


def marks(value: Value) -> list[str]:
    """OBX-8."""
    found = []
    why = _reason(value)
    if value.flags & Flag.INVALID or (why is Absent.INVALID and not value.flags & Flag.WITHDRAWN):
        found.append("INV")
    elif why in _ABOVE:
        found.append(">")
    elif why in _BELOW:
        found.append("<")
    elif value.absent:
        found.append("NAV")
    if value.flags & _DOUBTFUL:
        found.append("QUES")
    if value.flags & Flag.EARLY:
        found.append("EARLY")
    if value.flags & Flag.DEVICE_ALARM:
        found.append("ALACT")
    return found


def of_value(value: Value) -> Iterable[str]:
    """Remarks on one number: segments."""
    said = []
    if value.absent and not value.flags & Flag.WITHDRAWN:
        said.append(f"no number: {_reason_text(value)}")
    flags = [name for flag, name in _TOLD if value.flags & flag]
    if flags:
        said.append(f"measurement: {', '.join(flags)}")
    return _segments(said)


def of_observation(row: ObservationRow) -> Iterable[str]:
    """Remarks on all of an Observation: segments."""
    said = []
    about = row.circumstances
    values = row.values
    if about.error_ms < 0 or any(value.flags & Flag.TIME_UNCERTAIN for value in values):
        said.append(_uncertain(row))
    elif about.error_ms >= _EXACT_MS:
        said.append(f"time within {-(-about.error_ms // 1000)} s")
    said += [f"{name}={value}" for name, value in row.context]
    if row.raw and all(map(is_number, values)):
        said.append(f"as the device sent it: {' '.join(row.raw)}")
    return _segments(said)


def has_fraction(about: Circumstances) -> bool:
    """Whether fractions of a second say anything of this time."""
    return 0 <= about.error_ms < _EXACT_MS


def _uncertain(row: ObservationRow) -> str:
    clock = row.circumstances.clock
    parts = [f"time uncertain: {_METHODS.get(clock >> 4, 'it is not known how it was found')}"]
    if (quality := _CLOCKS.get(clock & 15)) is not None:
        parts.append(quality)
    if row.device_time is not None:
        parts.append(f"the device said {row.device_time}")
    return "; ".join(parts)


def _reason(value: Value) -> Absent | None:
    """None for a present number, and for a reason that a newer program wrote."""
    return ABSENT_BY_CODE[value.absent] if value.absent < len(ABSENT_BY_CODE) else None


def _reason_text(value: Value) -> str:
    why = _reason(value)
    if why in _ABOVE:
        return f"above what the device can measure ({why})"
    if why in _BELOW:
        return f"below what the device can measure ({why})"
    return str(why or "unknown")


def _segments(said: list[str]) -> Iterable[str]:
    return [
        segment("NTE", {1: str(number), 2: "L", 3: escaped(text), 4: "RE"})
        for number, text in enumerate(said, 1)
    ]
