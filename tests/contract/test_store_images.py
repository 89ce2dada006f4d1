"""ImageStore: what is put on the index is found, counted and given back; on every engine."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from support.image_rows import instance
from support.readings import NOW
from support.store import Place, patient
from wardlight_cloud.store.image_arrivals import PutOutcome, Receipt, Source
from wardlight_cloud.store.imaging import (
    ImageQuery,
    ImageRow,
    KeyNote,
    Lacking,
    Level,
    Match,
    Withdrawal,
)
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_shared.errors import StorageError

pytestmark = pytest.mark.either_engine


async def _studies(store: PostgresStore, *matches: Match, **more: object) -> list[str]:
    query = ImageQuery(Level.STUDY, matches, **more)  # type: ignore[arg-type]
    found = await store.images(query)
    assert await store.image_count(query) == len(found)
    return [row.study_uid for row in found]


async def _only(store: PostgresStore, level: Level = Level.STUDY) -> ImageRow:
    (row,) = await store.images(ImageQuery(level))
    return row


async def test_an_instance_is_found_at_every_level(store: PostgresStore) -> None:
    new = instance(
        frames=(((10, 5), (15, 5)), ((20, 5),)), bulk={"7FE00010": (10, 15)}, InstanceNumber="7"
    )
    assert await store.put_instances([new]) == [PutOutcome.STORED]
    study = await _only(store)
    assert (study.study_uid, study.study) == ("1.2.3", new.header.study)
    assert (study.study_series, study.study_instances) == (1, 1)
    assert study.modalities == ("CT",)
    assert study.sop_classes == (new.header.sop_class,)
    assert study.patient is None
    assert study.commit_seq == await store.commit_seq()
    series = await _only(store, Level.SERIES)
    assert (series.series_uid, series.series, series.series_instances) == (
        "1.2.3.1", new.header.series, 1,
    )  # fmt: skip
    found = await _only(store, Level.INSTANCE)
    assert found.instance == new.header.instance
    assert found.ref is not None
    assert (found.ref.sha256, found.ref.size, found.ref.number) == (new.sha256, new.size, 7)
    assert await store.instance("1.2.3.1.1") == found.ref
    assert await store.instances("1.2.3") == (found.ref,)
    assert await store.instances("1.2.3", "1.2.3.1", "1.2.3.1.1") == (found.ref,)
    assert await store.headers("1.2.3") == ((found.ref, new.header.header),)
    assert await store.headers_of(["9", "1.2.3.1.1"]) == ((found.ref, new.header.header),)
    assert await store.header_sizes(["9", "1.2.3.1.1"]) == {"1.2.3.1.1": len(new.header.header)}
    assert await store.frames("1.2.3.1.1", new.sha256) == new.header.frames
    assert await store.bulk("1.2.3.1.1", new.sha256) == new.header.bulk
    # Of another file there are none: their places would be cut out of the wrong octets.
    assert await store.frames("1.2.3.1.1", bytes(32)) is None
    assert await store.bulk("1.2.3.1.1", bytes(32)) is None
    receipts = await store.receipts(["1.2.3.1.1", "9"])
    assert receipts == {"1.2.3.1.1": Receipt(new.sha256, new.size)}


async def test_what_is_not_there_is_nothing(store: PostgresStore) -> None:
    assert await store.put_instances([]) == []
    assert await store.instance("1") is None
    assert await store.instances("1") == ()
    assert await store.headers("1") == ()
    assert await store.frames("1", b"") is None
    assert await store.bulk("1", b"") is None
    assert await store.patient_of_study("1") is None
    assert not await store.note_upload(b"\1" * 32, Source("stow"))


async def test_the_same_file_again_is_known_and_counts_nothing(
    place: Place, store: PostgresStore
) -> None:
    source = Source("gateway", "gw-1", 5, 1)
    new = instance(source=source)
    assert await store.put_instances([new]) == [PutOutcome.STORED]
    seq = await store.commit_seq()
    again = [new, replace(new, source=Source("gateway", "gw-1", 5, 2))]
    assert await store.put_instances(again) == [PutOutcome.KNOWN, PutOutcome.KNOWN]
    assert await store.note_upload(new.sha256, Source("gateway", "gw-1", 5, 3))
    assert await store.note_upload(new.sha256, Source("gateway", "gw-1", 5, 3))
    assert (await _only(store)).study_instances == 1
    assert await store.commit_seq() == seq
    rows = await place.execute("SELECT item, outcome FROM image_upload ORDER BY item")
    assert [tuple(row) for row in rows] == [(1, "stored"), (2, "known"), (3, "known")]
    (blob,) = await place.execute("SELECT refs FROM blob")
    assert blob["refs"] == 1


async def test_another_file_of_the_same_uid_is_kept_beside(
    place: Place, store: PostgresStore
) -> None:
    first, other = instance(content="a"), instance(content="b")
    outcomes = await store.put_instances([first, other, other])
    assert outcomes == [PutOutcome.STORED, PutOutcome.CONFLICT, PutOutcome.KNOWN]
    assert await store.put_instances([other]) == [PutOutcome.KNOWN]
    row = await _only(store)
    assert row.study_instances == 1
    ref = await store.instance("1.2.3.1.1")
    assert ref is not None
    assert ref.sha256 == first.sha256
    assert await store.note_upload(other.sha256, Source("stow"))
    rows = await place.execute("SELECT sha256, refs FROM blob")
    assert {row["sha256"]: row["refs"] for row in rows} == {first.sha256: 1, other.sha256: 1}


async def test_counters_follow_every_batch(store: PostgresStore) -> None:
    await store.put_instances([instance("1.1"), instance("1.2"), instance("1.3", series="1.9")])
    await store.put_instances(
        [instance("1.4", series="1.9", Modality="SR"), instance("1.5", study="2.2", series="1.9")]
    )
    rows = {row.study_uid: row for row in await store.images(ImageQuery(Level.STUDY))}
    assert (rows["1.2.3"].study_series, rows["1.2.3"].study_instances) == (2, 4)
    assert rows["1.2.3"].modalities == ("CT", "SR")
    assert (rows["2.2"].study_series, rows["2.2"].study_instances) == (1, 1)


async def test_the_order_of_arrival_changes_no_answer(place: Place, store: PostgresStore) -> None:
    """What is said of a study comes from the instance that says most of it."""
    some = [
        instance("1.1", StudyDescription="x", PatientID="A", InstanceNumber="2"),
        instance("1.2", StudyDescription="longer", PatientID="A", InstanceNumber="1"),
        instance("1.3", StudyDescription="others", PatientID="A", SeriesDescription="s"),
    ]
    seen = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        await place.execute("TRUNCATE image_study, blob CASCADE")
        for place_in in order:
            await store.put_instances([some[place_in]])
        rows = await store.images(ImageQuery(Level.INSTANCE))
        seen.append([(row.study, row.series, row.instance) for row in rows])
    assert seen[0] == seen[1] == seen[2]


async def test_what_lacks_of_a_series_is_counted(store: PostgresStore) -> None:
    """Instances with a finding that is open, once each, and objects in the slow place."""
    one, other, third = (instance(f"1.2.3.1.{number}") for number in (1, 2, 3))
    far = instance("1.2.3.2.1", series="1.2.3.2")
    await store.put_instances([one, other, third, far])
    assert await store.lacking(["1.2.3"]) == {}
    await store.note_check(one.sha256, "unindexed")
    assert await store.lacking(["1.2.3"]) == {}
    await store.note_check(one.sha256, "differs")
    await store.note_check(other.sha256, "missing")
    await store.set_tier([third.sha256, far.sha256], "cold")
    assert await store.lacking(["1.2.3", "9"]) == {
        ("1.2.3", "1.2.3.1"): Lacking(is_cold=True, doubted=2),
        ("1.2.3", "1.2.3.2"): Lacking(is_cold=True, doubted=0),
    }
    await store.note_check(one.sha256, None)
    await store.note_replaced(other.sha256, "hot")
    await store.set_tier([third.sha256, far.sha256], "hot")
    assert await store.lacking(["1.2.3"]) == {}


async def test_that_an_object_is_doubted_changes_its_study(store: PostgresStore) -> None:
    """Whoever polls reads it anew; a check that finds the same as before changes nothing."""
    one, elsewhere = instance(), instance("9.1.1", study="9", series="9.1")
    await store.put_instances([one, elsewhere])
    seen = await store.commit_seq()

    async def changed() -> list[str]:
        nonlocal seen
        rows = await store.images(ImageQuery(Level.STUDY, stored_after_seq=seen))
        seen = await store.commit_seq()
        return [row.study_uid for row in rows]

    for found, expected in (
        (None, []), ("unindexed", []), (None, []), ("differs", ["1.2.3"]), ("missing", []),
        (None, ["1.2.3"]), ("unreadable", ["1.2.3"]),
    ):  # fmt: skip
        await store.note_check(one.sha256, found)  # type: ignore[arg-type]
        assert await changed() == expected, found
    await store.note_replaced(one.sha256, "hot")
    assert await changed() == ["1.2.3"]
    await store.note_replaced(one.sha256, "hot")
    assert await changed() == []


async def test_times_of_commits_and_of_gateways(place: Place, store: PostgresStore) -> None:
    """Commits before a gap, and what gateways told by their own clocks lately."""
    assert (await store.times()).newest is None
    source = Source("gateway", "gw-1", 1, 1, received_at=NOW)
    await store.put_instances([instance(source=source)])
    first = await store.times()
    assert (first.before, first.received) == (None, NOW)
    assert first.newest is not None
    await place.execute("UPDATE commit_log SET stored_at = stored_at - interval '49 hours'")
    await place.execute("UPDATE image_upload SET stored_at = stored_at - interval '49 hours'")
    stow = Source("stow", received_at=NOW)
    await store.put_instances([instance("1.2.3.1.2", source=stow)])
    later = await store.times()
    assert later.newest is not None
    assert later.newest >= first.newest
    assert (later.before, later.received) == (first.newest - timedelta(hours=49), None)


async def test_newest_studies_come_first_and_pages_do_not_overlap(store: PostgresStore) -> None:
    await store.put_instances(
        [
            instance(f"1.{n}", study=f"2.{n}", series=f"3.{n}", StudyDate=day, StudyTime=time)
            for n, (day, time) in enumerate(
                [("20240101", "08"), ("20250101", "07"), ("20250101", "09"), ("", "")]
            )
        ]
    )
    expected = ["2.2", "2.1", "2.0", "2.3"]
    assert await _studies(store) == expected
    pages = [
        row.study_uid
        for offset in (0, 2)
        for row in await store.images(ImageQuery(Level.STUDY, limit=2, offset=offset))
    ]
    assert pages == expected


NAMES = {
    "2.1": "Müller-Lüdenscheidt^Jörg^^Dr.",
    "2.2": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "2.3": "MULLER^ANNA",
    "2.4": "",
    "2.5": "100%^Sure_",
}


@pytest.mark.parametrize(
    ("how", "value", "expected"),
    [
        ("equal", "MÜLLER^anna", {"2.3"}),
        ("equal", "山田^太郎", {"2.2"}),
        ("equal", "MULLER", set()),
        ("equal", "", {"2.4"}),
        ("wildcard", "mul*", {"2.1", "2.3"}),
        ("wildcard", "M*", {"2.1", "2.3"}),
        ("wildcard", "*anna", {"2.3"}),
        ("wildcard", "*^TAR?U", {"2.2"}),
        ("wildcard", "山*", {"2.2"}),
        ("wildcard", "*", {"2.1", "2.2", "2.3", "2.4", "2.5"}),
        ("wildcard", "*%^*", {"2.5"}),
        ("wildcard", "*_*", {"2.5"}),
        ("wildcard", "?", set()),
        ("fuzzy", "jorg mul", {"2.1"}),
        ("fuzzy", "lud", {"2.1"}),
        ("fuzzy", "ann", {"2.3"}),
        ("fuzzy", "a", {"2.3"}),
        ("fuzzy", "uller", set()),
    ],
)
async def test_names_are_found_whatever_their_case_and_accents(
    store: PostgresStore, how: str, value: str, expected: set[str]
) -> None:
    await store.put_instances(
        [
            instance(f"1.{uid}", study=uid, series=f"3.{uid}", PatientName=name)
            for uid, name in NAMES.items()
        ]
    )
    assert set(await _studies(store, Match("PatientName", how, (value,)))) == expected  # type: ignore[arg-type]


async def test_pages_of_a_frequent_name_come_newest_first(store: PostgresStore) -> None:
    await store.put_instances(
        [
            instance(f"1.{n}", study=f"2.{n}", series=f"3.{n}", StudyDate=f"2025010{n}",
                     PatientName="MEYER^ANNA" if n % 2 else "OTHER")
            for n in range(1, 8)
        ]
    )  # fmt: skip
    named = (Match("PatientName", "fuzzy", ("meyer",)),)
    pages = [
        [row.study_uid for row in await store.images(query)]
        for query in (
            ImageQuery(Level.STUDY, named, limit=2),
            ImageQuery(Level.STUDY, named, limit=2, offset=2),
            ImageQuery(Level.STUDY, named, limit=2, offset=4),
        )
    ]
    assert pages == [["2.7", "2.5"], ["2.3", "2.1"], []]


async def test_keys_of_every_kind_are_matched(store: PostgresStore) -> None:
    await store.put_instances(
        [
            instance(
                "1.1", study="2.1", series="3.1", StudyDate="20250310", AccessionNumber="A_1",
                SeriesNumber="4", PatientID="P1",
            ),
            instance("1.2", study="2.1", series="3.2", StudyDate="20250310", Modality="SR"),
            instance("1.3", study="2.2", series="3.3", StudyDate="", AccessionNumber="AX1"),
        ]
    )  # fmt: skip
    one, two = ["2.1"], ["2.2"]
    assert await _studies(store, Match("StudyDate", "range", ("20250301", "20250331"))) == one
    assert await _studies(store, Match("StudyDate", "range", ("", "20250331"))) == one
    assert await _studies(store, Match("StudyDate", "range", ("20250311", ""))) == []
    assert await _studies(store, Match("AccessionNumber", "wildcard", ("A_1",))) == one
    assert await _studies(store, Match("AccessionNumber", "wildcard", ("A?1",))) == one + two
    assert await _studies(store, Match("ModalitiesInStudy", "equal", ("SR", "XA"))) == one
    assert await _studies(store, Match("ModalitiesInStudy", "wildcard", ("S*",))) == one
    assert set(await _studies(store, Match("StudyInstanceUID", "equal", ("2.1", "2.2", "9")))) == {
        "2.1", "2.2",
    }  # fmt: skip
    numbered = ImageQuery(Level.SERIES, (Match("SeriesNumber", "equal", ("04",)),))
    assert [row.series_uid for row in await store.images(numbered)] == ["3.1"]
    above = ImageQuery(Level.INSTANCE, (Match("PatientID", "equal", ("P1",)),))
    assert {row.study_uid for row in await store.images(above)} == {"2.1"}


async def test_a_key_of_a_lower_level_is_an_error(store: PostgresStore) -> None:
    with pytest.raises(ValueError, match="Modality"):
        await store.images(ImageQuery(Level.STUDY, (Match("Modality", "equal", ("CT",)),)))
    with pytest.raises(ValueError, match="Nonsense"):
        await store.images(ImageQuery(Level.INSTANCE, (Match("Nonsense", "equal", ("1",)),)))


async def test_changed_studies_are_told_in_the_order_of_commits(store: PostgresStore) -> None:
    await store.put_instances([instance("1.1", study="2.1", StudyDate="20250101")])
    await store.put_instances([instance("1.2", study="2.2", StudyDate="20240101")])
    seq = await store.commit_seq()
    await store.put_instances([instance("1.3", study="2.1", StudyDate="20250101")])
    assert await _studies(store, stored_after_seq=0) == ["2.2", "2.1"]
    assert await _studies(store, stored_after_seq=seq) == ["2.1"]


async def test_images_of_patients(store: PostgresStore) -> None:
    one, two = [await store.put_patient(patient()) for _ in range(2)]
    await store.put_instances(
        [
            instance("1.1", study="2.1", patient=one.patient_id),
            instance("1.2", study="2.2", patient=two.patient_id),
            instance("1.3", study="2.3"),
        ]
    )
    assert await _studies(store, patients=(one.patient_id,)) == ["2.1"]
    assert await _studies(store, patients=()) == []
    assert await _studies(store, patients=(uuid4(),)) == []
    assert await store.patient_of_study("2.2") == two.patient_id


async def test_an_operator_says_whose_study_it_is(place: Place, store: PostgresStore) -> None:
    one, two = [(await store.put_patient(patient())).patient_id for _ in range(2)]
    await store.put_instances([instance("1.1", PatientID="P", AccessionNumber="A")])
    (waiting,) = await store.unmatched()
    assert (waiting.study_uid, waiting.patient_id, waiting.accession) == ("1.2.3", "P", "A")
    assert (waiting.modalities, waiting.instances, waiting.reason) == (("CT",), 1, "unknown")
    seq = await store.commit_seq()
    await store.assign_study("1.2.3", one, by="operator")
    assert await store.unmatched() == ()
    assert await store.patient_of_study("1.2.3") == one
    assert await _studies(store, stored_after_seq=seq) == ["1.2.3"]
    # What was decided stands, whatever comes later, and in an index that is made again.
    await store.put_instances([instance("1.2", PatientID="P", patient=two)])
    assert await store.patient_of_study("1.2.3") == one
    await place.execute("TRUNCATE image_study, blob CASCADE")
    await store.put_instances([instance("1.2", PatientID="P", patient=two)])
    assert await store.patient_of_study("1.2.3") == one


async def test_assigning_what_is_not_there_is_an_error(store: PostgresStore) -> None:
    with pytest.raises(StorageError, match="no such study"):
        await store.assign_study("1.2.3", uuid4(), by="operator")
    await store.put_instances([instance()])
    with pytest.raises(StorageError, match="register"):
        await store.assign_study("1.2.3", uuid4(), by="operator")


async def test_a_study_with_images_of_two_patients_is_nobodys(store: PostgresStore) -> None:
    one, two = [(await store.put_patient(patient())).patient_id for _ in range(2)]
    await store.put_instances([instance("1.1", PatientID="P", patient=one)])
    await store.put_instances([instance("1.2", PatientID="Q", patient=two)])
    assert await store.patient_of_study("1.2.3") is None
    assert [each.reason for each in await store.unmatched()] == ["ambiguous"]
    await store.put_instances([instance("1.3", PatientID="P", patient=one)])
    assert await store.patient_of_study("1.2.3") is None


async def test_a_patient_who_is_found_later_gets_the_study(store: PostgresStore) -> None:
    one = (await store.put_patient(patient())).patient_id
    await store.put_instances([instance("1.1", PatientID="P")])
    await store.put_instances([instance("1.2", PatientID="P", patient=one)])
    assert await store.patient_of_study("1.2.3") == one
    assert await store.unmatched() == ()


async def test_other_ids_are_doubted_before_anybody_is_found(store: PostgresStore) -> None:
    await store.put_instances([instance("1.1", PatientID="P")])
    await store.put_instances([instance("1.3", PatientID="P")])
    assert [each.reason for each in await store.unmatched()] == ["unknown"]
    await store.put_instances([instance("1.4", PatientID="Q")])
    assert [each.reason for each in await store.unmatched()] == ["ambiguous"]


async def test_an_image_that_nobody_is_found_for_leaves_the_study_to_its_patient(
    store: PostgresStore,
) -> None:
    """The first was found by its order; the next one came without its number."""
    one = (await store.put_patient(patient())).patient_id
    await store.put_instances([instance("1.1", PatientID="P", patient=one)])
    await store.put_instances([instance("1.2", PatientID="P")])
    assert await store.patient_of_study("1.2.3") == one
    differs = instance("1.4", PatientID="P", unmatched="birth-date-differs")
    await store.put_instances([differs])
    assert await store.patient_of_study("1.2.3") is None


async def test_a_patient_with_two_ids_is_one_patient(store: PostgresStore) -> None:
    one = (await store.put_patient(patient())).patient_id
    for uid, number in (("1.1", "P"), ("1.2", "Q")):
        await store.put_instances([instance(uid, PatientID=number, patient=one)])
    assert await store.patient_of_study("1.2.3") == one


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"PatientID": "P"}, {"PatientID": ""}),
        ({"PatientID": "P", "issuer": "A"}, {"PatientID": "P", "issuer": "B"}),
        ({"PatientID": "P", "issuer": "A"}, {"PatientID": "P"}),
        ({"PatientID": "P"}, {"PatientID": "Q"}),
    ],
)
async def test_two_identities_are_never_one_person_by_themselves(
    native_place: Place, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """In either order, found or not: somebody has to look."""
    store = await native_place.open()
    one = (await store.put_patient(patient())).patient_id
    for patient_id in (one, None):
        for said in ((first, second), (second, first)):
            for number, each in enumerate(said):
                whose = patient_id if each is first else None
                await store.put_instances([instance(f"1.{number}", patient=whose, **each)])
            assert await store.patient_of_study("1.2.3") is None
            assert [each.reason for each in await store.unmatched()] == ["ambiguous"]
            await native_place.execute("TRUNCATE image_study, blob CASCADE")


@pytest.mark.parametrize("is_found", [True, False])
@pytest.mark.parametrize(
    ("births", "reason"),
    [
        (("", "19500102", ""), "unknown"),
        (("19500102", "19900101"), "ambiguous"),
        (("19900101", "", "19500102"), "ambiguous"),
        (("", "19900101", "19500102"), "ambiguous"),
    ],
)
async def test_two_birth_dates_under_one_number_are_two_people(
    store: PostgresStore, births: tuple[str, ...], reason: str, is_found: bool
) -> None:
    """In any order; of the one who was born in 1990 nothing is known."""
    one = (await store.put_patient(patient(birth_date=date(1950, 1, 2)))).patient_id
    for number, born in enumerate(births):
        new = instance(f"1.{number}", PatientBirthDate=born)
        if is_found and born != "19900101":
            new = replace(new, patient=one, registered="19500102")
        await store.put_instances([new])
    is_theirs = is_found and reason == "unknown"
    assert (await store.patient_of_study("1.2.3") == one) is is_theirs
    assert [each.reason for each in await store.unmatched()] == ([] if is_theirs else [reason])


@pytest.mark.parametrize("is_named_first", [True, False])
async def test_the_birth_date_that_only_the_register_has_counts(
    store: PostgresStore, is_named_first: bool
) -> None:
    one = (await store.put_patient(patient(birth_date=date(1950, 1, 2)))).patient_id
    theirs = replace(instance("1.1"), patient=one, registered="19500102")
    other = instance("1.2", PatientBirthDate="19900101")
    for each in (theirs, other) if is_named_first else (other, theirs):
        await store.put_instances([each])
    assert await store.patient_of_study("1.2.3") is None
    assert [each.reason for each in await store.unmatched()] == ["ambiguous"]


async def test_what_was_decided_holds_for_the_birth_dates_that_were_there(
    store: PostgresStore,
) -> None:
    one = (await store.put_patient(patient(birth_date=date(1950, 1, 2)))).patient_id
    for number, (born, is_theirs) in enumerate(
        (("", True), ("19500102", True), ("19700101", True), ("19900101", False))
    ):
        study = f"9.{number}"
        await store.put_instances(
            [instance(f"{study}.{n}", study=study, PatientBirthDate=b)
             for n, b in enumerate(("", "19700101"))]
        )  # fmt: skip
        await store.assign_study(study, one, by="operator")
        await store.put_instances([instance(f"{study}.2", study=study, PatientBirthDate=born)])
        assert (await store.patient_of_study(study) == one) is is_theirs, born
    await store.put_instances([instance("8.1", study="8")])
    await store.assign_study("8", one, by="operator")
    await store.put_instances([instance("8.2", study="8", PatientBirthDate="19900101")])
    assert await store.patient_of_study("8") is None, "born on another day than the register has"


async def test_a_decision_from_before_birth_dates_holds(place: Place, store: PostgresStore) -> None:
    one = (await store.put_patient(patient(birth_date=date(1950, 1, 2)))).patient_id
    await store.put_instances([instance("1.1", PatientID="P")])
    await store.assign_study("1.2.3", one, by="operator")
    old = "array(SELECT rtrim(i, chr(92)) FROM unnest(identities) AS i)"
    for table in ("image_assignment", "image_study"):
        await place.execute(f"UPDATE {table} SET identities = {old}")
    await store.put_instances([instance("1.2", PatientID="P", PatientBirthDate="19900101")])
    assert await store.patient_of_study("1.2.3") == one


async def test_what_was_decided_holds_for_the_identities_that_were_there(
    place: Place, store: PostgresStore
) -> None:
    one = (await store.put_patient(patient())).patient_id
    some = [instance(f"1.{n}", PatientID=text) for n, text in enumerate(("P", "Q", "P"))]
    await store.put_instances(some[:2])
    await store.assign_study("1.2.3", one, by="operator")
    await store.put_instances(some[2:])
    assert await store.patient_of_study("1.2.3") == one
    third = instance("1.9", PatientID="R")
    await store.put_instances([third])
    assert await store.patient_of_study("1.2.3") is None
    assert [each.reason for each in await store.unmatched()] == ["ambiguous"]
    # So does an index that is made again, in another order, until it is decided anew.
    await place.execute("TRUNCATE image_study, blob CASCADE")
    for each in (third, *some):
        await store.put_instances([each])
    assert await store.patient_of_study("1.2.3") is None
    await store.assign_study("1.2.3", one, by="operator")
    await store.put_instances([instance("1.10", PatientID="R")])
    assert await store.patient_of_study("1.2.3") == one


async def test_writers_at_once_agree_on_every_instance(native_place: Place) -> None:
    """The same UIDs by several writers, in the same and in other studies, in any order."""
    stores = [await native_place.open() for _ in range(3)]
    batches = [
        [
            instance(f"9.{n}", study=f"2.{(n + turn) % 3}", series=f"3.{(n + turn) % 3}")
            for n in order
        ]
        for turn in range(3)
        for order in (range(12), reversed(range(12)))
    ]
    async with asyncio.timeout(180):
        outcomes = await asyncio.gather(
            *(stores[place % 3].put_instances(batch) for place, batch in enumerate(batches))
        )
    stored = [outcome for batch in outcomes for outcome in batch if outcome is PutOutcome.STORED]
    assert len(stored) == 12
    rows = await stores[0].images(ImageQuery(Level.INSTANCE))
    counts = Counter(row.study_uid for row in rows)
    assert sum(counts.values()) == 12
    assert all(row.study_instances == counts[row.study_uid] for row in rows)
    refs = await native_place.execute("SELECT sum(refs) AS refs FROM blob")
    versions = await native_place.execute("SELECT count(*) AS count FROM image_version")
    assert refs[0]["refs"] == 12 + versions[0]["count"]
    empty = await native_place.execute(
        "SELECT FROM image_study s WHERE NOT EXISTS "
        "(SELECT FROM image_series e WHERE e.study_pk = s.study_pk)"
    )
    assert empty == []


async def test_versions_name_every_file_of_a_uid(store: PostgresStore) -> None:
    source = Source("gateway", "gw-1", 1, 2, "CT1", "WARDLIGHT", "192.0.2.1")
    first, other = instance(content="a"), instance(content="b", source=source)
    await store.put_instances([first, other, instance("1.9")])
    shown, beside = await store.versions()
    assert (shown.sha256, shown.is_shown) == (first.sha256, True)
    assert (beside.sha256, beside.is_shown, beside.source) == (other.sha256, False, source)
    assert await store.versions("1.2.3.1.1") == (shown, beside)
    assert await store.versions("1.9") == ()


async def test_notes_stay_as_they_were_written(store: PostgresStore) -> None:
    """The same id again changes nothing: a note is withdrawn, not rewritten."""
    one = (await store.put_patient(patient())).patient_id
    await store.put_instances([instance("1.1", patient=one)])
    note = KeyNote(uuid4(), "1.2.3", "1.1", 1, "here", "doctor", NOW, {"line": [1, 2.5]})
    later = replace(note, note_id=uuid4(), written_at=NOW + timedelta(hours=1))
    for each in (note, later, replace(note, text="there")):
        await store.put_note(each)
    assert await store.notes(study_uid="1.2.3") == (later, note)
    assert await store.notes(patient=one) == (later, note)
    assert await store.notes(count=1) == (later,)
    assert await store.notes(patient=uuid4()) == ()


async def test_a_note_is_withdrawn_once_and_replaced_by_another(store: PostgresStore) -> None:
    """Who and when stay those of the first; a note of another study is neither."""
    await store.put_instances([instance("1.1")])
    note = KeyNote(uuid4(), "1.2.3", "1.1", 1, "left", "doctor", NOW)
    await store.put_note(note)
    first = Withdrawal(NOW + timedelta(minutes=1), "nurse")
    assert not await store.withdraw_note(note.note_id, "9.9", first)
    assert not await store.withdraw_note(uuid4(), "1.2.3", first)
    assert await store.notes() == (note,)
    assert await store.withdraw_note(note.note_id, "1.2.3", first)
    assert await store.withdraw_note(note.note_id, "1.2.3", Withdrawal(NOW, "somebody"))
    assert await store.notes() == (replace(note, withdrawn=first),)

    wrong = KeyNote(uuid4(), "1.2.3", "1.1", 1, "right", "doctor", NOW + timedelta(minutes=2))
    better = replace(
        wrong, note_id=uuid4(), replaces=wrong.note_id, written_at=NOW + timedelta(minutes=3)
    )
    await store.put_note(wrong)
    with pytest.raises(StorageError, match="no such note"):
        await store.put_note(replace(better, replaces=uuid4()))
    await store.put_note(better)
    by_author = Withdrawal(better.written_at, "doctor")
    assert (await store.notes())[:2] == (better, replace(wrong, withdrawn=by_author))
