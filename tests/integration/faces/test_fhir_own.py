"""Resources made from columns beside readings: each is what R4 says, and is found by what it says.

Devices and their metrics, waveforms, averages, Provenances, alarms; the audit trail has a file of
its own (test_audit.py).
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from struct import pack
from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from support.fhir_definitions.package import require_definitions
from support.fhir_definitions.validator import Validator
from support.readings import BatchMaker, One, Rec, cuff, us, wire
from support.served_ward import ANNA, BERT, CLIP, CUFF, GATEWAY, SCALE, START, Ward
from wardlight_cloud.fhir.observation_texts import FLAG_EXTENSION, TIME_EXTENSION
from wardlight_cloud.fhir.own.audit_event import AUDIT_PARAMETERS
from wardlight_cloud.fhir.own.provenance import OTHERS_EXTENSION, TARGETS_MOST
from wardlight_cloud.fhir.resources import CALIBRATION_EXTENSION, LAST_SEEN_EXTENSION
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.authorization import Grant, NewTokens
from wardlight_cloud.store.batch import GapRow, StatusRow, WaveformRow
from wardlight_shared.codes import METRICS
from wardlight_shared.model import Flag
from wardlight_shared.records import SeriesKey

Json = Any
GUIDES = ("http://hl7.org/fhir/uv/", "http://hl7.org/fhir/us/")
SECOND = timedelta(seconds=1)
KIND = "urn:wardlight:observation-kind"
SAMPLES = [0, 1, -1, 32767, -32768, 5]
KINDS = ("Device", "DeviceMetric", "Provenance", "DetectedIssue", "Flag")
STREAMS = ("waveform", "average-minute", "average-hour")


@pytest.fixture
def validator() -> Validator:
    own = {OTHERS_EXTENSION, LAST_SEEN_EXTENSION, CALIBRATION_EXTENSION}
    own |= {TIME_EXTENSION, FLAG_EXTENSION}
    return Validator(require_definitions(), own_extensions=frozenset(own))


async def fill(ward: Ward) -> None:
    """Readings of both patients, an ECG, an alarm, a device that is lost and one that was."""
    store, now = ward.store, datetime.now(UTC).replace(microsecond=0)
    spo2 = [One("spo2", START + place * SECOND, 90 + place, device=CLIP) for place in range(5)]
    await ward.store_each(spo2)
    await ward.store_event(*cuff(START, 121, 79, device=CUFF))
    alarmed = [
        One("spo2", now - timedelta(hours=1) + place * SECOND, 80, flags=int(Flag.DEVICE_ALARM),
            device=CLIP)
        for place in range(3)
    ]  # fmt: skip
    await ward.store_each(alarmed)
    info = {"manufacturer": "Acme", "model": "Clip 7", "serial_number": "S-1", "regulated": "yes"}
    statuses = [
        StatusRow(0, us(START), CLIP, "info", dict(info)),
        StatusRow(0, us(START), CLIP, "battery", {"percent": 80}),
        StatusRow(0, us(START), CLIP, "calibration", {"due": "2026-03-01"}),
        StatusRow(0, us(START), CUFF, "link", {"state": "lost", "reason": None}),
        StatusRow(0, us(START + 9 * SECOND), CUFF, "link", {"state": "ok", "reason": None}),
        StatusRow(0, us(START + 20 * SECOND), SCALE, "link", {"state": "bond-lost"}),
    ]
    gap = GapRow(0, us(START), us(START + 30 * SECOND), CLIP, "link-lost", 30, ())
    block = WaveformRow(0, 0, us(START), 130_000, -3, 7, pack(f"<{len(SAMPLES)}h", *SAMPLES), 20)
    key = SeriesKey(CLIP, wire("ecg_lead_i"), "mV", None, None, None)
    batch = BatchMaker()(
        Rec(next(ward.seqs)), statuses=statuses, gaps=[gap], waveforms=[block], more_series=(key,)
    )
    await store.ingest([batch])
    while await store.refresh_rollups(limit=1000):
        pass


async def all_of(
    client: httpx.AsyncClient, search: str, validator: Validator | None = None
) -> list[Json]:
    """Resources of all pages, each page sound."""
    found: list[Json] = []
    url: str | None = f"/fhir/{search}"
    while url is not None:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        page = json.loads(answer.text, parse_float=Decimal)
        assert validator is None or not validator.issues(page), search
        found += [entry["resource"] for entry in page.get("entry", [])]
        url = next((each["url"] for each in page["link"] if each["relation"] == "next"), None)
    return found


@asynccontextmanager
async def client_of(
    ward: Ward, *scopes: str, patient: object = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a token for one patient, or for all."""
    token = new_token()
    await ward.store.put_client("app", token_hash(new_token()), [])
    grant = Grant("app", scopes, patient=patient)  # type: ignore[arg-type]
    await ward.store.grant(grant, NewTokens(token_hash(token), 600))
    async with ward.client(token=token) as client:
        yield client


