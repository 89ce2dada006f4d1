"""Nothing of another patient: searches, reads, includes, chains, history, writes, cursors."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from starlette.requests import HTTPConnection

from support.served_ward import ANNA, BERT, Ward
from support.stored_resources import (
    JSON,
    created,
    found,
    observation,
    organization,
    task,
    writing_client,
)
from wardlight_cloud.security.access import Access, permissions
from wardlight_cloud.security.tokens import TokenAuthenticator

PATCH = {"Content-Type": "application/json-patch+json"}
_NEEDED: dict[str, dict[str, str]] = {
    "Organization": {"name": "Ward"}, "Questionnaire": {"status": "active"},
}  # fmt: skip


@pytest.fixture
def annas_token(monkeypatch: pytest.MonkeyPatch) -> str:
    """A token for Anna alone, known before the app is opened."""
    secret = uuid4().hex
    own = Access("app", permissions(["patient/*.cruds"]), user="anna", patient=ANNA)
    ask = TokenAuthenticator.access

    async def access(self: TokenAuthenticator, request: HTTPConnection) -> Access:
        is_hers = request.headers.get("authorization", "").endswith(secret)
        return own if is_hers else await ask(self, request)

    monkeypatch.setattr(TokenAuthenticator, "access", access)
    return secret


@pytest.fixture
async def annas(
    annas_token: str, ward: Ward, client: httpx.AsyncClient
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with that token; the other one keeps the app open."""
    headers = {"Authorization": f"Bearer {annas_token}", "Content-Type": JSON}
    transport = httpx.ASGITransport(ward.app)
    base = str(client.base_url)
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers) as made:
        yield made


