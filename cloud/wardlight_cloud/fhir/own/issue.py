"""DetectedIssues and Flags: alarms of devices, trouble with their links, data that were lost.

They are two views of the same events, with the same id. A Flag is active until the event has
ended. Who was told of an alarm and what came of it is not known here.

Source  R4 4.0.1 DetectedIssue, Flag
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.own.asked import Asked, within
from wardlight_cloud.fhir.own.kind import Made, Page
from wardlight_cloud.fhir.vocabulary import code_of
from wardlight_cloud.security.access import Reach
from wardlight_cloud.store.device_facts import DeviceFactStore, Trouble, TroubleQuery, TroubleRow
from wardlight_shared.codes import BY_WIRE

CODE_SYSTEM: Final = "urn:wardlight:event"
IDENTIFIER_SYSTEM: Final = "urn:wardlight:event-id"
_FLAG_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/flag-category"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_SEVERITY: Final[dict[Trouble, str]] = {"alarm": "high", "link": "moderate", "gap": "low"}
_TROUBLES: Final[tuple[Trouble, ...]] = ("alarm", "link", "gap")
_TEXT: Final[dict[Trouble, str]] = {
    "alarm": "The device signals an alarm: {}",
    "link": "The device cannot be used: {}",
    "gap": "Measurements of the device are lost: {}",
}

ISSUE_PARAMETERS: Final = {
    "_id": "token", "_lastUpdated": "date", "code": "token", "identified": "date",
    "identifier": "token", "implicated": "reference", "patient": "reference", "status": "token",
}  # fmt: skip
FLAG_PARAMETERS: Final = {
    "_id": "token", "_lastUpdated": "date", "author": "reference", "date": "date",
    "identifier": "token", "patient": "reference", "status": "token", "subject": "reference",
}  # fmt: skip
"""R4 has no ``status`` for either; who looks for active flags means it all the same (R5 has it)."""


class _Events:
    """What both kinds have in common."""

    kind = ""
    _date = ""
    _device = ""
    _statuses: tuple[str, str, str] = ("", "", "")  # system, before the end, after it

    def __init__(self, store: DeviceFactStore) -> None:
        self._store = store

    async def find(self, asked: Asked, reach: Reach, *, count: int, after: bytes | None) -> Page:
        """See OwnKind; the latest first."""
        place = None if after is None else _opened(after)
        query = self._query(asked, reach, count + 1, place)
        rows = () if query is None else await self._store.troubles(query)
        page = rows[:count]
        following = None
        if len(rows) > count and page:
            following = b"e" + msgspec.msgpack.encode((page[-1].started_at, page[-1].key))
        return [self._made(row) for row in page], following

    async def read(self, resource_id: str, reach: Reach) -> Made | None:
        """See OwnKind."""
        if not resource_id.startswith(tuple(f"{each}-" for each in _TROUBLES)):
            return None
        query = TroubleQuery(reach.patients, keys=(resource_id,), count=1)
        return next((self._made(row) for row in await self._store.troubles(query)), None)

    def _made(self, row: TroubleRow) -> Made:
        version = str((row.changed_at - _EPOCH) // _MS)
        resource = self._resource(row)
        head = {
            "resourceType": self.kind,
            "id": row.key,
            "meta": {"versionId": version, "lastUpdated": instant(row.changed_at)},
            "identifier": [{"system": IDENTIFIER_SYSTEM, "value": row.key}],
        }
        return Made(head | {"status": self._status(row)} | resource, version, row.changed_at)

    def _status(self, row: TroubleRow) -> str:
        return self._statuses[1 if row.ended_at is None else 2]

    def _resource(self, row: TroubleRow) -> dict[str, Any]:
        raise AssertionError(row)  # each kind has its own

    def _query(
        self, asked: Asked, reach: Reach, count: int, after: tuple[datetime, str] | None
    ) -> TroubleQuery | None:
        """None where nothing can be found."""
        patients = within(reach.patients, asked.ids("patient", "Patient"))
        patients = within(patients, asked.ids("subject", "Patient"))
        system, before, afterwards = self._statuses
        statuses = asked.codes("status", [system])
        is_over = None
        if statuses is not None:
            found = {before, afterwards} & set(statuses)
            if not found:
                return None
            is_over = None if len(found) == len({before, afterwards}) else afterwards in found
        start, end = asked.interval(self._date)
        changed_from, changed_to = asked.interval("_lastUpdated")
        return TroubleQuery(
            patients, asked.ids(self._device, "Device"), _troubles(asked), start, end,
            asked.names("identifier", [IDENTIFIER_SYSTEM]), changed_from, changed_to, is_over,
            after, count,
        )  # fmt: skip


class DetectedIssues(_Events):
    """See OwnKind."""

    kind = "DetectedIssue"
    parameters = ISSUE_PARAMETERS
    _date = "identified"
    _device = "implicated"
    _statuses = ("http://hl7.org/fhir/observation-status", "preliminary", "final")

    def _resource(self, row: TroubleRow) -> dict[str, Any]:
        parts = [f"Observation/{each}" for each in row.parts]
        return {
            "code": _code(row),
            "severity": _SEVERITY[row.trouble],
            "patient": {"reference": f"Patient/{row.patient_id}"},
            "identifiedPeriod": _period(row),
            "implicated": [
                {"reference": each} for each in (f"Device/{row.device_id}", *parts)
            ],
            "detail": _text(row),
        }  # fmt: skip


class Flags(_Events):
    """See OwnKind."""

    kind = "Flag"
    parameters = FLAG_PARAMETERS
    _date = "date"
    _device = "author"
    _statuses = ("http://hl7.org/fhir/flag-status", "active", "inactive")

    def _resource(self, row: TroubleRow) -> dict[str, Any]:
        is_clinical = row.trouble == "alarm"
        category = {
            "system": _FLAG_CATEGORY,
            "code": "clinical" if is_clinical else "admin",
            "display": "Clinical" if is_clinical else "Administrative",
        }
        return {
            "category": [{"coding": [category]}],
            "code": _code(row),
            "subject": {"reference": f"Patient/{row.patient_id}"},
            "period": _period(row),
            "author": {"reference": f"Device/{row.device_id}"},
        }


def _troubles(asked: Asked) -> tuple[Trouble, ...] | None:
    codes = asked.codes("code", [CODE_SYSTEM])
    return None if codes is None else tuple(each for each in _TROUBLES if each in codes)


def _opened(cursor: bytes) -> tuple[datetime, str]:
    try:
        return msgspec.msgpack.decode(cursor.removeprefix(b"e"), type=tuple[datetime, str])
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError("not a cursor of this search") from error


def _period(row: TroubleRow) -> dict[str, str]:
    end = {} if row.ended_at is None else {"end": instant(row.ended_at)}
    return {"start": instant(row.started_at), **end}


def _what(row: TroubleRow) -> str:
    if row.metric is None:
        return row.detail
    return str(code_of(BY_WIRE[row.metric])["text"]) if row.metric in BY_WIRE else ""


def _text(row: TroubleRow) -> str:
    return _TEXT[row.trouble].format(_what(row) or "unknown")


def _code(row: TroubleRow) -> dict[str, Any]:
    return {"coding": [{"system": CODE_SYSTEM, "code": row.trouble}], "text": _text(row)}