def ids(resources: list[Json]) -> set[str]:
    return {each["id"] for each in resources}


async def test_all_that_is_made_conforms_and_can_be_read(ward: Ward, validator: Validator) -> None:
    await fill(ward)
    searches = {kind: kind for kind in KINDS} | {
        kind: f"Observation?category={KIND}|{kind}" for kind in STREAMS
    }
    searches["Device"] = "Device?type=531981,65573,706689003"
    async with ward.client() as client:
        for kind, search in searches.items():
            joint = "&" if "?" in search else "?"
            found = await all_of(client, f"{search}{joint}_count=2", validator)
            assert len(found) == len(ids(found)) > 0, kind
            counted = (await client.get(f"/fhir/{search}{joint}_summary=count")).json()
            assert counted["total"] == len(found), kind
            for resource in found:
                name = resource["resourceType"]
                model = get_fhir_model_class(name)
                model.model_validate_json(json.dumps(resource, default=float))
                assert all(url.startswith(GUIDES) for url in validator.unknown_profiles(resource))
                read = await client.get(f"/fhir/{name}/{resource['id']}")
                assert json.loads(read.text, parse_float=Decimal) == resource or kind == "Device"
                await check_version(client, resource)


async def test_each_metric_comes_out_in_its_form(ward: Ward, validator: Validator) -> None:
    """All rows of the table: as value, component, samples, average, or property of the device."""
    metrics = list(METRICS.values())
    sampled = [m for m in metrics if m.structure == "valueSampledData"]
    single = [m for m in metrics if m.structure.startswith("valueQuantity")]
    sides = [m for m in metrics if m.component_of is not None]
    keys = tuple(SeriesKey(CLIP, m.wire, m.unit, None, None, None) for m in sampled)
    blocks = [WaveformRow(0, n, us(START), 125_000, -2, 0, b"\1\0", 20) for n in range(len(keys))]
    statuses = [StatusRow(0, us(START), CLIP, "battery", {"percent": 80})]
    await ward.store.ingest(
        [BatchMaker()(Rec(next(ward.seqs)), waveforms=blocks, statuses=statuses, more_series=keys)]
    )
    await ward.store_each([One(m.name, START, 50, device=CLIP) for m in single])
    await ward.store_event(*(One(m.name, START, 90, device=CUFF) for m in sides))
    while await ward.store.refresh_rollups(limit=1000):
        pass
    async with ward.client() as client:
        found = await all_of(client, "Observation?_count=500", validator)
        found += await all_of(client, f"Observation?category={KIND}|waveform", validator)
        found += await all_of(client, f"Observation?category={KIND}|average-hour", validator)
        devices = await all_of(client, f"Device?identifier={CLIP}", validator)
        measured = await all_of(client, "DeviceMetric?_count=500", validator)
    form = {
        (coding["code"], next((n for n in FORMS if n in part), ""))
        for resource in found
        for part in (resource, *resource.get("component", []))
        for coding in part["code"]["coding"]
    }
    for metric in metrics:
        code = str(metric.mdc or metric.loinc)
        if metric.name == "battery":
            assert code in json.dumps(devices[0]["property"], default=str)
            continue
        wanted = "valueSampledData" if metric in sampled else "valueQuantity"
        if metric.name in ("blood_pressure", "average_bp"):
            wanted = "component"
        assert (code, wanted) in form, metric.name
    types = {c["code"] for each in measured for c in each["type"]["coding"]}
    assert {str(m.mdc or m.loinc) for m in (*single, *sides)} <= types


