"""A device is one decoder, one vector file and one profile; nothing else names it."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

from support.tree import ROOT, relative
from wardlight_edge.devices import COMPANIONS
from wardlight_shared import profile
from wardlight_shared.profile import Profile

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


def test_device_modules_decode() -> None:
    """Each has `decode`, or a framer: a class with `feed`."""
    neither = [relative(module) for module in MODULES if not _decodes(module)]
    assert not neither


def _decodes(module: Path) -> bool:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    methods = {
        part.name
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for part in node.body
        if isinstance(part, ast.FunctionDef)
    }
    return "decode" in functions or "feed" in methods


def test_docstrings_are_the_contract() -> None:
    absent = [
        (relative(module), field)
        for module in MODULES
        for field in FIELDS
        if not re.search(rf"^{field} +\S", _docstring(module), re.MULTILINE)
    ]
    assert not absent


def _profiles() -> list[Profile]:
    return [
        profile.parse(file.read_text(encoding="utf-8"), source=file.name) for file in PROFILE_FILES
    ]


def test_some_profile_uses_each_decoder() -> None:
    """By name, or for what stands beside a measurement (battery, clock) by its characteristic."""
    profiles = _profiles()
    used = {each.decoder for each in profiles}
    for each in profiles:
        if each.transport.ble is not None:
            ble = each.transport.ble
            used |= {COMPANIONS.get(uuid, "") for uuid in (*ble.indicate, *ble.notify)}
            used |= {COMPANIONS.get(uuid, "") for uuid in (*ble.read_once, ble.set_clock or "")}
    unused = [module.stem for module in MODULES if module.stem not in used]
    assert not unused


def test_vectors_cite_a_source_that_is_not_ours() -> None:
    for module in MODULES:
        cases, name = _vectors(module), relative(module)
        assert len(cases) >= 3, f"{name}: at least a normal, a special and a malformed one"
        for case in cases:
            source = str(case.get("source", "")).strip()
            assert source, f"{name}: {case.get('name')}: no source"
            assert "wardlight" not in source.lower(), f"{name}: {case.get('name')}: our own"
        assert any("error" in case for case in cases), f"{name}: no malformed case"


def test_profiles_are_valid_and_name_a_decoder() -> None:
    for each in _profiles():
        assert (DEVICES / f"{each.decoder}.py").is_file(), each.decoder


def test_profiles_are_listed_for_readers() -> None:
    """A clinic can read whether its device is supported."""
    pages = [ROOT / "README.md", PROFILES / "README.md", *(ROOT / "docs").glob("*.md")]
    said = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert not [file.stem for file in PROFILE_FILES if file.stem not in said]
