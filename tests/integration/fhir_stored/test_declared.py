"""What the CapabilityStatement declares: each search parameter of each type narrows.

One value a type of parameter, which nothing has: whoever ignores the parameter finds all there is.
That each also finds what has its value is asked in test_search.py, faces/test_fhir.py,
faces/test_fhir_own.py, faces/test_fhir_imaging.py and faces/test_audit.py.
"""

import json
from datetime import UTC, datetime, timedelta
from struct import pack
from uuid import uuid4

import httpx

from support.readings import BatchMaker, One, Rec, us, wire
from support.served_ward import ANNA, CLIP, SCALE, START, Ward
from support.stored_resources import found
from wardlight_cloud.fhir.capability import OWN_SEARCHES, search_parameters
from wardlight_cloud.fhir.observation_parameters import DECLARED
from wardlight_cloud.fhir.stored.kinds import STORED, SUBSCRIPTION
from wardlight_cloud.fhir.stored.parameter_table import SEARCH_PARAMETERS
from wardlight_cloud.fhir.subscriptions.owning import OWNER, owner
from wardlight_cloud.store.batch import GapRow, StatusRow, WaveformRow
from wardlight_cloud.store.resources import Conflict, Put, TextValue
from wardlight_shared.model import Flag
from wardlight_shared.records import SeriesKey

KIND = "urn:wardlight:observation-kind"
STREAMS = ("waveform", "average-minute", "average-hour")
NOTHING = {
    "token": "urn:none|none", "date": "lt1900-01-01", "string": "zzqq", "uri": "urn:none",
    "quantity": "gt1000000000", "composite": "urn:none|none$gt1000000000", "number": "gt1000000000",
}  # fmt: skip
# Images and the audit trail are not on this ward; their own tests hold all that is declared.
ELSEWHERE = {"ImagingStudy", "AuditEvent"}


async def fill(ward: Ward) -> None:
    """Something of every kind."""
    now = datetime.now(UTC).replace(microsecond=0)
    alarmed = now - timedelta(hours=1)
    await ward.store_event(One("spo2", START, 91, device=CLIP))
    await ward.store_event(One("spo2", alarmed, 80, flags=int(Flag.DEVICE_ALARM), device=CLIP))
    statuses = [StatusRow(0, us(START), SCALE, "link", {"state": "bond-lost"})]
    gap = GapRow(0, us(START), us(START + timedelta(seconds=30)), CLIP, "link-lost", 30, ())
    block = WaveformRow(0, 0, us(START), 130_000, -3, 7, pack("<4h", 0, 1, -1, 5), 20)
    key = SeriesKey(CLIP, wire("ecg_lead_i"), "mV", None, None, None)
    batch = BatchMaker()(
        Rec(next(ward.seqs)), statuses=statuses, gaps=[gap], waveforms=[block], more_series=(key,)
    )
    await ward.store.ingest([batch])
    while await ward.store.refresh_rollups(limit=1000):
        pass
    mine = (TextValue("_tag", owner("writer", None, None), OWNER),)
    puts = [
        Put(kind, "p-1", b"{}", (ANNA,), mine if kind == SUBSCRIPTION else ())
        for kind in STORED
        if kind != "Patient"
    ]
    assert not isinstance(await ward.store.write_resources(puts), Conflict)


def nothing(kind: str, name: str, form: str) -> str:
    if form != "reference":
        return NOTHING[form]
    parameter = SEARCH_PARAMETERS.get(kind, {}).get(name)
    is_of_any = parameter is not None and parameter.targets is None  # such a one names its type
    return f"Task/{uuid4()}" if is_of_any else str(uuid4())


async def test_no_declared_parameter_is_ignored(client: httpx.AsyncClient, ward: Ward) -> None:
    await fill(ward)
    statement = (await client.get("/fhir/metadata")).json()["rest"][0]["resource"]
    declared = {
        each["type"]: {p["name"]: p["type"] for p in each["searchParam"]} for each in statement
    }
    assert declared == search_parameters()
    assert declared.keys() == {*STORED, *OWN_SEARCHES}
    for kind in declared.keys() - ELSEWHERE:
        assert await found(client, kind), kind
        for name, form in declared[kind].items():
            assert await found(client, f"{kind}?{name}={nothing(kind, name, form)}") == [], (
                kind,
                name,
            )


