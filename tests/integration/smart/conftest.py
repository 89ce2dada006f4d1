"""The ward's API with a public address, and clients in its register."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from support.postgres import FreshDatabase
from support.served_ward import BASE, WARD, Ward, open_ward
from support.smart_clients import KeyPair, jwks
from wardlight_cloud.app import create_app
from wardlight_cloud.smart import brake
from wardlight_cloud.store.authorization import ClientRow


@pytest.fixture
async def ward(fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Ward]:
    """The ward; its server knows that its address is BASE."""
    found = await open_ward(await fresh_database(WARD), tmp_path)
    http = found.settings.http.model_copy(update={"base_url": BASE})
    found.settings = found.settings.model_copy(update={"http": http})
    found.app = create_app(found.settings, found.store)
    yield found
    await found.store.close()


@pytest.fixture
async def web(ward: Ward) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the ward's API that shows no token."""
    async with ward.client(token=None) as client:
        yield client


@pytest.fixture
async def pair(ward: Ward) -> KeyPair:
    """The key of ``service``, a backend service that reads everything."""
    made = KeyPair()
    await ward.store.put_registration(ClientRow("service", ("system/*.rs",), jwks=jwks(made)))
    return made


@pytest.fixture
def patient_brake(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that fail on purpose, over and over."""
    monkeypatch.setattr(brake, "FAILURES_MAX", 100_000)
    monkeypatch.setattr(brake, "FAILURES_OF_ADDRESS_MAX", 100_000)
