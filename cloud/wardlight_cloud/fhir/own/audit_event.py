"""AuditEvents: entries of the audit trail, for those who may read it.

An entry about several patients shows to the token of one of them that patient alone, and no query.

Source  R4 4.0.1 AuditEvent; IHE BALP 1.1 (agents, entities and their roles); DICOM PS3.16 CID 400
"""

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.own.asked import Asked, within
from wardlight_cloud.fhir.own.kind import Made, Page
from wardlight_cloud.security.access import Reach
from wardlight_cloud.store.audit import AuditQuery, AuditRow, AuditStore
from wardlight_cloud.store.resources import Patients

KIND: Final = "AuditEvent"
CLIENT_SYSTEM: Final = "urn:wardlight:client"
LOGIN_SYSTEM: Final = "urn:wardlight:login"
_STUDY_SYSTEM: Final = "urn:dicom:uid"
_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_TYPES: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_RESTFUL: Final = "http://hl7.org/fhir/restful-interaction"
_ENTITY_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ENTITY_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_SOURCE_TYPE: Final = "http://terminology.hl7.org/CodeSystem/security-source-type"
_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_ID: Final = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})")
_CURSOR: Final = re.compile(rb"a([0-9a-f]{1,16})-([0-9a-f]{1,16})")
_LAST_US: Final = 253_402_300_799_000_000
_LARGEST_ID: Final = 1 << 62

_Coding = dict[str, str]
_REST: Final = {"system": _TYPES, "code": "rest", "display": "RESTful Operation"}


def _dcm(code: str, display: str) -> _Coding:
    return {"system": _DCM, "code": code, "display": display}


_SIGN_IN: Final = _dcm("110114", "User Authentication")
_OF_FACE: Final[dict[str, _Coding]] = {
    "fhir": _REST,
    "dashboard": _dcm("110110", "Patient Record"),
    "api": _dcm("110110", "Patient Record"),
    "sign-in": _SIGN_IN,
    "notice": _dcm("110106", "Export"),
    "hl7": _dcm("110106", "Export"),
    "dimse": _dcm("110103", "DICOM Instances Accessed"),
    "audit": _dcm("110113", "Security Alert"),
}
_IP: Final = re.compile(r"[0-9.]+|[0-9a-fA-F.]*:[0-9a-fA-F:.]*")
_SENT: Final = frozenset({"notice", "hl7"})
_HL7_SAID: Final = {0: "taken", 400: "refused", 500: "not acknowledged"}
_OF_IMAGES: Final[dict[str, _Coding]] = {
    "retrieve": _dcm("110103", "DICOM Instances Accessed"),
    "query": _dcm("110112", "Query"),
    "store": _dcm("110104", "DICOM Instances Transferred"),
}
_SUBTYPES: Final[dict[str, _Coding]] = {
    "login": _dcm("110122", "Login"),
    "logout": _dcm("110123", "Logout"),
}
_OWN_SUBTYPE: Final = "urn:wardlight:interaction"
_OUTCOMES: Final = {"0": (0, 399), "4": (400, 499), "8": (500, 999), "12": (1000, 1000)}
_NOT_RESTFUL: Final = frozenset(
    {"view", "retrieve", "query", "store", "token", "authorize", "notice", "message", "loss"}
)

AUDIT_PARAMETERS: Final = {
    "_id": "token", "_lastUpdated": "date", "action": "token", "address": "string",
    "agent-name": "string", "date": "date", "entity": "reference", "outcome": "token",
    "patient": "reference", "subtype": "token", "type": "token",
}  # fmt: skip


class AuditEvents:
    """See OwnKind."""

    kind = KIND
    parameters = AUDIT_PARAMETERS

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    async def find(self, asked: Asked, reach: Reach, *, count: int, after: bytes | None) -> Page:
        """See OwnKind; the latest first."""
        place = None if after is None else _opened(after)
        query = _query(asked, reach, count + 1, place)
        rows = () if query is None else await self._store.audit_events(query)
        page = rows[:count]
        following = b"a" + _id(page[-1]).encode() if len(rows) > count and page else None
        return [_made(row, reach.patients) for row in page], following

    async def read(self, resource_id: str, reach: Reach) -> Made | None:
        """See OwnKind."""
        event = _event(resource_id)
        if event is None:
            return None
        query = AuditQuery(reach.patients, events=(event,), count=1)
        return next(
            (_made(row, reach.patients) for row in await self._store.audit_events(query)), None
        )


