"""The tutorial docs/add-a-device.md is executed: its decoder, vectors, profile and settings run."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.tree import ROOT
from support.vectors import Case, expected, octets, seen
from wardlight_edge import config, devices, profiles
from wardlight_shared.errors import DecodeError

PAGE = ROOT / "docs" / "add-a-device.md"
FIELDS = ("In", "Out", "Errors", "Source", "Vectors")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's blocks, each where its first line says."""
    folder = tmp_path_factory.mktemp("tutorial")
    blocks = re.findall(
        r"^```(?:python|toml)\n# (\S+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    assert len(blocks) == 4
    for name, text in blocks:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def decoder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[devices.GattDecoder]:
    """The decoder, loaded as the program loads its own: by the name in the profile."""
    monkeypatch.setattr(
        devices, "__path__", [*devices.__path__, str(tree / "edge/wardlight_edge/devices")]
    )
    devices.load.cache_clear()
    yield devices.load_gatt("acme_px1")
    devices.load.cache_clear()


def vectors(tree: Path) -> list[Case]:
    cases: list[Case] = tomllib.loads((tree / "tests/vectors/acme_px1.toml").read_text())["case"]
    return cases


def test_decoder_gives_what_the_vectors_say(decoder: devices.GattDecoder, tree: Path) -> None:
    cases = vectors(tree)
    assert len(cases) >= 3
    for case in cases:
        assert case["source"]
        if "error" in case:
            with pytest.raises(DecodeError, match=case["error"]):
                decoder.decode(case["characteristic"], octets(case))
        else:
            readings = decoder.decode(case["characteristic"], octets(case))
            assert [seen(reading) for reading in readings] == [
                expected(entry) for entry in case["expect"]
            ], case["name"]


def test_decoder_refuses_every_other_length(decoder: devices.GattDecoder, tree: Path) -> None:
    for case in vectors(tree):
        whole = octets(case)
        for cut in (*(whole[:length] for length in range(len(whole))), whole + b"\0"):
            with pytest.raises(DecodeError):
                decoder.decode(case["characteristic"], cut)


def test_decoder_s_docstring_is_the_contract(tree: Path) -> None:
    text = (tree / "edge/wardlight_edge/devices/acme_px1.py").read_text()
    assert all(re.search(rf"^{field} +\S", text, re.MULTILINE) for field in FIELDS)


def test_profile_and_settings_fit_the_decoder(decoder: devices.GattDecoder, tree: Path) -> None:
    found = profiles.load(tree / "firmware-configs", ["acme-px1"])["acme-px1"]
    assert found.decoder == "acme_px1"
    assert found.transport.ble is not None
    assert set(found.transport.ble.notify) <= decoder.CHARACTERISTICS.keys()
    head = (
        'gateway = "gw-1"\ndata_dir = "d"\nprofiles_dir = "firmware-configs"\n[uplink]\n'
        'host = "h"\nca_file = "c"\ncert_file = "c"\nkey_file = "k"\n'
    )
    settings = config.parse(
        head + (tree / "edge.toml").read_text(), source="edge.toml", folder=tree
    )
    assert settings.devices[0].profile == "acme-px1"
