"""Studies as pages word them: dates, names, owners; searches and notes as they are sent."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.dashboard.note_body import TEXT_MAX, NoteBody, NoteError, note_body
from wardlight_cloud.dashboard.study_search import FIELDS, page_number, study_search
from wardlight_cloud.dashboard.study_views import (
    newest_first,
    note_address,
    study_line,
    timeline,
    waiting_line,
)
from wardlight_cloud.imaging.owner import Said, is_another, relation
from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.image_arrivals import UnmatchedReason
from wardlight_cloud.store.imaging import ImageRow, KeyNote, Match, Unmatched

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
PATIENT = UUID(int=5)
OWNER = Patient(
    PATIENT, "Almeida", "Anna", date(1950, 2, 3), "female", (("urn:mrn", "A-1"),), 0, NOW
)


def _row(patient: UUID | None = None, **tags: Any) -> ImageRow:
    study = {
        "00080020": ["20260131"], "00080030": ["101500"], "00100010": [{"Alphabetic": "Doe^Jo"}],
        "00100020": ["A-1"],
    } | {tag[1:]: value for tag, value in tags.items()}  # fmt: skip
    attributes = {tag: {"Value": value} for tag, value in study.items()}
    return ImageRow(
        study_uid="1.2", study=orjson.dumps(attributes),
        study_series=2, study_instances=31, modalities=("CT", "SR"), sop_classes=(),
        patient=patient, updated_at=NOW, commit_seq=1,
    )  # fmt: skip


def test_a_study_is_worded() -> None:
    line = study_line(_row(PATIENT), {PATIENT: OWNER}, NOW)
    assert (line.name, line.date, line.time, line.age) == (
        "Doe, Jo", "2026-01-31", "10:15 device time", "38 days ago",
    )  # fmt: skip
    assert (line.size, line.modalities) == ("31 images in 2 series", "CT, SR")
    assert (line.owner_name, line.differs) == ("Almeida, Anna", "name")
    line = study_line(_row(PATIENT, _00100010=[{"Alphabetic": "ALMEIDA^A"}]), {PATIENT: OWNER}, NOW)
    assert (line.relation, line.differs) == ("", "")
    same, born = {"_00100010": [{"Alphabetic": "ALMEIDA^A"}]}, "_00100030"
    line = study_line(_row(PATIENT, **same, **{born: ["19500203"]}), {PATIENT: OWNER}, NOW)
    assert (line.relation, line.differs) == ("", "")
    line = study_line(_row(PATIENT, **same, **{born: ["19500505"]}), {PATIENT: OWNER}, NOW)
    assert "the register has 1950-02-03, the study says 1950-05-05" in line.relation
    assert line.differs == "date of birth"
    unborn = {PATIENT: replace(OWNER, birth_date=None)}
    line = study_line(_row(PATIENT, **same, **{born: ["19500505"]}), unborn, NOW)
    assert (line.relation, line.differs) == ("", "")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [({"_00080020": ["2026.03.10"]}, "today"), ({"_00080020": ["20260309"]}, "yesterday"),
     ({"_00080020": ["20270101"]}, "dated in the future"), ({"_00080020": []}, "date unknown"),
     ({"_00080020": ["20200101"]}, "6 years ago"), ({"_00080020": ["nonsense"]}, "date unknown")],
)  # fmt: skip
def test_the_age_of_a_study(tags: dict[str, Any], expected: str) -> None:
    assert study_line(_row(**tags), {}, NOW).age == expected


@pytest.mark.parametrize(
    ("time", "offset", "expected"),
    [("101500", "+0500", "10:15 UTC+05:00"), ("10:15:00", "-0330", "10:15 UTC-03:30"),
     ("101500", "", "10:15 device time"), ("101500", "Paris", "10:15 device time"),
     ("10", "+0500", ""), ("", "+0500", "")],
)  # fmt: skip
def test_the_time_of_a_study_has_its_own_zone(time: str, offset: str, expected: str) -> None:
    """The page is in the reader's zone, a study in its device's."""
    line = study_line(_row(_00080030=[time], _00080201=[offset]), {}, NOW)
    assert line.time == expected


def test_names_of_two_writings_and_of_none() -> None:
    both = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}
    assert study_line(_row(_00100010=[both]), {}, NOW).name == "Yamada, Tarou = 山田, 太郎"
    assert study_line(_row(_00100010=[None]), {}, NOW).name == ""


def test_whose_it_is_is_said_where_numbers_differ() -> None:
    assert "Unmatched" in relation(Said("A-1"), None, None)
    assert relation(Said("A-1"), PATIENT, OWNER) == ""
    assert "says patient number X-9" in relation(Said("X-9"), PATIENT, OWNER)
    assert "names no patient number" in relation(Said(""), PATIENT, OWNER)
    assert "no longer shows" in relation(Said("A-1"), PATIENT, None)


def test_another_name_than_the_register_s_is_said() -> None:
    def said(name: str, family: str = "Almeida", given: str = "Anna") -> str:
        return relation(Said("A-1", name), PATIENT, replace(OWNER, family=family, given=given))

    for name in (
        "Almeida^Anna", "ALMEIDA^ANNA^MARIA^DR", "almeida^a", "Anna^Almeida", "Almeida Anna",
        "Álmeida^Änna", "Almeida", "Almeida-Souza^Anna", "", "^^^^", "山田^太郎",
        "Yamada^Tarou==Almeida^Anna",
    ):  # fmt: skip
        assert said(name) == "", name
    for name in ("Brandt^Anna", "Almeida^Bert", "Anna", "Almeida^Maria", "Almeidas^Anna"):
        assert "Another name: the register has Almeida, Anna" in said(name), name
    assert said("Mueller^Joerg", "Müller", "Jörg") == said("MULLER^JORG", "Müller", "Jörg") == ""
    assert said("O'Brien^Soeren", "OBrien", "Søren") == ""
    assert said("Yamada^Tarou=山田^太郎", "山田", "太郎") == ""
    assert said("Yamada^Tarou=山田^次郎", "山田", "太郎")
    assert said("Brandt^Bert", "", "") == ""
    both = relation(Said("X-9", "Brandt^Bert"), PATIENT, OWNER)
    assert "says patient number X-9" in both
    assert "Another name" in both


def test_another_sex_than_the_register_s_is_said() -> None:
    same = Said("A-1", "Almeida^Anna", "1950-02-03", "female")
    assert relation(same, PATIENT, OWNER) == ""
    said = relation(replace(same, sex="male"), PATIENT, OWNER)
    assert "Another sex: the register has female, the study says male." in said
    for sex in ("", "other"):
        assert relation(replace(same, sex=sex), PATIENT, OWNER) == ""
    assert relation(replace(same, sex="male"), PATIENT, replace(OWNER, gender="unknown")) == ""
    line = study_line(_row(PATIENT, _00100010=[], _00100040=["M"]), {PATIENT: OWNER}, NOW)
    assert line.differs == "sex"


def test_objects_of_two_people_are_told_apart() -> None:
    anna = Said("A-1", "Almeida^Anna", "1950-02-03", "female")
    for same in (
        anna, Said(), replace(anna, name="ALMEIDA^A"), replace(anna, name="山田^太郎"),
        replace(anna, born=""), replace(anna, sex=""), replace(anna, number=""),
    ):  # fmt: skip
        assert not is_another(anna, same), same
        assert not is_another(same, anna), same
    for other in (
        replace(anna, name="Smith^John"), replace(anna, born="1990-01-01"),
        replace(anna, sex="male"), replace(anna, number="A-2"),
    ):  # fmt: skip
        assert is_another(anna, other), other
        assert is_another(other, anna), other


@pytest.mark.parametrize("reason", get_args(UnmatchedReason))
def test_why_a_study_waits_is_worded(reason: UnmatchedReason) -> None:
    row = Unmatched("1.2", "A-1", "", "", (), 3, NOW, reason, "http://x")
    line = waiting_line(row)
    assert (line.modalities, line.instances) == ("unknown", 3)
    assert line.reason.startswith("the ")


@pytest.mark.parametrize("given_by", ["", "http://x"])
def test_a_study_without_a_number_says_that(given_by: str) -> None:
    assert Unmatched("1.2", "", "", "", (), 3, NOW, "unknown", given_by).why == "no-number"


def test_a_study_that_nobody_can_be_found_for_says_what_is_missing() -> None:
    row = Unmatched("1.2", "A-1", "", "", (), 3, NOW, "unknown")
    assert "images.gateway_issuers" in waiting_line(row).reason
    assert waiting_line(replace(row, patient_id="")).reason == "it names no patient number"


def test_a_study_without_a_date_stands_where_it_was_stored() -> None:
    days = {"1.1": "20260201", "1.2": "", "1.3": "20260401", "1.4": ""}
    stored = {"1.1": NOW, "1.2": NOW, "1.3": NOW, "1.4": NOW - timedelta(days=60)}
    lines = [
        replace(study_line(_row(_00080020=[day]), {}, NOW), study_uid=uid)
        for uid, day in days.items()
    ]
    found = newest_first(lines, stored)
    assert [line.study_uid for line in found] == ["1.3", "1.2", "1.1", "1.4"]


def test_the_timeline_is_newest_first() -> None:
    line = study_line(_row(), {}, NOW)
    undated = study_line(_row(_00080020=[]), {}, NOW)
    note = KeyNote(UUID(int=1), "1.2", "1.2.3", 4, "look", "nurse", NOW - timedelta(days=1))
    events = timeline([line, undated], [note], {"1.2": NOW})
    assert [event.kind for event in events] == ["study", "note", "study"]
    assert events[1].href == note_address(note) == "/studies/1.2#image=1.2.3&frame=4"


def test_searches_are_matching_keys() -> None:
    form = dict.fromkeys(FIELDS, "") | {
        "name": " mül anna ", "number": "A-*", "modality": "ct", "since": "2026-01-01",
    }  # fmt: skip
    assert study_search(form).matches == (
        Match("PatientName", "fuzzy", ("mül anna",)),
        Match("PatientID", "wildcard", ("A-*",)),
        Match("ModalitiesInStudy", "equal", ("CT",)),
        Match("StudyDate", "range", ("20260101", "")),
    )
    assert study_search({}).matches == ()
    for wrong in ({"since": "31.1.2026"}, {"modality": "CT'--"}):
        found = study_search(wrong)
        assert found.error
        assert found.matches == ()


@given(st.dictionaries(st.sampled_from([*FIELDS, "page"]), st.text()))
def test_any_form_is_a_search(form: dict[str, str]) -> None:
    found = study_search(form)
    assert set(found.fields) == set(FIELDS)
    assert 0 <= page_number(form) <= 10_000
    assert not (found.error and found.matches)


NOTE = {
    "sop": "1.2.3", "text": "look", "frame": 2,
    "drawing": {"shapes": [{"kind": "length", "points": [[1, 2], [3.5, 4]]}], "inverted": True},
}  # fmt: skip


def test_a_note_is_read() -> None:
    found = note_body(orjson.dumps(NOTE))
    assert (found.sop, found.frame, found.text) == ("1.2.3", 2, "look")
    assert found.drawing.shapes[0].points == ((1, 2), (3.5, 4))


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"text": "  "}, "Write something"), ({"text": "x" * (TEXT_MAX + 1)}, "2000 are the most"),
     ({"sop": "../x"}, "names no image"), ({"frame": 0}, "could not be read"),
     ({"drawing": {"shapes": [{"kind": "length", "points": [[1e9, 0], [0, 0]]}]}}, "outside"),
     ({"drawing": {"shapes": [NOTE["drawing"]] * 2}}, "could not be read"),
     ({"drawing": {"shapes": [{"kind": "arrow", "points": [[0, 0], [1, 1]]}] * 101}}, "be read"),
     ({"more": 1}, "could not be read")],
)  # fmt: skip
def test_what_is_no_note_is_refused_in_words(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(NoteError, match=words):
        note_body(orjson.dumps(NOTE | changed))


_KEYS = st.sampled_from(["sop", "text", "frame", "drawing", "shapes", "kind", "points", "x"])
_LEAVES = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text()
_JSON = st.recursive(
    _LEAVES | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner),
)


@given(st.binary() | _JSON.map(orjson.dumps))
def test_any_octets_are_a_note_or_an_error_in_words(octets: bytes) -> None:
    try:
        found = note_body(octets)
    except NoteError as error:
        assert str(error)
    else:
        assert isinstance(found, NoteBody)
