"""What is refused: in the words of the protocol, before anything is written, and counted."""

import contextlib
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from pydicom import dcmread
from pydicom.data import data_manager
from pydicom.uid import generate_uid

from support.dicom_wire import (
    CT,
    EXPLICIT,
    IMPLICIT,
    SERIES,
    STUDY,
    VERIFICATION,
    Wire,
    command,
    context,
    data,
    instance,
    pdv,
    request,
    store,
)
from support.imaging_process import data_set_of, dcmtk, imaging, stored
from support.modality import COMMITMENT, STEP_CLASS, WORKLIST
from support.waiting import wait_until_sync
from wardlight_edge.imaging_settings import PeerSettings
from wardlight_edge.spool.receiving import PART

LOCAL = ("127.0.0.1",)
MR = "1.2.840.10008.5.1.4.1.1.4"
PEERS = (
    PeerSettings(calling_ae="CT1", networks=LOCAL, sop_classes=(CT,), quota_bytes=2_000_000),
    PeerSettings(calling_ae="FAR", networks=("192.0.2.0/24",)),
)


def _store(wire: Wire, uid: str, octets: bytes, number: int = 1, *, missing: int = 0) -> int:
    octets = instance(uid, octets)
    octets = octets[: len(octets) - missing]
    wire.send(data(pdv(number, 3, store(uid))))
    for at in range(0, len(octets), 100_000):
        part = octets[at : at + 100_000]
        wire.send(data(pdv(number, 2 * (at + 100_000 >= len(octets)), part)))
    return wire.status()


@pytest.mark.parametrize(
    ("options", "rejection"),
    [
        ({"calling": b"NOBODY"}, (1, 1, 3)),
        ({"calling": b"CT1", "called": b"OTHER"}, (1, 1, 7)),
        ({"calling": b"FAR"}, (1, 1, 1)),
        ({"calling": b"CT1", "application": b"1.2.3"}, (1, 1, 2)),
        ({"calling": b"CT1", "version": 2}, (1, 2, 2)),
    ],
)
def test_an_association_is_refused_with_its_reason(
    tmp_path: Path, options: dict[str, bytes], rejection: tuple[int, int, int]
) -> None:
    with imaging(tmp_path, peers=PEERS, admit_loopback=False) as running:
        with Wire(running.port) as wire:
            kind, body = wire.associate(**options)
            assert (kind, tuple(body[1:])) == (3, rejection)
        assert running.status().associations_refused == 1


def test_limits_of_associations(tmp_path: Path) -> None:
    with imaging(tmp_path, max_associations=2, max_per_ae=1) as running:
        with Wire(running.port) as one, Wire(running.port) as two, Wire(running.port) as three:
            assert one.associate(calling=b"A")[0] == 2
            kind, body = two.associate(calling=b"A")
            assert (kind, tuple(body[1:])) == (3, (2, 3, 2))
            with Wire(running.port) as other:
                assert other.associate(calling=b"B")[0] == 2
                kind, body = three.associate(calling=b"C")
                assert (kind, tuple(body[1:])) == (3, (2, 3, 2))
            one.send(bytes.fromhex("05000000000400000000"))
            assert one.receive()[0] == 6
        with Wire(running.port) as again:
            again.send(request(context(1, CT, EXPLICIT), calling=b"A"))
            assert again.receive()[0] == 2


def test_an_address_that_nobody_listed_gets_no_thread(tmp_path: Path) -> None:
    far = (PeerSettings(calling_ae="FAR", networks=("192.0.2.0/24",)),)
    with imaging(tmp_path, peers=far, admit_loopback=False, artim_timeout_s=600.0) as running:
        for _ in range(40):
            with Wire(running.port) as wire:
                assert wire.is_over()
        wait_until_sync(lambda: running.status().associations_refused == 40)


def test_silent_connections_keep_no_modality_out(tmp_path: Path) -> None:
    """Of the address that is silent no more are taken; of others they are, and seats are free."""
    listed = (PeerSettings(calling_ae="CT1", networks=("127.0.0.0/8",)),)
    changes = {"peers": listed, "admit_loopback": False, "max_per_ae": 2, "max_associations": 2}
    with imaging(tmp_path, **changes) as running, contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(Wire(running.port, source="127.0.0.9"))
        wait_until_sync(lambda: running.status().associations_refused == 26)
        for _ in range(2):
            good = stack.enter_context(Wire(running.port))
            assert good.associate(calling=b"CT1")[0] == 2


