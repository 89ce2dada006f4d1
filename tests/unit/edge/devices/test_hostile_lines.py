"""Hostile wires and networks: none of these ever yields a number somebody could believe."""

import tomllib
from decimal import Decimal
from typing import Any

import pytest

from support.vectors import VECTORS, Case
from wardlight_edge import devices
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import NOT_CLINICAL

FILE = VECTORS / "hostile" / "serial_lan.toml"
CASES: list[Case] = tomllib.loads(FILE.read_text(encoding="utf-8"))["case"]
STANDS_FOR = {
    "{MSH}": "MSH|^~\\&|MON|ICU|||20260105120000+0100||ORU^R01|1|P|2.6",
    "{PID}": "PID|||77^^^CLINIC^MR",
    "{LONG}": "7" * 1000,
}


def _octets(case: Case) -> bytes:
    if "hex" in case:
        return bytes.fromhex(case["hex"])
    text: str = case["text"]
    for mark, meant in STANDS_FOR.items():
        text = text.replace(mark, meant)
    return text.replace("\n", "\r").encode()


def test_there_are_enough_and_each_names_its_source() -> None:
    assert len(CASES) >= 20
    assert all(case["source"] for case in CASES)
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", [pytest.param(each, id=each["name"]) for each in CASES])
def test_it_never_yields_a_plausible_number(case: Case) -> None:
    decoder: Any = devices.load(case["decoder"])
    try:
        readings, _ = decoder.decode_bytes(_octets(case), {})
    except DecodeError:
        assert case["outcome"] == "error"
        return
    believable = [
        reading
        for reading in readings
        if isinstance(reading.value, Decimal) and not reading.flags & NOT_CLINICAL
    ]
    assert not believable
    has_numbers = any(isinstance(reading.value, Decimal) for reading in readings)
    assert case["outcome"] == ("test" if has_numbers else "absent")
