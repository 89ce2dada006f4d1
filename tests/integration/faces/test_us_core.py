"""US Core, row by row: docs/fhir-own.md says of each what is met, and this asks the server."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from support import us_core_searches as asked
from support.readings import One, cuff
from support.served_ward import ANNA, BASE, BERT, CLIP, CUFF, START, Ward
from support.stored_resources import created
from support.tree import ROOT
from support.us_core_searches import Kind, fails
from wardlight_cloud.app import create_app
from wardlight_cloud.fhir.stored.issue import Issue
from wardlight_cloud.fhir.stored.validating import issues
from wardlight_cloud.fhir.stored.validation import Validation
from wardlight_cloud.security.tokens import new_token, token_hash

Check = Callable[[Ward, httpx.AsyncClient], Awaitable[bool]]
VITALS = f"Observation?patient={BERT}&category=vital-signs"
ROW = re.compile(r"^\| ([a-z-]+) \| .+ \| (yes|no) \|$", re.MULTILINE)


async def page(client: httpx.AsyncClient, search: str) -> list[Any]:
    answer = await client.get(f"/fhir/{search}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


def finding(some: str, none: str) -> Check:
    """A search that finds, and one like it that does not."""

    async def check(_: Ward, client: httpx.AsyncClient) -> bool:
        return bool(await page(client, some)) and not await page(client, none)

    return check


async def metadata(ward: Ward, client: httpx.AsyncClient) -> bool:
    paths = ("metadata", ".well-known/smart-configuration")
    statement, smart = [
        (await client.get(f"/fhir/{path}", headers={"Authorization": ""})).json() for path in paths
    ]
    needed = {"grant_types_supported", "capabilities", "code_challenge_methods_supported"}
    return (
        statement["fhirVersion"] == "4.0.1"
        and needed <= smart.keys()
        and str(smart["token_endpoint"]).startswith(f"{BASE}/")
    )


def accepting(media_type: str) -> Check:
    async def check(_: Ward, client: httpx.AsyncClient) -> bool:
        answer = await client.get("/fhir/Patient", headers={"Accept": media_type})
        return answer.status_code == 200

    return check


def searching(*kinds: Kind) -> Check:
    """Each search that is asked of these types."""

    async def check(_: Ward, client: httpx.AsyncClient) -> bool:
        wrong = [search for kind in kinds for search in await fails(client, kind)]
        assert not wrong, wrong
        return True

    return check


async def by_form(ward: Ward, client: httpx.AsyncClient) -> bool:
    answer = await client.post("/fhir/Patient/_search", data={"identifier": "A-1"})
    return len(answer.json()["entry"]) == 1


async def oximetry(ward: Ward, client: httpx.AsyncClient) -> bool:
    (one,) = await page(client, VITALS)
    return {"59408-5", "2708-6"} <= {coding["code"] for coding in one["code"]["coding"]}


async def pressure(ward: Ward, client: httpx.AsyncClient) -> bool:
    found = await page(client, f"Observation?patient={ANNA}&code=85354-9")
    parts = [part for each in found for part in each["component"]]
    return len(parts) == 4 and sum("dataAbsentReason" in part for part in parts) == 1


async def average(ward: Ward, client: httpx.AsyncClient) -> bool:
    category = "urn:wardlight:observation-kind|average-minute"
    found = await page(client, f"Observation?patient={ANNA}&category={category}")
    codes = [coding["code"] for each in found for coding in each["code"]["coding"]]
    return codes == ["96607-7"]


async def performer(ward: Ward, client: httpx.AsyncClient) -> bool:
    return all("performer" in each for each in await page(client, VITALS))


async def devices(ward: Ward, client: httpx.AsyncClient) -> bool:
    mine = await page(client, f"Device?patient={BERT}")
    same = [
        await page(client, f"Device?patient={BERT}&{e}") for e in ("type=65573", "status=active")
    ]
    other = [
        await page(client, f"Device?patient={BERT}&{e}") for e in ("type=1", "status=inactive")
    ]
    return len(mine) == 1 and all(len(each) == 1 for each in same) and not any(other)


async def provenance(ward: Ward, client: httpx.AsyncClient) -> bool:
    found = await page(client, f"{VITALS}&_revinclude=Provenance:target")
    return [each["resourceType"] for each in found] == ["Observation", "Provenance"]


async def provenance_of_others(ward: Ward, client: httpx.AsyncClient) -> bool:
    """Also of what was written, by a Provenance that was written."""
    plan = await created(client, asked.CARE_PLAN_KIND.resource)
    target = {"reference": f"CarePlan/{plan['id']}"}
    who = {"who": {"display": "Dr. Ash"}}
    of_plan = {"resourceType": "Provenance", "target": [target], "recorded": asked.DAY}
    made = await created(client, {**of_plan, "agent": [who]})
    found = await page(client, f"CarePlan?_id={plan['id']}&_revinclude=Provenance:target")
    return [each["id"] for each in found] == [plan["id"], made["id"]]


async def practitioner_role(ward: Ward, client: httpx.AsyncClient) -> bool:
    who = await created(client, asked.PRACTITIONER.resource)
    system = "http://nucc.org/provider-taxonomy"
    role = {
        "resourceType": "PractitionerRole", "specialty": [asked.coded(system, "208D00000X")],
        "practitioner": {"reference": f"Practitioner/{who['id']}"},
    }  # fmt: skip
    values: dict[str, asked.Values] = {
        "specialty": asked.code_values(system, "208D00000X"),
        "practitioner": ((who["id"], f"Practitioner/{who['id']}"), ("nobody",)),
    }
    wrong = await fails(client, Kind(role, values, "specialty, practitioner"))
    search = f"PractitionerRole?practitioner={who['id']}&_include=PractitionerRole:practitioner"
    return not wrong and [each["id"] for each in await page(client, search)][1:] == [who["id"]]


async def role_endpoint(ward: Ward, client: httpx.AsyncClient) -> bool:
    role = {"resourceType": "PractitionerRole", "active": True,
            "endpoint": [{"reference": "Endpoint/dicom-wado-rs"}]}  # fmt: skip
    made = await created(client, role)
    search = f"PractitionerRole?_id={made['id']}&_include=PractitionerRole:endpoint"
    return len(await page(client, search)) == 2


def taken(search: str) -> Check:
    """Whether the server takes all of a search, and does not leave part of it out."""

    async def check(_: Ward, client: httpx.AsyncClient) -> bool:
        strict = {"Prefer": "handling=strict"}
        return (await client.get(f"/fhir/{search}", headers=strict)).status_code == 200

    return check


async def write(ward: Ward, client: httpx.AsyncClient) -> bool:
    (one,) = await page(client, VITALS)
    resource = {
        name: one[name]
        for name in ("resourceType", "status", "category", "code", "subject", "valueQuantity")
    }
    refused = await client.post("/fhir/Observation", json=resource)
    taken = await client.post(
        "/fhir/Observation", json={**resource, "effectiveDateTime": "2026-01-01"}
    )
    return (
        (taken.status_code, refused.status_code) == (201, 422)
        and "location" in taken.headers
        and refused.json()["resourceType"] == "OperationOutcome"
    )


async def errors(ward: Ward, client: httpx.AsyncClient) -> bool:
    token = new_token()
    await ward.store.put_client("narrow", token_hash(token), ["system/Patient.rs"])
    bearers = {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {token}"}
    answers = [await client.get("/fhir/Observation", headers=each) for each in bearers]
    answers += [await client.get("/fhir/Observation/nobody")]
    answers += [await client.get("/fhir/Observation?date=soon")]
    outcomes = {answer.json()["resourceType"] for answer in answers}
    statuses = [answer.status_code for answer in answers]
    return statuses == [401, 403, 404, 400] and outcomes == {"OperationOutcome"}


async def version(ward: Ward, client: httpx.AsyncClient) -> bool:
    (one,) = await page(client, VITALS)
    url = f"/fhir/Observation/{one['id']}/_history/{one['meta']['versionId']}"
    return (await client.get(url)).status_code == 200


def keeping(*kinds: str) -> Check:
    async def check(_: Ward, client: httpx.AsyncClient) -> bool:
        statuses = {(await client.get(f"/fhir/{kind}?_count=1")).status_code for kind in kinds}
        assert len(statuses) == 1, "some are kept and some are not: two rows"
        return statuses == {200}

    return check


CHECKS: dict[str, Check] = {
    "metadata": metadata,
    "json": accepting("application/fhir+json"),
    "xml": accepting("application/fhir+xml"),
    "patient-search": searching(asked.PATIENTS),
    "post-search": by_form,
    "category": finding(VITALS, VITALS.replace("vital-signs", "laboratory")),
    "category-status": finding(f"{VITALS}&status=final,amended", f"{VITALS}&status=cancelled"),
    "category-date": finding(
        f"{VITALS}&date=ge2026-03-10&date=lt2026-03-11", f"{VITALS}&date=2025"
    ),
    "code": finding(f"Observation?patient={BERT}&code=2708-6,8867-4",
                    f"Observation?patient={BERT}&code=8867-4"),
    "code-date": finding(f"Observation?patient={BERT}&code=2708-6&date=2026-03-10",
                         f"Observation?patient={BERT}&code=2708-6&date=2026-03-11"),
    "last-updated": finding(f"{VITALS}&_lastUpdated=ge2026-03-10", f"{VITALS}&_lastUpdated=lt2026"),
    "pulse-oximetry": oximetry,
    "blood-pressure": pressure,
    "average-pressure": average,
    "vital-performer": performer,
    "device-search": devices,
    "provenance": provenance,
    "provenance-of-others": provenance_of_others,
    "errors": errors,
    "read-version": version,
    "diagnostic-report": searching(asked.DIAGNOSTIC_REPORT),
    "document-reference": searching(asked.DOCUMENT_REFERENCE),
    "docref": taken(f"DocumentReference/$docref?patient={ANNA}"),
    "service-request": searching(asked.SERVICE_REQUEST),
    "care-plan": searching(asked.CARE_PLAN_KIND),
    "goal": searching(asked.GOAL),
    "goal-description": taken(f"Goal?patient={ANNA}&description=x"),
    "medication-request": searching(*map(asked.medication_request, ("proposal", "order"))),
    "medication": taken(f"MedicationRequest?patient={ANNA}&_include=MedicationRequest:medication"),
    "questionnaire-response": searching(asked.QUESTIONNAIRE_RESPONSE),
    "practitioner": searching(asked.PRACTITIONER),
    "practitioner-role": practitioner_role,
    "role-endpoint": role_endpoint,
    "organization": searching(asked.ORGANIZATION),
    "other-kinds": keeping("AllergyIntolerance", "CareTeam", "Condition", "Coverage", "Encounter",
                           "Immunization", "Location", "Medication", "Procedure", "RelatedPerson",
                           "Specimen"),
    "write": write,  # the last: it adds an Observation
}  # fmt: skip


async def test_what_the_page_says_is_met_is_met_and_nothing_else(
    ward: Ward, monkeypatch: Any
) -> None:
    async def checked(_: Validation, resources: list[bytes]) -> list[list[Issue]]:
        return [issues(text) for text in resources]

    monkeypatch.setattr(Validation, "_issues", checked)  # the same rules, without a process
    text = (ROOT / "docs" / "fhir-own.md").read_text(encoding="utf-8")
    said = dict(ROW.findall(text.partition("## US Core")[2]))
    assert said.keys() == CHECKS.keys()
    await ward.store_event(One("spo2", START, 97, device=CLIP))
    await ward.store_event(*cuff(START, 121, 79, device=CUFF))
    later = START.replace(minute=9)
    one_side = One("systolic_bp", later, 0, absent=1, device=CUFF)
    await ward.store_event(one_side, One("diastolic_bp", later, 80, device=CUFF))
    while await ward.store.refresh_rollups(limit=1000):
        pass
    http = ward.settings.http.model_copy(update={"base_url": BASE})
    fhir = ward.settings.fhir.model_copy(update={"prescribing_clients": ("writer",)})
    ward.app = create_app(ward.settings.model_copy(update={"http": http, "fhir": fhir}), ward.store)
    token = new_token()
    await ward.store.put_client("writer", token_hash(token), ["system/*.cruds"])
    async with ward.client(token=token) as client:
        met = {row: "yes" if await check(ward, client) else "no" for row, check in CHECKS.items()}
    assert met == said
    assert {row for row, is_met in met.items() if is_met == "no"} == {
        "xml", "vital-performer", "docref", "goal-description", "role-endpoint", "other-kinds",
    }  # fmt: skip
