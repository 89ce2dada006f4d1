"""FHIR over the real app and a real store."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.device import Device
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.patient import Patient

from support.readings import BatchMaker, One, Rec
from support.served_ward import (
    ANNA,
    BASE,
    BERT,
    CLIP,
    CUFF,
    GATEWAY,
    MINUTE,
    SCALE,
    START,
    Ward,
)
from wardlight_cloud.fhir.capability import DEVICE_PARAMETERS, search_parameters
from wardlight_cloud.fhir.observation_parameters import NOT_OF_READINGS
from wardlight_cloud.fhir.observation_texts import FLAG_EXTENSION
from wardlight_cloud.fhir.paging import cursor_text
from wardlight_cloud.fhir.search import OBSERVATION_PARAMETERS
from wardlight_cloud.fhir.stored.kinds import STORED
from wardlight_cloud.fhir.two_sources import parameters_of
from wardlight_cloud.store.batch import StatusRow
from wardlight_shared.codes import METRICS
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag

R4 = "http://hl7.org/fhir/StructureDefinition/"
UCUM = "http://unitsofmeasure.org"
MODELS: dict[str, Any] = {"Patient": Patient, "Device": Device, "Observation": Observation}
OF_STORED = {("Observation", name) for name in NOT_OF_READINGS} | {
    ("Device", name) for name in parameters_of("Device", {}).keys() - DEVICE_PARAMETERS.keys()
}  # tests/integration/fhir_stored
OF_IMAGES = {"ImagingStudy", "DocumentReference", "Endpoint"}  # test_fhir_imaging.py


def cuff(time: datetime, systolic: int, diastolic: int, **more: Any) -> tuple[One, One]:
    return (
        One("systolic_bp", time, systolic, device=CUFF, **more),
        One("diastolic_bp", time, diastolic, device=CUFF, **more),
    )


async def fill(ward: Ward) -> None:
    """A pressure and a weight of Anna, three saturations of Bert."""
    await ward.store_event(*cuff(START, 138, 86))
    await ward.store_event(One("body_weight", START + MINUTE, 7250, -2, device=SCALE))
    for place in range(3):
        await ward.store_event(One("spo2", START + place * MINUTE, 95 + place, device=CLIP))


def outcome(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/fhir+json"
    OperationOutcome.model_validate_json(answer.content)
    issue: dict[str, Any] = answer.json()["issue"][0]
    return issue


def resources(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    Bundle.model_validate_json(answer.content)
    bundle = json.loads(answer.text, parse_float=Decimal)
    return [entry["resource"] for entry in bundle.get("entry", [])]


async def search(client: httpx.AsyncClient, kind: str, *pairs: tuple[str, str]) -> list[str]:
    answer = await client.get(f"/fhir/{kind}", params=httpx.QueryParams(pairs))
    return [resource["id"] for resource in resources(answer)]


async def pages(client: httpx.AsyncClient, url: str) -> AsyncIterator[list[dict[str, Any]]]:
    following: str | None = url
    while following is not None:
        answer = await client.get(following)
        yield resources(answer)
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        following = links.get("next")


async def test_every_resource_is_valid_and_reads_as_it_was_found(ward: Ward) -> None:
    await fill(ward)
    async with ward.client() as client:
        for kind, model in MODELS.items():
            found = resources(await client.get(f"/fhir/{kind}"))
            assert found
            for resource in found:
                model.model_validate_json(json.dumps(resource, default=float))
                read = await client.get(f"/fhir/{kind}/{resource['id']}")
                assert json.loads(read.text, parse_float=Decimal) == resource
                assert read.headers["etag"] == f'W/"{resource["meta"]["versionId"]}"'
                assert read.headers["last-modified"].endswith("GMT")
        gateway = await client.get(f"/fhir/Device/gateway-{GATEWAY}")
        Device.model_validate_json(gateway.content)


async def test_references_lead_to_resources(ward: Ward) -> None:
    await fill(ward)
    async with ward.client() as client:
        for resource in resources(await client.get("/fhir/Observation")):
            gateway = resource["extension"][0]["valueReference"]
            for reference in (resource["subject"], resource["device"], gateway):
                assert (await client.get(f"/fhir/{reference['reference']}")).status_code == 200


async def test_links_are_absolute(ward: Ward) -> None:
    await fill(ward)
    async with ward.client() as client:
        bundle = (await client.get("/fhir/Observation?_count=1&colour=green")).json()
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        assert links["self"] == f"{BASE}/fhir/Observation?_count=1"
        assert links["next"].startswith(f"{BASE}/fhir/Observation?_count=1&_cursor=")
        assert bundle["entry"][0]["fullUrl"].startswith(f"{BASE}/fhir/Observation/")


async def test_metadata_is_open_and_valid(ward: Ward) -> None:
    async with ward.client(token=None) as client:
        answer = await client.get("/fhir/metadata")
        assert answer.status_code == 200
        CapabilityStatement.model_validate_json(answer.content)
        statement = answer.json()
    assert statement["fhirVersion"] == "4.0.1"
    served = {entry["type"] for entry in statement["rest"][0]["resource"]}
    assert served == {*STORED, *MODELS, *OF_IMAGES, "AuditEvent", "DetectedIssue", "Flag"}


# Tried in test_fhir_own.py.
OF_DEVICES = {
    ("Device", name)
    for name in ("_lastUpdated", "device-name", "manufacturer", "model", "status", "type")
}


async def test_each_declared_parameter_filters(ward: Ward) -> None:
    """For each parameter of the CapabilityStatement: a value that finds some, one for none."""
    await fill(ward)
    async with ward.client() as client:
        statement = (await client.get("/fhir/metadata")).json()
        declared = (
            {
                (entry["type"], parameter["name"])
                for entry in statement["rest"][0]["resource"]
                for parameter in entry["searchParam"]
                if entry["type"] in ("Device", "Observation")
            }
            - OF_STORED
            - OF_DEVICES
        )
        spo2 = await search(client, "Observation", ("code", "2708-6"))
        other = str(uuid4())
        of_absence = {
            ("Observation", "data-absent-reason"): ("error", 1, "unknown"),
            ("Observation", "component-data-absent-reason"): ("not-performed", 1, "unknown"),
            ("Observation", "combo-data-absent-reason"): ("error,not-performed", 2, "unknown"),
        }
        cases = {
            ("Observation", "patient"): (str(BERT), 3, other),
            ("Observation", "subject"): (f"Patient/{ANNA}", 2, f"Patient/{other}"),
            ("Observation", "device"): (f"Device/{ward.devices[CLIP]}", 3, f"Device/{other}"),
            ("Observation", "code"): ("http://loinc.org|59408-5", 3, "urn:other|59408-5"),
            ("Observation", "component-code"): ("8480-6", 1, "2708-6"),
            ("Observation", "combo-code"): ("8462-4,29463-7", 2, "8310-5"),
            ("Observation", "category"): ("vital-signs", 5, "laboratory"),
            ("Observation", "date"): ("gt2026-03-10T12:00", 3, "2026-03-11"),
            ("Observation", "_lastUpdated"): ("ge2026-03-10", 5, "lt2026-03-10"),
            ("Observation", "_id"): (f"{spo2[0]},{spo2[1]}", 2, "nobody"),
            ("Observation", "_profile"): (f"{R4}oxygensat", 3, f"{R4}none"),
            ("Observation", "status"): ("final", 5, "entered-in-error"),
            ("Observation", "identifier"): (f"urn:wardlight:observation|{spo2[2]}", 1, "|x"),
            ("Observation", "value-quantity"): (f"gt96|{UCUM}|%", 1, f"gt96|{UCUM}|kg"),
            ("Observation", "component-value-quantity"): ("138", 1, "gt138"),
            ("Observation", "combo-value-quantity"): (f"18.4|{UCUM}|kPa", 1, f"19|{UCUM}|kPa"),
            ("Observation", "code-value-quantity"): ("2708-6$le96", 2, "8310-5$le96"),
            ("Observation", "component-code-value-quantity"): ("8480-6$138", 1, "8462-4$138"),
            ("Observation", "combo-code-value-quantity"): (
                "8462-4$86,29463-7$72.50", 2, "8480-6$86",
            ),
            ("Device", "_id"): (str(ward.devices[CUFF]), 1, other),
            ("Device", "identifier"): (CUFF, 1, "ble:000000000000"),
            ("Device", "patient"): (str(ANNA), 2, other),
            **of_absence,
        }  # fmt: skip
        assert cases.keys() == declared
        for (kind, name), (some, number, none) in cases.items():
            if (kind, name) in of_absence:
                continue
            assert len(await search(client, kind, (name, some))) == number, (kind, name)
            assert not await search(client, kind, (name, none)), (kind, name)
        reasons = [CODE_BY_ABSENT[each] for each in (Absent.NRES, Absent.NOT_MEASURED)]
        await ward.store_event(One("body_weight", START, 0, absent=reasons[0], device=SCALE))
        await ward.store_event(*cuff(START + MINUTE, 0, 0, absent=reasons[1]))
        for (kind, name), (some, number, none) in of_absence.items():
            assert len(await search(client, kind, (name, some))) == number, name
            assert not await search(client, kind, (name, none)), name


def test_the_declared_parameters_are_all_there_are() -> None:
    assert {"patient", "code", "category", "date", "_lastUpdated"} <= OBSERVATION_PARAMETERS.keys()
    patients = search_parameters()["Patient"]
    assert {"_id", "identifier"} <= patients.keys() & DEVICE_PARAMETERS.keys()


async def test_device_is_found_by_each_of_its_identifiers(ward: Ward) -> None:
    async with ward.client() as client:
        (device,) = resources(await client.get("/fhir/Device", params={"identifier": CUFF}))
        for identifier in device["identifier"]:
            token = f"{identifier['system']}|{identifier['value']}"
            assert await search(client, "Device", ("identifier", token)) == [device["id"]]
        for query in (
            ("_id", f"gateway-{GATEWAY}"),
            ("identifier", f"urn:wardlight:gateway|{GATEWAY}"),
        ):
            assert await search(client, "Device", query) == [f"gateway-{GATEWAY}"]


async def test_gateways_and_sensors_are_searched_as_one(ward: Ward) -> None:
    """R4 3.1.1.3: parameters are joined by and, the values of a comma list by or."""
    cuff_id, gateway = str(ward.devices[CUFF]), f"gateway-{GATEWAY}"
    other = "gateway-another"
    await ward.store.put_gateway("another")
    either = ("_id", f"{gateway},{cuff_id},{other},nobody")
    async with ward.client() as client:
        for pairs, found in (
            ([either], [other, gateway, cuff_id]),
            ([("identifier", GATEWAY)], [gateway]),
            ([("_id", gateway), ("identifier", CUFF)], []),
            ([("_id", gateway), ("identifier", GATEWAY)], [gateway]),
            ([("_id", cuff_id), ("identifier", f"urn:wardlight:gateway|{GATEWAY}")], []),
            ([("_id", cuff_id), ("identifier", CUFF)], [cuff_id]),
            ([("identifier", f"urn:other|{GATEWAY}")], []),
            ([either, ("patient", str(ANNA))], [cuff_id]),
            ([either, ("patient", "nobody")], []),
        ):
            assert await search(client, "Device", *pairs) == found, pairs
            for size in ("1", "2"):
                url = str(httpx.URL("/fhir/Device", params=[*pairs, ("_count", size)]))
                walked = [[each["id"] for each in page] async for page in pages(client, url)]
                assert [each for page in walked for each in page] == found, (pairs, size)
                assert all(len(page) <= int(size) for page in walked)
            counted = await client.get("/fhir/Device", params=[*pairs, ("_summary", "count")])
            assert counted.json()["total"] == len(found)


@pytest.mark.parametrize("cursor", [b"\0\0\0", b"g", b"gx", b"d", b"dxyz"])
async def test_a_cursor_of_no_device_search_is_refused(ward: Ward, cursor: bytes) -> None:
    async with ward.client() as client:
        for query in ("", "identifier=urn:other|x&", f"_id=gateway-{GATEWAY}&"):
            answer = await client.get(f"/fhir/Device?{query}_cursor={cursor_text(cursor)}")
            assert outcome(answer, 400)["expression"] == ["http._cursor"], query


async def test_a_search_for_nothing_is_refused(ward: Ward) -> None:
    """R4 lets a server ignore it; then `patient=` would answer with every patient's rows."""
    await fill(ward)
    async with ward.client() as client:
        statement = (await client.get("/fhir/metadata")).json()
        served = statement["rest"][0]["resource"]
        for entry in [each for each in served if each["type"] in {*MODELS, *OF_IMAGES}]:
            for name in [parameter["name"] for parameter in entry["searchParam"]]:
                for empty in ("", ",", ",,"):
                    path = f"/fhir/{entry['type']}"
                    for answer in (
                        await client.get(path, params={name: empty}),
                        await client.post(f"{path}/_search", data={name: empty}),
                    ):
                        assert outcome(answer, 400)["expression"] == [f"http.{name}"]
        for name in ("subject:Patient", "patient:Patient"):
            assert outcome(await client.get(f"/fhir/Observation?{name}="), 400)
        assert len(await search(client, "Observation", ("_sort", ""), ("_count", ""))) == 5


