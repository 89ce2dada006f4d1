"""Searchset Bundles, assembled from resource bytes.

Source  R4 4.0.1 Bundle; 3.1.1.2 (self and next links)
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote_plus

import orjson

from wardlight_cloud.fhir.paging import CURSOR, Parameters, cursor_text

Resource = tuple[str, Sequence[bytes]]
"""Id, and pieces of JSON that joined are the resource."""


def links(base: str, kind: str, honoured: Parameters, cursor: bytes | None) -> bytes:
    """The link array: self with what was honoured, next with the cursor."""
    pairs = [(name, f"{name}={_quoted(text)}") for name, text in honoured]
    found = [{"relation": "self", "url": _url(base, kind, [pair for _, pair in pairs])}]
    if cursor is not None:
        following = [pair for name, pair in pairs if name != CURSOR]
        following.append(f"{CURSOR}={cursor_text(cursor)}")
        found.append({"relation": "next", "url": _url(base, kind, following)})
    return orjson.dumps(found)


_quoted: Final = lru_cache(maxsize=4096)(quote_plus)


def _url(base: str, kind: str, pairs: Sequence[str]) -> str:
    return f"{base}/{kind}?{'&'.join(pairs)}" if pairs else f"{base}/{kind}"


def searchset(
    link: bytes, base: str, kind: str, resources: Iterable[Resource], total: int | None
) -> bytes:
    """A searchset of resources; ``total`` None is left out, since counting costs a scan."""
    first = b',"entry":[{"fullUrl":"' + f"{base}/{kind}/".encode()
    further = b',"search":{"mode":"match"}},{"fullUrl":"' + f"{base}/{kind}/".encode()
    counted = b"" if total is None else b',"total":%d' % total
    pieces = [b'{"resourceType":"Bundle","type":"searchset"', counted, b',"link":', link]
    before = first
    for identity, parts in resources:
        pieces += (before, identity.encode(), b'","resource":')
        pieces += parts
        before = further
    pieces.append(b"}" if before is first else b',"search":{"mode":"match"}}]}')
    return b"".join(pieces)


def dumped(resources: Sequence[dict[str, object]]) -> list[Resource]:
    """Resource dicts as JSON."""
    return [(str(resource["id"]), (orjson.dumps(resource),)) for resource in resources]
