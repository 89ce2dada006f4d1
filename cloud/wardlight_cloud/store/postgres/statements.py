"""SQL statements by name, from the .sql files of store/sql/queries; no statement stands in Python.

A file holds statements under headers ``-- name: verb_noun``; lines before the first header and
comment lines belong to the reader, not to the server. What several statements have in common is
written once, under ``-- part: noun``, and stands as ``{noun}`` in whatever follows.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

_HEADER: Final = re.compile(r"^-- (name|part): (\w+)$", re.MULTILINE)
_PLACE: Final = re.compile(r"\{([a-z_]+)\}")


def sql_folder() -> Traversable:
    """store/sql, wherever the package is installed."""
    return files("wardlight_cloud.store").joinpath("sql")


@cache
def statements(topic: str) -> Mapping[str, str]:
    """The statements of ``queries/<topic>.sql`` by name."""
    text = sql_folder().joinpath("queries", f"{topic}.sql").read_text(encoding="utf-8")
    return MappingProxyType(parse(text))


def parse(text: str) -> dict[str, str]:
    """Split the text of a file into its statements.

    ValueError for a name that stands twice, or a place of a part that does not stand before it.
    """
    made: dict[str, dict[str, str]] = {"name": {}, "part": {}}
    _, *pieces = _HEADER.split(text)
    for kind, name, body in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
        if any(name in known for known in made.values()):
            raise ValueError(f"{name} stands twice")
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        made[kind][name] = _filled("\n".join(lines).strip(), made["part"])
    return made["name"]


def _filled(text: str, parts: Mapping[str, str]) -> str:
    unknown = set(_PLACE.findall(text)) - parts.keys()
    if unknown:
        raise ValueError(f"no part stands before for {sorted(unknown)}")
    return _PLACE.sub(lambda place: parts[place[1]], text)
