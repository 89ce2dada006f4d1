"""What the FHIR face serves, against the definitions that HL7 published (R4 4.0.1).

Every metric of the code table in every unit it lists, each reason for a missing number, each flag,
each way a time was found; through the real routes from a real store.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, product
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from support.fhir_definitions.package import require_definitions
from support.fhir_definitions.terminology import LOINC, is_ucum
from support.fhir_definitions.validator import Validator
from support.readings import BatchMaker, One, Rec
from support.served_ward import ANNA, BASE, CLIP, CUFF, GATEWAY, SCALE, START, Ward
from wardlight_cloud.fhir import observation_texts as served
from wardlight_cloud.fhir.resources import CALIBRATION_EXTENSION, LAST_SEEN_EXTENSION
from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.batch import Detail, StatusRow
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import StorageError
from wardlight_shared.model import NOT_CLINICAL, Absent, DeviceInfo, Flag
from wardlight_shared.records import SeriesKey, TimeMethod
from wardlight_shared.timestamps import ClockQuality

Json = Any
R4 = "http://hl7.org/fhir/StructureDefinition/"
US_PRESSURE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-blood-pressure"

# docs/fhir.md: our extensions, where they stand and what they hold. R4 has nothing for these.
OWN_EXTENSIONS = {
    served.TIME_EXTENSION: ("_effectiveDateTime", "extension"),
    served.RAW_EXTENSION: ("", "valueString"),
    served.CONTEXT_EXTENSION: ("", "valueString"),
    served.FLAG_EXTENSION: ("", "valueCode"),
}
OF_DEVICES = {LAST_SEEN_EXTENSION: "valueInstant", CALIBRATION_EXTENSION: "valueDate"}
# Of guides that the package does not hold: in Observations, and in the CapabilityStatement.
OF_GUIDES = (
    served.CLOCK_EXTENSION,
    "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
    "capabilitystatement-subscriptiontopic-canonical",
)
# Guides that the package does not hold; what they ask is written out in the other tests.
ELSEWHERE = (
    "http://hl7.org/fhir/us/core/StructureDefinition/",
    "http://hl7.org/fhir/uv/phd/StructureDefinition/",
    "http://hl7.org/fhir/uv/cgm/StructureDefinition/",
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/",
)
SINGLES = [m for m in METRICS.values() if m.structure.startswith("valueQuantity")]
# DESIGN 3: what these are is no single number; the table's own words.
NEVER_SINGLE = ("ecg_lead_i", "pleth_waveform", "average_bp", "blood_pressure", "battery")


@pytest.fixture
def validator() -> Validator:
    return Validator(
        require_definitions(), own_extensions=frozenset({*OWN_EXTENSIONS, *OF_DEVICES, *OF_GUIDES})
    )


# ---------------------------------------------------------------- what was measured


@dataclass(frozen=True)
class OnSite(One):
    """A reading at a body site."""

    site: str = "finger"

    @property
    def key(self) -> SeriesKey:
        return SeriesKey(self.device, super().key.metric, self.unit, self.user, self.site)


def moments() -> Iterator[datetime]:
    """Times that differ in minute and fraction."""
    for place in count():
        yield START + timedelta(minutes=place, microseconds=(place % 3) * 123_456)


def every_metric(when: Iterator[datetime]) -> Iterator[tuple[One, ...]]:
    """All singles: all units of the table, and digits from -0.1 to 0.123456789."""
    numbers = ((50, 0), (7250, -2), (-1, -1), (123_456_789, -9), (5, 2), (0, 0), (0, -3))
    for metric in SINGLES:
        for unit in (metric.unit, *metric.units_also):
            yield (One(metric.name, next(when), 50, device=CLIP, unit=unit),)
    for metric, (mantissa, scale) in product(SINGLES[:5], numbers):
        yield (One(metric.name, next(when), mantissa, scale, device=CLIP),)


def every_absence(when: Iterator[datetime]) -> Iterator[tuple[One, ...]]:
    """Each reason, and one that a newer gateway may know: alone and in a panel."""
    for code in (*range(1, len(Absent) + 1), 200):
        yield (One("spo2", next(when), 0, absent=code, device=CLIP),)
        time = next(when)
        yield (
            One("systolic_bp", time, 138, device=CUFF),
            One("diastolic_bp", time, 0, absent=code, device=CUFF),
            One("mean_bp", time, 0, absent=code, device=CUFF),
        )


def every_flag(when: Iterator[datetime]) -> Iterator[tuple[One, ...]]:
    """Each flag on a single value and on one side of a panel."""
    for flag in Flag:
        if flag & NOT_CLINICAL:
            continue
        yield (One("spo2", next(when), 97, flags=int(flag), device=CLIP),)
        time = next(when)
        yield (
            One("systolic_bp", time, 138, flags=int(flag), device=CUFF),
            One("diastolic_bp", time, 86, device=CUFF),
        )


def panels(when: Iterator[datetime]) -> Iterator[tuple[One, ...]]:
    """Blood pressures: with and without mean, with neither side."""
    names = ("systolic_bp", "diastolic_bp", "mean_bp")
    for parts, absent in product((2, 3), (0, 1)):
        time = next(when)
        yield tuple(One(n, time, 1385, -1, absent=absent, device=CUFF) for n in names[:parts])


def with_details(when: Iterator[datetime]) -> Iterator[tuple[One, ...]]:
    """Numbers before a conversion, device times, contexts, sites, users."""
    converted = Detail(0, 1545, -1, "2026-03-10T11:58:00", -120, (("meal", "fasting"), ("x", "y")))
    yield (One("body_weight", next(when), 7008, -2, raw_unit="[lb_av]", detail=converted),)
    unset = Detail(0, None, None, "0000-00-00T00:00:00", None, ())
    yield (One("body_temperature", next(when), 365, -1, user=3, detail=unset),)
    yield (OnSite("spo2", next(when), 97),)


def every_clock() -> Iterator[BatchMaker]:
    """How a time was found, by which clock, with and without a bound, in which zone."""
    for method, clock in product(TimeMethod, ClockQuality):
        yield BatchMaker(clock=clock | method << 4, error_ms=-1 if clock else 250)
    for offset_min in (-14 * 60, -570, 0, 345, 14 * 60):
        yield BatchMaker(offset_min=offset_min)


async def fill(ward: Ward) -> list[tuple[One, ...]]:
    """Stores all of the above; the Observations that they are."""
    when = moments()
    events = [
        event
        for make in (every_metric, every_absence, every_flag, panels, with_details)
        for event in make(when)
    ]
    events = [tuple(replace(o, device=_assigned(o.device)) for o in event) for event in events]
    for event in events:
        await ward.store_event(*event)
    for maker in every_clock():
        reading = One("heart_rate", next(when), 61, device=CLIP)
        await ward.store.ingest([maker(Rec(next(ward.seqs), (reading,)))])
        events.append((reading,))
    return events


def digits(reading: One) -> str:
    """The number as it must stand in JSON; nothing where it is absent."""
    number = Decimal(reading.mantissa).scaleb(reading.scale)
    return "" if reading.absent else str(number if reading.scale < 0 else int(number))


def _assigned(device: str) -> str:
    return device if device in (CUFF, CLIP) else SCALE


async def bundles(client: httpx.AsyncClient, url: str) -> list[Json]:
    """All pages of a search."""
    found = []
    following: str | None = url
    while following is not None:
        answer = await client.get(following)
        assert answer.status_code == 200, answer.text
        bundle = json.loads(answer.text, parse_float=Decimal)
        check_models(answer.text)
        found.append(bundle)
        following = next((n["url"] for n in bundle["link"] if n["relation"] == "next"), None)
    return found


def check_models(text: str) -> None:
    """A second opinion: the models of fhir.resources."""
    get_fhir_model_class(json.loads(text)["resourceType"]).model_validate_json(text)


# ---------------------------------------------------------------- Observations


async def test_every_observation_conforms(ward: Ward, validator: Validator) -> None:
    """R4 and each profile that an Observation claims; Bundles as searches answer them."""
    events = await fill(ward)
    async with ward.client() as client:
        pages = await bundles(client, "/fhir/Observation?_count=200")
    found = [entry["resource"] for page in pages for entry in page["entry"]]
    assert len(found) == len(events)
    assert not [issue for page in pages for issue in validator.issues(page)]
    for page in pages:
        check_searchset(page, "Observation")
    check_numbers(found, events)
    check_profiles(found, validator)
    for resource in found:
        check_own_extensions(resource)
        check_quantities(resource)
    check_us_core_pressure(found, validator)


def check_searchset(bundle: Json, kind: str) -> None:
    """R4 3.1.1.2 and Bundle: what its StructureDefinition cannot say."""
    assert bundle["type"] == "searchset"
    links = {link["relation"]: link["url"] for link in bundle["link"]}
    assert links.keys() <= {"self", "next"}
    assert "self" in links
    assert all(urlsplit(url).scheme == "https" for url in links.values())
    for entry in bundle.get("entry", []):
        resource = entry["resource"]
        assert resource["resourceType"] == kind
        assert entry["fullUrl"] == f"{BASE}/fhir/{kind}/{resource['id']}"
        assert entry["search"] == {"mode": "match"}
        assert {"versionId", "lastUpdated"} <= resource["meta"].keys()


def check_numbers(found: list[Json], events: list[tuple[One, ...]]) -> None:
    """All that was stored is served with its digits, and what is absent without a number."""
    parts = [part for r in found for part in r.get("component", [r])]
    served_numbers = Counter(str(part.get("valueQuantity", {}).get("value", "")) for part in parts)
    assert served_numbers == Counter(digits(reading) for event in events for reading in event)
    absent = sum("dataAbsentReason" in part for part in parts)
    assert absent == served_numbers[""] > 40


def check_profiles(found: list[Json], validator: Validator) -> None:
    """Every vital sign claims its profile, and only guides of others are not in the package."""
    known = {url for r in found for url in r["meta"].get("profile", [])}
    unknown = {url for r in found for url in validator.unknown_profiles(r)}
    assert all(url.startswith(ELSEWHERE) for url in unknown)
    assert {url.removeprefix(R4) for url in known - unknown} == {
        "bmi", "bodyheight", "bodytemp", "bodyweight", "bp", "heartrate", "oxygensat", "resprate",
        "vitalsigns", US_PRESSURE,
    }  # fmt: skip
    for resource in found:
        categories = {c["code"] for each in resource["category"] for c in each["coding"]}
        if "vital-signs" in categories and resource["code"]["coding"][0]["code"] != "8637-1":
            assert R4 in "".join(resource["meta"]["profile"]), resource["code"]


def check_own_extensions(resource: Json) -> None:
    """Ours stand where docs/fhir.md says, and hold what it says."""
    for place in ("", "_effectiveDateTime"):
        inside = resource[place] if place else resource
        for extension in inside.get("extension", []):
            if extension["url"].startswith("urn:wardlight:"):
                wanted = OWN_EXTENSIONS[extension["url"]]
                assert wanted == (place, *(extension.keys() - {"url"}))
    (provenance,) = resource["_effectiveDateTime"]["extension"]
    parts = {part["url"] for part in provenance["extension"]}
    assert {"method", "clock"} <= parts <= {
        "method", "clock", "errorMilliseconds", "uncertain", "deviceTimeAsSent",
    }  # fmt: skip


def check_quantities(resource: Json) -> None:
    """Each number has a UCUM code and a unit for people."""
    for part in (resource, *resource.get("component", [])):
        if quantity := part.get("valueQuantity"):
            assert quantity.keys() == {"value", "unit", "system", "code"}
            assert is_ucum(quantity["code"])


def check_us_core_pressure(found: list[Json], validator: Validator) -> None:
    """Of US Core's vital signs the package holds blood pressure 5.0.1 alone."""
    pressures = [r for r in found if US_PRESSURE in r["meta"].get("profile", [])]
    assert len(pressures) > 40
    for resource in pressures:
        assert not validator.issues_against(resource, US_PRESSURE)
        assert validator.issues_against(resource | {"component": []}, US_PRESSURE)


