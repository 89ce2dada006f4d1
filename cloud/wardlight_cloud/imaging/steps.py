"""Takes events of performed procedure steps (MPPS) that gateways deliver.

In      a blob of kind STEP with its offer: a DICOM file (edge: dicom/step_file.py)
Out     StepOutcome: the receipt, or why there is none
Errors  StorageError: the database is away; ask again

An event counts once, however often it comes: by SOP Instance UID, spool and number.
Source  DICOM PS3.4, F.7.2
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Literal

from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.store.orders import OrderStore, StepEvent, StepPut
from wardlight_shared.blobs import Offer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What became of an event. "stored" and "known" are receipts; ``reason`` of "refused"."""

    what: Literal["stored", "known", "refused"]
    reason: str | None = None


class StepIntake:
    """Takes events into the store."""

    def __init__(self, store: OrderStore) -> None:
        self._store = store

    async def take_step(self, gateway: str, offer: Offer, octets: bytes) -> StepOutcome:
        """Store an event; durable on return."""
        try:
            event = await asyncio.to_thread(_read, gateway, offer, octets)
        except HeaderError as error:
            about = {"gateway": gateway, "item": offer.item, "reason": error.reason}
            _log.warning("procedure step refused", extra=about)
            return StepOutcome("refused", error.reason)
        outcome = await self._store.put_step_event(event)
        if outcome is StepPut.DIFFERS:
            about = {"gateway": gateway, "item": offer.item}
            _log.error("another event has the number of this one", extra=about)
            return StepOutcome("refused", "differs")
        if outcome is StepPut.CONTRADICTS:
            _log.warning(
                "a procedure step of one patient names an order of another, which stays as it is; "
                "see `worklist steps`",
                extra={"gateway": gateway, "item": offer.item},
            )
        return StepOutcome("known" if outcome is StepPut.KNOWN else "stored")


def _read(gateway: str, offer: Offer, octets: bytes) -> StepEvent:
    # Imported with the first event: pydicom costs every process that takes blobs 40 MB.
    from wardlight_cloud.imaging.step_event import read_event

    return read_event(gateway, offer, octets)
