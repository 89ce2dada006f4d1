"""The attributes of PS3.6 by keyword and tag, without the library around them.

pydicom's table is a module of constants; importing it by its name would bring pydicom, numpy and
Pillow into each API process, 40 MiB that only the processes need which decode images. So the file
is read alone, at the first search that names an attribute. A test holds the result equal to what
pydicom says.
"""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

_FILE: Final = "_dicom_dict.py"


class Entry(NamedTuple):
    """An attribute: eight hex digits, keyword, value representation (the first of several)."""

    tag: str
    keyword: str
    vr: str


def by_tag(tag: str) -> Entry | None:
    """The attribute of a tag, eight hex digits in upper case."""
    return _tables()[0].get(tag)


def by_keyword(keyword: str) -> Entry | None:
    """The attribute of a keyword, as PS3.6 spells it."""
    return _tables()[1].get(keyword)


@cache
def _tables() -> tuple[dict[str, Entry], dict[str, Entry]]:
    package = importlib.util.find_spec("pydicom")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("pydicom")
    file = Path(package.submodule_search_locations[0]) / _FILE
    spec = importlib.util.spec_from_file_location("_wardlight_dicom_dictionary", file)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    entries = [
        Entry(f"{tag:08X}", row[4], row[0].partition(" ")[0])
        for tag, row in module.DicomDictionary.items()
    ]
    return {each.tag: each for each in entries}, {each.keyword: each for each in entries}
