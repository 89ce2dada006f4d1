"""What a path of the parameter table leads to in a resource: a small part of FHIRPath, over JSON.

    a.b             element b of element a; of lists, of each
    a[x]            a with any type: aQuantity, aString, ...
    a[system=phone] those with this value
    a[x].exists()   whether it is there, and is not false

In      a resource as JSON values (decimals are Decimal)
Out     elements in the order of the resource; null is none
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

_STEP: Final = re.compile(r"(?P<name>\w+)(\[(?P<choice>x)\]|\[(?P<key>\w+)=(?P<value>\w+)\])?")
_EXISTS: Final = ".exists()"


def elements(resource: dict[str, Any], path: str) -> list[Any]:
    """The elements at a path."""
    if path.endswith(_EXISTS):
        found = elements(resource, path.removesuffix(_EXISTS))
        return [bool(found) and found != [False]]
    nodes: list[Any] = [resource]
    for step in _steps(path):
        nodes = list(_follow(nodes, step))
    return nodes


@cache
def _steps(path: str) -> tuple[re.Match[str], ...]:
    steps = [_STEP.fullmatch(text) for text in path.split(".")]
    found = tuple(step for step in steps if step is not None)
    if len(found) < len(steps):
        raise ValueError(f"{path}: not a path of the parameter table")
    return found


def _follow(nodes: Iterable[Any], step: re.Match[str]) -> Iterator[Any]:
    for node in nodes:
        if not isinstance(node, dict):
            continue
        for value in _values(node, step):
            for each in value if isinstance(value, list) else (value,):
                if each is not None and _is_wanted(each, step):
                    yield each


def _values(node: dict[str, Any], step: re.Match[str]) -> list[Any]:
    name = step["name"]
    if step["choice"] is None:
        return [node[name]] if name in node else []
    return [value for key, value in node.items() if _is_choice(key, name)]


def _is_choice(key: str, name: str) -> bool:
    rest = key.removeprefix(name)
    return rest != key and rest[:1].isupper()


def _is_wanted(node: Any, step: re.Match[str]) -> bool:
    if step["key"] is None:
        return True
    return isinstance(node, dict) and node.get(step["key"]) == step["value"]