async def test_a_number_is_never_served_beside_its_absence(
    ward: Ward, validator: Validator
) -> None:
    """The validator sees the faults that matter most here, in what we really serve."""
    await ward.store_event(One("spo2", START, 97, device=CLIP))
    async with ward.client() as client:
        (bundle,) = await bundles(client, "/fhir/Observation")
    resource = bundle["entry"][0]["resource"]
    assert not validator.issues(resource)
    both = resource | {"dataAbsentReason": {"text": "x"}}
    neither = {key: value for key, value in resource.items() if key != "valueQuantity"}
    assert {issue.rule for issue in validator.issues(both)} == {"obs-6"}
    assert {issue.rule for issue in validator.issues(neither)} == {"vs-2"}
    resource["code"]["coding"] = [c for c in resource["code"]["coding"] if c["code"] != "2708-6"]
    assert "minimum" in {issue.rule for issue in validator.issues(resource)}


@pytest.mark.parametrize("stored", ["systolic_bp", "diastolic_bp", "mean_bp"])
async def test_a_pressure_shows_both_sides(ward: Ward, validator: Validator, stored: str) -> None:
    """Also where only one row of it came: the profile asks for both, and so does docs/fhir.md."""
    await ward.store_event(One(stored, START, 101, device=CUFF))
    async with ward.client() as client:
        (bundle,) = await bundles(client, "/fhir/Observation")
    assert not validator.issues(bundle)
    parts = bundle["entry"][0]["resource"]["component"]
    assert [p["valueQuantity"]["value"] for p in parts if "valueQuantity" in p] == [101]