def _query(
    asked: Asked, reach: Reach, count: int, after: tuple[datetime, int] | None
) -> AuditQuery | None:
    """None where nothing can be found."""
    start, end = asked.interval("date", "_lastUpdated")
    patients = asked.ids("patient", "Patient")
    ids = asked.values("_id")
    events = None if ids is None else tuple(found for each in ids if (found := _event(each)))
    outcomes = asked.codes("outcome", ["http://terminology.hl7.org/CodeSystem/audit-event-outcome"])
    faces, interactions = _faces(asked), _interactions(asked)
    if () in (within(reach.patients, patients), events, faces, interactions, outcomes):
        return None
    return AuditQuery(
        reach.patients, patients, start, end, events,
        asked.codes("action", ["http://hl7.org/fhir/audit-event-action"]), faces, interactions,
        asked.values("agent-name"), asked.values("address"), _entities(asked),
        None if outcomes is None else tuple(_OUTCOMES[c] for c in outcomes if c in _OUTCOMES),
        count, after,
    )  # fmt: skip


def _entities(asked: Asked) -> tuple[str, ...] | None:
    """``Kind/id`` of references; a study also by its UID."""
    return asked.values("entity")


def _faces(asked: Asked) -> tuple[str, ...] | None:
    codes = asked.codes("type", [_TYPES, _DCM])
    if codes is None:
        return None
    images = ("dicomweb",) if {each["code"] for each in _OF_IMAGES.values()} & set(codes) else ()
    return (*(face for face, coding in _OF_FACE.items() if coding["code"] in codes), *images)


def _interactions(asked: Asked) -> tuple[str, ...] | None:
    codes = asked.codes("subtype", [_RESTFUL, _DCM, _OWN_SUBTYPE])
    if codes is None:
        types = asked.codes("type", [_TYPES, _DCM])
        images = [name for name, coding in _OF_IMAGES.items() if coding["code"] in (types or ())]
        return tuple(images) or None
    named = {coding["code"]: name for name, coding in _SUBTYPES.items()}
    return tuple(named.get(code, code) for code in codes)


def _id(row: AuditRow) -> str:
    return f"{(row.recorded_at - _EPOCH) // _US:x}-{row.event_id:x}"


def _event(text: str) -> tuple[datetime, int] | None:
    found = _ID.fullmatch(text)
    if found is None:
        return None
    us, event_id = int(found[1], 16), int(found[2], 16)
    return (_EPOCH + us * _US, event_id) if us < _LAST_US and event_id < _LARGEST_ID else None


def _opened(cursor: bytes) -> tuple[datetime, int]:
    found = _CURSOR.fullmatch(cursor)
    place = None if found is None else _event(cursor[1:].decode())
    if place is None:
        raise ValueError("not a cursor of this search")
    return place


def _made(row: AuditRow, seen: Patients) -> Made:
    return Made(audit_event(row, seen), "1", row.recorded_at)


def audit_event(row: AuditRow, seen: Patients) -> dict[str, Any]:
    """One AuditEvent, with the patients of ``seen`` (None = all)."""
    patients = [each for each in row.patients if seen is None or each in seen]
    is_whole = len(patients) == len(row.patients)
    resource: dict[str, Any] = {
        "resourceType": KIND,
        "id": _id(row),
        "meta": {"versionId": "1", "lastUpdated": instant(row.recorded_at)},
        "type": _OF_IMAGES.get(row.interaction, _REST) if row.face == "dicomweb"
        else _OF_FACE.get(row.face, _REST),
        "subtype": [_subtype(row.interaction)],
        "action": row.action,
        "recorded": instant(row.recorded_at),
        "outcome": _outcome(row),
        "outcomeDesc": _said(row),
        "agent": _agents(row),
        "source": {
            "observer": {"display": "Wardlight"},
            "type": [{"system": _SOURCE_TYPE, "code": "4", "display": "Application Server"}],
        },
        "entity": [*map(_patient, patients), *(_data(row, with_query=is_whole))],
    }  # fmt: skip
    return {name: value for name, value in resource.items() if value not in ("", [])}


def _subtype(interaction: str) -> _Coding:
    known = _SUBTYPES.get(interaction)
    if known is not None:
        return known
    system = _OWN_SUBTYPE if interaction in _NOT_RESTFUL else _RESTFUL
    return {"system": system, "code": interaction}


