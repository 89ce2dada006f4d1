"""All records of a memory, over links that lose, double and reorder, and a gateway that dies."""

from collections.abc import Iterator

import msgspec
from hypothesis import event, given
from hypothesis import strategies as st

from wardlight_edge.devices._dialogue import Bookmark, Done, Steps, Trouble, Write
from wardlight_edge.devices._racp import Code, Op, Operator
from wardlight_edge.devices._transfer import TIMEOUT_MS, Transfer


class Plan(msgspec.Struct, frozen=True):
    """What goes wrong on one link.

    cut       the link ends after so many messages of the device; None = it stands
    vanished  so many of the messages before the cut are not seen
    lost      places of record notifications in the first transfer that never arrive
    doubled   places of those that arrive twice
    swapped   places of those that change places with their neighbour
    silent    the answer of the first transfer is lost
    killed    the gateway dies after so many messages, with what is not committed
    added     new measurements before the link
    cleared   the memory is cleared before them
    """

    cut: int | None = None
    vanished: int = 0
    lost: frozenset[int] = frozenset()
    doubled: frozenset[int] = frozenset()
    swapped: frozenset[int] = frozenset()
    silent: bool = False
    killed: int | None = None
    added: int = 0
    cleared: bool = False


PLACES = st.frozensets(st.integers(0, 12), max_size=3)
HARMLESS = st.builds(
    Plan,
    cut=st.none() | st.integers(0, 20),
    vanished=st.integers(0, 4),
    doubled=PLACES,
    swapped=PLACES,
    silent=st.booleans(),
    killed=st.none() | st.integers(0, 20),
    added=st.integers(0, 4),
    cleared=st.booleans(),
)


class Meter:
    """A memory behind a control point.

    counts, filters, takes_all  which requests it knows
    numbers                     False: its records have none (an oximeter)
    """

    def __init__(self, counts: bool, filters: bool, takes_all: bool, numbers: bool) -> None:
        self.counts, self.filters, self.takes_all = counts, filters, takes_all
        self.numbers = numbers
        self.records: list[tuple[int, str]] = []
        self._made = 0

    def measure(self, times: int) -> None:
        for _ in range(times):
            self._made += 1
            number = self.records[-1][0] + 1 if self.records else 3
            self.records.append((number, f"mark {self._made}"))

    def answers(self, request: bytes) -> Iterator[bytes | tuple[int, str]]:
        """Records and the indication after them."""
        op, operator = request[:2]
        number = int.from_bytes(request[3:5], "little") if operator == Operator.FROM else None
        code = self._refusal(op, operator)
        found = [each for each in self.records if number is None or each[0] >= number]
        if code is None and op == Op.COUNT:
            yield bytes([5, 0]) + len(found).to_bytes(2, "little")
            return
        if code is None and op == Op.REPORT:
            yield from found
            code = Code.SUCCESS if found else Code.NO_RECORDS
        yield bytes([6, 0, op, Code.SUCCESS if code is None else code])

    def _refusal(self, op: int, operator: int) -> Code | None:
        if op == Op.COUNT and not self.counts:
            return Code.OP_CODE_NOT_SUPPORTED
        if op == Op.ABORT:
            return None
        is_known = self.filters if operator == Operator.FROM else self.takes_all
        return None if is_known else Code.OPERATOR_NOT_SUPPORTED