FORMS = ("valueQuantity", "valueSampledData", "component")


async def check_version(client: httpx.AsyncClient, resource: Json) -> None:
    """Of kinds that are made here only the version of now is there."""
    name, version = resource["resourceType"], resource.get("meta", {}).get("versionId")
    if name in ("Device", "Observation"):
        return
    here = f"/fhir/{name}/{resource['id']}/_history/"
    assert (await client.get(here + version)).json()["id"] == resource["id"]
    assert (await client.get(here + "0")).status_code == 404


async def test_a_device_says_what_it_is(ward: Ward) -> None:
    await fill(ward)
    async with ward.client() as client:
        (clip,) = await all_of(client, f"Device?identifier={CLIP}")
        (gateway,) = await all_of(client, f"Device?identifier={GATEWAY}")
        (metric,) = await all_of(client, f"DeviceMetric?source={clip['id']}&type=150456")
    assert clip["specialization"][0]["systemType"]["coding"][0]["code"] == "528388"
    properties = {p["type"]["coding"][0]["code"]: p for p in clip["property"]}
    assert properties.keys() == {"68220", "532354.0", "67996"}
    assert properties["532354.0"]["valueCode"][0]["coding"][0]["code"] == "N"  # it is regulated
    assert (clip["serialNumber"], clip["status"]) == ("S-1", "active")
    assert clip["parent"] == {"reference": f"Device/{gateway['id']}"}
    assert gateway["type"]["coding"][0]["code"] == "531981"
    assert metric["unit"]["coding"][0]["code"] == "%"
    assert {c["code"] for c in metric["type"]["coding"]} == {"2708-6", "59408-5", "150456"}
    assert metric["calibration"] == [{"state": "calibration-required"}]


async def test_a_waveform_is_exact_and_an_average_says_of_what(
    ward: Ward, validator: Validator
) -> None:
    await fill(ward)
    async with ward.client() as client:
        (ecg,) = await all_of(client, f"Observation?category={KIND}|waveform", validator)
        minutes = await all_of(
            client,
            f"Observation?category={KIND}|average-minute&code=2708-6&date=2026-03",
            validator,
        )
        (hour,) = await all_of(
            client, f"Observation?category={KIND}|average-hour&code=2708-6&date=2026-03", validator
        )
        plain = await all_of(client, "Observation?_count=500", validator)
        for part in (*minutes[0]["derivedFrom"], *hour["derivedFrom"]):
            assert (await client.get(f"/fhir/{part['reference']}")).status_code == 200
        mixed = await client.get(f"/fhir/Observation?category={KIND}|waveform,vital-signs")
        assert mixed.status_code == 400
    data = ecg["valueSampledData"]
    sampled = [data["origin"]["value"] + Decimal(t) * data["factor"] for t in data["data"].split()]
    assert sampled == [Decimal(7 + sample).scaleb(-3) for sample in SAMPLES]
    assert data["period"] == Decimal("7.69230769231")
    assert (data["lowerLimit"], data["upperLimit"]) == (Decimal("-32.761"), Decimal("32.774"))
    (minute,) = minutes
    assert minute["valueQuantity"]["value"] == 92
    assert len(minute["derivedFrom"]) == 5
    parts = [p["valueQuantity"]["value"] for p in minute["component"]]
    assert parts == [90, 94, 5]
    assert hour["derivedFrom"] == [{"reference": f"Observation/{minute['id']}"}]
    # Whoever pulls readings gets neither.
    assert not ids(plain) & {ecg["id"], minute["id"], hour["id"]}
    assert all("method" not in r and "valueSampledData" not in r for r in plain)