async def test_a_form_is_a_form_in_any_case(ward: Ward) -> None:
    """RFC 9110 8.3.1: type and subtype are case-insensitive."""
    await fill(ward)
    headers = {"Content-Type": "Application/X-WWW-Form-urlencoded; Charset=UTF-8"}
    async with ward.client() as client:
        body = f"patient={BERT}"
        answer = await client.post("/fhir/Observation/_search", content=body, headers=headers)
        assert len(resources(answer)) == 3


async def test_the_ends_of_the_calendar(ward: Ward) -> None:
    await fill(ward)
    async with ward.client() as client:
        for name in ("date", "_lastUpdated"):
            for text, number in (
                ("le9999-12-31", 5),
                ("lt9999-12-31T23:59:59Z", 5),
                ("le9999-12-31T23:59:59-14:00", 5),
                ("9999", 0),
                ("gt9999-12-31", 0),
                ("ge0001-01-01T00:00:00+14:00", 5),
            ):
                assert len(await search(client, "Observation", (name, text))) == number, text


async def tell(ward: Ward, minutes: int, name: str, **data: str | int | None) -> None:
    """What the cuff's gateway says of it, after START."""
    time_us = int((START + minutes * MINUTE).timestamp()) * 1_000_000
    status = StatusRow(0, time_us, CUFF, name, data)
    await ward.store.ingest([BatchMaker()(Rec(next(ward.seqs)), statuses=[status])])


