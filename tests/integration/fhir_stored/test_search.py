"""Search of stored resources: every declared parameter filters; modifiers, forms of the answer."""

from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle

from support.served_ward import ANNA, BASE, Ward
from support.stored_resources import created, found, organization, task
from wardlight_cloud.fhir.capability import search_parameters
from wardlight_cloud.fhir.stored.composites import COMPOSITES
from wardlight_cloud.fhir.stored.index_values import index_values
from wardlight_cloud.fhir.stored.kinds import STORED, SUBSCRIPTION
from wardlight_cloud.fhir.stored.parameter_table import SEARCH_PARAMETERS, SearchParameter
from wardlight_cloud.fhir.subscriptions.owning import OWNER, owner
from wardlight_cloud.store.resources import Conflict, Put, TextValue

UNITS = "http://unitsofmeasure.org"


def _with(path: str, value: Any, stem: str) -> dict[str, Any]:
    """JSON that has a value at a path of the table; ``stem`` is the type of a choice."""
    name, _, rest = path.partition(".")
    if rest == "exists()":
        return {"deceasedBoolean": value}
    if name.endswith("[x]"):
        name = name.removesuffix("[x]") + stem
    if "[" in name:
        name, _, condition = name.partition("[")
        key, _, wanted = condition.rstrip("]").partition("=")
        return {name: [{key: wanted, **value}]}
    return {name: [_with(rest, value, stem)] if rest else value}


def _values(parameter: SearchParameter) -> tuple[list[Any], list[str], str]:
    """Two elements and the values that find each of them, and the type of a choice."""
    path = parameter.paths[0]
    if path.endswith("exists()"):
        return [True, False], ["true", "false"], ""
    match parameter.type:
        case "token" if "[system=" in path:
            return [{"value": "one"}, {"value": "two"}], ["one", "two"], ""
        case "token":
            codes = [{"coding": [{"system": "urn:s", "code": code}]} for code in ("one", "two")]
            return codes, ["urn:s|one", "two"], "CodeableConcept"
        case "string":
            return ["Straße one", "Äther two"], ["straße", "aether".replace("ae", "a")], "String"
        case "uri":
            return ["urn:one", "urn:two"], ["urn:one", "urn:two"], "Uri"
        case "date":
            return ["2020-01-01", "2020-02-02T10:00:00Z"], ["2020-01", "gt2020-02-01"], "DateTime"
        case "reference":
            targets = parameter.targets or ("ImagingStudy",)
            kind = "Patient" if "Patient" in targets else targets[0]
            texts = [f"{kind}/one", f"{kind}/two"]
            return [{"reference": text} for text in texts], texts, "Reference"
        case _:
            made = [{"value": n, "system": UNITS, "code": "kg"} for n in (70, 80)]
            return made, [f"70000|{UNITS}|g", "gt75||kg"], "Quantity"


@pytest.mark.parametrize("kind", [kind for kind in STORED if kind != "Patient"])
async def test_each_declared_parameter_filters(
    client: httpx.AsyncClient, ward: Ward, kind: str
) -> None:
    """Two resources that differ in one parameter; its value finds the one or the other."""
    declared = search_parameters()[kind]
    puts, searches = [], []
    for at, name in enumerate(declared):
        parameter = SEARCH_PARAMETERS[kind].get(name)
        if parameter is None:
            continue
        elements, wanted, stem = _values(parameter)
        for number, (element, value) in enumerate(zip(elements, wanted, strict=True)):
            own = f"p-{at}-{number}"
            resource = {"resourceType": kind, "id": own}
            resource |= _with(parameter.paths[0], element, stem)
            index = index_values(resource, f"{BASE}/fhir")
            assert any(each.param == name for each in index), name
            only = tuple(each for each in index if each.param == name)
            if kind == SUBSCRIPTION:  # which its owner alone finds
                only += (TextValue("_tag", owner("writer", None, None), OWNER),)
            puts.append(Put(kind, own, b"{}", (ANNA,), only))
            searches.append((name, value, own))
    assert {name for name, _, _ in searches} == declared.keys() - {
        "_id", "_lastUpdated", *COMPOSITES,
    }  # fmt: skip
    assert not isinstance(await ward.store.write_resources(puts), Conflict)
    for name, value, own in searches:
        answer = await client.get(f"/fhir/{kind}", params={name: value, "_count": "500"})
        assert answer.status_code == 200, answer.text
        ids = [each["resource"]["id"] for each in answer.json().get("entry", [])]
        other = own[:-1] + ("1" if own.endswith("0") else "0")
        assert own in ids and other not in ids, (name, value)
    assert await found(client, f"{kind}?_id=p-0-0,{searches[0][2]}") == [searches[0][2]]
    if "_lastUpdated" in declared:
        assert await found(client, f"{kind}?_lastUpdated=gt2100") == []


