"""Device bytes to FHIR and dashboard, end to end, on recorded physiology.

The inputs are what the emulated devices say they sent (their own ledger) and the capture made from
the recorded glucose; the outputs are what an EHR gets.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from support.browser import open_browser
from support.demo import RunningDemo
from support.peers import require_peer
from support.plain_http import PLAIN
from support.waiting import wait_until_sync

LOINC = "http://loinc.org"
WITHIN_S = 240  # a minute on a quiet machine; this one may have other things to do


def pages(client: httpx.Client, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    """All resources of a search, following next links."""
    answer = client.get("/Observation", params=query)
    while True:
        assert answer.status_code == 200, answer.text
        bundle = json.loads(answer.text, parse_float=Decimal)
        for entry in bundle.get("entry", []):
            yield entry["resource"]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            return
        answer = client.get(following[0])


def loinc(resource: dict[str, Any]) -> set[str]:
    return {c["code"] for c in resource["code"]["coding"] if c["system"] == LOINC}


def patients(client: httpx.Client) -> dict[str, str]:
    """Record number -> patient id."""
    bundle = client.get("/Patient").json()
    return {e["resource"]["identifier"][0]["value"]: e["resource"]["id"] for e in bundle["entry"]}


def test_one_patient_s_vital_signs_of_every_kind_arrive(demo: RunningDemo) -> None:
    """One search of an EHR: blood pressure, SpO2, heart rate, temperature, weight."""
    require_peer("dbus-daemon")
    with demo.client() as client:
        patient = patients(client)["WARD-2"]
        wanted = {"85354-9", "2708-6", "59408-5", "8867-4", "8310-5", "29463-7"}

        def found() -> dict[str, dict[str, Any]]:
            query = {"patient": patient, "category": "vital-signs", "_count": "500"}
            return {code: resource for resource in pages(client, query) for code in loinc(resource)}

        wait_until_sync(lambda: wanted <= found().keys(), WITHIN_S, "all kinds of vital signs")
        resources = found()
    for code in wanted - {"85354-9"}:
        quantity = resources[code]["valueQuantity"]
        assert quantity["system"] == "http://unitsofmeasure.org"
    components = {next(iter(loinc(c))): c for c in resources["85354-9"]["component"]}
    assert {"8480-6", "8462-4"} <= components.keys()
    assert components["8480-6"]["valueQuantity"]["code"] == "mm[Hg]"
    for resource in resources.values():
        assert resource["subject"]["reference"] == f"Patient/{patient}"
        assert resource["device"]["reference"].startswith("Device/")
        assert resource["effectiveDateTime"][-6] in "+-"


def test_the_token_reaches_every_kind_that_is_declared(demo: RunningDemo) -> None:
    with demo.client() as client:
        (rest,) = client.get("/metadata").json()["rest"]
        kinds = {
            each["type"]
            for each in rest["resource"]
            if {"code": "search-type"} in each["interaction"]
        }
        assert {"Patient", "Observation", "AuditEvent", "Subscription"} <= kinds
        answers = {kind: client.get(f"/{kind}", params={"_count": "1"}) for kind in sorted(kinds)}
    assert {kind: each.status_code for kind, each in answers.items()} == dict.fromkeys(kinds, 200)


def test_heart_rate_of_the_recorded_ecg_arrives_unchanged(demo: RunningDemo) -> None:
    """The strap sends beats found in a recorded ECG; FHIR has the same values, in order."""
    require_peer("dbus-daemon")
    ledger = demo.data_dir / "devices" / "bluetooth.jsonl"

    def sent() -> list[Decimal]:
        entries = [json.loads(line) for line in ledger.read_text().splitlines()]
        return [
            Decimal(e["values"]["heart_rate"])
            for e in entries
            if e.get("delivered") and "heart_rate" in e.get("values", {})
        ]

    with demo.client() as client:
        owner = patients(client)["WARD-2"]
        live = httpx.Client(
            base_url=demo.facts["http"], headers=client.headers, timeout=180, verify=PLAIN
        )
        # Somebody watches: the gateway sends 1 s blocks instead of 60 s ones.
        with live, live.stream("GET", "/api/v1/live", params={"patient": owner}):
            query = {"patient": owner, "code": f"{LOINC}|8867-4", "_sort": "date", "_count": "200"}

            def received() -> list[Decimal]:
                return [
                    resource["valueQuantity"]["value"]
                    for resource in pages(client, query)
                    if any(c["code"] == "147842" for c in resource["code"]["coding"])
                ]

            wait_until_sync(lambda: len(received()) >= 10, 90, "10 heart rates")
            values = received()
            assert [Decimal(value) for value in values] == sent()[: len(values)]


def test_recorded_glucose_is_found_whole_with_its_gaps(demo: RunningDemo) -> None:
    """Every reading of one person's sensor, count, value and wall clock."""
    capture = demo.data_dir / "devices" / "glucose.jsonl"
    if not capture.exists():
        pytest.skip("the wheel with recorded glucose is out of reach")
    lines = [json.loads(line)["reading"] for line in capture.read_text().splitlines()]
    wanted = sorted((line["time"], Decimal(line["value"])) for line in lines)
    with demo.client() as client:
        owner = patients(client)["WARD-5"]
        query = {"patient": owner, "code": "99504-3", "_count": "500"}

        def found() -> list[tuple[str, Decimal]]:
            return sorted(
                (resource["effectiveDateTime"][:19], resource["valueQuantity"]["value"])
                for resource in pages(client, query)
            )

        wait_until_sync(lambda: len(found()) >= len(wanted), 120, f"{len(wanted)} glucose values")
        assert found() == wanted


@pytest.mark.browser
async def test_dashboard_moves_live_and_works_by_keyboard(demo: RunningDemo) -> None:
    require_peer("dbus-daemon")
    async with open_browser() as browser:
        page = await browser.new_page()
        await page.goto(demo.facts["http"])
        await page.keyboard.type(demo.facts["user"])
        await page.keyboard.press("Tab")
        await page.keyboard.type(demo.facts["password"])
        await page.keyboard.press("Enter")
        await page.wait_for_selector("table.list", timeout=30_000)
        names = await page.locator("tbody th a").all_inner_texts()
        assert len(names) >= 3
        await page.locator("tbody th a").nth(2).focus()
        await page.keyboard.press("Enter")
        pulse = '.tile[data-metric="pulse_rate_oximeter"]'
        await page.wait_for_selector(pulse, timeout=60_000)
        before = await page.get_attribute(pulse, "data-time")
        await page.wait_for_function(
            "([s, t]) => document.querySelector(s).dataset.time > t",
            arg=[pulse, before],
            timeout=60_000,
        )
        await page.wait_for_selector(".plot canvas", timeout=30_000)
        assert await page.locator("#connection").is_hidden()
