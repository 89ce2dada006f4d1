"""What images say otherwise than the register of the patient whose they are, in words for a note.

The pages of images say the same (imaging/owner.py). A study has the words of one of its instances;
an ECG or a document its own.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from uuid import UUID

import orjson

from wardlight_cloud.imaging.owner import relation, said_of
from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.imaging import ImageRow, InstanceRef

_AT_ONCE: Final = 20  # the header of an ECG has all its samples


class DoubtReads(Protocol):
    """What this asks of the store."""

    async def headers_of(self, sop_uids: Sequence[str]) -> tuple[tuple[InstanceRef, bytes], ...]:
        """See ImageStore."""

    async def patients(
        self,
        *,
        ids: Sequence[UUID] | None = None,
        identifier: tuple[str | None, str] | None = None,
        family_prefix: str | None = None,
        count: int = 50,
        after: bytes | None = None,
    ) -> tuple[tuple[Patient, ...], bytes | None]:
        """See ReadStore."""


async def doubts(store: DoubtReads, rows: Sequence[ImageRow]) -> Mapping[str, str]:
    """By UID, of the study or of the instance that a row is of: what does not fit, where any."""
    owners = await _owners(store, sorted({row.patient for row in rows if row.patient is not None}))
    found = {}
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        uids = [row.ref.sop_uid for row in part if row.ref is not None]
        headers = {ref.sop_uid: text for ref, text in await store.headers_of(uids)} if uids else {}
        for row in part:
            uid = row.study_uid if row.ref is None else row.ref.sop_uid
            said = said_of(orjson.loads(headers.get(uid, row.study)))
            owner = None if row.patient is None else owners.get(row.patient)
            what = "study" if row.ref is None else "object"
            if owner is not None and (words := relation(said, row.patient, owner, what)):
                found[uid] = words
    return found


async def _owners(store: DoubtReads, ids: Sequence[UUID]) -> Mapping[UUID, Patient]:
    if not ids:
        return {}
    patients, _ = await store.patients(ids=ids, count=len(ids))
    return {patient.patient_id: patient for patient in patients}
