"""Chains of Observations: ``patient.identifier``, ``subject:Patient.name``, ``device.identifier``.

What a chain leads to is looked up first; the search then names it, and both readings and stored
Observations are searched alike.

Errors  FhirError 400 with the parameter at fault; 403 for a type that may not be searched;
        SeveralPeople for an identifier that several Patients have
Source  R4 4.0.1 3.1.1.5.1
"""

from collections.abc import Sequence
from typing import Final, Protocol

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.asking import identity
from wardlight_cloud.fhir.observation_identifiers import (
    IdentifiedStore,
    is_looked_up,
    with_own_names,
)
from wardlight_cloud.fhir.outcome import FhirError, invalid
from wardlight_cloud.fhir.paging import Parameters
from wardlight_cloud.fhir.parameters import split_values
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.body import parsed, whole
from wardlight_cloud.fhir.stored.index_values import index_values
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.resources import (
    Condition,
    HasText,
    ResourceQuery,
    ResourceRow,
    ResourceStore,
    SeveralPeople,
    TextMatch,
    TextValue,
)

_LED_TO: Final = {
    **dict.fromkeys(("patient.", "subject.", "patient:Patient.", "subject:Patient."), "Patient"),
    **dict.fromkeys(("device.", "device:Device."), "Device"),
}
_CHAINS: Final = tuple(_LED_TO)
_NAMES: Final = {"Patient": "patient", "Device": "device"}
_MOST: Final = 500
_NOBODY: Final = "00000000-0000-0000-0000-000000000000"


class ChainStore(IdentifiedStore, ResourceStore, Protocol):
    """What is asked of the store."""


def is_looked_up_first(name: str, text: str) -> bool:
    """Whether a parameter is a chain, or an identifier that no reading is found by itself."""
    return is_chain(name) or is_looked_up(name, text)


def is_chain(name: str) -> bool:
    """Whether a parameter is one."""
    return "." in name and name.startswith(_CHAINS)


async def without_chains(
    store: ChainStore, asker: Asker, given: Parameters
) -> list[tuple[str, str]]:
    """Chains replaced by what they lead to; the PHD guide's identifiers told by our own."""
    made = []
    for name, text in given:
        chain = next((each for each in _LED_TO if name.startswith(each)), None)
        if chain is None:
            if is_looked_up(name, text):
                text = await with_own_names(store, text)
            made.append((name, text))
            continue
        kind, rest = _LED_TO[chain], name.removeprefix(chain)
        if kind == "Device" and rest != "identifier":
            text = "sensors are found by device.identifier alone; search Device first, then name it"
            raise invalid(name[:64], text)
        try:
            ids = await _stored(store, asker, kind, rest, text)
        except FhirError as error:
            if error.status != 400:
                raise
            raise invalid(name[:64], str(error)) from error
        if kind == "Device":
            ids += await _sensors(store, asker, rest, text)
        if len(ids) > _MOST:
            raise invalid(name, f"leads to more than {_MOST} of {kind}")
        made.append((_NAMES[kind], ",".join(ids or [_NOBODY])))
    return made


async def _stored(store: ChainStore, asker: Asker, kind: str, rest: str, text: str) -> list[str]:
    limits = asker.limits(kind)
    wanted = (*limits.conditions, asker.criteria().condition(kind, rest, text))
    page = await store.resources(ResourceQuery(kind, limits.patients, wanted, count=_MOST + 1))
    if (kind, rest) == ("Patient", "identifier") and _is_of_several(page.rows, wanted[-1]):
        raise SeveralPeople("patient")
    return [row.id for row in page.rows]


def _is_of_several(rows: Sequence[ResourceRow], wanted: Condition) -> bool:
    """Whether one of the identifiers is that of several Patients: their readings never mix."""
    assert isinstance(wanted, HasText)  # noqa: S101 - a token
    found = [
        {
            (each.value, each.system)
            for each in index_values(parsed(whole(row)), "")
            if isinstance(each, TextValue) and each.param == "identifier"
        }
        for row in rows
        if row.body is not None
    ]
    return any(
        sum(any(_is(match, *pair) for pair in pairs) for pairs in found) > 1
        for match in wanted.any_of
        if match.value is not None
    )


def _is(match: TextMatch, value: str, system: str) -> bool:
    return match.value == value and match.system in (None, system)


async def _sensors(store: ChainStore, asker: Asker, rest: str, text: str) -> list[str]:
    """Devices of the register, which the stored resources do not have."""
    if rest != "identifier":
        return []
    found = []
    patients = isolation.reach_to(asker.request, "Device", Interaction.SEARCH).patients
    for patient in (None,) if patients is None else patients:
        for value in split_values(text):
            known = identity(value)
            rows, _ = await store.devices(identity=known, patient=patient, count=1)
            found += [str(row.device_id) for row in rows if known]
    return found
