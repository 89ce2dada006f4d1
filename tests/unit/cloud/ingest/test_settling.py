"""Committed, dead-lettered or left to the gateway: what becomes of a group that fails."""

from collections.abc import Callable, Sequence

import pytest

from support.envelopes import EPOCH, GATEWAY, NOW_MS, event, record, sealed
from support.ingest_memory import MemoryStore
from wardlight_cloud.ingest import settling
from wardlight_cloud.ingest.grouping import Prepared
from wardlight_cloud.ingest.pipeline import dead_letter, open_message
from wardlight_cloud.ingest.settling import Settling
from wardlight_cloud.store.batch import IngestBatch
from wardlight_shared.errors import StorageError

KEY = GATEWAY, EPOCH


class DatabaseError(Exception):
    """What a driver raises."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("a value that must not be seen")
        self.sqlstate = sqlstate


def refuse(sqlstate: str) -> StorageError:
    error = StorageError("refused")
    error.__cause__ = DatabaseError(sqlstate)
    return error


def poison(
    values: set[int], error: Callable[[], Exception]
) -> Callable[[Sequence[IngestBatch]], None]:
    """A store that cannot take these values."""

    def fault(batches: Sequence[IngestBatch]) -> None:
        if any(values & set(batch.readings.mantissa.tolist()) for batch in batches):
            raise error()

    return fault


def prepared(first: int, count: int = 4, message: bytes | None = None) -> list[Prepared]:
    """A message of ``count`` records from ``first`` on, each with its number as its value."""
    records = [record(seq, event({0: str(seq)})) for seq in range(first, first + count)]
    message = message or sealed(records)
    return [Prepared(batch, message, 0) for batch in open_message(GATEWAY, message, NOW_MS)]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def settler(store: MemoryStore) -> Settling:
    return Settling(store, 10.0, lambda: NOW_MS)


async def warmed_up(settler: Settling) -> None:
    """The store has lately taken something."""
    assert await settler.settle(prepared(1000, 1))


async def test_a_sound_group_is_one_transaction(store: MemoryStore, settler: Settling) -> None:
    settled = await settler.settle([*prepared(1), *prepared(5), *prepared(9)])
    assert len(store.calls) == 1
    assert [result.ledger.upto for _, result in settled] == [4, 8, 12]


async def test_only_the_record_to_blame_becomes_a_dead_letter(
    store: MemoryStore, settler: Settling
) -> None:
    await warmed_up(settler)
    store.fault = poison({6, 11}, lambda: refuse("22003"))
    settled = await settler.settle([*prepared(1), *prepared(5), *prepared(9)])
    assert store.stored[KEY] == {1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 1000}
    assert {seq: reason for seq, (reason, _) in store.letters[KEY].items()} == dict.fromkeys(
        (6, 11), "refused by the database"
    )
    assert settled[-1].result.ledger.upto == 12
    assert store.letters[KEY][6][1] == record(6, event({0: "6"})).body


@pytest.mark.parametrize(
    "error",
    [
        lambda: OverflowError("int too large"),
        lambda: StorageError("a value does not fit its column"),
        lambda: refuse("23514"),
        lambda: refuse("54000"),
    ],
    ids=["defect", "no cause", "check violation", "program limit"],
)
async def test_whatever_a_value_provokes_is_isolated(
    store: MemoryStore, settler: Settling, error: Callable[[], Exception]
) -> None:
    await warmed_up(settler)
    store.fault = poison({2}, error)
    await settler.settle(prepared(1))
    assert set(store.letters[KEY]) == {2}


async def test_nothing_is_rejected_by_a_store_that_takes_nothing(
    store: MemoryStore, settler: Settling
) -> None:
    """A defect that hits every record is no record's fault: all stay on the gateway."""
    store.fault = poison({1, 2, 3, 4}, lambda: refuse("22000"))
    assert await settler.settle(prepared(1)) == []
    assert store.stored == {}
    assert store.letters == {}


async def test_a_store_that_was_away_gets_the_same_group_again(
    store: MemoryStore, settler: Settling
) -> None:
    tries = 0

    def fault(batches: Sequence[IngestBatch]) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise refuse("57P03")

    store.fault = fault
    assert len(await settler.settle(prepared(1))) == 1
    assert tries == 3
    assert store.letters == {KEY: {}}


async def test_a_record_that_stays_stuck_is_left_to_its_gateway(
    store: MemoryStore, settler: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_STUCK_AFTER", 1)
    await warmed_up(settler)
    store.fault = poison({3}, lambda: refuse("40001"))
    settled = await settler.settle([*prepared(1), *prepared(5)])
    assert store.stored[KEY] == {1, 2, 4, 5, 6, 7, 8, 1000}
    assert store.letters[KEY] == {}
    assert settled[-1].result.ledger.upto == 2


async def test_much_poison_costs_a_bounded_number_of_transactions(
    store: MemoryStore, settler: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_MOST_REFUSALS", 10)
    await warmed_up(settler)
    refusals = 0

    def fault(batches: Sequence[IngestBatch]) -> None:
        nonlocal refusals
        if any(len(batch.readings) for batch in batches):
            refusals += 1
            raise refuse("22P02")

    store.fault = fault
    await settler.settle(prepared(1, 256))
    assert refusals < 40
    assert set(store.letters[KEY]) == set(range(1, 257)), "put aside, none lost"


async def test_an_unreadable_message_that_cannot_be_kept_does_not_stop_the_rest(
    store: MemoryStore, settler: Settling
) -> None:
    letter = Prepared(dead_letter(GATEWAY, b"junk", "why"), None, 0)

    def fault(batches: Sequence[IngestBatch]) -> None:
        if any(batch.rejected for batch in batches):
            raise refuse("22021")

    store.fault = fault
    settled = await settler.settle([letter, *prepared(1)])
    assert len(settled) == 1
    assert store.stored[KEY] == {1, 2, 3, 4}


async def test_logs_and_metrics_hold_no_text_of_the_database(
    store: MemoryStore, settler: Settling, caplog: pytest.LogCaptureFixture
) -> None:
    await warmed_up(settler)
    store.fault = poison({2}, lambda: ValueError("a value that must not be seen"))
    await settler.settle(prepared(1))
    store.fault = poison({12}, lambda: refuse("22003"))
    await settler.settle(prepared(11))
    assert caplog.records
    assert "must not be seen" not in " ".join(str(vars(line)) for line in caplog.records)
