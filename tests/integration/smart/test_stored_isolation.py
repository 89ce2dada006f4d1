"""A token for one patient over what others write: searches, chains, includes, history, Bundles."""

from typing import Any

import httpx
import pytest

from support.readings import One
from support.served_ward import ANNA, BERT, CLIP, CUFF, MINUTE, START, Ward
from support.stored_resources import created, observation
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.authorization import ClientRow, Grant, NewTokens

FHIR = {"Content-Type": "application/fhir+json"}
PATCH = {"Content-Type": "application/json-patch+json"}


def plan(patient: object, **more: str) -> dict[str, Any]:
    """A CarePlan of a patient."""
    subject = {"reference": f"Patient/{patient}"}
    return {
        "resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": subject,
        **more,
    }  # fmt: skip


@pytest.fixture
async def own(ward: Ward) -> dict[str, str]:
    """Headers of an app that may do everything with what is Anna's; each has a reading."""
    await ward.store_event(One("heart_rate", START, 71, device=CUFF))
    await ward.store_event(One("spo2", START + MINUTE, 97, device=CLIP))
    scopes, token = ("patient/*.cruds",), new_token()
    await ward.store.put_registration(ClientRow("app", scopes, is_public=True))
    await ward.store.grant(Grant("app", scopes, "nurse", ANNA), NewTokens(token_hash(token), 60))
    return {"Authorization": f"Bearer {token}"}


async def written(client: httpx.AsyncClient, patient: object) -> str:
    """A CarePlan that was written for a patient, as ``CarePlan/ID``."""
    answer = await client.post("/fhir/CarePlan", json=plan(patient), headers=FHIR)
    assert answer.status_code == 201, answer.text
    return f"CarePlan/{answer.json()['id']}"


def names_bert(answer: httpx.Response) -> bool:
    """Whether an answer says anything of Bert but what was asked (its links repeat that)."""
    told = answer.json()
    told.pop("link", None)
    return str(BERT) in str(told) or "Brandt" in str(told)


async def test_nothing_leads_to_another_patient(ward: Ward, own: dict[str, str]) -> None:
    await ward.store.put_client("all", token_hash("wl_all"), ["system/*.cruds"])
    async with ward.client(token="wl_all") as client:
        hers, his = await written(client, ANNA), await written(client, BERT)
        page = (await client.get(f"/fhir/Observation?patient={BERT}")).json()
        bert_s = page["entry"][0]["resource"]["id"]
        for path in (
            "Patient", "CarePlan", "Patient/_history", "CarePlan/_history", "_history",
            f"CarePlan?patient={BERT}", "CarePlan?patient.identifier=B-1",
            "Observation?patient.identifier=B-1", "CarePlan?subject:Patient.family=Brandt",
            "CarePlan?_include=CarePlan:subject", "Patient?_revinclude=CarePlan:patient",
            "Patient?_has:CarePlan:patient:status=active", "Device?_revinclude=Observation:device",
            "Observation?_include=Observation:device&_include=Observation:patient",
            "Observation?value-quantity=gt1", "Observation?code-value-quantity=2708-6$gt1",
            "Observation?status=final&_sort=-_lastUpdated", f"Observation?device.identifier={CLIP}",
            "Observation?code:not=8867-4", "Observation?_revinclude=Provenance:target",
            f"Observation?_elements=subject&patient={BERT}", f"Observation?_id={bert_s}",
            f"Observation?identifier={bert_s}&_include=Observation:subject",
            "Observation/$lastn?max=9", f"Observation/$lastn?patient={BERT},{ANNA}&max=9",
            f"Observation/$stats?subject={BERT}&code=2708-6&statistic=count",
            f"Patient/{ANNA}/$everything?_count=500",
        ):  # fmt: skip
            answer = await client.get(f"/fhir/{path}", headers=own)
            assert answer.status_code == 200, (path, answer.text)
            assert not names_bert(answer), path
        lost = await client.get(f"/fhir/Patient/{BERT}/$everything", headers=own)
        assert lost.status_code == 404
        for path in ("CarePlan", "Patient"):
            counted = await client.get(f"/fhir/{path}?_summary=count", headers=own)
            assert counted.json()["total"] == 1, path
        assert (await client.get(f"/fhir/{hers}", headers=own)).status_code == 200
        for path in (his, f"{his}/_history", f"{his}/_history/1", f"Patient/{BERT}/_history"):
            assert (await client.get(f"/fhir/{path}", headers=own)).status_code == 404, path
        before = (await client.get(f"/fhir/{his}")).json()
        await _changes_nothing(client, own, his)
        assert (await client.get(f"/fhir/{his}")).json() == before


async def _changes_nothing(client: httpx.AsyncClient, own: dict[str, str], his: str) -> None:
    name = his.rpartition("/")[2]
    patched = [{"op": "replace", "path": "/status", "value": "revoked"}]
    for method, path, body, kind in (
        ("PUT", his, plan(ANNA, id=name), FHIR), ("DELETE", his, None, {}),
        ("PATCH", his, patched, PATCH), ("DELETE", f"Patient/{BERT}", None, {}),
        ("PUT", f"Patient/{BERT}", {"resourceType": "Patient", "id": str(BERT)}, FHIR),
        ("POST", "CarePlan", plan(BERT), FHIR),
    ):  # fmt: skip
        answer = await client.request(method, f"/fhir/{path}", json=body, headers={**own, **kind})
        assert 400 <= answer.status_code < 500, (method, path, answer.text)
    asked = [("GET", f"Patient/{BERT}"), ("GET", his), ("DELETE", his)]
    entries = [{"request": {"method": method, "url": url}} for method, url in asked]
    for kind_of in ("batch", "transaction"):
        bundle = {"resourceType": "Bundle", "type": kind_of, "entry": entries}
        answer = await client.post("/fhir", json=bundle, headers={**own, **FHIR})
        statuses = [each["response"]["status"][:3] for each in answer.json().get("entry", ())]
        assert set(statuses) <= {"404"} and (statuses or answer.status_code >= 400), answer.text


async def test_a_token_for_a_category_hears_of_no_other_one(ward: Ward) -> None:
    """A history says neither how many versions others have, nor that they were deleted."""
    scope = (
        "system/Observation.rs?category="
        "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
    )
    await ward.store.put_client("all", token_hash("wl_all"), ["system/*.cruds"])
    await ward.store.put_client("lab", token_hash("wl_lab"), [scope])
    laboratory = observation(ANNA)
    laboratory["category"][0]["coding"][0]["code"] = "laboratory"
    async with ward.client(token="wl_all") as client:
        for resource in (observation(ANNA), laboratory, observation(BERT)):
            made = await created(client, resource)
        await client.delete(f"/fhir/Observation/{made['id']}")
        assert (await client.get("/fhir/Observation/_history")).json()["total"] == 4
        own = {"Authorization": "Bearer wl_lab"}
        for path in ("Observation/_history", "_history", "Observation/_history?_count=1"):
            page = (await client.get(f"/fhir/{path}", headers=own)).json()
            assert len(page["entry"]) == 1 and "total" not in page
            assert [each["relation"] for each in page["link"]] == ["self"]
        for path, number in (
            ("$lastn?patient={}&max=9", 1), ("$stats?subject={}&code=8867-4&statistic=count", 1),
        ):  # fmt: skip
            answer = await client.get(f"/fhir/Observation/{path.format(ANNA)}", headers=own)
            told = answer.json()
            if "entry" in told:
                assert len(told["entry"]) == number
            else:
                (component,) = told["parameter"][0]["resource"]["component"]
                assert component["valueQuantity"]["value"] == number
