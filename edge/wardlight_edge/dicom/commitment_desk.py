"""Requests for storage commitment: kept, decided, and given out when their report is due.

A request is decided when every instance has what a success needs, or has failed, or the deadline is
over; the decision is fixed on the disk before it is told, so that a report that is sent twice says
the same twice. A disk that refuses delays the request it refuses, and no other one. Deadlines and
pauses are counted in the age of the spool: a wall clock that is set decides nothing.

The association on which a request came has the first call on its report while it is open.

Source  DICOM PS3.4, annex J
"""

import logging
import threading
from array import array
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from wardlight_edge.clock import Clock
from wardlight_edge.dicom.commitment_rules import Verdict, final, verdict
from wardlight_edge.imaging_settings import CommitmentSettings
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.base import ReceivingSpool
from wardlight_edge.spool.commitments import (
    Asker,
    Commitment,
    CommitmentState,
    CommitmentTable,
    PutOutcome,
    Reference,
)
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_SUCCESS: Final = 0x0000
_FIRST_LOOK_MS: Final = 1000
_LOOK_EVERY_MS: Final = 10_000
_REST_MS: Final = 10_000
_WAY_MS: Final = 300_000
_FOR_EVER: Final = 1 << 62
_MOST_HERE: Final = 128


_Key = tuple[str, str]


class _Way(NamedTuple):
    """An association that may take reports.

    until_ms  how long it goes before others; ``open_ms``: how long it is held open, since the last
              request
    """

    until_ms: int
    open_ms: int
    keys: set[_Key]


def _key(asked: Asker) -> _Key:
    return asked.calling_ae, asked.transaction


