"""What values without a reading say of a device: its features, its session, what it answers.

For a person with the bytes; a session has no use for it. A bit that is set is a word in a list.

In      the characteristics of FACTS; low bytes first
Out     name and content of one fact, as JSON has it
Errors  DecodeError: another length, and those of the modules that decode the rest
Source  Bluetooth GSS and BLS 1.1 3.3, GLS 3.3, PLXS 3.4, WSS 3.1, BCS 3.1, HTS 3.2 and 3.4,
        HRS 3.2, CTS 3.3, CGMS 3.2 to 3.5, UDS 1.1 3.2 to 3.5
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from wardlight_edge.devices import _cgm_session, _racp, _user_data
from wardlight_edge.devices._gatt import check_length
from wardlight_edge.devices._glucose_context import decode_context
from wardlight_edge.devices._quirks import meanings
from wardlight_edge.devices.health_thermometer import SITE_CHARACTERISTIC, body_site
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceInfo

Fact = tuple[str, Any]
_Say = Callable[[bytes, DeviceInfo], Fact]
_GLUCOSE_CONTEXT: Final = "0x2A34"
_PLX: Final = "0x2A60"

# Names of bits, from bit 0; the bits behind them are reserved.
_BLOOD_PRESSURE: Final = (
    "body-movement", "cuff-fit", "irregular-pulse", "pulse-rate-range", "measurement-position",
    "multiple-bonds", "e2e-crc", "user-data", "user-facing-time",
)  # fmt: skip
_GLUCOSE: Final = (
    "low-battery", "sensor-malfunction", "sample-size", "strip-insertion", "strip-type",
    "result-high-low", "temperature-high-low", "read-interrupt", "device-fault", "time-fault",
    "multiple-bonds",
)  # fmt: skip
_OXIMETER: Final = (
    "measurement-status", "sensor-status", "spot-check-storage", "timestamp", "fast", "slow",
    "pulse-amplitude-index", "multiple-bonds",
)  # fmt: skip
_BODY_COMPOSITION: Final = (
    "timestamp", "multiple-users", "basal-metabolism", "muscle-percentage", "muscle-mass",
    "fat-free-mass", "soft-lean-mass", "body-water-mass", "impedance", "weight", "height",
)  # fmt: skip
_WEIGHT: Final = ("timestamp", "multiple-users", "bmi")
_LOCATIONS: Final = ("other", "chest", "wrist", "finger", "hand", "ear-lobe", "foot")
_SOURCES: Final = ("unknown", "ntp", "gps", "radio", "manual", "atomic-clock", "cellular")
_WEIGHT_STEPS: Final = (
    None, "0.5 kg or 1 lb", "0.2 kg or 0.5 lb", "0.1 kg or 0.2 lb", "0.05 kg or 0.1 lb",
    "0.02 kg or 0.05 lb", "0.01 kg or 0.02 lb", "0.005 kg or 0.01 lb",
)  # fmt: skip
_HEIGHT_STEPS: Final = (None, "0.01 m or 1 in", "0.005 m or 0.5 in", "0.001 m or 0.1 in")
_ACCURACY_UNKNOWN: Final = 254  # 254 out of range, 255 unknown
_LONG_AGO: Final = 255


def facts_of(characteristic: str, value: bytes, info: DeviceInfo) -> Fact | None:
    """What the value says; None for a characteristic that tells nothing here."""
    say = FACTS.get(characteristic)
    return None if say is None else say(value, info)


def _words(names: Sequence[str], number: int) -> list[str]:
    return [name for bit, name in enumerate(names) if number >> bit & 1]


def _named(names: Sequence[str | None], number: int) -> str | None:
    return names[number] if number < len(names) else None


def _number(characteristic: str, value: bytes, octets: int) -> int:
    check_length(characteristic, value, octets)
    return int.from_bytes(value, "little")


def _features(characteristic: str, octets: int, names: Sequence[str]) -> _Say:
    def say(value: bytes, info: DeviceInfo) -> Fact:
        del info
        return "features", _words(names, _number(characteristic, value, octets))

    return say


def _scale(characteristic: str, names: Sequence[str]) -> _Say:
    """Features of a scale: behind their bits the finest steps of weight (4) and height (3)."""

    def say(value: bytes, info: DeviceInfo) -> Fact:
        del info
        number = _number(characteristic, value, 4)
        behind = number >> len(names)
        weight, height = _named(_WEIGHT_STEPS, behind & 0xF), _named(_HEIGHT_STEPS, behind >> 4 & 7)
        steps = {"weight_step": weight, "height_step": height}
        features: dict[str, Any] = {"supported": _words(names, number)}
        return "features", features | {name: step for name, step in steps.items() if step}

    return say


def _oximeter(value: bytes, info: DeviceInfo) -> Fact:
    del info
    if len(value) < 2:
        raise DecodeError(f"{_PLX}: {len(value)} bytes, need at least 2")
    check_length(_PLX, value, 2 + 2 * (value[0] & 1) + 3 * (value[0] >> 1 & 1))
    return "features", _words(_OXIMETER, int.from_bytes(value[:2], "little"))


def _site(value: bytes, info: DeviceInfo) -> Fact:
    del info
    return "temperature_site", body_site(value)


def _location(value: bytes, info: DeviceInfo) -> Fact:
    del info
    return "sensor_location", _named(_LOCATIONS, _number("0x2A38", value, 1))


def _interval(value: bytes, info: DeviceInfo) -> Fact:
    del info
    return "measurement_interval_s", _number("0x2A21", value, 2) or None


def _reference_time(value: bytes, info: DeviceInfo) -> Fact:
    del info
    check_length("0x2A14", value, 4)
    source, accuracy, days, hours = value
    return "reference_time", {
        "source": _named(_SOURCES, source),
        "accuracy_ms": None if accuracy >= _ACCURACY_UNKNOWN else accuracy * 125,
        "updated_hours_ago": None if _LONG_AGO in {days, hours} else 24 * days + hours,
    }


def _glucose_context(value: bytes, info: DeviceInfo) -> Fact:
    context = decode_context(value, meanings(_GLUCOSE_CONTEXT, info))
    return "glucose_context", {"record": context.sequence, **dict(context.pairs)}


def _record_access(value: bytes, info: DeviceInfo) -> Fact:
    del info
    answer = _racp.answer(value)
    if isinstance(answer, _racp.Count):
        return "record_access", {"records": answer.number}
    codes = {code.value: code.name.lower().replace("_", "-") for code in _racp.Code}
    return "record_access", {
        "request": answer.request,
        "response": codes.get(answer.code, str(answer.code)),
    }


def _user_control(value: bytes, info: DeviceInfo) -> Fact:
    del info
    answer = _user_data.response(value)
    request, result = (
        each.name.lower().replace("_", "-") for each in (answer.request, answer.result)
    )
    said: dict[str, Any] = {"request": request, "response": result}
    return "user_control", said if answer.user is None else said | {"user": answer.user}


def _user_index(value: bytes, info: DeviceInfo) -> Fact:
    del info
    return "user_index", _user_data.user_index(value)


def _change_increment(value: bytes, info: DeviceInfo) -> Fact:
    del info
    return "database_change_increment", _user_data.change_increment(value)


def _cgm_feature(value: bytes, info: DeviceInfo) -> Fact:
    del info
    return "cgm_has_crc", _cgm_session.decode_feature(value)


def _cgm_status(value: bytes, info: DeviceInfo) -> Fact:
    del info
    return "cgm_session_minutes", _cgm_session.decode_status(value)


def _cgm_start(value: bytes, info: DeviceInfo) -> Fact:
    del info
    return "cgm_session_start", _cgm_session.decode_start(value).time


def _cgm_run_time(value: bytes, info: DeviceInfo) -> Fact:
    del info
    return "cgm_run_time_hours", _cgm_session.decode_run_time(value)


def _cgm_operation(value: bytes, info: DeviceInfo) -> Fact:
    del info
    return "cgm_interval_minutes", _cgm_session.decode_operation(value)


FACTS: Final[Mapping[str, _Say]] = {
    SITE_CHARACTERISTIC: _site,
    "0x2A14": _reference_time,
    "0x2A21": _interval,
    _GLUCOSE_CONTEXT: _glucose_context,
    "0x2A38": _location,
    "0x2A49": _features("0x2A49", 2, _BLOOD_PRESSURE),
    "0x2A51": _features("0x2A51", 2, _GLUCOSE),
    _racp.CHANNEL: _record_access,
    _PLX: _oximeter,
    _user_data.CHANGE_INCREMENT: _change_increment,
    _user_data.USER_INDEX: _user_index,
    "0x2A9B": _scale("0x2A9B", _BODY_COMPOSITION),
    "0x2A9E": _scale("0x2A9E", _WEIGHT),
    _user_data.CONTROL_POINT: _user_control,
    _cgm_session.FEATURE: _cgm_feature,
    _cgm_session.STATUS: _cgm_status,
    _cgm_session.START: _cgm_start,
    _cgm_session.RUN_TIME: _cgm_run_time,
    _cgm_session.OPERATIONS: _cgm_operation,
}
"""Characteristic to what says what it tells."""

_RECORDS: Final = frozenset({_racp.CHANNEL})
SERVICES: Final[Mapping[str, frozenset[str]]] = {
    "0x1805": frozenset({"0x2A2B", "0x2A0F", "0x2A14"}),
    "0x1808": frozenset({"0x2A18", "0x2A34", "0x2A51"}) | _RECORDS,
    "0x1809": frozenset({"0x2A1C", "0x2A1D", "0x2A1E", "0x2A21"}),
    "0x180A": frozenset(
        {"0x2A23", "0x2A24", "0x2A25", "0x2A26", "0x2A27", "0x2A28", "0x2A29", "0x2A2A", "0x2A50",
         "0x2BFF"}
    ),
    "0x180D": frozenset({"0x2A37", "0x2A38", "0x2A39"}),
    "0x180F": frozenset({"0x2A19"}),
    "0x1810": frozenset({"0x2A35", "0x2A36", "0x2A49", "0x2B34", "0x2B35", "0x2B36"}) | _RECORDS,
    "0x181B": frozenset({"0x2A9B", "0x2A9C"}),
    "0x181C": frozenset({"0x2A99", "0x2A9A", "0x2A9F"}),
    "0x181D": frozenset({"0x2A9D", "0x2A9E"}),
    "0x181F": frozenset({"0x2AA7", "0x2AA8", "0x2AA9", "0x2AAA", "0x2AAB", "0x2AAC"}) | _RECORDS,
    "0x1822": frozenset({"0x2A5E", "0x2A5F", "0x2A60"}) | _RECORDS,
    "0x1840": frozenset({"0x2B8B", "0x2BDD", "0x2BF1", "0x2BF3", "0x2BF4"}) | _RECORDS,
}  # fmt: skip
"""The characteristics of each service of the Bluetooth SIG that this program reads."""
