"""References of resources that are written: names of a Bundle replaced, dead ends refused.

Errors  FhirError 422 with the references that lead nowhere; 412 from a resolver
Source  R4 4.0.1 3.1.0.11.2 (transactions), 2.3.0 (references)
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from wardlight_cloud.fhir.addresses import local_reference
from wardlight_cloud.fhir.outcome import FhirError, outcome_issue
from wardlight_cloud.fhir.stored.asker import Asker, is_within
from wardlight_cloud.fhir.stored.kinds import STORED
from wardlight_cloud.fhir.stored.wishes import Query
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.resources import ResourceStore

Resolve = Callable[[str, Query], Awaitable[str]]
_MOST_ISSUES: Final = 20


class _Owns(Protocol):
    async def owns(self, kind: str, resource_id: str) -> bool: ...


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


async def check_references(
    store: ResourceStore,
    own: _Owns,
    asker: Asker,
    resources: Sequence[tuple[str, dict[str, Any]]],
    new: set[str],
) -> None:
    """Refuse references to resources that would be here, and are not."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for place, resource in resources:
        for path, text in _references(resource, resource["resourceType"]):
            local = local_reference(text, asker.base)
            if local is not None and local not in new and local.partition("/")[0] in STORED:
                wanted[local].append(place + path)
    dead = [
        place for local in await _dead(store, own, asker, list(wanted)) for place in wanted[local]
    ]
    if dead:
        text = "The reference leads to nothing on this server."
        issues = [outcome_issue("error", "not-found", text, each) for each in dead[:_MOST_ISSUES]]
        raise FhirError(422, "not-found", text, issues=issues)


async def _dead(store: ResourceStore, own: _Owns, asker: Asker, wanted: Sequence[str]) -> list[str]:
    by_kind: dict[str, list[str]] = defaultdict(list)
    for local in wanted:
        kind, _, resource_id = local.partition("/")
        by_kind[kind].append(resource_id)
    dead = []
    for kind, ids in by_kind.items():
        limits = asker.limits_or_none(kind, Interaction.READ)
        rows = await store.resources_by_id(kind, ids, patients=None)
        there = {
            row.id
            for row in rows
            if row.body is not None
            and (limits is None or is_within(kind, row.patients, limits.patients))
        }
        for resource_id in ids:
            if resource_id not in there and not await own.owns(kind, resource_id):
                dead.append(f"{kind}/{resource_id}")
    return dead


def _references(node: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "reference" and isinstance(value, str):
                yield f"{place}.{key}", value
            else:
                yield from _references(value, f"{place}.{key}")
    elif isinstance(node, list):
        for at, each in enumerate(node):
            yield from _references(each, f"{place}[{at}]")
