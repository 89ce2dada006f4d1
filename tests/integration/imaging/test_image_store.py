"""From a file to the index and back: intake, matching, versions, rebuilding, keeping, checking."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from support.dicom_files import FOLDER, ct_file, sha256
from support.store import Place, patient
from wardlight_cloud.config import ImagesSettings, KeepSettings
from wardlight_cloud.imaging.blob_intake import BlobIntake
from wardlight_cloud.imaging.custody import Custody, Held, committed
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.folder import FoundFile
from wardlight_cloud.imaging.header import read_header
from wardlight_cloud.imaging.importing import Importer
from wardlight_cloud.imaging.intake import ImageIntake
from wardlight_cloud.imaging.matching import Issuers
from wardlight_cloud.imaging.orders import OrderedStep, data_set_of, new_entry
from wardlight_cloud.imaging.pool import HeaderPool
from wardlight_cloud.imaging.rebuild import rebuild
from wardlight_cloud.imaging.rematch import Rematch
from wardlight_cloud.imaging.retention import Retention
from wardlight_cloud.imaging.scrub import Scrub
from wardlight_cloud.imaging.tiers import Cooling
from wardlight_cloud.imaging.versions import show_version
from wardlight_cloud.store.blobs_aside import AsideBlob
from wardlight_cloud.store.image_arrivals import PutOutcome, Source
from wardlight_cloud.store.imaging import ImageQuery, Lacking, Level, Match
from wardlight_cloud.store.object_base import ObjectMissingError
from wardlight_cloud.store.object_folder import FolderObjects
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.tiered_objects import TieredObjects
from wardlight_shared import blobs
from wardlight_shared.blobs import BlobKind, BlobStatus, Offer
from wardlight_shared.errors import StorageError

CT = "1.2.840.10008.5.1.4.1.1.2"
SITE = Issuers("http://x", gateways={"gw-far": "http://y"})
LATER = datetime(2100, 1, 1, tzinfo=UTC)
FILES = (
    "CT_small.dcm", "MR_small.dcm", "examples_ybr_color.dcm", "waveform_ecg.dcm", "test-SR.dcm",
    "JPEG2000.dcm", "SC_rgb_rle_2frame.dcm", "rtdose.dcm", "image_dfl.dcm",
    "ExplVR_BigEnd.dcm",
)  # fmt: skip


@dataclass
class Archive:
    """An object store, an index and what stands between them."""

    store: PostgresStore
    objects: FolderObjects
    headers: HeaderPool
    intake: ImageIntake

    async def take(self, octets: bytes, source: Source = Source("stow")) -> PutOutcome:  # noqa: B008 - frozen
        await self.objects.put(sha256(octets), octets)
        return (await self.intake.take(sha256(octets), len(octets), source)).outcome

    async def answers(self) -> list[object]:
        """All that searches and retrieval of metadata answer."""
        found: list[object] = []
        for level in Level:
            for row in await self.store.images(ImageQuery(level, limit=1000)):
                ref = row.ref and replace(row.ref, stored_at=LATER)
                found.append(replace(row, ref=ref, updated_at=LATER, commit_seq=0))
                if level is Level.STUDY:
                    headers = await self.store.headers(row.study_uid)
                    found += [octets for _, octets in headers]
        return found


@pytest.fixture
async def archive(native_place: Place, tmp_path: Path) -> AsyncIterator[Archive]:
    store = await native_place.open()
    objects = await FolderObjects(tmp_path / "objects").open()
    async with HeaderPool(ImagesSettings(processes=1, header_timeout_s=60)) as headers:
        intake = ImageIntake(store, objects, headers, issuers=SITE)
        yield Archive(store, objects, headers, intake)


async def _put_all(archive: Archive) -> None:
    files = [(FOLDER / name).read_bytes() for name in FILES]
    some = [ct_file(f"1.9.{number}", InstanceNumber=number) for number in range(6)]
    outcomes = await asyncio.gather(*(archive.take(octets) for octets in files + some))
    assert set(outcomes) == {PutOutcome.STORED}


async def test_an_index_made_again_gives_the_same_octets(archive: Archive) -> None:
    await _put_all(archive)
    one, other = ct_file(Rows=8), ct_file(StudyDescription="the other")
    assert await archive.take(one) is PutOutcome.STORED
    assert await archive.take(other) is PutOutcome.CONFLICT
    before = await archive.answers()
    made = await rebuild(
        archive.store, archive.objects, archive.headers, issuers=SITE, everything=True
    )
    assert (made.objects, made.stored, made.versions) == (len(FILES) + 8, len(FILES) + 7, 1)
    assert await archive.answers() == before
    # Nothing is missing now, so the next run does nothing.
    made = await rebuild(archive.store, archive.objects, archive.headers, issuers=SITE)
    assert (made.known, made.stored) == (len(FILES) + 8, 0)
    assert await archive.answers() == before


async def test_what_is_no_instance_is_refused_and_told(archive: Archive) -> None:
    with pytest.raises(HeaderError) as caught:
        await archive.take(b"no file")
    assert caught.value.reason == "preamble"
    with pytest.raises(ObjectMissingError):
        await archive.intake.take(sha256(b"not there"), 9, Source("stow"))
    made = await rebuild(archive.store, archive.objects, archive.headers, issuers=SITE)
    assert made.refused == {"preamble": 1}


async def test_a_whole_file_is_shown_in_place_of_one_that_is_cut_off(archive: Archive) -> None:
    """As a version that looked at no lengths may have stored it; made again it stays the shown."""
    whole = ct_file(PatientComments="seen" * 50)
    cut, header = whole[:-20], read_header(io.BytesIO(whole))
    await archive.objects.put(sha256(cut), cut)
    await archive.intake.take(sha256(cut), len(cut), Source("stow"), header=header)
    assert await archive.take(whole) is PutOutcome.STORED
    for _ in range(2):
        ref = await archive.store.instance(header.sop_uid)
        assert ref is not None
        assert ref.sha256 == sha256(whole)
        await rebuild(archive.store, archive.objects, archive.headers, issuers=SITE)
    other = ct_file(PatientComments="other")
    assert await archive.take(other) is PutOutcome.CONFLICT
    made = await rebuild(
        archive.store, archive.objects, archive.headers, issuers=SITE, everything=True
    )
    assert made.refused == {"cut": 1}


async def test_a_file_known_by_its_hash_needs_no_header(archive: Archive) -> None:
    octets = ct_file()
    assert not await archive.intake.known(sha256(octets), Source("gateway", "gw-1", 1, 1))
    await archive.take(octets)
    assert await archive.intake.known(sha256(octets), Source("gateway", "gw-1", 1, 1))


async def test_an_operator_chooses_the_version_that_is_shown(archive: Archive) -> None:
    first = ct_file(StudyDescription="one", SeriesNumber=1)
    second = ct_file(study="7.7", series="7.8", StudyDescription="two", PatientID="P2")
    third = ct_file("1.2.3.1.2", InstanceNumber=2)
    for octets in (first, second, third):
        await archive.take(octets)
    await show_version(
        archive.store, archive.intake, "1.2.3.1.1", sha256(second), by="op", reason="right patient"
    )
    ref = await archive.store.instance("1.2.3.1.1")
    assert ref is not None
    assert (ref.sha256, ref.study_uid) == (sha256(second), "7.7")
    rows = await archive.store.images(ImageQuery(Level.STUDY))
    counts = {row.study_uid: (row.study_series, row.study_instances) for row in rows}
    assert counts == {"1.2.3": (1, 1), "7.7": (1, 1)}
    assert [each.is_shown for each in await archive.store.versions()] == [False, True]
    # The choice holds for an index that is made again, and can be taken back.
    before = await archive.answers()
    await rebuild(archive.store, archive.objects, archive.headers, issuers=SITE, everything=True)
    assert await archive.answers() == before
    await show_version(archive.store, archive.intake, "1.2.3.1.1", sha256(first), by="op")
    rows = await archive.store.images(ImageQuery(Level.STUDY))
    assert {row.study_uid: row.study_instances for row in rows} == {"1.2.3": 2}


async def test_a_file_that_is_hidden_by_one_of_another_study_is_told(
    archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    """A device that gives out a UID again: the second patient's image is in no study."""
    await archive.take(ct_file())
    assert await archive.take(ct_file(StudyDescription="same study")) is PutOutcome.CONFLICT
    assert "of another study" not in caplog.text
    other = ct_file(study="7.7", series="7.8", PatientID="P2")
    assert await archive.take(other) is PutOutcome.CONFLICT
    assert "of another study" in caplog.text
    found = [(each.study_uid, each.is_shown, each.is_elsewhere)
             for each in await archive.store.versions()]  # fmt: skip
    assert found == [("1.2.3", True, False), ("1.2.3", False, False), ("7.7", False, True)]


