"""Two gateways hear one sensor: what one has sent as a reading, the other does not write again."""

from typing import Any

import httpx
import pytest

from support.readings import BatchMaker, One, Rec
from support.served_ward import ANNA, BERT, CLIP, CUFF, MINUTE, START, Ward
from support.stored_resources import created, found, observation
from wardlight_cloud.fhir.phd_identifier import SYSTEM
from wardlight_cloud.store.batch import Detail, StatusRow

TOLD = "2026-03-10T13:00:02"  # an hour ahead of UTC, and two seconds wrong
SECONDS = 826_462_802


def pressure(minute: int, told: str) -> tuple[One, One]:
    """Both sides at a minute; the cuff says another time."""
    at = START + minute * MINUTE
    detail = Detail(0, None, None, told, None, ())
    return (
        One("systolic_bp", at, 120 + minute, device=CUFF, detail=detail),
        One("diastolic_bp", at, 80, device=CUFF),
    )


def named(patient: object = ANNA, kind: int = 150020, seconds: int = SECONDS) -> str:
    return f"{CUFF.removeprefix('ble:')}-{patient}-{kind}-{seconds}"


@pytest.fixture
async def reading(client: httpx.AsyncClient, ward: Ward) -> dict[str, Any]:
    """A blood pressure of a cuff that tells the time, beside others."""
    await ward.store_event(*pressure(0, TOLD))
    await ward.store_event(*pressure(1, "2026-03-10T13:01:02"))
    await ward.store_event(One("spo2", START, 97, device=CLIP))
    (first, _) = await found(client, f"Observation?patient={ANNA}&_sort=date")
    body: dict[str, Any] = (await client.get(f"/fhir/Observation/{first}")).json()
    return body


async def test_a_reading_has_the_identifier_of_its_measurement(
    client: httpx.AsyncClient, reading: dict[str, Any]
) -> None:
    own, phd = reading["identifier"]
    assert own == {"system": "urn:wardlight:observation", "value": reading["id"]}
    assert phd == {"system": SYSTEM, "value": named()}
    (told_no_time,) = await found(client, f"Observation?patient={BERT}")
    body = (await client.get(f"/fhir/Observation/{told_no_time}")).json()
    assert [each["system"] for each in body["identifier"]] == ["urn:wardlight:observation"]


async def test_it_is_found_by_it(client: httpx.AsyncClient, reading: dict[str, Any]) -> None:
    other = await created(client, observation(identifier=[{"system": SYSTEM, "value": named()}]))
    for text in (
        f"{SYSTEM}|{named()}", named(), f"{SYSTEM}|{named('A-1-urn:test:mrn')}",
        f"urn:x|1,{SYSTEM}|{named()}",
    ):  # fmt: skip
        ids = await found(client, f"Observation?identifier={text}")
        assert reading["id"] in ids, text
        assert (other["id"] in ids) is (named() in text), text
    for text in (
        named(BERT), named(kind=150456), named(seconds=SECONDS + 1), f"urn:other|{named()}",
        named("B-1-urn:test:mrn"), named().replace("0A-", "0B-"),
    ):  # fmt: skip
        assert await found(client, f"Observation?identifier={text}") == [], text
    assert await found(client, f"Observation?identifier={named()}&patient={BERT}") == []
    left = await found(client, f"Observation?identifier:not={named()}")
    assert len(left) == 2 and reading["id"] not in left


async def test_another_gateway_may_name_the_sensor_by_its_system_id(
    client: httpx.AsyncClient, ward: Ward, reading: dict[str, Any]
) -> None:
    by_id = named().replace(CUFF.removeprefix("ble:"), "00A037009B023649")
    assert await found(client, f"Observation?identifier={by_id}") == []
    info = StatusRow(0, 1_700_000_000_000_000, CUFF, "info", {"system_id": "00A037009B023649"})
    await ward.store.ingest([BatchMaker()(Rec(next(ward.seqs)), statuses=[info])])
    assert await found(client, f"Observation?identifier={by_id}") == [reading["id"]]


async def test_the_clock_of_the_sensor_may_be_years_off(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    await ward.store_event(*pressure(3, "2016-01-01T00:05:00"))
    await ward.store_event(*pressure(4, "2000-01-01T00:05:00"))
    (first, second) = await found(client, f"Observation?patient={ANNA}&_sort=date")
    name = named(seconds=504_921_900)
    assert await found(client, f"Observation?identifier={name}") == [first]
    never_set = (await client.get(f"/fhir/Observation/{second}")).json()
    assert len(never_set["identifier"]) == 1, "it will say the same time again"
    assert await found(client, f"Observation?identifier={named(seconds=300)}") == []


async def test_another_gateway_writes_no_second_one(
    client: httpx.AsyncClient, reading: dict[str, Any]
) -> None:
    mine = observation(identifier=[{"system": SYSTEM, "value": named()}])
    condition = f"identifier={SYSTEM}|{named()}"
    bundle = {
        "resourceType": "Bundle", "type": "transaction",
        "entry": [{
            "resource": mine,
            "request": {"method": "POST", "url": "Observation", "ifNoneExist": condition},
        }],
    }  # fmt: skip
    answer = await client.post("/fhir/Observation", json=mine, headers={"If-None-Exist": condition})
    assert (answer.status_code, answer.json()["id"]) == (200, reading["id"])
    entry = (await client.post("/fhir", json=bundle)).json()["entry"][0]["response"]
    assert entry["status"] == "200 OK" and reading["id"] in entry["location"]
    later = named(seconds=SECONDS + 600)
    condition = f"identifier={SYSTEM}|{later}"
    mine = observation(identifier=[{"system": SYSTEM, "value": later}])
    for status in (201, 200):
        wanted = {"If-None-Exist": condition}
        answer = await client.post("/fhir/Observation", json=mine, headers=wanted)
        assert answer.status_code == status
