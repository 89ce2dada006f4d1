"""A ward that sends notices, a client that may do all, a receiver."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from support.notice_receiver import Receiver, receiving
from support.postgres import FreshDatabase
from support.served_ward import WARD, Ward
from support.stored_resources import writing_client
from support.subscribed_ward import open_subscribed_ward
from wardlight_cloud.fhir.stored.issue import Issue
from wardlight_cloud.fhir.stored.validating import issues
from wardlight_cloud.fhir.stored.validation import Validation


@pytest.fixture(autouse=True)
def validated_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules without a process, whose start costs seconds."""

    async def checked(_: Validation, resources: list[bytes]) -> list[list[Issue]]:
        return [issues(text) for text in resources]

    monkeypatch.setattr(Validation, "_issues", checked)


@pytest.fixture
async def ward(fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Ward]:
    """Two patients, three devices, no readings."""
    opened = await open_subscribed_ward(await fresh_database(WARD), tmp_path)
    yield opened
    await opened.store.close()


@pytest.fixture
async def client(ward: Ward) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may do all."""
    async with writing_client(ward) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that takes everything."""
    async with receiving() as receiver:
        yield receiver
