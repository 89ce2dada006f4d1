"""What acks say, and that each fits in a message."""

from wardlight_cloud.ingest.acks import acks, answer, hello_wanted, receipts
from wardlight_cloud.store.batch import LedgerState
from wardlight_shared import control
from wardlight_shared.control import Ack

NOW_MS = 1_790_000_000_000


def state(
    upto: int = 0,
    ranges: tuple[tuple[int, int], ...] = (),
    rejected: tuple[tuple[int, str], ...] = (),
) -> LedgerState:
    return LedgerState("gw-test-1", 7, upto, ranges, rejected)


def fits(told: list[Ack]) -> bool:
    return all(len(control.encode(ack)) <= control.MAX_BYTES for ack in told)


def test_an_ordinary_commit_is_one_short_message() -> None:
    told = acks(state(upto=90, ranges=((95, 99),)), 95, 99, NOW_MS)
    assert told == [Ack(1, 7, 90, [(95, 99)], [], NOW_MS, reads=2)]
    assert len(control.encode(told[0])) < 40


def test_the_answer_to_a_hello_carries_its_clock_once() -> None:
    ranges = tuple((10 * n, 10 * n + 3) for n in range(1, 131))
    told = answer(state(upto=5, ranges=ranges), NOW_MS, 12_345)
    assert [len(ack.ranges) for ack in told] == [64, 64, 2]
    assert [ack.echo_mono_ms for ack in told] == [12_345, None, None]
    assert [range_ for ack in told for range_ in ack.ranges] == list(ranges)
    assert {ack.upto for ack in told} == {5}


def test_nothing_known_is_an_answer_too() -> None:
    assert answer(state(), NOW_MS, 1) == [Ack(1, 7, 0, [], [], NOW_MS, 1, reads=2)]


def test_no_rejected_record_is_settled_before_it_is_named() -> None:
    """The longest reasons in the widest characters still fit, in several messages if need be."""
    rejected = tuple((seq, "\U0001f321" * 300) for seq in range(1, 200))
    told = answer(state(upto=500, rejected=rejected), NOW_MS, None)
    assert fits(told)
    named: set[int] = set()
    for ack in told:
        named |= {seq for seq, _ in ack.rejected}
        assert set(range(1, min(ack.upto, 199) + 1)) <= named
    assert named == set(range(1, 200))
    assert told[-1].upto == 500


def test_long_lists_are_told_near_the_commit_only() -> None:
    rejected = tuple((seq, "no") for seq in range(1, 3001))
    ranges = tuple((10_000 + 10 * n, 10_004 + 10 * n) for n in range(3000))
    told = acks(state(upto=3000, ranges=ranges, rejected=rejected), 20_000, 20_019, NOW_MS)
    assert [range_ for ack in told for range_ in ack.ranges] == [(20_000, 20_004), (20_010, 20_014)]
    assert [seq for ack in told for seq, _ in ack.rejected] == list(range(2745, 3001))
    near = acks(state(upto=3000, ranges=ranges, rejected=rejected), 5, 6, NOW_MS)
    assert {5, 6} < {seq for ack in near for seq, _ in ack.rejected}


def test_a_shredded_ledger_has_a_bounded_answer() -> None:
    ranges = tuple((2 * n, 2 * n) for n in range(1, 100_000))
    told = answer(state(ranges=ranges), NOW_MS, None)
    assert len(told) == 64
    assert fits(told)


def test_a_request_for_a_hello_settles_nothing() -> None:
    ack = hello_wanted(7, NOW_MS)
    assert (ack.upto, ack.ranges, ack.rejected, ack.hello_wanted) == (0, [], [], True)


def test_receipts_of_many_records_fit() -> None:
    told = receipts(7, range((1 << 62), (1 << 62) + 10_000))
    assert [len(receipt.released) for receipt in told] == [4096, 4096, 1808]
    assert all(len(control.encode(receipt)) <= control.MAX_BYTES for receipt in told)
    assert receipts(7, ()) == []
