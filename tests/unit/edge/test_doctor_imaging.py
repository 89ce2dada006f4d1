"""What ``doctor`` says of the DICOM services."""

import socket
import time
from pathlib import Path

import msgspec
import pytest

from support.dicom_tls import TlsAuthority
from support.edge_settings import settings_for
from wardlight_edge import doctor, doctor_imaging, imaging_status
from wardlight_edge.config import Settings
from wardlight_edge.imaging_settings import (
    DicomSettings,
    PeerSettings,
    TlsSettings,
    WorklistSettings,
)
from wardlight_edge.imaging_status import ImagingStatus

HERE = ("127.0.0.1",)
CT1 = PeerSettings(calling_ae="CT1", networks=HERE, report_host="127.0.0.1")


def _settings(folder: Path, **changes: object) -> Settings:
    dicom = msgspec.structs.replace(
        DicomSettings(port=0, peers=(CT1,), min_free_bytes=0), **changes
    )
    return msgspec.structs.replace(settings_for(folder), dicom=dicom)


def _found(settings: Settings, what: str) -> tuple[bool, str]:
    (found,) = [each for each in doctor_imaging.imaging(settings) if each.what == what]
    return found.good, found.text


def test_a_gateway_without_imaging_is_not_asked_for_it(tmp_path: Path) -> None:
    plain = settings_for(tmp_path)
    assert not [each for each in doctor.examine(plain) if each.what.startswith("dicom")]
    (tmp_path / "dicom").mkdir(mode=0o700)
    assert [each.what for each in doctor.examine(plain) if each.what.startswith("dicom")]


def test_who_is_admitted(tmp_path: Path) -> None:
    assert _found(_settings(tmp_path), "dicom.peer") == (True, "1 admitted")
    closed = _found(_settings(tmp_path, peers=()), "dicom.peer")
    assert closed[0] is False
    assert "nobody will be admitted" in closed[1]
    assert _found(_settings(tmp_path, peers=(), admit_loopback=True), "dicom.peer")[0]


def test_the_port_is_free_taken_or_ours(tmp_path: Path) -> None:
    good, text = _found(_settings(tmp_path), "dicom.port")
    assert (good, "start `wardlight-edge dicom`" in text) == (False, True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = _settings(tmp_path, port=other.getsockname()[1])
        good, text = _found(taken, "dicom.port")
        assert (good, "cannot be listened on" in text) == (False, True)
        (tmp_path / "dicom").mkdir()
        now_ms = int(time.time() * 1000)
        status = ImagingStatus(
            port=taken.dicom.port, started_ms=now_ms, updated_ms=now_ms, memory_bytes=1,
            free_bytes=1, quota_bytes=1,
        )  # fmt: skip
        imaging_status.write(tmp_path, status)
        assert _found(taken, "dicom.port")[0]
        late = msgspec.structs.replace(status, updated_ms=now_ms - 120_000)
        imaging_status.write(tmp_path, late)
        assert not _found(taken, "dicom.port")[0]


def test_tls_files(tmp_path: Path) -> None:
    assert _found(_settings(tmp_path), "dicom.tls")[0]
    own = TlsAuthority(tmp_path).peer("own")
    files = TlsSettings(cert_file=own.certificate, key_file=own.key)
    good, text = _found(_settings(tmp_path, tls=files), "dicom.tls")
    assert (good, "put a new one there" in text) == (False, True), "it ends tomorrow"
    own.key.chmod(0o644)
    good, text = _found(_settings(tmp_path, tls=files), "dicom.tls")
    assert (good, "chmod 600" in text) == (False, True)


def test_folder_and_disk(tmp_path: Path) -> None:
    assert _found(_settings(tmp_path), "dicom folder")[0]
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom").chmod(0o750)
    good, text = _found(_settings(tmp_path), "dicom folder")
    assert (good, "chmod 700" in text) == (False, True)
    assert _found(_settings(tmp_path), "dicom disk")[0]
    good, text = _found(_settings(tmp_path, min_free_bytes=1 << 60), "dicom disk")
    assert (good, "images are refused" in text) == (False, True)


def test_the_clock_counts_where_the_site_refuses_old_worklists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = _settings(tmp_path, worklist=WorklistSettings(when_stale="refuse"))
    for reading, good in ((None, False), (5, True)):
        monkeypatch.setattr(doctor_imaging, "kernel_clock", lambda told=reading: told)
        assert _found(refusing, "dicom clock")[0] is good
        assert _found(_settings(tmp_path), "dicom clock")[0]


def test_places_of_reports_resolve(tmp_path: Path) -> None:
    assert _found(_settings(tmp_path), "dicom.peer CT1")[0]
    away = msgspec.structs.replace(CT1, report_host="no-such-host.invalid")
    good, text = _found(_settings(tmp_path, peers=(away,)), "dicom.peer CT1")
    assert (good, "does not resolve" in text) == (False, True)
