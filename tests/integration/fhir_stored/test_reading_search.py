"""Readings and written Observations by everything that R4 searches Observations by, and operations.

The same data in both sources: what a reading is found by, a written one with the same content is.
"""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import httpx
import pytest

from support.readings import One
from support.served_ward import ANNA, BERT, CLIP, CUFF, MINUTE, SCALE, START, Ward
from support.stored_resources import created, found, observation
from wardlight_cloud.app import create_app
from wardlight_cloud.fhir.operations import lastn
from wardlight_cloud.fhir.operations.statistics import STATISTICS, counted, statistic
from wardlight_cloud.store.postgres import by_time
from wardlight_shared.errors import StorageError
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
NAMES = ("fever", "warm", "pressure", "half", "lost", "wrong", "sugar", "pulse", "written", "panel")


def at(minutes: int) -> datetime:
    return START + minutes * MINUTE


def text(minutes: int) -> str:
    return at(minutes).isoformat().replace("+00:00", "Z")


async def fill(client: httpx.AsyncClient, ward: Ward) -> dict[str, str]:
    """Eight readings and two written Observations, a minute apart; their ids by name."""
    lost, none = (CODE_BY_ABSENT[each] for each in (Absent.NRES, Absent.NOT_MEASURED))
    for event in (
        (One("body_temperature", at(0), 380, -1, device=SCALE),),
        (One("body_temperature", at(1), 9950, -2, device=SCALE, unit="[degF]"),),
        (One("systolic_bp", at(2), 150, device=CUFF), One("diastolic_bp", at(2), 90, device=CUFF)),
        (One("systolic_bp", at(3), 0, absent=none, device=CUFF),
         One("mean_bp", at(3), 100, device=CUFF)),
        (One("body_weight", at(4), 0, absent=lost, device=SCALE),),
        (One("spo2", at(5), 95, flags=int(Flag.INVALID), device=CLIP),),
        (One("glucose_cgm", at(6), 54, -1, device=CLIP, unit="mmol/L"),),
        (One("pulse_rate_oximeter", at(7), 61, device=CLIP),),
    ):  # fmt: skip
        await ward.store_event(*event)
    ids = dict(zip(NAMES, await found(client, "Observation?_sort=date"), strict=False))
    written = observation(effectiveDateTime=text(8), status="amended")
    ids["written"] = (await created(client, written))["id"]
    components = [
        {"code": {"coding": [{"system": LOINC, "code": code}]},
         "valueQuantity": {"value": value, "system": UCUM, "code": "mm[Hg]"}}
        for code, value in (("8480-6", 120), ("8462-4", 115))
    ]  # fmt: skip
    panel = observation(BERT, effectiveDateTime=text(9), component=components)
    panel["code"] = {"coding": [{"system": LOINC, "code": "85354-9"}]}
    del panel["valueQuantity"]
    ids["panel"] = (await created(client, panel))["id"]
    return ids


def quantity(value: str, unit: str) -> str:
    return f"{value}|{UCUM}|{unit}"