async def test_moles_are_not_called_mass(ward: Ward) -> None:
    """LOINC has a code for each property: a unit of moles never stands under a mass."""
    glucose = [m for m in SINGLES if "Mass/volume" in m.loinc_display]
    moles = [m for m in glucose if "mmol/L" in m.units_also]
    readings = [
        One(m.name, START + timedelta(minutes=place), 55, -1, device=CLIP, unit="mmol/L")
        for place, m in enumerate(moles)
    ]
    await ward.store_each(readings)
    async with ward.client() as client:
        (bundle,) = await bundles(client, "/fhir/Observation")
    assert len(bundle["entry"]) == len(moles) == 3
    for entry in bundle["entry"]:
        resource = entry["resource"]
        assert "mass" not in json.dumps([resource["code"], resource["meta"]], default=str).lower()
        masses = {m.loinc for m in glucose}
        assert not masses & {c["code"] for c in resource["code"]["coding"] if c["system"] == LOINC}


async def test_a_lone_number_is_no_waveform_and_no_panel(ward: Ward) -> None:
    """SampledData, components or nothing: docs/fhir.md."""
    for place, name in enumerate(NEVER_SINGLE):
        await ward.store_event(One(name, START + place * timedelta(minutes=1), 50, device=CLIP))
    async with ward.client() as client:
        for order in ("date", "-date", "_lastUpdated"):
            (bundle,) = await bundles(client, f"/fhir/Observation?_sort={order}")
            assert "entry" not in bundle
        (counted,) = await bundles(client, "/fhir/Observation?_summary=count")
        assert counted["total"] == 0


