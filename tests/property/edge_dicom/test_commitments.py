"""No instance is ever reported as committed that lacks what a success needs: a state machine.

Objects of equal and of differing octets and classes arrive, get receipts, are refused, set aside or
damaged; the collector loses what it had; modalities ask; the process dies; the machine starts
again; the wall clock is set to anything; reports are taken, refused or lost. No clock makes
anything too late before its time.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.manual_clock import ManualClock
from wardlight_edge.dicom.commitment_desk import CommitmentDesk
from wardlight_edge.dicom.commitment_rules import Verdict, verdict
from wardlight_edge.imaging_settings import CommitmentSettings
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.base import Incoming, Item, ItemState
from wardlight_edge.spool.commitments import (
    Asker,
    Commitment,
    CommitmentTable,
    PutOutcome,
    Reference,
)
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.sealing import Sealer
from wardlight_shared.blobs import BlobKind

UIDS = st.sampled_from(["1.1", "1.2"])
CLASSES = st.sampled_from(["9.1", "9.1", "9.1", "9.2"])
REFERENCES = st.lists(st.builds(Reference, CLASSES, UIDS), min_size=1, max_size=3, unique=True)
DAY_MS = 86_400_000
SETTINGS = CommitmentSettings(deadline_s=2 * 86_400, give_up_s=30 * 86_400)


class Spool:
    """Implements ReceivingSpool as far as commitment asks."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.lost: dict[int, int] = {}  # items that the collector has no more, since which event
        self.events = 0

    def lose(self, place: int) -> None:
        """The collector loses what it has; it knows, and says nothing unasked."""
        item = self.items[place % len(self.items)]
        if item.state in (ItemState.DELIVERED, ItemState.ASKED):
            self.lost.setdefault(item.item, self.events)

    def collector_answers(self) -> None:
        """Everything that it is asked about now."""
        for place, item in enumerate(self.items):
            if item.state is ItemState.ASKED:
                state = ItemState.DAMAGED if item.item in self.lost else ItemState.DELIVERED
                self.items[place] = msgspec.structs.replace(item, state=state)

    def was_lost_before(self, uid: str, event: int) -> bool:
        return any(self.lost.get(item.item, event) < event for item in self.find(uid))

    def find(self, key: str) -> list[Item]:
        return [item for item in self.items if item.about["sop_instance"] == key]

    def ask_again(self, keys: Sequence[str]) -> None:
        for place, item in enumerate(self.items):
            is_asked = item.about["sop_instance"] in keys and item.state is ItemState.DELIVERED
            if is_asked and item.reason is None:
                self.items[place] = msgspec.structs.replace(item, state=ItemState.ASKED)

    def is_kept(self, item: Item) -> bool | None:
        raise AssertionError("its custody is the cloud's")

    def begin(
        self, kind: BlobKind, key: str, expected_bytes: int = 0, *, sender: str = ""
    ) -> Incoming:
        raise AssertionError("nothing is stored this way here")

    def store(self, uid: str, sop_class: str, octets: bytes) -> None:
        same = [each for each in self.find(uid) if each.sha256 == octets]
        if not same:
            about: dict[str, str | int | bool | None] = {
                "sop_instance": uid, "sop_class": sop_class,
            }  # fmt: skip
            number = len(self.items) + 1
            self.items.append(Item(number, BlobKind.INSTANCE, octets, 1, 1, about))

    def settle(self, place: int, state: ItemState, reason: str | None) -> None:
        item = self.items[place % len(self.items)]
        if item.state is ItemState.WAITING:
            changed = msgspec.structs.replace(item, state=state, reason=reason)
            self.items[place % len(self.items)] = changed

    def has_it_all(self, reference: Reference) -> bool:
        return has_it_all(reference, self.find(reference.sop_instance))


def has_it_all(reference: Reference, found: list[Item]) -> bool:
    """Written apart from the rules under test: every file of the UID has a clean receipt."""
    return bool(found) and all(
        item.about["sop_class"] == reference.sop_class
        and item.state == "delivered"
        and item.reason is None
        for item in found
    )


ITEMS = st.lists(
    st.builds(
        Item,
        item=st.integers(1, 9),
        kind=st.just(BlobKind.INSTANCE),
        sha256=st.binary(min_size=32, max_size=32),
        size=st.just(1),
        received_ms=st.just(1),
        about=st.fixed_dictionaries({"sop_class": CLASSES}),
        state=st.sampled_from([ItemState.DELIVERED, ItemState.DELIVERED, *ItemState]),
        reason=st.sampled_from([None, None, None, "set aside: parse"]),
    ),
    max_size=3,
)


