"""Sends what is committed to the destinations: gathered into messages, kept, sent, acknowledged.

One process at a time works for a destination. Messages are made and the place in the order of
commits moved in one transaction, so no Observation is left out and none is in two messages. A
message that was sent and not acknowledged is sent again with its control id. Its PID is what the
register says each time that it is sent; its Observations stay as they were when it was made, or,
if it was dead, become what they are now (see ``kept``).

An Observation that its patient has lost, for a device was another one's, is withdrawn (OBX-11 W).

    AA   it has arrived
    AE   it is tried again, up to 8 times within hours; the patient's later messages wait
    AR   it is dead: an operator sees it (``hl7 dead``); the patient's later messages go on
    no answer, or one for another message: the connection is given up, everything waits and goes on
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

from wardlight_cloud.hl7.kept import has_results, last_words, with_patient, without_results
from wardlight_cloud.hl7.messages import Parties, message, withdrawn
from wardlight_cloud.hl7.metrics import MESSAGES, OBSERVATIONS
from wardlight_cloud.hl7.mllp import Acknowledgement, Address, MllpClient, MllpError
from wardlight_cloud.store.base import Patient, ReadStore
from wardlight_cloud.store.hl7_out import Hl7Progress, Hl7Store, NewMessage, WaitingMessage
from wardlight_cloud.store.maintenance import MaintenanceStore
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.subscriptions import ObservationChange
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_GATHERED: Final = 200  # Observations at once
_IN_A_MESSAGE: Final = 50
_SENT: Final = 50
_LOOK_S: Final = 15.0
_PAUSE_S: Final = 0.2
_AFTER_ERROR_S: Final = 2.0
_FOLLOW_S: Final = 5.0
_FIRST_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 300.0
_TRIES: Final = 8
_TRY_S: Final = 30.0  # after the first AE; doubled each time
_KEPT_DAYS: Final = 7
_UNWRITTEN: Final = "this server fails to write it; the log says why"


class SendingStore(ReadStore, Hl7Store, MaintenanceStore, Protocol):
    """What is asked of the store."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A receiver. ``interval_s`` 0: a message for each Observation, as it is committed.

    Else a message for each patient and interval. ``metrics``: wire numbers; empty: all.
    """

    name: str
    address: Address
    parties: Parties
    interval_s: int = 0
    metrics: frozenset[int] = frozenset()


class Hl7Sender:
    """Works for one destination until it is cancelled."""

    def __init__(
        self,
        store: SendingStore,
        destination: Destination,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        try_s: float = _TRY_S,
        first_pause_s: float = _FIRST_PAUSE_S,
    ) -> None:
        self._store = store
        self._to = destination
        self._now = now
        self._try_s = try_s
        self._first_pause_s = first_pause_s
        self._news = asyncio.Event()
        self._client: MllpClient | None = None

    async def run(self) -> None:
        """Lead, or wait until nobody else does."""
        while True:
            try:
                async with self._store.leadership(f"hl7 {self._to.name}") as leads:
                    if leads:
                        await self._lead()
                await asyncio.sleep(_FOLLOW_S)
            except StorageError as error:
                about = {"destination": self._to.name, "error": str(error)}
                _log.warning("HL7 messages wait", extra=about)
                await asyncio.sleep(_AFTER_ERROR_S)
            except Exception:  # noqa: BLE001 - supervisor: ingest runs beside, and goes on
                MESSAGES.labels("defect").inc()
                _log.exception("HL7 sender failed", extra={"destination": self._to.name})
                await asyncio.sleep(_FOLLOW_S)

    async def _lead(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(), name=f"hl7 {self._to.name} commits")
                group.create_task(self._work(), name=f"hl7 {self._to.name}")
        except* StorageError as errors:
            raise StorageError(str(errors.exceptions[0])) from None
        finally:
            await self._hang_up()

    async def _listen(self) -> None:
        async with self._store.changes() as changes:
            async for _ in changes:
                self._news.set()

    async def _work(self) -> None:
        await self._store.forget_hl7(days=_KEPT_DAYS)
        while True:
            self._news.clear()
            progress = await self._store.hl7_progress(self._to.name)
            wait_s = await self.gather(progress)
            wait_s = min(wait_s, await self._send(progress))
            if wait_s:
                await self._wait(wait_s)

    async def _wait(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
                await asyncio.sleep(_PAUSE_S)  # commits closer together share a turn
        except TimeoutError:
            return

    # -- making messages

    async def gather(self, seen: Hl7Progress) -> float:
        """Make messages of what was committed; seconds until there may be more to make."""
        interval_s = self._to.interval_s
        if seen.place is None and (seen.commit_seq >= seen.newest or seen.gathered_s < interval_s):
            return max(_PAUSE_S, interval_s - seen.gathered_s) if interval_s else _LOOK_S
        rows, place = await self._store.changed_observations(
            after=seen.commit_seq, upto=seen.newest, place=seen.place, count=_GATHERED
        )
        wanted = [
            withdrawn(each.row, each.stored_at) if each.is_left else each.row
            for each in rows
            if self._is_wanted(each.row) and (not each.is_left or _was_told(each, seen))
        ]
        messages = await self._messages(wanted)
        await self._store.add_hl7(
            self._to.name, seen, messages,
            commit_seq=seen.commit_seq if place is not None else seen.newest,
            place=place, is_gathered=place is None,
        )  # fmt: skip
        OBSERVATIONS.inc(len(wanted))
        return 0.0 if place is not None else _LOOK_S

    def _is_wanted(self, row: ObservationRow) -> bool:
        if not self._to.metrics:
            return True
        measured = {row.origin.metric, *(kind.metric for kind in row.circumstances.kinds)}
        return not measured.isdisjoint(self._to.metrics)

    async def _messages(self, rows: Sequence[ObservationRow]) -> list[NewMessage]:
        """In the order of commits; of an interval, a patient's readings together."""
        patients = await self._patients({row.origin.patient_id for row in rows})
        made = []
        for patient_id, group in self._grouped(rows):
            if patient_id not in patients:
                continue  # whoever is not in the register has no name to be sent by
            made += self._written(patients[patient_id], group)
        return made

    def _written(self, patient: Patient, group: Sequence[ObservationRow]) -> list[NewMessage]:
        """What cannot be written for a defect is kept alone, to be dead: an operator sees it."""
        control_id = secrets.token_hex(10)

        def written(rows: Sequence[ObservationRow]) -> bytes:
            return message(
                self._to.parties, patient, rows, control_id=control_id, now=self._now()
            )  # fmt: skip

        try:
            body = written(group)
        except Exception as error:  # noqa: BLE001 - supervisor of one: the others are sent
            if len(group) > 1:
                return [made for row in group for made in self._written(patient, [row])]
            self._note_defect(error)
            body = without_results(written(()), group[0].observation_id)
        return [NewMessage(patient.patient_id, len(group), control_id, body)]

    def _note_defect(self, error: Exception) -> None:
        MESSAGES.labels("defect").inc()
        about = {"destination": self._to.name, "error": type(error).__name__}
        _log.error("HL7 message cannot be written", extra=about)

    def _grouped(
        self, rows: Sequence[ObservationRow]
    ) -> Iterable[tuple[UUID, list[ObservationRow]]]:
        if not self._to.interval_s:
            return [(row.origin.patient_id, [row]) for row in rows]
        groups: dict[UUID, list[ObservationRow]] = {}
        for row in rows:
            groups.setdefault(row.origin.patient_id, []).append(row)
        return [
            (patient_id, group[start : start + _IN_A_MESSAGE])
            for patient_id, group in groups.items()
            for start in range(0, len(group), _IN_A_MESSAGE)
        ]

    async def _patients(self, ids: set[UUID]) -> dict[UUID, Patient]:
        if not ids:
            return {}
        rows, _ = await self._store.patients(ids=sorted(ids), count=len(ids))
        return {row.patient_id: row for row in rows}

    # -- sending

    async def _send(self, progress: Hl7Progress) -> float:
        """Send what waits; seconds until there may be more to send."""
        if progress.pause_s > 0:
            return progress.pause_s
        waiting = await self._store.take_hl7(self._to.name, count=_SENT)
        held: set[UUID] = set()
        try:
            for each in waiting:
                if each.patient_id not in held and not await self._is_sent(each):
                    held.add(each.patient_id)
        except MllpError as error:
            await self._hang_up()
            pause_s = self._pause_s(progress.attempts)
            MESSAGES.labels("unknown").inc()
            about = {"destination": self._to.name, "reason": str(error)}
            _log.warning("HL7 destination does not take messages", extra=about)
            await self._store.note_hl7_trouble(self._to.name, str(error), pause_s=pause_s)
            return pause_s
        if waiting:
            await self._store.note_hl7_trouble(self._to.name, "", pause_s=0)
        return 0.0 if len(waiting) == _SENT else _LOOK_S if not held else self._try_s

    async def _is_sent(self, waiting: WaitingMessage) -> bool:
        """Send one message; whether the patient's next one may follow."""
        if self._client is None:
            self._client = await MllpClient(self._to.address).__aenter__()
        try:
            body = await self._body_now(waiting)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - supervisor of one: the others are sent
            self._note_defect(error)
            body = _UNWRITTEN
        if isinstance(body, str):
            await self._store.settle_hl7_failed(waiting.message_id, body, again_in_s=None)
            return True
        if body is None:
            await self._store.drop_hl7_overtaken(waiting.message_id)
            about = {"destination": self._to.name, "message_id": waiting.message_id}
            _log.info("HL7 message is overtaken, and dropped", extra=about)
            return True
        try:
            answer = await self._client.send(body, waiting.control_id)
        except MllpError:
            await self._store.note_hl7_unknown(waiting.message_id)  # it may have been read
            raise
        if self._client.says_all_again:
            await self._hang_up()
        MESSAGES.labels(answer.code).inc()
        if answer.code == "AA":
            await self._store.settle_hl7_sent(waiting.message_id)
            return True
        tried = waiting.attempts + 1
        is_over = answer.code == "AR" or tried >= _TRIES
        again_in_s = None if is_over else self._try_s * 2.0 ** (tried - 1)
        reason = _reason(answer)
        await self._store.settle_hl7_failed(waiting.message_id, reason, again_in_s=again_in_s)
        about = {"destination": self._to.name, "message_id": waiting.message_id, "reason": reason}
        _log.warning("HL7 message is dead" if is_over else "HL7 message is refused", extra=about)
        return is_over

    async def _body_now(self, waiting: WaitingMessage) -> bytes | str | None:
        """The text to send; None: nothing of it holds any more; a str: why it is dead."""
        body: bytes | None = waiting.body
        if waiting.was_dead:
            body = await last_words(self._store, waiting.patient_id, waiting.body)
        if body is None:
            return None
        if not has_results(body):
            return _UNWRITTEN
        patients = await self._patients({waiting.patient_id})
        if waiting.patient_id not in patients:
            return "its patient is not in the register"
        return with_patient(body, self._to.parties, patients[waiting.patient_id])

    def _pause_s(self, attempts: int) -> float:
        return min(_LONGEST_PAUSE_S, self._first_pause_s * 2.0 ** min(attempts, 16))

    async def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)


def _was_told(left: ObservationChange, seen: Hl7Progress) -> bool:
    """Whether there may be a message of it that names the patient whom it left.

    What came and left between two looks at commits was told to nobody.
    """
    since = left.row.commit_seq
    return seen.from_commit < since and (since <= seen.commit_seq or seen.place is not None)


def _reason(answer: Acknowledgement) -> str:
    return f"{answer.code} {answer.error}".strip()
