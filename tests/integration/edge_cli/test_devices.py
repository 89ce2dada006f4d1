"""`wardlight-edge devices` without a gateway that runs, and what it prints."""

import json
from datetime import date
from pathlib import Path

import msgspec
import pytest

from support.edge_process import write_settings
from wardlight_edge.cli import main
from wardlight_edge.cli.devices import identity_of
from wardlight_edge.config import load
from wardlight_edge.enrolment import listing
from wardlight_edge.enrolment.calibration import Calibration
from wardlight_edge.enrolment.listing import Row
from wardlight_edge.enrolment.register import Register, held
from wardlight_edge.transports.ble_bonds import Bonds

CUFF = """
schema = 1
decoder = "blood_pressure"
device = { manufacturer = "generic", model = "cuff" }
transport = { ble = { indicate = ["0x2A35"] } }
metric = [{ name = "systolic_bp" }]
"""
LINE = """
schema = 1
decoder = "serial_nonin"
device = { manufacturer = "Nonin", model = "Xpod" }
transport = { serial = { baud = 9600 } }
stream = {}
metric = [{ name = "spo2" }]
"""
LISTED = '[[device]]\nidentity = "serial:bed-1"\nprofile = "line"\nport = "/dev/none"\n'
IDENTITY = "ble:AABBCCDDEEFF"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir(mode=0o700)
    return write_settings(tmp_path, {"cuff": CUFF, "line": LINE}, LISTED)


def devices(config: Path, *arguments: str) -> int:
    return main(["devices", *arguments, "--config", str(config)])


