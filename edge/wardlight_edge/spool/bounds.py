"""What one sender may have in the tables of the spool: so many entries, so many octets.

Triggers (services.sql) count both for each sender. An entry that is over, and is remembered only so
that it is known when it comes again, makes room for a new one: the oldest first.

Errors  SpoolFull: which bound was reached; whose it is, is not said
"""

from typing import Final

import msgspec

from wardlight_edge.spool.base import SpoolFull
from wardlight_edge.spool.database import Transaction


class Bound(msgspec.Struct, frozen=True):
    """The bound of one table.

    over  which of its rows are over; None = none ever is
    name  what they are, for whoever reads the status
    """

    table: str
    entries: int
    octets: int
    over: str | None
    name: str


COMMITMENTS: Final = Bound(
    table="commitment",
    entries=2_000,
    octets=64 << 20,
    over="state IN ('reported', 'given-up')",
    name="requests for storage commitment",
)
STEPS: Final = Bound(
    table="step",
    entries=20_000,
    octets=64 << 20,
    over="status IN ('COMPLETED', 'DISCONTINUED')",
    name="procedure steps",
)
EVENTS: Final = Bound(
    table="step_event",
    entries=2_000,
    octets=256 << 20,  # with the files that they become, as long as those wait
    over=None,
    name="events of procedure steps",
)


def hold(
    changes: Transaction,
    bound: Bound,
    sender: bytes,
    octets: int,
    *,
    entries: int = 1,
    elsewhere: int = 0,
) -> None:
    """Make room for ``octets`` in ``entries`` rows more of a sender, or SpoolFull.

    sender     b"" = it was not noted: rows of a spool that is older than its bounds, or was read
               from a damaged database
    elsewhere  octets that count with those of the table
    """
    while sender:
        held = changes.rows(
            "SELECT entries, octets FROM held WHERE subject = ? AND sender = ?",
            (bound.table, sender),
        )
        has, has_octets = held[0] if held else (0, 0)
        is_too_large = has_octets + elsewhere + octets > bound.octets
        if not is_too_large and has + entries <= bound.entries:
            return
        if not _forget_one(changes, bound, sender, at_least=1 if is_too_large else 0):
            what = "take up all the room" if is_too_large else f"are {has}, as many as there may be"
            raise SpoolFull(f"{bound.name} of one sender {what}")


def _forget_one(changes: Transaction, bound: Bound, sender: bytes, *, at_least: int) -> bool:
    """Forget the oldest row of a sender that is over and has so many octets; False = none is."""
    if bound.over is None:
        return False
    table = bound.table
    return bool(
        changes.execute(
            f"DELETE FROM {table} WHERE {table} = (SELECT min({table}) FROM {table}"  # noqa: S608 - constants
            f" WHERE sender = ? AND octets >= ? AND {bound.over})",
            (sender, at_least),
        )
    )
