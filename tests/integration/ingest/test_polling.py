"""An EHR that keeps in step by ``_lastUpdated`` while collectors write and assignments move.

What it must end up with is worked out from what was sent and from who was given which device, not
from what the store says.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from support.api_process import serving
from support.collector_world import CollectorWorld
from support.envelopes import SERIES, event, record, sealed
from support.plain_http import PLAIN
from support.speaking_gateway import SpeakingGateway
from support.waiting import wait_until
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.base import Patient, Store
from wardlight_lab.broker import NatsServer
from wardlight_shared.envelope import SeriesEntry
from wardlight_shared.records import Lane
from wardlight_shared.timestamps import utc_ms_from_datetime

_log = logging.getLogger(__name__)
Speak = Callable[..., SpeakingGateway]
pytestmark = pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
COLLECTORS = [f"collector-{number}" for number in range(1, 5)]
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
BACKFILL = timedelta(days=9)
EVERY_S = 0.4
CORRECTED_EVERY_S = 3.0  # each moves all that the device sent: more often, and nobody keeps up
PATIENCE_S = 240.0  # for what begins to move when all processes have started
BATCH = 6


@dataclass
class Bedside:
    """One gateway with one device: what it has sent, and who had the device from when on."""

    speaking: SpeakingGateway
    device: UUID
    patients: list[tuple[datetime, UUID]] = field(default_factory=list)
    sent: dict[int, datetime] = field(default_factory=dict)
    waiting: dict[int, tuple[float, bytes]] = field(default_factory=dict)
    seqs: Iterator[int] = field(default_factory=lambda: count(1, BATCH))

    def send(self, now: datetime) -> None:
        """A few records of now, and as many of an hour within the last days."""
        first = next(self.seqs)
        series = [SeriesEntry(0, msgspec.structs.replace(SERIES[0].key, device=self.name))]
        records, times_ms = [], []
        for seq in range(first, first + BATCH):
            late = timedelta(0) if seq % 2 else BACKFILL * random.random()
            # Whole milliseconds, and no two of a device alike: the time is what it is known by.
            at_ms = utc_ms_from_datetime(now - late) // 10_000 * 10_000 + seq % 10_000
            records.append(record(seq, event({0: str(90 + seq % 10)})))
            times_ms.append(at_ms)
            self.sent[seq] = datetime.fromtimestamp(at_ms / 1000, UTC)
        message = sealed(records, gateway=self.speaking.gateway, times_ms=times_ms, series=series)
        self.waiting[first] = (time.monotonic(), message)
        self.speaking.send(message, Lane.LIVE)

    def send_again(self, patience_s: float = 3.0) -> bool:
        """What nobody has acknowledged; True when there is nothing of the kind."""
        settled = self.speaking.settled()
        for first, (sent_s, message) in list(self.waiting.items()):
            if settled.issuperset(range(first, first + BATCH)):
                del self.waiting[first]
            elif time.monotonic() - sent_s > patience_s:
                self.waiting[first] = (time.monotonic(), message)
                self.speaking.send(message, Lane.LIVE)
        return not self.waiting

    @property
    def name(self) -> str:
        """The device as the gateway calls it."""
        return f"serial:{self.speaking.gateway}"

    def owner(self, at: datetime) -> UUID:
        """Who had the device then, after all corrections."""
        return next(patient for since, patient in reversed(self.patients) if since <= at)

    async def correct(self, store: Store, patient: UUID, since: datetime) -> None:
        """It was this patient who had it from then on, after all."""
        await store.assign(self.device, patient, user=None, valid_from=since)
        while self.patients and self.patients[-1][0] >= since:
            self.patients.pop()
        self.patients.append((since, patient))


@dataclass
class Ehr:
    """Pulls what is new, page after page, and begins the next round behind the last it saw."""

    base: str
    token: str
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)
    since: str = "1970-01-01T00:00:00Z"
    rounds: int = 0

    @property
    def moved(self) -> int:
        """Observations that came again, as another patient's."""
        return self.seen.total() - len(self.latest)

    async def pull(self) -> int:
        """One round; how many Observations it brought."""
        before = self.seen.total()
        headers = {"Authorization": f"Bearer {self.token}"}
        asked = {"_lastUpdated": f"gt{self.since}", "_sort": "_lastUpdated", "_count": "200"}
        async with httpx.AsyncClient(headers=headers, timeout=180, verify=PLAIN) as client:
            answer = await client.get(f"{self.base}/Observation", params=asked)
            while True:
                assert answer.status_code == 200, answer.text
                bundle = answer.json()
                for entry in bundle.get("entry", ()):
                    self._take(entry["resource"])
                following = [x["url"] for x in bundle["link"] if x["relation"] == "next"]
                if not following:
                    break
                answer = await client.get(following[0])
        self.rounds += 1
        return self.seen.total() - before

    def _take(self, resource: dict[str, Any]) -> None:
        meta = resource["meta"]
        self.seen[resource["id"], meta["versionId"]] += 1
        assert meta["lastUpdated"] >= self.since, "a page went back in time"
        self.since = meta["lastUpdated"]
        self.latest[resource["id"]] = resource


