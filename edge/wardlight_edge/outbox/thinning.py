"""What goes when the outbox is nearly full: the policy of docs/decisions/008-thinning.md.

At 95 % the oldest rows of the bulk lane go, then the oldest waveform blocks outside the alarm
lane, until 90 %; then nothing else, and at 100 % new records are refused. Blob manifests and gap
records stay: they are small, and nobody can measure them again. Rows in flight stay too. Every
step appends, in its own transaction, a gap record "thinned" that names the seqs and is delivered
like any other record.
"""

from collections.abc import Sequence
from typing import Final

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.cipher import Cipher, DamagedRow
from wardlight_edge.outbox.database import Database, Row
from wardlight_edge.outbox.queues import Moment
from wardlight_edge.outbox.ranges import runs
from wardlight_edge.outbox.rows import Rows
from wardlight_shared.records import GapBody, Lane, encode_body

_STEP_ROWS: Final = 256  # so that the tombstone stays small and the writer answers soon
_PASSES: Final = (
    # kind 5 = blob manifest (records.Kind keeps the number free), 6 = gap
    "SELECT seq, body FROM record WHERE queue = 3 AND kind NOT IN (5, 6) AND seq > ?"
    " ORDER BY seq LIMIT ?",
    # kind 3 = waveform, queue 0 = alarm
    "SELECT seq, body FROM record WHERE kind = 3 AND queue <> 0 AND seq > ? ORDER BY seq LIMIT ?",
)


class Thinner:
    """Finds and removes expendable rows of one open file.

    Every pass remembers up to which seq nothing expendable is left, so that a full outbox does
    not search its whole file again with each append.
    """

    def __init__(self, database: Database, cipher: Cipher, rows: Rows) -> None:
        self._database = database
        self._cipher = cipher
        self._rows = rows
        self._searched = [0] * len(_PASSES)

    def step(self, now: Moment) -> int:
        """Remove some of the oldest expendable rows; return how many (0 = nothing is left)."""
        victims = self._victims()
        if not victims:
            return 0
        spans = runs([seq for seq, _ in victims])
        boot, tombstone = self._tombstone(victims, spans, now)
        batch = self._rows.batch(now.mono_ms)
        batch.add([tombstone], boot, is_past=True)
        return self._rows.exchange(spans, batch)

    def _victims(self) -> list[Row]:
        for place, sql in enumerate(_PASSES):
            after = self._searched[place]
            met_leased = False
            while after < self._rows.highest:
                found = self._database.rows(sql, (after, _STEP_ROWS))
                free = [row for row in found if row[0] not in self._rows.leased]
                if free:
                    return free
                met_leased = met_leased or bool(found)
                after = found[-1][0] if found else self._rows.highest
                if not met_leased:  # leased rows may be given back: look at them again
                    self._searched[place] = after
        return []

    def _tombstone(
        self, victims: Sequence[Row], spans: list[tuple[int, int]], now: Moment
    ) -> tuple[int, NewRecord]:
        """The gap reaches from the oldest removed record to the newest, at the newest's time."""
        times = [self._time(row) for row in (victims[0], victims[-1])]
        known = [time for time in times if time is not None] or [now]
        oldest, newest = known[0], known[-1]
        if oldest.boot == newest.boot:
            age_ms = newest.mono_ms - oldest.mono_ms
        else:
            age_ms = newest.wall_ms - oldest.wall_ms
        body = encode_body(GapBody("thinned", None, len(victims), max(0, age_ms), spans))
        record = NewRecord(Lane.BACKFILL, None, newest.mono_ms, newest.wall_ms, body)
        return newest.boot, record

    def _time(self, row: Row) -> Moment | None:
        try:
            _, boot, mono_ms, wall_ms, _ = self._cipher.open(*row)
        except DamagedRow:
            return None
        return Moment(boot, mono_ms, wall_ms)
