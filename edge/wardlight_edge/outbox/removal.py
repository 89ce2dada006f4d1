"""Records taken out of the file (inside a transaction), wherever their rows begin and end.

A row of which a part goes is sealed anew with what stays, so that every row holds waiting records
only. A row that fails its authentication cannot be divided: it stays until all of it goes, or until
it is taken and reported as a gap.
"""

from typing import Final

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.cipher import Cipher, DamagedRow
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.packing import Held, cut
from wardlight_shared.errors import OutboxCorrupt
from wardlight_shared.records import Lane

# Literal numbers of packing.py: 16 = ONE_MORE, 32 = MOST_RECORDS.
_REJECT: Final = (
    "INSERT OR IGNORE INTO rejected"
    " SELECT seq, ?, event_id, body FROM record WHERE seq = ? AND kind < 16"
)
_ACROSS: Final = (
    "SELECT seq, queue, kind, hour, body FROM record"
    " WHERE seq BETWEEN ? - 32 AND ? - 1 AND seq + (kind >> 4) >= ?"
)
_COUNT: Final = "SELECT coalesce(sum((kind >> 4) + 1), 0)"
_WITHIN: Final = " FROM record WHERE seq BETWEEN ? AND ? AND seq + (kind >> 4) <= ?"
_INSERT: Final = "INSERT INTO record (seq, queue, kind, hour, body) VALUES "
_MOST_REASON: Final = 200
_LANES: Final = tuple(Lane)


class Removal:
    """Deletes records of one open file, or moves them aside."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    def delete(self, first: int, last: int) -> int:
        """Delete the records with seqs in [first, last]; return how many."""
        self._divide_at(first)
        self._divide_at(last + 1)
        within = (first, last, last)
        count = int(self._database.value(_COUNT + _WITHIN, within))
        if count:
            self._database.execute("DELETE" + _WITHIN, within)
        return count

    def reject(self, seq: int, reason: str) -> int:
        """Move a record to the table `rejected`; return 1, or 0 where it is not waiting."""
        self._divide_at(seq)
        self._divide_at(seq + 1)
        moved = self._database.execute(_REJECT, (reason[:_MOST_REASON], seq))
        if moved:
            self._database.execute("DELETE FROM record WHERE seq = ?", (seq,))
        return moved

    def keep_highest(self, highest: int) -> None:
        """When the newest row is gone, the table no longer tells which seqs were given."""
        newest = self._database.value(
            "SELECT seq + (kind >> 4) FROM record ORDER BY seq DESC LIMIT 1"
        )
        if newest != highest:
            self._database.execute("INSERT OR REPLACE INTO meta VALUES ('highest', ?)", (highest,))

    def _divide_at(self, border: int) -> None:
        """See to it that a row begins at ``border`` where one held it in its middle."""
        for seq, queue, kind, hour, sealed in self._database.rows(_ACROSS, (border,) * 3):
            try:
                held = self._cipher.open(seq, sealed)
            except DamagedRow:
                return
            records = _records(held)
            if len(records) != (kind >> 4) + 1:
                raise OutboxCorrupt(f"{self._database.path}: row {seq} is not as long as it says")
            self._database.execute("DELETE FROM record WHERE seq = ?", (seq,))
            for first, part in ((seq, records[: border - seq]), (border, records[border - seq :])):
                [(kind_now, _)] = cut(part)
                body = self._cipher.seal(first, held.lane, held.boot, part)
                self._database.insert_flat(_INSERT, 5, (first, queue, kind_now, hour, body))


def _records(held: Held) -> list[NewRecord]:
    lane = _LANES[held.lane]
    return [NewRecord(lane, None, *times_and_body) for times_and_body in held.records]
