"""SQL statements by name, from the .sql files of store/sql/queries; no statement stands in Python.

A file holds statements under headers ``-- name: verb_noun``; lines before the first header and
comment lines belong to the reader, not to the server.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

_HEADER: Final = "-- name: "


def sql_folder() -> Traversable:
    """store/sql, wherever the package is installed."""
    return files("wardlight_cloud.store").joinpath("sql")


@cache
def statements(topic: str) -> Mapping[str, str]:
    """The statements of ``queries/<topic>.sql`` by name."""
    text = sql_folder().joinpath("queries", f"{topic}.sql").read_text(encoding="utf-8")
    return MappingProxyType(parse(text))


def parse(text: str) -> dict[str, str]:
    """Split the text of a file into its statements; ValueError for a name that stands twice."""
    found: dict[str, str] = {}
    for part in text.split(f"\n{_HEADER}")[1:]:
        name, _, body = part.partition("\n")
        if name in found:
            raise ValueError(f"statement {name} stands twice")
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        found[name] = "\n".join(lines).strip()
    return found
