"""What this server makes itself and refers to a resource: ``_revinclude`` of readings and the like.

Observations are asked of the store, all else of the search of its kind, as a client would find it.

Errors  FhirError 403
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from wardlight_cloud.fhir import isolation, paging
from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.fhir.search import observation_search
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.including import MOST_INCLUDED, Included
from wardlight_cloud.fhir.stored.kinds import OWN_REFERENCES
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.base import ReadStore

Handler = Callable[[Request], Awaitable[Response]]
_OBSERVATION: Final = "Observation"


def own_references(kind: str, name: str, references: Sequence[str]) -> list[str]:
    """Those of the references that its own of the kind can have with this parameter."""
    target = OWN_REFERENCES.get(kind, {}).get(name)
    return [each for each in references if each.partition("/")[0] == target]


class Referring:
    """Finds them; ``searches``: the handlers of what is made here, by kind."""

    def __init__(self, store: ReadStore, searches: Mapping[str, Handler]) -> None:
        self._store = store
        self._searches = searches

    async def of(
        self, asker: Asker, kind: str, name: str, references: Sequence[str]
    ) -> list[Included]:
        """Those of a kind that the asker may search, one more than an answer holds at most."""
        if kind == _OBSERVATION:
            return await self._readings(asker, name, references)
        found: list[Included] = []
        for each in references:
            found += await self._others(asker, kind, name, each)
            if len(found) > MOST_INCLUDED:
                break
        return found

    async def _readings(self, asker: Asker, name: str, references: Sequence[str]) -> list[Included]:
        search = observation_search([(name, ",".join(references))], strict=True)
        query = replace(search.query, count=MOST_INCLUDED + 1)
        query_in_reach = isolation.observations(_searching(asker, _OBSERVATION, ""), query)
        if query_in_reach is None or search.matches_nothing:
            return []
        rows = (await self._store.observations(query_in_reach)).rows
        return [Included(_OBSERVATION, row.observation_id, observation(row)) for row in rows]

    async def _others(self, asker: Asker, kind: str, name: str, reference: str) -> list[Included]:
        found: list[Included] = []
        pairs = [(name, reference), ("_count", str(paging.COUNT_MAX))]
        cursor: str | None = ""
        while cursor is not None and len(found) <= MOST_INCLUDED:
            query = urlencode([*pairs, (paging.CURSOR, cursor)] if cursor else pairs)
            answer = await self._searches[kind](_searching(asker, kind, query))
            page: dict[str, Any] = orjson.loads(answer.body)
            resources = [each["resource"] for each in page.get("entry", ())]
            found += [Included(kind, each["id"], orjson.dumps(each)) for each in resources]
            cursor = paging.next_cursor(page)
        return found


def _searching(asker: Asker, kind: str, query: str) -> Request:
    """The same asker's search of a kind."""
    scope: Scope = {**asker.request.scope, "method": "GET", "query_string": query.encode()}
    request = Request(scope, asker.request.receive)
    isolation.admit(request, isolation.access(asker.request), kind, Interaction.SEARCH)
    return request