async def test_what_a_device_calls_invalid_is_in_no_average(
    ward: Ward, validator: Validator
) -> None:
    """Averages and $stats leave out the same: what is entered in error."""
    bad, later = int(Flag.INVALID), START + 10 * SECOND
    await ward.store_event(One("spo2", START, 97, device=CLIP))
    await ward.store_event(One("spo2", later, 12, device=CLIP, flags=bad))
    await ward.store_event(*cuff(START, 120, 80, device=CUFF))
    await ward.store_event(*cuff(later, 240, 20, device=CUFF, flags=bad))
    one_side = One("diastolic_bp", later + SECOND, 10, device=CUFF, flags=bad)
    await ward.store_event(One("systolic_bp", later + SECOND, 124, device=CUFF), one_side)
    await ward.store_event(One("pulse_rate_oximeter", later, 300, device=CLIP, flags=bad))
    while await ward.store.refresh_rollups(limit=1000):
        pass
    async with ward.client() as client:
        read = await all_of(client, "Observation?_count=50", validator)
        minutes = await all_of(client, f"Observation?category={KIND}|average-minute", validator)
        hours = await all_of(client, f"Observation?category={KIND}|average-hour", validator)
        stats = await client.get(
            f"/fhir/Observation/$stats?subject=Patient/{BERT}&code=2708-6&system=http://loinc.org"
            "&statistic=average&statistic=count&period=2026-03-01/2026-03-30"
        )
    assert stats.status_code == 200
    (told,) = [p["resource"] for p in stats.json()["parameter"]]
    assert [part["valueQuantity"]["value"] for part in told["component"]] == [97, 1]
    for width in (minutes, hours):
        pressure, oximetry = sorted(width, key=lambda r: "valueQuantity" in r)
        assert [p["valueQuantity"]["value"] for p in pressure["component"]] == [122, 80]
        assert oximetry["valueQuantity"]["value"] == 97
    wrong = {f"Observation/{each['id']}" for each in read if each["status"] == "entered-in-error"}
    assert len(wrong) == 3
    made_of = {part["reference"] for each in minutes for part in each["derivedFrom"]}
    assert made_of == {f"Observation/{each['id']}" for each in read} - wrong


async def test_alarms_and_losses_are_issues_and_flags(ward: Ward) -> None:
    await fill(ward)
    async with ward.client() as client:
        issues = await all_of(client, "DetectedIssue")
        flags = {each["id"]: each for each in await all_of(client, "Flag")}
    assert ids(issues) == flags.keys()
    by_code = {each["code"]["coding"][0]["code"]: each for each in issues}
    alarm, gap = by_code["alarm"], by_code["gap"]
    assert (alarm["severity"], alarm["status"]) == ("high", "final")
    assert len([r for r in alarm["implicated"] if r["reference"].startswith("Observation/")]) == 3
    assert alarm["patient"] == {"reference": f"Patient/{BERT}"}
    assert "link-lost" in gap["code"]["text"]
    links = [each for each in issues if each["code"]["coding"][0]["code"] == "link"]
    states = {("end" in each["identifiedPeriod"], flags[each["id"]]["status"]) for each in links}
    assert states == {(True, "inactive"), (False, "active")}


