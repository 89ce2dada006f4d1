"""Literal references, and whose they are: of this server, or of another one.

A reference is to this server when it is relative (``Patient/ID``) or absolute at this server's own
address, in whatever way that is written (letters of scheme and host, the port that is usual).
Any other absolute one is another server's, though its last part may be an id of ours.

Source  R4 4.0.1 2.3.0.1 (literal references); RFC 3986 6.2.2, 6.2.3 (equivalence)
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

_REFERENCE: Final = re.compile(
    r"(?:(?P<base>[Hh][Tt][Tt][Pp][Ss]?://.+)/)?(?P<kind>[A-Z][A-Za-z]{1,63})"
    r"/(?P<id>[A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?"
)
_USUAL_PORTS: Final = {"http": 80, "https": 443}
_COMMA: Final = re.compile(r"(?<!\\),")
_ABSOLUTE: Final = "://"
_OF_OWN: Final = frozenset(
    {"agent", "device", "endpoint", "entity", "implicated", "parent", "patient", "related",
     "source", "subject", "target"}
)  # fmt: skip
"""Reference parameters of what this server makes itself; none of them leads to a canonical."""


def local_reference(text: str, base: str) -> str | None:
    """``Kind/id`` of a reference to this server, without its version; None for any other one."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    own = match["base"]
    if own is not None and own != base and _plain(own) != _plain(base):
        return None
    return f"{match['kind']}/{match['id']}"


def with_local_references(
    parameters: Iterable[tuple[str, str]], base: str
) -> list[tuple[str, str]]:
    """Parameters of a search, absolute references at our own address made relative."""
    return [
        (name, _relative(text, base))
        if _ABSOLUTE in text and name.partition(":")[0] in _OF_OWN
        else (name, text)
        for name, text in parameters
    ]


def id_of_reference(text: str, kind: str) -> str | None:
    """Id of ``ID`` or ``Kind/ID``; None for another kind, and for a resource of another server."""
    of, slash, resource_id = text.rpartition("/")
    return resource_id if not slash or of == kind else None


def _relative(text: str, base: str) -> str:
    return ",".join(local_reference(each, base) or each for each in _COMMA.split(text))


@lru_cache(maxsize=64)
def _plain(address: str) -> tuple[str, str, int | None, str] | None:
    """Parts by which addresses compare; None = it is none."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.query or parts.fragment or parts.username is not None:
        return None
    host = (parts.hostname or "").lower()
    return parts.scheme, host, port or _USUAL_PORTS.get(parts.scheme), parts.path.rstrip("/")