# ---------------------------------------------------------------- codes


def coded(resource: Json) -> set[tuple[str, str]]:
    """What stands in code."""
    return {(c["system"], c["code"]) for c in resource["code"]["coding"]}


async def found_by(client: httpx.AsyncClient, parameter: str, token: str) -> set[str]:
    url = str(httpx.URL("/fhir/Observation", params={parameter: token, "_count": "500"}))
    (bundle,) = await bundles(client, url)
    return {entry["resource"]["id"] for entry in bundle.get("entry", [])}


async def test_each_code_finds_what_carries_it_and_nothing_else(ward: Ward) -> None:
    """All codes of the table, shown or not: moles find no mass, a site is no temperature."""
    for event in every_metric(moments()):
        await ward.store_event(*(replace(one, device=CLIP) for one in event))
    for event in panels(moments()):
        await ward.store_event(*event)
    async with ward.client() as client:
        served_pages = await bundles(client, "/fhir/Observation?_count=500")
        resources = [entry["resource"] for page in served_pages for entry in page["entry"]]
        own = {r["id"]: coded(r) for r in resources}
        parts = {
            r["id"]: {code for part in r.get("component", []) for code in coded(part)}
            for r in resources
        }
        shown = {code for each in (*own.values(), *parts.values()) for code in each}
        tables = {
            (LOINC, code)
            for m in METRICS.values()
            for code in (m.loinc, *(also for also, _ in m.loinc_also))
            if code
        }
        assert (LOINC, "59408-5") in shown
        for system, code in sorted(shown | tables | {(LOINC, "8327-9")}):
            wanted = {
                "code": {name for name, codes in own.items() if (system, code) in codes},
                "component-code": {
                    name for name, codes in parts.items() if (system, code) in codes
                },
            }
            wanted["combo-code"] = wanted["code"] | wanted["component-code"]
            for parameter, names in wanted.items():
                assert await found_by(client, parameter, f"{system}|{code}") == names, code
            assert await found_by(client, "combo-code", code) == wanted["combo-code"]


