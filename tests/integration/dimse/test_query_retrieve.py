"""dcmtk's clients and pynetdicom against `wardlight-cloud dicom` on a real store."""

import asyncio
import socket
import subprocess
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt

from support.dicom_files import bundled, dataset_of, image, octets_of
from support.dicom_process import LOOPBACK, DicomServer, store_scp
from support.peers import require_peer
from support.waiting import wait_until
from wardlight_cloud.dimse.entity import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from wardlight_cloud.store.forwarding import DicomNode, ForwardRule, ForwardTarget
from wardlight_lab.modality.association import associate

pytestmark = pytest.mark.asyncio(loop_scope="module")

CT, MR, US, ECG = (
    dataset_of(bundled(name))
    for name in ("CT_small.dcm", "MR_small.dcm", "examples_ybr_color.dcm", "waveform_ecg.dcm")
)
PATIENT_NAME = "CompressedSamples^CT1"


def keys(**pairs: str) -> list[str]:
    """Arguments -k of dcmtk."""
    return [part for name, value in pairs.items() for part in ("-k", f"{name}={value}")]


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def matches(server: DicomServer, root: str, **pairs: str) -> int:
    found = await server.asked("findscu", "-v", root, *keys(**pairs))
    assert found.code == 0, found.text
    return found.text.count("(Pending)")


async def test_echo(site: Any) -> None:
    assert (await site.server.asked("echoscu")).code == 0


async def test_only_known_callers_are_let_in(site: Any) -> None:
    for stranger in ("STRANGER", "ELSEWHERE"):
        refused = await site.server.asked("echoscu", calling=stranger)
        assert refused.code != 0
        assert "Calling AE Title Not Recognized" in refused.text


async def test_without_the_right_nothing_is_told(site: Any) -> None:
    asked = keys(QueryRetrieveLevel="STUDY", StudyInstanceUID="")
    found = await site.server.asked("findscu", "-v", "-S", *asked, calling="MUTE")
    assert "(Pending)" not in found.text
    assert "0x124" in found.text  # refused: not authorised


