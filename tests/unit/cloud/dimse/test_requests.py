"""Identifiers of C-FIND to matching keys (PS3.4 C.2.2.2, C.4.1)."""

from typing import Any

import pytest
from pydicom import config
from pydicom.dataset import Dataset

from wardlight_cloud.dimse.matching import MAX_UIDS, IdentifierError
from wardlight_cloud.dimse.requests import find_request, retrieve_request
from wardlight_cloud.store.imaging import Level, Match


@pytest.fixture(autouse=True)
def as_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are ours to judge, not pydicom's (peer_library.py)."""
    for mode in ("reading_validation_mode", "writing_validation_mode"):
        monkeypatch.setattr(config.settings, mode, config.IGNORE)


def identifier(level: str, **values: Any) -> Dataset:
    made = Dataset()
    made.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize(
    ("keyword", "value", "match"),
    [
        ("PatientName", "Müller^Jörg", Match("PatientName", "equal", ("Müller^Jörg",))),
        ("PatientName", "M?ll*", Match("PatientName", "wildcard", ("M?ll*",))),
        ("PatientID", "A 17 ", Match("PatientID", "equal", ("A 17",))),
        ("StudyDate", "20260131", Match("StudyDate", "equal", ("20260131",))),
        ("StudyDate", "1987.01.31", Match("StudyDate", "equal", ("19870131",))),
        ("StudyDate", "20260101-", Match("StudyDate", "range", ("20260101", ""))),
        ("StudyDate", "-20260131", Match("StudyDate", "range", ("", "20260131"))),
        ("StudyTime", "10", Match("StudyTime", "range", ("100000.000000", "105959.999999"))),
        (
            "StudyTime", "1015-101530.5",
            Match("StudyTime", "range", ("101500.000000", "101530.599999")),
        ),
        (
            "StudyInstanceUID", ["1.2", "1.3", "1.2"],
            Match("StudyInstanceUID", "equal", ("1.2", "1.3")),
        ),
        ("ModalitiesInStudy", "C*", Match("ModalitiesInStudy", "wildcard", ("C*",))),
    ],
)  # fmt: skip
def test_a_value_is_matched_by_its_representation(keyword: str, value: Any, match: Match) -> None:
    asked = identifier("STUDY", **{keyword: value})
    request = find_request(asked, "study", relational=False, limit=5)
    assert request.query.matches == (match,)
    assert (request.query.level, request.query.limit) == (Level.STUDY, 5)
    assert not request.ignored


@pytest.mark.parametrize("value", ["", "*", "**"])
def test_universal_matching_asks_for_nothing(value: str) -> None:
    request = find_request(
        identifier("STUDY", PatientName=value), "study", relational=False, limit=5
    )
    assert request.query.matches == ()
    assert [key.keyword for key in request.keys] == ["PatientName"]


def test_a_key_that_is_not_matched_on_is_told() -> None:
    asked = identifier("STUDY", PatientComments="x", Modality="CT", StudyDate="")
    request = find_request(asked, "study", relational=False, limit=5)
    assert request.ignored
    assert request.query.matches == ()


@pytest.mark.parametrize(
    ("level", "root", "values"),
    [
        ("PATIENT", "study", {}),
        ("SERIES", "study", {}),
        ("SERIES", "study", {"StudyInstanceUID": ""}),
        ("STUDY", "patient", {"PatientID": "A*"}),
        ("STUDY", "patient", {"PatientID": ["A", "B"]}),
        ("IMAGE", "patient", {"PatientID": "A", "StudyInstanceUID": "1.2"}),
        ("", "study", {}),
        ("STUDY", "study", {"StudyDate": "31.01.2026"}),
        ("STUDY", "study", {"StudyTime": "noon"}),
        ("STUDY", "study", {"StudyInstanceUID": "1.2.x"}),
        ("STUDY", "study", {"StudyDescription": "a" * 2000}),
        ("STUDY", "study", {"StudyInstanceUID": [f"1.{n}" for n in range(MAX_UIDS + 1)]}),
    ],
)
def test_what_does_not_fit_is_refused(level: str, root: Any, values: dict[str, Any]) -> None:
    with pytest.raises(IdentifierError):
        find_request(identifier(level, **values), root, relational=False, limit=5)


def test_relational_queries_need_no_keys_above() -> None:
    asked = identifier("SERIES", Modality="CT")
    request = find_request(asked, "study", relational=True, limit=5)
    assert request.query.matches == (Match("Modality", "equal", ("CT",)),)


def test_retrieval_needs_its_unique_key() -> None:
    with pytest.raises(IdentifierError, match="SeriesInstanceUID"):
        retrieve_request(identifier("SERIES", StudyInstanceUID="1.2"), "study")
    with pytest.raises(IdentifierError, match="PatientID"):
        retrieve_request(identifier("PATIENT", PatientID=["A", "B"]), "patient")
    request = retrieve_request(
        identifier("IMAGE", StudyInstanceUID="1.2", SOPInstanceUID=["1.3", "1.4"]), "study"
    )
    assert (request.study_uids, request.sop_uids) == (("1.2",), ("1.3", "1.4"))
