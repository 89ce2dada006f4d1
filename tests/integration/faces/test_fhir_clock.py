"""Coincident timestamps (PHD guide): what a device's clock said, where its gateway compared it."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from support.fhir_definitions.package import require_definitions
from support.fhir_definitions.validator import Validator
from support.readings import BatchMaker, One, Rec
from support.served_ward import ANNA, BERT, CLIP, GATEWAY, START, Ward
from support.stored_resources import found, observation, writing_client
from wardlight_cloud.fhir.observation_texts import CLOCK_EXTENSION, TIME_EXTENSION
from wardlight_cloud.fhir.own.clock import PROFILE
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.authorization import Grant, NewTokens
from wardlight_cloud.store.batch import Detail
from wardlight_shared.records import TimeMethod
from wardlight_shared.timestamps import ClockQuality

Json = Any
HOUR = timedelta(hours=1)


async def store(
    ward: Ward, told: str | None, at: int = 0, method: TimeMethod = TimeMethod.DEVICE_CLOCK
) -> None:
    """A saturation with what its device said of the time, by a gateway one hour east."""
    detail = None if told is None else Detail(0, None, None, told, None, ())
    reading = replace(One("spo2", START + at * HOUR, 97, device=CLIP), detail=detail)
    maker = BatchMaker(clock=int(ClockQuality.NTP) | int(method) << 4, offset_min=60)
    await ward.store.ingest([maker(Rec(next(ward.seqs), (reading,)))])


def references(resource: Json) -> list[str]:
    return [
        each["valueReference"]["reference"]
        for each in resource["extension"]
        if each["url"] == CLOCK_EXTENSION
    ]


async def readings(client: httpx.AsyncClient) -> list[Json]:
    answer = (await client.get("/fhir/Observation?_sort=date")).json()
    return [each["resource"] for each in answer["entry"]]


async def test_two_clocks_at_one_instant(ward: Ward) -> None:
    """Without an offset the device is taken to mean the gateway's, which added it."""
    await store(ward, "2026-03-10T11:58:00")
    await store(ward, "2026-03-10T08:28:00-03:30", 1)
    async with ward.client() as client:
        shown = []
        for reading in await readings(client):
            (reference,) = references(reading)
            answer = await client.get(f"/fhir/{reference}")
            assert answer.headers["etag"] == f'W/"{reading["meta"]["versionId"]}"'
            clock = answer.json()
            assert reference == f"Observation/{clock['id']}"
            assert clock["meta"]["profile"] == [PROFILE]
            assert clock["subject"] == {"reference": f"Device/{ward.devices[CLIP]}"}
            assert clock["device"] == {"reference": f"Device/gateway-{GATEWAY}"}
            assert datetime.fromisoformat(clock["effectiveDateTime"]) == datetime.fromisoformat(
                reading["effectiveDateTime"]
            )
            version = f"/fhir/{reference}/_history/{reading['meta']['versionId']}"
            assert (await client.get(version)).json() == clock
            (code,) = clock["code"]["coding"]
            shown.append((code["code"], clock["effectiveDateTime"], clock["valueDateTime"]))
    assert shown == [
        ("67975", "2026-03-10T13:00:00+01:00", "2026-03-10T11:58:00+01:00"),
        ("68225", "2026-03-10T14:00:00+01:00", "2026-03-10T08:28:00-03:30"),
    ]


@pytest.mark.parametrize(
    ("told", "method"),
    [
        (None, TimeMethod.DEVICE_CLOCK),
        ("0000-00-00T00:00:00", TimeMethod.DEVICE_CLOCK),
        ("2026-03-10", TimeMethod.DEVICE_CLOCK),
        ("2026-03-10T11:58:00+23:00", TimeMethod.DEVICE_CLOCK),
        ("2026-03-10T11:58:00", TimeMethod.DEVICE_ASSUMED),
        ("2026-03-10T11:58:00", TimeMethod.RECEIPT),
    ],
)
async def test_what_was_not_compared_is_not_told(
    ward: Ward, told: str | None, method: TimeMethod
) -> None:
    await store(ward, told, method=method)
    async with ward.client() as client:
        (reading,) = await readings(client)
        assert references(reading) == []
        answer = await client.get(f"/fhir/Observation/clock-{reading['id']}")
        assert answer.status_code == 404


async def test_who_may_not_read_the_reading_reads_no_clock(ward: Ward) -> None:
    await store(ward, "2026-03-10T11:58:00")
    async with ward.client() as client:
        (reading,) = await readings(client)
        (reference,) = references(reading)
        assert await found(client, "Observation") == [reading["id"]]  # no search lists it
    for patient, status in ((ANNA, 404), (BERT, 200)):
        token = new_token()
        await ward.store.put_client("app", token_hash(new_token()), [])
        grant = Grant("app", ("patient/*.rs",), patient=patient)
        await ward.store.grant(grant, NewTokens(token_hash(token), 600))
        async with ward.client(token=token) as client:
            assert (await client.get(f"/fhir/{reference}")).status_code == status
    async with writing_client(ward) as client:
        taken = observation(BERT, id="clock-x")
        answer = await client.put("/fhir/Observation/clock-x", json=taken)
        assert answer.status_code == 405


async def test_both_conform(ward: Ward) -> None:
    own = frozenset({TIME_EXTENSION, CLOCK_EXTENSION})
    validator = Validator(require_definitions(), own_extensions=own)
    await store(ward, "2026-03-10T11:58:00")
    async with ward.client() as client:
        (reading,) = await readings(client)
        clock = (await client.get(f"/fhir/{references(reading)[0]}")).json()
    for resource in (reading, clock):
        assert not validator.issues(json.loads(json.dumps(resource)))
