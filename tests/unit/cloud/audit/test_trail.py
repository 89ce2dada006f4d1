"""The audit trail: what is noted is written once and in order, and what is lost is on record."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest

from support.waiting import wait_until
from wardlight_cloud.audit.requests import what_is_asked
from wardlight_cloud.audit.trail import AuditTrail
from wardlight_cloud.store.audit import AuditEntry, AuditQuery, AuditRow
from wardlight_shared.errors import StorageError


class Table:
    """Takes entries, unless it is away."""

    def __init__(self) -> None:
        self.rows: list[AuditEntry] = []
        self.is_away = False

    async def put_audit(self, entries: Sequence[AuditEntry]) -> None:
        if self.is_away:
            raise StorageError("away")
        self.rows += entries

    async def audit_events(self, query: AuditQuery) -> tuple[AuditRow, ...]:
        raise AssertionError(query)

    async def forget_audit(self, *, older_than: datetime) -> int:
        raise AssertionError(older_than)


def entry(number: int, client: str = "ehr") -> AuditEntry:
    return AuditEntry(
        float(number), "fhir", "R", "read", 200, "Task", str(number), "", client, "", "", ""
    )


def trail_to(table: Table, most: int = 100) -> AuditTrail:
    return AuditTrail(table, clock=lambda: 7.0, pause_s=0.0, retry_s=0.001, most=most)


async def test_what_waits_while_the_database_is_away_is_written_once() -> None:
    table = Table()
    table.is_away = True
    async with trail_to(table) as trail:
        for number in range(5):
            trail.note(entry(number))
            await asyncio.sleep(0)
        table.is_away = False
        await wait_until(lambda: len(table.rows) == 5)
        trail.note(entry(5))
    assert [each.at for each in table.rows] == [0, 1, 2, 3, 4, 5]


async def test_what_finds_no_room_is_counted_and_that_is_on_record() -> None:
    table = Table()
    table.is_away = True
    async with trail_to(table, most=20) as trail:
        for number in range(23):
            trail.note(entry(number))
        for number in range(50):
            trail.note(entry(number, client=""))
        table.is_away = False
        await wait_until(lambda: any(each.face == "audit" for each in table.rows))
    losses = [each for each in table.rows if each.face == "audit"]
    assert [each.at for each in table.rows if each.client] == list(range(20))
    assert [(each.interaction, each.query) for each in losses] == [("loss", "53")]


async def test_strangers_take_a_tenth_of_the_room() -> None:
    table = Table()
    table.is_away = True
    async with trail_to(table, most=20) as trail:
        for number in range(50):
            trail.note(entry(number, client=""))
        for number in range(10):
            trail.note(entry(number))
        table.is_away = False
        await wait_until(lambda: len([each for each in table.rows if each.client]) == 10)
    assert len([each for each in table.rows if not each.client and each.face == "fhir"]) == 2


PATIENT = "0b8f4f5e-6f0a-4a3b-9d3e-7f1f6f0c2a11"
ASKED = [
    ("GET", "/fhir/Observation", ("fhir", "E", "search-type", "Observation", "", "")),
    ("POST", "/fhir/Observation/_search", ("fhir", "E", "search-type", "Observation", "", "")),
    ("GET", "/fhir/Task/7", ("fhir", "R", "read", "Task", "7", "")),
    ("GET", "/fhir/Task/7/_history/2", ("fhir", "R", "vread", "Task", "7", "")),
    ("GET", "/fhir/Task/7/_history", ("fhir", "R", "history-instance", "Task", "7", "")),
    ("GET", "/fhir/Task/_history", ("fhir", "R", "history-type", "Task", "", "")),
    ("GET", "/fhir/_history", ("fhir", "R", "history-system", "", "", "")),
    ("POST", "/fhir/Task", ("fhir", "C", "create", "Task", "", "")),
    ("PUT", "/fhir/Task/7", ("fhir", "U", "update", "Task", "7", "")),
    ("PATCH", "/fhir/Task/7", ("fhir", "U", "patch", "Task", "7", "")),
    ("DELETE", "/fhir/Task/7", ("fhir", "D", "delete", "Task", "7", "")),
    ("POST", "/fhir", ("fhir", "E", "transaction", "", "", "")),
    ("GET", f"/fhir/Patient/{PATIENT}", ("fhir", "R", "read", "Patient", PATIENT, PATIENT)),
    ("GET", f"/fhir/Patient/{PATIENT}/$everything",
     ("fhir", "E", "operation", "Patient", PATIENT, PATIENT)),
    ("GET", "/fhir/$export", ("fhir", "E", "operation", "", "", "")),
    ("GET", "/fhir/metadata", None),
    ("GET", "/fhir/.well-known/smart-configuration", None),
    ("GET", "/dicom-web/studies", ("dicomweb", "E", "query", "ImagingStudy", "", "")),
    ("GET", "/dicom-web/studies/1.2/series/1.3/instances/1.4",
     ("dicomweb", "R", "retrieve", "ImagingStudy", "1.2", "")),
    ("GET", "/dicom-web/studies/1.2/series", ("dicomweb", "E", "query", "ImagingStudy", "1.2", "")),
    ("POST", "/dicom-web/studies", ("dicomweb", "C", "store", "ImagingStudy", "", "")),
    ("GET", f"/patients/{PATIENT}", ("dashboard", "R", "view", "Patient", PATIENT, PATIENT)),
    ("GET", "/studies/1.2", ("dashboard", "R", "view", "ImagingStudy", "1.2", "")),
    ("GET", "/", ("dashboard", "R", "view", "", "/", "")),
    ("GET", "/api/v1/live", ("api", "R", "view", "", "/api/v1/live", "")),
    ("POST", "/login", ("sign-in", "E", "login", "", "", "")),
    ("POST", "/oauth/token", ("sign-in", "E", "token", "", "", "")),
    ("GET", "/login", None),
    ("GET", "/static/app.css", None),
    ("GET", "/healthz", None),
    ("GET", "/metrics", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "expected"), ASKED)
def test_what_is_asked_stands_in_method_and_path(
    method: str, path: str, expected: tuple[str, ...] | None
) -> None:
    found = what_is_asked(method, path)
    assert (None if found is None else tuple(found)) == expected
