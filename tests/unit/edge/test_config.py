"""Settings of the edge: every mistake is named with its key."""

from pathlib import Path

import pytest

from wardlight_edge.config import load, parse
from wardlight_shared.errors import ConfigError

GOOD = """
gateway = "gw-ward-1"
data_dir = "data"
profiles_dir = "/etc/wardlight/profiles"
[uplink]
host = "broker.example"
ca_file = "pki/ca.pem"
cert_file = "pki/gw.pem"
key_file = "pki/gw.key"
[[device]]
identity = "ble:AABBCCDDEEFF"
profile = "generic-blood-pressure"
[[device]]
identity = "serial:bed-3"
profile = "nonin-xpod-df2"
port = "/dev/serial/by-id/usb-x"
"""


def test_relative_paths_belong_to_the_file(tmp_path: Path) -> None:
    settings = parse(GOOD, source="edge.toml", folder=tmp_path)
    assert settings.data_dir == tmp_path / "data"
    assert settings.uplink.ca_file == tmp_path / "pki/ca.pem"
    assert settings.profiles_dir == Path("/etc/wardlight/profiles")
    assert [device.identity for device in settings.devices][1] == "serial:bed-3"


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('gateway = "gw-ward-1"', 'gateway = "GW 1"', "gateway"),
        ('host = "broker.example"', 'hots = "x"', "hots"),
        ('host = "broker.example"', "", "host"),
        ('host = "broker.example"', 'host = ""', "uplink.host"),
        ('host = "broker.example"', 'host = "my broker"', "uplink.host"),
        ('"ble:AABBCCDDEEFF"', '"ble:aabbccddeeff"', "device"),
        ('"ble:AABBCCDDEEFF"', '"serial:bed-3"', "twice"),
        ('port = "/dev/serial/by-id/usb-x"', "", "'port'"),
        ("[uplink]", "[uplink", "edge.toml"),
        ('data_dir = "data"', "data_dir = 7", "data_dir"),
    ],
)
def test_mistakes_name_file_and_key(old: str, new: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"edge\.toml") as caught:
        parse(GOOD.replace(old, new), source="edge.toml", folder=tmp_path)
    assert word in str(caught.value)


def test_two_devices_on_one_serial_port(tmp_path: Path) -> None:
    second = GOOD[GOOD.rindex("[[device]]") :].replace("bed-3", "bed-4")
    with pytest.raises(ConfigError, match="serial:bed-4 has the port of serial:bed-3"):
        parse(GOOD + second, source="edge.toml", folder=tmp_path)


USERS = """
[[device.users]]
index = 1
consent_code_file = "one.code"
[[device.users]]
index = 2
consent_code_file = "two.code"
"""


def test_a_scale_has_users_with_a_code_file_each(tmp_path: Path) -> None:
    scale = parse(GOOD + USERS, source="edge.toml", folder=tmp_path).devices[-1]
    assert [user.index for user in scale.users] == [1, 2]
    assert scale.users[0].consent_code_file == tmp_path / "one.code"


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("index = 2", "index = 1", "twice"),
        ("index = 2", "index = 255", "254"),
        ("index = 2", "", "index"),
        ('consent_code_file = "two.code"', "consent_code = 1234", "consent_code"),
    ],
)
def test_users_that_cannot_be(old: str, new: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=word):
        parse(GOOD + USERS.replace(old, new), source="edge.toml", folder=tmp_path)


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_bytes(b'gateway = "\xff"')
    with pytest.raises(ConfigError, match=r"edge\.toml: not UTF-8 \(byte 11\)"):
        load(file)


def test_missing_file_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config"):
        load(tmp_path / "none.toml")


def test_key_file_comes_from_the_environment_alone(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(GOOD)
    assert load(file, {}).key_file is None
    settings = load(file, {"WARDLIGHT_KEY_FILE": "/run/credentials/key"})
    assert settings.key_file == Path("/run/credentials/key")