async def test_each_way_of_reading_that_is_declared_works(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    """Of the first resource of each type, of what is made here and of what was written."""
    await fill(ward)
    statement = (await client.get("/fhir/metadata")).json()["rest"][0]["resource"]
    declared = {each["type"]: {i["code"] for i in each["interaction"]} for each in statement}
    tried = 0
    for kind in declared.keys() - ELSEWHERE - {SUBSCRIPTION}:  # it is its owner's alone
        for one in await found(client, kind):
            answer = await client.get(f"/fhir/{kind}/{one}")
            assert answer.status_code == 200, (kind, one)
            version = answer.json().get("meta", {}).get("versionId", "")
            ways = {
                "vread": f"{kind}/{one}/_history/{version}",
                "history-instance": f"{kind}/{one}/_history",
                "history-type": f"{kind}/_history",
            }
            for way in declared[kind] & ways.keys():
                told = await client.get(f"/fhir/{ways[way]}")
                assert told.status_code == 200, (kind, one, way)
                if way == "vread":
                    assert told.json() == answer.json(), (kind, one)
                    tried += 1
    assert tried > len(declared)


async def test_what_is_not_declared_follows_handling(client: httpx.AsyncClient, ward: Ward) -> None:
    await fill(ward)
    for kind in search_parameters().keys() - ELSEWHERE:
        whole = await found(client, kind)
        assert await found(client, f"{kind}?colour=green") == whole, kind
        strict = {"Prefer": "handling=strict"}
        answer = await client.get(f"/fhir/{kind}?colour=green", headers=strict)
        assert answer.status_code == 400, kind
        assert answer.json()["issue"][0]["expression"] == ["http.colour"], kind


async def test_streams_ignore_no_parameter_of_observations(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    """Each narrows, or is refused: an answer without it would show what was not asked for."""
    await fill(ward)
    for kind in STREAMS:
        search = f"Observation?category={KIND}|{kind}"
        assert await found(client, search), kind
        for name, form in DECLARED.items():
            if name == "category":
                continue
            answer = await client.get(f"/fhir/{search}&{name}={nothing('Observation', name, form)}")
            assert answer.status_code in (200, 400), name
            assert "entry" not in answer.json(), (kind, name)


async def test_streams_are_found_by_id_status_and_time(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    await fill(ward)
    for kind in STREAMS:
        search = f"Observation?category={KIND}|{kind}"
        whole = await found(client, search)
        for one in whole:
            assert await found(client, f"{search}&_id={one},nobody") == [one]
        assert await found(client, f"{search}&_id={','.join(whole)}") == whole
        assert await found(client, f"{search}&status=final,preliminary") == whole
        final = await found(client, f"{search}&status=final")
        early = await found(
            client, f"{search}&status=http://hl7.org/fhir/observation-status|preliminary"
        )
        assert sorted(final + early) == sorted(whole)
        for one in whole:
            read = (await client.get(f"/fhir/Observation/{one}")).json()
            assert (one in final) == (read["status"] == "final")
    waves = f"Observation?category={KIND}|waveform"
    (one,) = await found(client, waves)
    updated = (await client.get(f"/fhir/Observation/{one}")).json()["meta"]["lastUpdated"]
    assert await found(client, f"{waves}&_lastUpdated=ge{updated}") == [one]
    assert await found(client, f"{waves}&_lastUpdated=gt{updated}") == []
    averages = await client.get(
        f"/fhir/Observation?category={KIND}|average-hour&_lastUpdated=gt2000"
    )
    assert averages.status_code == 400


async def test_changes_of_what_devices_told_are_polled(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    """``_lastUpdated`` is when it was told here: a loss that is told late is new to who polls."""
    await fill(ward)
    for kind in ("Flag", "DetectedIssue", "Device", "DeviceMetric"):
        whole = await found(client, kind)
        answer = (await client.get(f"/fhir/{kind}?_count=100")).json()
        updated = {
            e["resource"]["id"]: e["resource"]["meta"]["lastUpdated"] for e in answer["entry"]
        }
        assert updated.keys() == set(whole)
        for edge in set(updated.values()):
            later = set(await found(client, f"{kind}?_lastUpdated=gt{edge}"))
            until = set(await found(client, f"{kind}?_lastUpdated=le{edge}"))
            assert later == {one for one, at in updated.items() if at > edge}, kind
            assert until == set(whole) - later, kind
            both = set(await found(client, f"{kind}?_lastUpdated=ge{edge}&_lastUpdated=le{edge}"))
            assert both == {one for one, at in updated.items() if at == edge}, kind
    last = max(updated.values())
    gap = GapRow(0, us(START), us(START + timedelta(seconds=9)), CLIP, "late", 3, ())
    await ward.store.ingest([BatchMaker()(Rec(next(ward.seqs)), gaps=[gap])])
    for kind in ("Flag", "DetectedIssue"):
        (one,) = await found(client, f"{kind}?_lastUpdated=gt{last}")
        assert one.startswith("gap-")


async def test_several_ids_find_several(client: httpx.AsyncClient, ward: Ward) -> None:
    await fill(ward)
    for kind in ("Flag", "DetectedIssue", "DeviceMetric"):
        whole = await found(client, kind)
        assert len(whole) > 1
        assert set(await found(client, f"{kind}?_id={','.join(whole)},nobody")) == set(whole)
        made = set(whole) - {"p-1"}
        assert set(await found(client, f"{kind}?identifier={','.join(whole)}")) == made
        assert await found(client, f"{kind}?_id={whole[0]}&identifier={whole[1]}") == []
    for status in ("active", "inactive"):
        for one in await found(client, f"Flag?status={status}"):
            assert (await client.get(f"/fhir/Flag/{one}")).json()["status"] == status
    counted = [len(await found(client, f"Flag?status={each}")) for each in ("active", "inactive")]
    assert sum(counted) == len(await found(client, "Flag"))
    assert min(counted) > 0


async def test_an_event_of_two_patients_is_an_event_of_each(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    """A device that two people use: what is lost concerns both, and neither reads the other's."""
    await fill(ward)
    since = datetime(2000, 1, 1, tzinfo=UTC)
    other = uuid4()
    await ward.add_patient(other, "Other", "Olga", "O-1")
    shared = await ward.store.put_device("ble:0000000000EE")
    for user, patient in ((1, ANNA), (2, other)):
        await ward.store.assign(shared, patient, user=user, valid_from=since)
    gap = GapRow(0, us(START), us(START + timedelta(seconds=9)), "ble:0000000000EE", "late", 3, ())
    lost = StatusRow(0, us(START), "ble:0000000000EE", "link", {"state": "lost"})
    batch = BatchMaker()(Rec(next(ward.seqs)), gaps=[gap], statuses=[lost])
    await ward.store.ingest([batch])
    flags = await found(client, f"Flag?author=Device/{shared}")
    assert len(flags) == len(set(flags)) == 4
    for one in flags:
        read = json.loads((await client.get(f"/fhir/Flag/{one}")).text)
        assert one in await found(client, f"Flag?subject={read['subject']['reference']}")
