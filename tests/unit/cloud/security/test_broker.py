"""Permissions and configurations of the brokers, as text."""

import contextlib
import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.security.broker import BrokerPermissions, nats_subjects
from wardlight_cloud.security.broker_config import BrokerSettings, mosquitto_config, nats_config
from wardlight_cloud.security.broker_reload import (
    BrokerReloadError,
    _may,
    _require_readable,
    broker_pid,
    check_mosquitto_acl,
    reload_broker,
    write_permissions,
)
from wardlight_cloud.security.ca import Credentials
from wardlight_cloud.security.roles import Role

PERMISSIONS = BrokerPermissions(gateways=["gw-a"], collectors=["collector-1"], apis=["api-1"])
OWN = "wl.1.2.gw-a"  # 2 = CRC-32 of "gw-a" modulo 16
OWN_TOPIC = OWN.replace(".", "/")

NATS = f"""\
# Written by Wardlight from its list of gateways. Changes made here are lost.
authorization {{
  timeout: 20
  users: [
    {{ user: "OU=collector,CN=collector-1"
      allowed_connection_types: ["MQTT"]
      permissions: {{
        publish: {{ allow: ["wl.1.*.*.down.>", "wl.1.*.*.down"] }}
        subscribe: {{ allow: ["wl.1.*.*.up.>", "wl.1.*.*.up", "wl.1.*.*.state", "$MQTT.sub.>"] }}
      }} }}
    {{ user: "OU=api,CN=api-1"
      allowed_connection_types: ["MQTT"]
      permissions: {{
        publish: {{ allow: ["wl.1.*.*.down.config", "wl.1.*.*.down.worklist"] }}
        subscribe: {{ deny: ">" }}
      }} }}
    {{ user: "OU=gateway,CN=gw-a"
      allowed_connection_types: ["MQTT"]
      permissions: {{
        publish: {{ allow: ["{OWN}.up.>", "{OWN}.up", "{OWN}.state"] }}
        subscribe: {{ allow: ["{OWN}.down.>", "{OWN}.down", "$MQTT.sub.>"] }}
      }} }}
  ]
}}
"""

MOSQUITTO = f"""\
# Written by Wardlight from its list of gateways. Changes made here are lost.
topic deny #

user collector-1
topic write wl/1/+/+/down/#
topic read wl/1/+/+/up/#
topic read wl/1/+/+/state

user api-1
topic write wl/1/+/+/down/config
topic write wl/1/+/+/down/worklist

user gw-a
topic write {OWN_TOPIC}/up/#
topic write {OWN_TOPIC}/state
topic read {OWN_TOPIC}/down/#
"""

gateway_names = st.from_regex(r"\Agw-[a-z0-9-]{1,28}\Z")


def settings(folder: Path) -> BrokerSettings:
    return BrokerSettings(
        port=8883,
        credentials=Credentials(folder / "c.pem", folder / "k.pem", folder / "ca.crt"),
        permissions_file=folder / "permissions",
        pid_file=folder / "broker.pid",
        store_folder=folder / "store",
    )


def test_nats_authorization() -> None:
    assert PERMISSIONS.nats_authorization() == NATS


def test_mosquitto_acl() -> None:
    assert PERMISSIONS.mosquitto_acl() == MOSQUITTO


def test_nobody_named_is_nobody_let_in(tmp_path: Path) -> None:
    file = tmp_path / "permissions"
    file.write_text(BrokerPermissions().mosquitto_acl())
    check_mosquitto_acl(file)
    assert "users: [\n  ]" in BrokerPermissions().nats_authorization()


@given(st.lists(gateway_names, max_size=8))
def test_the_text_depends_on_the_names_alone(names: list[str]) -> None:
    shuffled = BrokerPermissions(gateways=reversed([*names, *names]))
    assert shuffled == BrokerPermissions(gateways=names)
    assert shuffled.nats_authorization() == BrokerPermissions(gateways=names).nats_authorization()


@given(st.lists(gateway_names, min_size=1, max_size=8, unique=True))
def test_a_gateway_has_rights_in_its_own_subtree_alone(names: list[str]) -> None:
    for rights in BrokerPermissions(gateways=names).rights():
        base = f"wl/1/{crc32(rights.name.encode()) % 16}/{rights.name}/"
        for topic in (*rights.publish, *rights.subscribe):
            assert topic.startswith(base)
            assert "+" not in topic


@pytest.mark.parametrize("name", ["collector-1", "gw/../x", 'gw"', "gw-a\nuser root", "#", "gw.x"])
def test_a_name_that_could_say_more_than_itself_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a gateway"):
        BrokerPermissions(gateways=[name])


@pytest.mark.parametrize(
    ("topic", "subjects"),
    [
        ("a/b", ("a.b",)),
        ("a/+/c", ("a.*.c",)),
        ("a/b/#", ("a.b.>", "a.b")),
    ],
)
def test_nats_subjects(topic: str, subjects: tuple[str, ...]) -> None:
    """NATS documentation, "MQTT", "Topic names and wildcards"."""
    assert nats_subjects(topic) == subjects


def test_nats_config_demands_certificates_on_both_listeners(tmp_path: Path) -> None:
    text = nats_config(settings(tmp_path))
    assert text.count("verify_and_map: true") == 2
    assert text.count('min_version: "1.2"') == 2
    assert text.count("127.0.0.1") == 2
    assert text.count("host: ") == 2
    assert 'include "permissions"' in text


