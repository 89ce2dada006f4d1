"""Corrections in the ingest transaction, under the commit lock: what stood aside is kept.

Two things can happen, in either order (docs/decisions/018):

take    a reading has been stored of a series with corrected places: it may be what a statement is
        about that came before it
apply   statements come: what they are about may stand there already
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.corrections import (
    CORRECTED,
    WITHDRAWN,
    Holder,
    Put,
    Standing,
    Told,
    context_text,
    detail_text,
    event_of,
    repeat_of,
    settled,
    withdrawal,
)
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.model import NOT_CLINICAL, Flag

_log = logging.getLogger(__name__)
_SQL: Final = statements("corrections")
_INGEST: Final = statements("ingest")

Place = tuple[int, str, int]
"""(series, device time, repeat)."""


class _Group:
    """A place with all series that it may be told in, and the statements about it."""

    def __init__(self, series: Sequence[int]) -> None:
        self.series = series
        self.said: list[tuple[int, Told]] = []

    @property
    def places(self) -> list[Place]:
        told = self.said[0][1]
        return [(series, told.device_time, told.repeat) for series in self.series]


class Corrections:
    """One run, of one commit."""

    def __init__(self, connection: Connection, commit_seq: int) -> None:
        self._connection = connection
        self._commit_seq = commit_seq
        self._gone: list[tuple[Standing, int]] = []  # with the id of what takes its place
        self._put: list[Put] = []

    async def known(self, said: Sequence[Told]) -> dict[int, tuple[int, int, int]]:
        """Place in ``said`` -> the value that was told, of statements that came before."""
        rows = await self._connection.fetch(_SQL["known_corrections"], *_keys(said))
        found = {row["place"] - 1: (row["mantissa"], row["scale"], row["absent"]) for row in rows}
        firsts: dict[tuple[int, str, int], Told] = {}
        for number, told in enumerate(said):
            key = told.row.series_id, told.device_time, told.row.ord
            if firsts.setdefault(key, told) is not told:
                found.setdefault(number, firsts[key].value)
        return found

    async def take(self, told: Sequence[Told]) -> None:
        """Put aside those of the readings just stored that a statement has told about before."""
        held = await self._held([_place(each) for each in told])
        if not held:
            return
        rows = await self._connection.fetch(_SQL["superseded_before"], *_keys(told))
        copies = {row["place"] - 1 for row in rows}
        ended: set[int] = set()
        told_values = Counter(map(_values, told))
        held_values = Counter((series, device_time) for series, device_time, _ in held)
        for number, each in enumerate(told):
            holder = held.get(_place(each))
            if holder is None or told_values[_values(each)] > held_values[_place(each)[:2]]:
                continue  # of several values nobody can tell which was meant
            if holder.is_awaited or holder.was_told_after(each) or number in copies:
                self._gone.append((each.row, holder.correction_id))
                if holder.status != CORRECTED:
                    self._put.append(withdrawal(each.row, each.device_time, holder.status))
                if not each.row.flags & Flag.EARLY:
                    ended.add(holder.correction_id)
        if ended:
            await self._connection.execute(_SQL["end_waiting"], sorted(ended))
        await self._write()

    async def apply(self, said: Sequence[Told]) -> None:
        """Let statements that are new take effect."""
        if not said:
            return
        said = sorted(said, key=lambda told: (told.record, told.place))
        groups = await self._groups(said)
        held = await self._held([place for group in groups for place in group.places])
        standing = await self._standing(groups)
        holders: dict[Place, Holder] = {}
        values = Counter(map(_values, said))
        for group, rows in zip(groups, standing, strict=True):
            holding = [held[place] for place in group.places if place in held]
            newest = max(holding, key=lambda holder: holder.correction_id, default=None)
            most = max(values[_values(told)] for _, told in group.said)
            events = Counter(map(event_of, rows)).items()
            crowded = {event for event, count in events if count > most}
            here = [row for row in rows if repeat_of(row) == group.said[0][1].repeat]
            outcome = settled(group.said, newest, here, crowded)
            self._put += outcome.put
            if outcome.holder is not None:
                holders.update(dict.fromkeys(group.places, outcome.holder))
                self._gone += [(row, outcome.holder.correction_id) for row in outcome.gone]
        self._report(said, holders.values())
        await self._hold(holders)
        await self._write()

    def _report(self, said: Sequence[Told], holders: Iterable[Holder]) -> None:
        of_each = set(holders)
        extra = {
            "statements": len(said),
            "places": len(of_each),
            "awaiting": sum(holder.is_awaited for holder in of_each),
            "superseded": len(self._gone),
        }
        _log.info("readings corrected", extra=extra)

    # -- what is there

    async def _groups(self, said: Sequence[Told]) -> list[_Group]:
        ids = await self._add(said)
        alike = await self._alike({told.row.series_id for told in said})
        in_records = Counter(
            (told.record, alike[told.row.series_id][0], _moment(told)) for told in said
        )
        # A record that tells of one place in two units means each of them.
        twice = {(kind, moment) for (_, kind, moment), times in in_records.items() if times > 1}
        groups: dict[Place, _Group] = {}
        for correction_id, told in zip(ids, said, strict=True):
            series = alike[told.row.series_id]
            if (series[0], _moment(told)) in twice:
                series = [told.row.series_id]
            group = groups.setdefault((series[0], *_moment(told)), _Group(series))
            group.said.append((correction_id, told))
        return list(groups.values())

    async def _add(self, said: Sequence[Told]) -> list[int]:
        columns = _columns(
            (
                told.epoch, told.seq, told.row.time_us, told.row.mantissa, told.row.flags,
                told.row.gateway_id, told.row.series_id, told.row.ord, told.row.error_ms,
                told.row.scale, told.row.absent, told.row.offset_min, told.row.clock,
                told.device_time, told.status, detail_text(told),
            )
            for told in said
        )  # fmt: skip
        rows = await self._connection.fetch(_SQL["add_corrections"], self._commit_seq, *columns)
        ids = {
            (row["series_id"], row["device_time"], row["ord"]): row["correction_id"] for row in rows
        }
        return [ids[told.row.series_id, told.device_time, told.row.ord] for told in said]

    async def _alike(self, series: set[int]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for row in await self._connection.fetch(_SQL["series_alike"], sorted(series)):
            found[row["series_id"]].append(row["alike"])
        return {series_id: sorted(alike) for series_id, alike in found.items()}

    async def _held(self, places: Sequence[Place]) -> dict[Place, Holder]:
        if not places:
            return {}
        rows = await self._connection.fetch(_SQL["held_places"], *_columns(places))
        return {
            (row["series_id"], row["device_time"], row["repeat"]): Holder(
                row["correction_id"], row["status"], row["gateway_id"], row["epoch"], row["seq"],
                row["is_awaited"],
            )
            for row in rows
        }  # fmt: skip

    async def _standing(self, groups: Sequence[_Group]) -> list[list[Standing]]:
        lines = [
            (number, (series, group.said[0][1].row.time_us, device_time))
            for number, group in enumerate(groups)
            for series, device_time, _ in group.places
        ]
        times = [line[1] for _, line in lines]
        rows = await self._connection.fetch(
            _SQL["standing_readings"], *_columns(line for _, line in lines), min(times), max(times),
            int(NOT_CLINICAL),
        )  # fmt: skip
        found: list[list[Standing]] = [[] for _ in groups]
        for row in rows:
            values = {name: row[name] for name in Standing.__dataclass_fields__}
            found[lines[row["place"] - 1][0]].append(Standing(**values))
        return found

    # -- what becomes of it

    async def _hold(self, holders: dict[Place, Holder]) -> None:
        if not holders:
            return
        columns = _columns(
            (*place, holder.correction_id, holder.is_awaited) for place, holder in holders.items()
        )
        await self._connection.execute(_SQL["hold_places"], *columns)

    async def _write(self) -> None:
        gone, self._gone = self._gone, []
        put, self._put = self._put, []
        if gone:
            times = [row.time_us for row, _ in gone]
            columns = _columns((row.series_id, row.time_us, row.ord, by) for row, by in gone)
            await self._connection.execute(
                _SQL["supersede_readings"], self._commit_seq, *columns, min(times), max(times),
                WITHDRAWN,
            )  # fmt: skip
        if put:
            await self._store(put)
        changed: dict[int, int] = {}
        for row in [*(row for row, _ in gone), *(each.row for each in put)]:
            changed[row.series_id] = max(row.time_us, changed.get(row.series_id, 0))
        if changed:
            await self._connection.execute(
                _SQL["refresh_latest"], self._commit_seq, list(changed), list(changed.values()),
                int(NOT_CLINICAL), WITHDRAWN,
            )  # fmt: skip

    async def _store(self, put: Sequence[Put]) -> None:
        rows = _columns(
            (
                row.time_us, row.mantissa, row.flags, row.series_id, row.ord, row.error_ms,
                row.gateway_id, row.scale, row.absent, row.offset_min, row.clock,
            )
            for row in (each.row for each in put)
        )  # fmt: skip
        await self._connection.execute(_INGEST["insert_readings"], self._commit_seq, *rows)
        details = _columns(
            (
                each.row.series_id, each.row.time_us, each.row.ord, each.raw[1], each.raw[0],
                each.row.skew_s, each.device_time, context_text(each),
            )
            for each in put
        )  # fmt: skip
        await self._connection.execute(_INGEST["add_details"], *details)
        keys = _columns((each.row.series_id, each.row.time_us) for each in put)
        await self._connection.execute(_SQL["mark_corrections"], self._commit_seq, *keys)


def _moment(told: Told) -> tuple[str, int]:
    return told.device_time, told.repeat


def _place(told: Told) -> Place:
    return told.row.series_id, told.device_time, told.repeat


def _values(told: Told) -> tuple[tuple[int, int], int, str]:
    """What the values of a series have in common that one record tells of one moment."""
    return told.record, told.row.series_id, told.device_time


def _keys(told: Sequence[Told]) -> list[list[Any]]:
    return _columns((each.row.series_id, each.device_time, each.row.ord) for each in told)


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
