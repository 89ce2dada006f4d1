"""The same question by C-FIND and by QIDO-RS is the same search, or both say why it is none."""

from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest
from pydicom import config
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from wardlight_cloud.dicomweb.errors import DicomWebError
from wardlight_cloud.dicomweb.query import search_of
from wardlight_cloud.dimse import server
from wardlight_cloud.dimse.matching import IdentifierError
from wardlight_cloud.dimse.requests import find_request
from wardlight_cloud.store.imaging import Level, Match

REFUSED = "refused"
LEVELS = {Level.STUDY: "STUDY", Level.SERIES: "SERIES", Level.INSTANCE: "IMAGE"}
NESTED = "RequestAttributesSequence.ScheduledProcedureStepID"

Found = tuple[Match, ...] | str


@pytest.fixture(autouse=True)
def as_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are ours to judge, not pydicom's (peer_library.py)."""
    for mode in ("reading_validation_mode", "writing_validation_mode"):
        monkeypatch.setattr(config.settings, mode, config.IGNORE)


class Asked:
    """As pynetdicom's event: decodes when it is asked."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    @property
    def identifier(self) -> Dataset:
        return decode(BytesIO(self._octets), True, True)


def by_dimse(level: Level, keyword: str, value: str) -> tuple[Found, bool]:
    """The matches, and whether a key was left out, which the status 0xFF01 tells."""
    outer, _, inner = keyword.rpartition(".")
    key, asked = Dataset(), Dataset()
    if inner == "Rows":
        key.Rows = int(value)
    else:
        key.add_new(tag_for_keyword(inner) or 0, "LO", value)  # implicit: the octets alone go out
    if outer:
        setattr(asked, outer, [key])
    else:
        asked = key
    asked.QueryRetrieveLevel = LEVELS[level]
    try:
        identifier = server._identifier(Asked(encode(asked, True, True) or b""))  # type: ignore[arg-type]
        request = find_request(identifier, "study", relational=True, limit=1)
    except IdentifierError as error:
        assert len(value) < 2 or value not in str(error)
        return REFUSED, False
    return request.query.matches, request.ignored


def by_dicomweb(level: Level, keyword: str, value: str) -> tuple[Found, bool]:
    """The matches, and whether a key was left out, which the Warning header tells."""
    try:
        search = search_of(level, f"{keyword}={quote(value)}".encode())
    except DicomWebError:
        return REFUSED, False
    return search.query.matches, bool(search.unsupported)


def equal(*values: str) -> tuple[str, tuple[str, ...]]:
    return "equal", values


SAME: list[tuple[Level, str, str, tuple[str, tuple[str, ...]] | str | None]] = [
    (Level.STUDY, "ModalitiesInStudy", "CT\\US", equal("CT", "US")),
    (Level.STUDY, "ModalitiesInStudy", "CT \\ US\\CT", equal("CT", "US")),
    (Level.STUDY, "ModalitiesInStudy", "CT\\", equal("CT")),
    (Level.STUDY, "ModalitiesInStudy", "C*", ("wildcard", ("C*",))),
    (Level.STUDY, "ModalitiesInStudy", "C*\\US", REFUSED),
    (Level.STUDY, "ModalitiesInStudy", "CT\\*", None),
    (Level.SERIES, "Modality", "CT\\MR", equal("CT", "MR")),
    (Level.SERIES, "Modality", "ct", equal("ct")),
    (Level.SERIES, "SeriesNumber", "1\\2", equal("1", "2")),
    (Level.SERIES, "SeriesNumber", "1*", REFUSED),
    (Level.SERIES, NESTED, "S1", equal("S1")),
    (Level.INSTANCE, "InstanceNumber", "3\\007\\+1", equal("3", "7", "1")),
    (Level.INSTANCE, "InstanceNumber", "2a", REFUSED),
    (Level.INSTANCE, "Rows", "512", equal("512")),
    (Level.INSTANCE, "SOPInstanceUID", "1.2\\1.3", equal("1.2", "1.3")),
    (Level.INSTANCE, "ContentTime", "10", ("range", ("100000.000000", "105959.999999"))),
    (Level.STUDY, "AccessionNumber", "A1\\A2", equal("A1", "A2")),
    (Level.STUDY, "AccessionNumber", "A?\\A2", REFUSED),
    (Level.STUDY, "PatientID", " A 1 ", equal("A 1")),
    (Level.STUDY, "PatientID", "A1,A2", equal("A1,A2")),
    (Level.STUDY, "PatientName", "Doe^J*", ("wildcard", ("Doe^J*",))),
    (Level.STUDY, "PatientName", "Doe", equal("Doe")),
    (Level.STUDY, "PatientName", "Doe\\Roe", REFUSED),
    (Level.STUDY, "PatientName", "***", None),
    (Level.STUDY, "PatientName", "  ", None),
    (Level.STUDY, "StudyDescription", "x" * 1025, REFUSED),
    (Level.STUDY, "StudyDate", "20260131", equal("20260131")),
    (Level.STUDY, "StudyDate", "2026.01.31", equal("20260131")),
    (Level.STUDY, "StudyDate", "20260201-20260231", ("range", ("20260201", "20260231"))),
    (Level.STUDY, "StudyDate", "20260201 - 20260228", ("range", ("20260201", "20260228"))),
    (Level.STUDY, "StudyDate", "20260231", REFUSED),
    (Level.STUDY, "StudyDate", "20261301-", REFUSED),
    (Level.STUDY, "StudyDate", "-", REFUSED),
    (Level.STUDY, "StudyDate", "2026*", REFUSED),
    (Level.STUDY, "StudyDate", "20260131\\20260201", REFUSED),
    (Level.STUDY, "StudyTime", "1015-101530.5", ("range", ("101500.000000", "101530.599999"))),
    (Level.STUDY, "StudyTime", "25", REFUSED),
    (Level.STUDY, "StudyTime", "-", REFUSED),
    (Level.STUDY, "StudyTime", "10-11-12", REFUSED),
    (Level.STUDY, "StudyInstanceUID", "1.2*", REFUSED),
]


@pytest.mark.parametrize(("level", "keyword", "value", "wanted"), SAME)
def test_both_ask_the_index_the_same(
    level: Level, keyword: str, value: str, wanted: tuple[str, tuple[str, ...]] | str | None
) -> None:
    dimse, dicomweb = by_dimse(level, keyword, value), by_dicomweb(level, keyword, value)
    assert dimse == dicomweb
    found, is_left_out = dimse
    assert not is_left_out
    if wanted is None:
        assert found == ()
    elif isinstance(wanted, str):
        assert found == wanted
    else:
        assert found == (Match(keyword.rpartition(".")[2], *wanted),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("level", "keyword", "value"),
    [
        (Level.STUDY, "Modality", "CT"),
        (Level.SERIES, "InstanceNumber", "1"),
        (Level.STUDY, "PatientComments", "x"),
        (Level.STUDY, NESTED, "S1"),
        (Level.SERIES, "RequestAttributesSequence.ScheduledProcedureStepDescription", "x"),
    ],
)
def test_both_tell_what_is_not_matched_on(level: Level, keyword: str, value: str) -> None:
    assert by_dimse(level, keyword, value) == by_dicomweb(level, keyword, value) == ((), True)


@pytest.mark.parametrize(
    ("level", "keyword", "is_known"),
    [
        ("STUDY", "StudyComments", False),
        ("STUDY", "Modality", False),
        ("STUDY", "NumberOfSeriesRelatedInstances", False),
        ("SERIES", "NumberOfSeriesRelatedInstances", True),
        ("IMAGE", "KVP", False),
        ("IMAGE", "PatientName", True),
        ("IMAGE", "RetrieveAETitle", True),
        ("PATIENT", "NumberOfPatientRelatedStudies", True),
        ("PATIENT", "PatientBirthDate", True),
        ("PATIENT", "StudyDate", False),
        ("PATIENT", "ModalitiesInStudy", False),
    ],
)
def test_a_return_key_that_no_answer_has_is_told(level: str, keyword: str, is_known: bool) -> None:
    """Empty, it would look like an object without that value."""
    asked: Any = Dataset()
    asked.QueryRetrieveLevel = level
    setattr(asked, keyword, None)
    request = find_request(asked, "patient", relational=True, limit=1)
    assert request.ignored is not is_known


@pytest.mark.parametrize("vr", ["LO", "UN", "OB"])
def test_the_dictionary_says_what_a_value_is(vr: str) -> None:
    """However the peer has sent it."""
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    asked.add_new(0x00080020, vr, "20260101-" if vr == "LO" else b"20260101-")
    request = find_request(asked, "study", relational=True, limit=1)
    assert request.query.matches == (Match("StudyDate", "range", ("20260101", "")),)
