"""Frames that must never become a plausible number: tests/vectors/hostile/bluetooth.toml."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from support.vectors import VECTORS
from wardlight_edge import devices
from wardlight_edge.cli import main
from wardlight_edge.devices import flag_implausible
from wardlight_edge.devices._omron_models import LAYOUTS
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import NOT_CLINICAL, Flag, Reading
from wardlight_shared.profile import DeviceSection, MetricSection, Profile
from wardlight_shared.timestamps import device_seconds

FRAMES = tomllib.loads((VECTORS / "hostile" / "bluetooth.toml").read_text(encoding="utf-8"))[
    "frame"
]
STORED = {"vld-file", *LAYOUTS}
"""What devices keep in a form of their own: it has no UUID, and the tool does not read it."""

PROFILE = Profile(
    schema=1, decoder="x", device=DeviceSection("m", "d"), metrics=(MetricSection("spo2"),)
)


def _decoder(characteristic: str) -> devices.GattDecoder:
    """A decoder that reads the characteristic; where several do, they share one function."""
    for name in devices.names():
        if characteristic in getattr(devices.load(name), "CHARACTERISTICS", {}):
            return devices.load_gatt(name)
    raise AssertionError(characteristic)


def _readings(frame: Mapping[str, str]) -> tuple[Reading, ...]:
    decoder = _decoder(frame["characteristic"])
    return decoder.decode(frame["characteristic"], bytes.fromhex(frame["hex"]))


def _numbers(readings: Sequence[Reading]) -> list[Reading]:
    return [reading for reading in readings if isinstance(reading.value, Decimal)]


def _has_date(reading: Reading) -> bool:
    return reading.time is not None and device_seconds(reading.time) is not None


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["name"])
def test_a_hostile_frame(frame: Mapping[str, str]) -> None:
    if frame["outcome"] == "refused":
        with pytest.raises(DecodeError):
            _readings(frame)
        return
    readings = flag_implausible(_readings(frame), PROFILE)
    numbers = _numbers(readings)
    match frame["outcome"]:
        case "absent":
            assert not numbers
        case "withheld":
            assert numbers
            assert all(reading.flags & int(NOT_CLINICAL) for reading in numbers)
        case "provisional":
            decoder = _decoder(frame["characteristic"])
            assert frame["characteristic"] in getattr(decoder, "PROVISIONAL", ())
            assert all(reading.flags & int(Flag.ONGOING) for reading in numbers)
        case "implausible":
            assert numbers
            assert all(reading.flags & int(Flag.IMPLAUSIBLE) for reading in numbers)
        case "unowned":
            assert numbers
            assert all(reading.flags & int(Flag.USER_UNKNOWN) for reading in readings)
            assert {reading.user for reading in readings} == {None}
        case "undated":
            assert numbers
            assert all(reading.flags & int(Flag.DEVICE_CLOCK_UNSET) for reading in readings)
            assert not any(_has_date(reading) for reading in readings)
        case other:
            raise AssertionError(other)


def test_the_tool_shows_no_number_either(capsys: pytest.CaptureFixture[str]) -> None:
    for frame in FRAMES:
        if not frame["hex"] or frame["characteristic"] in STORED:
            continue
        kind = "--advert" if ":" in frame["characteristic"] else "--char"
        code = main(["decode", kind, frame["characteristic"], frame["hex"]])
        said = capsys.readouterr()
        assert code == (2 if frame["outcome"] == "refused" else 0), frame["name"]
        shown: list[dict[str, Any]] = json.loads(said.out)["readings"] if said.out else []
        if frame["outcome"] not in ("implausible", "unowned", "undated"):
            assert not [each for each in shown if each["value"] is not None], frame["name"]
            assert not any("raw_value" in each for each in shown), frame["name"]


def test_there_are_enough_of_them() -> None:
    assert len(FRAMES) >= 60
    assert {frame["outcome"] for frame in FRAMES} == {
        "refused", "absent", "withheld", "provisional", "implausible", "unowned", "undated",
    }  # fmt: skip
