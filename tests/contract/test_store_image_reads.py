"""ImageReadStore: who looked at which study, when, by which face."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from support.image_rows import instance
from support.readings import NOW
from support.store import patient
from wardlight_cloud.store.audit import AuditQuery
from wardlight_cloud.store.image_keeping import KeepRule
from wardlight_cloud.store.image_reads import PERIOD, ImageRead, Reader
from wardlight_cloud.store.postgres import PostgresStore

pytestmark = pytest.mark.either_engine
_ANNA = Reader("user", "anna")
_START = NOW.replace(minute=0, second=0, microsecond=0)


def _read(minute: float, requests: int = 1, **more: object) -> ImageRead:
    at = _START + timedelta(minutes=minute)
    return replace(ImageRead(_ANNA, "1.2.3", "dicomweb", at, at, requests), **more)  # type: ignore[arg-type]


async def test_reads_of_a_period_are_one_row(store: PostgresStore) -> None:
    """Whatever order batches come in, of however many processes; a later period is another row."""
    await store.put_reads([_read(3, 5), _read(1, 2)])
    await store.put_reads([_read(9), _read(2, 4)])
    await store.put_reads([_read(PERIOD.total_seconds() / 60)])
    await store.put_reads([])
    earlier, later = _read(1, 12), _read(15)
    assert await store.image_reads() == (later, replace(earlier, last_at=_read(9).last_at))


async def test_reads_of_nodes_are_in_the_audit_trail(store: PostgresStore) -> None:
    """One entry for a node, a study and a period; requests of the other faces have their own."""
    one = (await store.put_patient(patient())).patient_id
    await store.put_instances([instance("1.1", patient=one)])
    node = Reader("node", "VIEW@10.1.2.3")
    await store.put_reads([_read(1, reader=node, face="dimse"), _read(1), _read(2, face="viewer")])
    await store.put_reads([_read(3, 9, reader=node, face="dimse")])
    await store.put_reads([_read(16, reader=node, face="dimse")])
    await store.put_reads([_read(17, reader=node, face="dimse", study_uid="9.9")])
    rows = await store.audit_events(AuditQuery(None))
    assert [(row.face, row.resource_id, row.patients) for row in reversed(rows)] == [
        ("dimse", "1.2.3", (one,)), ("dimse", "1.2.3", (one,)), ("dimse", "9.9", ()),
    ]  # fmt: skip
    assert {(row.client, row.address) for row in rows} == {("VIEW@10.1.2.3", "10.1.2.3")}


async def test_reads_are_told_apart_and_found(store: PostgresStore) -> None:
    node = Reader("node", "anna")
    reads = (
        _read(5, study_uid="9.9"),
        _read(4, face="viewer"),
        _read(3, reader=node, face="dimse"),
        _read(2),
    )
    await store.put_reads(reads)
    assert await store.image_reads() == reads
    assert await store.image_reads(count=1) == reads[:1]
    assert await store.image_reads(study_uid="1.2.3") == reads[1:]
    assert await store.image_reads(reader="anna") == reads
    assert await store.image_reads(reader="bert") == ()
    assert await store.image_reads(since=_read(3).last_at) == reads[:3]


async def test_reads_of_a_patient_stay_when_the_study_is_removed(store: PostgresStore) -> None:
    one = (await store.put_patient(patient())).patient_id
    await store.put_instances([instance("1.1", patient=one)])
    await store.put_reads([_read(1), _read(2, study_uid="9.9")])
    assert await store.image_reads(patient=one) == (_read(1),)
    assert await store.image_reads(patient=uuid4()) == ()
    rule = KeepRule("old", before=NOW + timedelta(days=3650))
    assert await store.remove_study("1.2.3", rule) == 1
    assert await store.image_reads(patient=one) == (_read(1),)