def test_the_file_is_changed_where_no_gateway_runs(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert devices(config, "add", "aa:bb:cc:dd:ee:ff", "--profile", "cuff") == 0
    assert (
        f"when the gateway runs: wardlight-edge devices pair {IDENTITY}" in capsys.readouterr().out
    )
    arguments = ("--profile", "line", "--port", "/dev/serial/by-id/x")
    assert devices(config, "add", "serial:bed-2", *arguments) == 0
    assert devices(config, "set", "serial:bed-2", "--calibration-due", "2020-01-01") == 0
    Bonds(config.parent / "data" / "bonds.json").remember("AA:BB:CC:DD:EE:FF", "hci0")
    capsys.readouterr()
    assert devices(config, "list", "--json") == 0
    shown = capsys.readouterr()
    assert "the gateway does not run" in shown.err
    rows = {row["identity"]: row for row in json.loads(shown.out)}
    assert rows["serial:bed-1"]["origin"] == "settings file"
    assert rows["serial:bed-1"]["serial_known"] is None
    assert rows["serial:bed-2"]["calibration"] == "overdue"
    assert (rows[IDENTITY]["bond"], rows[IDENTITY]["serial_known"]) == ("hci0", False)
    assert devices(config, "remove", IDENTITY, "--yes") == 0
    assert "bluetoothctl remove" in capsys.readouterr().out
    assert IDENTITY not in Register.read(load(config))


def test_another_profile_is_taken_where_it_fits(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = CUFF.replace('model = "cuff"', 'model = "other"')
    (config.parent / "profiles" / "other.toml").write_text(other)
    assert devices(config, "add", IDENTITY, "--profile", "cuff", "--serial-number", "A1") == 0
    before = Register.read(load(config)).enrolled(IDENTITY)
    capsys.readouterr()
    assert devices(config, "set", IDENTITY, "--profile", "other") == 0
    assert capsys.readouterr().out == f"{IDENTITY}: profile: other\n"
    after = Register.read(load(config)).enrolled(IDENTITY)
    assert after == msgspec.structs.replace(before, profile="other")
    arguments = ("--profile", "cuff", "--calibration-due", "2027-03-01")
    assert devices(config, "set", IDENTITY, *arguments) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    for name, message in (("line", "has no [transport.ble]"), ("nothing", "no such profile")):
        assert devices(config, "set", IDENTITY, "--profile", name) == 2
        assert message in capsys.readouterr().err
    assert devices(config, "set", IDENTITY) == 2
    assert "say what: --profile, --calibration-due" in capsys.readouterr().err
    kept = Register.read(load(config)).enrolled(IDENTITY)
    assert kept == msgspec.structs.replace(before, calibration_due=date(2027, 3, 1))


def test_a_device_that_advertises_from_now_on_is_known_by_its_address(config: Path) -> None:
    advertising = """
schema = 1
decoder = "bthome"
device = { manufacturer = "generic", model = "scale" }
transport = { adverts = {} }
metric = [{ name = "body_weight" }]
"""
    (config.parent / "profiles" / "adverts.toml").write_text(advertising)
    assert devices(config, "add", IDENTITY, "--profile", "cuff") == 0
    assert Register.read(load(config)).enrolled(IDENTITY).bind == "first-use"
    assert devices(config, "set", IDENTITY, "--profile", "adverts") == 0
    assert Register.read(load(config)).enrolled(IDENTITY).bind == "address"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", IDENTITY, "--profile", "nothing"), "no such profile"),
        (("add", IDENTITY, "--profile", "line"), "has no [transport.ble]"),
        (("add", "serial:x", "--profile", "line"), "needs the key 'port'"),
        (("add", "serial:x", "--profile", "cuff", "--port", "x"), "no [transport.serial]"),
        (("add", "lan:x", "--profile", "line"), "connect to a port of [lan]"),
        (("add", "bed 7", "--profile", "line"), "devices add: "),
        (("add", "serial:bed-1", "--profile", "line", "--port", "x"), "enrolled already"),
        (("add", IDENTITY, "--profile", "cuff", "--calibration-due", "1.3.27"), "2027-03-01"),
        (("set", IDENTITY, "--calibration-due", "none"), "is not enrolled"),
        (("remove", "serial:bed-1", "--yes"), "is in the settings file"),
    ],
)
def test_what_cannot_be_is_2_and_says_why(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert devices(config, *arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1
    assert not (config.parent / "data" / "devices.toml").exists()


@pytest.mark.parametrize("command", [["devices", "pair"], ["repair"]])
def test_pairing_needs_the_gateway(
    config: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert main([*command, IDENTITY, "--config", str(config)]) == 1
    assert "the gateway does not run" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, IDENTITY, "--seconds", "5"])


def test_a_gateway_that_holds_its_devices_but_does_not_answer(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with held(config.parent / "data"):
        assert devices(config, "add", IDENTITY, "--profile", "cuff") == 1
    assert "is it starting?" in capsys.readouterr().err


def test_root_makes_no_folder_that_the_gateway_could_not_use(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (config.parent / "data").rmdir()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert devices(config, "add", IDENTITY, "--profile", "cuff") == 2
    assert "start the gateway once" in capsys.readouterr().err
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert devices(config, "add", IDENTITY, "--profile", "cuff") == 0


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("aa:bb:cc:dd:ee:ff", IDENTITY),
        ("AA-BB-CC-DD-EE-FF", IDENTITY),
        ("ble:aabbccddeeff", IDENTITY),
        ("serial:bed-3", "serial:bed-3"),
        ("aa:bb", "aa:bb"),
    ],
)
def test_an_address_is_taken_as_people_write_it(text: str, identity: str) -> None:
    assert identity_of(text) == identity


def test_the_table_says_what_is_known() -> None:
    row = Row(
        identity=IDENTITY, profile="cuff", origin="enrolled", state="waiting", bond="",
        serial_known=True, last_seen_s=65, battery_percent=80, calibration_due=date(2027, 3, 1),
        calibration=Calibration.DUE,
    )  # fmt: skip
    bare = msgspec.structs.replace(
        row, state=None, bond=None, serial_known=None, battery_percent=None, calibration_due=None
    )
    heading, first, second = listing.table([row, bare]).splitlines()
    assert heading.split() == [word for name in listing.HEADINGS for word in name.split()]
    for word in ("none", "known", "1 min ago", "80 %", "2027-03-01 due"):
        assert word in first
    assert second.split()[3:] == ["-"] * 6
    assert "devices add" in listing.table([])
