"""What a Bundle is answered with has a bound, and leaves time to others."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request

from wardlight_cloud.fhir.stored import bundling
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.bundle_reads import Headers
from wardlight_cloud.fhir.stored.bundling import Bundling
from wardlight_cloud.fhir.stored.wishes import Done, Wish
from wardlight_shared.errors import StorageError

PAGE = b'{"resourceType":"Bundle","note":"' + b"x" * 1000 + b'"}'
GET = {"request": {"method": "GET", "url": "Observation?_count=500"}}
PUT = {"request": {"method": "PUT", "url": "Task/a"}, "resource": {"resourceType": "Task"}}
ROOM = 10_000
FITS = 10  # pages of a thousand octets and what an entry has besides; the last may go beyond


class Ward:
    """Reads a page, and writes what it is given."""

    def __init__(self) -> None:
        self.read = 0
        self.written = 0

    async def get(self, _: str, __: str, ___: Headers) -> tuple[int, bytes]:
        self.read += 1
        return 200, PAGE

    async def write(self, _: Asker, wishes: list[Wish]) -> list[Done]:
        self.written += len(wishes)
        updated = datetime(2026, 1, 1, tzinfo=UTC)
        return [Done(200, "Task", "a", "7", updated, PAGE, True) for _ in wishes]


async def answered(ward: Ward, kind: str, entries: list[Any]) -> list[Any]:
    scope = {"type": "http", "method": "POST", "path": "/fhir", "headers": [], "query_string": b""}
    asker = Asker(Request(scope), "http://ward.example/fhir")
    made = Bundling(ward)  # type: ignore[arg-type]
    text = await made.done(
        asker, {"resourceType": "Bundle", "type": kind, "entry": entries}, ward.get
    )
    assert len(text) < ROOM + 2 * len(PAGE) + 500 * len(entries)
    found: list[Any] = json.loads(text)["entry"]
    assert len(found) == len(entries)
    return found


@pytest.fixture(autouse=True)
def small_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "ANSWER_BYTES", ROOM)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_what_an_answer_has_no_room_for_is_not_read(kind: str) -> None:
    ward = Ward()
    found = await answered(ward, kind, [GET] * 50)
    assert ward.read <= FITS
    assert [each["response"]["status"] for each in found[: ward.read]] == ["200 OK"] * ward.read
    for each in found[ward.read :]:
        assert each["response"]["status"] == "503 Service Unavailable"
        assert each["response"]["outcome"]["issue"][0]["code"] == "too-costly"
        assert "resource" not in each


async def test_a_batch_does_not_do_what_it_has_no_room_to_tell() -> None:
    ward = Ward()
    found = await answered(ward, "batch", [PUT] * 50)
    done = [each for each in found if each["response"]["status"] == "200 OK"]
    assert len(done) == ward.written <= FITS


async def test_a_transaction_is_done_and_tells_less() -> None:
    ward = Ward()
    found = await answered(ward, "transaction", [PUT] * 50)
    assert ward.written == 50
    assert {each["response"]["status"] for each in found} == {"200 OK"}
    assert {each["response"]["etag"] for each in found} == {'W/"7"'}
    assert 0 < len([each for each in found if "resource" in each]) <= FITS


class Failing(Ward):
    """Does the first two changes, and fails at the others."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error
        self.asked = 0

    async def write(self, asker: Asker, wishes: list[Wish]) -> list[Done]:
        self.asked += 1
        if self.written == 2:
            raise self._error
        return await super().write(asker, wishes)


@pytest.mark.parametrize(
    ("error", "status", "asked"),
    [
        (RuntimeError("a defect"), "500 Internal Server Error", 5),
        (StorageError("away"), "503 Service Unavailable", 3),
    ],
)
async def test_a_batch_tells_what_was_done_before_it_failed(
    error: Exception, status: str, asked: int
) -> None:
    """Who does not know sends it again, and makes it twice."""
    ward = Failing(error)
    found = await answered(ward, "batch", [PUT] * 5)
    statuses = [each["response"]["status"] for each in found]
    assert statuses == ["200 OK"] * 2 + [status] * 3
    assert ward.asked == asked
    assert "outcome" in found[2]["response"]


async def test_a_batch_of_which_nothing_is_done_fails() -> None:
    ward = Failing(StorageError("away"))
    ward.written = 2
    with pytest.raises(StorageError):
        await answered(ward, "batch", [PUT] * 5)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_others_come_between_the_entries(kind: str) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await answered(Ward(), kind, [GET] * 100)
    task.cancel()
    assert turns >= 100