def test_a_class_that_was_not_granted(tmp_path: Path) -> None:
    with (
        imaging(tmp_path, peers=PEERS, admit_loopback=False) as running,
        Wire(running.port) as wire,
    ):
        kind, body = wire.associate(
            context(1, CT, EXPLICIT), context(3, MR, EXPLICIT), calling=b"CT1"
        )
        assert kind == 2
        assert b"\x21\x00" in body
        assert _store(wire, "1.2.3", b"ab") == 0
        wire.send(data(pdv(3, 3, store("1.2.4", sop_class=MR))))
        assert wire.is_over()


def test_a_request_for_another_class_than_its_context_s(tmp_path: Path) -> None:
    with imaging(tmp_path) as running, Wire(running.port) as wire:
        wire.associate(context(1, CT, EXPLICIT))
        wire.send(data(pdv(1, 3, store("1.2.3", sop_class=MR))), data(pdv(1, 2, b"ab")))
        assert wire.status() == 0x0122
        assert _store(wire, "1.2.3", b"ab") == 0


def test_a_data_set_that_is_another_object_than_its_request(tmp_path: Path) -> None:
    """Refused in fragments of any size, read to its end; nothing is kept, the next one is taken."""
    with imaging(tmp_path) as running, Wire(running.port) as wire:
        wire.associate(context(1, CT, EXPLICIT))
        for octets, refusal in (
            (instance("1.2.4", bytes(200_000)), 0xA900),
            (instance("1.2.3", bytes(200_000), sop_class=MR), 0xA900),
            (instance("1.2.3")[:-1], 0xC000),
            (bytes(100_000), 0xC000),
        ):
            for step in (7, 200_000):
                wire.send(data(pdv(1, 3, store("1.2.3"))))
                parts = [octets[at : at + step] for at in range(0, min(len(octets), 700), step)]
                wire.send(*(data(pdv(1, 0, part)) for part in parts))
                wire.send(data(pdv(1, 2, octets[step * len(parts) :])))
                assert wire.status() == refusal
        assert _store(wire, "1.2.3", b"ab") == 0
        small = instance("1.2.5.0.0.0.0.0.0.0")
        wire.send(data(pdv(1, 3, store("1.2.5.0.0.0.0.0.0.0"))))
        wire.send(*(data(pdv(1, 0, small[at : at + 3])) for at in range(0, len(small), 3)))
        wire.send(data(pdv(1, 2, b"")))
        assert wire.status() == 0, "what it is was known at its end"
        assert (running.status().refused, set(stored(tmp_path))) == (
            8,
            {"1.2.3", "1.2.5.0.0.0.0.0.0.0"},
        )
        kept = [each for each in (tmp_path / "dicom" / "objects").iterdir() if each.suffix != PART]
        assert len(kept) == 2


def test_a_data_set_that_is_cut_off_is_refused_and_the_whole_one_taken(tmp_path: Path) -> None:
    """Success would let its sender delete it; what was refused is no conflict of what comes."""
    whole = instance("1.2.3", bytes(100_000))
    with imaging(tmp_path) as running, Wire(running.port) as wire:
        wire.associate(context(1, CT, EXPLICIT))
        for missing in (1, 60_000, 100_001):
            assert _store(wire, "1.2.3", bytes(100_000), missing=missing) == 0xC000
        assert stored(tmp_path) == {}
        assert _store(wire, "1.2.3", bytes(100_000)) == 0
        status = running.status()
        assert (status.refused, status.conflicts) == (3, 0)
    assert data_set_of(stored(tmp_path)["1.2.3"][1]) == whole


@pytest.mark.parametrize("sop_class", [VERIFICATION, WORKLIST, STEP_CLASS])
def test_nothing_is_stored_by_a_context_that_is_for_something_else(
    tmp_path: Path, sop_class: str
) -> None:
    with imaging(tmp_path) as running, Wire(running.port) as wire:
        wire.associate(context(1, sop_class, IMPLICIT), context(3, CT, EXPLICIT))
        octets = store("1.2.3", sop_class=sop_class)
        wire.send(data(pdv(1, 3, octets)), data(pdv(1, 2, b"ab")))
        assert wire.status() == 0x0122
        assert _store(wire, "1.2.3", b"ab", number=3) == 0