async def test_two_codes_of_one_metric_find_both(ward: Ward) -> None:
    units = ("mg/dL", "mmol/L")
    for place, unit in enumerate(units):
        time = START + timedelta(minutes=place)
        await ward.store_event(One("glucose_cgm", time, 90, device=CLIP, unit=unit))
    async with ward.client() as client:
        assert len(await found_by(client, "code", "99504-3")) == 1
        assert len(await found_by(client, "code", "99504-3,105272-9")) == 2
        assert len(await found_by(client, "code", "160212")) == 2
        both = "/fhir/Observation?code=99504-3&combo-code=105272-9"
        (nothing,) = await bundles(client, both)
        assert "entry" not in nothing


# ---------------------------------------------------------------- Patients and Devices


async def fill_register(ward: Ward) -> None:
    """Patients with as little as the register takes, and devices that say everything, or ""."""
    now = datetime.now(UTC)
    for place, gender in enumerate(("male", "other", "unknown")):
        identity = replace_last(ANNA.hex, place)
        nobody = Patient(identity, "", "", None, gender, (), 0, now)  # type: ignore[arg-type]
        await ward.store.put_patient(nobody)
    said = {name: f"{name} 1.0" for name in DeviceInfo.__struct_fields__}
    said |= {"system_id": "74E8FFFEFF123456", "udi": "(01)00844588003288"}
    silent = dict.fromkeys(said, "")
    for device, info in ((CUFF, said), (CLIP, silent)):
        status = StatusRow(0, 1_700_000_000_000_000, device, "info", dict(info))
        charge = StatusRow(0, 1_700_000_000_000_000, device, "battery", {"percent": 80})
        day = StatusRow(0, 1_700_000_000_000_000, device, "calibration", {"due": "2027-03-01"})
        batch = BatchMaker()(Rec(next(ward.seqs)), statuses=[status, charge, day])
        await ward.store.ingest([batch])


