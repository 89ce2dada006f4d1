"""Searchset Bundles, assembled from resource bytes.

Source  R4 4.0.1 Bundle; 3.1.1.2 (self and next links)
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import quote_plus

import orjson

from wardlight_cloud.fhir.paging import CURSOR, Parameters, cursor_text
from wardlight_cloud.fhir.remembered import remembered

Entries = Callable[[bytes, bytes], list[bytes]]
"""Pieces of the entries of a page: each entry begins with the first text, or the second from the
second entry on, then come an id, the end of fullUrl and the resource. No pieces: an empty page."""


def links(base: str, kind: str, honoured: Parameters, cursor: bytes | None) -> bytes:
    """The link array: self with what was honoured, next with the cursor."""
    pairs = [(name, f"{name}={_quoted(text)}") for name, text in honoured]
    found = [{"relation": "self", "url": _url(base, kind, [pair for _, pair in pairs])}]
    if cursor is not None:
        following = [pair for name, pair in pairs if name != CURSOR]
        following.append(f"{CURSOR}={cursor_text(cursor)}")
        found.append({"relation": "next", "url": _url(base, kind, following)})
    return orjson.dumps(found)


@remembered(4096)
def _quoted(text: str) -> str:
    return quote_plus(text)


def _url(base: str, kind: str, pairs: Sequence[str]) -> str:
    return f"{base}/{kind}?{'&'.join(pairs)}" if pairs else f"{base}/{kind}"


def searchset(link: bytes, base: str, kind: str, entries: Entries, total: int | None) -> bytes:
    """A searchset of resources; ``total`` None is left out, since counting costs a scan."""
    url = f"{base}/{kind}/".encode()
    counted = b"" if total is None else b',"total":%d' % total
    page = entries(
        b',"entry":[{"fullUrl":"' + url, b',"search":{"mode":"match"}},{"fullUrl":"' + url
    )
    end = b',"search":{"mode":"match"}}]}' if page else b"}"
    return b"".join(
        (b'{"resourceType":"Bundle","type":"searchset"', counted, b',"link":', link, *page, end)
    )


def of_texts(texts: Iterable[tuple[str, bytes]]) -> Entries:
    """Resources that are JSON, each with its id, as entries."""

    def pieces(first: bytes, further: bytes) -> list[bytes]:
        made: list[bytes] = []
        before = first
        for identity, text in texts:
            made += (before, identity.encode(), b'","resource":', text)
            before = further
        return made

    return pieces


def dumped(resources: Iterable[dict[str, object]]) -> Entries:
    """Resource dicts as entries."""
    return of_texts([(str(each["id"]), orjson.dumps(each)) for each in resources])


NO_ENTRIES: Final = dumped(())
