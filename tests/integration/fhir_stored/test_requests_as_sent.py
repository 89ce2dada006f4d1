"""What requests say in headers, URLs and numbers: read as it is meant, or refused."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.served_ward import ANNA
from support.stored_resources import created, found, observation, organization
from support.waiting import wait_until
from wardlight_cloud.fhir.operations.statistics import STATISTICS

STRICT = "handling=strict"
MINIMAL = "return=minimal"
ANY = settings(
    max_examples=40, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["name", "valueString", "valueReference", "valueInstant", "x"]), inner,
        max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip
NAMES_OF_PARAMETERS = [
    "_type", "_typeFilter", "_since", "_until", "_outputFormat", "patient", "subject", "code",
    "system", "coding", "statistic", "period", "duration", "max", "category", "start", "end", "x",
]  # fmt: skip
TEXTS_OF_PARAMETERS = [
    "Patient", "Observation?code=%ff", "Observation?_lastUpdated=x", "Patient/1", "average", "|",
    "urn:x|y", "2026", "0000-00-00", "2026-01-01/", "9999-12-31T23:59:59.999-14:00", "-1", "1e999",
    "\0", "NaN", "",
]  # fmt: skip
VALUES = JSON | st.sampled_from(TEXTS_OF_PARAMETERS) | st.dictionaries(
    st.sampled_from(["reference", "code", "system", "start", "end"]),
    JSON | st.sampled_from(TEXTS_OF_PARAMETERS), max_size=3,
)  # fmt: skip
PARAMETERS = st.lists(
    st.builds(
        lambda name, kind, value: {"name": name, kind: value},
        st.sampled_from(NAMES_OF_PARAMETERS),
        st.sampled_from(["valueString", "valueReference", "valueCoding", "valuePeriod", "value"]),
        VALUES,
    ),
    min_size=1,
    max_size=4,
)


def refused(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    OperationOutcome.model_validate_json(answer.content)
    issue: dict[str, Any] = answer.json()["issue"][0]
    return issue


@pytest.mark.parametrize(
    "lines",
    [
        [STRICT], [MINIMAL, STRICT], ["Handling=strict"], ['handling="strict"'],
        ["handling = STRICT"],
        ["respond-async;handling=strict"], [f"{MINIMAL}, {STRICT}"], [STRICT, "handling=lenient"],
        ['foo="a, b; handling=lenient"', STRICT],
    ],
)  # fmt: skip
async def test_each_line_and_spelling_of_prefer_counts(
    client: httpx.AsyncClient, lines: list[str]
) -> None:
    prefer = [("Prefer", line) for line in lines]
    refused(await client.get("/fhir/Organization?nonsense=1", headers=prefer))
    refused(await client.get("/fhir/Patient?nonsense=1", headers=prefer))


@pytest.mark.parametrize("lines", [["handling=lenient", STRICT], ["x-handling=strict"], ["strict"]])
async def test_what_does_not_ask_for_strictness(
    client: httpx.AsyncClient, lines: list[str]
) -> None:
    prefer = [("Prefer", line) for line in lines]
    answer = await client.get("/fhir/Organization?nonsense=1", headers=prefer)
    assert answer.status_code == 200


@pytest.mark.parametrize("said", [MINIMAL, 'Return="minimal"', "RETURN = Minimal"])
async def test_a_minimal_answer_is_asked_for_on_any_line(
    client: httpx.AsyncClient, said: str
) -> None:
    prefer = [("Prefer", STRICT), ("Prefer", said)]
    answer = await client.post("/fhir/Organization", json=organization(), headers=prefer)
    assert (answer.status_code, answer.content) == (201, b"")


async def test_lists_of_headers_go_over_lines(client: httpx.AsyncClient) -> None:
    made = await created(client, organization())
    url, tag = f"/fhir/Organization/{made['id']}", f'W/"{made["meta"]["versionId"]}"'
    shown = [("If-None-Match", 'W/"0"'), ("If-None-Match", tag)]
    assert (await client.get(url, headers=shown)).status_code == 304
    accept = [("Accept", "text/html"), ("Accept", "application/fhir+json")]
    del client.headers["Accept"]
    assert (await client.get(url, headers=accept)).status_code == 200
    refused(await client.get(url, headers=accept[:1]), 406)
    matches = [("If-Match", 'W/"0"'), ("If-Match", tag)]
    assert (await client.put(url, json=made, headers=matches)).status_code == 200


async def test_the_old_name_of_json_is_understood(client: httpx.AsyncClient) -> None:
    old = "application/json+fhir"
    answers = [
        await client.get("/fhir/Organization", headers={"Accept": old}),
        await client.get(f"/fhir/Organization?_format={old}"),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/fhir+json"


@pytest.mark.parametrize(
    "query", ["code:not=%FF", "identifier=%ff", "code=%C3%28", "%ff=1", "status=final&x=%ED%A0%80"]
)
async def test_what_is_no_utf_8_is_refused(client: httpx.AsyncClient, query: str) -> None:
    await created(client, observation())
    for kind in ("Observation", "Patient", "Organization", "Device"):
        assert "UTF-8" in refused(await client.get(f"/fhir/{kind}?{query}"))["diagnostics"]
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post(f"/fhir/{kind}/_search", content=query, headers=form)
        assert "UTF-8" in refused(answer)["diagnostics"]
    answer = await client.put(f"/fhir/Organization?{query}", json=organization())
    assert "UTF-8" in refused(answer)["diagnostics"]
    asked = {"If-None-Exist": query}
    answer = await client.post("/fhir/Organization", json=organization(), headers=asked)
    assert "UTF-8" in refused(answer)["diagnostics"]
    answer = await client.get(f"/fhir/$export?{query}", headers={"Prefer": "respond-async"})
    assert "UTF-8" in refused(answer)["diagnostics"]
    assert await found(client, "Organization") == []


async def test_raw_octets_of_utf_8_are_letters(client: httpx.AsyncClient) -> None:
    made = organization("Müller", identifier=[{"system": "urn:t", "value": "Ä-1"}])
    condition = {b"If-None-Exist": "identifier=urn:t|Ä-1".encode()}
    statuses = [
        (await client.post("/fhir/Organization", json=made, headers=condition)).status_code
        for _ in range(2)
    ]
    assert statuses == [201, 200]
    wrong = {b"If-None-Exist": "identifier=urn:t|Ä-1".encode("latin-1")}
    answer = await client.post("/fhir/Organization", json=made, headers=wrong)
    assert refused(answer)["expression"] == ["http.If-None-Exist"]


async def test_a_create_has_one_condition(client: httpx.AsyncClient) -> None:
    asked = [("If-None-Exist", "name=Ward"), ("If-None-Exist", "identifier=urn:t|1")]
    issue = refused(await client.post("/fhir/Organization", json=organization(), headers=asked))
    assert issue["expression"] == ["http.If-None-Exist"]
    assert await found(client, "Organization") == []


@pytest.mark.parametrize("path", ["Organization/%ff", "%ff", "Organization/%ff/_history/%ff"])
async def test_a_path_that_is_no_utf_8_names_nothing(client: httpx.AsyncClient, path: str) -> None:
    refused(await client.get(f"/fhir/{path}"), 404)


@pytest.mark.parametrize(
    "number",
    ["1e9999999999999999999", "1e-9999999999999999999", "-1E+9999999999999999999", "1e101"],
)
async def test_numbers_beyond_any_are_refused(client: httpx.AsyncClient, number: str) -> None:
    text = json.dumps(organization(extension=[{"url": "urn:x", "valueDecimal": 5}]))
    text = text.replace('"valueDecimal": 5', f'"valueDecimal": {number}')
    assert "1e100" in refused(await client.post("/fhir/Organization", content=text))["diagnostics"]
    for search in ("value-quantity", "component-value-quantity"):
        answer = await client.get(f"/fhir/Observation?{search}={number}")
        assert answer.status_code in (200, 400), answer.text


@ANY
@given(sign=st.sampled_from(["", "-"]), exponent=st.integers(-(10**25), 10**25), digits=st.text(
    "0123456789", min_size=1, max_size=30))  # fmt: skip
async def test_any_decimal(
    client: httpx.AsyncClient, sign: str, exponent: int, digits: str
) -> None:
    number = f"{sign}{digits[0]}.{digits}e{exponent}"
    text = json.dumps(organization(extension=[{"url": "urn:x", "valueDecimal": 5}]))
    text = text.replace('"valueDecimal": 5', f'"valueDecimal": {number}')
    answer = await client.post("/fhir/Organization", content=text)
    assert answer.status_code in (201, 400), answer.text
    answer = await client.get("/fhir/Observation", params={"value-quantity": number})
    assert answer.status_code in (200, 400), answer.text


@pytest.mark.parametrize("given", [None, 5, True, "x", {"a": 1}, [None], [5]])
async def test_parameters_that_are_no_list(client: httpx.AsyncClient, given: Any) -> None:
    body = {"resourceType": "Parameters", "parameter": given}
    wanted = {"Prefer": "respond-async"}
    refused(await client.post("/fhir/$export", json=body, headers=wanted))
    refused(await client.post("/fhir/Observation/$lastn", json=body))


@ANY
@given(given=PARAMETERS | JSON.filter(lambda given: given != []))
async def test_any_parameters(client: httpx.AsyncClient, given: Any) -> None:
    body = {"resourceType": "Parameters", "parameter": given}
    paths = (
        "$export", "Patient/$export", "Observation/$lastn", "Observation/$stats",
        "Patient/1/$everything",
    )  # fmt: skip
    for path in paths:
        answer = await client.post(f"/fhir/{path}", json=body, headers={"Prefer": "respond-async"})
        assert answer.status_code in (200, 202, 400, 404, 429), (path, answer.text)
        if answer.status_code == 202:
            await client.delete(answer.headers["Content-Location"])


async def test_statistics_of_any_numbers(client: httpx.AsyncClient) -> None:
    about: dict[str, Any] = {
        "code": {"coding": [{"system": "urn:x", "code": "big"}]},
        "subject": {"reference": f"Patient/{ANNA}"},
    }
    for number in ("1e100", "1e-100", "3", "7.12", "-1e100"):
        made = observation(**about, valueQuantity={"value": 5})
        text = json.dumps(made).replace('"value": 5', f'"value": {number}')
        answer = await client.post("/fhir/Observation", content=text)
        assert answer.status_code == 201, answer.text
    for each in STATISTICS:
        asked = {"patient": str(ANNA), "code": "urn:x|big", "statistic": each}
        answer = await client.get("/fhir/Observation/$stats", params=asked)
        assert answer.status_code == 200, (each, answer.text)


async def test_a_second_that_is_told_may_have_had_another_version(
    client: httpx.AsyncClient,
) -> None:
    """Last-Modified has seconds: what changed twice in one has two versions of one date."""
    made = await created(client, organization())
    url = f"/fhir/Organization/{made['id']}"
    read = await client.get(url)
    since = {"If-Modified-Since": read.headers["Last-Modified"]}
    assert (await client.get(url, headers=since)).status_code == 200
    moment = datetime.fromisoformat(made["meta"]["lastUpdated"]) + timedelta(seconds=1)
    later = {"If-Modified-Since": format_datetime(moment, usegmt=True)}
    await wait_until(lambda: datetime.now(UTC) >= moment)
    assert (await client.get(url, headers=later)).status_code == 304
    both = {**later, "If-None-Match": 'W/"0"'}
    assert (await client.get(url, headers=both)).status_code == 200
    ahead = {"If-Modified-Since": "Fri, 31 Dec 9999 23:59:59 GMT"}
    assert (await client.get(url, headers=ahead)).status_code == 200, "of a clock that is fast"


@pytest.mark.parametrize("version", ["3.0", '"5.0"', "1.0.2"])
async def test_bodies_of_other_versions_are_refused(
    client: httpx.AsyncClient, version: str
) -> None:
    kind = {"Content-Type": f"application/fhir+json; fhirVersion={version}"}
    refused(await client.post("/fhir/Organization", json=organization(), headers=kind), 415)
    kind = {"Content-Type": 'application/fhir+json; charset=utf-8; fhirVersion="4.0"'}
    answer = await client.post("/fhir/Organization", json=organization(), headers=kind)
    assert answer.status_code == 201


async def test_a_first_version_is_not_written_over(client: httpx.AsyncClient) -> None:
    url = "/fhir/Organization/new-one"
    made = organization(id="new-one")
    first = {"If-None-Match": "*"}
    answer = await client.put(url, json=made, headers=first)
    assert answer.status_code == 201
    tag = answer.headers["ETag"]
    other = {**made, "name": "South"}
    refused(await client.put(url, json=other, headers=first), 412)
    refused(await client.put(url, json=other, headers={"If-None-Match": tag}), 412)
    by_name = "/fhir/Organization?name=Ward"
    refused(await client.put(by_name, json=organization("South"), headers=first), 412)
    refused(await client.delete(url, headers=first), 412)
    assert (await client.get(url)).json()["name"] == made["name"]
    answer = await client.put(url, json=other, headers={"If-None-Match": 'W/"0"'})
    assert answer.status_code == 200
    assert (await client.delete(url)).status_code == 204
    assert (await client.put(url, json=made, headers=first)).status_code == 201, "it is gone"