SEARCHES = (
    (f"value-quantity={quantity('38', 'Cel')}", "fever warm"),
    (f"value-quantity={quantity('37', 'Cel')}", ""),
    (f"value-quantity={quantity('38.0', 'Cel')}", "fever"),
    (f"value-quantity={quantity('100.4', '[degF]')}", "fever"),
    (f"value-quantity={quantity('gt100.4', '[degF]')}", ""),
    (f"value-quantity={quantity('ge100.4', '[degF]')}", "fever"),
    (f"value-quantity={quantity('ge37.5', 'Cel')}", "fever warm"),
    (f"value-quantity={quantity('gt37.5', 'Cel')}", "fever"),
    (f"value-quantity={quantity('lt38', 'Cel')}", "warm"),
    (f"value-quantity={quantity('ap310', 'K')}", "fever warm"),
    ("value-quantity=gt70", "warm wrong written"),
    ("value-quantity=5.4||mmol/L", "sugar"),
    ("value-quantity=5||mmol/L", "sugar"),
    (f"value-quantity={quantity('5.40', 'mmol/L')}", "sugar"),
    (f"value-quantity={quantity('0.0054', 'mol/L')}", "sugar"),
    (f"value-quantity={quantity('gt1', 'mg/dL')}", ""),
    ("value-quantity=38|urn:other|Cel", ""),
    (f"value-quantity={quantity('60.5', '/min')},{quantity('72', '/min')}", "written"),
    (f"value-quantity={quantity('ne72', '/min')}", "pulse"),
    (f"value-quantity={quantity('sa61', '/min')}", "written"),
    (f"value-quantity={quantity('eb62', '/min')}", "pulse"),
    ("value-quantity:missing=true", "pressure half lost panel"),
    (f"component-value-quantity={quantity('gt110', 'mm[Hg]')}", "pressure panel"),
    (f"component-value-quantity={quantity('20', 'kPa')}", "pressure"),
    (f"component-value-quantity={quantity('13.33', 'kPa')}", "half"),
    ("component-value-quantity=lt100", "pressure"),
    (f"combo-value-quantity={quantity('gt110', 'mm[Hg]')},{quantity('38.0', 'Cel')}",
     "fever pressure panel"),
    ("code-value-quantity=8310-5$gt37.9", "fever warm"),
    (f"code-value-quantity=8310-5${quantity('gt37.9', 'Cel')}", "fever"),
    ("code-value-quantity=8867-4$gt70,105272-9$5.4", "sugar written"),
    ("component-code-value-quantity=8480-6$gt140", "pressure"),
    ("component-code-value-quantity=8462-4$gt110", "panel"),
    ("component-code-value-quantity=8480-6$gt140,8462-4$gt110", "pressure panel"),
    ("combo-code-value-quantity=8480-6$120,8867-4$72", "written panel"),
    ("component-code=8480-6&component-code=8462-4", "pressure half panel"),
    ("component-code=8478-0", "half"),
    ("component-code:not=8478-0&combo-code=85354-9", "pressure panel"),
    ("component-code=8480-6&component-value-quantity=lt100", "pressure"),
    ("component-code:missing=false", "pressure half panel"),
    ("code:not=8310-5,8867-4", "pressure half lost wrong sugar panel"),
    ("combo-code:not=8480-6,8310-5", "lost wrong sugar pulse written"),
    ("category:not=vital-signs", "sugar"),
    ("code=http://loinc.org|&date=ge2026", " ".join(NAMES)),
    ("status=entered-in-error", "wrong"),
    ("status:not=final", "wrong written"),
    ("status=final,amended&code=8867-4", "pulse written"),
    ("status=http://hl7.org/fhir/observation-status|amended", "written"),
    ("data-absent-reason=error", "lost"),
    ("data-absent-reason:missing=true&combo-data-absent-reason:missing=false", "half"),
    ("component-data-absent-reason=not-performed", "half"),
    ("component-data-absent-reason=unknown", "half"),
    ("combo-data-absent-reason:not=error", " ".join(n for n in NAMES if n != "lost")),
    ("_id:not={fever},{panel}", " ".join(n for n in NAMES if n not in ("fever", "panel"))),
    ("identifier=urn:wardlight:observation|{warm}", "warm"),
    ("identifier:missing=true", "written panel"),
    ("device:missing=true", "written panel"),
    ("performer:missing=true&patient={anna}", "fever warm pressure half lost written"),
    ("method:not=x&patient={bert}", "wrong sugar pulse panel"),
    ("_profile=http://hl7.org/fhir/StructureDefinition/bp", "pressure half"),
    ("_profile:below=http://hl7.org/fhir/uv/cgm/StructureDefinition", "sugar"),
    ("device.identifier=ble:00000000000B", "wrong sugar pulse"),
    ("patient.identifier=urn:test:mrn|A-1&code=8867-4", "written"),
    ("subject:Patient.name=brandt&code=8867-4", "pulse"),
    ("date={0},{2}", "fever pressure"),
    ("date=ne{0}&date=lt{3}", "warm pressure"),
    ("date=2026-03-10T12:01", "warm"),
    ("date=2026-03-10T14:01%2B02:00", "warm"),
    ("date=sa{7}", "written panel"),
    ("date=eb{1}", "fever"),
    ("date=ap2026-03", " ".join(NAMES)),
    ("date=ap1990", ""),
    ("date:missing=true", ""),
    ("_lastUpdated=ne2025&_lastUpdated=gt2020", " ".join(NAMES)),
    ("_lastUpdated=2025,2020", ""),
)  # fmt: skip


