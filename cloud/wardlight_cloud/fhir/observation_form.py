"""The form in which the store may keep Observations for this face, and the keeping of them.

A day that was written anew for somebody is offered to the store, one at a time, behind the answer.
What the store declines is not offered again for a while.
"""

import asyncio
import contextlib
import hashlib
import inspect
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from wardlight_cloud.fhir import observation, observation_texts, phd_identifier, vocabulary
from wardlight_cloud.store import observed
from wardlight_cloud.store.observation_texts import Form, ObservationTextStore, PatientDay
from wardlight_shared import codes
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_WAITING_MOST: Final = 256
_OFFERED_MOST: Final = 4096
_AGAIN_S: Final = 60.0
_PAUSE_S: Final = 5.0  # after the database refused


def _digest() -> bytes:
    """Of all that decides what a text says: the templates and the table that they are made of."""
    digest = hashlib.sha256(repr(sorted(codes.METRICS.items())).encode())
    for module in (observation, observation_texts, phd_identifier, vocabulary, observed):
        digest.update(inspect.getsource(module).encode())
    return digest.digest()


OBSERVATIONS: Final = Form(_digest(), observation.observations)
"""R4 JSON of Observations."""


class DayKeeper:
    """Offers days to the store.

    In      days of pages that were written anew; more than wait already are let go
    """

    def __init__(self, store: ObservationTextStore, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._waiting: asyncio.Queue[PatientDay] = asyncio.Queue(_WAITING_MOST)
        self._offered: OrderedDict[PatientDay, float] = OrderedDict()

    def offer(self, days: Iterable[PatientDay]) -> None:
        """Take days without waiting."""
        now = self._clock()
        for day in days:
            if self._waiting.full():
                return
            if now < self._offered.get(day, now):
                continue
            self._offered[day] = now + _AGAIN_S
            self._offered.move_to_end(day)
            if len(self._offered) > _OFFERED_MOST:
                self._offered.popitem(last=False)
            self._waiting.put_nowait(day)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            day = await self._waiting.get()
            try:
                await self._store.keep_day(day, OBSERVATIONS)
            except StorageError as error:
                _log.warning("a day was not kept", extra={"error": str(error)})
                await asyncio.sleep(_PAUSE_S)
            finally:
                self._waiting.task_done()

    async def idle(self) -> None:
        """Until all that was offered is done."""
        await self._waiting.join()


@contextlib.asynccontextmanager
async def keeping(store: ObservationTextStore) -> AsyncIterator[DayKeeper]:
    """A keeper at work."""
    keeper = DayKeeper(store, clock=asyncio.get_running_loop().time)
    task = asyncio.create_task(keeper.run(), name="keep days")
    try:
        yield keeper
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
