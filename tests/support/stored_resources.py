"""A client that may write, and resources to write, for tests of stored resources."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx

from support.served_ward import ANNA, Ward
from wardlight_cloud.security.tokens import new_token, token_hash

JSON = "application/fhir+json"


@asynccontextmanager
async def writing_client(
    ward: Ward, *scopes: str, name: str = "writer"
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with these scopes (all, when none are named)."""
    token = new_token()
    await ward.store.put_client(name, token_hash(token), list(scopes or ("system/*.cruds",)))
    async with ward.client(token=token) as client:
        client.headers["Content-Type"] = JSON
        yield client


def organization(name: str = "Ward North", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Organization", "name": name, **more}


def task(patient: UUID = ANNA, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Task", "status": "requested", "intent": "order",
        "for": {"reference": f"Patient/{patient}"}, **more,
    }  # fmt: skip


def observation(patient: UUID = ANNA, **more: Any) -> dict[str, Any]:
    """A heart rate that another system measured."""
    return {
        "resourceType": "Observation", "status": "final",
        "category": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
            "code": "vital-signs",
        }]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2026-03-10T12:00:00Z",
        "valueQuantity": {"value": 72, "unit": "/min", "code": "/min",
                          "system": "http://unitsofmeasure.org"},
        **more,
    }  # fmt: skip


async def created(client: httpx.AsyncClient, resource: dict[str, Any]) -> dict[str, Any]:
    """The resource as the server keeps it."""
    answer = await client.post(f"/fhir/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def found(client: httpx.AsyncClient, search: str) -> list[str]:
    """Ids of the matches on all pages."""
    ids: list[str] = []
    url: str | None = f"/fhir/{search}"
    while url is not None:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        entries = page.get("entry", [])
        ids += [e["resource"]["id"] for e in entries if e["search"]["mode"] == "match"]
        url = next((each["url"] for each in page["link"] if each["relation"] == "next"), None)
    return ids
