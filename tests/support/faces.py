"""What the product shows to its operator: settings keys and subcommands, asked from the code."""

import contextlib
import importlib
import io
import re
from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pydantic

PROGRAMS = {
    "wardlight": "wardlight_lab.cli",
    "wardlight-edge": "wardlight_edge.cli",
    "wardlight-cloud": "wardlight_cloud.cli",
}


@cache
def subcommands(program: str) -> tuple[str, ...]:
    """The subcommands that `program --help` lists."""
    text = _help(program)
    listed = re.search(r"\{([a-z0-9,-]+)\}", text)
    assert listed, f"{program} --help lists no subcommands:\n{text}"
    return tuple(listed[1].split(","))


@cache
def options(program: str, *command: str) -> frozenset[str]:
    """The long options that `program command --help` lists; a command may have two words."""
    return frozenset(re.findall(r"--[a-z][a-z-]+", _help(program, *command)))


def _help(program: str, *command: str) -> str:
    """What it prints, asked in this process: starting one takes longer than all of these tests."""
    main = importlib.import_module(PROGRAMS[program]).main
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main([*command, "--help"])
        except SystemExit as end:
            code = end.code
    assert code == 0, said.getvalue()
    return said.getvalue()


def settings(side: str) -> type[Any]:
    """The Settings type of "edge" or "cloud"; loaded late, so that a broken one fails alone."""
    kind: type[Any] = importlib.import_module(f"wardlight_{side}.config").Settings
    return kind


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
