"""What conditions of changes find of what this server makes itself: readings, and sensors by name.

``If-None-Exist: identifier=...`` of a reading that is here creates no second one; so does any
other condition that a search of readings takes. Sensors are found by ``identifier`` alone.

Errors  FhirError 400 with the parameter at fault; 403
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import orjson

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.asking import identity
from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.fhir.observation_chains import ChainStore, without_chains
from wardlight_cloud.fhir.observation_searches import excludes_readings, is_of_stored
from wardlight_cloud.fhir.parameters import split_values
from wardlight_cloud.fhir.resources import device_resource, device_version
from wardlight_cloud.fhir.search import observation_search
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.wishes import OwnFound, Query
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.base import DeviceRow

_MOST: Final = 2  # more would change nothing: one, or several


class Own(Protocol):
    """Whether its own may be read."""

    async def reads(self, asker: Asker, kind: str, resource_id: str) -> bool:
        """Whether the asker may read one of its own."""


async def found_here(
    store: ChainStore, own: Own, asker: Asker, kind: str, given: Query
) -> Sequence[OwnFound]:
    """Those of a kind that a condition finds and the asker may search; two at most."""
    if kind == "Observation":
        return await _readings(store, own, asker, given)
    return await _sensors(store, own, asker, given) if kind == "Device" else ()


async def _readings(store: ChainStore, own: Own, asker: Asker, given: Query) -> Sequence[OwnFound]:
    plain = await without_chains(store, asker, given)
    if any(excludes_readings(*pair) for pair in plain):
        return ()
    search = observation_search([pair for pair in plain if not is_of_stored(pair[0])], strict=True)
    # The admitted interaction is a change; a condition finds what may be searched.
    access = isolation.access(asker.request)
    request = isolation.on_behalf_of(access)
    isolation.admit(request, access, "Observation", Interaction.SEARCH)
    query = isolation.observations(request, replace(search.query, count=_MOST))
    if query is None or search.matches_nothing:
        return ()
    rows = (await store.observations(query)).rows
    return [
        OwnFound(
            row.observation_id, str(row.commit_seq), row.stored_at, observation(row),
            await own.reads(asker, "Observation", row.observation_id),
        )
        for row in rows
    ]  # fmt: skip


async def _sensors(store: ChainStore, own: Own, asker: Asker, given: Query) -> Sequence[OwnFound]:
    if not given or any(name != "identifier" for name, _ in given):
        return ()
    sets = [await _named(store, asker, text) for _, text in given]
    ids = set.intersection(*(set(each) for each in sets))
    found = []
    for device_id in sorted(ids)[:_MOST]:
        row = sets[0][device_id]
        version, updated = device_version(row)
        is_readable = await own.reads(asker, "Device", device_id)
        text = orjson.dumps(device_resource(row))
        found.append(OwnFound(device_id, version, updated, text, is_readable))
    return found


async def _named(store: ChainStore, asker: Asker, text: str) -> dict[str, DeviceRow]:
    patients = isolation.reach_to(asker.request, "Device", Interaction.SEARCH).patients
    found: dict[str, DeviceRow] = {}
    for patient in (None,) if patients is None else patients:
        for name in filter(None, map(identity, split_values(text))):
            rows, _ = await store.devices(identity=name, patient=patient, count=_MOST)
            found |= {str(row.device_id): row for row in rows}
    return found