WAITING = Item(1, BlobKind.INSTANCE, b"h" * 32, 1, 1, {"sop_class": "9.1"})
DELIVERED = msgspec.structs.replace(WAITING, state=ItemState.DELIVERED)


@example(Reference("9.1", "1.1"), [DELIVERED, WAITING], True)
@example(Reference("9.1", "1.1"), [DELIVERED, WAITING], False)
@example(Reference("9.1", "1.1"), [DELIVERED, WAITING], None)
@example(Reference("9.1", "1.1"), [DELIVERED, DELIVERED], True)
@given(st.builds(Reference, CLASSES, UIDS), ITEMS, st.sampled_from([True, True, False, None]))
def test_an_instance_is_committed_when_all_its_files_are(
    reference: Reference, found: list[Item], kept: bool | None
) -> None:
    told = verdict(reference, found, "cloud", lambda _: kept)
    assert (told is Verdict.COMMITTED) == has_it_all(reference, found)
    by_edge = verdict(reference, found, "edge", lambda _: kept)
    here = {True: Verdict.COMMITTED, False: Verdict.PROCESSING_FAILURE, None: Verdict.NOT_YET}
    assert told is by_edge or (told, by_edge) == (Verdict.NOT_YET, here[kept])
    if found and all(item.state == "dropped" for item in found):
        assert told is Verdict.NO_SUCH_INSTANCE