async def test_the_version_that_is_chosen_says_whose_the_study_is(archive: Archive) -> None:
    store = archive.store
    one, two = [
        (await store.put_patient(patient(identifiers=(("http://x", number),)))).patient_id
        for number in ("P1", "P2")
    ]
    first, second = ct_file(), ct_file(PatientID="P2", AccessionNumber="A-9")
    third = ct_file("1.2.3.1.2", InstanceNumber=2, PatientID="P2")
    await archive.take(first)
    await archive.take(second)
    assert await store.patient_of_study("1.2.3") == one
    await show_version(store, archive.intake, "1.2.3.1.1", sha256(second), by="op")
    assert await store.patient_of_study("1.2.3") == two
    matches = (Match("PatientID", "equal", ("P2",)), Match("AccessionNumber", "equal", ("A-9",)))
    (row,) = await store.images(ImageQuery(Level.STUDY, matches))
    assert (row.patient, row.study_instances) == (two, 1)
    await archive.take(third)
    assert await store.patient_of_study("1.2.3") == two
    before = await archive.answers()
    await rebuild(store, archive.objects, archive.headers, issuers=SITE, everything=True)
    assert await archive.answers() == before
    # With the first one shown again there are images of two people, which is nobody's study.
    await show_version(store, archive.intake, "1.2.3.1.1", sha256(first), by="op")
    assert await store.patient_of_study("1.2.3") is None
    assert [each.reason for each in await store.unmatched()] == ["ambiguous"]