@pytest.mark.parametrize(
    ("root", "pairs", "number"),
    [
        ("-S", {"QueryRetrieveLevel": "STUDY"}, 9),
        ("-P", {"QueryRetrieveLevel": "STUDY", "PatientID": CT.PatientID}, 1),
        ("-P", {"QueryRetrieveLevel": "PATIENT", "PatientName": "compressedsamples^ct*"}, 1),
        ("-S", {"QueryRetrieveLevel": "STUDY", "StudyDate": "20040101-20041231"}, 3),
        ("-S", {"QueryRetrieveLevel": "STUDY", "StudyDate": "-20001231"}, 0),
        ("-S", {"QueryRetrieveLevel": "STUDY", "StudyTime": "07-08"}, 1),
        ("-S", {"QueryRetrieveLevel": "STUDY", "ModalitiesInStudy": "CT"}, 1),
        ("-S", {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": f"{CT.StudyInstanceUID}\\"
                f"{MR.StudyInstanceUID}"}, 2),
        ("-S", {"QueryRetrieveLevel": "STUDY", "ModalitiesInStudy": "CT\\MR\\PT"}, 2),
        ("-S", {"QueryRetrieveLevel": "STUDY", "PatientName": "?ompressed*"}, 3),
        ("-S", {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": CT.StudyInstanceUID}, 1),
        ("-S", {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": CT.StudyInstanceUID,
                "Modality": "MR"}, 0),
        ("-S", {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": CT.StudyInstanceUID,
                "Modality": "MR\\CT"}, 1),
        ("-S", {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": CT.StudyInstanceUID,
                "SeriesInstanceUID": CT.SeriesInstanceUID,
                "InstanceNumber": f"{CT.InstanceNumber}\\999"}, 1),
        ("-S", {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": MR.StudyInstanceUID,
                "SeriesInstanceUID": MR.SeriesInstanceUID, "SOPInstanceUID": ""}, 1),
        ("-P", {"QueryRetrieveLevel": "SERIES", "PatientID": US.PatientID,
                "StudyInstanceUID": US.StudyInstanceUID, "SeriesNumber": ""}, 1),
        ("-P", {"QueryRetrieveLevel": "IMAGE", "PatientID": MR.PatientID,
                "StudyInstanceUID": MR.StudyInstanceUID,
                "SeriesInstanceUID": MR.SeriesInstanceUID, "SOPInstanceUID": ""}, 1),
        ("-P", {"QueryRetrieveLevel": "PATIENT", "PatientID": "SHARED-7"}, 2),
        ("-P", {"QueryRetrieveLevel": "STUDY", "PatientID": "SHARED-7",
                "IssuerOfPatientID": "SOUTH"}, 1),
        ("-S", {"QueryRetrieveLevel": "STUDY", "PatientID": "SHARED-7"}, 2),
    ],
)  # fmt: skip
async def test_find_matches(site: Any, root: str, pairs: dict[str, str], number: int) -> None:
    assert await matches(site.server, root, **pairs) == number


async def test_find_returns_what_is_asked_for_and_counts(site: Any) -> None:
    found = await site.server.asked(
        "findscu", "-v", "-P",
        *keys(QueryRetrieveLevel="STUDY", PatientID=CT.PatientID, PatientName="", StudyDate="",
              NumberOfStudyRelatedInstances="", ModalitiesInStudy="", StudyComments=""),
    )  # fmt: skip
    for text in (f"PN [{PATIENT_NAME}", "IS [1 ]", "CS [CT]", "AE [WARDLIGHT ]", "CS [ONLINE]"):
        assert text in found.text, text


@pytest.mark.parametrize(
    ("root", "pairs"),
    [
        ("-S", {"QueryRetrieveLevel": "PATIENT", "PatientID": "1"}),
        ("-S", {"QueryRetrieveLevel": "SERIES", "Modality": "CT"}),
        ("-P", {"QueryRetrieveLevel": "STUDY"}),
        ("-S", {"QueryRetrieveLevel": "FRAME"}),
        ("-S", {"QueryRetrieveLevel": "STUDY", "StudyDate": "yesterday"}),
        ("-S", {"QueryRetrieveLevel": "STUDY", "ModalitiesInStudy": "C*\\MR"}),
    ],
)
async def test_identifiers_that_do_not_fit_are_refused(
    site: Any, root: str, pairs: dict[str, str]
) -> None:
    found = await site.server.asked("findscu", "-v", root, *keys(**pairs))
    assert "(Pending)" not in found.text
    assert "DataSetDoesNotMatchSOPClass" in found.text


async def test_one_number_of_two_people_is_not_one_patient(site: Any, tmp_path: Path) -> None:
    """Neither found nor given together; what belongs to a number is counted by its issuer."""
    shared = {"PatientID": "SHARED-7"}
    found = await site.server.asked(
        "findscu", "-v", "-P",
        *keys(QueryRetrieveLevel="PATIENT", NumberOfPatientRelatedStudies="", **shared),
    )  # fmt: skip
    for text in ("LO [NORTH ]", "LO [SOUTH ]"):
        assert text in found.text, found.text
    assert found.text.count("IS [1 ]") == 2
    studies = await site.server.asked(
        "findscu", "-v", "-P", *keys(QueryRetrieveLevel="STUDY", **shared)
    )
    assert "(Pending)" not in studies.text
    assert "UnableToProcess" in studies.text, studies.text
    patient = {"QueryRetrieveLevel": "PATIENT", **shared}
    got = await site.server.asked("getscu", "-v", "-P", "-od", str(tmp_path), *keys(**patient))
    assert not files_in(tmp_path), got.text
    patient["IssuerOfPatientID"] = "NORTH"
    got = await site.server.asked("getscu", "-v", "-P", "-od", str(tmp_path), *keys(**patient))
    (file,) = files_in(tmp_path)
    assert pydicom.dcmread(file).IssuerOfPatientID == "NORTH"


async def test_a_patient_s_answer_tells_nothing_of_one_study(site: Any) -> None:
    """Neither its date nor its modalities: there may be others. The warning says so."""
    found = await site.server.asked(
        "findscu", "-v", "-P",
        *keys(QueryRetrieveLevel="PATIENT", PatientID=CT.PatientID, PatientName="", StudyDate="",
              ModalitiesInStudy=""),
    )  # fmt: skip
    answer = found.text.partition("Find Response")[2]
    assert "WarningUnsupportedOptionalKeys" in answer, found.text
    assert PATIENT_NAME in answer
    assert CT.StudyDate not in answer
    assert "CS [CT]" not in answer


async def test_a_study_of_another_patient_is_not_given(site: Any, tmp_path: Path) -> None:
    got = await site.server.asked(
        "getscu", "-v", "-P", "-od", str(tmp_path),
        *keys(QueryRetrieveLevel="STUDY", PatientID=MR.PatientID,
              StudyInstanceUID=CT.StudyInstanceUID),
    )  # fmt: skip
    assert not files_in(tmp_path), got.text


async def test_who_was_told_and_given_is_on_record(site: Any) -> None:
    """The caller with its address; of a C-MOVE, its destination too."""
    await site.server.asked(
        "findscu", "-S", *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=MR.StudyInstanceUID)
    )
    await site.server.asked(
        "movescu", "-S", "-aem", "TARGET",
        *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=ECG.StudyInstanceUID),
    )  # fmt: skip
    store = site.stock.store

    async def readers_of(study_uid: str) -> set[tuple[str, str]]:
        reads = await store.image_reads(study_uid=study_uid)
        return {(each.reader.name, each.face) for each in reads}

    peer, target = (f"PEER@{LOOPBACK}", "dimse"), (f"TARGET@{LOOPBACK}", "dimse")

    async def are_there() -> bool:
        found = await readers_of(MR.StudyInstanceUID), await readers_of(ECG.StudyInstanceUID)
        return peer in found[0] and {peer, target} <= found[1]

    await wait_until(are_there, 20, "reads are on record")
    for file in files_in(site.received):
        file.unlink()