async def test_provenances_lead_from_observations_and_back(ward: Ward) -> None:
    await fill(ward)
    many = [One("heart_rate", START + n * SECOND, 60, device=CUFF) for n in range(TARGETS_MOST + 1)]
    await ward.store_each(many)
    async with ward.client() as client:
        readings = await all_of(client, "Observation?_count=500")
        whole = {each["id"]: each for each in await all_of(client, "Provenance?_count=1")}
        for resource in readings[-9:]:
            (found,) = await all_of(client, f"Provenance?target=Observation/{resource['id']}")
            assert found == whole[found["id"]]
        await check_included(client, whole)
        (large,) = [each for each in whole.values() if "extension" in each]
        assert len(large["target"]) == TARGETS_MOST
        device = (await all_of(client, f"Device?identifier={CLIP}"))[0]["id"]
        moved = await ward.store.assignments(device_id=type(ANNA)(device))
        await ward.store.unassign(moved[0].assignment_id, valid_to=START + 3 * SECOND)
        await ward.store.assign(type(ANNA)(device), ANNA, user=None, valid_from=START + 3 * SECOND)
        after = await all_of(client, f"Provenance?patient={ANNA}")
    targets = {t["reference"] for each in whole.values() for t in each["target"]}
    # All but the one that its Provenance has no room for.
    assert len(ids(readings)) - len(targets) == 1
    assert {each["activity"]["coding"][0]["code"] for each in whole.values()} == {"CREATE"}
    new = [each for each in after if each["id"] not in whole]
    assert [each["activity"]["coding"][0]["code"] for each in new] == ["UPDATE"]
    assert all("transmitter" not in json.dumps(each["agent"]) for each in new)


async def test_pages_of_provenances_hold_what_is_asked_for(ward: Ward) -> None:
    """Also where one commit is of several patients; named ones have pages, too."""
    await fill(ward)
    for place in range(3):
        both = [One("heart_rate", START + place * SECOND, 60, device=d) for d in (CUFF, CLIP)]
        await ward.store_each(both)
    async with ward.client() as client:
        whole = [each["id"] for each in await all_of(client, "Provenance")]
        assert len(whole) == len(set(whole)) > 6
        names = ",".join(whole)
        targets = ",".join(
            each["target"][0]["reference"] for each in await all_of(client, "Provenance")
        )
        for search in ("", f"&_id={names}", f"&target={targets}"):
            for count in (1, 2, 5):
                pages = await sizes(client, f"Provenance?_count={count}{search}")
                assert pages == [count] * (len(whole) // count) + (
                    [len(whole) % count] if len(whole) % count else []
                ), (search, count)
        (last,) = await all_of(client, f"Provenance?_id={whole[-1]}")
        target = last["target"][0]["reference"]
        for name in ("recorded", "_lastUpdated"):
            for prefix, number in (("lt", 0), ("eq", 1), ("gt", 0)):
                url = f"Provenance?target={target}&{name}={prefix}{last['recorded']}"
                assert len(await all_of(client, url)) == number, url


async def sizes(client: httpx.AsyncClient, search: str) -> list[int]:
    """Entries of each page."""
    found: list[int] = []
    url: str | None = f"/fhir/{search}"
    while url is not None:
        page = (await client.get(url)).json()
        found.append(len(page.get("entry", [])))
        url = next((each["url"] for each in page["link"] if each["relation"] == "next"), None)
    return found


async def test_cursors_are_sealed(ward: Ward) -> None:
    """Nobody reads them, makes them, alters them, or takes them to another search."""
    await fill(ward)
    searches = [*KINDS, *(f"Observation?category={KIND}|{kind}" for kind in STREAMS[1:])]
    searches += ["Device?type=531981,65573,706689003", f"Patient/{BERT}/$everything"]
    async with ward.client() as client:
        taken = {}
        for search in searches:
            joint = "&" if "?" in search else "?"
            answer = (await client.get(f"/fhir/{search}{joint}_count=1")).json()
            links = {each["relation"]: each["url"] for each in answer["link"]}
            if "next" not in links:
                continue
            taken[search] = links["next"]
            url, _, cursor = links["next"].partition("_cursor=")
            again = [(await client.get(f"/fhir/{search}{joint}_count=1")).json() for _ in range(2)]
            assert len({page["link"][1]["url"] for page in again}) == 2, search
            other = "A" if cursor[20] != "A" else "B"
            for wrong in (cursor[:20] + other + cursor[21:], cursor[:-2], "AAAA", "bXgx"):
                refused = await client.get(f"{url}_cursor={wrong}")
                assert refused.status_code == 400, (search, wrong)
            stray = await client.get(f"/fhir/Flag?patient={BERT}&_cursor={cursor}")
            assert stray.status_code == 400, search
        assert taken.keys() >= {*KINDS, f"Patient/{BERT}/$everything"}


