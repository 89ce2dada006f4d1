"""Which adapter holds the bond with which device."""

from pathlib import Path

import pytest

from wardlight_edge.transports.ble_bonds import Bonds
from wardlight_shared.errors import ConfigError

ADDRESS = "E0:00:00:00:00:01"


def test_bonds_outlive_the_process(tmp_path: Path) -> None:
    file = tmp_path / "data" / "bonds.json"
    bonds = Bonds(file)
    assert bonds.adapter_of(ADDRESS) is None
    bonds.remember(ADDRESS, "hci1")
    assert file.stat().st_mode & 0o777 == 0o600
    assert Bonds(file).adapter_of(ADDRESS) == "hci1"
    bonds.forget(ADDRESS)
    bonds.forget(ADDRESS)
    assert Bonds(file).adapter_of(ADDRESS) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b"\xff"])
def test_a_damaged_file_is_an_error_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    """Guessing would pair devices anew that an operator bonded."""
    file = tmp_path / "bonds.json"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="remove it"):
        Bonds(file)