async def test_names_keep_their_scripts(site: Any) -> None:
    file = site.scripted
    wanted = Dataset()
    wanted.QueryRetrieveLevel, wanted.PatientName = "STUDY", ""
    wanted.StudyInstanceUID = file.StudyInstanceUID
    with association(site.server.port, STUDY_ROOT_FIND) as peer:
        (answer,) = [each for _, each in peer.send_c_find(wanted, STUDY_ROOT_FIND) if each]
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert answer.PatientName == file.PatientName


async def test_move_sends_as_stored(site: Any) -> None:
    uids = f"{US.StudyInstanceUID}\\{CT.StudyInstanceUID}\\{ECG.StudyInstanceUID}"
    moved = await site.server.asked(
        "movescu", "-v", "-S", "-aem", "TARGET",
        *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=uids),
    )  # fmt: skip
    assert moved.code == 0, moved.text
    assert "Received Final Move Response (Success)" in moved.text
    for sent in (US, CT, ECG):
        (file,) = site.received.glob(f"*{sent.SOPInstanceUID}")
        got = pydicom.dcmread(file)
        assert got.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        assert got == sent
        file.unlink()


@pytest.mark.parametrize("destination", ["NOBODY", "PEER", "DOWN"])
async def test_move_to_who_cannot_be_reached(site: Any, destination: str) -> None:
    moved = await site.server.asked(
        "movescu", "-v", "-S", "-aem", destination,
        *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=CT.StudyInstanceUID),
    )  # fmt: skip
    assert "MoveDestinationUnknown" in moved.text


async def test_get_decodes_for_a_peer_that_takes_no_compression(site: Any, tmp_path: Path) -> None:
    got = await site.server.asked(
        "getscu", "-v", "-S", "-od", str(tmp_path),
        *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=US.StudyInstanceUID),
    )  # fmt: skip
    assert "Number of Completed Suboperations : 1" in got.text
    (file,) = files_in(tmp_path)
    found = pydicom.dcmread(file)
    assert found.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert found.SOPInstanceUID == US.SOPInstanceUID
    assert found.pixel_array.shape == US.pixel_array.shape


async def test_get_of_a_series_and_of_an_image(site: Any, tmp_path: Path) -> None:
    above = {"StudyInstanceUID": CT.StudyInstanceUID, "SeriesInstanceUID": CT.SeriesInstanceUID}
    for place, pairs in enumerate(
        ({"QueryRetrieveLevel": "SERIES", **above},
         {"QueryRetrieveLevel": "IMAGE", **above, "SOPInstanceUID": CT.SOPInstanceUID})
    ):  # fmt: skip
        folder = tmp_path / str(place)
        folder.mkdir()
        got = await site.server.asked("getscu", "-v", "-S", "-od", str(folder), *keys(**pairs))
        assert got.code == 0, got.text
        assert len(files_in(folder)) == 1


async def test_get_counts_what_the_peer_does_not_take(site: Any) -> None:
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    wanted.StudyInstanceUID = [CT.StudyInstanceUID, MR.StudyInstanceUID]
    got: list[str] = []

    def keep(event: Any) -> int:
        got.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    with association(
        site.server.port, STUDY_ROOT_GET, CT.SOPClassUID, keep=keep, role=CT.SOPClassUID
    ) as peer:
        *_, (status, failed) = list(peer.send_c_get(wanted, STUDY_ROOT_GET))
    assert got == [CT.SOPInstanceUID]
    assert status.Status == 0xB000
    assert (status.NumberOfCompletedSuboperations, status.NumberOfFailedSuboperations) == (1, 1)
    assert failed.FailedSOPInstanceUIDList == MR.SOPInstanceUID


