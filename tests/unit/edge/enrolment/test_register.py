"""Who belongs to a gateway, written down: the file, its rights, and what is refused."""

import stat
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.edge_settings import settings_for
from wardlight_edge.config import DeviceSettings, UserSettings, parse_devices
from wardlight_edge.enrolment.register import (
    Origin,
    Register,
    RegisterBusyError,
    held,
    merged,
)
from wardlight_edge.enrolment.toml_text import text_of
from wardlight_shared.errors import ConfigError, StorageError

CUFF = DeviceSettings(identity="ble:AABBCCDDEEFF", profile="cuff", bind="first-use")
BED = DeviceSettings(identity="serial:bed-3", profile="line", port="/dev/serial/by-id/usb-x")

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_files = _text.map(lambda text: Path("/x", text.replace("\x00", "").replace("~", "")))
_users = st.builds(UserSettings, index=st.integers(0, 254), consent_code_file=_files)
_devices = st.builds(
    DeviceSettings,
    identity=st.from_regex(r"ble:[0-9A-F]{12}", fullmatch=True),
    profile=st.just("cuff"),
    serial_number=st.none() | _text,
    calibration_due=st.none() | st.dates(),
    bind_key_file=st.none() | _files,
    speed=st.floats(0, 10),
    users=st.lists(_users, max_size=3, unique_by=lambda user: user.index).map(tuple),
)


@given(st.lists(_devices, max_size=4, unique_by=lambda device: device.identity))
def test_what_is_written_is_read_again(devices: list[DeviceSettings]) -> None:
    text = text_of(devices, "heading")
    assert parse_devices(text, source="x", folder=Path("/x")) == tuple(devices)


def test_enrolled_devices_come_after_those_of_the_settings(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, BED)
    register = Register.read(settings)
    register.add(CUFF)
    file = tmp_path / "devices.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.identity for each in merged(settings).devices] == [BED.identity, CUFF.identity]
    assert register.origin(BED.identity) is Origin.SETTINGS
    assert register.origin(CUFF.identity) is Origin.ENROLLED
    due = msgspec.structs.replace(CUFF, calibration_due=date(2027, 3, 1))
    register.replace(due)
    assert Register.read(settings).enrolled(CUFF.identity) == due
    register.remove(CUFF.identity)
    assert Register.read(settings).devices == (BED,)


def test_what_cannot_be_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    register = Register.read(settings_for(tmp_path, BED))
    register.add(CUFF)
    before = (tmp_path / "devices.toml").read_bytes()
    with pytest.raises(ConfigError, match=r"enrolled already \(enrolled\)"):
        register.add(CUFF)
    with pytest.raises(ConfigError, match=r"enrolled already \(settings file\)"):
        register.add(BED)
    for change in (register.remove, register.enrolled):
        with pytest.raises(ConfigError, match="is in the settings file: change its"):
            change(BED.identity)
        with pytest.raises(ConfigError, match="not enrolled"):
            change("ble:000000000000")
    with pytest.raises(ConfigError, match="needs the key 'port'"):
        register.add(DeviceSettings(identity="serial:x", profile="line"))
    assert (tmp_path / "devices.toml").read_bytes() == before


def test_a_device_in_both_files_names_both(tmp_path: Path) -> None:
    Register.read(settings_for(tmp_path)).add(CUFF)
    listed = DeviceSettings(identity=CUFF.identity, profile="cuff")
    with pytest.raises(ConfigError, match=r"in the settings file and in .*devices\.toml"):
        Register.read(settings_for(tmp_path, listed))


@pytest.mark.parametrize("octets", [b"\xff", b"[[device]]", b'gateway = "x"', b"[[device"])
def test_a_damaged_file_is_named(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "devices.toml").write_bytes(octets)
    with pytest.raises(ConfigError, match=r"devices\.toml"):
        Register.read(settings_for(tmp_path))


def test_a_disk_in_trouble_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register = Register.read(settings_for(tmp_path))

    def fail(file: Path, octets: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wardlight_edge.sessions.private_file.replace", fail)
    with pytest.raises(StorageError, match=r"devices\.toml: not written \(No space"):
        register.add(CUFF)
    assert CUFF.identity not in register


def test_one_at_a_time_may_change_it(tmp_path: Path) -> None:
    with held(tmp_path):
        with pytest.raises(RegisterBusyError), held(tmp_path):
            pass
        with pytest.raises(RegisterBusyError), held(tmp_path, wait_s=0.15):
            pass
    with held(tmp_path):
        pass
    with pytest.raises(ConfigError, match="use the account of the gateway"), held(tmp_path / "no"):
        pass
