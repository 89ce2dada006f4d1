"""Observations of one patient as ORU^R01 of HL7 v2.6, in the shape of IHE PCD-01.

    MSH PID { OBR [ { NTE } ] { OBX [ { NTE } ] } }
                an OBR for each Observation, an OBX for each of its numbers

OBR-3   the id of the Observation, which FHIR has, too; a correction has the same one
OBX-4   1.0.1. and the place in the panel: the same in each message about the Observation
OBX-5   the digits of the device: 36.50 stays 36.50; empty where there is no number, or none that
        the device itself calls valid
OBX-8   and NTE: see ``remarks``
OBX-11  F; P early value; C corrected; W withdrawn, by its sender or because it is not the
        patient's (table 0085: "transmitted for wrong patient"); X no result, or an invalid one
OBR-25  F, P, or C: that is for a withdrawn one, too, as table 0123 has no W
OBX-14  when it was measured, with the offset of the place; whole seconds where it is not known
        better
OBX-18  id of the sensor, which FHIR has, too
OBX-20  where on the body, as the device words it

Source  HL7 v2.6, 7.3.1 (ORU), 7.4 (OBR, OBX), 3.4.2 (PID), 2.14.9 (MSH); IHE Devices Technical
        Framework, volume 2, 3.1 and appendix B
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from wardlight_cloud.hl7.codes import code, unit_code
from wardlight_cloud.hl7.fields import components, escaped, local, moment, segment
from wardlight_cloud.hl7.remarks import (
    has_fraction,
    is_beyond_scale,
    is_number,
    marks,
    of_observation,
    of_value,
)
from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.observation_rows import Kind, ObservationRow, Origin, Value
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag
from wardlight_shared.timestamps import OFFSET_LIMIT_MIN

_OURS: Final = "WARDLIGHT"
_PROFILE: Final = "IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO"
_GENDERS: Final = {"male": "M", "female": "F", "other": "O", "unknown": "U"}
_OID: Final = "urn:oid:"
# Components of a panel by their wire numbers: the place of each, whichever others there are.
_PANELS: Final = {row.component_of for row in BY_WIRE.values() if row.component_of is not None}
_PLACES: Final = {
    wire: place
    for panel in _PANELS
    for place, wire in enumerate(
        sorted(wire for wire, row in BY_WIRE.items() if row.component_of == panel), 1
    )
}


@dataclass(frozen=True, slots=True)
class Parties:
    """Who sends and who receives: application and facility of MSH-3 to MSH-6.

    ``authorities``: system of an identifier = what the receiver calls its assigning authority.
    """

    application: str = _OURS
    facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    authorities: Mapping[str, str] | None = None


def message(
    parties: Parties,
    patient: Patient,
    rows: Sequence[ObservationRow],
    *,
    control_id: str,
    now: datetime,
    processing: str = "P",
) -> bytes:
    """One message, its segments ended by CR, in UTF-8."""
    segments = [_header(parties, control_id, now, processing), patient_segment(parties, patient)]
    for number, row in enumerate(rows, 1):
        segments += observation_segments(number, row)
    return "".join(f"{each}\r" for each in segments).encode()


def withdrawn(row: ObservationRow, at: datetime) -> ObservationRow:
    """An Observation as it is told to the record of a patient whose it is no longer.

    Without a number: it is another patient's, or nobody's, by now.
    """
    about = row.circumstances
    kinds = tuple(
        Kind(each.metric, 0, CODE_BY_ABSENT[Absent.INVALID], each.unit, int(Flag.WITHDRAWN))
        for each in about.kinds
    )
    return replace(
        row, circumstances=replace(about, kinds=kinds), mantissas=(0,) * len(kinds), raw=None,
        context=(), stored_at=at,
    )  # fmt: skip


def _header(parties: Parties, control_id: str, now: datetime, processing: str) -> str:
    sender = (parties.application, parties.facility)
    receiver = (parties.receiving_application, parties.receiving_facility)
    fields = [
        "^~\\&", *map(escaped, (*sender, *receiver)), moment(now.replace(microsecond=0)), "",
        "ORU^R01^ORU_R01", escaped(control_id), processing, "2.6", "", "", "NE", "AL", "",
        "UNICODE UTF-8", "", "", _PROFILE,
    ]  # fmt: skip
    return "|".join(("MSH", *fields))


def patient_segment(parties: Parties, patient: Patient) -> str:
    """PID."""
    known = parties.authorities or {}
    ids = [
        _identifier(value, known.get(system, ""), system)
        for system, value in patient.identifiers
        if value
    ]
    ids.append(f"{patient.patient_id}^^^{_OURS}^PI")
    born = "" if patient.birth_date is None else f"{patient.birth_date:%Y%m%d}"
    return segment(
        "PID",
        {
            1: "1", 3: "~".join(ids),
            5: components(patient.family, patient.given, "", "", "", "", "L"),
            7: born, 8: _GENDERS[patient.gender],
        },
    )  # fmt: skip


def _identifier(value: str, authority: str, system: str) -> str:
    """CX: the assigning authority by its name here, else by the system itself."""
    if authority or not system:
        return f"{escaped(value)}^^^{escaped(authority)}^MR"
    universal, kind = (
        (system.removeprefix(_OID), "ISO") if system.startswith(_OID) else (system, "URI")
    )
    return f"{escaped(value)}^^^&{escaped(universal)}&{kind}^MR"


def observation_segments(number: int, row: ObservationRow) -> Iterable[str]:
    """OBR, the OBX of each number, and their remarks; ``number``: of the OBR in its message."""
    about = row.circumstances
    offset = about.offset_min if abs(about.offset_min) <= OFFSET_LIMIT_MIN else 0
    taken_at = local(row.time_us, offset)
    taken = moment(taken_at if has_fraction(about) else taken_at.replace(microsecond=0))
    values = row.values
    states = {_state(value) for value in values}
    whole = "C" if states & {"C", "W"} else "P" if "P" in states else "F"
    yield segment(
        "OBR",
        {
            1: str(number), 3: components(row.observation_id, _OURS),
            4: code(row.origin.metric, values[0].unit), 7: taken,
            22: moment(row.stored_at.astimezone(UTC).replace(microsecond=0)),
            25: "F" if states == {"X"} else whole,
        },
    )  # fmt: skip
    yield from of_observation(row)
    for number_in, value in enumerate(values, 1):
        yield _result(number_in, row.origin, value, taken)
        yield from of_value(value)


def _result(number: int, origin: Origin, value: Value, taken: str) -> str:
    has_digits = is_number(value)
    digits = format(decimal_from_parts(value.mantissa, value.scale), "f") if has_digits else ""
    return segment(
        "OBX",
        {
            1: str(number), 2: "NM", 3: code(value.metric, value.unit),
            4: f"1.0.1.{_PLACES.get(value.metric, 1)}", 5: digits, 6: unit_code(value.unit),
            8: "~".join(marks(value)), 11: _state(value), 14: taken,
            18: components(str(origin.device_id), _OURS), 20: components("", origin.site or ""),
        },
    )  # fmt: skip


def _state(value: Value) -> str:
    """OBX-11."""
    if value.flags & Flag.WITHDRAWN:
        return "W"
    if not (is_number(value) or is_beyond_scale(value)):
        return "X"
    if value.flags & Flag.CORRECTED:
        return "C"
    return "P" if value.flags & Flag.EARLY else "F"