async def test_a_patient_sees_her_own(annas: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    hers = await created(client, task(identifier=[{"value": "1"}]))
    his = await created(client, task(BERT, identifier=[{"value": "1"}]))
    both = await created(client, task(requester={"reference": f"Patient/{BERT}"}))
    place = await created(client, organization())
    assert await found(annas, "Task") == [hers["id"]]
    assert await found(annas, f"Task?patient={BERT}") == []
    assert await found(annas, "Task?patient.identifier=urn:test:mrn|B-1") == []
    assert await found(annas, "Task?patient.identifier=urn:test:mrn|A-1") == [hers["id"]]
    assert await found(annas, "Patient") == [str(ANNA)]
    assert await found(annas, "Patient?_has:Task:patient:identifier=1") == [str(ANNA)]
    assert await found(annas, "Organization") == [place["id"]]
    for other in (his, both):
        for path in ("", "/_history", f"/_history/{other['meta']['versionId']}"):
            assert (await annas.get(f"/fhir/Task/{other['id']}{path}")).status_code == 404
        answer = await annas.put(f"/fhir/Task/{other['id']}", json={**hers, "id": other["id"]})
        assert answer.status_code == 404
        assert (await annas.delete(f"/fhir/Task/{other['id']}")).status_code == 404
    assert (await annas.post("/fhir/Task", json=task(BERT))).status_code in (403, 422)
    for path in ("Task/_history", "_history"):
        entries = (await annas.get(f"/fhir/{path}")).json()["entry"]
        tasks = [e for e in entries if e["resource"]["resourceType"] == "Task"]
        assert [each["resource"]["id"] for each in tasks] == [hers["id"]]
    page = (
        await annas.get("/fhir/Patient?_revinclude=Task:patient&_revinclude=Task:requester")
    ).json()
    assert {each["resource"]["id"] for each in page["entry"]} == {str(ANNA), hers["id"]}


async def test_a_patient_stays_who_she_is(
    annas: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    url = f"/fhir/Patient/{ANNA}"
    before = (await annas.get(url)).json()
    more = {**before, "telecom": [{"system": "email", "value": "a@example.org"}]}
    assert (await annas.put(url, json=more)).status_code == 200
    for element, value in (
        ("active", False), ("identifier", [{"system": "urn:test:mrn", "value": "B-1"}]),
        ("name", [{"family": "Brandt"}]), ("birthDate", "1951-02-03"), ("gender", "male"),
        ("link", [{"other": {"reference": f"Patient/{ANNA}"}, "type": "seealso"}]),
        ("_birthDate", {"extension": [{"url": "urn:x:hour", "valueString": "7"}]}),
    ):  # fmt: skip
        patch = [{"op": "add", "path": f"/{element}", "value": value}]
        put = {"resource": {**more, element: value}, "request": {"method": "PUT", "url": url[6:]}}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [put]}
        for answer in (
            await annas.put(url, json=put["resource"]), await annas.post("/fhir", json=bundle),
            await annas.patch(url, json=patch, headers=PATCH),
            await annas.put(f"/fhir/Patient?_id={ANNA}", json=put["resource"]),
        ):  # fmt: skip
            assert answer.status_code == 403, (element, answer.text)
            named = answer.json()["issue"][0]["expression"][0]
            assert named.endswith(f"Patient.{element.lstrip('_')}")
    without = {name: value for name, value in more.items() if name != "identifier"}
    assert (await annas.put(url, json=without)).status_code == 403
    after = (await annas.get(url)).json()
    assert {**after, "meta": None} == {**more, "meta": None}
    changed = await client.put(url, json={**after, "gender": "male"})
    assert (changed.status_code, changed.json()["gender"]) == (200, "male")


async def test_what_is_nobodys_is_not_written_for_one_patient(
    annas: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    for kind in ("Organization", "Practitioner", "PractitionerRole", "Questionnaire"):
        resource = {"resourceType": kind} | _NEEDED.get(kind, {})
        made = await created(client, resource)
        url = f"/fhir/{kind}/{made['id']}"
        assert (await annas.get(url)).json() == made
        bundle = {
            "resourceType": "Bundle", "type": "batch",
            "entry": [{"resource": resource, "request": {"method": "POST", "url": kind}}],
        }  # fmt: skip
        for answer in (
            await annas.post(f"/fhir/{kind}", json=resource),
            await annas.put(url, json={**made, "language": "de"}),
            await annas.put(f"/fhir/{kind}/other", json={**resource, "id": "other"}),
            await annas.patch(url, json=[], headers=PATCH), await annas.delete(url),
            await annas.delete(f"/fhir/{kind}?_id={made['id']}"),
        ):  # fmt: skip
            assert answer.status_code == 403, (kind, answer.text)
            assert "insufficient_scope" in answer.headers["WWW-Authenticate"]
        (entry,) = (await annas.post("/fhir", json=bundle)).json()["entry"]
        assert entry["response"]["status"] == "403 Forbidden"
        assert await found(client, kind) == [made["id"]]
        assert (await client.get(url)).json() == made
    await created(annas, task())


async def test_a_cursor_of_another_is_none(
    annas: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    for _ in range(3):
        await created(client, task())
    page = (await client.get("/fhir/Task?_count=1")).json()
    following = next(each["url"] for each in page["link"] if each["relation"] == "next")
    assert (await annas.get(following)).status_code == 400


async def test_categories_are_kept_to(ward: Ward) -> None:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    other = [{"coding": [{"system": system, "code": "laboratory"}]}]
    async with writing_client(ward) as wide:
        vital = await created(wide, observation())
        laboratory = await created(wide, observation(category=other))
    scopes = "system/Observation.cruds?category=laboratory", "system/Patient.r"
    async with writing_client(ward, *scopes, name="laboratory") as client:
        assert await found(client, "Observation") == [laboratory["id"]]
        for path in ("", "/_history", f"/_history/{vital['meta']['versionId']}"):
            assert (await client.get(f"/fhir/Observation/{vital['id']}{path}")).status_code == 404
        assert (await client.post("/fhir/Observation", json=observation())).status_code == 403
        await created(client, observation(category=other))
        answer = await client.put(f"/fhir/Observation/{vital['id']}", json={
            **observation(category=other), "id": vital["id"],
        })  # fmt: skip
        assert answer.status_code == 404
        assert (await client.get("/fhir/Task")).status_code == 403
