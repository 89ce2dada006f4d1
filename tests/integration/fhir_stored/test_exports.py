"""Bulk exports: everything once, nothing of others; the next goes on where the last ended."""

import asyncio
import gzip
import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from starlette.requests import HTTPConnection, Request

from support.readings import cuff, pulse
from support.served_ward import ANNA, BASE, BERT, CLIP, CUFF, MINUTE, START, Ward
from support.stored_resources import JSON, created, observation, organization, task
from support.waiting import wait_until
from wardlight_cloud import exporting
from wardlight_cloud.fhir.bulk import saving, worker
from wardlight_cloud.fhir.bulk.delivering import FileAnswer
from wardlight_cloud.fhir.bulk.worker import ExportWorker
from wardlight_cloud.security.access import Access, permissions
from wardlight_cloud.security.tokens import TokenAuthenticator, new_token, token_hash
from wardlight_cloud.store.postgres import PostgresStore, exports_readings
from wardlight_shared.errors import StorageError

ASYNC = {"Prefer": "respond-async"}
WAIT_S = 60


@dataclass
class Exported:
    """A finished export, with all its files read."""

    status: str
    manifest: dict[str, Any]
    output: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)

    @property
    def until(self) -> str:
        text: str = self.manifest["transactionTime"]
        return text

    def ids(self, kind: str) -> list[str]:
        return sorted(each["id"] for each in self.output.get(kind, []))


async def asked(
    client: httpx.AsyncClient, path: str = "$export", **parameters: str
) -> httpx.Response:
    query = f"?{urlencode(parameters)}" if parameters else ""
    return await client.get(f"/fhir/{path}{query}", headers=ASYNC)


async def made(client: httpx.AsyncClient, answer: httpx.Response) -> Exported:
    """Wait for an export that was asked for, and read what it has."""
    assert answer.status_code == 202, answer.text
    place = urlsplit(answer.headers["content-location"]).path
    told: httpx.Response | None = None

    async def is_over() -> bool:
        nonlocal told
        told = await client.get(place)
        if told.status_code == 202:
            assert told.headers["x-progress"] and int(told.headers["retry-after"]) > 0
        return told.status_code != 202

    await wait_until(is_over, WAIT_S, "the export is made")
    assert told is not None and told.status_code == 200, told
    assert told.headers["content-type"] == "application/json"
    export = Exported(place, told.json())
    assert export.manifest["requiresAccessToken"] is True
    for entry in export.manifest["output"]:
        lines = await read(client, entry)
        assert {each["resourceType"] for each in lines} == {entry["type"]}
        export.output.setdefault(entry["type"], []).extend(lines)
    for entry in export.manifest["error"]:
        export.errors += await read(client, entry)
    for entry in export.manifest["deleted"]:
        for bundle in await read(client, entry):
            assert bundle["type"] == "transaction"
            export.deleted |= {each["request"]["url"] for each in bundle["entry"]}
    for kind, found in export.output.items():
        twice = [each for each, times in Counter(r["id"] for r in found).items() if times > 1]
        assert not twice, (kind, twice)
    return export


