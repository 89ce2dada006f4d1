"""What resources of a transaction call one another, put to what it means.

Replaced are links: references, elements of type uri, url, oid and uuid, ``href`` and ``src`` in the
narrative. What names something in itself stays, though R4 writes it as a uri, too: the system of an
Identifier, Coding or Quantity, the url of an extension or of a definition. So does each text: the
value of an Identifier may be the very ``urn:uuid:`` that the entry has, and a condition looks for
it the next time.

Where entries have addresses of another server, what one calls ``Patient/23`` is the entry at that
address, not what this server has under the same id.

Errors  those of the resolver: FhirError 412
Source  R4 4.0.1 3.1.0.11.2 (transactions), 2.3.0.3 (references by search), 2.36.4.1 (references
        between entries of a Bundle)
"""

import re
from collections import ChainMap, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from html import unescape
from typing import Any, Final

from wardlight_cloud.fhir.stored.incoming import query_of
from wardlight_cloud.fhir.stored.kinds import STORED
from wardlight_cloud.fhir.stored.wishes import Query

Resolve = Callable[[str, Query], Awaitable[str]]

LINKS: Final = frozenset(
    {
        "authority", "definition", "endpoint", "instantiatesUri", "policy", "reference", "source",
        "uri", "url", "valueOid", "valueUri", "valueUrl", "valueUuid",
    }
)  # fmt: skip
"""Elements that hold uri, url, oid or uuid, where they hold a text, and that lead somewhere."""

_ADDRESS: Final = re.compile(r"(https?://.+/)([A-Z][A-Za-z]{1,63}/[A-Za-z0-9.-]{1,64})")
_EXTENSIONS: Final = frozenset({"extension", "modifierExtension"})
_LINK_OF_TEXT: Final = re.compile(r"""(\b(?:href|src)\s*=\s*)(["'])(.*?)\2""", re.DOTALL)


class Names:
    """Of all entries, as each of them sees them."""

    def __init__(self, meant: Mapping[str, str]) -> None:
        """``meant``: by full URL."""
        self._meant = dict(meant)
        self._at: dict[str, dict[str, str]] = defaultdict(dict)
        for full_url, each in self._meant.items():
            match = _ADDRESS.fullmatch(full_url)
            if match is not None and _kind(match[2]) == _kind(each):  # else it is no address of it
                self._at[match[1]][match[2]] = each

    def seen_from(self, full_url: str | None) -> Mapping[str, str]:
        """Those that a resource of this full URL may use: those beside it by type and id, too."""
        match = _ADDRESS.fullmatch(full_url or "")
        return self._meant if match is None else ChainMap(self._meant, self._at[match[1]])


def _kind(reference: str) -> str:
    return reference.partition("/")[0]


async def with_names(
    resource: dict[str, Any], names: Mapping[str, str], resolve: Resolve
) -> dict[str, Any]:
    """The resource with ``urn:uuid:`` names, and references by search, put to what they mean."""
    made: dict[str, Any] = await _named(resource, names, resolve, "")
    return made


async def _named(node: Any, names: Mapping[str, str], resolve: Resolve, key: str) -> Any:
    if isinstance(node, dict):
        return {
            name: value
            if name == "url" and _is_name_of_itself(node, key)
            else await _named(value, names, resolve, name)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [await _named(each, names, resolve, key) for each in node]
    if not isinstance(node, str):
        return node
    if key == "div":
        return _LINK_OF_TEXT.sub(lambda match: _named_link(match, names), node) if names else node
    if key in LINKS and node in names:
        return names[node]
    kind, mark, query = node.partition("?")
    if key == "reference" and mark and kind in STORED:
        return await resolve(kind, query_of(f"?{query}"))
    return node


def _is_name_of_itself(node: dict[str, Any], key: str) -> bool:
    """Whether the url of a node says what it is: of an extension, of a definition."""
    return key in _EXTENSIONS or "resourceType" in node


def _named_link(match: re.Match[str], names: Mapping[str, str]) -> str:
    begin, quote, link = match.groups()
    meant = names.get(unescape(link))
    return match[0] if meant is None else f"{begin}{quote}{meant}{quote}"