async def test_what_a_peer_refuses_is_in_the_log(site: Any) -> None:
    wanted = Dataset()
    wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", CT.StudyInstanceUID
    with association(
        site.server.port, STUDY_ROOT_GET, CT.SOPClassUID,
        keep=lambda _: 0xA711, role=CT.SOPClassUID,
    ) as peer:  # fmt: skip
        *_, (status, _) = list(peer.send_c_get(wanted, STUDY_ROOT_GET))
    assert status.NumberOfFailedSuboperations == 1
    log = site.server.log.read_text("utf-8", "replace")
    assert "the peer refused an object" in log
    assert "0xa711" in log


async def test_retrieval_is_cancelled(site: Any) -> None:
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    wanted.StudyInstanceUID = [each.StudyInstanceUID for each in (CT, MR, ECG, US)]
    with association(site.server.port, STUDY_ROOT_MOVE) as peer:
        answers = peer.send_c_move(wanted, "TARGET", STUDY_ROOT_MOVE)
        next(answers)
        peer.send_c_cancel(1, query_model=STUDY_ROOT_MOVE)
        *_, (status, _) = list(answers)
    assert status.Status in (0xFE00, 0x0000)  # all may have been sent before the word came
    for file in files_in(site.received):
        file.unlink()


async def test_hostile_octets_end_their_association_alone(site: Any) -> None:
    for octets in (b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\xff\xff\xff\xff" + b"A" * 4096, b"\x04"):
        with socket.create_connection((LOOPBACK, site.server.port), timeout=180) as peer:
            peer.sendall(octets)
    # A PDU of four gigabytes is refused before it comes, one that stops in its middle after 5 s.
    for octets in (b"\x01\x00\xff\xff\xff\xff", b"\x01\x00\x00\x00\x40\x00AAAA"):
        with socket.create_connection((LOOPBACK, site.server.port), timeout=180) as peer:
            peer.sendall(octets)
            assert await asyncio.to_thread(ended, peer)
    assert (await site.server.asked("echoscu")).code == 0
    log = site.server.log.read_text("utf-8", "replace")
    for word in (PATIENT_NAME, str(CT.PatientID), str(CT.StudyInstanceUID)):
        assert word not in log


def ended(peer: socket.socket) -> bool:
    """Whether the server hangs up."""
    try:
        while peer.recv(1024):
            pass
    except ConnectionError:
        pass
    return True


async def test_a_request_without_end_is_cut_off(site: Any) -> None:
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    wanted.add_new(0x00091001, "UN", b"A" * (4 * 1024 * 1024))
    with association(site.server.port, STUDY_ROOT_FIND) as peer:
        statuses = [status for status, _ in peer.send_c_find(wanted, STUDY_ROOT_FIND)]
    assert not any(status.get("Status") == 0xFF00 for status in statuses)
    assert (await site.server.asked("echoscu")).code == 0


class association:
    """pynetdicom as a peer of the name PEER."""

    def __init__(
        self, port: int, *contexts: str, keep: Any = None, role: str | None = None
    ) -> None:
        self._entity = AE("PEER")
        for context in contexts:
            self._entity.add_requested_context(context)
        handlers: list[Any] = [] if keep is None else [(evt.EVT_C_STORE, keep)]
        roles: list[Any] = [] if role is None else [build_role(role, scp_role=True)]
        self._assoc = associate(
            self._entity, LOOPBACK, port, ae_title="WARDLIGHT", evt_handlers=handlers, ext_neg=roles
        )

    def __enter__(self) -> Any:
        assert self._assoc.is_established
        return self._assoc

    def __exit__(self, *exception: object) -> None:
        held = self._assoc.dul.socket
        own = None if held is None else held.socket
        if self._assoc.is_established:
            self._assoc.release()
        self._assoc.join(180)
        if own is not None:
            own.close()  # pynetdicom leaves it open where the peer hung up


def odd_in_big_endian(folder: Path) -> tuple[bytes, Dataset]:
    """An image of 32 bits in big endian, as dcmconv writes it, with a number that is none."""
    made = image(side=2, Modality="BI", BitsAllocated=32, BitsStored=32, HighBit=31,
                 PixelData=bytes(range(16)), InstanceNumber=7)  # fmt: skip
    plain, source, target = folder / "plain", folder / "source", folder / "big"
    plain.write_bytes(octets_of(made))
    source.write_bytes(octets_of(made).replace(b"\x20\x00\x13\x00IS\x02\x007 ",
                                               b"\x20\x00\x13\x00IS\x02\x002a"))  # fmt: skip
    command = [str(require_peer("dcmconv")), "+tb", str(source), str(target)]
    subprocess.run(command, check=True, timeout=180, capture_output=True)
    return target.read_bytes(), made


async def test_big_endian_and_odd_values_come_to_every_peer(site: Any, tmp_path: Path) -> None:
    """C-FIND tells the odd value; C-GET and a rule send it as far as the peer has no big endian."""
    octets, made = odd_in_big_endian(tmp_path)
    await site.stock.add(octets)
    above = {"StudyInstanceUID": made.StudyInstanceUID, "SeriesInstanceUID": made.SeriesInstanceUID}
    found = await site.server.asked(
        "findscu", "-v", "-S",
        *keys(QueryRetrieveLevel="IMAGE", **above, SOPInstanceUID="", InstanceNumber="", Rows=""),
    )  # fmt: skip
    for text in ("IS [2a]", "US 2 ", f"UI [{made.SOPInstanceUID}"):
        assert text in found.text, found.text

    def check(folder: Path, syntax: str) -> None:
        (file,) = files_in(folder)
        got = pydicom.dcmread(file)
        assert got.file_meta.TransferSyntaxUID == syntax
        assert got.PixelData == made.PixelData
        number = got.get_item("InstanceNumber")
        assert number is not None
        assert number.value == b"2a"

    for option in ("+xe", "+xb"):
        folder = tmp_path / option
        folder.mkdir()
        got = await site.server.asked(
            "getscu", "-v", "-S", option, "-od", str(folder),
            *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=made.StudyInstanceUID),
        )  # fmt: skip
        assert "Number of Completed Suboperations : 1" in got.text, got.text
        check(folder, pydicom.uid.ExplicitVRLittleEndian)

    moved = await site.server.asked(
        "movescu", "-v", "-S", "-aem", "TARGET",
        *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=made.StudyInstanceUID),
    )  # fmt: skip
    assert "Received Final Move Response (Success)" in moved.text
    (file,) = site.received.glob(f"*{made.SOPInstanceUID}")
    assert pydicom.dcmread(file).file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRBigEndian
    file.unlink()

    store, old = site.stock.store, tmp_path / "old"
    old.mkdir()
    async with store_scp(old, "+xi", "+B", ae_title="OLD") as port:
        await store.put_node(DicomNode("OLD", LOOPBACK, port, rights=()))
        await store.put_rule(
            ForwardRule("old", "modality", "BI", ForwardTarget("OLD")), from_beginning=True
        )

        async def is_sent() -> bool:
            return any(each.sent for each in await store.forward_status())

        await wait_until(is_sent, 60, "the rule has sent it")
    check(old, pydicom.uid.ImplicitVRLittleEndian)
    assert await store.remove_rule("old")


