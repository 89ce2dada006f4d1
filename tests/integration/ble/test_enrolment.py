"""Enrolling devices while the gateway runs: the daemon and its commands as processes of their own,
the radio a fake BlueZ.
"""

import json
import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from support.ble_visits import WatchedCuff
from support.edge_process import Command, gateway_process, write_settings
from support.waiting import wait_until
from wardlight_lab.bluez import FakeBluez, Pairing, uuid16
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.pulse_oximeter import PulseOximeter

pytestmark = pytest.mark.dbus

PROFILES = {
    "cuff": """
schema = 1
decoder = "blood_pressure"
device = { manufacturer = "generic", model = "cuff" }
transport = { ble = { indicate = ["0x2A35"], read_once = ["0x2A25", "0x2A19"] } }
metric = [{ name = "systolic_bp" }]
""",
    "oximeter": """
schema = 1
decoder = "pulse_oximeter"
device = { manufacturer = "generic", model = "oximeter" }
stream = { block_s = 2 }
metric = [{ name = "spo2" }]
[transport.ble]
notify = ["0x2A5F"]
stay_connected = true
bond = false
idle_timeout_s = 30
""",
}
DIGITS = 123456
LINGER_S = 5  # long enough for all that is read, on a busy machine too
PROMPT = "digits on the device"


def in_range(bluez: FakeBluez, pairing: Pairing, address: str) -> WatchedCuff:
    cuff = WatchedCuff(Equipment(pairing=pairing, passkey=DIGITS))
    cuff.address = address
    cuff.habit.linger = LINGER_S
    bluez.add(cuff)
    return cuff


def shows_digits(bluez: FakeBluez, address: str = "E0:00:00:00:00:01") -> WatchedCuff:
    return in_range(bluez, Pairing.PASSKEY_ENTRY, address)


def shows(cuff: WatchedCuff, serial_number: str) -> None:
    """The cuff is another one, under the same address."""
    value = serial_number.encode()
    cuff.services = tuple(
        replace(
            service,
            characteristics=tuple(
                replace(each, value=value) if each.uuid == uuid16(0x2A25) else each
                for each in service.characteristics
            ),
        )
        for service in cuff.services
    )


def is_bonded(bluez: FakeBluez, cuff: WatchedCuff) -> bool:
    assert bluez._host is not None
    return bluez._host.bonds.has_host_bond(bluez.adapter().address, cuff.address)


@pytest.fixture
def cuff(cuff: WatchedCuff) -> WatchedCuff:
    """A cuff that hangs up late."""
    cuff.habit.linger = LINGER_S
    return cuff


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(tmp_path, PROFILES)


def register(config: Path) -> list[dict[str, object]]:
    text = (config.parent / "data" / "devices.toml").read_text()
    found: list[dict[str, object]] = tomllib.loads(text).get("device", [])
    return found


async def test_a_device_is_enrolled_bound_and_kept_while_others_go_on(
    bluez: FakeBluez, cuff: WatchedCuff, tmp_path: Path
) -> None:
    equipment = Equipment(pairing=Pairing.NONE, advertising_interval_s=0.05)
    oximeter = PulseOximeter("p", PatientVitals("p"), equipment=equipment)
    bluez.add(oximeter)
    listed = oximeter.identity_text
    section = f'[[device]]\nidentity = "{listed}"\nprofile = "oximeter"\n'
    config = write_settings(tmp_path, PROFILES, section)
    identity = cuff.identity_text
    async with gateway_process(config) as gateway:
        await wait_until(lambda: oximeter.link)
        link = oximeter.link
        adding = await Command.start(
            config, "devices", "add", cuff.address.lower(), "--profile", "cuff",
            "--calibration-due", "2020-01-01",
        )  # fmt: skip
        await adding.says("pairing mode")
        cuff.record()
        assert await adding.ends() == 0, adding.text
        assert f"known by its serial number {cuff.identity.serial}" in adding.text
        await gateway.becomes(identity, readings=4, battery_percent=87)
        file = config.parent / "data" / "devices.toml"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        kept = {"identity": identity, "profile": "cuff", "serial_number": cuff.identity.serial}
        assert register(config) == [{**kept, "calibration_due": "2020-01-01"}]
        code, text = await gateway.run("devices", "list", "--json")
        assert code == 0
        rows = {row["identity"]: row for row in json.loads(text)}
        assert rows[identity]["bond"] == "hci0"
        assert rows[identity]["serial_known"]
        assert rows[identity]["origin"] == "enrolled"
        assert rows[identity]["calibration"] == "overdue"
        assert rows[listed]["origin"] == "settings file"
        assert (await gateway.run("status"))[0] == 1, "an overdue calibration is trouble"
        assert (await gateway.run("devices", "set", identity, "--calibration-due", "none"))[0] == 0
        assert register(config) == [kept]
        other = (config.parent / "profiles" / "cuff.toml").read_text()
        (config.parent / "profiles" / "other.toml").write_text(other)
        code, text = await gateway.run("devices", "set", identity, "--profile", "other")
        assert (code, text) == (0, f"{identity}: profile: other from the gateway's next start on\n")
        assert register(config) == [{**kept, "profile": "other"}]
        assert (await gateway.run("devices", "set", identity, "--profile", "nothing"))[0] == 2
        assert (await gateway.devices())[identity]["profile"] == "cuff"
        assert oximeter.link is link, "nobody else's session noticed"
    async with gateway_process(config) as gateway:
        cuff.record()
        await gateway.becomes(identity, readings=4, profile="other")


