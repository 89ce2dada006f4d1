"""What the CapabilityStatement declares of ``_include`` and ``_revinclude`` is what works.

For each reference of each type a resource is written that refers by it to one resource of each type
that it may lead to; each search is asked for all inclusions there could be.
"""

from collections import defaultdict
from typing import Any

import httpx

from support.served_ward import ANNA, Ward
from support.stored_resources import created
from wardlight_cloud.fhir.capability import search_parameters
from wardlight_cloud.fhir.stored.kinds import STORED, SUBSCRIPTION
from wardlight_cloud.fhir.stored.parameter_table import SEARCH_PARAMETERS, SearchParameter
from wardlight_cloud.fhir.subscriptions.owning import OWNER, owner
from wardlight_cloud.store.resources import Conflict, Put, TextValue

REFERENCES = [
    parameter
    for table in SEARCH_PARAMETERS.values()
    for parameter in table.values()
    if parameter.type == "reference"
]
MINE = (TextValue("_tag", owner("writer", None, None), OWNER),)


def targets(parameter: SearchParameter) -> list[str]:
    """Types that are kept here and that it may lead to."""
    return [kind for kind in STORED if parameter.targets is None or kind in parameter.targets]


def target(kind: str) -> str:
    return f"{kind}/{ANNA}" if kind == "Patient" else f"{kind}/target"


async def fill(client: httpx.AsyncClient, ward: Ward) -> str:
    """One of each type to refer to, one for each reference, known by its name, and one Patient
    with all references that Patients have, whose id this is."""
    puts = [
        Put(kind, "target", b"{}", (ANNA,), MINE if kind == SUBSCRIPTION else ())
        for kind in STORED
        if kind != "Patient"
    ]
    puts += [
        Put(
            each.kind, f"by-{each.name}", b"{}", (ANNA,),
            tuple(TextValue(each.name, target(kind)) for kind in targets(each)),
        )
        for each in REFERENCES
        if each.kind != "Patient"
    ]  # fmt: skip
    assert not isinstance(await ward.store.write_resources(puts), Conflict)
    practice = [{"reference": target(f"Practitioner{more}")} for more in ("", "Role")]
    patient = {
        "resourceType": "Patient", "name": [{"family": "Ash"}],
        "managingOrganization": {"reference": "Organization/target"},
        "generalPractitioner": [{"reference": "Organization/target"}, *practice],
        "link": [{"other": {"reference": f"Patient/{ANNA}"}, "type": "seealso"}],
    }  # fmt: skip
    return str((await created(client, patient))["id"])


async def beside(client: httpx.AsyncClient, search: str) -> set[str]:
    answer = await client.get(f"/fhir/{search}")
    assert answer.status_code == 200, (search, answer.text)
    return {
        each["fullUrl"].partition("/fhir/")[2]
        for each in answer.json().get("entry", [])
        if each["search"]["mode"] == "include"
    }


async def declared(client: httpx.AsyncClient, name: str) -> dict[str, set[str]]:
    statement = (await client.get("/fhir/metadata")).json()
    resources: list[dict[str, Any]] = statement["rest"][0]["resource"]
    return {each["type"]: set(each.get(name, [])) for each in resources}


async def test_each_type_declares_what_it_includes(client: httpx.AsyncClient, ward: Ward) -> None:
    patient = await fill(client, ward)
    works: dict[str, set[str]] = defaultdict(set)
    for each in REFERENCES:
        name = f"{each.kind}:{each.name}"
        one = patient if each.kind == "Patient" else f"by-{each.name}"
        found = await beside(client, f"{each.kind}?_id={one}&_include={name}")
        # A Subscription is its owner's alone, and nobody else's page shows it.
        assert found == {target(kind) for kind in targets(each) if kind != SUBSCRIPTION}, name
        if found:
            works[each.kind].add(name)
    said = await declared(client, "searchInclude")
    assert {kind: names for kind, names in said.items() if names} == works
    assert said.keys() == search_parameters().keys()


async def test_each_type_declares_what_refers_to_it(client: httpx.AsyncClient, ward: Ward) -> None:
    patient = await fill(client, ward)
    said = await declared(client, "searchRevInclude")
    asked = "".join(f"&_revinclude={each.kind}:{each.name}" for each in REFERENCES)
    for kind in STORED:
        found = await beside(client, f"{kind}?_id={target(kind).partition('/')[2]}{asked}")
        if kind == "Patient":  # whose the devices are, as the register has it
            found -= {f"Device/{device}" for device in ward.devices.values()}
        of_patients = {name for name in said[kind] if name.startswith("Patient:")}
        assert (f"Patient/{patient}" in found) == bool(of_patients), kind
        works = {one.replace("/by-", ":") for one in found - {f"Patient/{patient}"}}
        assert works == said[kind] - of_patients, kind
    assert not any(names for kind, names in said.items() if kind not in STORED)
