from pathlib import Path

import pytest

from wardlight_lab.bluez import LIFELIKE, Pairing
from wardlight_lab.devices import Ledger
from wardlight_lab.devices.record_access import RecordAccessDevice
from wardlight_lab.devices.scenario import WARD, ScenarioError, build, read_scenario
from wardlight_lab.serialport.scenario import WARD as PORT_WARD
from wardlight_lab.serialport.scenario import read_scenario as read_ports


def test_the_ward_has_three_patients_or_more_and_every_vital_sign() -> None:
    scenario = read_scenario(WARD)
    assert len({each.patient for each in scenario.device}) >= 3
    assert {each.kind for each in scenario.device} == {
        "blood_pressure_cuff",
        "heart_rate_strap",
        "pulse_oximeter",
        "spot_pulse_oximeter",
        "thermometer",
        "weight_scale",
    }
    assert scenario.durations is LIFELIKE
    assert [each.protocol.value for each in read_ports(PORT_WARD).port] == ["nonin-df2"]


def test_identities_are_lasting_and_their_own(tmp_path: Path) -> None:
    path = tmp_path / "ward.toml"
    path.write_text(
        '[[device]]\nkind = "thermometer"\npatient = "a"\n'
        '[[device]]\nkind = "thermometer"\npatient = "b"\n'
        '[[device]]\nkind = "weight_scale"\npatient = "a"\naddress = "c0:de:00:00:00:07"\n'
    )
    once, again = (build(read_scenario(path), Ledger()) for _ in range(2))
    addresses = [each.address for each in once]
    assert addresses == [each.address for each in again]
    assert len(set(addresses)) == 3
    assert addresses[2] == "C0:DE:00:00:00:07"
    assert all(int(each[:2], 16) & 0xC0 == 0xC0 for each in addresses)  # random static


def test_devices_that_keep_their_records(tmp_path: Path) -> None:
    path = tmp_path / "stored.toml"
    kinds = ("glucose_meter", "glucose_sensor", "stored_oximeter")
    path.write_text(
        "".join(f'[[device]]\nkind = "{each}"\npatient = "a"\nevery_s = 5\n' for each in kinds)
    )
    for device in build(read_scenario(path), Ledger()):
        assert isinstance(device, RecordAccessDevice)
        assert device.access.measures_every == 5
        device.measure()
        assert len(device.memory) == 1


def test_json_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(
        '{"timing": "instant", "device": [{"kind": "pulse_oximeter", "patient": "a",'
        ' "pairing": "passkey_entry", "passkey": 123456}]}'
    )
    (device,) = build(read_scenario(path), Ledger())
    assert (device.pairing, device.passkey) == (Pairing.PASSKEY_ENTRY, 123456)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[device]]\nkind = 'toaster'\npatient = 'a'", "toaster"),
        ("[[device]]\nkind = 'thermometer'", "patient"),
        ("[[device]]\nkind = 'thermometer'\npatient = 'a'\nevery_s = -1", "every_s"),
        ("device = []\n[patient.a]\nsystole = 3", "systole"),
        ("device = [", r"bad\.toml"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=complaint):
        build(read_scenario(path), Ledger())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.toml"):
        read_scenario(tmp_path / "none.toml")
    with pytest.raises(ScenarioError, match=r"none\.toml"):
        read_ports(tmp_path / "none.toml")
