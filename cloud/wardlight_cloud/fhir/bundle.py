"""Searchset Bundles, assembled from resource bytes.

Source  R4 4.0.1 Bundle; 3.1.1.2 (self and next links)
"""

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

import orjson

from wardlight_cloud.fhir.search import CURSOR, Parameters, cursor_text


def links(base: str, kind: str, honoured: Parameters, cursor: bytes | None) -> bytes:
    """The link array: self with what was honoured, next with the cursor."""
    found = [{"relation": "self", "url": _url(base, kind, honoured)}]
    if cursor is not None:
        following = [(name, text) for name, text in honoured if name != CURSOR]
        following.append((CURSOR, cursor_text(cursor)))
        found.append({"relation": "next", "url": _url(base, kind, following)})
    return orjson.dumps(found)


def _url(base: str, kind: str, parameters: Parameters) -> str:
    query = urlencode(list(parameters))
    return f"{base}/{kind}?{query}" if query else f"{base}/{kind}"


def searchset(link: bytes, base: str, kind: str, resources: Iterable[tuple[str, bytes]]) -> bytes:
    """A searchset of (id, resource JSON) pairs; ``total`` is left out, counting costs a scan."""
    prefix = b'{"fullUrl":"' + f"{base}/{kind}/".encode()
    entries = [
        prefix + identity.encode() + b'","resource":' + body + b',"search":{"mode":"match"}}'
        for identity, body in resources
    ]
    entry = b',"entry":[' + b",".join(entries) + b"]" if entries else b""
    return b'{"resourceType":"Bundle","type":"searchset","link":' + link + entry + b"}"


def dumped(resources: Sequence[dict[str, object]]) -> list[tuple[str, bytes]]:
    """Resource dicts as (id, bytes)."""
    return [(str(resource["id"]), orjson.dumps(resource)) for resource in resources]