def test_a_request_that_is_absurdly_large_is_not_decoded(tmp_path: Path) -> None:
    with imaging(tmp_path) as running:
        with Wire(running.port) as wire:
            syntaxes = [f"1.2.840.{n}" for n in range(100, 200)]
            contexts = [context(number, CT, *syntaxes) for number in range(1, 200, 2)]
            assert 128 * 1024 < sum(map(len, contexts)) < 256 * 1024
            assert wire.associate(*contexts)[0] == 7
        with Wire(running.port) as wire:
            assert wire.associate(context(1, CT, EXPLICIT))[0] == 2


@pytest.mark.parametrize(
    "uid",
    [
        *("../../../tmp/x", "/etc/passwd", "1.2/3", "a.b", "", "1." * 40, "1.2\n3", "1.2\0.3"),
        *("1.2.", ".1.2", "1..2", ".."),
    ],
    ids=ascii,
)
def test_a_uid_that_is_none(tmp_path: Path, uid: str) -> None:
    with imaging(tmp_path / "spool") as running, Wire(running.port) as wire:
        wire.associate()
        assert _store(wire, uid, b"ab") == 0x0117
        assert _store(wire, "1.2.3", b"ab") == 0
        assert set(stored(tmp_path / "spool")) == {"1.2.3"}
    assert [path.name for path in tmp_path.iterdir()] == ["spool"]


@pytest.mark.parametrize(
    ("study", "series"),
    [("", SERIES), (None, SERIES), ("..", SERIES), ("1" * 70, SERIES), (STUDY, ""), (STUDY, None)],
)
def test_an_object_of_no_study_is_refused_and_its_sender_keeps_it(
    tmp_path: Path, study: str | None, series: str | None
) -> None:
    """The cloud would keep it where nobody sees it, and the modality would delete its copy."""
    with imaging(tmp_path) as running, Wire(running.port) as wire:
        wire.associate(context(1, CT, EXPLICIT))
        wire.send(data(pdv(1, 3, store("1.2.3"))))
        wire.send(data(pdv(1, 2, instance("1.2.3", bytes(100), study=study, series=series))))
        answer = wire.response()
        assert answer[0x0900] == b"\x00\xc0"
        assert answer[0x0902].strip().endswith(b"Instance UID is missing or no UID")
        assert "no UID" in (running.status().last_trouble or "")
        assert _store(wire, "1.2.4", b"ab") == 0
        assert set(stored(tmp_path)) == {"1.2.4"}


def test_titles_never_name_a_path(tmp_path: Path) -> None:
    with imaging(tmp_path / "spool", ae_title="WARDLIGHT") as running:
        for title in (b"../../etc", b"/tmp/x", b"..", b"$(reboot)"):
            with Wire(running.port) as wire:
                assert wire.associate(calling=title)[0] == 2
                assert _store(wire, "1.2.3", b"ab") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["spool"]
    names = {path.name for path in (tmp_path / "spool").rglob("*")}
    assert not any("etc" in name or "reboot" in name for name in names)


def test_a_full_spool_says_so_and_the_association_goes_on(tmp_path: Path) -> None:
    """A700 before the object is read; what was there stays, and room that comes is used."""
    with imaging(tmp_path, quota_bytes=1 << 20) as running, Wire(running.port) as wire:
        wire.associate(context(1, CT, EXPLICIT), context(3, VERIFICATION, IMPLICIT))
        assert _store(wire, "1.2.1", bytes(700_000)) == 0
        assert _store(wire, "1.2.2", bytes(700_000)) == 0xA700
        assert _store(wire, "1.2.3", bytes(10_000)) == 0
        wire.send(data(pdv(3, 3, command(c=VERIFICATION, f=0x30, m=4, d=0x0101))))
        assert wire.status() == 0
        assert set(stored(tmp_path)) == {"1.2.1", "1.2.3"}
        status = running.status()
        assert (status.stored, status.refused) == (2, 1)
        assert status.last_trouble == "the spool's quota is used up"
        files = (tmp_path / "dicom" / "objects").iterdir()
        assert len([file for file in files if file.suffix != PART]) == 2


def test_the_quota_of_a_sender(tmp_path: Path) -> None:
    with (
        imaging(tmp_path, peers=PEERS, admit_loopback=False) as running,
        Wire(running.port) as wire,
    ):
        wire.associate(calling=b"CT1")
        assert _store(wire, "1.2.1", bytes(1_800_000)) == 0
        assert _store(wire, "1.2.2", bytes(600_000)) == 0xA700


