"""Performed procedure steps as this gateway holds them, and their events on the way to the queue.

An event (N-CREATE or N-SET) is accepted when ``put`` has committed it together with what the step
is then. From there it becomes an item of the spool in the order of acceptance, however often the
process dies between: it stays in ``waiting`` until ``queued`` says that the spool has it. One whose
row does not open is set aside for an operator; the others go on.

Of a step that is over only its status is kept: nothing of it can change any more.

Errors  SpoolFull, StorageError
"""

import logging
import os
import time
from typing import Final, Literal

import msgspec

from wardlight_edge.spool import bounds
from wardlight_edge.spool.base import SpoolFull
from wardlight_edge.spool.database import Database, Transaction
from wardlight_edge.spool.room import Room
from wardlight_edge.spool.sealing import Sealer
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
MAX_WAITING: Final = 10_000
_SUBJECT: Final = "step"


class StepState(msgspec.Struct, frozen=True):
    """A step after ``events`` events. ``attributes``: Explicit VR Little Endian.

    is_over  nothing of it can change any more
    """

    status: str
    events: int
    attributes: bytes
    is_over: bool = False


class StepEvent(msgspec.Struct, frozen=True, array_like=True):
    """An accepted event. ``file``: what the collector gets (dicom/step_file.py)."""

    sop_instance: str
    event: Literal["create", "set"]
    calling_ae: str
    called_ae: str
    peer: str
    received_ms: int
    file: bytes


class WaitingEvent(msgspec.Struct, frozen=True):
    """An event that is no item of the spool yet, by its number."""

    number: int
    event: StepEvent


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(StepEvent)


class StepTable:
    """Keeps steps and their events.

    room  whose reserve of the disk is left alone; None = nothing is put
    """

    def __init__(self, database: Database, sealer: Sealer, room: Room | None = None) -> None:
        self._database = database
        self._sealer = sealer
        self._room = room

    def find(self, sop_instance: str) -> StepState | None:
        """The step of this SOP Instance UID."""
        key = self._sealer.hash(_SUBJECT, sop_instance)
        rows = self._database.rows(
            "SELECT status, events, sealed FROM step WHERE key_hash = ?", (key,)
        )
        if not rows:
            return None
        status, events, sealed = rows[0]
        return StepState(status, events, self._sealer.open_sealed(_place(key), sealed))

    def put(self, state: StepState, event: StepEvent, now_ms: int) -> bool:
        """Accept an event that makes the step what ``state`` says; durable on return.

        now_ms is the age of the spool. False: another event came first (``state.events`` is not
        one more than what is held); nothing was kept. SpoolFull: too many events wait, a sender has
        as many steps or events as one may, or the disk is at its reserve.
        """
        return self._database.write(lambda changes: self._put(changes, state, event, now_ms))

    def waiting(self, limit: int = 64) -> list[WaitingEvent]:
        """Events that are no items of the spool yet, in the order of acceptance."""
        while True:
            rows = self._database.rows(
                "SELECT event, name, sealed FROM step_event ORDER BY event LIMIT ?", (limit,)
            )
            found = [each for row in rows if (each := self._sound(*row)) is not None]
            if found or not rows:
                return found

    def count_aside(self) -> int:
        """Events that were set aside."""
        return int(self._database.value("SELECT count(*) FROM step_event_aside"))

    def _sound(self, number: int, name: bytes, sealed: bytes) -> WaitingEvent | None:
        try:
            event = _decoder.decode(self._sealer.open_sealed(_place(name), sealed))
        except (StorageError, msgspec.DecodeError):
            _log.error("an event of a procedure step was set aside", extra={"event": number})
            self._database.write(lambda transaction: _set_aside(transaction, number))
            return None
        return WaitingEvent(number, event)

    def queued(self, number: int) -> None:
        """The spool has this event."""
        self._database.write(
            lambda transaction: transaction.execute(
                "DELETE FROM step_event WHERE event = ?", (number,)
            )
        )

    def forget(self, before: int) -> int:
        """Drop steps that have not changed since this age; returns how many there were."""
        return self._database.write(
            lambda transaction: transaction.execute(
                "DELETE FROM step WHERE changed_at < ?", (before,)
            )
        )

    def _put(
        self, transaction: Transaction, state: StepState, event: StepEvent, now_ms: int
    ) -> bool:
        if int(transaction.value("SELECT count(*) FROM step_event")) >= MAX_WAITING:
            raise SpoolFull("too many procedure steps wait for room in the spool")
        key = self._sealer.hash(_SUBJECT, event.sop_instance)
        held = transaction.rows(
            "SELECT events, sender, octets FROM step WHERE key_hash = ?", (key,)
        )
        asker = self._sealer.hash("sender", event.calling_ae)
        events, sender, octets = held[0] if held else (0, asker, 0)
        if state.events != events + 1:
            return False
        keeps = 0 if state.is_over else len(state.attributes)
        self._hold(transaction, asker, event)
        bounds.hold(transaction, bounds.STEPS, sender, keeps - octets, entries=0 if held else 1)
        sealed = self._sealer.seal(_place(key), state.attributes)
        transaction.execute(
            "INSERT INTO step (key_hash, status, events, changed_at, sealed, sender, octets)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (key_hash) DO UPDATE SET status = excluded.status,"
            " events = excluded.events, changed_at = excluded.changed_at, sealed = excluded.sealed,"
            " octets = excluded.octets",
            (key, state.status, state.events, now_ms, sealed, sender, keeps),
        )
        name = os.urandom(16)
        transaction.execute(
            "INSERT INTO step_event (name, sealed, sender, octets) VALUES (?, ?, ?, ?)",
            (
                name,
                self._sealer.seal(_place(name), _encoder.encode(event)),
                asker,
                len(event.file),
            ),
        )
        return True

    def _hold(self, transaction: Transaction, asker: bytes, event: StepEvent) -> None:
        """Room for an event; with those that wait count the files that events have become."""
        octets = len(event.file)
        if self._room is not None:
            self._room.spare(octets)
        files = self._sealer.hash("sender", files_of(event.calling_ae))
        usage = transaction.value("SELECT disk_bytes FROM usage WHERE sender = ?", (files,))
        bounds.hold(transaction, bounds.EVENTS, asker, octets, elsewhere=int(usage or 0))


def files_of(calling_ae: str) -> str:
    """Sender of the files of steps, which count in no quota of images; no AE title is like it."""
    return f"\0steps of {calling_ae}"


def _set_aside(transaction: Transaction, number: int) -> None:
    now_ms = time.time_ns() // 1_000_000
    transaction.execute(
        "INSERT OR REPLACE INTO step_event_aside"
        " SELECT event, name, sealed, ? FROM step_event WHERE event = ?",
        (now_ms, number),
    )
    transaction.execute("DELETE FROM step_event WHERE event = ?", (number,))


def _place(name: bytes) -> bytes:
    return b"step " + name