def replace_last(text: str, place: int) -> Any:
    """A UUID like another."""
    return type(ANNA)(hex=f"{text[:-1]}{place}")


async def test_every_patient_and_device_conforms(ward: Ward, validator: Validator) -> None:
    await fill_register(ward)
    queries = {
        "Patient": "/fhir/Patient?_count=2",
        "Device": f"/fhir/Device?patient={ANNA}",
        "Device of a gateway": f"/fhir/Device?_id=gateway-{GATEWAY}",
        "all of Device": "/fhir/Device",
    }
    async with ward.client() as client:
        for name, query in queries.items():
            pages = await bundles(client, query)
            assert sum(len(page["entry"]) for page in pages) >= 1
            for page in pages:
                assert not validator.issues(page), name
                kind = page["entry"][0]["resource"]["resourceType"]
                if name != "Device of a gateway":
                    check_searchset(page, kind)
        (page,) = await bundles(client, f"/fhir/Device?identifier={CUFF}")
    (entry,) = page["entry"]
    assert {
        "manufacturer", "serialNumber", "modelNumber", "version", "udiCarrier", "property",
        "extension",
    } <= entry["resource"].keys()  # fmt: skip
    extensions = entry["resource"]["extension"]
    assert {each["url"]: (each.keys() - {"url"}) for each in extensions} == {
        url: {value} for url, value in OF_DEVICES.items()
    }


async def test_an_empty_search_conforms(ward: Ward, validator: Validator) -> None:
    """R4: no entry at all instead of an empty list."""
    async with ward.client() as client:
        for kind in ("Observation", "Patient", "Device"):
            (page,) = await bundles(client, f"/fhir/{kind}?_id=nobody")
            assert not validator.issues(page)
            assert "entry" not in page


# ---------------------------------------------------------------- statement and errors


async def test_the_capability_statement_conforms(ward: Ward, validator: Validator) -> None:
    async with ward.client(token=None) as client:
        answer = await client.get("/fhir/metadata")
    check_models(answer.text)
    statement = answer.json()
    assert not validator.issues(statement)
    (rest,) = statement["rest"]
    for resource in rest["resource"]:
        for url in resource.get("supportedProfile", []):
            profile = validator.definitions.structure(url)
            assert profile is None or profile.type == resource["type"]
            assert profile is not None or url.startswith(ELSEWHERE)


class AwayStore:
    """A store whose database is away."""

    def __getattr__(self, name: str) -> Any:
        async def refuse(*_: object, **__: object) -> None:
            raise StorageError("away")

        return refuse


async def test_every_error_conforms(
    ward: Ward, validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All statuses of docs/fhir.md: each an OperationOutcome that says what is wrong."""
    async with ward.client(token="wrong") as stranger:
        answers = [await stranger.get("/fhir/Observation")]
    async with ward.client() as client:
        strict = {"Prefer": "handling=strict"}
        answers += [
            await client.get("/fhir/Observation?date=soon"),
            await client.get("/fhir/Device?identifier=a,b"),
            await client.get("/fhir/Device?patient:missing=true"),
            await client.get("/fhir/Observation?colour=green", headers=strict),
            await client.get("/fhir/Observation/nobody"),
            await client.get("/fhir/Practitioner/1"),
            await client.put("/fhir/Endpoint/1", json={}),
            await client.get("/fhir/Patient", headers={"Accept": "application/fhir+xml"}),
            await client.post("/fhir/Patient/_search", json={}),
        ]
        monkeypatch.setattr(type(ward.store), "observations", AwayStore().observations)
        answers.append(await client.get("/fhir/Observation"))
    statuses = [answer.status_code for answer in answers]
    assert statuses == [401, 400, 400, 400, 400, 404, 404, 405, 406, 415, 503]
    for answer in answers:
        assert answer.headers["content-type"] == "application/fhir+json"
        check_models(answer.text)
        assert not validator.issues(answer.json())
        assert answer.json()["issue"][0]["diagnostics"]