def test_the_reserve_of_the_disk(tmp_path: Path) -> None:
    with imaging(tmp_path, min_free_bytes=1 << 60) as running, Wire(running.port) as wire:
        wire.associate()
        assert _store(wire, "1.2.1", bytes(300_000)) == 0xA700
        # A file that was made ready for what comes next holds nothing of anybody.
        held = list((tmp_path / "dicom" / "objects").iterdir())
        assert all(each.suffix == ".part" and each.stat().st_size < 100 for each in held)


def test_a_refused_object_that_does_not_come_to_its_end(tmp_path: Path) -> None:
    """Its sender is told why before it is hung up."""
    changes = {"min_free_bytes": 1 << 60, "drain_timeout_s": 0.2}
    with imaging(tmp_path, **changes) as running, Wire(running.port) as wire:
        wire.associate()
        wire.send(data(pdv(1, 3, store("1.2.1"))))
        sending = threading.Event()

        def drip() -> None:
            while not sending.wait(0.05):
                wire.send(data(pdv(1, 0, bytes(1_000))))

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert wire.status() == 0xA700
            assert wire.is_over()
        finally:
            sending.set()
            dripping.join()


def test_a_large_refused_object_of_dcmtk_is_a_status(
    tmp_path: Path, peer: Callable[[str], Path]
) -> None:
    """100 MB: storescu reads A700, and the association goes on to the next object."""
    ct = Path(data_manager.__file__).parent / "test_files" / "CT_small.dcm"
    large = dcmread(ct)
    large.PixelData = bytes(100_000_000)
    large.SOPInstanceUID = large.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    large.save_as(tmp_path / "large.dcm")
    settings = {"quota_bytes": 1 << 20}
    with imaging(tmp_path / "data", **settings) as running:
        said = dcmtk(
            peer("storescu"), running.port, tmp_path / "large.dcm", ct, "-nh", TCP_NODELAY="1"
        ).stdout
        assert "A700" in said or "Out" in said, said
        status = running.status()
        assert (status.refused, status.associations_aborted, status.stored) == (1, 0, 1), said


def _requested(wire: Wire, number: int, field: int, sop_class: str, octets: bytes) -> int:
    head = command(c=sop_class, f=field, m=7, d=1, **({"i": "1.2.9"} if field == 0x140 else {}))
    if field == 0x130:
        head = struct.pack("<HHI", 0, 3, len(sop_class) + 1) + sop_class.encode() + b"\0"
        head += command(f=field, m=7, d=1)[12:] + struct.pack("<HHI", 0, 0x1001, 22)
        head += b"1.2.840.10008.1.20.1.1" + struct.pack("<HHIH", 0, 0x1008, 2, 1)
    wire.send(data(pdv(number, 3, head)))
    for at in range(0, len(octets), 200_000):
        part = octets[at : at + 200_000]
        wire.send(data(pdv(number, 2 * (at + 200_000 >= len(octets)), part)))
    return wire.status()


def test_a_request_with_too_large_a_data_set_is_refused_and_the_association_goes_on(
    tmp_path: Path,
) -> None:
    report = PeerSettings(calling_ae="CT1", networks=LOCAL, report_host="127.0.0.1", report_port=9)
    services = (WORKLIST, 0x20, 0xA700), (STEP_CLASS, 0x140, 0x213), (COMMITMENT, 0x130, 0x213)
    with imaging(tmp_path, peers=(report,)) as running, Wire(running.port) as wire:
        contexts = [context(2 * n + 1, each[0], IMPLICIT) for n, each in enumerate(services)]
        wire.associate(*contexts, context(9, VERIFICATION, IMPLICIT), calling=b"CT1")
        for n, (sop_class, field, refusal) in enumerate(services):
            assert _requested(wire, 2 * n + 1, field, sop_class, bytes(6 << 20)) == refusal
            wire.send(data(pdv(9, 3, command(c=VERIFICATION, f=0x30, m=4, d=0x0101))))
            assert wire.status() == 0


def test_an_object_over_the_limit(tmp_path: Path) -> None:
    with imaging(tmp_path, max_object_bytes=1 << 20) as running, Wire(running.port) as wire:
        wire.associate()
        assert _store(wire, "1.2.1", bytes(1_200_000)) == 0xA700
        assert _store(wire, "1.2.2", bytes(1_000_000)) == 0


def test_status_is_told_without_names(tmp_path: Path) -> None:
    with imaging(tmp_path) as running, Wire(running.port) as wire:
        wire.associate(calling=b"SECRETAE")
        assert _store(wire, "1.2.99999", b"ab") == 0
        text = msgspec.json.encode(running.status())
        assert b"SECRETAE" not in text
        assert b"99999" not in text
