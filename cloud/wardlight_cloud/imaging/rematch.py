"""Finds patients who came to the register after their images."""

import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import orjson

from wardlight_cloud.imaging.columns import instance_header
from wardlight_cloud.imaging.matching import Issuers, match
from wardlight_cloud.store.image_keeping import Waiting
from wardlight_cloud.store.imaging import Identified, InstanceHeader
from wardlight_cloud.store.orders import Order

_log = logging.getLogger(__name__)
_STUDIES_A_TURN: Final = 500


class RematchStore(Protocol):
    """What this asks of the store."""

    async def matchable_studies(self, *, after: int, count: int) -> tuple[Waiting, ...]:
        """See ImageKeepingStore."""

    async def match_study(self, study_uid: str, patient: UUID) -> bool:
        """See ImageKeepingStore."""

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
            accession = header.columns.get("AccessionNumber", "")
            order = await self._store.order_of(accession) if accession else None
            patient = self._patient(each, header, candidates, order)
            found += patient is not None and await self._store.match_study(each.study_uid, patient)
        if found:
            _log.info("patients found for waiting studies", extra={"studies": found})
        return has_more

    def _patient(
        self,
        waiting: Waiting,
        header: InstanceHeader,
        candidates: Sequence[Identified],
        order: Order | None,
    ) -> UUID | None:
        """Whose it is by what each of the gateways that brought it knows; nobody's in doubt."""
        matches = [
            match(header, waiting.issuer, candidates, self._issuers, order, gateway or None)
            for gateway in waiting.gateways
        ]
        patients = {patient for patient, _ in matches} - {None}
        if len(patients) != 1 or any(reason != "unknown" for _, reason in matches):
            return None
        return patients.pop()


def _parsed(attributes: bytes) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(attributes)
    return found