def _found(resource: dict[str, Any]) -> tuple[str, datetime, str]:
    """Device, moment and patient of an Observation."""
    at = datetime.fromisoformat(resource["effectiveDateTime"]).astimezone(UTC)
    return resource["device"]["reference"], at, resource["subject"]["reference"]


async def _campaign(
    world: CollectorWorld, speak: Speak, folder: Path, seconds: float, collectors: list[str]
) -> Ehr:
    store, token = await world.open_store(), new_token()
    await store.put_client("ehr", token_hash(token), ["system/*.rs"])
    patients = [uuid4() for _ in range(4)]
    now = datetime.now(UTC)
    for number, patient in enumerate(patients):
        known = Patient(patient, f"Family{number}", "Given", None, "unknown", (), 0, now)
        await store.put_patient(known)
    beds: list[Bedside] = []
    for number in range(1, 9):
        speaking = speak(f"gw-test-{number}")
        device = await store.put_device(f"serial:{speaking.gateway}", gateway=speaking.gateway)
        beds.append(Bedside(speaking, device))
        await beds[-1].correct(store, patients[number % 4], LONG_AGO)
        await asyncio.to_thread(speaking.say_online)
    for name in collectors:
        world.start(name)

    async with serving(folder, world.dsn) as api:
        ehr = Ehr(f"{api.url}/fhir", token)
        over = asyncio.Event()

        async def poll() -> None:
            while not over.is_set():
                await ehr.pull()
                await asyncio.sleep(EVERY_S)

        polling = asyncio.create_task(poll())
        ends_s, killed = time.monotonic() + seconds, False
        corrected_s = float("-inf")
        while time.monotonic() < ends_s or not (killed and ehr.moved):
            assert time.monotonic() < ends_s + PATIENCE_S, "nothing moved while the EHR looked"
            for bed in beds:
                bed.send(datetime.now(UTC))
                bed.send_again()
            if time.monotonic() - corrected_s > CORRECTED_EVERY_S:
                corrected_s = time.monotonic()
                bed, patient = random.choice(beds), random.choice(patients)
                # A new beginning, or the same again for somebody else: what was there moves over.
                since = bed.patients[-1][0] if len(bed.patients) > 1 else None
                since = since or now - BACKFILL * random.random()
                await bed.correct(store, patient, since)
            if not killed and time.monotonic() > ends_s - seconds / 2:
                await world.kill(collectors[1])
                world.start(collectors[1])
                killed = True
            await asyncio.sleep(EVERY_S)
        await wait_until(lambda: all([bed.send_again() for bed in beds]), 120, "all is settled")
        over.set()
        await polling
        for _ in range(5):  # what is left, and then nothing
            await ehr.pull()
    await store.close()
    wanted = {
        (f"Device/{bed.device}", at, f"Patient/{bed.owner(at)}")
        for bed in beds
        for at in bed.sent.values()
    }
    assert sum(len(bed.sent) for bed in beds) == len(wanted), "each is known by its moment"
    found = [_found(resource) for resource in ehr.latest.values()]
    assert len(found) == len(wanted) and set(found) == wanted
    assert set(ehr.seen.values()) == {1}, "a version that came twice"
    return ehr


@pytest.mark.timeout(600)
async def test_each_observation_comes_once(
    world: CollectorWorld, speak: Speak, tmp_path: Path
) -> None:
    await _campaign(world, speak, tmp_path / "api", 60, COLLECTORS)


@pytest.mark.long
async def test_each_observation_comes_once_in_ten_minutes(
    world: CollectorWorld, speak: Speak, tmp_path: Path
) -> None:
    ehr = await _campaign(world, speak, tmp_path / "api", 600, COLLECTORS)
    told = (len(ehr.latest), ehr.seen.total(), ehr.rounds)
    _log.info("%d Observations, %d versions of them, %d rounds", *told)
