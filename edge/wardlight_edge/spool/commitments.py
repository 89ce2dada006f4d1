"""Requests for storage commitment as this gateway holds them until their report is delivered.

    waiting   asked for; not all instances have what a success needs
    decided   of each instance it is fixed what is reported, however often
    reported  the requester has answered the report
    given-up  the requester could not be reached for days: an operator has to look
    damaged   its rows do not open: nobody can be told, an operator has to look

A request may be about 20,000 instances, and many may wait: their instances stay on the disk and are
gone through some hundred at a time. They are removed when the report was taken: what is left says
only that this was asked for. Times are ages of the spool (age.py) but for ``received_ms``.

Errors  SpoolFull, StorageError
"""

import logging
import os
from collections.abc import Iterator, Sequence
from enum import StrEnum
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.spool import bounds
from wardlight_edge.spool.base import SpoolFull
from wardlight_edge.spool.database import Database, Row, Transaction
from wardlight_edge.spool.room import Room
from wardlight_edge.spool.sealing import Sealer
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
MAX_OPEN: Final = 10_000
MAX_INSTANCES: Final = 20_000
"""Instances of one request at most."""
PAGE: Final = 512
"""Instances of a request that are in memory at a time."""
_SUBJECT: Final = "commitment"
_VERDICT: Final = Struct("<H")
_COLUMNS: Final = (
    "commitment, state, received_ms, asked_at, attempts, name, asked, instances, verdicts NOT NULL"
)


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """An instance by SOP Class and SOP Instance UID."""

    sop_class: str
    sop_instance: str


class Asker(msgspec.Struct, frozen=True, array_like=True):
    """Who asked: ``calling_ae`` asked ``called_ae`` from ``address``, as this transaction."""

    transaction: str
    calling_ae: str
    called_ae: str
    address: str


class CommitmentState(StrEnum):
    """Where a request is on its way."""

    WAITING = "waiting"
    DECIDED = "decided"
    REPORTED = "reported"
    GIVEN_UP = "given-up"
    DAMAGED = "damaged"


class Commitment(msgspec.Struct, frozen=True):
    """A request, by its number; about so many ``instances``.

    asked_at  age of the spool; ``attempts``: reports that were tried and not answered
    """

    number: int
    state: CommitmentState
    received_ms: int
    asked_at: int
    attempts: int
    asked: Asker
    instances: int
    is_decided: bool


class PutOutcome(StrEnum):
    """What became of a request."""

    NEW = "new"
    KNOWN = "known"  # the same request is held already; one that was settled begins anew
    DIFFERS = "differs"  # the requester has used this Transaction UID for other instances


_encoder: Final = msgspec.msgpack.Encoder()
_asker: Final = msgspec.msgpack.Decoder(Asker)
_page: Final = msgspec.msgpack.Decoder(list[Reference])


