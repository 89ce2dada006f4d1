"""What resources of a transaction call one another, put to what it means.

Replaced are links: references, elements of type uri, url, oid and uuid, ``href`` and ``src`` in the
narrative. What names something in itself stays, though R4 writes it as a uri, too: the system of an
Identifier, Coding or Quantity, the url of an extension or of a definition. So does each text: the
value of an Identifier may be the very ``urn:uuid:`` that the entry has, and a condition looks for
it the next time.

Errors  those of the resolver: FhirError 412
Source  R4 4.0.1 3.1.0.11.2 (transactions), 2.3.0.3 (references by search)
"""

import re
from collections.abc import Awaitable, Callable
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

_EXTENSIONS: Final = frozenset({"extension", "modifierExtension"})
_LINK_OF_TEXT: Final = re.compile(r"""(\b(?:href|src)\s*=\s*)(["'])(.*?)\2""", re.DOTALL)


async def with_names(
    resource: dict[str, Any], names: dict[str, str], resolve: Resolve
) -> dict[str, Any]:
    """The resource with ``urn:uuid:`` names, and references by search, put to what they mean."""
    made: dict[str, Any] = await _named(resource, names, resolve, "")
    return made


async def _named(node: Any, names: dict[str, str], resolve: Resolve, key: str) -> Any:
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


def _named_link(match: re.Match[str], names: dict[str, str]) -> str:
    begin, quote, link = match.groups()
    meant = names.get(unescape(link))
    return match[0] if meant is None else f"{begin}{quote}{meant}{quote}"
