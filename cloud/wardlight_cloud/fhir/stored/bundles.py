"""Bundles of stored resources, assembled from their JSON: search results, histories, responses.

Source  R4 4.0.1 Bundle
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import orjson

from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.stored.body import whole
from wardlight_cloud.fhir.stored.including import Included
from wardlight_cloud.store.resources import ResourceRow

_METHODS: Final = {(True, True): ("POST", "201 Created"), (True, False): ("PUT", "200 OK")}


def search_entries(
    base: str, kind: str, matches: Sequence[tuple[str, bytes]], included: Sequence[Included]
) -> list[bytes]:
    """Entries of a page of a search; ``matches`` are (id, JSON)."""
    entries = [_entry(base, kind, name, text, "match") for name, text in matches]
    return entries + [_entry(base, each.kind, each.id, each.text, "include") for each in included]


def bundle(
    kind: Literal["searchset", "history", "transaction-response", "batch-response"],
    entries: Sequence[bytes],
    link: bytes | None = None,
    total: int | None = None,
) -> bytes:
    """A Bundle of entries that are JSON."""
    counted = b"" if total is None else b',"total":%d' % total
    linked = b"" if link is None else b',"link":' + link
    listed = b"" if not entries else b',"entry":[' + b",".join(entries) + b"]"
    head = b'{"resourceType":"Bundle","type":"' + kind.encode() + b'"'
    return b"".join((head, counted, linked, listed, b"}"))


def _entry(base: str, kind: str, name: str, text: bytes, mode: str) -> bytes:
    return b"".join(
        (b'{"fullUrl":"', f"{base}/{kind}/{name}".encode(), b'","resource":', text,
         b',"search":{"mode":"', mode.encode(), b'"}}')
    )  # fmt: skip


def history_entry(base: str, row: ResourceRow) -> bytes:
    """One version: what was done, and the resource unless that was to delete it."""
    place = f"{row.kind}/{row.id}"
    method, status = ("DELETE", "204 No Content")
    if row.body is not None:
        method, status = _METHODS[True, row.is_new]
    about: dict[str, Any] = {
        "request": {"method": method, "url": row.kind if method == "POST" else place},
        "response": {
            "status": status,
            "etag": f'W/"{row.commit_seq}"',
            "lastModified": instant(row.stored_at),
        },
    }
    rest = b"," + orjson.dumps(about)[1:]
    resource = b"" if row.body is None else b',"resource":' + whole(row)
    return b'{"fullUrl":"' + f"{base}/{place}".encode() + b'"' + resource + rest


def response_entry(response: dict[str, Any], resource: bytes | None) -> bytes:
    """What became of one entry of a batch or transaction."""
    rest = orjson.dumps({"response": response})
    return rest if resource is None else b'{"resource":' + resource + b"," + rest[1:]
