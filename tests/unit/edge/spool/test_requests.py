"""Requests for storage commitment as rows: what is fixed stays, and half of one is none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.imaging_gateway import KEY
from wardlight_edge.spool import commitments
from wardlight_edge.spool.base import SpoolFull
from wardlight_edge.spool.commitments import (
    Asker,
    Commitment,
    CommitmentState,
    CommitmentTable,
    PutOutcome,
    Reference,
)
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.sealing import Sealer
from wardlight_shared.errors import StorageError

TWO = [Reference("1.9", "1.8.1"), Reference("1.9", "1.8.2")]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[CommitmentTable]:
    with Database(tmp_path / "spool.sqlite") as database:
        yield CommitmentTable(database, Sealer(KEY))


def _ask(table: CommitmentTable, transaction: str, calling_ae: str = "CT1") -> PutOutcome:
    asker = Asker(transaction, calling_ae, "W", "192.0.2.1")
    return table.put(asker, TWO, received_ms=1, now_ms=0)


def _asked(table: CommitmentTable, transaction: str) -> Commitment:
    _ask(table, transaction)
    (found,) = [each for each in table.due(1 << 60) if each.asked.transaction == transaction]
    return found


def test_what_was_decided_first_is_what_is_told(table: CommitmentTable) -> None:
    found = _asked(table, "1.1")
    table.decide(found, [0, 0x0112], 0)
    decided = table.decide(found, [0x0110, 0x0110], 0)
    assert list(table.outcomes(decided)) == [[(TWO[0], 0), (TWO[1], 0x0112)]]


@pytest.mark.parametrize("state", [CommitmentState.REPORTED, CommitmentState.GIVEN_UP])
def test_what_was_over_is_asked_for_again_from_the_beginning(
    table: CommitmentTable, state: CommitmentState
) -> None:
    found = _asked(table, "1.1")
    table.failed(found.number, 0)
    table.settle(table.decide(found, [0, 0], 0).number, state)
    assert table.due(1 << 60) == []
    assert _ask(table, "1.1") is PutOutcome.KNOWN
    (again,) = table.due(1 << 60)
    assert (again.is_decided, again.attempts) == (False, 0)
    assert list(table.references(again)) == [TWO]


def test_a_request_of_which_instances_are_missing_is_told_to_nobody(
    table: CommitmentTable,
) -> None:
    """Of either, the instances or what is told of them; it is set aside for a person."""
    short = table.decide(_asked(table, "1.1"), [0], 0)
    with pytest.raises(StorageError, match="does not open"):
        list(table.outcomes(short))
    found = _asked(table, "1.2")
    table._run("UPDATE commitment SET instances = 3 WHERE commitment = ?", found.number)
    (more,) = table.due(1 << 60)
    with pytest.raises(StorageError, match="does not open"):
        list(table.references(more))
    assert table.counts() == {"damaged": 2}


def test_of_all_requesters_so_many_requests_are_open(
    table: CommitmentTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitments, "MAX_OPEN", 2)
    _ask(table, "1.1", "CT1")
    _ask(table, "1.2", "CT2")
    with pytest.raises(SpoolFull, match="too many"):
        _ask(table, "1.3", "CT3")
