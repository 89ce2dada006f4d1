"""The transaction that puts instances on the index: one call, one COMMIT, no statement per row.

The file that comes first under a SOP Instance UID is shown; another one is kept as a version beside
it. A file that is on record already leaves an audit row. What is said of a study and a series comes
from the instance that says most, so the order in which instances arrive changes no answer.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, TypeVar

from wardlight_cloud.store.image_arrivals import InstanceHeader, NewInstance, PutOutcome
from wardlight_cloud.store.imaging import IsThere
from wardlight_cloud.store.object_base import ObjectMissingError
from wardlight_cloud.store.postgres import imaging_rows as rows
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.imaging_whose import held, whose
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("images")
_INGEST: Final = statements("ingest")
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class _Series:
    series_pk: int
    study_pk: int
    is_new: bool


class PutInstances:
    """One run over one call's instances; made anew for each run."""

    def __init__(
        self,
        connection: Connection,
        instances: Sequence[NewInstance],
        *,
        is_there: IsThere | None = None,
        is_audited: bool = True,
        is_settled: bool = False,
    ) -> None:
        """``is_settled``: these are shown whatever else is on record."""
        self._connection = connection
        self._instances = instances
        self._is_there = is_there
        self._is_audited = is_audited
        self._is_settled = is_settled
        self._outcomes: list[PutOutcome] = []

    async def run(self) -> list[PutOutcome]:
        """Put them on the index.

        The driver's UniqueViolationError: another writer was first with one of these UIDs in
        another study; nothing is stored, run again.
        """
        if self._is_settled:
            self._outcomes = [PutOutcome.STORED] * len(self._instances)
        else:
            self._outcomes = await self._judged()
        new = self._having(PutOutcome.STORED)
        conflicts = self._having(PutOutcome.CONFLICT)
        if new:
            studies = await self._lock_studies(new)
            series = await self._series(new, studies)
        await self._use_blobs(new + conflicts)
        if new:
            await self._add(new, series)
        if conflicts:
            studies_of = [each.header.study_uid for each in conflicts]
            await self._connection.execute(_SQL["add_versions"], *_files(conflicts), studies_of)
        if self._is_audited:
            outcomes = [str(each) for each in self._outcomes]
            await self._connection.execute(_SQL["add_uploads"], *_files(self._instances), outcomes)
        if new:
            await self._count(new, series)
        return self._outcomes

    async def _judged(self) -> list[PutOutcome]:
        found = await self._connection.fetch(
            _SQL["known_files"], list({each.header.sop_uid for each in self._instances})
        )
        known: dict[str, set[bytes]] = {}
        for row in found:
            known.setdefault(row["sop_uid"], set()).add(row["sha256"])
        outcomes = []
        for each in self._instances:
            files = known.setdefault(each.header.sop_uid, set())
            outcomes.append(
                PutOutcome.KNOWN
                if each.sha256 in files
                else PutOutcome.CONFLICT
                if files
                else PutOutcome.STORED
            )
            files.add(each.sha256)
        return outcomes

    def _having(self, wanted: PutOutcome) -> list[NewInstance]:
        pairs = zip(self._instances, self._outcomes, strict=True)
        return [each for each, outcome in pairs if outcome is wanted]

    async def _lock_studies(self, new: Sequence[NewInstance]) -> dict[str, int]:
        """Pks of the studies, made where they are new, all locked."""
        said = _saying_most(new, attrgetter("header.study_uid"), _of_study)
        columns = rows.studies(said.values())
        await self._connection.execute(_SQL["add_studies"], *columns)
        found = await self._connection.fetch(_SQL["lock_studies"], list(said))
        better = [
            said[row["study_uid"]]
            for row in found
            if _rank(said[row["study_uid"]], _of_study) > _rank_of_row(row)
        ]
        if better:
            await self._connection.execute(_SQL["better_studies"], *rows.studies(better))
        shown = {each.header.study_uid for each in better}
        for row in found:
            await self._mark(row, new, said[row["study_uid"]], row["study_uid"] in shown)
        return {row["study_uid"]: row["study_pk"] for row in found}

    async def _mark(
        self, row: Any, new: Sequence[NewInstance], said: NewInstance, is_better: bool
    ) -> None:
        of_study = [each for each in new if each.header.study_uid == row["study_uid"]]
        is_new = not row["sop_classes"]
        modalities = {each.header.columns.get("Modality", "") for each in of_study} - {""}
        classes = {each.header.sop_class for each in of_study}
        if is_new or is_better or not (
            modalities <= set(row["modalities"]) and classes <= set(row["sop_classes"])
        ):  # fmt: skip
            await self._connection.execute(
                _SQL["mark_study"],
                row["study_pk"],
                sorted(modalities.union(row["modalities"])),
                sorted(classes.union(row["sop_classes"])),
                rows.grams(said.header) if is_new or is_better else None,
            )
        is_whose = whose(row, of_study)
        if is_whose != held(row):
            await self._connection.execute(
                _SQL["say_whose"], row["study_pk"], is_whose.patient, is_whose.unmatched,
                list(is_whose.identities),
            )  # fmt: skip

    async def _series(
        self, new: Sequence[NewInstance], studies: Mapping[str, int]
    ) -> dict[tuple[str, str], _Series]:
        """Series of these instances by (study, series) UID, made where they are new."""
        said = _saying_most(new, _series_key, _of_series)
        columns = rows.series(said.values(), studies)
        await self._connection.execute(_SQL["add_series"], *columns)
        found = await self._connection.fetch(
            _SQL["series_of_studies"], list(studies.values()), [uid for _, uid in said]
        )
        uids = {study_pk: uid for uid, study_pk in studies.items()}
        made = {(uids[row["study_pk"]], row["series_uid"]): row for row in found}
        better = [
            each for key, each in said.items() if _rank(each, _of_series) > _rank_of_row(made[key])
        ]
        if better:
            await self._connection.execute(_SQL["better_series"], *rows.series(better, studies))
        return {
            key: _Series(row["series_pk"], row["study_pk"], row["instance_count"] == 0)
            for key, row in made.items()
        }

    async def _use_blobs(self, used: Sequence[NewInstance]) -> None:
        if not used:
            return
        sizes = {each.sha256: each.size for each in used}
        refs = Counter(each.sha256 for each in used)
        hashes = list(sizes)
        await self._connection.execute(
            _SQL["use_blobs"], hashes, list(sizes.values()), [refs[each] for each in hashes]
        )
        if self._is_there is None:
            return
        # From here on nobody removes these objects; one that nothing needed may be gone since it
        # was stored.
        found = await asyncio.gather(*(self._is_there(each) for each in hashes))
        if not all(found):
            raise ObjectMissingError("put_instances: an object is not in the object store")

    async def _add(
        self, new: Sequence[NewInstance], series: Mapping[tuple[str, str], _Series]
    ) -> None:
        def series_pk(header: InstanceHeader) -> int:
            return series[header.study_uid, header.series_uid].series_pk

        made = await self._connection.fetch(_SQL["add_instances"], *rows.instances(new, series_pk))
        pks = {row["sop_uid"]: row["instance_pk"] for row in made}
        await self._connection.execute(_SQL["add_headers"], *rows.headers(new, pks))

    async def _count(
        self, new: Sequence[NewInstance], series: Mapping[tuple[str, str], _Series]
    ) -> None:
        """Counters, under the commit lock: as little as can be."""
        of_series = Counter(_series_key(each) for each in new)
        touched = {key: series[key] for key in of_series}
        of_study: Counter[int] = Counter()
        new_series: Counter[int] = Counter()
        sizes: Counter[int] = Counter()
        for each in new:
            study_pk = series[_series_key(each)].study_pk
            of_study[study_pk] += 1
            sizes[study_pk] += each.size
        for one in touched.values():
            new_series[one.study_pk] += one.is_new
        await self._connection.execute(
            _SQL["count_series"],
            [one.series_pk for one in touched.values()],
            [of_series[key] for key in touched],
        )
        commit = await self._connection.fetchrow(_INGEST["take_commit"])
        assert commit is not None  # noqa: S101 - the function returns one row or raises
        await self._connection.execute(
            _SQL["count_studies"],
            list(of_study),
            [new_series[each] for each in of_study],
            list(of_study.values()),
            [sizes[each] for each in of_study],
            commit["commit_seq"],
            commit["stored_at"],
        )


def _series_key(instance: NewInstance) -> tuple[str, str]:
    return instance.header.study_uid, instance.header.series_uid


def _files(instances: Iterable[NewInstance]) -> rows.Columns:
    return rows.files((each.header.sop_uid, each.sha256, each.source) for each in instances)


def _saying_most(
    instances: Iterable[NewInstance],
    key: Callable[[NewInstance], _Key],
    attributes: Callable[[NewInstance], bytes],
) -> dict[_Key, NewInstance]:
    """Of each key the instance with the longest attributes, of equals the greatest hash."""
    found: dict[_Key, NewInstance] = {}
    for each in instances:
        other = found.get(key(each))
        if other is None or _rank(each, attributes) > _rank(other, attributes):
            found[key(each)] = each
    return found


def _rank(instance: NewInstance, attributes: Callable[[NewInstance], bytes]) -> tuple[int, bytes]:
    return len(attributes(instance)), instance.sha256


def _rank_of_row(row: Any) -> tuple[int, bytes]:
    return row["attributes_size"], row["attributes_of"]


def _of_study(instance: NewInstance) -> bytes:
    return instance.header.study


def _of_series(instance: NewInstance) -> bytes:
    return instance.header.series