class CommitmentDesk:
    """Decides requests and says what is due; any thread may call."""

    def __init__(
        self,
        table: CommitmentTable,
        spool: ReceivingSpool,
        settings: CommitmentSettings,
        clock: Clock,
        age: Age,
    ) -> None:
        self._table = table
        self._spool = spool
        self._settings = settings
        self._clock = clock
        self._age = age
        self._taken: set[int] = set()
        self._ways: dict[int, _Way] = {}
        self._resting: dict[int, int] = {}  # until which age
        self._missing: dict[int, Reference] = {}  # what a request was last seen to wait for
        self._lock = threading.Lock()
        self.asked = threading.Event()  # set when there is something new to look at

    def take(
        self,
        asked: Asker,
        references: list[Reference],
        association: int = 0,
        *,
        is_only_way: bool = False,
    ) -> PutOutcome:
        """Keep a request that came on this association; durable on return.

        is_only_way  its requester has no address for a report on an association of ours
        What was delivered before is asked about first: a receipt of then is no word on now.
        """
        if association:  # first: who has no other way is given up where there is none
            self._open_way(association, asked, is_only=is_only_way)
        self._spool.ask_again([each.sop_instance for each in references])
        with self._age.held() as now_ms:
            outcome = self._table.put(
                asked, references, received_ms=self._clock.wall_ms(), now_ms=now_ms
            )
        self.asked.set()
        return outcome

    def leave(self, association: int) -> None:
        """An association takes no more reports."""
        with self._lock:
            had = self._ways.pop(association, None)
        if had is not None:
            self.asked.set()

    def promised_ms(self, association: int) -> int:
        """How long an association is held for reports, from now."""
        with self._lock:
            way = self._ways.get(association)
        return 0 if way is None else max(0, way.open_ms - self._age.now_ms())

    def due_on(self, association: int) -> list[Commitment]:
        """The same as ``due``, of what was asked for on this association."""
        with self._lock:
            way = self._ways.get(association)
        if way is None:
            return []
        return self._due(lambda asked: _key(asked) in way.keys, max(_MOST_HERE, len(way.keys)))

    def due(self, limit: int = 32) -> list[Commitment]:
        """Decided requests whose report is due, for the caller alone.

        Each must come back by ``told`` or ``give_back``. What can be decided is decided on the
        way; a request that the disk does not let us decide holds up no other one.
        """
        now_ms = self._age.now_ms()
        with self._lock:
            open_ways = [way.keys for way in self._ways.values() if now_ms < way.until_ms]
        elsewhere = frozenset[_Key]().union(*open_ways)
        return self._due(lambda asked: _key(asked) not in elsewhere, limit + len(elsewhere))

    def give_back(self, commitment: Commitment) -> None:
        """It was not reported, and nobody was asked to take it."""
        self._release(commitment.number)
        self.asked.set()

    def give_up(self, commitment: Commitment) -> None:
        """The association on which it was to be told is gone, and there is no other way.

        A person can see that; the same request again begins anew. Who has asked again since, on an
        association that is open, is waited for there.
        """
        with self._lock:
            is_waited_for = any(_key(commitment.asked) in way.keys for way in self._ways.values())
        if is_waited_for:
            self.give_back(commitment)
            return
        try:
            self._table.settle(commitment.number, CommitmentState.GIVEN_UP)
            extra = {"commitment": commitment.number}
            _log.error("commitment report given up: there is no way to its requester", extra=extra)
        except StorageError as error:
            self._rest(commitment.number, error)
        finally:
            self._release(commitment.number)

    def unreadable(self, commitment: Commitment, error: StorageError) -> None:
        """What is to be reported cannot be read now."""
        self._rest(commitment.number, error)
        self._release(commitment.number)

    def outcomes(self, commitment: Commitment) -> Iterable[list[tuple[Reference, int]]]:
        """What is reported of each instance, some hundred at a time; StorageError."""
        return self._table.outcomes(commitment)

    def _due(self, is_wanted: Callable[[Asker], bool], limit: int) -> list[Commitment]:
        now_ms = self._age.now_ms()
        found = self._table.due(now_ms, limit)
        wanted = [each.number for each in found if is_wanted(each.asked)]
        taken = (self._taken_up(number, now_ms) for number in wanted)
        return [each for each in taken if each is not None]

    def told(self, commitment: Commitment, status: int | None) -> None:
        """How the requester answered a report; None = it did not.

        Where the disk refuses to keep that, the same report is told again a while later.
        """
        try:
            self._keep_answer(commitment, status)
        except StorageError as error:
            self._rest(commitment.number, error)
        finally:
            self._release(commitment.number)

    def _taken_up(self, number: int, now_ms: int) -> Commitment | None:
        """A request for the caller alone when it is decided; any other is free again."""
        if not self._claims(number):
            return None
        decided = None
        try:
            held = self._table.open_request(number)  # as it is, now that it is ours
            decided = None if held is None else self._decided(held, now_ms)
        except StorageError as error:
            self._rest(number, error)
        finally:
            if decided is None:
                self._release(number)
        return decided

    def _keep_answer(self, commitment: Commitment, status: int | None) -> None:
        now_ms = self._age.now_ms()
        held = self._table.open_request(commitment.number) or commitment
        about = {"commitment": commitment.number, "attempts": commitment.attempts + 1}
        if status == _SUCCESS:
            self._table.settle(commitment.number, CommitmentState.REPORTED)
            self._forget_way(commitment.asked)
            _log.info("commitment reported", extra=about)
        elif now_ms - held.asked_at > self._give_up_ms():
            self._table.settle(commitment.number, CommitmentState.GIVEN_UP)
            _log.error("commitment report given up", extra={**about, "status": status})
        else:
            pause_s = self._pause_s(commitment.attempts)
            self._table.failed(commitment.number, now_ms + int(pause_s * 1000))
            _log.warning("commitment report not taken", extra={**about, "status": status})

    def _decided(self, commitment: Commitment, now_ms: int) -> Commitment | None:
        if commitment.is_decided:
            return commitment
        waited_ms = now_ms - commitment.asked_at
        is_late = waited_ms > self._settings.deadline_s * 1000
        verdicts = self._verdicts(commitment, is_late=is_late)
        if verdicts is None:
            pause_ms = min(_LOOK_EVERY_MS, max(_FIRST_LOOK_MS, waited_ms // 8))
            self._table.look_again(commitment.number, now_ms + pause_ms)
            return None
        committed = verdicts.count(Verdict.COMMITTED)
        counts = {"committed": committed, "failed": len(verdicts) - committed}
        decided = self._table.decide(commitment, verdicts, now_ms)
        _log.info("commitment decided", extra={"commitment": commitment.number, **counts})
        return decided

    def _verdicts(self, commitment: Commitment, *, is_late: bool) -> "array[int] | None":
        """What is reported of each instance; None = not yet.

        What it waited for is looked at first: most looks are over with that.
        """
        missing = self._missing.pop(commitment.number, None)
        if missing is not None and not is_late and self._waits_for(commitment, missing):
            return None
        told = array("H")
        for page in self._table.references(commitment):
            for reference in page:
                found = self._verdict(reference)
                if found is Verdict.NOT_YET and not is_late:
                    self._missing[commitment.number] = reference
                    return None
                told.append(final(found))
        return told

    def _waits_for(self, commitment: Commitment, missing: Reference) -> bool:
        if self._verdict(missing) is not Verdict.NOT_YET:
            return False
        self._missing[commitment.number] = missing
        return True

    def _verdict(self, reference: Reference) -> Verdict:
        """Of an instance whose rows cannot be read nothing is known: it fails when time is up."""
        try:
            found = self._spool.find(reference.sop_instance)
            return verdict(reference, found, self._settings.custody, self._spool.is_kept)
        except StorageError as error:
            _log.error("an instance cannot be looked up", extra={"error": str(error)})
            return Verdict.NOT_YET

    def _claims(self, number: int) -> bool:
        with self._lock:
            is_rested = self._resting.get(number, 0) <= self._age.now_ms()
            is_free = is_rested and number not in self._taken
            if is_free:
                self._taken.add(number)
                self._resting.pop(number, None)
        return is_free

    def _rest(self, number: int, error: StorageError) -> None:
        """The disk refuses: the request is looked at again after a pause."""
        extra = {"commitment": number, "error": str(error)}
        _log.error("a commitment waits for the disk", extra=extra)
        with self._lock:
            self._resting[number] = self._age.now_ms() + _REST_MS

    def _release(self, number: int) -> None:
        with self._lock:
            self._taken.discard(number)

    def _open_way(self, association: int, asked: Asker, *, is_only: bool) -> None:
        with self._lock:
            open_ms = self._age.now_ms() + _WAY_MS
            way = self._ways.get(
                association, _Way(_FOR_EVER if is_only else open_ms, open_ms, set())
            )
            self._ways[association] = way._replace(open_ms=open_ms)
            if is_only or len(way.keys) < _MOST_HERE:
                way.keys.add(_key(asked))

    def _forget_way(self, asked: Asker) -> None:
        with self._lock:
            for way in self._ways.values():
                way.keys.discard(_key(asked))

    def _give_up_ms(self) -> float:
        return (self._settings.deadline_s + self._settings.give_up_s) * 1000

    def _pause_s(self, attempts: int) -> float:
        growing_s = self._settings.first_retry_s * float(1 << min(attempts, 16))
        return min(self._settings.last_retry_s, growing_s)
