"""What may be told of events at the moment when it is told.

An event keeps its number for ever, but names its resource only while the subscriber may see it
and it still is of the patients that it was of when it matched. What was given to another patient
meanwhile, or deleted, or is out of reach by now, is a number and a time.

An event of what left its patient names it to whoever sees that patient: the name is what his copy
has. Where it is out of his reach it is told as deleted, else by its name alone.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.fhir.stored.asker import Asker, is_within
from wardlight_cloud.fhir.stored.body import whole
from wardlight_cloud.fhir.stored.visible import visible
from wardlight_cloud.fhir.subscriptions.definition import Content
from wardlight_cloud.fhir.subscriptions.matching import OBSERVATION
from wardlight_cloud.fhir.subscriptions.notices import Told
from wardlight_cloud.fhir.subscriptions.ports import AskedStore
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_cloud.store.subscriptions import SubscriptionEvent

_READING: Final = re.compile(r"[0-9a-f]{32}")


async def told(
    store: AskedStore, asker: Asker, events: Sequence[SubscriptionEvent], content: Content
) -> list[Told]:
    """Events as they may be told to the asker; FhirError 403 where nothing of a kind may be."""
    if content == "empty":
        return [Told(event, is_seen=False) for event in events]
    by_kind: dict[str, set[str]] = defaultdict(set)
    for event in events:
        by_kind[event.kind].add(event.id)
    whole_too = content == "full-resource"
    interaction = Interaction.READ if whole_too else Interaction.SEARCH
    seen = {
        (kind, name): found
        for kind, names in by_kind.items()
        for name, found in (await _seen(store, asker, kind, sorted(names), interaction)).items()
    }
    limits = {kind: asker.limits(kind) for kind in {each.kind for each in events if each.is_left}}
    made = []
    for event in events:
        found = seen.get((event.kind, event.id))
        is_seen = found is not None and found[0] == event.patients
        text = found[1] if is_seen and found is not None and whole_too else None
        is_gone = event.is_left and not is_seen
        if is_gone:
            is_seen = is_within(event.kind, event.patients, limits[event.kind].patients)
        made.append(Told(event, is_seen, text, is_deleted=is_gone and is_seen and found is None))
    return made


_Seen = dict[str, tuple[tuple[object, ...], bytes]]


async def _seen(
    store: AskedStore, asker: Asker, kind: str, ids: list[str], interaction: Interaction
) -> _Seen:
    """Patients and text of what is in reach, by id."""
    limits = asker.limits(kind, interaction)
    rows = await visible(store, kind, ids, limits, asker.base)
    found: _Seen = {row.id: (row.patients, whole(row)) for row in rows if row.body is not None}
    readings = tuple(each for each in ids if _READING.fullmatch(each))
    if kind == OBSERVATION and readings:
        isolation.admit(asker.request, isolation.access(asker.request), kind, interaction)
        wanted = ObservationQuery(ids=readings, count=len(readings))
        query = isolation.observations(asker.request, wanted)
        if query is not None:
            page = await store.observations(query)
            found |= {
                row.observation_id: ((row.origin.patient_id,), observation(row))
                for row in page.rows
            }
    return found
