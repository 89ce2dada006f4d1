"""The API over a real store with two patients and their readings, for tests of its faces.

ward = await open_ward(dsn, tmp_path)      # store, app and what the register holds
async with ward.client() as client:        # the app in this process, without a network
    await client.get("/fhir/Observation")
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI

from support.postgres import Template
from support.readings import BatchMaker, One, Rec
from wardlight_cloud.app import create_app
from wardlight_cloud.config import Settings
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.base import Patient, Store
from wardlight_cloud.store.open import migrate_store, open_store

BASE = "https://wards.example"
LOGIN, PASSWORD = "nurse", "abcd-efgh-jkmn-pqrs"
ANNA = UUID("0b8f4f5e-6f0a-4a3b-9d3e-7f1f6f0c2a11")
BERT = UUID("3a5f0a0e-0000-4000-8000-000000000001")
GATEWAY = "gw-test"
CUFF, CLIP, SCALE = "ble:00000000000A", "ble:00000000000B", "ble:00000000000C"
START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def _settings(dsn: str, folder: Path) -> Settings:
    return Settings.model_validate({"data_dir": folder, "database": {"dsn": dsn, "pool_size": 4}})


TOKEN = new_token()
_LEAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def quick_hash(password: str) -> str:
    """argon2id at its least cost; a hash says what it costs, so a check against it is quick too."""
    return _LEAST.hash(password)


async def _build(dsn: str) -> None:
    """Anna has cuff and scale, Bert the clip; no readings yet."""
    settings = _settings(dsn, Path())
    await migrate_store(settings)
    store = await open_store(settings)
    ward = Ward(settings, store, create_app(settings, store))
    await store.put_client("ehr", token_hash(TOKEN), ["system/*.rs"])
    await store.put_user(LOGIN, quick_hash(PASSWORD))
    await store.put_gateway(GATEWAY)
    await ward.add_patient(ANNA, "Almeida", "Anna", "A-1")
    await ward.add_patient(BERT, "Brandt", "Bert", "B-1")
    for identity, patient in ((CUFF, ANNA), (SCALE, ANNA), (CLIP, BERT)):
        device = await store.put_device(identity, gateway=GATEWAY)
        since = datetime(2000, 1, 1, tzinfo=UTC)
        await store.assign(device, patient, user=None, valid_from=since)
    await store.close()


WARD = Template("ward", _build)
"""A database with the ward's register."""


@dataclass
class Ward:
    """A store, its app, and what they were filled with."""

    settings: Settings
    store: Store
    app: FastAPI
    token: str = TOKEN
    devices: dict[str, UUID] = field(default_factory=dict)
    seqs: Iterator[int] = field(default_factory=lambda: count(1))

    @asynccontextmanager
    async def client(
        self, *, token: str | None = "", **more: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A client of the app; with the ward's token, another one, or (None) without."""
        headers = {} if token is None else {"Authorization": f"Bearer {token or self.token}"}
        transport = httpx.ASGITransport(self.app)
        async with (
            self.app.router.lifespan_context(self.app),
            httpx.AsyncClient(
                transport=transport, base_url=BASE, headers=headers, timeout=180, **more
            ) as client,
        ):
            yield client

    async def store_event(self, *readings: One) -> None:
        """One record with these readings, committed."""
        await self.store.ingest([BatchMaker()(Rec(next(self.seqs), readings))])

    async def store_each(self, readings: list[One]) -> None:
        """One record a reading, all in one commit."""
        records = [Rec(next(self.seqs), (reading,)) for reading in readings]
        await self.store.ingest([BatchMaker()(*records)])

    async def add_patient(self, patient: UUID, family: str, given: str, number: str) -> None:
        """A patient with one identifier."""
        identifiers = (("urn:test:mrn", number),)
        await self.store.put_patient(
            Patient(
                patient,
                family,
                given,
                date(1950, 2, 3),
                "female",
                identifiers,
                0,
                datetime.now(UTC),
            )
        )


async def open_ward(dsn: str, folder: Path) -> Ward:
    """A ward on a database made from WARD."""
    settings = _settings(dsn, folder)
    store = await open_store(settings)
    ward = Ward(settings, store, create_app(settings, store))
    devices, _ = await store.devices()
    ward.devices = {device.identity: device.device_id for device in devices}
    return ward