async def test_modifiers(client: httpx.AsyncClient) -> None:
    north = (await created(client, organization("Ward North")))["id"]
    south = (await created(client, organization("Station Süd", active=False)))["id"]
    for search, ids in (
        ("name:exact=Ward North", [north]), ("name:exact=ward north", []),
        ("name:contains=nor", [north]), ("name=sud", []), ("name=station sud", [south]),
        ("name=ward,station", [north, south]), ("active:not=false", [north]),
        ("active:missing=true", [north]), ("active:missing=false", [south]),
        ("_id:not=" + north, [south]), ("name=ward\\, north", []),
    ):  # fmt: skip
        assert await found(client, f"Organization?{search}") == ids, search
    for search in (
        "name:text=x", "active:below=x", "active:missing=perhaps", "_id:exact=x", "partof=Task/1",
        "name=", "_sort=name", "_count=x", "_summary=much", "_include=Task",
        "_include=Organization:name", "_elements=a b", "_has:Task:owner=1", "_has:Task:code:code=1",
        "partof.partof.partof.name=x", "name.family=x", "_total=some", "_lastUpdated=soon",
        "_include:far=Organization:partof", "type=|",
    ):  # fmt: skip
        answer = await client.get(f"/fhir/Organization?{search}")
        assert answer.status_code == 400, search
        assert answer.json()["issue"][0]["expression"][0].startswith("http."), search


async def test_chains_and_includes(client: httpx.AsyncClient) -> None:
    top = (await created(client, organization("Hospital")))["id"]
    part = organization(partOf={"reference": f"Organization/{top}"})
    ward = (await created(client, part))["id"]
    own = (await created(client, task(owner={"reference": f"Organization/{ward}"})))["id"]
    await created(client, task())
    for search in (
        "owner:Organization.name=ward", "owner:Organization.partof.name=hospital",
        "patient.identifier=urn:test:mrn|A-1&owner:missing=false",
        f"owner:Organization={ward}", f"owner={ward}", f"owner={BASE}/fhir/Organization/{ward}",
    ):  # fmt: skip
        assert await found(client, f"Task?{search}") == [own], search
    assert await found(client, "Organization?_has:Task:owner:status=requested") == [ward]
    included = {
        "_include=Task:owner": {ward}, "_include=Task:patient": {str(ANNA)},
        "_include=Task:owner&_include:iterate=Organization:partof": {ward, top},
        "_include=Task:*": {ward, str(ANNA)}, "_include=Task:owner:Practitioner": set(),
    }  # fmt: skip
    for search, ids in included.items():
        answer = await client.get(f"/fhir/Task?_id={own}&{search}")
        Bundle.model_validate_json(answer.content)
        entries = answer.json()["entry"]
        beside = [e["resource"]["id"] for e in entries if e["search"]["mode"] == "include"]
        assert sorted(beside) == sorted(ids), search
    reverse = await client.get(f"/fhir/Organization?_id={ward}&_revinclude=Task:owner")
    assert reverse.json()["entry"][1]["resource"]["id"] == own


async def test_forms_of_the_answer(client: httpx.AsyncClient) -> None:
    await created(client, organization(text={"status": "generated", "div": "<div/>"}, active=True,
                                       telecom=[{"system": "phone", "value": "1"}]))  # fmt: skip
    forms = {
        "_summary=true": {"active", "name"},
        "_summary=text": {"text"},
        "_summary=data": {"active", "name", "telecom"},
        "_elements=name": {"name"},
    }
    for form, elements in forms.items():
        (entry,) = (await client.get(f"/fhir/Organization?{form}")).json()["entry"]
        resource = entry["resource"]
        assert resource.keys() == {"resourceType", "id", "meta", *elements}, form
        assert resource["meta"]["tag"][0]["code"] == "SUBSETTED"
        assert "versionId" in resource["meta"]
    counted = (await client.get("/fhir/Organization?_summary=count")).json()
    assert (counted["total"], "entry" in counted) == (1, False)
    page = (await client.get("/fhir/Organization?_total=accurate&colour=green")).json()
    assert page["total"] == 1
    assert page["link"] == [
        {"relation": "self", "url": f"{BASE}/fhir/Organization?_total=accurate"}
    ]
    strict = {"Prefer": "handling=strict"}
    assert (await client.get("/fhir/Organization?colour=x", headers=strict)).status_code == 400
    of_form = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = await client.post("/fhir/Organization/_search", content="name=ward", headers=of_form)
    assert len(posted.json()["entry"]) == 1


async def test_sorted_by_date(client: httpx.AsyncClient) -> None:
    days = ["2026-03-02", None, "2026-01-05", "2026-02-01"]
    ids = {}
    for day in days:
        more: dict[str, Any] = {} if day is None else {"authoredOn": day}
        ids[day] = (await created(client, task(**more)))["id"]
    up = [ids[day] for day in ("2026-01-05", "2026-02-01", "2026-03-02", None)]
    down = [ids[day] for day in ("2026-03-02", "2026-02-01", "2026-01-05", None)]
    for count in (1, 2, 50):
        assert await found(client, f"Task?_sort=authored-on&_count={count}") == up
        assert await found(client, f"Task?_sort=-authored-on&_count={count}") == down
    assert await found(client, "Task?_sort=-_lastUpdated") == [ids[day] for day in reversed(days)]
