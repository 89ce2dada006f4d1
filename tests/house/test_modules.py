"""How a module looks in this house: its name, its length, its imports."""

import ast
import re
from pathlib import Path

from support.tree import ROOT, product_modules, relative, text_files, tracked

VAGUE = {"base_utils", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
LONGEST = 400


def test_module_names_say_what_they_are() -> None:
    vague = [
        relative(module)
        for module in product_modules()
        if VAGUE & {part.removesuffix(".py") for part in module.relative_to(ROOT).parts}
    ]
    assert not vague, "name it after what it holds"


def test_modules_are_short_or_say_why_not() -> None:
    """Over 400 lines the docstring carries a line `Length: <reason>`."""
    silent = [relative(module) for module in product_modules() if _is_long_without_reason(module)]
    assert not silent, f"over {LONGEST} lines; split it, or give the reason in its docstring"


def _is_long_without_reason(module: Path) -> bool:
    text = module.read_text(encoding="utf-8")
    if text.count("\n") <= LONGEST:
        return False
    docstring = ast.get_docstring(ast.parse(text)) or ""
    return re.search(r"^Length:? +\S+", docstring, re.MULTILINE) is None


def test_only_packages_declare_all() -> None:
    declaring = re.compile(r"^__all__\b", re.MULTILINE)
    found = [
        relative(module)
        for module in product_modules()
        if module.name != "__init__.py" and declaring.search(module.read_text(encoding="utf-8"))
    ]
    assert not found


def test_packages_are_typed() -> None:
    """py.typed tells type checkers of our users that the annotations count."""
    packages = {module.parents[-len(ROOT.parts) - 2] for module in product_modules()}
    assert len(packages) == 4
    for package in packages:
        assert (package / "py.typed").is_file(), relative(package)


def test_every_product_folder_is_a_package() -> None:
    """Without __init__.py a folder would be skipped by import-linter and by the wheel's typing."""
    folders = {module.parent for module in product_modules()}
    bare = [relative(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()]
    assert not bare


def test_tests_hold_no_init_file() -> None:
    """A tests/edge/__init__.py would shadow a product package."""
    found = [relative(path) for path in (ROOT / "tests").rglob("__init__.py")]
    assert not found


def test_no_cancellation_is_lost() -> None:
    """wait_for of Python 3.11 swallows one that meets the result: the task goes on."""
    found = [
        relative(module)
        for module in product_modules()
        if "asyncio.wait_for(" in module.read_text(encoding="utf-8")
    ]
    assert not found, "use `async with asyncio.timeout(...)`"


def test_nothing_is_left_unfinished() -> None:
    # Libraries raise NotImplementedError for what they cannot do: to catch it is not to leave it.
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|raise NotImplemented" + r"Error)\b")
    left = [
        f"{relative(path)}:{number}"
        for path in text_files()
        if path.suffix in {".py", ".sql", ".sh", ".html", ".js", ".toml"}
        and path.name != Path(__file__).name
        and "static" not in path.parts  # vendored browser files are not ours to finish
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if marks.search(line)
    ]
    assert not left


def test_no_file_is_large() -> None:
    """Recordings and builds are fetched or made, not committed."""
    large = [relative(path) for path in tracked() if path.stat().st_size > 1_500_000]
    assert not large


def test_files_speak_of_no_machine_and_no_registry() -> None:
    """A checkout works anywhere: no path of one computer, no package index by name."""
    host = "|".join(["py" + r"pi\.org", "pythonhos" + r"ted\.org", "registry\\.npm" + r"js\.org"])
    index = "|".join(["--(extra-)?index" + "-url ", '"resol' + 'ved"', r"/simpl" + "e/"])
    machine = "|".join(["/wor" + "k/", "/root/" + r"\.py", "/opt/py" + "pi"])
    pattern = re.compile(f"{host}|{index}|{machine}")
    found = [
        f"{relative(path)}:{number}: {match.group()}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (match := pattern.search(line))
    ]
    assert not found
