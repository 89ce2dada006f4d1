"""Settings of imaging: every mistake is named with its key."""

from pathlib import Path

import pytest

from wardlight_edge.config import parse
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_shared.errors import ConfigError

GOOD = """
gateway = "gw-ward-1"
data_dir = "data"
profiles_dir = "profiles"
[uplink]
host = "broker.example"
ca_file = "ca.pem"
cert_file = "gw.pem"
key_file = "gw.key"
[dicom]
ae_title = "WARD 1"
[dicom.tls]
cert_file = "dicom.pem"
key_file = "dicom.key"
ca_file = "ca.pem"
[[dicom.peer]]
calling_ae = "US1"
networks = ["192.0.2.7", "2001:db8::/32"]
certificate = "us1"
sop_classes = ["1.2.840.10008.5.1.4.1.1.6.1"]
quota_bytes = 1000000
"""


def _parsed(text: str, folder: Path) -> DicomSettings:
    return parse(text, source="edge.toml", folder=folder).dicom


def test_a_site_s_settings(tmp_path: Path) -> None:
    dicom = _parsed(GOOD, tmp_path)
    assert dicom.tls is not None
    assert dicom.tls.key_file == tmp_path / "dicom.key"
    (peer,) = dicom.peers
    assert (peer.calling_ae, peer.quota_bytes) == ("US1", 1_000_000)
    assert not dicom.admit_loopback


def test_without_the_section_nobody_is_admitted(tmp_path: Path) -> None:
    dicom = _parsed(GOOD[: GOOD.index("[dicom]")], tmp_path)
    assert (dicom.peers, dicom.admit_loopback, dicom.port) == ((), False, 11112)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('"WARD 1"', '"A TITLE THAT IS TOO LONG"', "ae_title"),
        ('"WARD 1"', '"WARD\\\\1"', "ae_title"),
        ('"WARD 1"', '" WARD"', "ae_title"),
        ('"US1"', '""', "calling_ae"),
        ('["192.0.2.7", "2001:db8::/32"]', "[]", "networks"),
        ('"192.0.2.7"', '"192.0.2.700"', "192.0.2.700"),
        ('["1.2.840.10008.5.1.4.1.1.6.1"]', '["US"]', "sop_classes"),
        ('certificate = "us1"', 'certificat = "us1"', "certificat"),
        ('ca_file = "ca.pem"\n[[', "[[", "certificate"),
        ("[dicom.tls]", "max_pdu = 9000000\n[dicom.tls]", "max_pdu"),
        ("[dicom.tls]", "port = 70000\n[dicom.tls]", "port"),
    ],
)
def test_mistakes_name_file_and_key(old: str, new: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"edge\.toml") as caught:
        _parsed(GOOD.replace(old, new), tmp_path)
    assert word in str(caught.value)


def test_a_peer_that_is_listed_twice(tmp_path: Path) -> None:
    second = GOOD[GOOD.rindex("[[dicom.peer]]") :]
    with pytest.raises(ConfigError, match="listed twice"):
        _parsed(GOOD + second, tmp_path)
    _parsed(GOOD + second.replace('"us1"', '"us2"'), tmp_path)
