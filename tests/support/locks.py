"""The lock files under requirements/, parsed."""

import re
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.tree import ROOT

SIDES = ("edge", "cloud", "lab", "dev")


class Pin(NamedTuple):
    """One pinned distribution of a lock."""

    name: str
    version: str
    here: bool  # whether its marker holds on this machine
    hashes: frozenset[str]


def lock_text(side: str) -> str:
    """The lock file of one side."""
    return (ROOT / "requirements" / f"{side}.txt").read_text(encoding="utf-8")


def pins(side: str) -> tuple[Pin, ...]:
    """Every pin of one side's lock, in file order."""
    joined = re.sub(r"\\\n\s*", " ", lock_text(side))
    lines = [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    return tuple(_pin(line) for line in lines)


def installed_names(side: str) -> frozenset[str]:
    """Canonical names of what this side's lock installs on this machine."""
    return frozenset(pin.name for pin in pins(side) if pin.here)


def _pin(line: str) -> Pin:
    text, *hashes = re.split(r"\s+--hash=", line)
    requirement = Requirement(text)
    (specifier,) = requirement.specifier
    here = requirement.marker is None or requirement.marker.evaluate()
    return Pin(canonicalize_name(requirement.name), specifier.version, here, frozenset(hashes))