class Commitments(RuleBasedStateMachine):
    """The desk of a gateway whose custody is the cloud's.

    ``true_ms`` passes as time does; the wall clock says it only while it is synchronised.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="commitments"))
        self.clock = ManualClock()
        self.spool = Spool()
        self.database = Database(self.folder / "spool.sqlite")
        self.asked: dict[str, tuple[Reference, ...]] = {}
        self.asked_ms: dict[str, int] = {}
        self.asked_event: dict[str, int] = {}
        self.told: dict[str, list[tuple[Reference, int]]] = {}
        self.true_ms = self.clock.wall_ms()
        self.is_set = True
        self.boots = 1
        self.in_hand: list[Commitment] = []
        self.start()

    def start(self) -> None:
        self.table = CommitmentTable(self.database, Sealer(b"k" * 32))
        self.age = Age(self.database, self.clock, is_set=lambda: self.is_set)
        self.age.keep()
        self.desk = CommitmentDesk(self.table, self.spool, SETTINGS, self.clock, self.age)

    def pass_time(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)
        self.true_ms += milliseconds
        self.age.keep()

    @rule(uid=UIDS, sop_class=CLASSES, octets=st.sampled_from([b"a" * 32, b"a" * 32, b"b" * 32]))
    def an_object_arrives(self, uid: str, sop_class: str, octets: bytes) -> None:
        self.spool.store(uid, sop_class, octets)

    @precondition(lambda self: self.spool.items)
    @rule(place=st.integers(0, 100))
    def a_receipt_comes(self, place: int) -> None:
        self.spool.settle(place, ItemState.DELIVERED, None)

    @precondition(lambda self: self.spool.items)
    @rule(
        place=st.integers(0, 100),
        fate=st.sampled_from(
            [
                (ItemState.REFUSED, "other hash"),
                (ItemState.DELIVERED, "set aside: parse"),
                (ItemState.DAMAGED, "its file is gone"),
            ]
        ),
    )
    def an_object_fails(self, place: int, fate: tuple[ItemState, str]) -> None:
        self.spool.settle(place, *fate)

    @precondition(lambda self: self.spool.items)
    @rule(place=st.integers(0, 100))
    def the_collector_loses_an_object(self, place: int) -> None:
        self.spool.lose(place)

    @rule()
    def the_link_is_up(self) -> None:
        self.spool.collector_answers()

    @rule(references=REFERENCES)
    def a_modality_asks(self, references: list[Reference]) -> None:
        transaction = f"2.{len(self.asked)}"
        self.asked[transaction] = tuple(references)
        self.asked_ms[transaction] = self.true_ms
        self.spool.events += 1
        self.asked_event[transaction] = self.spool.events
        asker = Asker(transaction, "CT1", "WARDLIGHT", "192.0.2.7")
        assert self.desk.take(asker, references) is PutOutcome.NEW
        assert self.desk.take(asker, references) is PutOutcome.KNOWN
        other = [*references, Reference("9.9", "1.9")]
        assert self.desk.take(asker, other) is PutOutcome.DIFFERS

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.pass_time(hours * 3_600_000)

    @rule(year=st.sampled_from([-8, -1, 0, 1, 40]), is_set=st.booleans())
    def the_wall_clock_is_set(self, year: int, is_set: bool) -> None:
        """To anything; only what is right is called synchronised."""
        self.clock.set_wall(self.true_ms + (0 if is_set else year * 365 * DAY_MS))
        self.is_set = is_set
        self.age.keep(at_once=is_set)

    @rule(hours=st.integers(0, 30), starts_in_1970=st.booleans())
    def the_machine_starts_again(self, hours: int, starts_in_1970: bool) -> None:
        """The wall clock went on meanwhile, or begins anew, and is not synchronised yet."""
        self.boots += 1
        self.in_hand.clear()
        self.database.close()
        self.true_ms += hours * 3_600_000
        self.is_set = False
        self.clock.reboot(f"boot-{self.boots}")
        self.clock.set_wall(0 if starts_in_1970 else self.true_ms)
        self.database = Database(self.folder / "spool.sqlite")
        self.start()

    @rule()
    def the_process_dies(self) -> None:
        self.in_hand.clear()
        self.database.close()
        self.database = Database(self.folder / "spool.sqlite")
        self.start()

    @rule()
    def reports_are_due(self) -> None:
        for commitment in self.desk.due():
            self.check(commitment)
            self.in_hand.append(commitment)

    @precondition(lambda self: self.in_hand)
    @rule(status=st.sampled_from([0, 0x0110, None]))
    def a_report_is_answered(self, status: int | None) -> None:
        self.desk.told(self.in_hand.pop(0), status)

    @invariant()
    def nothing_is_asked_twice_at_a_time(self) -> None:
        numbers = [commitment.number for commitment in self.in_hand]
        assert len(set(numbers)) == len(numbers)

    def check(self, commitment: Commitment) -> None:
        assert commitment.is_decided
        outcomes = [each for page in self.desk.outcomes(commitment) for each in page]
        transaction = commitment.asked.transaction
        known = self.told.setdefault(transaction, outcomes)
        assert known == outcomes, "what is told again is the same"
        if known is not outcomes:
            return
        assert tuple(reference for reference, _ in outcomes) == self.asked[transaction]
        waited_ms = self.true_ms - self.asked_ms[transaction]
        for reference, reason in outcomes:
            found = self.spool.find(reference.sop_instance)
            assert (reason == 0) == self.spool.has_it_all(reference), "a false word"
            assert (reason == 0x0112) == (not found)
            if reason == 0:
                event = self.asked_event[transaction]
                assert not self.spool.was_lost_before(reference.sop_instance, event), "an old word"
            on_way = ("waiting", "delivered", "asked")
            if reason == 0x0110 and all(item.state in on_way for item in found):
                is_failed = any(item.reason is not None for item in found)
                assert is_failed or waited_ms > SETTINGS.deadline_s * 1000, "too late too early"

    def teardown(self) -> None:
        """Everything is reported in the end, whatever is missing."""
        for commitment in self.in_hand:
            self.desk.told(commitment, None)
        for _ in range(len(self.asked) + 2):
            self.pass_time(2 * DAY_MS + 3_600_000)
            for commitment in self.desk.due():
                self.check(commitment)
                self.desk.told(commitment, 0)
        counts = self.table.counts()
        assert not counts.keys() & {"waiting", "decided"}, counts
        self.database.close()
        shutil.rmtree(self.folder)


Commitments.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestCommitments = Commitments.TestCase


def test_what_was_lost_between_receipt_and_request_is_not_committed() -> None:
    """Nothing is said before the collector has answered, and what it has still is a success."""
    machine = Commitments()
    lost, kept = Reference("9.1", "1.1"), Reference("9.1", "1.2")
    for each in (lost, kept):
        machine.an_object_arrives(each.sop_instance, each.sop_class, each.sop_instance.encode())
    for place in range(2):
        machine.a_receipt_comes(place)
    machine.the_collector_loses_an_object(0)
    machine.a_modality_asks([lost, kept])
    machine.time_passes(1)
    machine.reports_are_due()
    assert not machine.in_hand, "the link is down"
    machine.the_link_is_up()
    machine.time_passes(1)
    machine.reports_are_due()
    (outcomes,) = machine.told.values()
    assert outcomes == [(lost, Verdict.PROCESSING_FAILURE), (kept, Verdict.COMMITTED)]
    machine.teardown()
