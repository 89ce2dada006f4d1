"""In the Patient Root nothing is given that is not the patient's who is named."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from wardlight_cloud.dimse.patients import AmbiguousPatientError
from wardlight_cloud.dimse.requests import QueryLevel, RetrieveRequest
from wardlight_cloud.dimse.selection import selected
from wardlight_cloud.store.imaging import ImageQuery, ImageRow, InstanceRef

STUDIES = {"1.1": ("7", "NORTH"), "1.2": ("7", "SOUTH"), "1.3": ("8", "")}
_TAGS = {"PatientID": 0, "IssuerOfPatientID": 1}


def ref(study_uid: str) -> InstanceRef:
    return InstanceRef(
        study_uid, f"{study_uid}.1", f"{study_uid}.1.1", "1.2.3", "1.2", b"", 1, 1, 1, 1, 1, "hot",
        datetime.now(UTC),
    )  # fmt: skip


@dataclass
class Index:
    """One instance in each study."""

    async def images(self, query: ImageQuery) -> tuple[ImageRow, ...]:
        found = set(STUDIES)
        for match in query.matches:
            if match.keyword in _TAGS:
                place = _TAGS[match.keyword]
                found = {uid for uid in found if STUDIES[uid][place] in match.values}
            elif match.keyword == "StudyInstanceUID":
                found &= set(match.values)
        return tuple(self._row(uid) for uid in sorted(found))

    def _row(self, uid: str) -> ImageRow:
        number, issuer = STUDIES[uid]
        study = {"00100020": {"Value": [number]}, "00100021": {"Value": [issuer]}}
        octets = orjson.dumps(study)
        return ImageRow(uid, octets, 1, 1, (), (), None, datetime.now(UTC), 1)

    async def instances(self, study_uid: str, series_uid: str | None) -> tuple[InstanceRef, ...]:
        return (ref(study_uid),)

    async def instance(self, sop_uid: str) -> InstanceRef | None:
        return ref(sop_uid.removesuffix(".1.1"))


def given(level: QueryLevel, patient: tuple[str, str], *uids: str) -> list[str]:
    """Studies of what is given for a patient and keys."""
    studies = uids if level is QueryLevel.STUDY else ()
    sops = uids if level is QueryLevel.IMAGE else ()
    request = RetrieveRequest(level, *patient, studies, (), sops)
    store: Any = Index()
    found = asyncio.run(selected(store, request))
    assert found is not None
    return [each.study_uid for each in found]


def test_a_patient_is_a_number_and_its_issuer() -> None:
    assert given(QueryLevel.PATIENT, ("7", "SOUTH")) == ["1.2"]
    assert given(QueryLevel.PATIENT, ("8", "")) == ["1.3"]
    assert given(QueryLevel.PATIENT, ("9", "")) == []
    with pytest.raises(AmbiguousPatientError):
        given(QueryLevel.PATIENT, ("7", ""))


def test_studies_and_images_are_the_patients() -> None:
    assert given(QueryLevel.STUDY, ("7", "NORTH"), "1.1", "1.2", "1.3") == ["1.1"]
    assert given(QueryLevel.STUDY, ("7", ""), "1.1", "1.3") == ["1.1"]
    assert given(QueryLevel.IMAGE, ("7", "SOUTH"), "1.1.1.1", "1.2.1.1") == ["1.2"]


def test_without_a_patient_the_keys_alone_count() -> None:
    assert given(QueryLevel.STUDY, ("", ""), "1.1", "1.3") == ["1.1", "1.3"]