async def test_a_device_says_how_it_is(ward: Ward) -> None:
    """Charge, last seen and calibration where R4 has a place; status as far as it is known."""
    path = f"/fhir/Device/{ward.devices[CUFF]}"
    async with ward.client() as client:
        silent = (await client.get(path)).json()
        assert silent["status"] == "unknown"
        assert not {"statusReason", "extension"} & silent.keys()
        assert all("valueQuantity" not in each for each in silent["property"])
        await tell(ward, 0, "link", state="ok", reason=None)
        await tell(ward, 1, "battery", percent=0)
        await tell(ward, 2, "calibration", due="2027-03-01")
        answer = await client.get(path)
        Device.model_validate_json(answer.content)
        told = answer.json()
        assert told["status"] == "active"
        (charged,) = [each for each in told["property"] if "valueQuantity" in each]
        (charge,), (kind,) = charged["valueQuantity"], charged["type"]["coding"]
        assert told["statusReason"][0]["coding"][0]["code"] == "online"
        assert (kind["system"], kind["code"]) == ("urn:iso:std:iso:11073:10101", "67996")
        assert (charge["value"], charge["code"]) == (0, "%")
        assert told["extension"] == [
            {"url": "urn:wardlight:fhir:last-seen", "valueInstant": fhir_instant(START + MINUTE)},
            {"url": "urn:wardlight:fhir:calibration-due", "valueDate": "2027-03-01"},
        ]
        await tell(ward, 3, "link", state="removed", reason=None)
        assert (await client.get(path)).json()["status"] == "inactive"
        await tell(ward, 4, "link", state="ok", reason=None)
        assert (await client.get(path)).json()["status"] == "active"


