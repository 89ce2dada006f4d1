import stat
from pathlib import Path

import pytest

from wardlight_lab.bluez import EmulationError
from wardlight_lab.bluez.bonds import BondStore, HostBond

ADAPTER, DEVICE = "02:57:4C:00:00:00", "C0:00:00:00:00:01"
ABOUT = HostBond("", "cuff", "random", ["1810"])


def test_a_bond_is_there_after_a_restart(tmp_path: Path) -> None:
    BondStore(tmp_path).bond(ADAPTER, DEVICE, ABOUT)
    again = BondStore(tmp_path)
    assert again.fits(ADAPTER, DEVICE)
    assert again.of_adapter(ADAPTER)[DEVICE].name == "cuff"
    assert stat.S_IMODE((tmp_path / "bonds.json").stat().st_mode) == 0o600


def test_a_device_that_was_reset_does_not_fit_its_adapter_any_more(tmp_path: Path) -> None:
    store = BondStore(tmp_path)
    store.bond(ADAPTER, DEVICE, ABOUT)
    store.reset_device(DEVICE)
    assert not store.fits(ADAPTER, DEVICE)
    assert store.has_host_bond(ADAPTER, DEVICE)
    store.bond(ADAPTER, DEVICE, ABOUT)
    store.forget_device(ADAPTER, DEVICE)
    assert not BondStore(tmp_path).fits(ADAPTER, DEVICE)


def test_two_bonds_have_two_keys() -> None:
    store = BondStore(None)
    store.bond(ADAPTER, DEVICE, ABOUT)
    first = store.of_adapter(ADAPTER)[DEVICE].key
    store.bond(ADAPTER, DEVICE, ABOUT)
    assert store.of_adapter(ADAPTER)[DEVICE].key != first


def test_cccds_are_remembered_with_the_bond_only(tmp_path: Path) -> None:
    store = BondStore(tmp_path)
    store.remember_subscribed(ADAPTER, DEVICE, {"2a35"})
    assert store.device_bond(ADAPTER, DEVICE) is None
    store.bond(ADAPTER, DEVICE, ABOUT)
    store.remember_subscribed(ADAPTER, DEVICE, {"2a35"})
    bond = BondStore(tmp_path).device_bond(ADAPTER, DEVICE)
    assert bond is not None
    assert bond.subscribed == ["2a35"]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bonds.json").write_text('{"adapters": 3}')
    with pytest.raises(EmulationError, match=r"bonds\.json.*remove the file"):
        BondStore(tmp_path)