async def test_one_number_without_issuer_of_two_names_is_not_one_patient(
    site: Any, tmp_path: Path
) -> None:
    """Neither found, counted nor given as one; each study is to be had in Study Root."""
    people = {"SMITH^JOHN": "19500101", "JONES^MARY": "19801212"}
    for name, born in people.items():
        for _ in range(2):
            made = image(PatientID="TWICE-7", PatientName=name, PatientBirthDate=born)
            await site.stock.add(octets_of(made))
    shared = {"PatientID": "TWICE-7"}
    found = await site.server.asked(
        "findscu", "-v", "-P",
        *keys(QueryRetrieveLevel="PATIENT", PatientName="", NumberOfPatientRelatedStudies="",
              NumberOfPatientRelatedInstances="", **shared),
    )  # fmt: skip
    for name in people:
        assert f"PN [{name}" in found.text, found.text
    assert found.text.count("IS [2 ]") == 4, found.text
    named = await site.server.asked(
        "findscu", "-v", "-P",
        *keys(QueryRetrieveLevel="PATIENT", PatientName="SMITH*", NumberOfPatientRelatedStudies=""),
    )  # fmt: skip
    assert named.text.count("IS [2 ]") == 1, named.text
    studies = await site.server.asked(
        "findscu", "-v", "-P", *keys(QueryRetrieveLevel="STUDY", **shared)
    )
    assert "UnableToProcess" in studies.text, studies.text
    patient = {"QueryRetrieveLevel": "PATIENT", **shared}
    await site.server.asked("getscu", "-v", "-P", "-od", str(tmp_path), *keys(**patient))
    assert not files_in(tmp_path)
    assert await matches(site.server, "-S", QueryRetrieveLevel="STUDY", **shared) == 4
