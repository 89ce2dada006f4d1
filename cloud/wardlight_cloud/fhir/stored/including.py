"""``_include`` and ``_revinclude``: resources that matches refer to, and that refer to matches.

Errors  FhirError 400 with the parameter at fault; 403 for a kind that may not be searched
Source  R4 4.0.1 3.1.1.5.2
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from wardlight_cloud.fhir.outcome import FhirError, invalid
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.body import whole
from wardlight_cloud.fhir.stored.parameter_table import ANYTHING, SEARCH_PARAMETERS
from wardlight_cloud.fhir.stored.visible import visible
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.resources import (
    HasText,
    ResourceQuery,
    ResourceRow,
    ResourceStore,
    TextMatch,
)

MOST_INCLUDED: Final = 1000
_MOST_ROUNDS: Final = 4


@dataclass(frozen=True, slots=True)
class Inclusion:
    """One _include or _revinclude. ``names``: of parameters; ``target`` None = any kind."""

    is_reverse: bool
    kind: str
    names: tuple[str, ...]
    target: str | None
    is_iterated: bool


@dataclass(frozen=True, slots=True)
class Included:
    """A resource beside the matches, as JSON."""

    kind: str
    id: str
    text: bytes


@dataclass(frozen=True, slots=True)
class OwnMatch:
    """A match that this server makes itself, and what it refers to by each parameter."""

    kind: str
    id: str
    references: Mapping[str, Sequence[str]]


class OwnReads(Protocol):
    """Reads what this server makes itself."""

    async def own_texts(self, asker: Asker, kind: str, ids: Sequence[str]) -> list[Included]:
        """Those of the ids that are its own and in reach."""

    async def own_referring(
        self, asker: Asker, kind: str, names: Sequence[str], references: Sequence[str]
    ) -> list[Included]:
        """Its own of a kind, in reach, that refer by one of the parameters to one of these."""


def inclusion(parameter: str, modifier: str, text: str) -> Inclusion:
    """Read ``Task:owner``, ``Task:owner:Practitioner``, ``Task:*``, ``*``."""
    if modifier not in ("", "iterate"):
        raise invalid(f"{parameter}:{modifier}", "the modifier is not supported; use :iterate")
    kind, _, rest = text.partition(":")
    name, _, target = rest.partition(":")
    if kind not in SEARCH_PARAMETERS:
        raise invalid(parameter, "write it as Type:parameter, of a type that is stored here")
    table = SEARCH_PARAMETERS[kind]
    references = tuple(each.name for each in table.values() if each.type == "reference")
    if name != ANYTHING and name not in references:
        raise invalid(parameter, f"{kind} has these references: {', '.join(references)}")
    names = references if name == ANYTHING else (name,)
    return Inclusion(parameter == "_revinclude", kind, names, target or None, modifier != "")


class Including:
    """Finds what is included in one answer."""

    def __init__(self, store: ResourceStore, own: OwnReads, asker: Asker) -> None:
        self._store = store
        self._own = own
        self._asker = asker
        self._seen: set[tuple[str, str]] = set()
        self._found: list[Included] = []

    async def of(
        self,
        rows: Sequence[ResourceRow],
        inclusions: Sequence[Inclusion],
        own: Sequence[OwnMatch] = (),
    ) -> list[Included]:
        """Included resources, each once, none of them a match."""
        self._seen = {(row.kind, row.id) for row in rows} | {(one.kind, one.id) for one in own}
        asked: Iterable[Inclusion] = inclusions
        for _ in range(_MOST_ROUNDS):
            rows = [row for each in asked for row in await self._round(rows, own, each)]
            own = ()
            asked = [each for each in inclusions if each.is_iterated]
            if not rows or not asked:
                break
        return self._found

    async def _round(
        self, rows: Sequence[ResourceRow], own: Sequence[OwnMatch], asked: Inclusion
    ) -> Sequence[ResourceRow]:
        if asked.is_reverse:
            references = [f"{row.kind}/{row.id}" for row in rows]
            references += [f"{one.kind}/{one.id}" for one in own]
            return await self._referring(references, asked)
        return await self._referred(rows, own, asked)

    async def _referred(
        self, rows: Sequence[ResourceRow], own: Sequence[OwnMatch], asked: Inclusion
    ) -> Sequence[ResourceRow]:
        keys = [row.key for row in rows if row.kind == asked.kind]
        named = [each.references for each in own if each.kind == asked.kind]
        found = dict.fromkeys(
            one for each in named for name in asked.names for one in each.get(name, ())
        )
        if keys:
            params = [f"{asked.kind}.{name}" for name in asked.names]
            found |= dict.fromkeys(await self._store.references_of(keys, params))
        wanted: dict[str, list[str]] = defaultdict(list)
        for reference in found:
            kind, slash, resource_id = reference.partition("/")
            if not slash or (asked.target is not None and kind != asked.target):
                continue
            if (kind, resource_id) not in self._seen:
                wanted[kind].append(resource_id)
        made: list[ResourceRow] = []
        for kind, ids in wanted.items():
            made += await self._by_id(kind, ids)
        return made

    async def _by_id(self, kind: str, ids: Sequence[str]) -> Sequence[ResourceRow]:
        limits = self._asker.limits_or_none(kind, Interaction.READ)
        if limits is None:
            return ()
        for own in await self._own.own_texts(self._asker, kind, ids):
            self._take(own)
        if kind not in SEARCH_PARAMETERS:
            return ()
        return self._taken(await visible(self._store, kind, ids, limits))

    async def _referring(
        self, references: Sequence[str], asked: Inclusion
    ) -> Sequence[ResourceRow]:
        limits = self._asker.limits_or_none(asked.kind, Interaction.SEARCH)
        if not references or limits is None:
            return ()
        for own in await self._own.own_referring(self._asker, asked.kind, asked.names, references):
            self._take(own)
        matches = tuple(TextMatch(each) for each in references)
        made: list[ResourceRow] = []
        for name in asked.names:
            conditions = (*limits.conditions, HasText(name, matches))
            query = ResourceQuery(asked.kind, limits.patients, conditions, count=MOST_INCLUDED)
            page = await self._store.resources(query)
            if page.next is not None:
                raise _too_many()
            made += self._taken(page.rows)
        return made

    def _taken(self, rows: Sequence[ResourceRow]) -> list[ResourceRow]:
        return [
            row
            for row in rows
            if row.body is not None and self._take(Included(row.kind, row.id, whole(row)))
        ]

    def _take(self, one: Included) -> bool:
        if (one.kind, one.id) in self._seen:
            return False
        if len(self._found) == MOST_INCLUDED:
            raise _too_many()
        self._seen.add((one.kind, one.id))
        self._found.append(one)
        return True


def _too_many() -> FhirError:
    text = f"More than {MOST_INCLUDED} resources would be included; ask for a smaller _count."
    return FhirError(400, "too-costly", text, expression="http._include")
