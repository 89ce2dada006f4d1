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
README = (FOLDER / "README.md").read_text(encoding="utf-8")


PROFILES = {
    file.stem: profile.parse(file.read_text(encoding="utf-8"), source=file.name)
    for file in sorted(FOLDER.glob("*.toml"))
}


def test_the_decoder_reads_what_the_profile_subscribes() -> None:
    for name, parsed in PROFILES.items():
        if parsed.transport.ble is None:
            continue
        decoder = devices.load_gatt(parsed.decoder)
        subscribed = {*parsed.transport.ble.indicate, *parsed.transport.ble.notify}
        assert subscribed, name
        assert subscribed <= set(decoder.CHARACTERISTICS), name
        read = set(parsed.transport.ble.read_once)
        site = {decoder.SITE_CHARACTERISTIC} if isinstance(decoder, devices.SitedDecoder) else set()
        assert read <= set(devices.COMPANIONS) | site, name
        assert not read & subscribed, f"{name}: bluetoothd delivers such a read twice"


def test_a_device_that_advertises_has_a_decoder_for_it_and_no_blocks() -> None:
    for name, parsed in PROFILES.items():
        reads_adverts = isinstance(devices.load(parsed.decoder), devices.AdvertDecoder)
        assert reads_adverts is (parsed.transport.adverts is not None), name
        assert not reads_adverts or parsed.stream is None, name


def test_low_glucose_travels_first_whoever_measured_it() -> None:
    """70 and 54 mg/dL are hypoglycaemia of level 1 and 2 (ADA Standards of Care, section 6)."""
    for name, parsed in PROFILES.items():
        if parsed.decoder == "replayed_readings":
            continue
        for metric in parsed.metrics:
            if metric.name.startswith("glucose_"):
                assert metric.alarm_low is not None, f"{name}: {metric.name}"
                assert 54 <= metric.alarm_low <= 70, f"{name}: {metric.name}"


def test_the_decoder_takes_the_options() -> None:
    """It raises for an option that it does not know."""
    for name, parsed in PROFILES.items():
        own = {key: parsed.options[key] for key in parsed.options.keys() - OWN_OPTIONS}
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
            assert not own, name


def test_a_device_of_a_service_advertises_it() -> None:
    for name, parsed in PROFILES.items():
        if parsed.transport.ble is not None or parsed.transport.adverts is not None:
            assert parsed.match.ble is not None, name
            assert parsed.match.ble.service is not None, name


def test_generic_profiles_match_by_service_alone() -> None:
    for name, parsed in PROFILES.items():
        if parsed.device.manufacturer == "generic" and parsed.match.ble is not None:
            assert parsed.match.ble.name_prefix is None, name
            assert parsed.match.info is None, name


def test_readme_shows_each_profile_as_it_is() -> None:
    rows = re.findall(
        r"^\| \[([\w-]+)\]\(\1\.toml\) \| (.+?) \| (.+?) \| `(\w+)` \|$", README, re.M
    )
    shown = {name: (device, way, decoder) for name, device, way, decoder in rows}
    assert shown == {name: _row(parsed) for name, parsed in PROFILES.items()}


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
