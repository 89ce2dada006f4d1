"""Finds patients who came to the register after their images."""

import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import orjson

from wardlight_cloud.imaging.columns import columns_of, instance_header
from wardlight_cloud.imaging.matching import Issuers, Match, match, registered_birth_date
from wardlight_cloud.store.image_arrivals import InstanceHeader
from wardlight_cloud.store.image_keeping import Waiting
from wardlight_cloud.store.imaging import Identified, InstanceRef
from wardlight_cloud.store.orders import Order

_log = logging.getLogger(__name__)
_STUDIES_A_TURN: Final = 500
_HEADERS_AT_ONCE: Final = 32
_WHOSE: Final = (
    "PatientID", "PatientBirthDate", "PatientName", "PatientSex", "AccessionNumber",
)  # fmt: skip


class RematchStore(Protocol):
    """What this asks of the store."""

    async def matchable_studies(self, *, after: int, count: int) -> tuple[Waiting, ...]:
        """See ImageKeepingStore."""

    async def match_study(self, waiting: Waiting, patient: UUID) -> bool:
        """See ImageKeepingStore."""

    async def doubt_study(self, study_uid: str) -> None:
        """See ImageKeepingStore."""

    async def instances(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> tuple[InstanceRef, ...]:
        """See ImageStore."""

    async def headers_of(self, sop_uids: Sequence[str]) -> tuple[tuple[InstanceRef, bytes], ...]:
        """See ImageStore."""

    async def identified(self, values: Sequence[str]) -> tuple[Identified, ...]:
        """See ImageStore."""

    async def order_of(self, accession: str) -> Order | None:
        """See OrderStore."""


class Rematch:
    """Matches waiting studies by the same rule as arriving ones, page by page."""

    def __init__(self, store: RematchStore, issuers: Issuers) -> None:
        self._store = store
        self._issuers = issuers
        self._after = 0

    async def turn(self) -> bool:
        """Look at some whose patient id the register knows by now; True when there are more."""
        waiting = await self._store.matchable_studies(after=self._after, count=_STUDIES_A_TURN)
        has_more = len(waiting) == _STUDIES_A_TURN
        self._after = waiting[-1].number if has_more else 0
        headers = [instance_header(_parsed(each.attributes), b"", "") for each in waiting]
        ids = sorted({header.patient_id for header in headers})
        candidates = await self._store.identified(ids) if ids else ()
        found = 0
        for each, header in zip(waiting, headers, strict=True):
            order = await self._order(header)
            patient = _one(self._matches(each, header, candidates, order))
            if patient is not None:
                found += await self._give(each, patient, candidates)
        if found:
            _log.info("patients found for waiting studies", extra={"studies": found})
        return has_more

    async def _give(
        self, waiting: Waiting, patient: UUID, candidates: Sequence[Identified]
    ) -> bool:
        """What is said of a study is one instance's; the others may be of somebody else."""
        for header in await self._headers(waiting.study_uid):
            order = await self._order(header)
            matches = self._matches(waiting, header, candidates, order)
            registered = registered_birth_date(patient, candidates, order)
            if _is_another(matches, patient, header, registered):
                await self._store.doubt_study(waiting.study_uid)
                _log.warning("a waiting study names several people", extra={"studies": 1})
                return False
        return await self._store.match_study(waiting, patient)

    async def _headers(self, study_uid: str) -> list[InstanceHeader]:
        """One of those that say the same of whose they are."""
        uids = [ref.sop_uid for ref in await self._store.instances(study_uid)]
        found: dict[tuple[str, ...], InstanceHeader] = {}
        for first in range(0, len(uids), _HEADERS_AT_ONCE):
            for _, text in await self._store.headers_of(uids[first : first + _HEADERS_AT_ONCE]):
                header = _parsed(text)
                columns = columns_of(header)
                told = tuple(columns.get(keyword, "") for keyword in _WHOSE)
                if told not in found:
                    found[told] = instance_header(header, b"", "")
        return list(found.values())

    async def _order(self, header: InstanceHeader) -> Order | None:
        accession = header.columns.get("AccessionNumber", "")
        return await self._store.order_of(accession) if accession else None

    def _matches(
        self,
        waiting: Waiting,
        header: InstanceHeader,
        candidates: Sequence[Identified],
        order: Order | None,
    ) -> list[Match]:
        """By what each of the gateways that brought it knows."""
        return [
            match(header, waiting.issuer, candidates, self._issuers, order, gateway or None)
            for gateway in waiting.gateways
        ]


def _one(matches: Sequence[Match]) -> UUID | None:
    """Nobody in doubt."""
    patients = {patient for patient, _ in matches} - {None}
    if len(patients) != 1 or any(reason != "unknown" for _, reason in matches):
        return None
    return patients.pop()


def _is_another(
    matches: Sequence[Match], patient: UUID, header: InstanceHeader, registered: str
) -> bool:
    """Whether an instance is not that patient's; one that nobody is found for says no other."""
    if any(found not in (None, patient) or reason != "unknown" for found, reason in matches):
        return True
    told = header.columns.get("PatientBirthDate", "")
    return "" not in (told, registered) and told != registered


def _parsed(attributes: bytes) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(attributes)
    return found