def test_both_brokers_take_the_largest_chunk_of_an_image(tmp_path: Path) -> None:
    assert "max_payload: 524288" in nats_config(settings(tmp_path))
    assert "max_packet_size 524288" in mosquitto_config(settings(tmp_path), user="me")


def test_a_quote_in_a_path_stays_in_the_path(tmp_path: Path) -> None:
    odd = tmp_path / 'a"b'
    assert 'a\\"b/store"' in nats_config(settings(odd))


def test_the_store_grows_with_the_gateways(tmp_path: Path) -> None:
    few = settings(tmp_path)
    many = BrokerSettings(
        port=1,
        credentials=few.credentials,
        permissions_file=few.permissions_file,
        pid_file=few.pid_file,
        store_folder=few.store_folder,
        gateways=1000,
    )
    assert few.store_bytes == 1024**3
    assert many.store_bytes >= 1000 * 16 * 64 * 1024 * 2


def test_mosquitto_config_demands_certificates(tmp_path: Path) -> None:
    lines = mosquitto_config(settings(tmp_path), user="me").splitlines()
    for line in (
        "listener 8883 127.0.0.1",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "allow_anonymous false",
    ):
        assert line in lines


def test_writing_the_same_permissions_again_is_no_change(tmp_path: Path) -> None:
    file = tmp_path / "permissions"
    assert write_permissions(file, MOSQUITTO)
    assert not write_permissions(file, MOSQUITTO)
    assert write_permissions(file, BrokerPermissions().mosquitto_acl())


@pytest.mark.parametrize(
    "text",
    [
        "",
        MOSQUITTO.replace("topic deny #\n", ""),
        MOSQUITTO + "topic readwrite #\n",
        MOSQUITTO + "garbage\n",
        MOSQUITTO + "pattern read #\n",
        MOSQUITTO[:-30] + "\x00",
    ],
)
def test_a_file_we_would_not_write_is_never_loaded(tmp_path: Path, text: str) -> None:
    """mosquitto 2.0.11 answers a broken file by letting everybody do everything."""
    file = tmp_path / "permissions"
    file.write_text(text)
    with pytest.raises(BrokerReloadError, match="write it anew"):
        check_mosquitto_acl(file)


def test_a_missing_file_is_never_loaded(tmp_path: Path) -> None:
    with pytest.raises(BrokerReloadError, match="Cannot read"):
        check_mosquitto_acl(tmp_path / "permissions")


def test_no_broker_is_no_reload(tmp_path: Path) -> None:
    with pytest.raises(BrokerReloadError, match="No broker runs"):
        reload_broker(tmp_path / "broker.pid", lambda: None)


def test_a_number_that_went_to_a_stranger_gets_no_signal(tmp_path: Path) -> None:
    file = tmp_path / "broker.pid"
    file.write_text("1\n")
    with pytest.raises(BrokerReloadError, match="no broker"):
        broker_pid(file)


def test_a_broken_text_never_takes_the_place_of_a_good_one(tmp_path: Path) -> None:
    """Where it stood, a restart or a log rotation's SIGHUP would find it."""
    file = tmp_path / "permissions"
    write_permissions(file, MOSQUITTO)
    with pytest.raises(BrokerReloadError, match="no permission"):
        write_permissions(file, MOSQUITTO + "topic readwrite #\n")
    assert file.read_text() == MOSQUITTO
    assert [each.name for each in tmp_path.iterdir()] == ["permissions"]


def test_new_permissions_keep_the_readers_of_the_old_ones(tmp_path: Path) -> None:
    """mosquitto runs as a user of its own; a file it may no longer read would open the broker."""
    file = tmp_path / "permissions"
    write_permissions(file, MOSQUITTO)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    write_permissions(file, BrokerPermissions().mosquitto_acl())
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@given(st.sets(st.from_regex(r"[a-z0-9-]{3,32}", fullmatch=True).filter(Role.GATEWAY.accepts)))
def test_whatever_gateways_there_are_the_file_is_one_that_we_load(names: set[str]) -> None:
    text = BrokerPermissions(gateways=names, collectors=["collector-1"], apis=["api-1"])
    with TemporaryDirectory() as folder:
        file = Path(folder) / "permissions"
        write_permissions(file, text.mosquitto_acl())
        check_mosquitto_acl(file)


@pytest.mark.parametrize(
    ("mode", "uid", "groups", "expected"),
    [
        (0o600, 7, {7}, True), (0o600, 8, {7}, False), (0o640, 8, {7}, True),
        (0o640, 8, {8}, False), (0o644, 8, {8}, True), (0o044, 7, {7}, False),
        (0o604, 8, {7}, False), (0o000, 0, {0}, True),
    ],
)  # fmt: skip
def test_who_may_read(mode: int, uid: int, groups: set[int], expected: bool) -> None:
    found = os.stat_result((stat.S_IFREG | mode, 0, 0, 1, 7, 7, 0, 0, 0, 0))
    assert _may(found, stat.S_IROTH, uid, groups) == expected


def test_a_broker_that_cannot_read_its_file_is_not_told_to(tmp_path: Path) -> None:
    with pytest.raises(BrokerReloadError, match="cannot use"):
        _require_readable(_process_of_another_account(), _private_file(tmp_path))
    _require_readable(os.getpid(), _private_file(tmp_path))


def _private_file(folder: Path) -> Path:
    file = folder / "permissions"
    file.write_text(MOSQUITTO)
    file.chmod(0o600)
    return file


def _process_of_another_account() -> int:
    """Any process that is neither root's nor ours; skips where there is none."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid not in (0, os.geteuid()):
                return int(process.name)
    pytest.skip("no process of another account runs here")
