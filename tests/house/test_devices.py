"""A device is one decoder, one vector file and one profile; nothing else names it."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from support.tree import ROOT, relative
from wardlight_edge.devices import COMPANIONS
from wardlight_shared import profile

DEVICES = ROOT / "edge" / "wardlight_edge" / "devices"
PROFILES = ROOT / "firmware-configs"
FIELDS = ("In", "Out", "Errors", "Source", "Vectors")

# A leading underscore marks what decoders share; base.py holds the Protocol they follow.
MODULES = sorted(
    path for path in DEVICES.glob("*.py") if not path.name.startswith("_") and path.stem != "base"
)
PROFILE_FILES = sorted(PROFILES.glob("*.toml"))


def _docstring(module: Path) -> str:
    return ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""


def _vectors(module: Path) -> list[dict[str, Any]]:
    named = re.search(r"^Vectors +(\S+\.toml)", _docstring(module), re.MULTILINE)
    assert named, f"{relative(module)}: the docstring's Vectors line names no .toml file"
    file = ROOT / named[1]
    assert file.is_file(), f"{relative(module)}: {named[1]} does not exist"
    cases: list[dict[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8"))["case"]
    return cases


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_device_module_decodes(module: Path) -> None:
    """It has `decode`, or a framer: a class with `feed`."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    methods = {
        part.name
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for part in node.body
        if isinstance(part, ast.FunctionDef)
    }
    assert "decode" in functions or "feed" in methods


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_docstring_is_the_contract(module: Path) -> None:
    docstring = _docstring(module)
    absent = [field for field in FIELDS if not re.search(rf"^{field} +\S", docstring, re.MULTILINE)]
    assert not absent, f"{relative(module)}: the docstring lacks {absent}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_some_profile_uses_the_decoder(module: Path) -> None:
    """By name, or for what stands beside a measurement (battery, clock) by its characteristic."""
    profiles = [
        profile.parse(file.read_text(encoding="utf-8"), source=file.name) for file in PROFILE_FILES
    ]
    used = {each.decoder for each in profiles}
    for each in profiles:
        if each.transport.ble is not None:
            ble = each.transport.ble
            used |= {COMPANIONS.get(uuid, "") for uuid in (*ble.indicate, *ble.notify)}
            used |= {COMPANIONS.get(uuid, "") for uuid in (*ble.read_once, ble.set_clock or "")}
    assert module.stem in used


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_vectors_cite_a_source_that_is_not_ours(module: Path) -> None:
    cases = _vectors(module)
    assert len(cases) >= 3, "at least a normal, a special and a malformed one"
    for case in cases:
        source = str(case.get("source", "")).strip()
        assert source, f"{case.get('name')}: no source"
        assert "wardlight" not in source.lower(), f"{case.get('name')}: a source of our own"
    assert any("error" in case for case in cases), "no malformed case"


@pytest.mark.parametrize("file", PROFILE_FILES, ids=lambda path: path.stem)
def test_profile_is_valid_and_names_a_decoder(file: Path) -> None:
    parsed = profile.parse(file.read_text(encoding="utf-8"), source=file.name)
    assert (DEVICES / f"{parsed.decoder}.py").is_file()


@pytest.mark.parametrize("file", PROFILE_FILES, ids=lambda path: path.stem)
def test_profile_is_listed_for_readers(file: Path) -> None:
    """A clinic can read whether its device is supported."""
    pages = [ROOT / "README.md", PROFILES / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(file.stem in page.read_text(encoding="utf-8") for page in pages if page.is_file())