async def test_each_search_finds_what_it_means(client: httpx.AsyncClient, ward: Ward) -> None:
    ids = await fill(client, ward)
    names = {each: name for name, each in ids.items()}
    assert set(ids) == set(NAMES)
    places = {str(minute): text(minute) for minute in range(10)}
    wrong = {}
    for search, names_wanted in SEARCHES:
        for name, value in {**ids, **places, "anna": str(ANNA), "bert": str(BERT)}.items():
            search = search.replace(f"{{{name}}}", value)
        search, wanted = f"{search}&_sort=date", names_wanted.split()
        at_once = [names[each] for each in await found(client, f"Observation?{search}")]
        paged = [names[each] for each in await found(client, f"Observation?{search}&_count=2")]
        total = (await client.get(f"/fhir/Observation?{search}&_summary=count")).json()["total"]
        if (at_once, paged, total) != (wanted, wanted, len(wanted)):
            wrong[search] = (at_once, paged, total)
    assert not wrong


async def test_readings_alone_are_found_alike(
    client: httpx.AsyncClient, ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody wrote any, by kept texts and in windows of few rows."""
    monkeypatch.setattr(by_time, "_BOUNDED_ROWS", 1)
    monkeypatch.setattr(by_time, "_SIFTED_MOST", 2)
    for day in range(40):
        await ward.store_event(
            One("spo2", START - timedelta(days=day), 60 + day, device=CLIP),
            One("body_weight", START - timedelta(days=day), 700 + day, -1, device=SCALE),
        )
    for search, wanted in (
        ("code-value-quantity=2708-6$ge90", 10),
        (f"value-quantity={quantity('lt70.5', 'kg')}", 5),
        (f"value-quantity={quantity('70.5', 'kg')},{quantity('65', '%25')}", 2),
        ("status:not=final", 0),
        (f"patient={ANNA}&status=final", 40),
        ("date=ne2026-03-10", 78),
    ):
        for sort in ("-date", "date", "_lastUpdated", "-_lastUpdated"):
            ids = await found(client, f"Observation?{search}&_sort={sort}&_count=3")
            assert len(ids) == len(set(ids)) == wanted, (search, sort)
            # A list of dates with a gap is looked at one by one, too.
            assert len(await found(client, f"Observation?{search}&_sort={sort}")) == wanted


async def test_orders_are_each_others_reverse(client: httpx.AsyncClient, ward: Ward) -> None:
    await fill(client, ward)
    for name in ("date", "_lastUpdated"):
        for count in (1, 3, 50):
            up, down = [
                await found(client, f"Observation?_sort={sign}{name}&_count={count}")
                for sign in ("", "-")
            ]
            assert len(set(up)) == len(NAMES)
            assert up == down[::-1], (name, count)


async def test_parts_and_what_belongs_to_readings(client: httpx.AsyncClient, ward: Ward) -> None:
    ids = await fill(client, ward)
    provenance = {
        "resourceType": "Provenance", "recorded": text(20),
        "target": [{"reference": f"Observation/{ids['fever']}"}],
        "agent": [{"who": {"reference": f"Patient/{ANNA}"}}],
    }  # fmt: skip
    made = (await created(client, provenance))["id"]

    async def included(search: str) -> set[str]:
        page = (await client.get(f"/fhir/Observation?{search}")).json()
        return {
            f"{each['resource']['resourceType']}/{each['resource']['id']}"
            for each in page.get("entry", [])
            if each["search"]["mode"] == "include"
        }

    device = ward.devices[SCALE]
    one = f"_id={ids['fever']}"
    assert await included(f"{one}&_include=Observation:patient") == {f"Patient/{ANNA}"}
    assert await included(f"{one}&_include=Observation:subject") == {f"Patient/{ANNA}"}
    assert await included(f"{one}&_include=Observation:device") == {f"Device/{device}"}
    assert await included(f"{one}&_include=Observation:performer") == set()
    assert await included(f"{one}&_revinclude=Provenance:target") >= {f"Provenance/{made}"}
    both = "_include=Observation:device&_include=Observation:patient&_count=500"
    everyone = {f"Patient/{ANNA}", f"Patient/{BERT}"}
    assert await included(both) == everyone | {f"Device/{each}" for each in ward.devices.values()}
    for search, keys in (
        (f"{one}&_elements=valueQuantity", {"valueQuantity"}),
        (f"{one}&_elements=identifier", {"identifier"}),
        (f"{one}&_summary=text", set()),
    ):
        text_ = (await client.get(f"/fhir/Observation?{search}")).text
        (entry,) = json.loads(text_, parse_float=Decimal)["entry"]
        mandatory = {"resourceType", "id", "meta", "status", "code"}
        assert entry["resource"].keys() == keys | mandatory, search
        assert entry["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"
        if "valueQuantity" in keys:
            assert str(entry["resource"]["valueQuantity"]["value"]) == "38.0"
    posted = await client.post(
        "/fhir/Observation/_search", data={"value-quantity": quantity("38.0", "Cel")},
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert [each["resource"]["id"] for each in posted.json()["entry"]] == [ids["fever"]]


async def lasts(client: httpx.AsyncClient, search: str) -> list[str]:
    answer = await client.get(f"/fhir/Observation/$lastn?{search}")
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["total"] == len(page.get("entry", []))
    return [each["resource"]["id"] for each in page.get("entry", [])]


async def test_the_last_ones_of_each_code(client: httpx.AsyncClient, ward: Ward) -> None:
    ids = await fill(client, ward)
    name = {each: key for key, each in ids.items()}
    assert [name[each] for each in await lasts(client, f"patient={ANNA}")] == [
        "lost", "warm", "half", "written",
    ]  # fmt: skip
    assert [name[each] for each in await lasts(client, f"patient={ANNA}&max=2")] == [
        "lost", "warm", "fever", "half", "pressure", "written",
    ]  # fmt: skip
    assert [name[each] for each in await lasts(client, f"subject=Patient/{BERT}")] == [
        "sugar", "panel", "pulse",
    ]  # fmt: skip
    assert len(await lasts(client, f"patient={ANNA},{BERT}")) == 7
    assert await lasts(client, f"patient={BERT}&code=8867-4") == [ids["pulse"]]
    assert await lasts(client, f"patient={BERT}&status=entered-in-error") == [ids["wrong"]]
    assert await lasts(client, f"patient={BERT}&category=laboratory") == [ids["sugar"]]
    assert await lasts(client, "patient.identifier=A-1&code=8867-4") == [ids["written"]]
    tied = observation(BERT, effectiveDateTime=text(7))
    more = [(await created(client, tied))["id"] for _ in range(3)]
    for most in (1, 2, 3, 4):
        found_ = await lasts(client, f"patient={BERT}&code=8867-4&max={most}")
        assert set(found_) == {ids["pulse"], *more}
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "patient", "valueString": str(BERT)}, {"name": "max", "valuePositiveInt": 1},
        {"name": "code", "valueString": "59408-5,105272-9"},
    ]}  # fmt: skip
    answer = await client.post("/fhir/Observation/$lastn", json=body)
    assert [each["resource"]["id"] for each in answer.json()["entry"]] == [ids["sugar"]]
    for bad, at_fault in (("", "patient"), (f"patient={ANNA}&max=0", "max"),
                          (f"patient={ANNA}&_sort=date", "_sort")):  # fmt: skip
        answer = await client.get(f"/fhir/Observation/$lastn?{bad}")
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["expression"] == [f"http.{at_fault}"]


async def test_a_code_that_many_have_hides_none_of_them(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Much of one code, and behind it others that share a code with it."""
    monkeypatch.setattr(lastn, "_AT_ONCE", 4)
    ward_code = {"system": "urn:ward", "code": "vital"}
    rate, temperature, breath, bare = (
        {"system": LOINC, "code": code} for code in ("8867-4", "8310-5", "9279-1", "72514-3")
    )
    asked: dict[str, list[dict[str, Any]]] = {"many": [temperature, ward_code]}
    asked |= {"rate": [rate, temperature], "breath": [breath, temperature], "pain": [ward_code]}
    asked |= {"rarely": [bare, ward_code]}
    wanted = set()
    for minute, name in enumerate(
        ("rarely", "pain", "breath", *["many"] * 10, "rate", *["many"] * 2)
    ):
        written = observation(
            BERT, code={"coding": asked[name]}, effectiveDateTime=text(minute), category=[]
        )
        del written["category"], written["valueQuantity"]
        made = await created(client, written)
        if name != "many" or minute == 15:
            wanted.add(made["id"])
    assert set(await lasts(client, f"patient={BERT}")) == wanted


LOCAL = {"system": "urn:ward", "code": "vital"}
RATE, WARM, BREATH, PAIN, MOOD = (
    {"system": LOINC, "code": code} for code in ("8867-4", "8310-5", "9279-1", "72514-3", "88888-8")
)


@pytest.mark.parametrize(
    ("many", "others"),
    [
        ([WARM], [[BREATH, WARM]]),
        ([WARM, LOCAL], [[RATE, WARM], [PAIN, LOCAL], [LOCAL]]),
        ([PAIN, LOCAL], [[MOOD, PAIN], [PAIN, RATE]]),
        ([LOCAL], [[LOCAL, PAIN], [{"system": "urn:ward", "code": "other"}, LOCAL]]),
    ],
)
async def test_a_full_group_hides_no_other_that_has_its_code_second(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, many: Any, others: Any
) -> None:
    """The others are older than all that fills the group, and come to light in no page with it."""
    monkeypatch.setattr(lastn, "_AT_ONCE", 4)
    wanted = set()
    for minute, coding in enumerate([*others, *[many] * 9]):
        written = observation(BERT, code={"coding": coding}, effectiveDateTime=text(minute))
        del written["category"], written["valueQuantity"]
        made = await created(client, written)
        if coding is not many or minute == len(others) + 8:
            wanted.add(made["id"])
    assert set(await lasts(client, f"patient={BERT}")) == wanted


async def test_what_was_cancelled_is_not_the_last(client: httpx.AsyncClient) -> None:
    first = (await created(client, observation(BERT, effectiveDateTime=text(1))))["id"]
    for minute, status in ((2, "cancelled"), (3, "entered-in-error")):
        later = observation(BERT, effectiveDateTime=text(minute), status=status)
        await created(client, later)
    assert await lasts(client, f"patient={BERT}") == [first]
    (asked,) = await lasts(client, f"patient={BERT}&status=cancelled,entered-in-error")
    assert asked != first


async def test_a_bound_is_no_number_of_statistics(client: httpx.AsyncClient) -> None:
    """``< 40`` says that it was measured, and of no statistic what it is."""
    rates: list[dict[str, Any]] = [{"value": 60}, {"value": 70}, {"value": 40, "comparator": "<"}]
    for minute, rate in enumerate(rates):
        value = rate | {"unit": "/min", "code": "/min", "system": "http://unitsofmeasure.org"}
        await created(
            client, observation(BERT, effectiveDateTime=text(minute), valueQuantity=value)
        )
    asked = f"subject=Patient/{BERT}&code=8867-4&statistic=minimum,average,count,total-count"
    answer = await client.get(f"/fhir/Observation/$stats?{asked}")
    (told,) = answer.json()["parameter"]
    numbers = [each["valueQuantity"]["value"] for each in told["resource"]["component"]]
    assert numbers == [60, 65, 2, 3]


def test_statistics_are_those_of_the_textbook() -> None:
    """Values of R 4 (mean, sd, quantile type 7) and of Excel's SKEW and KURT for 2, 4, 4, 5, 9."""
    of = counted({Fraction(2): 1, Fraction(4): 2, Fraction(5): 1, Fraction(9): 1}, 3, 0)
    expected = {
        "average": "4.8", "maximum": "9", "minimum": "2", "count": "5", "total-count": "8",
        "median": "4", "std-dev": "2.59", "sum": "24", "variance": "6.7", "20-percent": "3.6",
        "80-percent": "5.8", "4-lower": "4", "4-upper": "5", "4-dev": "1", "5-1": "3.6",
        "5-2": "4", "5-3": "4.4", "5-4": "5.8", "skew": "1.23", "kurtosis": "2.40",
    }  # fmt: skip
    assert {name: str(statistic(name, of)) for name in STATISTICS} == expected
    third = counted({Fraction("36.50"): 2, Fraction("36.6"): 1}, 0, 2)
    assert str(statistic("average", third)) == "36.5333"
    assert [statistic(name, counted({}, 2, 0)) for name in ("average", "total-count")] == [None, 2]


async def test_statistics_of_both_sources(client: httpx.AsyncClient, ward: Ward) -> None:
    await fill(client, ward)
    await ward.store_event(One("body_temperature", at(10), 370, -1, device=SCALE))

    async def told(search: str) -> list[dict[str, Any]]:
        answer = await client.get(f"/fhir/Observation/$stats?{search}")
        assert answer.status_code == 200, answer.text
        found_ = json.loads(answer.text, parse_float=Decimal).get("parameter", [])
        return [
            {
                part["code"]["coding"][0]["code"]: str(part["valueQuantity"]["value"])
                for part in each["resource"]["component"]
                if "valueQuantity" in part
            }
            for each in found_
        ]

    three = "statistic=average&statistic=min&statistic=max&statistic=count,total-count"
    subject = f"subject=Patient/{ANNA}"
    (temperatures,) = await told(f"{subject}&code=8310-5&system={LOINC}&{three}")
    assert temperatures == {
        "average": "37.5", "minimum": "37", "maximum": "38", "count": "3", "total-count": "3",
    }  # fmt: skip
    (pulses,) = await told(f"subject=Patient/{BERT}&coding={LOINC}|8867-4&{three}")
    assert (pulses["count"], pulses["average"]) == ("1", "61")
    (systolic,) = await told(f"subject=Patient/{BERT}&code=8480-6&{three}")
    assert systolic["maximum"] == "120"
    (weight,) = await told(f"{subject}&code=29463-7&{three}")
    assert weight == {"count": "0", "total-count": "1"}
    period = f"{subject}&code=8310-5&statistic=count&period={text(0)}/{text(1)}"
    assert await told(period) == [{"count": "2"}]
    assert await told(f"{subject}&code=8310-5&statistic=count&duration=1") == []
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "subject", "valueUri": f"Patient/{ANNA}"},
        {"name": "statistic", "valueCode": "sum"},
        {"name": "coding", "valueCoding": {"system": LOINC, "code": "8310-5"}},
        {"name": "period", "valuePeriod": {"start": text(10)}},
    ]}  # fmt: skip
    answer = (await client.post("/fhir/Observation/$stats", json=body)).json()
    resource = answer["parameter"][0]["resource"]
    assert resource["component"][0]["valueQuantity"]["value"] == 37
    assert resource["effectivePeriod"].keys() == {"start"}
    for bad, at_fault in (
        (f"{subject}&code=8310-5", "statistic"), (f"{subject}&statistic=count", "code"),
        (f"{subject}&code=8310-5&statistic=mode", "statistic"),
        ("code=8310-5&statistic=count", "patient"), (f"{subject}&code=1&statistic=sum&duration=x",
                                                    "duration"),
    ):  # fmt: skip
        answer_ = await client.get(f"/fhir/Observation/$stats?{bad}")
        assert answer_.status_code == 400, answer_.text
        assert answer_.json()["issue"][0]["expression"] == [f"http.{at_fault}"]


