"""The vector files of the decoders: tests/vectors/<decoder>.toml, and what they expect."""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from support.tree import ROOT
from wardlight_shared.model import Flag, Reading

VECTORS = ROOT / "tests" / "vectors"

Case = Mapping[str, Any]


def cases(decoder: str) -> list[Case]:
    """All cases of one decoder."""
    text = (VECTORS / f"{decoder}.toml").read_text(encoding="utf-8")
    found: list[Case] = tomllib.loads(text)["case"]
    return found


def decoders() -> list[str]:
    """Every decoder that has vectors."""
    return sorted(path.stem for path in VECTORS.glob("*.toml"))


def octets(case: Case) -> bytes:
    """The bytes of a case."""
    return case["text"].encode() if "text" in case else bytes.fromhex(case["hex"])


def seen(reading: Reading) -> dict[str, Any]:
    """A reading as a case writes it: defaults left out, numbers as text, flags by name."""
    shown: dict[str, Any] = {"metric": reading.metric, "unit": reading.unit}
    if isinstance(reading.value, Decimal):
        shown["value"] = str(reading.value)
    else:
        shown["absent"] = str(reading.value)
    for name in ("raw_value", "raw_unit", "user", "record", "site"):
        if getattr(reading, name) is not None:
            shown[name] = str(reading.raw_value) if name == "raw_value" else getattr(reading, name)
    if reading.time is not None:
        shown["time"] = reading.time.isoformat()
        if reading.time.offset_min is not None:
            shown["offset_min"] = reading.time.offset_min
    if reading.flags:
        shown["flags"] = {flag.name for flag in Flag(reading.flags)}
    if reading.context:
        shown["context"] = dict(reading.context)
    return shown


def expected(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of ``expect`` in the form of ``seen``."""
    return {key: set(value) if key == "flags" else value for key, value in entry.items()}
