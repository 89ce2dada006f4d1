"""The one place of the FHIR face that narrows requests to what their token reaches.

    isolation.admit(request, access, "Observation", Interaction.SEARCH)   the router, once: 403
    isolation.reach(request)                  Reach of the admitted interaction, for its handler
    isolation.reach_to(request, kind, interaction)     Reach of another one (an entry of a
                                              Bundle, _include, _revinclude, a chain, history): 403
    isolation.observations(request, query)    the query within reach; None = nothing can be found
    isolation.patient_ids, .devices, .images, .ecgs    likewise
    isolation.is_seen(request, patient)       whether a row of a patient may be shown
    isolation.on_behalf_of(access)            a request for notices of subscriptions

A Reach (security/access.py) has ``patients``, None = all, which is what a query of the store takes,
and ``categories``, None = any. What is out of reach does not exist: a search finds nothing, a read
is 404, both as if the other patient were nobody. Only a permission that is missing altogether is
told, as 403. A patient's Device is one that the patient has now; gateways are no patient's. Kinds
that are about no patient (Endpoint) need the permission and nothing else.

Errors  FhirError 403
Source  SMART App Launch 2.2; RFC 6750 3.1 (insufficient_scope)
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from starlette.requests import Request

from wardlight_cloud.fhir.device_search import DeviceSearch
from wardlight_cloud.fhir.imaging_resources import PROCEDURE
from wardlight_cloud.fhir.imaging_search import ImagingSearch
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.vocabulary import CATEGORY, MEASURED, measured_by_category
from wardlight_cloud.security.access import Access, Category, Interaction, Reach
from wardlight_cloud.security.who import note_patients
from wardlight_cloud.store.queries import ObservationQuery

_ACCESS: Final = "wardlight.access"
_REACH: Final = "wardlight.reach"


def admit(
    request: Request, access: Access, kind: str | None, interaction: Interaction | None
) -> None:
    """Note who asks; 403 unless the interaction is permitted (None = nothing of this server)."""
    request.scope[_ACCESS] = access
    if kind is not None and interaction is not None:
        request.scope[_REACH] = reach_to(request, kind, interaction)


def on_behalf_of(access: Access) -> Request:
    """A request that nobody sent, for what is told to somebody later (subscriptions)."""
    scope = {"type": "http", "method": "GET", "path": "/fhir", "query_string": b"", "headers": []}
    return Request({**scope, _ACCESS: access})


def access(request: Request) -> Access:
    """Who asks."""
    found: Access = request.scope[_ACCESS]
    return found


def access_or_none(request: Request) -> Access | None:
    """The same; None when nobody was admitted."""
    found: Access | None = request.scope.get(_ACCESS)
    return found


def reach(request: Request) -> Reach:
    """What the admitted interaction reaches."""
    found: Reach = request.scope[_REACH]
    return found


def reach_to(request: Request, kind: str, interaction: Interaction) -> Reach:
    """What another interaction of the same asker reaches; 403 when it is not permitted."""
    found = access(request).to(kind, interaction)
    if found is None:
        text = f"The token is for other scopes; this needs one such as .../{kind}.{interaction}."
        raise insufficient_scope(kind, interaction, text)
    return found


def insufficient_scope(kind: str, interaction: Interaction, text: str) -> FhirError:
    """The 403 that tells which scope is missing."""
    scope = f"system/{kind}.{interaction}"
    challenge = f'Bearer realm="fhir", error="insufficient_scope", scope="{scope}"'
    return FhirError(403, "forbidden", text, headers={"WWW-Authenticate": challenge})


def is_seen(request: Request, patient: UUID | None) -> bool:
    """Whether a row of this patient (None = of nobody) is in reach."""
    return reach(request).sees(patient)


def observations(request: Request, query: ObservationQuery) -> ObservationQuery | None:
    """The query within reach; None when nothing in reach can match."""
    limits = reach(request)
    patients = limits.among(query.patients)
    if patients is not None:
        # The id of nobody stands for a chain that leads to nobody.
        note_patients(request.scope, [str(each) for each in patients if each.int])
    if limits.patients is None and limits.categories is None:
        return query
    if patients == ():
        return None
    query = replace(query, patients=patients)
    return query if limits.categories is None else _of_categories(query, limits.categories)


def patient_ids(request: Request, asked: Sequence[UUID] | None) -> Sequence[UUID] | None:
    """Ids of patients to look for; None = all there are."""
    return reach(request).among(asked)


def devices(request: Request, search: DeviceSearch) -> DeviceSearch:
    """The search within reach."""
    patients = reach(request).among(None if search.patient is None else [search.patient])
    if patients is None:
        return search
    if not patients:
        return replace(search, of_nobody=True)
    [patient] = patients  # a token is for one patient at most, and so is a search
    return replace(search, patient=patient)


def images(request: Request, search: ImagingSearch) -> ImagingSearch:
    """The search within reach."""
    patients = reach(request).among(search.query.patients)
    query = replace(search.query, patients=patients)
    return replace(search, query=query, is_empty=search.is_empty or patients == ())


def ecgs(request: Request, search: ImagingSearch) -> ImagingSearch:
    """The search for ECGs, which are Observations of one category, within reach."""
    search = images(request, search)
    return search if sees_ecgs(request) else replace(search, is_empty=True)


def sees_ecgs(request: Request) -> bool:
    """Whether the category of ECGs is in reach."""
    categories = reach(request).categories
    return categories is None or not categories.isdisjoint(_OF_ECGS)


_OF_ECGS: Final = frozenset[Category]({(None, PROCEDURE), (CATEGORY, PROCEDURE)})


def _of_categories(
    query: ObservationQuery, categories: frozenset[Category]
) -> ObservationQuery | None:
    seen = frozenset[tuple[int, str]]().union(*(measured_by_category(*each) for each in categories))
    metrics = {wire for wire, _ in seen}
    if query.metrics is not None:
        metrics &= set(query.metrics)
    hidden = {each for each in MEASURED if each[0] in metrics} - seen
    if not metrics:
        return None
    return replace(
        query,
        metrics=tuple(sorted(metrics)),
        other_units=tuple(sorted({*query.other_units, *hidden})),
    )
