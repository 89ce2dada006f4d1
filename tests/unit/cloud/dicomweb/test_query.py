"""Parameters of searches as matching keys (PS3.18, 8.3.4; PS3.4, C.2.2.2)."""

import pytest

from wardlight_cloud.dicomweb.errors import DicomWebError
from wardlight_cloud.dicomweb.query import MOST, search_of
from wardlight_cloud.store.imaging import Level, Match

SERVICE = "https://archive.example/dicom-web"


def only_match(query: str, level: Level = Level.STUDY) -> Match:
    (match,) = search_of(level, query.encode()).query.matches
    return match


@pytest.mark.parametrize("name", ["PatientName", "00100010"])
def test_attributes_are_named_by_keyword_or_tag(name: str) -> None:
    assert only_match(f"{name}=Doe%5EJ%2A") == Match("PatientName", "wildcard", ("Doe^J*",))


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ("PatientID=A-1", Match("PatientID", "equal", ("A-1",))),
        ("PatientID=%20A-1%20", Match("PatientID", "equal", ("A-1",))),
        ("PatientID=A%3F1", Match("PatientID", "wildcard", ("A?1",))),
        ("StudyInstanceUID=1.2,1.3", Match("StudyInstanceUID", "equal", ("1.2", "1.3"))),
        ("StudyInstanceUID=1.2%5C1.3%5C1.2", Match("StudyInstanceUID", "equal", ("1.2", "1.3"))),
        ("StudyDate=20260131", Match("StudyDate", "equal", ("20260131",))),
        ("StudyDate=2026.01.31", Match("StudyDate", "equal", ("20260131",))),
        ("StudyDate=20260131-", Match("StudyDate", "range", ("20260131", ""))),
        ("StudyDate=-20260131", Match("StudyDate", "range", ("", "20260131"))),
        ("StudyDate=20260101-20260131", Match("StudyDate", "range", ("20260101", "20260131"))),
        ("StudyTime=10", Match("StudyTime", "range", ("100000.000000", "105959.999999"))),
        ("StudyTime=1030-11", Match("StudyTime", "range", ("103000.000000", "115959.999999"))),
        ("StudyTime=-103015.5", Match("StudyTime", "range", ("", "103015.599999"))),
        ("PatientName=doe&fuzzymatching=true", Match("PatientName", "fuzzy", ("doe",))),
        ("ModalitiesInStudy=CT", Match("ModalitiesInStudy", "equal", ("CT",))),
        ("ModalitiesInStudy=CT,MR", Match("ModalitiesInStudy", "equal", ("CT", "MR"))),
    ],
)
def test_values_match_by_their_representation(query: str, match: Match) -> None:
    assert only_match(query) == match


def test_attributes_in_a_sequence_are_named_by_their_path() -> None:
    step = Match("ScheduledProcedureStepID", "equal", ("S1",))
    for name in ("00400275.00400009", "RequestAttributesSequence.ScheduledProcedureStepID"):
        assert only_match(f"{name}=S1", Level.SERIES) == step


@pytest.mark.parametrize("value", ["", "%2A", "%2A%2A"])
def test_universal_matching_asks_for_the_attribute_alone(value: str) -> None:
    search = search_of(Level.STUDY, f"StudyDescription={value}".encode())
    assert search.query.matches == ()
    assert "00081030" in search.fields


@pytest.mark.parametrize(
    "query",
    ["StudyDate=2026-01-31", "StudyDate=20260231", "StudyDate=-", "StudyDate=2026*", "StudyTime=25",
     "StudyTime=-", "StudyInstanceUID=1.2*", "StudyInstanceUID=1.2,", "limit=x", "limit=-1",
     "offset=1.5", "limit=1&limit=2", "fuzzymatching=maybe", "PatientID=1&00100020=2",
     "PatientName=%FF", "PatientID=%00", "limit=99999999999999999999"],
)  # fmt: skip
def test_values_that_are_none_are_refused_with_the_name(query: str) -> None:
    with pytest.raises(DicomWebError) as caught:
        search_of(Level.STUDY, query.encode())
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("query", "name"),
    [("Nonsense=1", "Nonsense"), ("PixelData=1", "PixelData"), ("Modality=CT", "Modality"),
     ("includefield=Nonsense", "includefield=Nonsense"), ("a%0D%0Ab=1", "a??b")],
)  # fmt: skip
def test_what_is_not_supported_is_told(query: str, name: str) -> None:
    warning = search_of(Level.STUDY, query.encode()).warnings(SERVICE, more=False)
    assert warning == (
        f'299 {SERVICE} "These parameters are not supported and were not used: {name}"'
    )


def test_fields_come_by_keyword_tag_path_or_all() -> None:
    query = b"includefield=StudyDescription,00080060&includefield=00400275.00400009"
    search = search_of(Level.SERIES, query)
    assert search.fields == {"00081030", "00080060", "00400275"}
    assert not search.all_fields
    assert search_of(Level.SERIES, b"includefield=all").all_fields


def test_one_more_than_asked_for_is_looked_for() -> None:
    search = search_of(Level.STUDY, b"limit=25&offset=50")
    assert (search.limit, search.query.limit, search.query.offset) == (25, 26, 50)
    assert search.warnings(SERVICE, more=True) is None


def test_the_limit_of_the_server_is_told_where_it_cuts() -> None:
    for query in (b"", b"limit=1000000"):
        search = search_of(Level.STUDY, query)
        assert search.limit == MOST[Level.STUDY]
        assert "exceeded the maximum" in (search.warnings(SERVICE, more=True) or "")
        assert search.warnings(SERVICE, more=False) is None