def _outcome(row: AuditRow) -> str:
    if row.face == "audit":
        return "8"
    return next(code for code, (low, high) in _OUTCOMES.items() if low <= row.status <= high)


def _said(row: AuditRow) -> str:
    if row.face == "audit":
        return f"{row.query} requests could not be put on record"
    if row.face == "hl7":
        return _HL7_SAID.get(row.status, "")
    if row.face == "dimse":
        return ""
    return f"HTTP {row.status}"


def _agents(row: AuditRow) -> list[dict[str, Any]]:
    if row.face in _SENT:
        return _parties(row)
    agents: list[dict[str, Any]] = []
    where = {"network": {"address": row.address, "type": "2"}} if row.address else {}
    if row.client or not row.login:
        who: dict[str, Any] = {"display": row.client or "unknown"}
        if row.client and row.face != "dimse":
            who["identifier"] = {"system": CLIENT_SYSTEM, "value": row.client}
        if row.face == "audit":
            who = {"display": "Wardlight"}
        agents.append(
            {"type": {"coding": [_dcm("110153", "Source Role ID")]}, "who": who,
             "name": who["display"], "requestor": not row.login, **where}
        )  # fmt: skip
    if row.login:
        user = {"identifier": {"system": LOGIN_SYSTEM, "value": row.login}, "display": row.login}
        role = {"system": _PARTICIPATION, "code": "IRCP", "display": "information recipient"}
        agents.append(
            {"type": {"coding": [role]}, "who": user, "name": row.login, "requestor": True,
             **({} if row.client else where)}
        )  # fmt: skip
    return agents


def _parties(row: AuditRow) -> list[dict[str, Any]]:
    """Of what was sent: this server, and who got it."""
    to: dict[str, Any] = {"display": row.client}
    if row.face == "notice":
        to["identifier"] = {"system": CLIENT_SYSTEM, "value": row.client}
    kind = "2" if _IP.fullmatch(row.address) else "1"
    where = {"network": {"address": row.address, "type": kind}} if row.address else {}
    return [
        {"type": {"coding": [_dcm("110153", "Source Role ID")]}, "who": {"display": "Wardlight"},
         "name": "Wardlight", "requestor": True},
        {"type": {"coding": [_dcm("110152", "Destination Role ID")]}, "who": to,
         "name": row.client, "requestor": False, **where},
    ]  # fmt: skip


def _coded(system: str, code: str, display: str) -> _Coding:
    return {"system": system, "code": code, "display": display}


def _patient(patient: object) -> dict[str, Any]:
    return {
        "what": {"reference": f"Patient/{patient}"},
        "type": _coded(_ENTITY_TYPE, "1", "Person"),
        "role": _coded(_ENTITY_ROLE, "1", "Patient"),
    }


def _data(row: AuditRow, *, with_query: bool) -> list[dict[str, Any]]:
    """What was asked for, and with which query."""
    if row.face in ("audit", "sign-in"):
        return []
    made: list[dict[str, Any]] = []
    system_object = _coded(_ENTITY_TYPE, "2", "System Object")
    if row.kind == "ImagingStudy" and row.face != "fhir" and row.resource_id:
        study = {"system": _STUDY_SYSTEM, "value": f"urn:oid:{row.resource_id}"}
        made.append(
            {"what": {"identifier": study, "type": "ImagingStudy"}, "type": system_object,
             "role": _coded(_ENTITY_ROLE, "3", "Report")}
        )  # fmt: skip
    elif row.kind and row.kind != "Patient" and row.resource_id:
        made.append(
            {"what": _reference(row), "type": system_object,
             "role": _coded(_ENTITY_ROLE, "4", "Domain Resource")}
        )  # fmt: skip
    elif row.resource_id and row.kind != "Patient":
        made.append({"name": row.resource_id, "type": system_object})
    if (row.query and with_query) or row.interaction == "search-type":
        query = base64.b64encode(f"{row.kind}?{row.query if with_query else ''}".encode()).decode()
        made.append(
            {"type": system_object, "role": _coded(_ENTITY_ROLE, "24", "Query"), "query": query}
        )
    return made


def _reference(row: AuditRow) -> dict[str, Any]:
    """A kind that nobody knows may have been asked for: no reference to it then."""
    is_plain = re.fullmatch(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}", f"{row.kind}/{row.resource_id}")
    if is_plain:
        return {"reference": f"{row.kind}/{row.resource_id}"}
    return {"display": f"{row.kind}/{row.resource_id}"}
