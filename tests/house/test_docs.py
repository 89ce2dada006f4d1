"""The documents tell what the code does: every key, command and file, and none that is not."""

import re
from pathlib import Path

import pytest

from support.faces import PROGRAMS, keys, settings, subcommands
from support.tree import ROOT, relative

DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])


@pytest.mark.parametrize("side", ["edge", "cloud"])
def test_every_setting_is_documented(side: str) -> None:
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    missing = [key for key in keys(settings(side)) if f"`{key}`" not in text]
    assert not missing, f"docs/settings.md lacks {missing}"


def test_every_documented_setting_exists() -> None:
    """A key in the first column of a table of docs/settings.md is a key of a side."""
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    known = {key for side in ("edge", "cloud") for key in keys(settings(side))}
    told = re.findall(r"^\| `([a-z][a-z0-9_.]*)` \|", text, re.MULTILINE)
    assert told
    assert not [key for key in told if key not in known]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_subcommand_is_documented(program: str) -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.is_file())
    commands = subcommands(program)
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