class Gateway:
    """A Transfer, what it gave, and what is on the disk."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.disk: dict[str, int] = {}
        self.kept = Bookmark()
        self.now_ms = 0
        self.troubles = 0
        self._restart()

    def _restart(self) -> None:
        self.transfer = Transfer(self.kept, numbered=self.meter.numbers)
        self.given: list[str] = []
        self.open: list[str] = []

    def _commit(self) -> None:
        for mark in self.open:
            self.disk[mark] = self.disk.get(mark, 0) + 1
        self.open.clear()
        self.transfer.committed()
        self.kept = self.transfer.bookmark

    def link(self, plan: Plan) -> bool:
        """One link; True when the device said all was sent and all of it came."""
        if plan.cleared:
            self.meter.records.clear()
        self.meter.measure(plan.added)
        self.now_ms += 1000
        steps = self.transfer.begin(self.now_ms)
        seen, transfers = 0, 0
        while True:
            done = [step for step in steps if isinstance(step, Done)]
            if done:
                self._commit()
                self.transfer.link_lost()
                self.troubles += any(isinstance(step, Trouble) for step in steps)
                return not any(isinstance(step, Trouble) for step in steps)
            (request,) = [step for step in steps if isinstance(step, Write)]
            messages = list(self.meter.answers(request.octets))
            if request.octets[0] == Op.REPORT:
                messages = _spoilt(messages, plan) if transfers == 0 else messages
                transfers += 1
            steps = ()
            for place, message in enumerate(messages):
                if plan.killed is not None and seen >= plan.killed:
                    self._restart()
                    return False
                if plan.cut is not None and seen >= plan.cut:
                    self._commit()
                    self.transfer.link_lost()
                    return False
                seen += 1
                if plan.cut is None or seen <= plan.cut - plan.vanished:
                    steps = self._take(message)
                if place % 3 == 2 and not steps:
                    self._commit()
            if not steps:
                deadline_ms = self.transfer.deadline_ms
                assert deadline_ms is not None, "it waits for ever"
                self.now_ms = max(self.now_ms, deadline_ms)
                steps = self.transfer.tick(self.now_ms)

    def _take(self, message: bytes | tuple[int, str]) -> Steps:
        self.now_ms += 10
        if isinstance(message, bytes):
            return self.transfer.answered(message, self.now_ms)
        number, mark = message
        if self.transfer.received(number if self.meter.numbers else None, mark, self.now_ms):
            self.given.append(mark)
            self.open.append(mark)
        return ()


def _spoilt(messages: list[bytes | tuple[int, str]], plan: Plan) -> list[bytes | tuple[int, str]]:
    *records, indication = messages
    for place in plan.swapped:
        if place + 1 < len(records):
            records[place : place + 2] = records[place + 1], records[place]
    spoilt: list[bytes | tuple[int, str]] = []
    for place, record in enumerate(records):
        spoilt += [record] * (0 if place in plan.lost else 2 if place in plan.doubled else 1)
    return spoilt if plan.silent else [*spoilt, indication]


def _until_done(gateway: Gateway) -> None:
    for _ in range(12):
        if gateway.link(Plan()):
            return
    raise AssertionError("it never comes to an end")


@given(
    data=st.data(),
    first=st.integers(0, 12),
    counts=st.booleans(),
    filters=st.booleans(),
    takes_all=st.booleans(),
    numbers=st.booleans(),
)
def test_no_record_is_lost_and_none_is_given_twice(
    data: st.DataObject,
    first: int,
    counts: bool,
    filters: bool,
    takes_all: bool,
    numbers: bool,
) -> None:
    filters = filters and numbers
    meter = Meter(counts, filters, takes_all or not filters, numbers)
    meter.measure(first)
    gateway = Gateway(meter)
    losses = 0
    for plan in data.draw(st.lists(HARMLESS, max_size=6)):
        # What a standing link loses is found by the count alone, and by it only where what was
        # lost is not lost again each time.
        lost = data.draw(PLACES) if counts and losses < 2 else frozenset()
        losses += bool(lost)
        before = len(gateway.given)
        gateway.link(msgspec.structs.replace(plan, lost=lost))
        assert len(gateway.given) >= before or plan.killed is not None
        assert len(set(gateway.given)) == len(gateway.given), "twice within one life"
    _until_done(gateway)
    assert {mark for _, mark in meter.records} <= set(gateway.disk)
    assert len(set(gateway.given)) == len(gateway.given)
    event(f"troubles {gateway.troubles > 0}")


@given(numbers=st.sets(st.integers(0, 0xFEFF), min_size=1, max_size=20))
def test_numbers_with_gaps_need_no_second_visit(numbers: set[int]) -> None:
    """Records a person has deleted leave gaps: the count says that nothing is missing."""
    meter = Meter(True, True, True, True)
    meter.records = [(number, f"mark {number}") for number in sorted(numbers)]
    gateway = Gateway(meter)
    assert gateway.link(Plan())
    assert gateway.kept.number == max(numbers)
    assert len(gateway.given) == len(numbers)


def test_a_cut_transfer_goes_on_where_it_was_cut() -> None:
    """30 records, the link ends after 12: the rest is asked for by number."""
    meter = Meter(True, True, True, True)
    meter.measure(30)
    gateway = Gateway(meter)
    assert not gateway.link(Plan(cut=13))  # the count, then 12 records
    assert len(gateway.given) == 12
    assert gateway.kept == Bookmark(), "what is in doubt moves no bookmark"
    (ask,) = gateway.transfer.begin(0)
    assert ask == Write("0x2A52", bytes([4, 1]))
    (ask,) = gateway.transfer.answered(bytes([5, 0, 30, 0]), 0)
    assert ask == Write("0x2A52", bytes([1, 3, 1, 14, 0]))  # numbers begin at 3
    gateway.transfer.link_lost()
    assert gateway.link(Plan())
    assert [int(mark.split()[1]) for mark in gateway.given] == list(range(1, 31))
    assert gateway.kept.number == 32


def test_silence_is_reported_after_thirty_seconds() -> None:
    transfer = Transfer(Bookmark())
    transfer.begin(1000)
    transfer.answered(bytes([5, 0, 2, 0]), 2000)
    transfer.received(1, "a", 10_000)
    assert transfer.tick(10_000 + TIMEOUT_MS - 1) == ()
    trouble, done = transfer.tick(10_000 + TIMEOUT_MS)
    assert trouble == Trouble("the device was silent for 30 s while sending its records")
    assert done == Done(1, is_whole=False)


def test_a_lost_indication_costs_nothing_but_time() -> None:
    transfer = Transfer(Bookmark())
    transfer.begin(0)
    transfer.answered(bytes([5, 0, 2, 0]), 0)
    transfer.received(1, "a", 0)
    transfer.received(2, "b", 5)
    assert transfer.tick(5 + TIMEOUT_MS) == (Done(2),)
    assert transfer.bookmark == Bookmark(), "not before it is committed"
    transfer.committed()
    assert transfer.bookmark == Bookmark(2, "b")


def test_a_busy_device_is_stopped_first() -> None:
    transfer = Transfer(Bookmark())
    transfer.begin(0)
    assert transfer.refused(0xFE, 0) == (Write("0x2A52", bytes([3, 0])),)
    assert transfer.answered(bytes([6, 0, 3, 1]), 10) == ()
    (again,) = transfer.tick(10_000)
    assert again == Write("0x2A52", bytes([4, 1]))


def test_a_device_that_stays_busy_is_left() -> None:
    transfer = Transfer(Bookmark())
    transfer.begin(0)
    steps: Steps = ()
    for moment in range(0, 100_000, 5000):
        steps = transfer.refused(0x80, moment)
        if any(isinstance(step, Done) for step in steps):
            break
        transfer.tick(moment + 4000)
    assert isinstance(steps[0], Trouble)


def test_no_records_is_no_trouble() -> None:
    transfer = Transfer(Bookmark())
    transfer.begin(0)
    assert transfer.answered(bytes([6, 0, 4, 6]), 0) == (Done(0),)
    transfer.begin(0)
    transfer.answered(bytes([5, 0, 1, 0]), 0)
    assert transfer.answered(bytes([6, 0, 1, 6]), 0) == (Done(0),)


def test_a_cleared_memory_is_read_from_its_beginning() -> None:
    """Its numbers begin anew: what is asked for by the old bookmark is not there."""
    transfer = Transfer(Bookmark(300, "old"))
    assert transfer.begin(0) == (Write("0x2A52", bytes([4, 3, 1, 44, 1])),)
    assert transfer.answered(bytes([5, 0, 0, 0]), 0) == (Write("0x2A52", bytes([4, 1])),)
    assert transfer.answered(bytes([5, 0, 1, 0]), 0) == (Write("0x2A52", bytes([1, 1])),)
    assert transfer.received(1, "new", 0)
    assert transfer.answered(bytes([6, 0, 1, 1]), 0) == (Done(1),)
    transfer.committed()
    assert transfer.bookmark == Bookmark(1, "new")


def test_a_device_that_wants_no_all_is_asked_from_zero() -> None:
    """Contour meters answer "greater or equal" alone."""
    transfer = Transfer(Bookmark(), asks_all=False)
    assert transfer.begin(0) == (Write("0x2A52", bytes([4, 3, 1, 0, 0])),)


def test_near_the_last_number_everything_is_asked_for() -> None:
    transfer = Transfer(Bookmark(0xFFF0, "x"))
    assert transfer.begin(0) == (Write("0x2A52", bytes([4, 1])),)


def test_a_false_count_is_overruled_in_the_end() -> None:
    """The device counts one more than it sends: three whole transfers say it does."""
    transfer = Transfer(Bookmark())
    transfer.begin(0)
    steps = transfer.answered(bytes([5, 0, 3, 0]), 0)
    for _ in range(3):
        assert steps == (Write("0x2A52", bytes([1, 1])),)
        transfer.received(1, "a", 0)
        transfer.received(2, "b", 0)
        steps = transfer.answered(bytes([6, 0, 1, 1]), 0)
    assert steps == (Done(2),)


def test_what_comes_by_itself_afterwards_moves_the_bookmark() -> None:
    """A sensor goes on notifying on the link that has been read to its end."""
    transfer = Transfer(Bookmark())
    transfer.begin(0)
    transfer.answered(bytes([5, 0, 1, 0]), 0)
    transfer.received(10, "a", 0)
    transfer.answered(bytes([6, 0, 1, 1]), 0)
    transfer.committed()
    assert transfer.received(15, "b", 0)
    transfer.committed()
    assert transfer.bookmark == Bookmark(15, "b")
    transfer.link_lost()
    assert transfer.received(25, "c", 0), "before all was asked for on this link"
    transfer.committed()
    assert transfer.bookmark == Bookmark(15, "b")
