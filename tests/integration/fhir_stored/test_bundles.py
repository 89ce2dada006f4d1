"""What entries of a batch or transaction are called, and what they may read."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from support.stored_resources import found, organization, task

BOTH = pytest.mark.parametrize("kind", ["batch", "transaction"])


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(method: str, url: str, resource: Any = None, **more: Any) -> dict[str, Any]:
    request = {"method": method, "url": url, **more}
    return {"request": request} if resource is None else {"resource": resource, "request": request}


def named(name: str, made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "fullUrl": name}


@BOTH
async def test_an_identifier_that_is_the_name_of_its_entry_stays(
    client: httpx.AsyncClient, kind: str
) -> None:
    """So that the condition of the create finds it the next time."""
    urn = f"urn:uuid:{uuid4()}"
    identifier = {"system": "urn:ietf:rfc:3986", "value": urn}
    person = {"resourceType": "Patient", "identifier": [identifier], "name": [{"family": "Ort"}]}
    condition = f"identifier=urn:ietf:rfc:3986|{urn}"
    sent = bundle(named(urn, entry("POST", "Patient", person, ifNoneExist=condition)), kind=kind)
    statuses = []
    for _ in range(2):
        answer = await client.post("/fhir", json=sent)
        statuses.append(answer.json()["entry"][0]["response"]["status"][:3])
    assert statuses == ["201", "200"]
    (patient,) = await found(client, f"Patient?{condition}")
    read = (await client.get(f"/fhir/Patient/{patient}")).json()
    assert read["identifier"] == [identifier]


@BOTH
async def test_two_entries_of_one_name_are_refused(client: httpx.AsyncClient, kind: str) -> None:
    urn = f"urn:uuid:{uuid4()}"
    sent = bundle(
        named(urn, entry("POST", "Organization", organization("One"))),
        entry("POST", "Task", task(owner={"reference": urn})),
        named(urn, entry("POST", "Organization", organization("Two"))),
        kind=kind,
    )
    answer = await client.post("/fhir", json=sent)
    assert answer.status_code == 400, answer.text
    OperationOutcome.model_validate_json(answer.content)
    (issue,) = answer.json()["issue"]
    assert issue["expression"] == ["Bundle.entry[2].fullUrl"]
    assert "bdl-7" in issue["diagnostics"]
    sent["entry"][2]["fullUrl"] = 5
    answer = await client.post("/fhir", json=sent)
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[2].fullUrl"]
    assert await found(client, "Organization") == await found(client, "Task") == []
