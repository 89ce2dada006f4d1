"""The documents tell what the code does: every key, command and file, and none that is not."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pydantic
import pytest

from support.tree import ROOT, relative

DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
CLIS = {
    "wardlight": "wardlight_lab.cli",
    "wardlight-edge": "wardlight_edge.cli",
    "wardlight-cloud": "wardlight_cloud.cli",
}


def _settings() -> dict[str, type[Any]]:
    """The two Settings types; imported here, so that a broken one fails its own tests only."""
    from wardlight_cloud import config as cloud
    from wardlight_edge import config as edge

    return {"edge": edge.Settings, "cloud": cloud.Settings}


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct | pydantic.BaseModel)


def _section(kind: Any) -> Any:
    """The settings type inside X, X | None, tuple[X, ...] or Annotated[X, ...]; else None."""
    if _is_section(kind):
        return kind
    if get_origin(kind) in {Union, UnionType, tuple, list} or hasattr(kind, "__metadata__"):
        inner = (_section(argument) for argument in get_args(kind))
        return next((section for section in inner if section is not None), None)
    return None


def _names(kind: type[Any]) -> dict[str, str]:
    """Key in the file -> attribute."""
    if issubclass(kind, msgspec.Struct):
        return {field.encode_name: field.name for field in msgspec.structs.fields(kind)}
    return {name: name for name in kind.model_fields}


def keys(kind: type[Any], prefix: str = "") -> Iterator[str]:
    """Every key of a settings type as it stands in the file, dotted: `uplink.host`."""
    hints = get_type_hints(kind, include_extras=True)
    for key, attribute in _names(kind).items():
        section = _section(hints[attribute])
        if section is None:
            yield prefix + key
        else:
            yield from keys(section, f"{prefix}{key}.")


@pytest.mark.parametrize("side", ["edge", "cloud"])
def test_every_setting_is_documented(side: str) -> None:
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    missing = [key for key in keys(_settings()[side]) if f"`{key}`" not in text]
    assert not missing, f"docs/settings.md lacks {missing}"


def test_every_documented_setting_exists() -> None:
    """A key in the first column of a table of docs/settings.md is a key of a side."""
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    known = {key for kind in _settings().values() for key in keys(kind)}
    told = re.findall(r"^\| `([a-z][a-z0-9_.]*)` \|", text, re.MULTILINE)
    assert told
    assert not [key for key in told if key not in known]


def _subcommands(module: str) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-c", f"from {module} import main; raise SystemExit(main())", "--help"],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr
    listed = re.search(r"\{([a-z0-9,-]+)\}", result.stdout)
    assert listed, f"{module} --help lists no subcommands:\n{result.stdout}"
    return listed[1].split(",")


@pytest.mark.parametrize("program", CLIS)
def test_every_subcommand_is_documented(program: str) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.is_file())
    commands = _subcommands(CLIS[program])
    assert commands
    assert not [name for name in commands if not re.search(rf"\b{program} {name}\b", text)]


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_file()], ids=relative)
def test_documents_name_files_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(
        re.findall(
            r"`((?:shared|edge|cloud|lab|tests|docs|scripts|firmware-configs|requirements)/[\w./-]+)`",
            text,
        )
    )
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_file()], ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [
        target for target in targets if "://" not in target and not target.startswith("mailto:")
    ]
    assert not [target for target in local if not (page.parent / target).exists()]


def test_data_flow_names_each_step_s_file() -> None:
    """Every arrow of docs/data-flow.md is a function in a file that it names."""
    text = (DOCS / "data-flow.md").read_text(encoding="utf-8")
    files = re.findall(r"`((?:shared|edge|cloud)/[\w/]+\.py)`", text)
    assert len(set(files)) >= 8, "fewer files than the flow has steps"
    assert not [name for name in files if not (ROOT / name).is_file()]


def test_readme_lists_the_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert targets == set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bmake ([a-z-]+)", readme)) == targets - {"help"}


def test_changelog_has_an_open_section() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)