async def test_everything_of_a_patient(client: httpx.AsyncClient, ward: Ward) -> None:
    ids = await fill(client, ward)
    plan = {"resourceType": "CarePlan", "status": "active", "intent": "plan",
            "subject": {"reference": f"Patient/{ANNA}"}}  # fmt: skip
    made = (await created(client, plan))["id"]

    async def kinds(search: str) -> list[str]:
        url: str | None = f"/fhir/Patient/{ANNA}/$everything?{search}"
        names: list[str] = []
        while url is not None:
            page = (await client.get(url)).json()
            assert page["resourceType"] == "Bundle", page
            names += [f"{e['resource']['resourceType']}/{e['resource']['id']}"
                      for e in page.get("entry", [])]  # fmt: skip
            url = next((each["url"] for each in page["link"] if each["relation"] == "next"), None)
        return names

    record = await kinds("_count=500")
    assert record[0] == f"Patient/{ANNA}"
    assert {f"CarePlan/{made}", f"Device/{ward.devices[CUFF]}"} < set(record)
    own = {"fever", "warm", "pressure", "half", "lost", "written"}
    assert {each for each in record if each.startswith("Observation/")} == {
        f"Observation/{ids[name]}" for name in own
    }
    for count in (1, 3):
        assert await kinds(f"_count={count}") == record
    assert await kinds("_type=Patient,CarePlan") == [f"Patient/{ANNA}", f"CarePlan/{made}"]
    assert await kinds(f"_type=Observation&start={text(8)}") == [f"Observation/{ids['written']}"]
    assert await kinds("_type=Observation,Patient&_since=2100") == []
    assert (await client.get(f"/fhir/Patient/{ANNA}/$everything?_type=Moon")).status_code == 400
    assert (await client.get(f"/fhir/Patient/{ids['fever']}/$everything")).status_code == 404