async def check_included(client: httpx.AsyncClient, whole: dict[str, Json]) -> None:
    """``_revinclude=Provenance:target`` (US Core): each of a page's, once, and no other's."""
    search = f"Observation?patient={BERT}&_count=4&_revinclude=Provenance:target"
    entries = (await client.get(f"/fhir/{search}")).json()["entry"]
    matches = {e["resource"]["id"] for e in entries if e["search"]["mode"] == "match"}
    included = [e["resource"] for e in entries if e["search"]["mode"] == "include"]
    assert [json.loads(json.dumps(each), parse_float=Decimal) for each in included] == [
        whole[each["id"]] for each in included
    ]
    targets = [{t["reference"].partition("/")[2] for t in each["target"]} for each in included]
    assert all(each & matches for each in targets)
    assert len(matches) == 4
    assert matches <= set().union(*targets)


FILTERS: list[tuple[str, str, str]] = [
    ("Device", "device-name", "clip"), ("Device", "manufacturer", "ACME"),
    ("Device", "model", "Clip"),
    ("Device", "status", "active"), ("Device", "type", "65573"), ("Device", "patient", str(BERT)),
    ("Device", "identifier", CLIP), ("Device", "_id", "{id}"),
    ("Device", "_lastUpdated", "gt{changed}"), ("DeviceMetric", "_lastUpdated", "gt{changed}"),
    ("DetectedIssue", "_lastUpdated", "gt{changed}"), ("Flag", "_lastUpdated", "gt{changed}"),
    ("DetectedIssue", "status", "preliminary"), ("Flag", "status", "active"),
    ("Flag", "author", "Device/{clip}"),
    ("DeviceMetric", "type", "150456"), ("DeviceMetric", "source", "Device/{clip}"),
    ("DeviceMetric", "_id", "{id}"), ("DeviceMetric", "identifier", "{id}"),
    ("Provenance", "patient", str(BERT)), ("Provenance", "agent", "Device/{clip}"),
    ("Provenance", "target", "{target}"), ("Provenance", "_id", "{id}"),
    ("Provenance", "recorded", "lt{recorded}"), ("Provenance", "_lastUpdated", "lt{recorded}"),
    ("DetectedIssue", "patient", str(BERT)), ("DetectedIssue", "code", "gap"),
    ("DetectedIssue", "implicated", "Device/{clip}"), ("DetectedIssue", "_id", "{id}"),
    ("DetectedIssue", "identifier", "{id}"), ("DetectedIssue", "identified", "ge2026-03-11"),
    ("Flag", "patient", str(BERT)), ("Flag", "subject", f"Patient/{BERT}"), ("Flag", "_id", "{id}"),
    ("Flag", "identifier", "{id}"), ("Flag", "date", "ge2026-03-11"),
]  # fmt: skip
ALL_OR_NONE = {("DeviceMetric", "category"): "measurement", ("DeviceMetric", "parent"): ""}


