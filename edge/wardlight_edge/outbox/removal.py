"""Records taken out of the file (inside a transaction), wherever their rows begin and end.

A row of which a part goes is sealed anew with what stays, so that every row holds waiting records
only. A row that fails its authentication cannot be divided, nor be asked how far it reaches: it
stays until all that it can hold goes, or until it is taken and reported as a gap.
"""

from typing import Final

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.cipher import Cipher, DamagedRow
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.packing import MOST_RECORDS, Held, cut
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
_LAST: Final = (
    "SELECT seq, kind, body, (SELECT min(after.seq) FROM record after WHERE after.seq > record.seq)"
    " FROM record WHERE seq BETWEEN ? AND ? ORDER BY seq DESC LIMIT 1"
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

    def delete(self, first: int, last: int, *, highest: int) -> int:
        """Delete the records with seqs in [first, last]; return how many.

        ``highest``: the newest seq ever given, which none of them can be beyond.
        """
        self._divide_at(first)
        self._divide_at(last + 1)
        within = (first, self._last_sure(first, last, highest), last)
        count = int(self._database.value(_COUNT + _WITHIN, within))
        if count:
            self._database.execute("DELETE" + _WITHIN, within)
        return count

    def delete_row(self, seq: int) -> None:
        """Delete the row that begins with this seq, whatever it says of its length."""
        self._database.execute("DELETE FROM record WHERE seq = ?", (seq,))

    def reject(self, seq: int, reason: str, *, highest: int) -> int:
        """Move a record to the table `rejected`; return 1, or 0 where it is not waiting."""
        self._divide_at(seq)
        self._divide_at(seq + 1)
        if self._last_sure(seq, seq, highest) < seq:
            return 0
        moved = self._database.execute(_REJECT, (reason[:_MOST_REASON], seq))
        if moved:
            self.delete_row(seq)
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
            held = self._opened(seq, kind, sealed)
            if held is None:
                continue
            records = _records(held)
            self.delete_row(seq)
            for first, part in ((seq, records[: border - seq]), (border, records[border - seq :])):
                [(kind_now, _)] = cut(part)
                body = self._cipher.seal(first, held.lane, held.boot, part)
                self._database.insert_flat(_INSERT, 5, (first, queue, kind_now, hour, body))

    def _last_sure(self, first: int, last: int, highest: int) -> int:
        """``last``; or a seq before a damaged row at the end that can hold records beyond.

        Only a hole behind the last row leaves it in doubt whether that ends where it says.
        """
        for seq, kind, sealed, following in self._database.rows(_LAST, (first, last)):
            end = highest if following is None else following - 1
            is_in_doubt = min(end, seq + MOST_RECORDS - 1) > last
            if is_in_doubt and self._opened(seq, kind, sealed) is None:
                return int(seq) - 1
        return last

    def _opened(self, seq: int, kind: int, sealed: bytes) -> Held | None:
        """What a row holds, None = it is damaged; OutboxCorrupt when it lies about its length."""
        try:
            held = self._cipher.open(seq, sealed)
        except DamagedRow:
            return None
        if len(held.records) != (kind >> 4) + 1:
            raise OutboxCorrupt(f"{self._database.path}: row {seq} is not as long as it says")
        return held


def _records(held: Held) -> list[NewRecord]:
    lane = _LANES[held.lane]
    return [NewRecord(lane, None, *times_and_body) for times_and_body in held.records]
