"""Attribute matching against rules written another way, and data sets of any octets."""

import fnmatch
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from wardlight_edge.dicom import data_sets
from wardlight_edge.dicom.matching import answer, is_supported, matches
from wardlight_shared.errors import DecodeError

LETTERS = st.text(alphabet="ab", max_size=8)
PATTERNS = st.text(alphabet="ab*?", min_size=1, max_size=8)
DAYS = st.dates().map(lambda day: f"{day:%Y%m%d}")
TIMES = st.times().map(lambda time: f"{time:%H%M%S.%f}")
SYNTAXES = st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])


def _one(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


@given(PATTERNS, LETTERS)
def test_wild_cards_match_as_those_of_a_shell(pattern: str, value: str) -> None:
    expected = re.fullmatch(fnmatch.translate(pattern), value) is not None
    if set(pattern) == {"*"}:
        expected = True
    elif not value:
        return  # an attribute without a value matches nothing but "*"
    assert matches(_one(PatientID=pattern), _one(PatientID=value)) == expected


def test_many_wild_cards_take_no_longer_than_the_lengths_ask_for() -> None:
    assert not matches(_one(PatientID="*a" * 30 + "b"), _one(PatientID="a" * 64))


@given(DAYS, st.none() | DAYS, st.none() | DAYS)
def test_dates_lie_in_ranges(value: str, first: str | None, last: str | None) -> None:
    if first is None and last is None:
        return
    query = f"{first or ''}-{last or ''}"
    expected = (first or "") <= value <= (last or "99999999")
    assert matches(_one(StudyDate=query), _one(StudyDate=value)) == expected


@given(TIMES, st.integers(0, 23), st.integers(0, 23))
def test_hours_of_a_range_are_whole_hours(value: str, first: int, last: int) -> None:
    expected = first <= int(value[:2]) <= last
    query = f"{first:02}-{last:02}"
    assert matches(_one(StudyTime=query), _one(StudyTime=value)) == expected


@pytest.mark.parametrize(
    ("query", "value", "expected"),
    [
        ("DOE^JANE", "Doe^Jane", True),
        ("müller*", "MULLER^JÖRG", True),
        ("Doe^Jane^^^", "Doe^Jane", True),
        ("山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("Yamada^Tarou=山田^花子", "Yamada^Tarou=山田^太郎", False),
        ("Yamada*=山田*", "Yamada^Tarou=山田^太郎", True),
        ("Doe^J", "Doe^Jane", False),
        ("Doe^J*", "Doe^Jane", True),
        ("^", "Doe^Jane", True),
        ("^^^^", "", True),
        ("*^*", "Doe", True),
        ("^*", "Doe^Jane", True),
        ("=^", "Yamada^Tarou=山田^太郎", True),
        ("Doe^*", "Doe", True),
        ("Doe*^*", "Doering", True),
        ("Doe^*", "Doering", False),
        ("^Jane", "Doe^Jane", False),
    ],
)
def test_names(query: str, value: str, expected: bool) -> None:
    """PS3.4, C.2.2.2.1: PN may be matched without regard to case and accents."""
    asked = _one(SpecificCharacterSet="ISO_IR 192", PatientName=query)
    assert matches(asked, _one(PatientName=value)) == expected


def test_other_text_is_matched_by_case() -> None:
    assert not matches(_one(PatientID="p1"), _one(PatientID="P1"))
    assert matches(_one(PatientID=" P1 "), _one(PatientID="P1"))


def test_a_list_of_uids_matches_any_of_them() -> None:
    query = _one(StudyInstanceUID=["1.2", "1.3"])
    assert matches(query, _one(StudyInstanceUID="1.3"))
    assert not matches(query, _one(StudyInstanceUID="1.30"))


def test_keys_of_a_sequence_have_to_match_within_one_item() -> None:
    one = _one(Modality="CT", ScheduledStationAETitle="CT1")
    two = _one(Modality="MR", ScheduledStationAETitle="MR1")
    entry = _one(ScheduledProcedureStepSequence=Sequence([one, two]))
    wanted = _one(Modality="CT", ScheduledStationAETitle="MR1")
    assert not matches(_one(ScheduledProcedureStepSequence=Sequence([wanted])), entry)
    wanted = _one(Modality="MR", ScheduledStationAETitle="")
    query = _one(ScheduledProcedureStepSequence=Sequence([wanted]))
    (item,) = answer(query, entry).ScheduledProcedureStepSequence
    assert (item.Modality, item.ScheduledStationAETitle) == ("MR", "MR1")
    assert matches(_one(ScheduledProcedureStepSequence=Sequence()), Dataset())


def test_what_cannot_be_matched_is_told() -> None:
    entry = _one(PatientID="1")
    assert is_supported(_one(PatientID="1", PatientComments=""), entry)
    assert not is_supported(_one(PixelData=b"\0\0"), entry)
    two = Sequence([_one(Modality="CT"), _one(Modality="MR")])
    assert not is_supported(_one(ScheduledProcedureStepSequence=two), entry)


def _step(**values: object) -> Dataset:
    return _one(ScheduledProcedureStepSequence=Sequence([_one(**values)]))


@pytest.mark.parametrize(
    ("query", "is_whole"),
    [
        (_step(ScheduledProcedureStepStatus="SCHEDULED"), False),
        (_step(ScheduledProcedureStepLocation="ROOM 3", Modality="CT"), False),
        (_one(InstitutionName="Clinic"), False),
        (_one(RequestingService=""), True),
        (_one(QueryRetrieveLevel="STUDY"), True),
        (_one(StudyInstanceUID="*"), True),
        (_one(PatientBirthDate="*"), True),
        (_step(ScheduledProcedureStepStartDate="*", ScheduledProcedureStepStartTime="**"), True),
        (_step(ScheduledProcedureStepStartDate="20260302 - 20260303 "), True),
        (_step(ScheduledProcedureStepStartTime="08:00 - 10:00"), True),
    ],
)
def test_what_a_list_cannot_know_empties_none(query: Dataset, is_whole: bool) -> None:
    entry = _step(
        Modality="CT",
        ScheduledProcedureStepStartDate="20260302",
        ScheduledProcedureStepStartTime="0930",
        ScheduledStationName="",
    )
    entry.PatientID = "1"
    assert matches(query, entry)
    assert is_supported(query, entry) == is_whole
    assert not matches(_one(InstitutionName="Clinic"), _one(InstitutionName="Other"))


@pytest.mark.parametrize(
    "query",
    [
        _one(AccessionNumber="A1"), _one(PatientID="2"), _one(PatientBirthDate="19500102"),
        _one(PatientName="Doe"), _one(IssuerOfPatientID="x"), _one(RequestedProcedureID="1"),
        _one(StudyInstanceUID="1.2"), _step(Modality="MR"), _step(ScheduledStationAETitle="MR1"),
        _step(ScheduledProcedureStepStartDate="20260303"),
        _step(Modality="CT", ScheduledPerformingPhysicianName="Doe"),
    ],
)  # fmt: skip
def test_whose_where_and_when_is_never_left_open(query: Dataset) -> None:
    entry = _step(Modality="CT")
    entry.PatientID = "1"
    assert not matches(query, entry)


@given(SYNTAXES)
def test_keys_of_a_manufacturer_s_own_are_passed_over(syntax: str) -> None:
    """As they come off the wire; the creator of a group is no key, and no reason for 0xFF01."""
    asked = _one(PatientID="1", PatientName="")
    asked.private_block(0x0029, "SIEMENS MED", create=True).add_new(1, "LO", "x")
    step = _one(Modality="CT")
    step.private_block(0x0029, "SIEMENS MED", create=True)
    asked.ScheduledProcedureStepSequence = Sequence([step])
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == ImplicitVRLittleEndian
    buffer.is_little_endian = syntax != ExplicitVRBigEndian
    write_dataset(buffer, asked)
    query = data_sets.read(buffer.getvalue(), syntax, most_values=99)
    entry = _step(Modality="CT")
    entry.PatientID, entry.PatientName = "1", "Doe"
    assert matches(query, entry)
    assert not is_supported(query, entry)
    del query[0x00291001]
    assert is_supported(query, entry)
    found = answer(query, entry)
    assert found.PatientName == "Doe"
    assert not [each for each in found.iterall() if each.tag.is_private]


def test_an_answer_is_no_way_into_the_list() -> None:
    entry = _one(ScheduledProcedureStepSequence=Sequence([_one(Modality="CT")]))
    found = answer(_one(ScheduledProcedureStepSequence=Sequence()), entry)
    found.ScheduledProcedureStepSequence[0].Modality = "MR"
    assert entry.ScheduledProcedureStepSequence[0].Modality == "CT"


@pytest.mark.filterwarnings("ignore")
@given(st.binary(max_size=300), SYNTAXES)
def test_any_octets_are_a_data_set_or_a_named_error(octets: bytes, syntax: str) -> None:
    try:
        found = data_sets.read(octets, syntax, most_values=100_000)
    except DecodeError:
        return
    matches(found, found)
    answer(found, found)


@pytest.mark.filterwarnings("ignore")
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["PatientName", "PatientID", "StudyDate", "StudyTime", "Rows",
                             "StudyInstanceUID", "SeriesNumber", "PatientWeight"]),
            st.text(alphabet=string.printable, max_size=20),
        ),
        max_size=5,
    ),
    SYNTAXES,
)  # fmt: skip
def test_any_values_are_matched_without_an_exception(
    values: list[tuple[str, str]], syntax: str
) -> None:
    octets = b"".join(_implicit(keyword, value) for keyword, value in values)
    try:
        query = data_sets.read(octets, ImplicitVRLittleEndian, most_values=100_000)
    except DecodeError:
        return
    entry = _one(PatientName="Doe^Jane", StudyDate="20260102", SeriesNumber="3")
    matches(query, entry)
    answer(query, entry)


def _implicit(keyword: str, value: str) -> bytes:
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None
    octets = value.encode("ascii")
    return (
        (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
        + len(octets).to_bytes(4, "little") + octets
    )  # fmt: skip


def test_a_data_set_that_was_cut_is_refused() -> None:
    item = _one(PatientName="Doe^Jane")
    whole = data_sets.written(_one(PatientID="XY", ScheduledProcedureStepSequence=Sequence([item])))
    boundary = len(data_sets.written(_one(PatientID="XY")))
    for length in range(1, len(whole)):
        if length == boundary:
            continue
        with pytest.raises(DecodeError):
            data_sets.read(whole[:length], ExplicitVRLittleEndian, most_values=100_000)
