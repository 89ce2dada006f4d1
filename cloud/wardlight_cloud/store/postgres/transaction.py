"""The ingest transaction: one call, one COMMIT, a fixed number of statements.

Order of locks, the same in every collector: ledger rows by key, event ids ascending, then the
commit lock. Whatever two collectors could both write (readings, details, waveforms, latest, marks,
device states) is written under the commit lock, so they cannot wait for one another in a circle.

A row key that is taken is rare, since ledger and event ids come first. So the rows go in blindly;
when the server finds a taken key, the whole transaction is run again ``careful``: it then looks up
the keys under the commit lock, where no other writer can add one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wardlight_cloud.store.batch import IngestBatch, IngestResult, LedgerState
from wardlight_cloud.store.postgres import aside
from wardlight_cloud.store.postgres.aside import Aside
from wardlight_cloud.store.postgres.aside_events import RecordPlace, told_before, wholly_aside
from wardlight_cloud.store.postgres.bulk_load import BulkLoad
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.correcting import Corrections
from wardlight_cloud.store.postgres.corrections import apart, told_of
from wardlight_cloud.store.postgres.dictionary import Dictionary
from wardlight_cloud.store.postgres.ledgers import LedgerKey, Range, inclusive, state
from wardlight_cloud.store.postgres.ready_rows import ReadyRows
from wardlight_cloud.store.postgres.rows import (
    BoolMask,
    Rows,
    gather,
    out_of_range,
    repeats,
    repeats_differ,
)
from wardlight_cloud.store.postgres.sources import (
    Records,
    leave_out_known_events,
    leave_out_repeated_events,
    row_sources,
    settlement,
    spans_of,
    split,
)
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("ingest")


class IngestTransaction:
    """One run over one call's batches; made anew for each run."""

    def __init__(
        self,
        connection: Connection,
        dictionary: Dictionary,
        bulk_load: BulkLoad,
        *,
        now_us: int,
        careful: bool,
    ) -> None:
        self._connection = connection
        self._dictionary = dictionary
        self._bulk_load = bulk_load
        self._now_us = now_us
        self._careful = careful
        self._aside: list[Aside] = []
        self._known: NDArray[np.int64] = np.zeros(0, np.int64)  # rows by batch
        self._dropped: set[aside.DroppedRow] = set()
        self._known_records: set[RecordPlace] = set()  # those with rows that are there already
        self._events_aside: set[bytes] = set()  # events of this call with a copy in quarantine

    async def run(self, batches: Sequence[IngestBatch]) -> list[IngestResult]:
        """Do everything but BEGIN and COMMIT."""
        spans = spans_of(batches, self._dictionary)
        records = split(batches, self._dictionary, await self._lock_ledgers(spans))
        self._known = np.zeros(len(batches), np.int64)
        if not any(each.has_news for each in records):
            commit_seq = int(await self._connection.fetchval(_SQL["newest_commit"]))
            states = await self._states(batches, {})
            return self._results(records, states, commit_seq, self._known)
        await self._leave_out_events(records)
        settled = await self._settle(records)
        await self._write_before_lock(records)
        rows, said = apart(self._rows(records), records)
        self._dropped |= _places(said)  # from what is stored as it came
        ready = ReadyRows(rows, self._bulk_load)
        commit = await self._connection.fetchrow(_SQL["take_commit"])
        assert commit is not None  # noqa: S101 - the function returns one row or raises
        commit_seq, stored_at = commit["commit_seq"], commit["stored_at"]
        if self._careful:
            rows = await self._without_taken_keys(rows, records)
            ready = ReadyRows(rows, self._bulk_load)
        corrected = await ready.store(self._connection, commit_seq, stored_at)
        await self._write("add_details", self._details(records))
        if corrected or len(said):
            told = rows.take(np.isin(rows.series_id, corrected))
            said = await self._correct(told, said, records, commit_seq)
        await self._write_under_lock(records, rows, commit_seq)
        states = await self._states(batches, settled)
        stored = np.bincount(np.append(rows.batch, said.batch), minlength=len(records))
        return self._results(records, states, commit_seq, stored)

    # -- before the commit lock

    async def _lock_ledgers(self, spans: Mapping[LedgerKey, Range]) -> dict[LedgerKey, list[Range]]:
        if not spans:
            return {}
        keys = list(spans)
        rows = await self._connection.fetch(
            _SQL["lock_ledgers"],
            [gateway_id for gateway_id, _ in keys],
            [epoch for _, epoch in keys],
            [first for first, _ in spans.values()],
            [last for _, last in spans.values()],
        )
        return {(row["gateway_id"], row["epoch"]): inclusive(row["known"]) for row in rows}

    async def _leave_out_events(self, records: Sequence[Records]) -> None:
        events = leave_out_repeated_events(records)
        if events:
            rows = await self._connection.fetch(_SQL["remember_events"], list(events))
            leave_out_known_events(records, events - {row["event_id"] for row in rows})
            self._events_aside = {row["event_id"] for row in rows if row["is_aside"]}

    async def _settle(self, records: Sequence[Records]) -> dict[LedgerKey, Any]:
        settled = settlement(records)
        if not settled.gateway_ids:
            return {}
        rows = await self._connection.fetch(_SQL["settle"], *settled.columns())
        return {(row["gateway_id"], row["epoch"]): row for row in rows}

    async def _write_before_lock(self, records: Sequence[Records]) -> None:
        self._aside += aside.given_aside(records, self._dictionary)
        await self._write("add_dead_letters", aside.dead_letters(records))
        await self._write("add_gaps", aside.gaps(records))
        await self._write("add_removals", aside.removals(records))
        await self._write("add_statuses", aside.statuses(records, self._dictionary))

    def _rows(self, records: Sequence[Records]) -> Rows:
        rows = gather(row_sources(records, self._dictionary))
        is_strange = out_of_range(rows, self._now_us)
        if is_strange.any():
            self._leave_out(rows, records, is_strange, aside.OUT_OF_RANGE)
            rows = rows.take(~is_strange)
        return rows

    # -- under the commit lock

    async def _without_taken_keys(self, rows: Rows, records: Sequence[Records]) -> Rows:
        repeated = repeats(rows)
        rows = self._drop(rows, records, repeated, repeats_differ(rows, repeated))
        if not len(rows):
            return rows
        taken, same = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
        found = await self._connection.fetch(
            _SQL["existing_readings"],
            rows.series_id.tolist(), rows.time_us.tolist(), rows.ord.tolist(),
            int(rows.time_us.min()), int(rows.time_us.max()),
        )  # fmt: skip
        for row in found:
            place = row["place"] - 1
            stored = row["mantissa"], row["scale"], row["absent"]
            taken[place] = True
            same[place] |= stored == (rows.mantissa[place], rows.scale[place], rows.absent[place])
        return self._drop(rows, records, taken, taken & ~same)

    def _drop(
        self, rows: Rows, records: Sequence[Records], taken: BoolMask, differs: BoolMask
    ) -> Rows:
        """Leave out rows whose key is taken: equal ones are known, others go to quarantine."""
        if not taken.any():
            return rows
        known = rows.take(taken & ~differs)
        self._known += np.bincount(known.batch, minlength=len(records))
        self._dropped |= _places(known)
        self._known_records |= {
            (batch, int(records[batch].batch.readings.record_of_row[place]))
            for batch, place in _places(known)
        }
        self._leave_out(rows, records, differs, aside.OTHER_VALUE)
        return rows.take(~taken)

    def _leave_out(
        self, rows: Rows, records: Sequence[Records], chosen: BoolMask, reason: str
    ) -> None:
        left_out = rows.take(chosen)
        self._aside += aside.rows_aside(left_out, records, reason)
        self._dropped |= _places(left_out)

    def _details(self, records: Sequence[Records]) -> aside.Columns | None:
        return aside.details(records, self._dictionary, frozenset(self._dropped))

    async def _correct(
        self, stored: Rows, said: Rows, records: Sequence[Records], commit_seq: int
    ) -> Rows:
        """Link corrections and what they are about; returns the statements that are new."""
        corrections = Corrections(self._connection, commit_seq)
        await corrections.take(told_of(stored, records))
        if not len(said):
            return said
        said = await self._without_taken_keys(said, records)
        told = told_of(said, records)
        taken, differs = np.zeros(len(said), np.bool_), np.zeros(len(said), np.bool_)
        for place, value in (await corrections.known(told)).items():
            taken[place] = True
            differs[place] = value != told[place].value
        said = self._drop(said, records, taken, differs)
        told = told_of(said, records)
        await corrections.apply(told)
        self._known_records |= {each.record for each in told}
        return said

    async def _write_under_lock(
        self, records: Sequence[Records], rows: Rows, commit_seq: int
    ) -> None:
        await self._store_waveforms(records, commit_seq)
        told = aside.told(records, self._dictionary)
        if told is not None:
            await self._connection.execute(_SQL["tell_devices"], *told, commit_seq)
        if self._aside or self._events_aside:
            await self._keep_aside(records, rows, commit_seq)

    async def _keep_aside(self, records: Sequence[Records], rows: Rows, commit_seq: int) -> None:
        events = wholly_aside(self._aside, records, rows, self._known_records)
        replaced = set(self._events_aside)
        if events:
            ids = sorted(set(events.values()))
            await self._connection.execute(_SQL["forget_events"], ids)
            copies = await self._connection.fetch(_SQL["events_aside"], ids)
            told = told_before(events, self._aside, copies)
            self._leave_out_told(events, told)
            replaced = (replaced | {row["event_id"] for row in copies}) - told
        if replaced:
            await self._connection.execute(_SQL["supersede_events"], sorted(replaced), commit_seq)
        await self._write("add_quarantined", aside.quarantine(self._aside, records))

    def _leave_out_told(self, events: Mapping[RecordPlace, bytes], told: set[bytes]) -> None:
        lines, self._aside = self._aside, []
        for line in lines:
            event_id = events.get((line.batch, line.record))
            if event_id in told:
                self._known[line.batch] += 1
            else:
                self._aside.append(replace(line, event_id=event_id))

    async def _store_waveforms(self, records: Sequence[Records], commit_seq: int) -> None:
        blocks, others = aside.waveforms(records, self._dictionary)
        self._aside += others
        if not blocks:
            return
        columns = aside.waveform_columns(blocks, records)
        taken = await self._connection.fetch(_SQL["add_waveforms"], *columns, commit_seq)
        self._aside += [
            aside.waveform_aside(*blocks[row["place"] - 1]) for row in taken if not row["is_same"]
        ]

    # -- the answer

    async def _write(self, name: str, columns: aside.Columns | None) -> None:
        if columns is not None:
            await self._connection.execute(_SQL[name], *columns)

    async def _states(
        self, batches: Sequence[IngestBatch], settled: dict[LedgerKey, Any]
    ) -> dict[LedgerKey, LedgerState]:
        names = {self._dictionary.gateway_id(batch.gateway): batch.gateway for batch in batches}
        missing = set(spans_of(batches, self._dictionary)) - settled.keys()
        if missing:
            for row in await self._connection.fetch(_SQL["ledger_states"], *_keys(missing)):
                settled[row["gateway_id"], row["epoch"]] = row
        rejected = await self._open_rejections(
            [key for key, row in settled.items() if row["has_rejected"]]
        )
        return {
            key: state(names[key[0]], key[1], inclusive(row["settled"]), rejected.get(key, []))
            for key, row in settled.items()
        }

    async def _open_rejections(
        self, keys: Sequence[LedgerKey]
    ) -> dict[LedgerKey, list[tuple[int, str]]]:
        found: dict[LedgerKey, list[tuple[int, str]]] = {}
        if keys:
            for row in await self._connection.fetch(_SQL["open_rejections"], *_keys(keys)):
                one = row["seq"], row["reason"]
                found.setdefault((row["gateway_id"], row["epoch"]), []).append(one)
        return found

    def _results(
        self,
        records: Sequence[Records],
        states: Mapping[LedgerKey, LedgerState],
        commit_seq: int,
        stored: NDArray[np.int64],
    ) -> list[IngestResult]:
        quarantined = [0] * len(records)
        for line in self._aside:
            quarantined[line.batch] += 1
        return [
            IngestResult(
                ledger=_state_of(each, states),
                commit_seq=commit_seq,
                rows_stored=int(stored[place]),
                rows_known=int(self._known[place]),
                rows_quarantined=quarantined[place],
                records_known=each.known_count,
            )
            for place, each in enumerate(records)
        ]


def _places(rows: Rows) -> set[aside.DroppedRow]:
    return set(zip(rows.batch.tolist(), rows.place.tolist(), strict=True))


def _keys(keys: Sequence[LedgerKey] | set[LedgerKey]) -> tuple[list[int], list[int]]:
    ordered = sorted(keys)
    return [gateway_id for gateway_id, _ in ordered], [epoch for _, epoch in ordered]


def _state_of(each: Records, states: Mapping[LedgerKey, LedgerState]) -> LedgerState:
    if each.ledger is None:
        return LedgerState(each.batch.gateway, each.batch.epoch, 0, (), ())
    return states[each.ledger]