@pytest.mark.parametrize("pairing", [Pairing.PASSKEY_ENTRY, Pairing.NUMERIC_COMPARISON])
async def test_digits_go_from_the_device_through_the_operator(
    bluez: FakeBluez, config: Path, pairing: Pairing
) -> None:
    cuff = in_range(bluez, pairing, "E0:00:00:00:00:01")
    async with gateway_process(config) as gateway:
        adding = await Command.start(
            config, "devices", "add", cuff.identity_text, "--profile", "cuff"
        )
        await adding.says("pairing mode")
        cuff.record()
        await adding.says(PROMPT)
        adding.type("12345\n000 000\n")
        assert await adding.ends() == 1
        assert "six digits, as the device shows them" in adding.text
        assert "the digits were not those on the device" in adding.text
        assert not is_bonded(bluez, cuff)
        assert register(config)[0]["bind"] == "first-use"

        pairing_anew = await Command.start(config, "devices", "pair", cuff.identity_text)
        await pairing_anew.says("pairing mode")
        await pairing_anew.says(PROMPT)
        pairing_anew.type(f"{DIGITS}\n")
        assert await pairing_anew.ends() == 0, pairing_anew.text
        assert is_bonded(bluez, cuff)
        await gateway.becomes(cuff.identity_text, readings=4)
        assert str(DIGITS) not in gateway.daemon.text, "digits are never logged"


async def test_without_a_window_nobody_is_asked_and_nothing_is_bound(
    bluez: FakeBluez, config: Path
) -> None:
    shy, known = shows_digits(bluez), shows_digits(bluez, "E0:00:00:00:00:02")
    stranger = in_range(bluez, Pairing.JUST_WORKS, "E0:00:00:00:00:03")
    async with gateway_process(config) as gateway:
        for cuff, more in ((shy, []), (known, ["--serial-number", known.identity.serial])):
            arguments = ("add", cuff.identity_text, "--profile", "cuff", "--no-pair", *more)
            code, text = await gateway.run("devices", *arguments)
            assert code == 0, text
            assert f"devices pair {cuff.identity_text}" in text
        for cuff in (shy, known, stranger):
            cuff.record()
        await gateway.becomes(known.identity_text, state="not-paired")
        await gateway.becomes(shy.identity_text, state="unbound")
        status = (await gateway.devices())[shy.identity_text]
        assert status["heard_age_s"] is not None
        assert f"devices pair {shy.identity_text}" in status["reason"]
    assert not shy.done
    assert not stranger.done
    assert not is_bonded(bluez, known)


async def test_another_serial_number_under_a_known_address_is_refused(
    bluez: FakeBluez, cuff: WatchedCuff, config: Path
) -> None:
    del bluez
    async with gateway_process(config) as gateway:
        adding = await Command.start(config, "devices", "add", cuff.address, "--profile", "cuff")
        await adding.says("pairing mode")
        cuff.record()
        assert await adding.ends() == 0, adding.text
        await gateway.becomes(cuff.identity_text, readings=4)
        await wait_until(lambda: cuff.link is None)
        shows(cuff, "ANOTHER-ONE")
        cuff.record()
        await gateway.becomes(cuff.identity_text, state="wrong-device", decode_errors=1)
        assert (await gateway.devices())[cuff.identity_text]["readings"] == 4
    assert list((config.parent / "data" / "quarantine").iterdir())


async def test_a_removed_device_loses_its_bond_and_is_not_heard_any_more(
    bluez: FakeBluez, cuff: WatchedCuff, config: Path
) -> None:
    identity = cuff.identity_text
    async with gateway_process(config) as gateway:
        adding = await Command.start(config, "devices", "add", identity, "--profile", "cuff")
        await adding.says("pairing mode")
        cuff.record()
        assert await adding.ends() == 0, adding.text
        assert is_bonded(bluez, cuff)
        code, text = await gateway.run("devices", "remove", identity, answers="n\n")
        assert (code, "nothing was changed" in text) == (1, True)
        code, text = await gateway.run("devices", "remove", identity, answers="y\n")
        assert code == 0, text
        assert "its bond is dropped" in text
        assert not is_bonded(bluez, cuff)
        assert await gateway.devices() == {}
        visits = cuff.done.count("connected")
        cuff.record()
        for command in ("remove", "pair"):
            code, text = await gateway.run(
                "devices", command, identity, *["--yes"][: command == "remove"]
            )
            assert code == 2, text
        assert cuff.done.count("connected") == visits
        assert register(config) == []
        code, _ = await gateway.run("devices", "add", identity, "--profile", "cuff", "--no-pair")
        assert code == 0
        await gateway.becomes(identity, state="unbound")


async def test_one_operator_at_a_time_and_a_window_ends_with_them(
    bluez: FakeBluez, cuff: WatchedCuff, config: Path
) -> None:
    del bluez
    async with gateway_process(config) as gateway:
        first = await Command.start(config, "devices", "add", cuff.address, "--profile", "cuff")
        await first.says("pairing mode")
        code, text = await gateway.run("repair", cuff.address)
        assert code == 2
        assert "is being paired by somebody else" in text
        first.process.send_signal(2)  # Ctrl-C
        assert await first.ends() == 130
        second = await Command.start(config, "repair", cuff.address, "--seconds", "10")
        await second.says("pairing mode")
        assert await second.ends() == 1
        assert "was not heard in time" in second.text
