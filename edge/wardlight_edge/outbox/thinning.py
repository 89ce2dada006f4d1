"""What goes when the outbox is nearly full: the policy of docs/decisions/008-thinning.md.

At 95 % the oldest rows of the bulk lane go, then the oldest waveform blocks outside the alarm
lane, until 90 %; then nothing else, and at 100 % new records are refused. Blob manifests and gap
records stay: they are small, and nobody can measure them again. Rows in flight stay too, and
damaged ones, until they are taken and named with all that they may have held. Every step appends,
in its own transaction, a gap record "thinned" that names the seqs and is delivered like any other
record.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Final, NamedTuple

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.cipher import Cipher, DamagedRow
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.queues import Moment
from wardlight_edge.outbox.ranges import runs
from wardlight_edge.outbox.rows import Rows
from wardlight_shared.errors import OutboxCorrupt
from wardlight_shared.records import GapBody, Lane, encode_body

_STEP_RECORDS: Final = 256  # so that the tombstone stays small and the writer answers soon
_SELECT: Final = "SELECT seq, kind >> 4, body FROM record WHERE seq > ? AND "
_PASSES: Final = (
    # kind 5 = blob manifest (records.Kind keeps the number free), 6 = gap
    _SELECT + "queue = 3 AND (kind & 15) NOT IN (5, 6) ORDER BY seq",
    # kind 3 = waveform, queue 0 = alarm
    _SELECT + "(kind & 15) = 3 AND queue <> 0 ORDER BY seq",
)


class _Victim(NamedTuple):
    seq: int
    at: Moment


class Thinner:
    """Finds and removes expendable records of one open file.

    Every pass remembers up to which seq nothing expendable is left, so that a full outbox does
    not search its whole file again with each append.
    """

    def __init__(self, database: Database, cipher: Cipher, rows: Rows) -> None:
        self._database = database
        self._cipher = cipher
        self._rows = rows
        self._searched = [0] * len(_PASSES)

    def step(self, now: Moment) -> int:
        """Remove some of the oldest expendable records; return how many (0 = nothing is left)."""
        victims = self._victims()
        if not victims:
            return 0
        spans = runs([one.seq for one in victims])
        boot, tombstone = _tombstone(victims, spans)
        batch = self._rows.batch(now.mono_ms)
        batch.add([tombstone], boot, is_past=True)
        return self._rows.exchange(spans, batch)

    def _victims(self) -> list[_Victim]:
        for place, sql in enumerate(_PASSES):
            after = self._searched[place]
            met_leased = False
            while after < self._rows.highest:
                found = self._portion(sql, after)
                free = [one for one in found if one.seq not in self._rows.leased]
                if free:
                    return free
                met_leased = met_leased or bool(found)
                after = found[-1].seq if found else self._rows.highest
                if not met_leased:  # leased rows may be given back: look at them again
                    self._searched[place] = after
        return []

    def _portion(self, sql: str, after: int) -> list[_Victim]:
        """What the next rows hold."""
        found: list[_Victim] = []
        with closing(self._database.stream(sql, (after,))) as rows:
            for first, more, sealed in rows:
                found += self._opened(first, more, sealed)
                if len(found) >= _STEP_RECORDS:
                    break
        return found

    def _opened(self, first: int, more: int, sealed: bytes) -> list[_Victim]:
        try:
            held = self._cipher.open(first, sealed)
        except DamagedRow:
            return []
        if len(held.records) != more + 1:
            raise OutboxCorrupt(f"{self._database.path}: row {first} is not as long as it says")
        return [
            _Victim(seq, Moment(held.boot, mono_ms, wall_ms))
            for seq, (mono_ms, wall_ms, _) in enumerate(held.records, first)
        ]


def _tombstone(victims: Sequence[_Victim], spans: list[tuple[int, int]]) -> tuple[int, NewRecord]:
    """The gap reaches from the oldest removed record to the newest, at the newest's time."""
    oldest, newest = victims[0].at, victims[-1].at
    if oldest.boot == newest.boot:
        age_ms = newest.mono_ms - oldest.mono_ms
    else:
        age_ms = newest.wall_ms - oldest.wall_ms
    body = encode_body(GapBody("thinned", None, len(victims), max(0, age_ms), spans))
    record = NewRecord(Lane.BACKFILL, None, newest.mono_ms, newest.wall_ms, body)
    return newest.boot, record