async def test_waiting_studies_are_all_looked_at_page_by_page(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One page of those whom nobody can be found for does not hide the others."""
    monkeypatch.setattr("wardlight_cloud.imaging.rematch._STUDIES_A_TURN", 2)
    store = archive.store
    for n, issuer in enumerate(("9.9", "9.9", "9.9", "")):
        octets = ct_file(f"{n}.1", study=f"{n}.2", series=f"{n}.3", IssuerOfPatientID=issuer)
        await archive.take(octets)
    one = await store.put_patient(patient(identifiers=(("http://x", "P1"),)))
    rematch = Rematch(store, SITE)
    assert await rematch.turn()
    assert len(await store.unmatched()) == 4
    while await rematch.turn():
        pass
    assert await store.patient_of_study("3.2") == one.patient_id


async def _matched(
    archive: Archive,
    source: Source = Source("stow"),  # noqa: B008 - frozen
    **more: str,
) -> object:
    uid = f"1.2.{abs(hash(tuple(more.items()))) % 10**9}"
    await archive.take(ct_file(f"{uid}.1.1", study=uid, series=f"{uid}.1", **more), source)
    patient_id = await archive.store.patient_of_study(uid)
    waiting = {each.study_uid: each.reason for each in await archive.store.unmatched()}
    return patient_id or waiting[uid]


async def test_images_find_their_patients_by_issuer_and_id(archive: Archive) -> None:
    store = archive.store
    one = await store.put_patient(
        patient(
            identifiers=(("urn:oid:1.2.3", "A1"), ("http://x", "B")), birth_date=date(1950, 5, 6)
        )
    )
    two = await store.put_patient(patient(identifiers=(("http://y", "B"),)))
    oid: dict[str, Any] = {"PatientID": "A1", "IssuerOfPatientID": "1.2.3"}
    assert await _matched(archive, **oid) == one.patient_id
    assert await _matched(archive, PatientID="A1") == "unknown", "of another issuer"
    assert await _matched(archive, PatientID="A1", IssuerOfPatientID="9.9") == "unknown"
    assert await _matched(archive, PatientID="B") == one.patient_id
    far = Source("gateway", "gw-far", 1, 1)
    assert await _matched(archive, far, PatientID="B", StudyID="far") == two.patient_id
    assert await _matched(archive, PatientID="Z") == "unknown"
    assert await _matched(archive, PatientID="") == "unknown"
    assert await _matched(archive, **oid, PatientBirthDate="19500506") == one.patient_id
    assert await _matched(archive, **oid, PatientBirthDate="19500507") == "birth-date-differs"
    before = await archive.answers()
    await rebuild(store, archive.objects, archive.headers, issuers=SITE, everything=True)
    assert await archive.answers() == before, "whose they are, by the site they came from"


async def test_a_patient_who_is_registered_later_gets_the_images(archive: Archive) -> None:
    await archive.take(ct_file(PatientID="L1"))
    rematch = Rematch(archive.store, SITE)
    assert not await rematch.turn()
    one = await archive.store.put_patient(patient(identifiers=(("http://x", "L1"),)))
    await rematch.turn()
    assert await archive.store.patient_of_study("1.2.3") == one.patient_id
    assert await archive.store.unmatched() == ()


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_waiting_study_that_one_of_its_images_contradicts_is_nobodys(
    archive: Archive, is_first: bool
) -> None:
    """What is said of a study is one image's, which may be the one that says less of whose."""
    most = ct_file("1.1", PatientID="L1", StudyDescription="x" * 60, PatientBirthDate="")
    other = ct_file("1.2", InstanceNumber=2, PatientID="L1", PatientBirthDate="19900101")
    for octets in (most, other) if is_first else (other, most):
        await archive.take(octets)
    await archive.store.put_patient(
        patient(identifiers=(("http://x", "L1"),), birth_date=date(1950, 1, 2))
    )
    await Rematch(archive.store, SITE).turn()
    assert await archive.store.patient_of_study("1.2.3") is None
    assert [each.reason for each in await archive.store.unmatched()] == ["ambiguous"]
    assert not await archive.store.matchable_studies(after=0, count=9), "it is not asked again"


async def test_numbers_of_an_import_are_of_whom_it_says(archive: Archive) -> None:
    """The site's own issuer is not assumed; what was said holds for an index made again."""
    store = archive.store
    one = await store.put_patient(patient(identifiers=(("http://x", "M1"),)))
    foreign, own = (Source("import", assumed_issuer=each) for each in ("", "http://x"))
    assert await _matched(archive, Source("stow"), PatientID="M1") == one.patient_id
    assert await _matched(archive, foreign, PatientID="M1", StudyID="2") == "unknown"
    assert await _matched(archive, own, PatientID="M1", StudyID="3") == one.patient_id
    other = Source("import", assumed_issuer="http://y")
    assert await _matched(archive, other, PatientID="M1", StudyID="4") == "unknown"
    said = {each.given_by: each.why for each in await store.unmatched()}
    assert said == {"": "no-issuer", "http://y": "unknown"}
    await Rematch(store, SITE).turn()
    assert len(await store.unmatched()) == 2
    before = await archive.answers()
    await rebuild(store, archive.objects, archive.headers, issuers=SITE, everything=True)
    assert await archive.answers() == before
    assert len(await store.unmatched()) == 2


async def test_what_an_import_says_of_numbers_holds_when_another_file_is_shown(
    archive: Archive,
) -> None:
    store = archive.store
    await store.put_patient(patient(identifiers=(("http://x", "M1"),)))
    source = Source("import", assumed_issuer="")
    first, second = (ct_file(PatientID="M1", StudyID=each) for each in "12")
    beside = ct_file("1.2.3.1.2", InstanceNumber=2, PatientID="M1")
    for octets in (first, second, beside):
        await archive.take(octets, source)
    for octets in (second, first):
        await show_version(store, archive.intake, "1.2.3.1.1", sha256(octets), by="op")
        assert await store.patient_of_study("1.2.3") is None
    versions = await store.versions()
    assert {each.source.assumed_issuer for each in versions} == {""}


async def test_another_name_under_a_number_waits_for_an_operator(archive: Archive) -> None:
    """As of a number that another hospital gave out too; in whatever order both come."""
    store = archive.store
    one = await store.put_patient(
        patient(identifiers=(("http://x", "N1"),), family="Doe", given="Jane")
    )
    said: dict[str, Any] = {"PatientID": "N1", "PatientBirthDate": ""}
    assert await _matched(archive, **said, PatientName="DOE^JANE") == one.patient_id
    assert await _matched(archive, **said, PatientName="SMITH^JOHN") == "name-differs"
    three = patient(
        identifiers=(("http://x", "N3"),), family="Doe", given="Jane", gender="female",
        birth_date=date(1950, 1, 2),
    )  # fmt: skip
    three = await store.put_patient(three)
    said = {"PatientID": "N3", "PatientBirthDate": "19500102", "PatientName": "SMITH^JO"}
    assert await _matched(archive, **said, PatientSex="M") == "name-differs"
    assert await _matched(archive, **said, PatientSex="F") == three.patient_id
    said = {"PatientID": "N2", "PatientBirthDate": ""}
    for number, name in enumerate(("DOE^JANE", "SMITH^J", "DOE^JANE"), 1):
        more = {"StudyDescription": "x" * 60} if number == 1 else {}
        await archive.take(
            ct_file(f"1.{number}", InstanceNumber=number, PatientName=name, **said, **more)
        )
    await store.put_patient(patient(identifiers=(("http://x", "N2"),), family="Doe", given="Jane"))
    await Rematch(store, SITE).turn()
    assert await store.patient_of_study("1.2.3") is None
    assert {each.study_uid: each.reason for each in await store.unmatched()}["1.2.3"] == "ambiguous"


async def test_a_study_that_says_more_by_now_is_given_to_nobody(archive: Archive) -> None:
    store = archive.store
    await archive.take(ct_file("1.1", PatientID="L1", PatientBirthDate=""))
    one = await store.put_patient(
        patient(identifiers=(("http://x", "L1"),), birth_date=date(1950, 1, 2))
    )
    (seen,) = await store.matchable_studies(after=0, count=9)
    other = replace(seen, identities=(*seen.identities, "http://x\\L1\\19900101"))
    assert not await store.match_study(other, one.patient_id)
    assert await store.match_study(seen, one.patient_id)


async def test_a_patient_who_comes_between_two_images_gets_none_of_another(
    archive: Archive,
) -> None:
    """The image that is found to be theirs says no birth date; the register does."""
    store = archive.store
    await archive.take(ct_file("1.1", PatientID="L1", PatientBirthDate="19900101"))
    await store.put_patient(patient(identifiers=(("http://x", "L1"),), birth_date=date(1950, 1, 2)))
    await archive.take(ct_file("1.2", InstanceNumber=2, PatientID="L1", PatientBirthDate=""))
    assert await store.patient_of_study("1.2.3") is None
    assert [each.reason for each in await store.unmatched()] == ["ambiguous"]


async def test_an_order_that_comes_after_its_image_says_whose_it_is(archive: Archive) -> None:
    """By the list of the gateway that brought the image; no other one's, and no register's id."""
    store, nobody = archive.store, Issuers()
    archive.intake._issuers = nobody
    person = (
        await store.put_patient(
            patient(identifiers=(("http://x", "another"),), birth_date=date(1950, 5, 6))
        )
    ).patient_id
    for gateway in ("gw-one", "gw-two"):
        await store.put_gateway(gateway)
    told: dict[str, Any] = {"AccessionNumber": "A-7", "PatientBirthDate": "19700101"}
    other = ct_file("5.9.1", study="5.9", series="5.9.2", **told)
    await archive.take(other, Source("gateway", "gw-one", 1, 9))
    for number, gateway in enumerate(("gw-one", "gw-two", "")):
        source = Source("gateway", gateway, 1, number) if gateway else Source("stow")
        uid = f"5.{number}"
        file = ct_file(f"{uid}.1", study=uid, series=f"{uid}.2", AccessionNumber="A-7")
        await archive.take(file, source)
    rematch = Rematch(store, nobody)
    await rematch.turn()
    assert [each.why for each in await store.unmatched()] == ["no-issuer"] * 4
    ordered = OrderedStep("A-7", "One^P", "P1", "CT", "CT1", "20260131 101500", step_id="1")
    await store.put_entries([new_entry(data_set_of(ordered), ["gw-one"], patient=person)])
    await rematch.turn()
    assert await store.patient_of_study("5.0") == person
    assert {each.study_uid for each in await store.unmatched()} == {"5.1", "5.2", "5.9"}
    # One who was born on another day is somebody else, also where the image comes later.
    late = ct_file("5.8.1", study="5.8", series="5.8.2", **told)
    await archive.take(late, Source("gateway", "gw-one", 1, 8))
    waiting = {each.study_uid: each.reason for each in await store.unmatched()}
    assert waiting["5.8"] == "birth-date-differs"


def _retention(archive: Archive, *rules: KeepSettings) -> Retention:
    return Retention(archive.store, archive.objects, rules, now=_later)


async def _later() -> datetime:
    return LATER


async def test_rules_remove_and_holds_stand_above_them(
    native_place: Place, archive: Archive
) -> None:
    held, old, report = (ct_file(f"{n}.1", study=f"{n}.2", series=f"{n}.3") for n in (1, 2, 3))
    report = ct_file("3.1", study="3.2", series="3.3", Modality="SR")
    nameless = ct_file("4.1", study="4.2", series="4.3", Modality="")
    for octets in (held, old, report, nameless):
        await archive.take(octets)
    await archive.take(ct_file("2.1", study="2.2", series="2.3", StudyID="another version"))
    await archive.store.hold_study("1.2", reason="court", by="op")
    retention = _retention(archive, KeepSettings(days=365, modalities=("CT", "MR")))
    (rule,) = await retention.rules()
    assert await archive.store.due_studies(rule, count=9) == ("2.2",), "what is held never is"
    assert not await retention.turn()
    rows = await archive.store.images(ImageQuery(Level.STUDY))
    assert {row.study_uid for row in rows} == {"1.2", "3.2", "4.2"}
    assert await archive.objects.size(sha256(old)) is None
    assert await archive.objects.size(sha256(held)) is not None
    assert len([each async for each in archive.objects.hashes()]) == 3
    graves = await native_place.execute("SELECT sop_uid, rule FROM image_tombstone")
    assert [tuple(row) for row in graves] == [("2.1", "365 days CT+MR")] * 2
    assert await archive.store.release_study("1.2", by="op")
    assert not await archive.store.release_study("1.2", by="op")
    await retention.turn()
    assert await archive.objects.size(sha256(held)) is None
    (ended,) = await archive.store.holds("1.2")
    assert (ended.reason, ended.released_by) == ("court", "op")
    # What was removed may come again.
    assert await archive.take(old) is PutOutcome.STORED


async def test_a_hold_keeps_the_files_of_its_study_wherever_they_are_shown(
    archive: Archive,
) -> None:
    """Two studies dispute an instance: what is held must not go with the other one."""
    first, third = ct_file(), ct_file("9.9", study="7.7", series="7.8")
    second = ct_file(study="7.7", series="7.8", StudyDescription="two")
    for octets in (first, second):
        await archive.take(octets)
    with pytest.raises(StorageError, match="no such study"):
        await archive.store.hold_study("7.8", reason="court", by="op")
    await archive.store.hold_study("7.7", reason="court", by="op")
    await archive.take(third)
    retention = _retention(archive, KeepSettings(days=1))
    await retention.turn()
    for octets in (first, second, third):
        assert await archive.objects.size(sha256(octets)) is not None
    await archive.store.release_study("7.7", by="op")
    await retention.turn()
    assert [each async for each in archive.objects.hashes()] == []


async def test_a_hold_waits_for_a_removal_and_says_that_it_is_too_late(
    native_place: Place, archive: Archive
) -> None:
    await archive.take(ct_file())
    other = await asyncpg.connect(native_place.dsn)
    async with asyncio.timeout(180):
        removal = other.transaction()
        await removal.start()
        await other.execute("DELETE FROM image_study WHERE study_uid = '1.2.3'")
        hold = asyncio.create_task(archive.store.hold_study("1.2.3", reason="court", by="op"))
        done, _ = await asyncio.wait({hold}, timeout=0.5)
        assert not done, "it says nothing before the removal has ended"
        await removal.commit()
        with pytest.raises(StorageError, match="no such study"):
            await hold
    await other.close()
    assert await archive.store.holds("1.2.3") == ()


async def test_a_removal_waits_for_a_hold_that_is_being_placed(
    native_place: Place, archive: Archive
) -> None:
    await archive.take(ct_file())
    (rule,) = await _retention(archive, KeepSettings(days=1)).rules()
    other = await asyncpg.connect(native_place.dsn)
    async with asyncio.timeout(180):
        hold = other.transaction()
        await hold.start()
        await other.execute("SELECT FROM image_study WHERE study_uid = '1.2.3' FOR UPDATE")
        removal = asyncio.create_task(archive.store.remove_study("1.2.3", rule))
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while not (await native_place.execute(waits))[0][0]:
            assert not removal.done()
            await asyncio.sleep(0.01)
        await other.execute(
            "INSERT INTO image_hold (study_uid, reason, placed_by) VALUES ('1.2.3', 'court', 'op')"
        )
        await hold.commit()
        assert await removal == 0
    await other.close()
    assert await archive.store.instance("1.2.3.1.1") is not None


async def test_what_a_rule_removed_stays_away_when_the_index_is_made_again(
    archive: Archive,
) -> None:
    octets, kept = ct_file(), ct_file("5.1", study="5", series="5.5", Modality="MR")
    await archive.take(octets)
    await archive.take(kept)
    (rule,) = await _retention(archive, KeepSettings(days=1, modalities=("CT",))).rules()
    assert await archive.store.remove_study("1.2.3", rule) == 1
    assert await archive.objects.size(sha256(octets)) is not None, "its object is still there"
    for everything in (False, True):
        made = await rebuild(
            archive.store, archive.objects, archive.headers, issuers=SITE, everything=everything
        )
        assert (made.stored, made.buried) == (int(everything), int(everything))
        rows = await archive.store.images(ImageQuery(Level.STUDY))
        assert [row.study_uid for row in rows] == ["5"]
    await _retention(archive).turn()
    assert await archive.objects.size(sha256(octets)) is None
    # It may be brought again, and then it stays.
    await archive.take(octets)
    await rebuild(archive.store, archive.objects, archive.headers, issuers=SITE, everything=True)
    assert len(await archive.store.images(ImageQuery(Level.STUDY))) == 2


async def test_nothing_goes_before_its_time(archive: Archive) -> None:
    await archive.take(ct_file())
    rules = KeepSettings(days=1), KeepSettings(days=1, unmatched=True)
    await Retention(archive.store, archive.objects, rules).turn()

    async def moved() -> None:
        """The clock was moved, and none is believed."""

    stopped = Retention(archive.store, archive.objects, [KeepSettings(days=1)], now=moved)
    assert await stopped.rules() == ()
    await stopped.turn()
    times = await archive.store.times()
    assert times.newest is not None
    assert times.newest - times.now < timedelta(minutes=1)
    assert (times.before, times.received) == (None, None)
    assert len(await archive.store.images(ImageQuery(Level.STUDY))) == 1


async def test_an_object_that_went_away_meanwhile_is_not_put_on_the_index(
    archive: Archive,
) -> None:
    """A rule removes the object after it was found there and before the index has it."""
    octets = ct_file()
    header = await archive.headers.read(FOLDER / "CT_small.dcm")
    with pytest.raises(ObjectMissingError):
        await archive.intake.take(sha256(octets), len(octets), Source("stow"), header=header)
    assert await archive.store.images(ImageQuery(Level.STUDY)) == ()


async def test_checks_find_what_is_lost_or_changed(archive: Archive) -> None:
    whole, changed, lost = (ct_file(f"1.2.{n}", InstanceNumber=n) for n in (1, 2, 3))
    for octets in (whole, changed, lost):
        await archive.take(octets)
    path = archive.objects.local_path(sha256(changed))
    assert path is not None
    path.write_bytes(changed[:-1] + b"\1")
    await archive.objects.delete(sha256(lost))
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    scrub = Scrub(archive.store, archive.objects, days=1, bytes_per_s=100, pause=pause)
    assert not await scrub.turn()
    found = {each.sha256: each.kind for each in await archive.store.findings()}
    assert found == {sha256(changed): "differs", sha256(lost): "missing"}
    assert sum(paused) > len(whole + changed) / 100 / 2
    assert (
        await archive.store.objects_to_check(before=datetime.now(UTC) - timedelta(1), count=9) == ()
    )
    # An operator brings the file back; the next check closes its finding.
    path.write_bytes(changed)
    await archive.objects.put(sha256(lost), lost)
    await Scrub(
        archive.store, archive.objects, days=1, bytes_per_s=1 << 40, now=lambda: LATER
    ).turn()
    assert await archive.store.findings() == ()
    totals = await archive.store.object_totals()
    assert (totals.objects, totals.findings) == (3, 0)


async def test_a_damaged_object_is_mended_by_whoever_still_has_it(
    archive: Archive, tmp_path: Path
) -> None:
    """Found by a check or not: nobody is told that it is here until what is sent lies there."""
    octets, store, objects = ct_file(), archive.store, archive.objects
    digest, uid = sha256(octets), "1.2.3.1.1"
    about: dict[str, str | int | bool | None] = {"sop_instance": uid, "sop_class": CT}
    kind = BlobKind.INSTANCE
    offers = [
        Offer(blobs.VERSION, 9, item, digest, len(octets), kind, 0, about) for item in range(4)
    ]
    steps: Any = None
    desk = BlobIntake(objects, archive.intake, steps, store, largest_bytes=1 << 20)
    await objects.put_part(digest, 0, octets)
    assert (await desk.answer("gw-1", offers[:1])).status is BlobStatus.STORED
    assert await committed(store, objects, [uid, "9"]) == {uid: digest}
    path = objects.local_path(digest)
    assert path is not None
    scrub = Scrub(store, objects, days=1, bytes_per_s=1 << 40, now=lambda: LATER)
    (before,) = await store.objects_to_check(before=LATER, count=9)
    for item, damaged in enumerate((octets[:-1] + b"?", octets[:-1], None), 1):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        if item != 2:  # the gateway may be quicker than the check
            await scrub.turn()
        assert await committed(store, objects, [uid]) == {}
        assert (await desk.answer("gw-1", [offers[item]])).status is BlobStatus.WANTED
        await objects.put_part(digest, 0, octets)
        state = await desk.answer("gw-1", [offers[item]])
        assert (state.status, state.reason) == (BlobStatus.STORED, None)
        assert path.read_bytes() == octets
        assert await committed(store, objects, [uid]) == {uid: digest}
    ended = await store.ended_findings()
    assert [(each.kind, each.ended) for each in ended] == [
        ("missing", "replaced"), ("differs", "replaced"), ("differs", "replaced"),
    ]  # fmt: skip
    # A check that has read what was there before keeps nothing of it.
    await store.note_check(digest, "differs", seen=before)
    assert await store.findings() == ()
    # What another way brings mends it too.
    path.write_bytes(octets[::-1])
    await scrub.turn()
    assert await archive.take(octets) is PutOutcome.KNOWN
    assert (path.read_bytes(), await store.findings()) == (octets, ())
    path.write_bytes(octets[::-1])
    importer = Importer(
        store, objects, archive.headers, archive.intake,
        data_dir=tmp_path, largest_bytes=1 << 20, is_dry=False,
    )  # fmt: skip
    assert await importer.here([uid]) == {uid: digest}, "nobody knows of the damage yet"
    await scrub.turn()
    assert not await importer.here([uid])
    file = tmp_path / "file.dcm"
    file.write_bytes(octets)
    for _ in range(2):
        await importer.take(FoundFile(file, len(octets)), Source("import"))
        assert (path.read_bytes(), await store.findings()) == (octets, ())
    assert importer.report.counts == {"known": 2}
    # A rebuilt index knows what is wrong as before: nothing came.
    path.write_bytes(octets[::-1])
    await scrub.turn()
    await rebuild(store, objects, archive.headers, issuers=SITE)
    assert [each.kind for each in await store.findings()] == ["differs"]
    # Another instance than the gateway says, first and when it is known.
    other = ct_file("1.2.3.1.2", InstanceNumber=2)
    lie = Offer(blobs.VERSION, 9, 7, sha256(other), len(other), kind, 0, about)
    await objects.put_part(lie.sha256, 0, other)
    for _ in range(2):
        state = await desk.answer("gw-1", [lie])
        assert state.reason == "set aside: other-instance"
    assert await store.instance("1.2.3.1.2") is None
    (aside,) = await store.blobs_aside()
    assert (aside.reason, aside.source.item) == ("other-instance", 7)
    await archive.take(other)
    assert (await desk.answer("gw-1", [lie])).reason == "set aside: other-instance"


async def test_findings_end_with_their_objects(archive: Archive) -> None:
    lost = ct_file()
    await archive.take(lost)
    await archive.objects.delete(sha256(lost))
    scrub = Scrub(archive.store, archive.objects, days=1, bytes_per_s=1 << 40)
    await scrub.turn()
    assert [each.kind for each in await archive.store.findings()] == ["missing"]
    await _retention(archive, KeepSettings(days=1)).turn()
    assert await archive.store.findings() == ()


async def test_only_what_nobody_knows_of_is_unindexed(archive: Archive) -> None:
    """Neither what is on its way to the index nor what is set aside for an operator."""
    stray, aside = b"a stray", b"set aside"
    for octets in (stray, aside):
        await archive.objects.put(sha256(octets), octets)
    await archive.store.put_blob_aside(
        AsideBlob(sha256(aside), len(aside), "preamble", Source("gateway", "gw-1", 1, 1))
    )
    soon = Scrub(archive.store, archive.objects, days=1, bytes_per_s=1 << 40)
    later = Scrub(archive.store, archive.objects, days=1, bytes_per_s=1 << 40, now=lambda: LATER)
    await soon.note_unindexed()
    assert await archive.store.findings() == (), "it came a moment ago"
    await later.note_unindexed()
    (found,) = await archive.store.findings()
    assert (found.sha256, found.kind) == (sha256(stray), "unindexed")
    await archive.objects.delete(sha256(stray))
    await later.note_unindexed()
    assert await archive.store.findings() == ()


@pytest.mark.parametrize(("failures", "found"), [(1, None), (2, None), (3, "unreadable")])
async def test_a_read_that_fails_once_is_no_finding(
    archive: Archive, failures: int, found: str | None
) -> None:
    octets = ct_file()
    await archive.take(octets)
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    class Failing(FolderObjects):
        left = failures

        async def stream(
            self, sha256: bytes, start: int = 0, end: int | None = None
        ) -> AsyncIterator[bytes]:
            if self.left:
                self.left -= 1
                raise StorageError("a loose cable")
            async for piece in super().stream(sha256, start, end):
                yield piece

    objects = await Failing(archive.objects._files.folder).open()
    await Scrub(archive.store, objects, days=1, bytes_per_s=1 << 40, pause=pause).turn()
    assert [each.kind for each in await archive.store.findings()] == ([found] if found else [])
    assert len(paused) == min(failures, 2)


async def test_old_objects_move_and_are_read_where_they_are(
    archive: Archive, tmp_path: Path
) -> None:
    cold = await FolderObjects(tmp_path / "cold").open()
    tiers = TieredObjects(archive.objects, cold)
    octets, damaged = ct_file(), ct_file("1.2.3.1.2")
    for each in (octets, damaged):
        await archive.take(each)
    path = archive.objects.local_path(sha256(damaged))
    assert path is not None
    path.write_bytes(b"rotten")
    await cold.put(sha256(damaged), b"rotten in another way")
    cooling = Cooling(archive.store, tiers, after_days=1, now=lambda: LATER)
    assert not await cooling.turn()
    assert await archive.objects.size(sha256(octets)) is None
    assert await tiers.read(sha256(octets)) == octets
    ref = await archive.store.instance("1.2.3.1.1")
    assert ref is not None
    assert ref.tier == "cold"
    lacking = await archive.store.lacking(["1.2.3", "9"])
    assert lacking == {("1.2.3", "1.2.3.1"): Lacking(is_cold=True, doubted=1)}
    assert [each.sha256 for each in await archive.store.findings()] == [sha256(damaged)]
    # What is not whole stays where it is: of two damaged copies neither is the better one.
    assert await cold.read(sha256(damaged)) == b"rotten in another way"
    assert path.read_bytes() == b"rotten"
    # The same file again, and an index made again, find it in the second place.
    await tiers.put(sha256(octets), octets)
    assert await archive.objects.size(sha256(octets)) is None
    path.write_bytes(damaged)
    await archive.store.note_check(sha256(damaged), None)
    await rebuild(archive.store, tiers, archive.headers, issuers=SITE, everything=True)
    refs = await archive.store.instances("1.2.3")
    assert [each.tier for each in refs] == ["cold", "hot"]
    # A database from before the move takes it for hot: the one copy there is stays.
    await archive.store.set_tier([sha256(octets)], "hot")
    assert await archive.store.lacking(["1.2.3"]) == {}
    await Cooling(archive.store, tiers, after_days=1, now=lambda: LATER).turn()
    assert await tiers.read(sha256(octets)) == octets


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["put_file", "set_tier", "delete"])
@pytest.mark.parametrize("is_done", [False, True])
async def test_a_kill_while_an_object_is_moved_leaves_it_where_it_is_read(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, is_done: bool
) -> None:
    """Before and after each step that lasts; the next turn ends the move."""
    cold = await FolderObjects(tmp_path / "cold").open()
    tiers = TieredObjects(archive.objects, cold)
    octets = ct_file()
    await archive.take(octets)
    owner = {"put_file": cold, "set_tier": archive.store, "delete": archive.objects}[step]
    done = getattr(owner, step)

    async def killed(*arguments: Any) -> None:
        if is_done:
            await done(*arguments)
        raise Killed

    with monkeypatch.context() as life:
        life.setattr(owner, step, killed)
        with pytest.raises(Killed):
            await Cooling(archive.store, tiers, after_days=1, now=lambda: LATER).turn()
    assert await tiers.read(sha256(octets)) == octets
    again = Cooling(archive.store, tiers, after_days=1, now=lambda: LATER)
    assert not await again.turn()
    ref = await archive.store.instance("1.2.3.1.1")
    assert ref is not None
    assert await cold.read(sha256(octets)) == octets
    assert (ref.tier, await archive.store.findings()) == ("cold", ())
    assert await archive.objects.size(sha256(octets)) is None, "one copy too many is removed"


