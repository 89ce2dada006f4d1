"""Days are offered to the store behind the answer: each once in a while, none is waited for."""

import asyncio
from datetime import date, timedelta
from uuid import UUID

import pytest

from wardlight_cloud.fhir import observation_form
from wardlight_cloud.fhir.observation_form import OBSERVATIONS, DayKeeper, keeping
from wardlight_cloud.store.observation_texts import Form, PatientDay, TextPage
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_shared.errors import StorageError

FIRST = PatientDay(UUID(int=1), date(2026, 3, 1))
DAYS = [PatientDay(FIRST.patient_id, FIRST.day + timedelta(days=n)) for n in range(1000)]


class Keeping:
    """A store that notes what it is to keep."""

    def __init__(self) -> None:
        self.asked: list[PatientDay] = []
        self.fails = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def observation_texts(self, query: ObservationQuery, form: Form) -> TextPage:
        raise AssertionError("nobody asks for a page here")

    async def keep_day(self, of: PatientDay, form: Form) -> bool:
        await self.gate.wait()
        assert form is OBSERVATIONS
        self.asked.append(of)
        if self.fails:
            self.fails -= 1
            raise StorageError("the database is away")
        return False


async def test_a_day_is_offered_again_only_after_a_while() -> None:
    now = 100.0
    store = Keeping()
    keeper = DayKeeper(store, clock=lambda: now)
    working = asyncio.create_task(keeper.run())
    keeper.offer([FIRST, FIRST, DAYS[1]])
    keeper.offer([FIRST])
    await keeper.idle()
    assert store.asked == [FIRST, DAYS[1]]
    now += observation_form._AGAIN_S
    keeper.offer([FIRST])
    await keeper.idle()
    assert store.asked == [FIRST, DAYS[1], FIRST]
    working.cancel()


async def test_what_is_too_much_is_let_go() -> None:
    store = Keeping()
    store.gate.clear()
    async with keeping(store) as keeper:
        keeper.offer(DAYS)
        keeper.offer(DAYS)
        store.gate.set()
        await keeper.idle()
        assert store.asked == DAYS[: observation_form._WAITING_MOST]
        keeper.offer(DAYS[-1:])
        await keeper.idle()
        assert store.asked[-1] == DAYS[-1], "what was let go may come again at once"


async def test_a_database_that_is_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation_form, "_PAUSE_S", 0.0)
    store = Keeping()
    store.fails = 1
    async with keeping(store) as keeper:
        keeper.offer(DAYS[:2])
        await keeper.idle()
    assert store.asked == DAYS[:2]
