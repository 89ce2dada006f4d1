"""Chains and ``_has`` that lead to what this server makes itself, looked up before a search.

    known = await LookedUp(store, own, get).conditions(asker, "Patient", given)
    search = stored_search(asker, "Patient", given, strict=True, known=known)

The store has an index of written resources only. Here the search of the other kind is asked what it
finds, as its client would ask it: of the patients, or of what the resources refer to, that the
other parameters leave. What it finds becomes a condition. So ``Patient?_has:Observation:patient:X``
finds exactly those of whom ``Observation?patient=ID&X`` finds something.

Errors  FhirError 400 with the parameter at fault, and too-costly when too many would have to be
        looked at; 403; whatever else the other search is answered with
Source  R4 4.0.1 3.1.1.5.1 (chains, reverse chains)
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import orjson

from wardlight_cloud.fhir import paging
from wardlight_cloud.fhir.outcome import FhirError, invalid
from wardlight_cloud.fhir.paging import Parameters
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.conditions import HAS, Chain, is_of_own
from wardlight_cloud.fhir.stored.kinds import OWN_REFERENCES
from wardlight_cloud.fhir.stored.searching import OF_THE_ANSWER, stored_search
from wardlight_cloud.store.resources import (
    Condition,
    HasId,
    HasText,
    ResourceRow,
    ResourceStore,
    TextMatch,
)

MOST: Final = 500  # resources that are looked at, and references of theirs
_AT_ONCE: Final = 50  # named in one search
_PATIENT: Final = "Patient"


class InnerGet(Protocol):
    """Status and body of the same asker's GET."""

    async def __call__(
        self, request: Any, path: str, query: str, *, is_strict: bool = False
    ) -> tuple[int, bytes]:
        """See FhirFace."""


class Owns(Protocol):
    """Knows what this server makes itself."""

    async def is_beside_readings(self, resource_id: str) -> bool:
        """Whether it is an Observation that searches of Observations do not list."""


class LookedUp:
    """Makes conditions of what the searches of other kinds find."""

    def __init__(self, store: ResourceStore, own: Owns, get: InnerGet) -> None:
        self._store = store
        self._own = own
        self._get = get

    async def conditions(
        self, asker: Asker, kind: str, given: Parameters
    ) -> Mapping[tuple[str, str], Condition]:
        """Those of the parameters that have to be looked up, by name and text."""
        criteria = asker.criteria()
        chains = {pair: criteria.chain(kind, pair[0]) for pair in given if "." in pair[0]}
        wanted: list[tuple[tuple[str, str], Chain | None]] = [
            (pair, chain)
            for pair in dict.fromkeys(given)
            if (chain := chains.get(pair)) is not None and chain.target in OWN_REFERENCES
        ]
        wanted += [(pair, None) for pair in dict.fromkeys(given) if _is_has_of_own(kind, pair[0])]
        if not wanted:
            return {}
        pairs = [pair for pair, _ in wanted]
        others = [each for each in given if each not in pairs and each[0] not in OF_THE_ANSWER]
        found: dict[tuple[str, str], Condition] = {}
        for pair, chain in wanted:
            if not pair[1].strip(","):
                raise invalid(pair[0], "has no value; leave it out, or say what to look for")
            if chain is None:
                found[pair] = await self._has(asker, others, *pair)
            else:
                found[pair] = await self._chain(asker, kind, others, chain, *pair)
        return found

    async def _has(self, asker: Asker, others: Parameters, name: str, text: str) -> Condition:
        _, other, reference, rest = name.split(":", 3)
        asker.limits(other)
        rows = await self._candidates(asker, _PATIENT, others, None, name)
        ids = [row.id for row in rows]
        size = _AT_ONCE if other == "Observation" else 1
        found: set[str] = set()
        for left in (set(ids[start : start + size]) for start in range(0, len(ids), size)):
            while left:
                named = [(reference, ",".join(f"{_PATIENT}/{each}" for each in sorted(left)))]
                seen = await self._first(asker, other, [*named, (rest, text)], name)
                those = left if seen and size == 1 else left & set(map(_patient_of, seen))
                found |= those
                left = left - those if those else set()
        return HasId(tuple(each for each in ids if each in found))

    async def _chain(
        self, asker: Asker, kind: str, others: Parameters, chain: Chain, name: str, text: str
    ) -> Condition:
        param, target = chain.parameter.name, chain.target
        asker.limits(target)
        leads = HasText(param, (TextMatch(f"{target}/", how="prefix"),))
        rows = await self._candidates(asker, kind, others, leads, name)
        references = await self._store.references_of([row.key for row in rows], [f"{kind}.{param}"])
        ids = [each[len(target) + 1 :] for each in references if each.startswith(f"{target}/")]
        if len(ids) > MOST:
            raise _too_many(name)
        found: list[str] = []
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            query = [("_id", ",".join(part)), (chain.rest, text), ("_count", str(_AT_ONCE))]
            async for page in self._pages(asker, target, query, name):
                found += [each["id"] for each in page]
            for each in part:
                if each not in found and await self._own.is_beside_readings(each):
                    what = "refers to waveforms, averages or ECGs, which a chain does not look at"
                    raise invalid(name, what)
        return HasText(param, tuple(TextMatch(f"{target}/{each}") for each in found))

    async def _candidates(
        self, asker: Asker, kind: str, others: Parameters, leads: Condition | None, name: str
    ) -> Sequence[ResourceRow]:
        """What the other parameters leave to be looked at."""
        query = stored_search(asker, kind, others, strict=False).query
        conditions = query.conditions if leads is None else (*query.conditions, leads)
        page = await self._store.resources(replace(query, conditions=conditions, count=MOST))
        if page.next is not None:
            raise _too_many(name)
        return page.rows

    async def _first(
        self, asker: Asker, kind: str, query: Parameters, name: str
    ) -> Sequence[dict[str, Any]]:
        """The first page that holds anything."""
        async for page in self._pages(asker, kind, [*query, ("_count", str(_AT_ONCE))], name):
            if page:
                return page
        return ()

    async def _pages(
        self, asker: Asker, kind: str, query: Parameters, name: str
    ) -> AsyncIterator[Sequence[dict[str, Any]]]:
        text: str | None = urlencode(query)
        while text is not None:
            status, body = await self._get(asker.request, kind, text, is_strict=True)
            answer: dict[str, Any] = orjson.loads(body)
            if status != 200:
                raise _as_ours(status, answer["issue"][0], name)
            yield [each["resource"] for each in answer.get("entry", ())]
            cursor = paging.next_cursor(answer)
            text = None if cursor is None else urlencode([*query, (paging.CURSOR, cursor)])


def _is_has_of_own(kind: str, name: str) -> bool:
    if kind != _PATIENT or not name.startswith(f"{HAS}:"):
        return False
    _, *parts = name.split(":", 3)
    return len(parts) == 3 and is_of_own(kind, parts[0], parts[1])


def _patient_of(resource: Mapping[str, Any]) -> str:
    text: str = resource.get("subject", {}).get("reference", "")
    return text.rpartition("/")[2]


def _too_many(name: str) -> FhirError:
    text = f"{name[:64]}: more than {MOST} resources would have to be looked at; narrow the search"
    return FhirError(400, "too-costly", text, expression=f"http.{name[:64]}")


def _as_ours(status: int, issue: Mapping[str, Any], name: str) -> FhirError:
    if status == 400:
        return invalid(name[:64], issue["diagnostics"])
    headers = {"Retry-After": "5"} if status in (429, 503) else None
    return FhirError(status, issue["code"], issue["diagnostics"], headers=headers)
