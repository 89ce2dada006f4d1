"""What resources of a transaction call one another, put to what it means.

Errors  those of the resolver: FhirError 412
Source  R4 4.0.1 3.1.0.11.2 (transactions), 2.3.0.3 (references by search)
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from wardlight_cloud.fhir.stored.kinds import STORED
from wardlight_cloud.fhir.stored.wishes import Query

Resolve = Callable[[str, Query], Awaitable[str]]


async def with_names(
    resource: dict[str, Any], names: dict[str, str], resolve: Resolve
) -> dict[str, Any]:
    """The resource with ``urn:uuid:`` names, and references by search, put to what they mean."""
    made: dict[str, Any] = await _named(resource, names, resolve, "")
    return made


async def _named(node: Any, names: dict[str, str], resolve: Resolve, key: str) -> Any:
    if isinstance(node, dict):
        return {name: await _named(value, names, resolve, name) for name, value in node.items()}
    if isinstance(node, list):
        return [await _named(each, names, resolve, key) for each in node]
    if not isinstance(node, str):
        return node
    if node in names:
        return names[node]
    kind, mark, query = node.partition("?")
    if key == "reference" and mark and kind in STORED:
        return await resolve(kind, tuple(parse_qsl(query, keep_blank_values=True)))
    return node
