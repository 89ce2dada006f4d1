"""A transaction makes one of what a condition finds, or nothing."""

from typing import Any

import httpx
import pytest

from support.served_ward import ANNA, BERT
from support.stored_resources import found, observation, task

EHR = {"system": "urn:ehr", "value": "once"}
ONE = "identifier=urn:ehr|once"


def entry(resource: dict[str, Any], condition: str | None = None, url: str = "") -> dict[str, Any]:
    request = {"method": "PUT" if url else "POST", "url": url or resource["resourceType"]}
    if condition is not None:
        request["ifNoneExist"] = condition
    return {"resource": resource, "request": request}


def own(**more: Any) -> dict[str, Any]:
    return observation(identifier=[EHR], **more)


async def sent(client: httpx.AsyncClient, *entries: dict[str, Any], kind: str) -> httpx.Response:
    bundle = {"resourceType": "Bundle", "type": kind, "entry": list(entries)}
    return await client.post("/fhir", json=bundle)


@pytest.mark.parametrize(
    "entries",
    [
        (entry(own(), ONE), entry(own(), ONE)),
        (entry(own(), ONE), entry(own(), f"{ONE}&status=final")),
        (entry(own(), "identifier=once"), entry(own(status="amended"), "identifier=urn:ehr|")),
        (entry(own(), ONE), entry(own())),
        (entry(own()), entry(own(id="a"), url="Observation/a"), entry(own(), ONE)),
        (entry(own(), url=f"Observation?{ONE}"), entry(own(), ONE)),
        (entry(own(), "date=2026-03-10"), entry(own())),
        (entry(own(), "code:missing=false"), entry(own())),
        (entry(own(), "patient.identifier=A-1"), entry(own(), "patient.identifier=A-1")),
        (entry(own(), "identifier=a,once"), entry(own())),
    ],
)
async def test_two_of_what_one_condition_finds_are_refused(
    client: httpx.AsyncClient, entries: tuple[dict[str, Any], ...]
) -> None:
    for order in (entries, entries[::-1]):
        answer = await sent(client, *order, kind="transaction")
        assert answer.status_code == 400, answer.text
        (issue,) = answer.json()["issue"]
        assert issue["code"] == "multiple-matches"
        assert issue["expression"][0].startswith("Bundle.entry[")
    assert await found(client, "Observation") == []


async def test_others_are_made_and_found_again(client: httpx.AsyncClient) -> None:
    other = {"system": "urn:ehr", "value": "other"}
    of_bert = own(subject={"reference": f"Patient/{BERT}"})
    entries = (
        entry(own(), f"{ONE}&patient={ANNA}"), entry(of_bert, f"{ONE}&patient={BERT}"),
        entry(observation(identifier=[other]), "identifier=urn:ehr|other"),
        entry(task(identifier=[EHR]), ONE),
    )  # fmt: skip
    for _ in range(2):
        answer = await sent(client, *entries, kind="transaction")
        assert answer.status_code == 200, answer.text
    assert len(await found(client, "Observation")) == 3
    assert len(await found(client, f"Observation?{ONE}")) == 2


async def test_a_batch_makes_one(client: httpx.AsyncClient) -> None:
    answer = await sent(client, entry(own(), ONE), entry(own(), ONE), kind="batch")
    statuses = [each["response"]["status"][:3] for each in answer.json()["entry"]]
    assert statuses == ["201", "200"]