async def test_what_others_wrote_is_never_overlooked(client: httpx.AsyncClient, ward: Ward) -> None:
    """The first one, one of another patient, one by another process, after pages without any."""
    await ward.store_event(One("body_weight", START, 7250, -2, device=SCALE))
    search = f"Observation?patient={ANNA}&date=ge2026-03-10&date=lt2026-03-12"
    assert len(await found(client, search)) == 1
    another = replace(ward, app=create_app(ward.settings, ward.store))
    async with another.client() as other:
        for whose, wanted in ((BERT, 1), (ANNA, 2), (ANNA, 3)):
            assert len(await found(other, search)) == wanted - (whose is ANNA)
            await created(client, observation(whose, effectiveDateTime=text(5)))
            assert len(await found(other, search)) == wanted
        assert len(await found(other, f"{search}&date=lt2026-03-10T12:01")) == 1
        assert len(await found(other, f"{search}&date=lt2026-03-10T12:01")) == 1
        await created(client, observation(effectiveDateTime=text(0)))
        assert len(await found(other, f"{search}&date=lt2026-03-10T12:01")) == 2


async def test_a_statement_that_takes_too_long_says_so(
    client: httpx.AsyncClient, ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(*_: object, **__: object) -> None:
        raise StorageError("observations: the database did not answer in time") from TimeoutError()

    for name in ("observation_texts", "observations", "observed_numbers"):
        monkeypatch.setattr(ward.store, name, slow)
    for path in ("?value-quantity=gt1", f"/$stats?subject={ANNA}&code=8867-4&statistic=sum"):
        answer = await client.get(f"/fhir/Observation{path}")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert answer.json()["issue"][0]["code"] == "timeout"


async def test_what_is_rare_is_found_among_much(
    client: httpx.AsyncClient, ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status and reasons lie in columns: the database leaves the others where they are."""
    monkeypatch.setattr(by_time, "_SIFTED_IN_ALL", 60)
    much = [One("spo2", at(n), 97, device=CLIP) for n in range(100)]
    await ward.store_each(much)
    codes = {each: CODE_BY_ABSENT[each] for each in (Absent.NAN, Absent.INVALID, Absent.NRES)}
    kinds: tuple[tuple[str, dict[str, int]], ...] = (
        ("early", {"flags": int(Flag.EARLY)}),
        ("corrected", {"flags": int(Flag.CORRECTED)}),
        ("wrong", {"absent": codes[Absent.INVALID]}),
        ("nan", {"absent": codes[Absent.NAN]}),
        ("newer", {"absent": 200}),
    )
    for place, (_, more) in enumerate(kinds):
        one = One("spo2", at(200 + place), 96, device=CLIP)
        await ward.store_event(replace(one, **more))  # type: ignore[arg-type]
    missing = codes[Absent.NRES]
    sides = ("systolic_bp", "diastolic_bp")
    both = [One(name, at(300), 0, absent=missing, device=CUFF) for name in sides]
    half = [One(sides[0], at(301), 121, device=CUFF), replace(both[1], time=at(301))]
    invalid = [replace(each, time=at(302), absent=codes[Absent.INVALID]) for each in both]
    for event in (both, half, invalid):
        await ward.store_event(*event)
    await ward.store_each([One("body_weight", at(n), 72, device=SCALE) for n in range(400, 500)])
    minutes: dict[str, set[int]] = {
        "status=preliminary": {200}, "status=corrected": {201},
        "status=entered-in-error": {202, 302}, "status=corrected,entered-in-error": {201, 202, 302},
        "status=http://hl7.org/fhir/observation-status|preliminary": {200},
        "status:not=final": {200, 201, 202, 302}, "status=cancelled": set(),
        "data-absent-reason=not-a-number": {203}, "data-absent-reason=unknown": {204},
        "data-absent-reason:missing=false": {202, 203, 204},
        "component-data-absent-reason=error": {300, 301, 302},
        "combo-data-absent-reason=error": {202, 300, 301, 302},
        "status=entered-in-error&data-absent-reason=error": {202},
    }  # fmt: skip
    for search, expected in minutes.items():
        for sort in ("-date", "date"):
            url: str | None = f"/fhir/Observation?{search}&_sort={sort}&_count=2"
            times = []
            while url is not None:
                answer = await client.get(url)
                assert answer.status_code == 200, (search, answer.text)
                page = answer.json()
                times += [e["resource"]["effectiveDateTime"] for e in page.get("entry", [])]
                url = next((n["url"] for n in page["link"] if n["relation"] == "next"), None)
            moments = [datetime.fromisoformat(each) for each in times]
            assert {(each - START) // MINUTE for each in moments} == expected, search
            assert moments == sorted(moments, reverse=sort == "-date"), search
            assert len(moments) == len(expected), search