class CommitmentTable:
    """Keeps requests and what is reported of them.

    room  whose reserve of the disk is left alone; None = nothing is put
    """

    def __init__(self, database: Database, sealer: Sealer, room: Room | None = None) -> None:
        self._database = database
        self._sealer = sealer
        self._room = room

    def put(
        self, asked: Asker, references: Sequence[Reference], *, received_ms: int, now_ms: int
    ) -> PutOutcome:
        """Keep a request; durable on return.

        SpoolFull: too many are open, of all or of the requester, or the disk is at its reserve.
        """
        pages = [_encoder.encode(references[at : at + PAGE])
                 for at in range(0, len(references), PAGE)]  # fmt: skip
        digest = self._digest(pages)
        request = _Request(asked, len(references), digest, received_ms, now_ms)
        return self._database.write(lambda transaction: self._put(transaction, request, pages))

    def due(self, now_ms: int, limit: int = 32) -> list[Commitment]:
        """Open requests whose next look or report is due, the longest due first.

        A row that does not open is DAMAGED from now.
        """
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM commitment"  # noqa: S608 - constants
            " WHERE state IN ('waiting', 'decided') AND next_at <= ?"
            " ORDER BY next_at, commitment LIMIT ?",
            (now_ms, limit),
        )
        return [found for row in rows if (found := self._sound(row)) is not None]

    def open_request(self, number: int) -> Commitment | None:
        """One request, while it is neither reported nor given up."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM commitment"  # noqa: S608 - constants
            " WHERE commitment = ? AND state IN ('waiting', 'decided')",
            (number,),
        )
        return self._sound(rows[0]) if rows else None

    def references(self, commitment: Commitment) -> Iterator[list[Reference]]:
        """The instances of a request, at most PAGE at a time.

        StorageError: a page does not open, or is gone; the request is DAMAGED from now.
        """
        found = 0
        for page in range(-(-commitment.instances // PAGE)):
            part = self._page(commitment, page)
            found += len(part)
            yield part
        if found != commitment.instances:
            raise self._damaged(commitment)

    def decide(self, commitment: Commitment, verdicts: Sequence[int], now_ms: int) -> Commitment:
        """Fix what is reported of each instance: 0 = committed, or the Failure Reason.

        What is fixed already stays. Durable on return.
        """
        octets = b"".join(map(_VERDICT.pack, verdicts))

        def change(transaction: Transaction) -> None:
            name = transaction.value(
                "SELECT name FROM commitment WHERE commitment = ?", (commitment.number,)
            )
            transaction.execute(
                "UPDATE commitment SET state = 'decided', verdicts = ?, next_at = ?"
                " WHERE commitment = ? AND state = 'waiting'",
                (self._sealer.seal(_place(name, b"verdicts"), octets), now_ms, commitment.number),
            )

        self._database.write(change)
        state = CommitmentState.DECIDED
        return msgspec.structs.replace(commitment, state=state, is_decided=True)

    def outcomes(self, commitment: Commitment) -> Iterator[list[tuple[Reference, int]]]:
        """The instances of a decided request, each with what is reported; as ``references``."""
        rows = self._database.rows(
            "SELECT name, verdicts FROM commitment WHERE commitment = ?", (commitment.number,)
        )
        if not rows or rows[0][1] is None:
            raise StorageError(f"request {commitment.number} for commitment is not decided")
        name, sealed = rows[0]
        try:
            verdicts = self._sealer.open_sealed(_place(name, b"verdicts"), sealed)
        except StorageError:
            raise self._damaged(commitment) from None
        if len(verdicts) != commitment.instances * _VERDICT.size:
            raise self._damaged(commitment)
        told = _VERDICT.iter_unpack(verdicts)
        for page in self.references(commitment):
            yield [(reference, next(told)[0]) for reference in page]

    def look_again(self, number: int, next_at: int) -> None:
        """Not yet: look at a waiting request again then."""
        self._run("UPDATE commitment SET next_at = ? WHERE commitment = ?", next_at, number)

    def failed(self, number: int, next_at: int) -> None:
        """A report was not answered: try again then."""
        self._run(
            "UPDATE commitment SET attempts = attempts + 1, next_at = ? WHERE commitment = ?",
            next_at,
            number,
        )

    def settle(self, number: int, state: CommitmentState) -> None:
        """The report was answered, or is given up; durable on return."""

        def change(transaction: Transaction) -> None:
            transaction.execute(
                "UPDATE commitment SET state = ? WHERE commitment = ?", (state.value, number)
            )
            if state is CommitmentState.REPORTED:
                _remove_pages(transaction, number)

        self._database.write(change)

    def counts(self) -> dict[str, int]:
        """How many requests are in each state."""
        return dict(self._database.rows("SELECT state, count(*) FROM commitment GROUP BY state"))

    def forget(self, before: int) -> int:
        """Drop requests that were asked before and are settled; returns how many."""
        return self._run(
            "DELETE FROM commitment WHERE asked_at < ?"
            " AND state IN ('reported', 'given-up', 'damaged')",
            before,
        )

    def _put(self, transaction: Transaction, request: "_Request", pages: list[bytes]) -> PutOutcome:
        asked, now_ms = request.asked, request.now_ms
        key = self._sealer.hash(_SUBJECT, f"{asked.calling_ae}\0{asked.transaction}")
        rows = transaction.rows(
            "SELECT digest, state, commitment, name, sender FROM commitment WHERE key_hash = ?",
            (key,),
        )
        if rows and rows[0][1] == CommitmentState.DAMAGED:  # what is asked now takes its place
            transaction.execute("DELETE FROM commitment WHERE key_hash = ?", (key,))
        elif rows and rows[0][0] != request.digest:
            return PutOutcome.DIFFERS
        elif rows:
            _, state, number, name, sender = rows[0]
            if state in (CommitmentState.REPORTED, CommitmentState.GIVEN_UP):
                _remove_pages(transaction, number)
                transaction.execute(
                    "UPDATE commitment SET state = 'waiting', attempts = 0, received_ms = ?,"
                    " asked_at = ?, next_at = ? WHERE commitment = ?",
                    (request.received_ms, now_ms, now_ms, number),
                )
                self._hold(transaction, sender, pages, entries=0)
                self._put_pages(transaction, number, name, pages)
            return PutOutcome.KNOWN
        is_open = transaction.value(
            "SELECT count(*) FROM commitment WHERE state IN ('waiting', 'decided')"
        )
        if int(is_open) >= MAX_OPEN:
            raise SpoolFull("too many requests for storage commitment are open")
        sender = self._sealer.hash("sender", asked.calling_ae)
        self._hold(transaction, sender, pages, entries=1)
        name = os.urandom(16)
        number = transaction.insert(
            "INSERT INTO commitment (key_hash, state, received_ms, asked_at, next_at, attempts,"
            " name, asked, instances, digest, sender)"
            " VALUES (?, 'waiting', ?, ?, ?, 0, ?, ?, ?, ?, ?)",
            (
                *(key, request.received_ms, now_ms, now_ms, name),
                self._sealer.seal(_place(name, b"asked"), _encoder.encode(asked)),
                *(request.instances, request.digest, sender),
            ),
        )
        self._put_pages(transaction, number, name, pages)
        return PutOutcome.NEW

    def _hold(
        self, transaction: Transaction, sender: bytes, pages: list[bytes], *, entries: int
    ) -> None:
        octets = _octets(pages)
        if self._room is not None:
            self._room.spare(octets)
        bounds.hold(transaction, bounds.COMMITMENTS, sender, octets, entries=entries)

    def _put_pages(
        self, transaction: Transaction, number: int, name: bytes, pages: list[bytes]
    ) -> None:
        for place, page in enumerate(pages):
            sealed = self._sealer.seal(_place(name, b"page %d" % place), page)
            transaction.execute(
                "INSERT INTO commitment_page VALUES (?, ?, ?)", (number, place, sealed)
            )
        transaction.execute(
            "UPDATE commitment SET octets = ? WHERE commitment = ?", (_octets(pages), number)
        )

    def _digest(self, pages: list[bytes]) -> bytes:
        """What tells whether the same instances are asked for; says nothing without the key."""
        digest = b""
        for page in pages:
            digest = self._sealer.hash(_SUBJECT, f"{digest.hex()} {page.decode('latin-1')}")
        return digest

    def _run(self, sql: str, *values: object) -> int:
        return self._database.write(lambda transaction: transaction.execute(sql, values))

    def _page(self, commitment: Commitment, page: int) -> list[Reference]:
        rows = self._database.rows(
            "SELECT c.name, p.sealed FROM commitment_page AS p"
            " INNER JOIN commitment AS c ON c.commitment = p.commitment"
            " WHERE p.commitment = ? AND p.page = ?",
            (commitment.number, page),
        )
        try:
            ((name, sealed),) = rows
            return _page.decode(self._sealer.open_sealed(_place(name, b"page %d" % page), sealed))
        except (StorageError, msgspec.DecodeError, ValueError):
            raise self._damaged(commitment) from None

    def _sound(self, row: Row) -> Commitment | None:
        number, state, received_ms, asked_at, attempts, name, sealed, instances, decided = row
        try:
            asked = _asker.decode(self._sealer.open_sealed(_place(name, b"asked"), sealed))
        except (StorageError, msgspec.DecodeError):
            self._set_damaged(number)
            return None
        return Commitment(
            number, CommitmentState(state), received_ms, asked_at, attempts, asked, instances,
            bool(decided),
        )  # fmt: skip

    def _damaged(self, commitment: Commitment) -> StorageError:
        self._set_damaged(commitment.number)
        return StorageError(f"request {commitment.number} for commitment does not open")

    def _set_damaged(self, number: int) -> None:
        _log.error("a request for commitment does not open", extra={"commitment": number})
        self.settle(number, CommitmentState.DAMAGED)


class _Request(msgspec.Struct, frozen=True):
    """What is kept of a request beside its pages."""

    asked: Asker
    instances: int
    digest: bytes
    received_ms: int
    now_ms: int


def _place(name: bytes, column: bytes) -> bytes:
    return b"commitment " + column + b" " + name


def _octets(pages: list[bytes]) -> int:
    return sum(map(len, pages))


def _remove_pages(transaction: Transaction, number: int) -> None:
    """Of a request that is over: whoever asks again brings the same instances."""
    transaction.execute("DELETE FROM commitment_page WHERE commitment = ?", (number,))
    transaction.execute(
        "UPDATE commitment SET octets = 0, verdicts = NULL WHERE commitment = ?", (number,)
    )
