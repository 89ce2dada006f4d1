"""JSON Patch: operations on JSON values; the input stays as it is.

What a patch may copy is bounded, since each copy of a list into itself doubles it.

Errors  FhirError 400: not a patch; 413: it makes too much; 422: it does not fit the resource (a
        path that is not there, a test that fails), or makes it too deep
Source  RFC 6902, RFC 6901
"""

import re
from typing import Any, Final

from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.body import DEEPEST

MOST_OPERATIONS: Final = 1000
LARGEST: Final = 1 << 20
"""Characters of JSON that a patch may put into a resource, and that it may have afterwards."""

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_NEED_VALUE: Final = frozenset({"add", "replace", "test"})
_NEED_FROM: Final = frozenset({"move", "copy"})
_OPERATIONS: Final = _NEED_VALUE | _NEED_FROM | {"remove"}


def patched(resource: Any, patch: Any) -> Any:
    """The resource after all operations of a patch."""
    if not isinstance(patch, list) or len(patch) > MOST_OPERATIONS:
        raise _malformed(f"A JSON Patch is an array of at most {MOST_OPERATIONS} operations.")
    document, copies = _copied(resource), _Copies()
    for place, operation in enumerate(patch):
        document = _applied(document, operation, f"[{place}]", copies)
    if patch and _weight(document)[0] > LARGEST:  # or many patches would do what one may not
        raise _too_large("")
    return document


def tests_values(patch: Any) -> bool:
    """Whether a patch asks what a value is."""
    return isinstance(patch, list) and any(
        isinstance(each, dict) and each.get("op") == "test" for each in patch
    )


class _Copies:
    """Makes copies of values until they are too much together."""

    def __init__(self) -> None:
        self._left = LARGEST

    def of(self, value: Any, path: list[str], place: str) -> Any:
        """The copy that goes to a path: looked through before, so that it is never too large."""
        weight, depth = _weight(value)
        self._left -= weight
        if self._left < 0:
            raise _too_large(place)
        if len(path) + depth > DEEPEST:
            raise _misfit(f"The resource would have more than {DEEPEST} levels.", place)
        return _copied(value)


def _copied(value: Any) -> Any:
    """As copy.deepcopy, for JSON values alone and in a fraction of its time."""
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def _weight(value: Any) -> tuple[int, int]:
    """About how many characters of JSON a value is, and how many levels it has."""
    if isinstance(value, str):
        return len(value) + 3, 0
    if not isinstance(value, dict | list):
        return 4, 0
    parts = value.values() if isinstance(value, dict) else value
    weight = 3 + (sum([len(name) + 3 for name in value]) if isinstance(value, dict) else 0)
    deepest = 0
    for part in parts:
        more, depth = _weight(part)
        weight, deepest = weight + more, max(deepest, depth)
    return weight, deepest + 1


def _applied(document: Any, operation: Any, place: str, copies: _Copies) -> Any:
    name = operation.get("op") if isinstance(operation, dict) else None
    if not isinstance(name, str) or name not in _OPERATIONS:
        raise _malformed(f"op is one of {', '.join(sorted(_OPERATIONS))}.", f"{place}.op")
    path = _pointer(operation.get("path"), f"{place}.path")
    if name in _NEED_VALUE and "value" not in operation:
        raise _malformed(f"{name} needs a value.", f"{place}.value")
    match name:
        case "add":
            return _add(document, path, copies.of(operation["value"], path, place), place)
        case "remove":
            return _remove(document, path, place)
        case "replace":
            _find(document, path, place)
            return _replace(document, path, copies.of(operation["value"], path, place), place)
        case "test":
            if not _is_same(_find(document, path, place), operation["value"]):
                raise _misfit("The test fails.", place)
            return document
    source = _pointer(operation.get("from"), f"{place}.from")
    value = copies.of(_find(document, source, place), path, place)
    if name == "move":
        if path[: len(source)] == source and path != source:
            raise _misfit("An element cannot be moved into itself.", place)
        document = _remove(document, source, place)
    return _add(document, path, value, place)


def _pointer(text: Any, place: str) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise _malformed("Write a path as /name/0.", place)
    return [each.replace("~1", "/").replace("~0", "~") for each in text.split("/")[1:]]


def _find(document: Any, path: list[str], place: str) -> Any:
    for step in path:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and _INDEX.fullmatch(step) and int(step) < len(document):
            document = document[int(step)]
        else:
            raise _misfit("The path leads nowhere.", place)
    return document


def _add(document: Any, path: list[str], value: Any, place: str) -> Any:
    if not path:
        return value
    parent, last = _find(document, path[:-1], place), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and last == "-":
        parent.append(value)
    elif isinstance(parent, list) and _INDEX.fullmatch(last) and int(last) <= len(parent):
        parent.insert(int(last), value)
    else:
        raise _misfit("The path leads nowhere.", place)
    return document


def _replace(document: Any, path: list[str], value: Any, place: str) -> Any:
    if not path:
        return value
    parent, last = _find(document, path[:-1], place), path[-1]
    parent[int(last) if isinstance(parent, list) else last] = value
    return document


def _remove(document: Any, path: list[str], place: str) -> Any:
    if not path:
        raise _misfit("The whole resource cannot be removed by a patch.", place)
    _find(document, path, place)
    parent, last = _find(document, path[:-1], place), path[-1]
    del parent[int(last) if isinstance(parent, list) else last]
    return document


def _is_same(left: Any, right: Any) -> bool:
    """As JSON compares: true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_is_same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_is_same, left, right))
    return bool(left == right)


def _malformed(diagnostics: str, place: str = "") -> FhirError:
    return FhirError(400, "structure", diagnostics, expression=f"patch{place}")


def _too_large(place: str) -> FhirError:
    text = f"The patch puts more than {LARGEST} characters into the resource, or leaves more there."
    return FhirError(413, "too-costly", text, expression=f"patch{place}")


def _misfit(diagnostics: str, place: str) -> FhirError:
    return FhirError(422, "processing", diagnostics, expression=f"patch{place}")