async def read(client: httpx.AsyncClient, entry: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.get(
        urlsplit(entry["url"]).path, headers={"Accept": "application/fhir+ndjson"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/fhir+ndjson")
    lines = answer.text.splitlines()
    assert len(lines) == entry["count"]
    return [json.loads(line) for line in lines]


async def everything(client: httpx.AsyncClient, search: str) -> list[str]:
    """Ids that all pages of a search have."""
    ids: list[str] = []
    url: str | None = f"/fhir/{search}"
    while url is not None:
        page = (await client.get(url)).json()
        ids += [each["resource"]["id"] for each in page.get("entry", [])]
        link = (each["url"] for each in page["link"] if each["relation"] == "next")
        url = next(link, None)
    return sorted(ids)


@pytest.fixture
def may_begin(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Exports are made only while it is set."""
    event = asyncio.Event()
    event.set()
    work = ExportWorker.work

    async def waiting(self: ExportWorker) -> None:
        await event.wait()
        await work(self)

    monkeypatch.setattr(ExportWorker, "work", waiting)
    return event


@pytest.fixture
def annas_token(monkeypatch: pytest.MonkeyPatch) -> str:
    """A token for Anna alone, known before the app is opened."""
    own = Access("app", permissions(["patient/*.rs"]), user="anna", patient=ANNA)
    ask = TokenAuthenticator.access

    async def access(self: TokenAuthenticator, request: HTTPConnection) -> Access:
        is_hers = request.headers.get("authorization", "").endswith("of-anna")
        return own if is_hers else await ask(self, request)

    monkeypatch.setattr(TokenAuthenticator, "access", access)
    return "of-anna"


async def test_everything_once_and_the_next_one_goes_on(
    may_begin: asyncio.Event, ward: Ward, client: httpx.AsyncClient
) -> None:
    await ward.store_each([*cuff(START, 120, 80), pulse(START, 60)])
    await ward.store_event(pulse(START + MINUTE, 61, device=CLIP))
    hers, his = await created(client, task()), await created(client, task(BERT))
    place = await created(client, organization())
    await created(client, observation())
    first = await made(client, await asked(client))
    assert first.errors == [] and first.deleted == set()
    assert first.manifest["request"] == f"{BASE}/fhir/$export"
    for kind in ("Patient", "Task", "Organization", "Observation", "Endpoint"):
        assert first.ids(kind) == await everything(client, kind), kind
    assert first.ids("Device") == sorted([*await everything(client, "Device"), "gateway-gw-test"])
    assert len(first.output["Observation"]) == 4

    changed = (
        await client.put(f"/fhir/Task/{hers['id']}", json={**hers, "priority": "stat"})
    ).json()
    await client.delete(f"/fhir/Task/{his['id']}")
    await ward.store_event(pulse(START + 2 * MINUTE, 62))
    may_begin.clear()
    answer = await asked(client, _since=first.until)
    # What comes behind the moment of asking is for the next one.
    later = {**changed, "priority": "asap"}
    await client.put(f"/fhir/Task/{hers['id']}", json=later)
    await client.delete(f"/fhir/Organization/{place['id']}")
    await ward.store_event(pulse(START + 3 * MINUTE, 63))
    may_begin.set()
    second = await made(client, answer)
    assert [each["priority"] for each in second.output["Task"]] == ["stat"]
    assert second.deleted == {f"Task/{his['id']}"}
    assert [_value(each) for each in second.output["Observation"]] == [62]
    assert not second.output.keys() & {"Patient", "Organization"}

    third = await made(client, await asked(client, _since=second.until))
    assert [each["priority"] for each in third.output["Task"]] == ["asap"]
    assert third.deleted == {f"Organization/{place['id']}"}
    assert [_value(each) for each in third.output["Observation"]] == [63]
    types = "Observation,Task,Patient"
    between = await made(
        client, await asked(client, _since=first.until, _until=second.until, _type=types)
    )
    assert (between.ids("Observation"), between.until) == (second.ids("Observation"), second.until)
    nothing = await made(client, await asked(client, _since=third.until, _type=types))
    assert (nothing.output, nothing.deleted) == ({}, set())


def _value(resource: dict[str, Any]) -> Any:
    return resource["valueQuantity"]["value"]


async def test_only_whose_and_what_was_asked_for(
    annas_token: str, ward: Ward, client: httpx.AsyncClient
) -> None:
    await ward.store_each([*cuff(START, 120, 80), pulse(START, 60)])
    await ward.store_event(pulse(START + MINUTE, 61, device=CLIP))
    hers, _ = await created(client, task()), await created(client, task(BERT))
    await created(client, organization())
    own = await created(client, observation(category=[{"text": "a survey"}]))
    group = await created(
        client,
        {
            "resourceType": "Group", "type": "person", "actual": True,
            "member": [
                {"entity": {"reference": f"Patient/{ANNA}"}},
                {"entity": {"reference": f"Patient/{BERT}"}, "inactive": True},
            ],
        },
    )  # fmt: skip
    of_anna = await everything(client, f"Observation?patient={ANNA}")

    export = await made(client, await asked(client, f"Group/{group['id']}/$export"))
    assert export.ids("Patient") == [str(ANNA)]
    assert export.ids("Observation") == of_anna
    assert export.ids("Task") == [hers["id"]]
    assert len(export.output["Device"]) == 2
    assert not export.output.keys() & {"Organization", "Endpoint"}

    async def posted(path: str, *parameters: dict[str, Any]) -> httpx.Response:
        body = {"resourceType": "Parameters", "parameter": list(parameters)}
        return await client.post(f"/fhir/{path}", json=body, headers=ASYNC)

    def patient(of: object) -> dict[str, Any]:
        return {"name": "patient", "valueReference": {"reference": f"Patient/{of}"}}

    types = {"name": "_type", "valueString": "Observation,Task"}
    export = await made(client, await posted("Patient/$export", patient(ANNA), types))
    assert export.output.keys() == {"Observation", "Task"}
    assert (export.ids("Observation"), export.ids("Task")) == (of_anna, [hers["id"]])
    answer = await posted(f"Group/{group['id']}/$export", patient(BERT))
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (400, ["http.patient"])
    assert (await posted("Patient/$export", patient(uuid4()))).status_code == 400
    assert (await posted("$export", patient(ANNA))).status_code == 400

    for search, wanted in (
        ("Observation?code=8867-4", "Observation?code=8867-4"),
        ("Observation?category=vital-signs&date=gt2026-03-10T12:00:30Z", None),
        ("Observation?_id=" + own["id"], "Observation?_id=" + own["id"]),
        ("Observation?status=final", "Observation?status=final"),
    ):
        export = await made(client, await asked(client, _type="Observation", _typeFilter=search))
        assert export.ids("Observation") == await everything(client, wanted or search), search
    both = "Task?status=requested,Task?intent=order,Observation?component-code=8480-6"
    export = await made(client, await asked(client, _type="Task,Observation", _typeFilter=both))
    assert export.ids("Task") == await everything(client, "Task")
    assert len(export.output["Observation"]) == 1

    await ward.store.put_client("app", b"a" * 32, ["patient/*.rs"])
    headers = {"Authorization": f"Bearer {annas_token}"}
    transport = httpx.ASGITransport(ward.app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as annas:
        export = await made(annas, await asked(annas))
        assert export.ids("Patient") == [str(ANNA)]
        assert (export.ids("Observation"), export.ids("Task")) == (of_anna, [hers["id"]])
        text = json.dumps(export.output)
        assert str(BERT) not in text
        path = f"Group/{group['id']}/$export"
        assert (await asked(annas, path)).status_code == 404, "there are others in it"
        assert (await client.get(export.status)).status_code == 404, "it is hers"

    vitals = "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"
    scopes = [f"system/Observation.rs?category={vitals}"]
    secret = new_token()
    await ward.store.put_client("vitals", token_hash(secret), scopes)
    client.headers["Authorization"] = f"Bearer {secret}"
    export = await made(client, await asked(client))
    assert export.output.keys() == {"Observation"}
    assert len(export.output["Observation"]) == 3 and own["id"] not in export.ids("Observation")
    assert (await asked(client, _type="Patient")).status_code == 403


async def test_readings_that_left_their_patient(ward: Ward, client: httpx.AsyncClient) -> None:
    """Of those asked for: of hers as deleted, of everybody's as what it is now."""
    await ward.store_each([*cuff(START, 120, 80), pulse(START, 60), pulse(START + MINUTE, 61)])
    types = {"_type": "Observation", "_since": (await made(client, await asked(client))).until}
    first = await everything(client, f"Observation?patient={ANNA}&date=lt2026-03-10T12:01:00Z")
    last = await everything(client, f"Observation?patient={ANNA}&date=ge2026-03-10T12:01:00Z")
    cuffs = ward.devices[CUFF]
    await ward.store.assign(cuffs, BERT, user=None, valid_from=START + MINUTE)
    members = [{"entity": {"reference": f"Patient/{ANNA}"}}]
    group = {"resourceType": "Group", "type": "person", "actual": True, "member": members}
    path = f"Group/{(await created(client, group))['id']}/$export"
    hers = await made(client, await asked(client, path, **types))
    assert (hers.output, hers.deleted) == ({}, {f"Observation/{each}" for each in last})
    everybodys = await made(client, await asked(client, **types))
    assert (everybodys.ids("Observation"), everybodys.deleted) == (last, set())
    assert not (await made(client, await asked(client, path, _type="Observation"))).deleted

    for held in await ward.store.assignments(device_id=cuffs):
        await ward.store.unassign(held.assignment_id, valid_to=held.valid_from)
    everybodys = await made(client, await asked(client, **types))
    assert everybodys.deleted == {f"Observation/{each}" for each in (*first, *last)}
    narrow = {**types, "_typeFilter": "Observation?code=59408-5"}
    assert (await made(client, await asked(client, **narrow))).deleted == set()
    hers = await made(client, await asked(client, path, _type="Observation", _since=hers.until))
    assert hers.deleted == {f"Observation/{each}" for each in first}


async def test_what_is_refused(ward: Ward, client: httpx.AsyncClient) -> None:
    (rest,) = (await client.get("/fhir/metadata")).json()["rest"]
    declared = {each["type"]: each for each in rest["resource"]}
    for place, name in (
        (rest, "export"), (declared["Patient"], "patient-export"),
        (declared["Group"], "group-export"),
    ):  # fmt: skip
        found = [each["definition"] for each in place["operation"] if each["name"] == "export"]
        assert found == [f"http://hl7.org/fhir/uv/bulkdata/OperationDefinition/{name}"]
    answer = await client.get("/fhir/$export")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "required")
    for expression, parameters in (
        ("_outputFormat", {"_outputFormat": "text/csv"}),
        ("_since", {"_since": "yesterday"}),
        ("_until", {"_since": "2026-01-02", "_until": "2026-01-01"}),
        ("_type", {"_type": "Unicorn"}),
        ("_type", {"_type": ","}),
        ("_typeFilter", {"_typeFilter": "status=final"}),
        ("_typeFilter", {"_typeFilter": "Task?nonsense=1"}),
        ("_typeFilter", {"_typeFilter": "Device?nonsense=1"}),
        ("_typeFilter", {"_typeFilter": "Observation?date=never"}),
        ("_typeFilter", {"_typeFilter": "Task?_include=Task:patient"}),
        ("_typeFilter", {"_typeFilter": "Task?status=draft", "_type": "Observation"}),
        ("includeAssociatedData", {"includeAssociatedData": "LatestProvenanceResources"}),
        ("_elements", {"_elements": "id"}),
        ("patient", {"patient": f"Patient/{ANNA}"}),
        ("whatever", {"whatever": "1"}),
    ):
        answer = await asked(client, **parameters)
        found = answer.json()["issue"][0].get("expression")
        assert (answer.status_code, found) == (400, [f"http.{expression}"]), (parameters, found)
    answer = await asked(client, "Patient/$export", _typeFilter=f"Task?patient={ANNA}")
    assert answer.status_code == 400
    lenient = {"Prefer": "respond-async; handling=lenient"}
    query = urlencode({"_elements": "id", "_type": "Patient,Unicorn", "_outputFormat": "ndjson"})
    export = await made(client, await client.get(f"/fhir/$export?{query}", headers=lenient))
    notes = [each["issue"][0]["diagnostics"] for each in export.errors]
    assert len(notes) == 2 and "_elements" in notes[0] and "Unicorn" in notes[1]
    assert len(export.output["Patient"]) == 2
    for method, path, status in (
        ("PUT", "/fhir/$export", 405),
        ("GET", "/fhir/Task/$export", 404),
        ("GET", f"/fhir/Group/{uuid4()}/$export", 404),
        ("GET", f"/fhir/_export/{uuid4()}", 404),
        ("GET", "/fhir/_export/none", 404),
        ("DELETE", f"/fhir/_export/{uuid4()}", 404),
    ):
        answer = await client.request(method, path, headers=ASYNC)
        assert answer.status_code == status, (method, path, answer.text)
        assert answer.json()["resourceType"] == "OperationOutcome"


async def test_files_are_handed_out_to_the_one_who_asked(
    may_begin: asyncio.Event, ward: Ward, client: httpx.AsyncClient
) -> None:
    await ward.store_each([pulse(START + n * MINUTE, 60 + n) for n in range(40)])
    export = await made(client, await asked(client, _type="Observation,Patient"))
    files = {each["type"]: urlsplit(each["url"]).path for each in export.manifest["output"]}
    path = files["Observation"]
    async with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        packed = b"".join([chunk async for chunk in answer.aiter_raw()])
    plain = await client.get(path, headers={"Accept-Encoding": "identity"})
    whole, tag = plain.content, plain.headers["etag"]
    assert gzip.decompress(packed) == whole and len(packed) < len(whole) / 5
    head = await client.head(path, headers={"Accept-Encoding": "identity"})
    assert (head.headers["content-length"], head.content) == (str(len(whole)), b"")
    size = len(whole)
    for asked_for, begin, end in (
        ("bytes=0-99", 0, 100), ("bytes=100-", 100, size), ("bytes=-7", size - 7, size),
        (f"bytes=5-{size * 2}", 5, size),
    ):  # fmt: skip
        answer = await client.get(path, headers={"Range": asked_for, "If-Range": tag})
        assert (answer.status_code, answer.content) == (206, whole[begin:end]), asked_for
        assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{size}"
    assert (await client.get(path, headers={"Range": f"bytes={size}-"})).status_code == 416
    other = {"Range": "bytes=0-9", "If-Range": '"another"', "Accept-Encoding": "identity"}
    for headers in (other, {"Range": "bytes=9-1"}, {"Range": "lines=1-2"}):
        assert (await client.get(path, headers=headers)).content == whole

    own = client.headers["Authorization"]
    client.headers["Authorization"] = f"Bearer {ward.token}"
    for method, place in (("GET", path), ("GET", export.status), ("DELETE", export.status)):
        assert (await client.request(method, place)).status_code == 404
    del client.headers["Authorization"]
    assert (await client.get(path)).status_code == 401
    narrow = new_token()
    await ward.store.put_client("writer", token_hash(narrow), ["system/Patient.rs"])
    client.headers["Authorization"] = f"Bearer {narrow}"
    assert (await client.get(path)).status_code == 403
    assert (await client.get(files["Patient"])).status_code == 200
    client.headers["Authorization"] = own

    client.headers["Authorization"] = f"Bearer {narrow}"
    folder = ward.settings.data_dir / "exports" / export.status.rpartition("/")[2]
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert (await client.delete(export.status)).status_code == 202
    assert not folder.exists()
    assert (await client.get(path)).status_code == 404
    assert (await client.get(export.status)).status_code == 404

    may_begin.clear()
    running = [await asked(client) for _ in range(3)]
    assert [answer.status_code for answer in running] == [202, 202, 429]
    assert int(running[2].headers["retry-after"]) > 0
    first = urlsplit(running[0].headers["content-location"]).path
    assert (await client.get(first)).headers["x-progress"] == "begun"
    assert (await client.delete(first)).status_code == 202
    assert (await asked(client)).status_code == 202, "one was ended"
    may_begin.set()
    second = await made(client, running[1])
    assert second.ids("Patient") == sorted([str(ANNA), str(BERT)])


async def test_a_process_that_ends_leaves_the_rest_to_the_next(
    ward: Ward, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in (
        (saving, "_SAVE_S", 0), (saving, "LEASE_S", 0), (worker, "LEASE_S", 0),
        (exporting, "_LOOK_S", 0.01), (exports_readings, "_AT_ONCE", 5),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    for day in range(4):
        await ward.store_each(
            [pulse(START + day * 1440 * MINUTE + n * MINUTE, 60 + n) for n in range(12)]
        )
    for _ in range(3):
        await created(client, task())
    save = PostgresStore.save_export
    saves = 0

    async def seldom(self: PostgresStore, *given: Any, **more: Any) -> bool:
        nonlocal saves
        saves += 1
        if saves % 4 == 0:
            raise StorageError("the process is gone")
        return await save(self, *given, **more)

    monkeypatch.setattr(PostgresStore, "save_export", seldom)
    export = await made(client, await asked(client, _type="Task,Observation,Patient"))
    attempts = {each["url"].split(".")[-3] for each in export.manifest["output"]}
    assert len(attempts) > 1, "it went on from what was saved"
    assert export.ids("Observation") == await everything(client, "Observation")
    assert export.ids("Task") == await everything(client, "Task")

    # Files that are gone are made anew; nothing of an attempt that came to nothing is told.
    saves = 0
    seen: list[Path] = []

    async def without_files(self: PostgresStore, export_id: UUID, *given: Any, **more: Any) -> bool:
        nonlocal saves
        saves += 1
        kept = await save(self, export_id, *given, **more)
        if saves == 4:
            folder = ward.settings.data_dir / "exports" / str(export_id)
            seen.extend(folder.iterdir())
            shutil.rmtree(folder)
            raise StorageError("the process is gone")
        return kept

    monkeypatch.setattr(PostgresStore, "save_export", without_files)
    again = await made(client, await asked(client, _type="Task,Observation,Patient"))
    assert seen and again.ids("Observation") == export.ids("Observation")
    assert again.ids("Task") == export.ids("Task")


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_no_bundle_holds_an_export(
    ward: Ward, client: httpx.AsyncClient, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it open a file that nobody then closes."""
    export = await made(client, await asked(client, _type="Patient"))
    (file,) = (urlsplit(each["url"]).path for each in export.manifest["output"])
    opened: list[Any] = []
    really = os.open

    def noted(path: Any, *more: Any, **named: Any) -> int:
        opened.append(path)
        return really(path, *more, **named)

    monkeypatch.setattr(os, "open", noted)
    urls = [file.removeprefix("/fhir/"), export.status.removeprefix("/fhir/"), "$export",
            "Patient/$export", f"/{file.removeprefix('/fhir/')}".replace("_", "%5F")]  # fmt: skip
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
    answer = await client.post("/fhir", json=bundle, headers={"Content-Type": JSON})
    for each in answer.json()["entry"]:
        assert each["response"]["status"] == "400 Bad Request"
        assert "requests of their own" in each["response"]["outcome"]["issue"][0]["diagnostics"]
    assert not [path for path in opened if str(path).endswith(".ndjson")]
    assert (await client.get(file)).status_code == 200
    assert len([path for path in opened if str(path).endswith(".ndjson")]) == 1


async def test_a_file_that_goes_before_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "Patient.ndjson"
    path.write_bytes(b"{}\n")
    scope = {"type": "http", "method": "GET", "headers": [], "path": "/", "query_string": b""}
    answer = FileAnswer(Request(scope), path, 3, "tag")
    path.unlink()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    await answer(scope, receive, send)
    assert sent[0]["status"] == 404
