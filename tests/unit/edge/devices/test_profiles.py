"""Every profile of firmware-configs fits its decoder and the table its README shows."""

import re
from pathlib import Path

import msgspec
import pytest

from support.tree import ROOT
from wardlight_edge import devices
from wardlight_edge.sessions.decoding import OWN_OPTIONS
from wardlight_shared import profile
from wardlight_shared.profile import Profile

FOLDER = ROOT / "firmware-configs"
FILES = sorted(FOLDER.glob("*.toml"))
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def _parsed(file: Path) -> Profile:
    return profile.parse(file.read_text(encoding="utf-8"), source=file.name)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_decoder_reads_what_the_profile_subscribes(file: Path) -> None:
    parsed = _parsed(file)
    if parsed.transport.ble is None:
        return
    readable = devices.load_gatt(parsed.decoder).CHARACTERISTICS
    subscribed = {*parsed.transport.ble.indicate, *parsed.transport.ble.notify}
    assert subscribed
    assert subscribed <= set(readable)
    read = set(parsed.transport.ble.read_once)
    decoder = devices.load_gatt(parsed.decoder)
    site = {decoder.SITE_CHARACTERISTIC} if isinstance(decoder, devices.SitedDecoder) else set()
    assert read <= set(devices.COMPANIONS) | site
    assert not read & subscribed, "bluetoothd delivers a read of a subscribed value twice"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_device_that_advertises_has_a_decoder_for_it_and_no_blocks(file: Path) -> None:
    parsed = _parsed(file)
    reads_adverts = isinstance(devices.load(parsed.decoder), devices.AdvertDecoder)
    assert reads_adverts is (parsed.transport.adverts is not None)
    assert not reads_adverts or parsed.stream is None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_decoder_takes_the_options(file: Path) -> None:
    parsed = _parsed(file)
    own = {name: parsed.options[name] for name in parsed.options.keys() - OWN_OPTIONS}
    decoder = devices.load(parsed.decoder)
    if hasattr(decoder, "conversation"):
        decoder.conversation(own)
    elif parsed.transport.serial is not None:
        devices.load_serial(parsed.decoder).framer(own)
    elif parsed.transport.adverts is not None:
        devices.load_advert(parsed.decoder).receiver(bytes(6), None, options=own)
    elif isinstance(decoder, devices.DialogueDecoder):
        decoder.dialogue(own, {})
    else:
        assert not own


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_device_of_a_service_advertises_it(file: Path) -> None:
    parsed = _parsed(file)
    if parsed.transport.ble is not None or parsed.transport.adverts is not None:
        assert parsed.match.ble is not None
        assert parsed.match.ble.service is not None


def test_generic_profiles_match_by_service_alone() -> None:
    for file in FILES:
        parsed = _parsed(file)
        if parsed.device.manufacturer == "generic" and parsed.match.ble is not None:
            assert parsed.match.ble.name_prefix is None
            assert parsed.match.info is None


def test_readme_shows_each_profile_as_it_is() -> None:
    rows = re.findall(
        r"^\| \[([\w-]+)\]\(\1\.toml\) \| (.+?) \| (.+?) \| `(\w+)` \|$", README, re.M
    )
    shown = {name: (device, way, decoder) for name, device, way, decoder in rows}
    assert shown == {file.stem: _row(_parsed(file)) for file in FILES}


def _row(parsed: Profile) -> tuple[str, str, str]:
    way = "capture"
    if parsed.transport.serial is not None:
        way = "serial"
    elif parsed.transport.lan is not None:
        way = "LAN"
    elif parsed.match.ble is not None:
        way = f"BLE {parsed.match.ble.service}"
    return f"{parsed.device.manufacturer} {parsed.device.model}", way, parsed.decoder


@pytest.mark.parametrize("option", sorted(OWN_OPTIONS))
def test_readme_describes_the_options_of_a_session(option: str) -> None:
    assert f"`{option}`" in README


@pytest.mark.parametrize(
    "section",
    re.findall(r"^class (\w+)\(_Strict", Path(profile.__file__).read_text(encoding="utf-8"), re.M),
)
def test_readme_describes_every_key(section: str) -> None:
    struct = getattr(profile, section)
    keys = {field.encode_name for field in msgspec.structs.fields(struct)}
    tables = {
        "ble",
        "info",
        "adverts",
        "serial",
        "lan",
        "device",
        "match",
        "transport",
        "stream",
        "metric",
        "options",
    }
    undescribed = [key for key in keys - tables if f"`{key}`" not in README]
    assert not undescribed
