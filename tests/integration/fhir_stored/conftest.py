"""A ward of two patients behind the API, and a client that may write."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from support.postgres import FreshDatabase
from support.served_ward import WARD, Ward, open_ward
from support.stored_resources import writing_client
from wardlight_cloud.fhir.stored.issue import Issue
from wardlight_cloud.fhir.stored.validating import issues
from wardlight_cloud.fhir.stored.validation import Validation


@pytest.fixture(autouse=True)
def validated_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules without a process, whose start costs seconds; test_validation.py has it."""

    async def checked(_: Validation, resources: list[bytes]) -> list[list[Issue]]:
        return [issues(text) for text in resources]

    if request.path.name != "test_validation.py":
        monkeypatch.setattr(Validation, "_issues", checked)


@pytest.fixture
async def ward(fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Ward]:
    """Two patients, three devices, no readings."""
    opened = await open_ward(await fresh_database(WARD), tmp_path)
    yield opened
    await opened.store.close()


@pytest.fixture
async def client(ward: Ward) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may do all."""
    async with writing_client(ward) as client:
        yield client