async def test_each_parameter_filters(ward: Ward) -> None:
    """What the statement declares of them: each finds some and not all."""
    await fill(ward)
    charge = StatusRow(0, us(START + SECOND), CUFF, "battery", {"percent": 70})
    await ward.store.ingest([BatchMaker()(Rec(next(ward.seqs)), statuses=[charge])])
    async with ward.client() as client:
        statement = (await client.get("/fhir/metadata")).json()["rest"][0]["resource"]
        declared = {
            each["type"]: {p["name"] for p in each["searchParam"]}
            for each in statement
            if each["type"] in ("DeviceMetric", "DetectedIssue", "Flag", "AuditEvent", "Device")
        }
        tried = {kind: {name for k, name, _ in FILTERS if k == kind} for kind in declared}
        tried["DeviceMetric"] |= {name for _, name in ALL_OR_NONE}
        # What resources that others wrote are found by, too: fhir_stored/test_declared.py
        for kind in ("Device", "DeviceMetric"):
            tried[kind] |= {"_profile", "_security", "_source", "_tag"}
        tried["Device"] |= {"location", "organization", "udi-carrier", "udi-di", "url"}
        tried["AuditEvent"] = set(AUDIT_PARAMETERS)  # test_audit.py
        assert declared == tried
        (clip,) = await all_of(client, f"Device?identifier={CLIP}")
        for kind, name, text in FILTERS:
            few = "Device?type=531981,65573,706689003" if kind == "Device" else kind
            everything = await all_of(client, few)
            last = everything[-1]
            target = last["target"][0]["reference"] if "target" in last else ""
            value = text.format(
                id=last["id"],
                clip=clip["id"],
                target=target,
                recorded=last.get("recorded", ""),
                changed=min(e["meta"]["lastUpdated"] for e in everything if "meta" in e),
            )
            found = await all_of(client, f"{kind}?{name}={value}")
            assert set() < ids(found) < ids(everything), (kind, name)
            if name in ("device-name", "manufacturer", "model"):
                assert ids(found) == {clip["id"]}, name
            nothing = await all_of(client, f"{kind}?{name}={_nobody(name)}")
            assert not nothing, (kind, name)
        for (kind, name), all_of_them in ALL_OR_NONE.items():
            none = await all_of(client, f"{kind}?{name}=setting")
            assert not none
            if all_of_them:
                found = await all_of(client, f"{kind}?{name}={all_of_them}")
                assert found


def _nobody(name: str) -> str:
    if name in ("target", "agent", "implicated", "source", "author"):
        return {"target": "Observation/nobody"}.get(name, f"Device/{ANNA}")
    return "lt2000" if name in ("recorded", "_lastUpdated", "identified", "date") else "nobody"


async def test_a_patients_token_sees_that_patient_alone(ward: Ward) -> None:
    await fill(ward)
    searches = [*KINDS, *(f"Observation?category={KIND}|{kind}" for kind in STREAMS)]
    async with ward.client() as client:
        everything = {s: await all_of(client, s) for s in searches}
    for patient, other in ((ANNA, BERT), (BERT, ANNA)):
        async with client_of(ward, "patient/*.rs", patient=patient) as client:
            for search, whole in everything.items():
                found = await all_of(client, search)
                assert str(other) not in json.dumps(found, default=str)
                assert ids(found) <= ids(whole)
                joint = "&" if "?" in search else "?"
                if search not in ("Device", "DeviceMetric"):
                    mine = [each for each in whole if str(patient) in json.dumps(each, default=str)
                            or patient.hex in each["id"]]  # fmt: skip
                    assert ids(found) == ids(mine), search
                    hidden = await all_of(client, f"{search}{joint}patient={other}")
                    assert not hidden
                for resource in whole:
                    url = f"/fhir/{resource['resourceType']}/{resource['id']}"
                    seen = (await client.get(url)).status_code == 200
                    assert seen == (resource["id"] in ids(found)), url
    async with client_of(
        ward, "patient/Observation.rs?category=vital-signs", patient=BERT
    ) as client:
        for kind in STREAMS:
            assert not await all_of(client, f"Observation?category={KIND}|{kind}")