def fhir_instant(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_a_device_that_was_seen_again_is_another_version(ward: Ward) -> None:
    """Or a client that asks with its ETag would believe that the device is silent."""
    path = f"/fhir/Device/{ward.devices[CUFF]}"
    async with ward.client() as client:
        versions: list[tuple[str, str]] = []
        for minute in range(3):
            await ward.store_event(*cuff(START + minute * MINUTE, 138, 86))
            match = {"If-None-Match": versions[-1][0]} if versions else {}
            answer = await client.get(path, headers=match)
            assert answer.status_code == 200
            meta = answer.json()["meta"]
            assert answer.headers["etag"] == f'W/"{meta["versionId"]}"'
            versions.append((answer.headers["etag"], meta["lastUpdated"]))
        assert len(set(versions)) == 3
        assert versions == sorted(versions)
        again = await client.get(path, headers={"If-None-Match": versions[-1][0]})
        assert again.status_code == 304


async def test_sort_orders_both_ways(ward: Ward) -> None:
    await fill(ward)
    async with ward.client() as client:
        newest = await search(client, "Observation", ("patient", str(BERT)))
        oldest = await search(client, "Observation", ("patient", str(BERT)), ("_sort", "date"))
        assert newest == oldest[::-1]
        commits = [
            int(resource["meta"]["versionId"])
            for resource in resources(await client.get("/fhir/Observation?_sort=_lastUpdated"))
        ]
        assert commits == sorted(commits)


@pytest.mark.parametrize("sort", ["date", "_lastUpdated"])
async def test_paging_neither_skips_nor_repeats_while_rows_arrive(ward: Ward, sort: str) -> None:
    first = [One("spo2", START + place * MINUTE, 90, device=CLIP) for place in range(40)]
    await ward.store_each(first)
    seen: list[str] = []
    arrived = 0
    async with ward.client() as client:
        before = await search(client, "Observation", ("_count", "500"))
        async for page in pages(client, f"/fhir/Observation?_sort={sort}&_count=7"):
            seen += [resource["id"] for resource in page]
            if arrived < 4:  # one row before everything, one between, one at the end
                arrived += 1
                step = timedelta(seconds=arrived)
                await ward.store_each(
                    [
                        One("spo2", START - step, 91, device=CLIP),
                        One("spo2", START + 20 * MINUTE + step, 92, device=CLIP),
                        One("spo2", START + 60 * MINUTE + step, 93, device=CLIP),
                    ]
                )
    assert len(seen) == len(set(seen))
    assert set(before) <= set(seen)


async def test_last_updated_walk_sees_every_commit(ward: Ward) -> None:
    """An EHR that follows `next` of _lastUpdated while collectors write misses nothing."""
    await fill(ward)
    seen: set[str] = set()
    async with ward.client() as client:

        async def write() -> None:
            for place in range(30):
                await ward.store_event(One("spo2", START + (place + 10) * MINUTE, 90, device=CLIP))

        writing = asyncio.create_task(write(), name="writer")
        since = "2026-01-01"
        while True:
            ended = writing.done()
            url = f"/fhir/Observation?_lastUpdated=ge{since}&_count=3"
            async for page in pages(client, url):
                seen |= {resource["id"] for resource in page}
                since = page[-1]["meta"]["lastUpdated"] if page else since
            if ended:
                break
        await writing
        assert seen == set(await search(client, "Observation", ("_count", "500")))


async def test_post_search_equals_get(ward: Ward) -> None:
    await fill(ward)
    form = {"patient": str(BERT), "_count": "2"}
    async with ward.client() as client:
        posted = await client.post("/fhir/Observation/_search", data=form)
        got = await client.get("/fhir/Observation", params=form)
        assert resources(posted) == resources(got)
        wrong = await client.post("/fhir/Observation/_search", json=form)
        outcome(wrong, 415)


async def test_unknown_parameter_is_refused_when_strict(ward: Ward) -> None:
    async with ward.client() as client:
        for kind in MODELS:
            url = f"/fhir/{kind}?colour=green"
            assert (await client.get(url)).status_code == 200
            issue = outcome(await client.get(url, headers={"Prefer": "handling=strict"}), 400)
            assert issue["expression"] == ["http.colour"]


async def test_what_cannot_be_followed_is_refused(ward: Ward) -> None:
    await fill(ward)
    bad = (
        "device.nothing=A-1", "code:in=8867-4", "date=soon", "_count=-1", "_sort=value-quantity",
        "_cursor=AAAA", "_lastUpdated=ne", "patient=Group/1", "date:missing=maybe",
        "value-quantity=5|mmol/L", "component-code-value-quantity=8480-6",
    )  # fmt: skip
    async with ward.client() as client:
        for query in bad:
            issue = outcome(await client.get(f"/fhir/Observation?{query}"), 400)
            assert issue["expression"] == [f"http.{query.partition('=')[0]}"]
        for url in ("Device?identifier=A-1,B-1", "Device?_id=a&_id=b", "Patient?_cursor=AAAA"):
            outcome(await client.get(f"/fhir/{url}"), 400)


async def test_a_body_without_end_is_refused(ward: Ward) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1 << 28:
            sent += 1 << 16
            yield bytes(1 << 16)

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with ward.client() as client:
        answer = await client.post("/fhir/Observation/_search", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert sent < 1 << 20
    assert answer.json()["issue"][0]["code"] == "too-long"


@pytest.mark.parametrize(
    ("kind", "name"), [("Patient", "family"), ("Patient", "identifier"), ("Device", "identifier")]
)
async def test_nul_is_the_client_s_fault(ward: Ward, kind: str, name: str) -> None:
    async with ward.client() as client:
        answer = await client.get(f"/fhir/{kind}?{name}=a%00b")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == [f"http.{name}"]


async def test_cursor_of_another_search_is_refused(ward: Ward) -> None:
    await fill(ward)
    async with ward.client() as client:
        bundle = (await client.get(f"/fhir/Observation?patient={BERT}&_count=1")).json()
        following = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
        outcome(await client.get(following.replace(str(BERT), str(ANNA))), 400)


ACCEPTED = (
    ("application/fhir+json", "", 200),
    ("application/json;q=0.9, text/html", "", 200),
    ("application/fhir+xml", "", 406),
    ("text/html", "?_format=json", 200),
    ("*/*", "?_format=application/fhir+json", 200),
    ("*/*", "?_format=xml", 406),
    ("text/json", "", 200),
    ("application/fhir+json; fhirVersion=4.0", "", 200),
    ('application/fhir+json;q=1;fhirVersion="4.0"', "", 200),
    ("application/fhir+json; fhirVersion=3.0", "", 406),
    ("application/fhir+json; fhirVersion=5.0, application/fhir+json; fhirVersion=4.0", "", 200),
    ("*/*", "?_format=application/fhir%2Bjson;fhirVersion=3.0", 406),
)


async def test_content_negotiation(ward: Ward) -> None:
    async with ward.client() as client:
        for accept, query, status in ACCEPTED:
            answer = await client.get(f"/fhir/Observation{query}", headers={"Accept": accept})
            assert answer.status_code == status, (accept, query)
            if status == 406:
                outcome(answer, 406)


async def test_without_a_token_there_is_nothing(ward: Ward) -> None:
    await fill(ward)
    paths = ("Observation", f"Patient/{ANNA}", "Observation/_search", "Nothing", "")
    async with ward.client(token=None) as client:
        for header in (None, "Bearer wrong", "Basic bnVyc2U6eA==", "Bearer"):
            headers = {} if header is None else {"Authorization": header}
            for path in paths:
                method = "POST" if path.endswith("_search") else "GET"
                answer = await client.request(method, f"/fhir/{path}", headers=headers)
                assert outcome(answer, 401)["code"] == "login"
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert str(ANNA) not in answer.text


async def test_what_does_not_exist_is_404(ward: Ward) -> None:
    nobody = uuid4()
    paths = [
        "Observation/none", f"Patient/{nobody}", "Patient/x", "Device/gateway-none", "",
        "Observation/", "Observation/none/_history", "Observation/_search", "Group/x", "Encounter",
        "Encounter/x",
    ]  # fmt: skip
    async with ward.client() as client:
        for path in (*paths, f"Patient/{str(ANNA).upper()}", f"Patient/{ANNA},{BERT}"):
            assert outcome(await client.get(f"/fhir/{path}"), 404)["code"] == "not-found"


async def test_writes_are_refused(ward: Ward) -> None:
    """With a token that may read only; what nobody may write is 405."""
    async with ward.client() as client:
        for method, path in (
            ("PUT", f"Patient/{ANNA}"), ("PATCH", f"Patient/{ANNA}"), ("POST", "Patient"),
            ("DELETE", "Task/1"), ("POST", "Observation"),
        ):  # fmt: skip
            assert (
                outcome(await client.request(method, f"/fhir/{path}"), 403)["code"] == "forbidden"
            )
        for path in ("/Observation/", "/metadata", "/Endpoint", "/Patient/x/y"):
            outcome(await client.post(f"/fhir{path}"), 405)
        outcome(await client.request("OPTIONS", "/fhir/Observation"), 405)
        answer = await client.put("/fhir/Observation/_search")
        outcome(answer, 405)
        assert answer.headers["allow"] == "POST"
        outcome(await client.post("/fhir/Encounter/_search"), 404)


async def test_links_name_the_host_that_was_asked_for(ward: Ward) -> None:
    await fill(ward)
    scheme = BASE.partition("://")[0]
    async with ward.client() as client:
        for host in ("ward.example", "ward.example:8443", "192.0.2.7:80", "[2001:db8::7]:8443"):
            bundle = (await client.get("/fhir/Patient", headers={"Host": host})).json()
            urls = [bundle["link"][0]["url"], *(entry["fullUrl"] for entry in bundle["entry"])]
            assert all(url.startswith(f"{scheme}://{host}/fhir/Patient") for url in urls)


async def test_a_host_that_is_none_is_refused(ward: Ward) -> None:
    await fill(ward)
    async with ward.client() as client:
        for host in (
            'a","x":"',
            "ward/elsewhere",
            "who@ward",
            "a b",
            "ward:port",
            "[::1",
            "a" * 300,
        ):
            for path in ("Patient", "Observation", "metadata"):
                answer = await client.get(f"/fhir/{path}", headers={"Host": host})
                assert outcome(answer, 400)["code"] == "invalid"


async def test_if_none_match_saves_the_body(ward: Ward) -> None:
    await fill(ward)
    async with ward.client() as client:
        first = await client.get(f"/fhir/Patient/{ANNA}")
        match = {"If-None-Match": f'"other", {first.headers["etag"]}'}
        again = await client.get(f"/fhir/Patient/{ANNA}", headers=match)
        assert (again.status_code, again.content) == (304, b"")
        await ward.add_patient(ANNA, "Almeida", "Ana", "A-1")
        changed = await client.get(f"/fhir/Patient/{ANNA}", headers=match)
        assert changed.status_code == 200


async def test_a_pressure_without_a_side_keeps_both_components(ward: Ward) -> None:
    nan = CODE_BY_ABSENT[Absent.NAN]
    await ward.store_event(
        One("systolic_bp", START, 138, device=CUFF),
        One("diastolic_bp", START, 0, absent=nan, device=CUFF),
    )
    async with ward.client() as client:
        (pressure,) = resources(await client.get("/fhir/Observation?code=85354-9"))
    components = {c["code"]["coding"][0]["code"]: c for c in pressure["component"]}
    assert components["8480-6"]["valueQuantity"]["value"] == 138
    assert "valueQuantity" not in components["8462-4"]
    reason = components["8462-4"]["dataAbsentReason"]["coding"][0]
    assert reason["code"] == "not-a-number"


async def test_values_keep_their_digits(ward: Ward) -> None:
    await ward.store_event(One("body_weight", START, 7250, -2, device=SCALE))
    async with ward.client() as client:
        answer = await client.get("/fhir/Observation")
    assert '"value":72.50,' in answer.text


async def test_what_a_person_let_out_of_quarantine_says_so(ward: Ward) -> None:
    """A second value at a stored reading's place waits; released, it is served with its mark."""
    for value in (97, 93):
        await ward.store_event(One("spo2", START, value, device=CLIP))
    async with ward.client() as client:
        (first,) = resources(await client.get("/fhir/Observation"))
        assert first["valueQuantity"]["value"] == 97
        (waiting,) = await ward.store.quarantined()
        await ward.store.release_quarantined(
            waiting.quarantine_id, decided_by="Ops One", reason="read off the clip"
        )
        found = resources(await client.get("/fhir/Observation?_sort=_lastUpdated"))
    assert [resource["valueQuantity"]["value"] for resource in found] == [97, 93]
    flags = [
        [e["valueCode"] for e in resource["extension"] if e["url"] == FLAG_EXTENSION]
        for resource in found
    ]
    assert flags == [[], ["released"]]
    assert "interpretation" not in found[1]


async def test_what_is_no_measurement_of_a_patient_is_never_served(ward: Ward) -> None:
    for place, flag in enumerate((Flag.DEMO, Flag.TEST, Flag.CALIBRATING)):
        time = START + place * MINUTE
        await ward.store_event(*cuff(time, 120, 80, flags=int(flag)))
        await ward.store_event(One("spo2", time, 99, device=CLIP, flags=int(flag)))
    async with ward.client() as client:
        assert not await search(client, "Observation")
        assert not await search(client, "Observation", ("component-code", "8480-6"))
        assert not await search(client, "Observation", ("_lastUpdated", "ge2020"))
    assert not await ward.store.latest()


async def test_patients_share_a_device_one_after_the_other(ward: Ward) -> None:
    """Each sees what was measured in their own interval, and moving the border moves rows."""
    clip = ward.devices[CLIP]
    for place in range(6):
        await ward.store_event(One("spo2", START + place * MINUTE, 90 + place, device=CLIP))
    async with ward.client() as client:

        async def values(patient: object) -> list[int]:
            answer = await client.get(f"/fhir/Observation?patient={patient}&_sort=date")
            found = resources(answer)
            assert {r["subject"]["reference"] for r in found} <= {f"Patient/{patient}"}
            return [resource["valueQuantity"]["value"] for resource in found]

        assert await values(BERT) == [90, 91, 92, 93, 94, 95]
        assert await values(ANNA) == []
        since = (await client.get("/fhir/Observation?_sort=_lastUpdated")).json()
        newest = max(entry["resource"]["meta"]["lastUpdated"] for entry in since["entry"])
        await ward.store.assign(clip, ANNA, user=None, valid_from=START + 3 * MINUTE)
        assert await values(BERT) == [90, 91, 92]
        assert await values(ANNA) == [93, 94, 95]
        # Who polls by _lastUpdated is told of the rows that changed hands.
        moved = resources(await client.get(f"/fhir/Observation?_lastUpdated=gt{newest}"))
        told = {
            r["valueQuantity"]["value"] for r in moved if str(ANNA) in r["subject"]["reference"]
        }
        assert told == {93, 94, 95}


async def test_an_unassigned_device_s_readings_belong_to_nobody(ward: Ward) -> None:
    stranger = "ble:0000000000FF"
    await ward.store_event(One("spo2", START, 97, device=stranger))
    async with ward.client() as client:
        assert not await search(client, "Observation")
        device = await ward.store.put_device(stranger)
        await ward.store.assign(device, BERT, user=None, valid_from=START - MINUTE)
        assert len(await search(client, "Observation", ("patient", str(BERT)))) == 1


async def test_user_index_tells_two_patients_of_one_device_apart(ward: Ward) -> None:
    shared = "ble:0000000000EE"
    device = await ward.store.put_device(shared)
    for user, patient in ((1, ANNA), (2, BERT)):
        await ward.store.assign(device, patient, user=user, valid_from=START - MINUTE)
    for user in (1, 2, 3):
        await ward.store_event(One("body_weight", START, 60 + user, device=shared, user=user))
    async with ward.client() as client:
        for user, patient in ((1, ANNA), (2, BERT)):
            (found,) = resources(await client.get(f"/fhir/Observation?patient={patient}"))
            assert found["valueQuantity"]["value"] == 60 + user


async def test_every_metric_is_served_as_its_profile_asks(ward: Ward) -> None:
    """The R4 vital signs profiles, written out: category, codes, units, value or reason."""
    singles = [
        m
        for m in METRICS.values()
        if m.component_of is None and m.structure.startswith("valueQuantity")
    ]
    await ward.store_each(
        [One(m.name, START + place * MINUTE, 50, device=CLIP) for place, m in enumerate(singles)]
    )
    await ward.store_event(*cuff(START, 120, 80))
    async with ward.client() as client:
        found = resources(await client.get("/fhir/Observation?_count=500"))
    assert len(found) == len(singles) + 1
    for resource in found:
        check_vital_sign(resource)


# R4 4.0.1: fixed LOINC code and UCUM unit of each vital signs profile; None = components.
PROFILES: dict[str, tuple[str, set[str] | None]] = {
    "bodyheight": ("8302-2", {"cm", "[in_i]"}),
    "bodytemp": ("8310-5", {"Cel", "[degF]"}),
    "bodyweight": ("29463-7", {"g", "kg", "[lb_av]"}),
    "bmi": ("39156-5", {"kg/m2"}),
    "bp": ("85354-9", None),
    "headcircum": ("9843-4", {"cm", "[in_i]"}),
    "heartrate": ("8867-4", {"/min"}),
    "oxygensat": ("2708-6", {"%"}),
    "resprate": ("9279-1", {"/min"}),
}
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def check_vital_sign(resource: dict[str, Any]) -> None:
    claimed = [p.removeprefix(R4) for p in resource["meta"].get("profile", []) if p.startswith(R4)]
    for name in claimed:
        code, units = PROFILES.get(name, ("", set()))
        assert name == "vitalsigns" or code, name
        categories = [
            c["code"]
            for each in resource["category"]
            for c in each["coding"]
            if c["system"] == CATEGORY
        ]
        assert categories.count("vital-signs") == 1
        codings = {(c["system"], c["code"]) for c in resource["code"]["coding"]}
        assert name == "vitalsigns" or ("http://loinc.org", code) in codings
        assert resource["status"] in {"final", "preliminary", "entered-in-error"}
        assert "T" in resource["effectiveDateTime"]
        assert resource["subject"]["reference"].startswith("Patient/")
        if units is None:
            check_pressure(resource)
        else:
            quantity = resource["valueQuantity"]
            assert quantity["system"] == "http://unitsofmeasure.org"
            assert name == "vitalsigns" or quantity["code"] in units
            assert quantity["unit"]


def check_pressure(resource: dict[str, Any]) -> None:
    assert "valueQuantity" not in resource
    codes = [c["code"]["coding"][0]["code"] for c in resource["component"]]
    assert codes.count("8480-6") == codes.count("8462-4") == 1
    for component in resource["component"]:
        assert component["valueQuantity"]["code"] == "mm[Hg]"


async def test_now_is_a_time_the_store_takes(ward: Ward) -> None:
    """A live reading is served at once, stamped with its own time."""
    now = datetime.now(UTC).replace(microsecond=0)
    await ward.store_event(One("spo2", now, 97, device=CLIP))
    async with ward.client() as client:
        (found,) = resources(await client.get(f"/fhir/Observation?date=ge{now:%Y-%m-%dT%H:%M:%SZ}"))
    assert datetime.fromisoformat(found["effectiveDateTime"]) == now


@pytest.mark.parametrize("counting", ["_summary=count", "_count=0", "_summary=count&_count=2"])
async def test_a_count_comes_without_entries(ward: Ward, counting: str) -> None:
    await fill(ward)
    async with ward.client() as client:
        for query, total in (
            ("Observation?", 5),
            (f"Observation?patient={BERT}&", 3),
            ("Observation?category=vital-signs&date=gt2026-03-10T12:00&", 3),
            ("Observation?component-code=8480-6&", 1),
            ("Observation?code=unknown&", 0),
            ("Observation?code=http://loinc.org|&", 5),
            ("Observation?code=http://snomed.info/sct|&", 0),
            ("Observation?code=|&", 0),
            ("Observation?category=http://example.org|&", 0),
            ("Patient?", 2),
            ("Patient?family=alm&", 1),
            (f"Device?patient={ANNA}&", 2),
            (f"Device?_id=gateway-{GATEWAY}&", 1),
            ("Device?patient=nobody&", 0),
        ):
            answer = await client.get(f"/fhir/{query}{counting}")
            bundle = answer.json()
            Bundle.model_validate_json(answer.content)
            assert bundle["total"] == total, query
            assert "entry" not in bundle
            assert [link["relation"] for link in bundle["link"]] == ["self"]
            assert bundle["link"][0]["url"].endswith(counting)


async def test_a_total_is_given_when_asked_for(ward: Ward) -> None:
    await fill(ward)
    async with ward.client() as client:
        for kind, total in (("Observation", 5), ("Patient", 2)):
            for wanted in ("accurate", "estimate"):
                bundle = (await client.get(f"/fhir/{kind}?_total={wanted}&_count=1")).json()
                assert (bundle["total"], len(bundle["entry"])) == (total, 1)
                following = bundle["link"][1]["url"]
                assert (await client.get(following)).json()["total"] == total
            assert "total" not in (await client.get(f"/fhir/{kind}?_total=none")).json()
        assert outcome(await client.get("/fhir/Patient?_total=some"), 400)


async def test_other_summaries_are_unknown(ward: Ward) -> None:
    await fill(ward)
    strict = {"Prefer": "handling=strict"}
    async with ward.client() as client:
        for kind in ("Device", "ImagingStudy"):
            for text in ("true", "text", "data"):
                answer = await client.get(f"/fhir/{kind}?_summary={text}")
                assert answer.status_code == 200
                assert answer.json()["link"][0]["url"] == f"{BASE}/fhir/{kind}"
                refused = await client.get(f"/fhir/{kind}?_summary={text}", headers=strict)
                assert outcome(refused, 400)["expression"] == ["http._summary"]
            assert outcome(await client.get(f"/fhir/{kind}?_summary=some"), 400)
            counted = await client.get(f"/fhir/{kind}?_summary=count", headers=strict)
            assert counted.json()["total"] >= 0


async def test_what_nobody_foresaw_is_an_outcome_and_a_line_in_the_log(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("Anna Alm is 42")

    for name in ("observations", "resources", "devices"):
        monkeypatch.setattr(ward.store, name, broken)
    async with ward.client() as client:
        for path in ("Observation", "Patient", f"Device/{uuid4()}"):
            caplog.clear()
            issue = outcome(await client.get(f"/fhir/{path}"), 500)
            assert issue["code"] == "exception"
            (record,) = [r for r in caplog.records if r.name.startswith("wardlight_cloud.fhir")]
            assert record.__dict__["error_id"] in issue["diagnostics"]
            assert record.__dict__["error"] == "ZeroDivisionError"
            assert "Anna" not in f"{issue}{record.__dict__}{caplog.text}"
