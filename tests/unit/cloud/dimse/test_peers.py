"""Who comes from where; what a STOW-RS service's answer proves; heads of files; pauses."""

import json
from pathlib import Path
from typing import Any

import pytest

from wardlight_cloud.dimse.forwarder import pause_s
from wardlight_cloud.dimse.nodes import comes_from
from wardlight_cloud.dimse.pacs import pacs_node
from wardlight_cloud.dimse.stow import StowRefusedError, bearer_token, check_answer
from wardlight_cloud.store.forwarding import DicomNode, ForwardTarget
from wardlight_shared.errors import ConfigError

UID = "1.2.3.4"


@pytest.mark.parametrize(
    ("address", "networks", "is_in"),
    [
        ("192.0.2.7", ["192.0.2.7"], True),
        ("192.0.2.8", ["192.0.2.7"], False),
        ("192.0.2.8", ["198.51.100.0/24", "192.0.2.0/28"], True),
        ("::ffff:192.0.2.7", ["192.0.2.7"], True),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("192.0.2.7", ["pacs.example"], False),
        ("192.0.2.7", [], False),
    ],
)
def test_addresses(address: str, networks: list[str], is_in: bool) -> None:
    assert comes_from(address, networks) is is_in


def answer(*, stored: tuple[str, ...] = (), reason: int | None = None) -> bytes:
    said: dict[str, Any] = {}
    if stored:
        items = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in stored]
        said["00081199"] = {"vr": "SQ", "Value": items}
    if reason is not None:
        failed = {"00081155": {"vr": "UI", "Value": [UID]}, "00081197": {"Value": [reason]}}
        said["00081198"] = {"vr": "SQ", "Value": [failed]}
    return json.dumps(said).encode()


@pytest.mark.parametrize("status", [200, 202])
def test_an_instance_is_stored_when_the_answer_names_it(status: int) -> None:
    check_answer(status, answer(stored=("9.9", UID)), UID)


@pytest.mark.parametrize(
    ("status", "said", "text", "is_final"),
    [
        (200, b"{}", "does not name", False),
        (200, b"", "without DICOM JSON", False),
        (200, answer(stored=("9.9",)), "does not name", False),
        (202, answer(stored=(UID,), reason=0xA700), "0xa700", False),
        (409, answer(reason=0xC122), "0xc122", False),
        (401, b"", "401", False),
        (503, b"", "503", False),
        (415, b"", "415", True),
    ],
)
def test_everything_else_is_a_refusal(status: int, said: bytes, text: str, is_final: bool) -> None:
    with pytest.raises(StowRefusedError, match=text) as raised:
        check_answer(status, said, UID)
    assert raised.value.is_final is is_final


def test_a_token_is_read_from_where_the_rule_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n")
    file.chmod(0o600)
    target = ForwardTarget(url="https://pacs.example", token_file=str(file))
    assert bearer_token(target) == "abc"
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        bearer_token(target)
    named = ForwardTarget(url="https://pacs.example", token_env="PACS_TOKEN")
    monkeypatch.delenv("PACS_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="PACS_TOKEN"):
        bearer_token(named)
    monkeypatch.setenv("PACS_TOKEN", "def")
    assert bearer_token(named) == "def"
    assert bearer_token(ForwardTarget(url="https://pacs.example")) is None


def test_pauses_grow_to_an_hour() -> None:
    assert [pause_s(attempts) for attempts in (1, 2, 3, 9, 10, 1000)] == [
        10, 20, 40, 2560, 3600, 3600,
    ]  # fmt: skip


def test_the_address_of_a_pacs() -> None:
    node = pacs_node("ae://OLD PACS@[::1]:11112")
    assert isinstance(node, DicomNode)
    assert (node.ae_title, node.host, node.port) == ("OLD PACS", "::1", 11112)
    assert pacs_node("ae://OLD PACS") == "OLD PACS"
    for wrong in (
        "ae://",
        "ae://A@host",
        "ae://@host:1",
        "ae://A@host:70000",
        "http://host",
        "ae://A\\B@h:1",
    ):
        with pytest.raises(ConfigError):
            pacs_node(wrong)
