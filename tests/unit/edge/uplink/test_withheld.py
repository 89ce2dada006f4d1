"""A record with an origin waits for a collector that knows origins."""

from wardlight_edge.uplink.withheld import Withheld
from wardlight_shared.records import Lane, Origin, Record


def record(seq: int, origin: Origin | None = None) -> Record:
    return Record(seq, Lane.BACKFILL, None, 1, 0, 0, b"", origin)


RECORDS = [record(9), record(4, (7, 1)), record(5, (7, 2)), record(2, (7, 9))]


def seqs(records: object) -> list[int]:
    assert isinstance(records, list)
    return [one.seq for one in records]


def test_an_older_collector_gets_the_others_only() -> None:
    withheld = Withheld()
    assert seqs(withheld.sendable(RECORDS)) == [9]
    assert withheld.count == 3


def test_a_newer_one_gets_them_all_and_what_waited() -> None:
    withheld = Withheld()
    withheld.sendable(RECORDS)
    assert withheld.heard(1) == []
    assert withheld.heard(2) == [range(2, 3), range(4, 6)]
    assert withheld.count == 0
    assert seqs(withheld.sendable(RECORDS)) == [9, 4, 5, 2]
    assert withheld.heard(3) == []


def test_an_older_one_that_takes_over_gets_no_more_of_them() -> None:
    withheld = Withheld()
    withheld.heard(2)
    withheld.heard(1)
    assert seqs(withheld.sendable(RECORDS)) == [9]
    withheld.forget()
    assert (withheld.count, withheld.heard(2)) == (0, [])
