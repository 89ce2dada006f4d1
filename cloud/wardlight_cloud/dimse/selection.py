"""Which instances a C-MOVE or C-GET is about.

In the Patient Root a study is given only as one of the patient that is named.
Errors  AmbiguousPatientError: the patient's number alone stands for several people
Source  PS3.4 C.4.2.1.4, C.4.3.1.3 (unique keys; all levels below the one asked for)
"""

from collections.abc import Mapping
from typing import Final

from wardlight_cloud.dimse.patients import check_one, of_patient
from wardlight_cloud.dimse.requests import QueryLevel, RetrieveRequest
from wardlight_cloud.store.imaging import ImageQuery, ImageStore, InstanceRef, Level, Match

MOST_INSTANCES: Final = 65535
"""The counters of sub-operations are unsigned 16 bit (PS3.7 9.1.3, 9.1.4)."""


async def selected(store: ImageStore, request: RetrieveRequest) -> tuple[InstanceRef, ...] | None:
    """The instances, study by study; None when there are more than one request can have."""
    theirs = await _studies_of_patient(store, request) if request.patient_id else None
    if request.level is QueryLevel.IMAGE:
        refs = await _of_uids(store, request)
        return tuple(ref for ref in refs if theirs is None or ref.study_uid in theirs)
    found: dict[str, InstanceRef] = {}
    if request.level is QueryLevel.PATIENT:
        branches: list[tuple[str, str | None]] = [(uid, None) for uid in theirs or ()]
    else:
        branches = await _branches(store, request)
    for study_uid, series_uid in branches:
        if theirs is not None and study_uid not in theirs:
            continue
        for ref in await store.instances(study_uid, series_uid):
            found.setdefault(ref.sop_uid, ref)
            if len(found) > MOST_INSTANCES:
                return None
    return tuple(found.values())


async def _studies_of_patient(store: ImageStore, request: RetrieveRequest) -> tuple[str, ...]:
    """Studies of the patient, of those asked for where any are."""
    matches = of_patient(request.patient_id, request.issuer)
    if request.study_uids:
        matches = (*matches, Match("StudyInstanceUID", "equal", request.study_uids))
    rows = await store.images(ImageQuery(Level.STUDY, matches, limit=MOST_INSTANCES))
    if not request.study_uids and request.level is QueryLevel.PATIENT:
        check_one(rows)
    return tuple(row.study_uid for row in rows)


async def _of_uids(store: ImageStore, request: RetrieveRequest) -> tuple[InstanceRef, ...]:
    found = [await store.instance(uid) for uid in request.sop_uids]
    return tuple(
        ref
        for ref in found
        if ref is not None
        and (not request.study_uids or ref.study_uid in request.study_uids)
        and (not request.series_uids or ref.series_uid in request.series_uids)
    )


async def _branches(store: ImageStore, request: RetrieveRequest) -> list[tuple[str, str | None]]:
    """(study, series or None = all of them) to be read."""
    if request.level is QueryLevel.STUDY:
        return [(uid, None) for uid in request.study_uids]
    if len(request.study_uids) == 1:
        return [(request.study_uids[0], uid) for uid in request.series_uids]
    keys = {"SeriesInstanceUID": request.series_uids, "StudyInstanceUID": request.study_uids}
    rows = await store.images(_query(Level.SERIES, keys))
    return [(row.study_uid, row.series_uid) for row in rows]


def _query(level: Level, keys: Mapping[str, tuple[str, ...]]) -> ImageQuery:
    matches = tuple(Match(keyword, "equal", uids) for keyword, uids in keys.items() if uids)
    return ImageQuery(level, matches, limit=MOST_INSTANCES)