async def test_what_is_replaced_while_it_is_judged_gets_no_finding(archive: Archive) -> None:
    """The offer of a gateway reads what was there; another process has put it right by then."""
    octets = ct_file()
    await archive.take(octets)
    path = archive.objects.local_path(sha256(octets))
    assert path is not None
    path.write_bytes(octets[::-1])

    class Slow(FolderObjects):
        async def stream(
            self, sha256: bytes, start: int = 0, end: int | None = None
        ) -> AsyncIterator[bytes]:
            yield octets[::-1]
            await archive.objects.put(sha256, octets)
            await archive.store.note_replaced(sha256, "hot")

    objects = await Slow(archive.objects._files.folder).open()
    held = await Custody(objects, archive.store).held(sha256(octets), len(octets))
    assert held is Held.DAMAGED
    assert await archive.store.findings() == ()
    assert await Custody(archive.objects, archive.store).held(sha256(octets), len(octets)) is (
        Held.WHOLE
    )


async def test_what_cannot_be_moved_or_removed_holds_up_nothing(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of damaged objects, and some that cannot be touched: the others go all the same."""
    for module in ("tiers", "retention"):
        monkeypatch.setattr(f"wardlight_cloud.imaging.{module}._OBJECTS_A_TURN", 3)
        monkeypatch.setattr(f"wardlight_cloud.imaging.{module}._FAILURES_A_TURN", 2)
    store, stubborn = archive.store, set[bytes]()

    class Stubborn(FolderObjects):
        async def stream(
            self, sha256: bytes, start: int = 0, end: int | None = None
        ) -> AsyncIterator[bytes]:
            self._touched(sha256)
            async for piece in super().stream(sha256, start, end):
                yield piece

        async def delete(self, sha256: bytes) -> None:
            self._touched(sha256)
            await super().delete(sha256)

        def _touched(self, sha256: bytes) -> None:
            if sha256 in stubborn:
                raise StorageError("a loose cable")

    hot = await Stubborn(archive.objects._files.folder).open()
    cold = await FolderObjects(tmp_path / "cold").open()
    tiers = TieredObjects(hot, cold)
    files = [ct_file(f"1.2.3.1.{n}", InstanceNumber=n) for n in range(1, 11)]
    digests = [sha256(octets) for octets in files]
    for octets in files:
        await archive.take(octets)
    for damaged in digests[:4]:  # by more than a page, in the order in which they are looked at
        path = hot.local_path(damaged)
        assert path is not None
        path.write_bytes(b"rotten")
    stubborn |= {digests[4], digests[5]}
    cooling = Cooling(store, tiers, after_days=1, now=lambda: LATER)
    turns = [await cooling.turn() for _ in range(4)]
    assert turns == [True, False, True, False], "two that cannot be read end a turn"
    moved = {each.sha256 for each in await store.instances("1.2.3") if each.tier == "cold"}
    assert moved == set(digests[6:])
    # What was found damaged is on record, and is not looked at again; what can be read is moved.
    found = {each.sha256: each.kind for each in await store.findings()}
    assert found == dict.fromkeys(digests[:4], "differs")
    stubborn.clear()
    due = await store.objects_to_cool(before=LATER, count=99)
    assert [each.sha256 for each in due] == digests[4:6]
    assert not await cooling.turn()
    assert await store.objects_to_cool(before=LATER, count=99) == ()
    retention = Retention(store, tiers, [KeepSettings(days=1)], now=_later)
    stubborn |= set(sorted(digests)[:2])
    while await retention.turn():
        pass
    while await retention.turn():
        pass
    assert await store.unused_objects(count=99) == tuple(sorted(digests)[:2])
    stubborn.clear()
    assert not await retention.turn()
    assert await store.unused_objects(count=99) == ()


async def test_an_image_of_anothers_order_is_nobodys(archive: Archive) -> None:
    person = await archive.store.put_patient(patient(identifiers=(("http://x", "P1"),)))
    await archive.store.put_gateway("gw-one")
    ordered = OrderedStep("A-7", "Other^One", "P2", "CT", "CT1", "20260131 101500", step_id="1")
    await archive.store.put_entries([new_entry(data_set_of(ordered), ["gw-one"])])
    await archive.take(ct_file(AccessionNumber="A-7"))
    await archive.take(ct_file("1.9.1", study="1.9", series="1.9.0", AccessionNumber="A-8"))
    (waiting,) = await archive.store.unmatched()
    assert (waiting.study_uid, waiting.reason) == ("1.2.3", "order-differs")
    assert (waiting.issuer, waiting.given_by) == ("", "http://x"), "by the settings"
    assert await archive.store.patient_of_study("1.9") == person.patient_id


async def test_a_query_while_images_arrive_counts_what_is_there(archive: Archive) -> None:
    files = [ct_file(f"1.2.3.1.{n}", InstanceNumber=n) for n in range(1, 41)]
    takes = asyncio.gather(*(archive.take(octets) for octets in files))
    match = Match("PatientID", "equal", ("P1",))
    while not takes.done():
        rows = await archive.store.images(ImageQuery(Level.INSTANCE, (match,)))
        assert all(row.study_instances == len(rows) for row in rows)
        await asyncio.sleep(0)
    await takes
    numbers = [each.number for each in await archive.store.instances("1.2.3")]
    assert numbers == list(range(1, 41))
