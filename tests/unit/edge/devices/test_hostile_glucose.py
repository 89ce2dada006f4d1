"""Values that must never become a glucose of a patient: tests/vectors/hostile/glucose.toml."""

import tomllib
from collections.abc import Mapping
from decimal import Decimal

import pytest

from support.vectors import VECTORS
from wardlight_edge import devices
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import NOT_CLINICAL

TEXT = (VECTORS / "hostile" / "glucose.toml").read_text(encoding="utf-8")
FRAMES = tomllib.loads(TEXT)["frame"]
DECODERS = {"0x2A18": "glucose", "0x2AA7": "cgm"}


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["name"])
def test_a_hostile_value(frame: Mapping[str, str]) -> None:
    decoder = devices.load_gatt(DECODERS[frame["characteristic"]])
    octets = bytes.fromhex(frame["hex"])
    if frame["outcome"] == "refused":
        with pytest.raises(DecodeError):
            decoder.decode(frame["characteristic"], octets)
        return
    readings = decoder.decode(frame["characteristic"], octets)
    assert readings
    for reading in readings:
        is_number = isinstance(reading.value, Decimal)
        assert is_number == (frame["outcome"] == "test")
        assert not is_number or reading.flags & NOT_CLINICAL


def test_every_frame_says_where_it_is_from() -> None:
    assert all(frame["source"] for frame in FRAMES)
