"""App launch: from the app's address to tokens for one patient, and every way that is closed."""

import json
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import jwt
import pytest

from support.served_ward import ANNA, BASE, BERT, LOGIN, PASSWORD, Ward
from support.smart_clients import (
    ASSERTION_TYPE,
    TOKEN_PATH,
    KeyPair,
    Pkce,
    assertion,
    jwks,
    query_of,
)
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.authorization import ClientRow, Launch

BACK = "https://app.example/back?from=wards"
SCOPES = (
    "launch", "launch/patient", "openid", "fhirUser", "offline_access", "online_access",
    "patient/*.rs", "user/Patient.rs",
)  # fmt: skip
PLAIN = "launch/patient patient/Patient.rs patient/Observation.rs"


@pytest.fixture
async def app(ward: Ward) -> ClientRow:
    """A public app."""
    made = ClientRow(
        "growth-chart", SCOPES, redirect_uris=(BACK, "https://app.example/other"),
        launch_url="https://app.example/launch", is_public=True,
    )  # fmt: skip
    await ward.store.put_registration(made)
    return made


@pytest.fixture
async def browser(app: ClientRow, web: httpx.AsyncClient) -> httpx.AsyncClient:
    """A browser in which the nurse has signed in."""
    answer = await web.post("/login", data={"login": LOGIN, "password": PASSWORD})
    assert answer.status_code == 303
    return web


def asked(pkce: Pkce, scope: str | None = PLAIN, **more: str | None) -> dict[str, str]:
    """Parameters of an app that keeps to everything."""
    told = {
        "response_type": "code", "client_id": "growth-chart", "redirect_uri": BACK,
        "scope": scope, "state": "state-1", "aud": f"{BASE}/fhir",
        "code_challenge": pkce.challenge, "code_challenge_method": "S256", **more,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


async def decide(
    browser: httpx.AsyncClient, parameters: dict[str, str], **form: str
) -> httpx.Response:
    """Press a button of the page with the question."""
    body = {"request": urlencode(parameters), "decision": "allow", "patient": str(ANNA), **form}
    return await browser.post("/oauth/consent", data=body, headers={"Origin": BASE})


async def code_of(browser: httpx.AsyncClient, parameters: dict[str, str]) -> str:
    """A code that the user allowed."""
    answer = await decide(browser, parameters)
    assert answer.status_code == 303, answer.text
    return query_of(answer.headers["location"])["code"]


def redeeming(code: str, pkce: Pkce, **more: str | None) -> dict[str, str]:
    """The form that exchanges a code."""
    told = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": BACK,
        "client_id": "growth-chart", "code_verifier": pkce.verifier, **more,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


async def tokens_of(browser: httpx.AsyncClient, scope: str = PLAIN, **more: str) -> dict[str, Any]:
    """What the token endpoint says to an app that the user allowed."""
    pkce = Pkce()
    code = await code_of(browser, asked(pkce, scope, **more))
    answer = await browser.post(TOKEN_PATH, data=redeeming(code, pkce))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def bearing(told: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {told['access_token']}"}


async def refreshed(web: httpx.AsyncClient, token: str, **more: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "growth-chart"}
    return await web.post(TOKEN_PATH, data={**form, **more})


async def test_an_app_reads_the_patient_that_was_chosen_and_no_other(
    browser: httpx.AsyncClient,
) -> None:
    told = await tokens_of(browser)
    assert told["patient"] == str(ANNA)
    assert told["scope"] == PLAIN
    assert told["expires_in"] == 3600 and "refresh_token" not in told
    found = await browser.get("/fhir/Patient", headers=bearing(told))
    assert [entry["resource"]["id"] for entry in found.json()["entry"]] == [str(ANNA)]
    assert (await browser.get(f"/fhir/Patient/{ANNA}", headers=bearing(told))).status_code == 200
    assert (await browser.get(f"/fhir/Patient/{BERT}", headers=bearing(told))).status_code == 404


async def test_the_way_goes_over_a_page_of_our_own_to_signing_in(
    app: ClientRow, web: httpx.AsyncClient
) -> None:
    parameters = asked(Pkce())
    arrived = await web.get("/oauth/authorize", params=parameters)
    assert arrived.status_code == 200
    onward = f"/oauth/consent?{urlencode(parameters)}"
    assert f'content="0;url={onward.replace("&", "&amp;")}"' in arrived.text
    sent = await web.get(onward)
    assert sent.status_code == 303
    assert query_of(sent.headers["location"]) == {"next": onward}
    assert urlsplit(sent.headers["location"]).path == "/login"
    posted = await web.post("/oauth/authorize", data=parameters)
    assert posted.text == arrived.text


async def test_the_question_names_app_rights_and_patients(browser: httpx.AsyncClient) -> None:
    scope = f"{PLAIN} openid offline_access user/Patient.rs"
    page = await browser.get("/oauth/consent", params=asked(Pkce(), scope))
    assert page.status_code == 200
    for words in (
        "growth-chart", "nurse", "Read measurements, such as heart rate and blood pressure, of "
        "this patient.", "Read name, birth date, sex and identifiers, of all patients that you",
        "Know that it is you", "while you are away", "Almeida, Anna", "Brandt, Bert",
    ):  # fmt: skip
        assert words in page.text
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' https://app.example;" in policy
    assert "frame-ancestors 'none'" in policy
    some = await browser.get("/oauth/consent", params={**asked(Pkce()), "find_patient": "bra"})
    assert "Brandt" in some.text and "Almeida" not in some.text


async def test_saying_no_tells_the_app_so(browser: httpx.AsyncClient) -> None:
    answer = await decide(browser, asked(Pkce()), decision="deny")
    told = query_of(answer.headers["location"])
    assert answer.headers["location"].startswith(f"{BACK}&")
    assert told["error"] == "access_denied"
    assert told["state"] == "state-1" and told["iss"] == BASE


async def test_nobody_is_chosen_by_accident(browser: httpx.AsyncClient) -> None:
    for patient in ("", "nobody", "00000000-0000-4000-8000-00000000dead"):
        answer = await decide(browser, asked(Pkce()), patient=patient)
        assert answer.status_code == 400
        assert "Choose the patient" in answer.text


async def test_another_site_cannot_press_the_button(browser: httpx.AsyncClient) -> None:
    body = {"request": urlencode(asked(Pkce())), "decision": "allow", "patient": str(ANNA)}
    answer = await browser.post(
        "/oauth/consent", data=body, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    browser.cookies.clear()
    assert (await decide(browser, asked(Pkce()))).status_code == 403


STRANGE: list[dict[str, str | None]] = [
    {"redirect_uri": "https://evil.example/back"},
    {"redirect_uri": f"{BACK}/"},
    {"redirect_uri": f"{BACK}&more=1"},
    {"redirect_uri": "https://app.example/back"},
    {"redirect_uri": "https://app.example:443/back?from=wards"},
    {"redirect_uri": "HTTPS://app.example/back?from=wards"},
    {"redirect_uri": "https://app.example@evil.example/back?from=wards"},
    {"redirect_uri": None},
    {"client_id": "somebody"},
    {"client_id": "ehr"},
    {"client_id": None},
]


async def test_nobody_is_sent_to_an_address_that_is_not_registered(
    browser: httpx.AsyncClient,
) -> None:
    for changed in STRANGE:
        parameters = asked(Pkce(), **changed)
        for path in ("/oauth/authorize", "/oauth/consent"):
            answer = await browser.get(path, params=parameters)
            assert answer.status_code == 400, changed
            assert "location" not in answer.headers and "http-equiv" not in answer.text
        assert (await decide(browser, parameters)).status_code == 400, changed


async def test_a_parameter_that_comes_twice_is_no_parameter(browser: httpx.AsyncClient) -> None:
    pairs = [*asked(Pkce()).items(), ("redirect_uri", "https://evil.example/")]
    answer = await browser.get(f"/oauth/consent?{urlencode(pairs)}")
    assert answer.status_code == 400 and "location" not in answer.headers


FAULTS: list[tuple[dict[str, str | None], str]] = [
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"aud": None}, "invalid_request"),
    ({"aud": "https://other.example/fhir"}, "invalid_request"),
    ({"state": None}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"prompt": "none"}, "interaction_required"),
    ({"request": "eyJ"}, "request_not_supported"),
    ({"scope": "system/*.rs"}, "invalid_scope"),
    ({"scope": None}, "invalid_scope"),
    ({"scope": "launch patient/Patient.rs"}, "invalid_request"),
    ({"launch": "unknown"}, "invalid_request"),
    ({"launch": "unknown", "scope": "launch patient/Patient.rs"}, "invalid_request"),
]


async def test_an_app_is_told_its_faults_at_its_own_address(browser: httpx.AsyncClient) -> None:
    for changed, error in FAULTS:
        parameters = asked(Pkce(), **changed)
        for answer in (
            await browser.get("/oauth/consent", params=parameters),
            await decide(browser, parameters),
        ):
            assert answer.status_code == 303, changed
            assert answer.headers["location"].startswith(f"{BACK}&")
            told = query_of(answer.headers["location"])
            assert told["error"] == error, changed
            assert "code" not in told
            assert told.get("state") == parameters.get("state")


async def test_a_code_serves_who_asked_for_it_only(ward: Ward, browser: httpx.AsyncClient) -> None:
    other = ClientRow("other", SCOPES, redirect_uris=(BACK,), is_public=True)
    await ward.store.put_registration(other)
    pkce = Pkce()
    right = redeeming(await code_of(browser, asked(pkce)), pkce)
    for changed in (
        {"code_verifier": Pkce().verifier},
        {"code_verifier": ""},
        {"redirect_uri": "https://app.example/other"},
        {"redirect_uri": ""},
        {"client_id": "other"},
        {"code": "wl_guess"},
    ):
        answer = await browser.post(TOKEN_PATH, data={**right, **changed})
        assert answer.status_code == 400, changed
        assert answer.json()["error"] in ("invalid_grant", "invalid_request")
    assert (await browser.post(TOKEN_PATH, data=right)).status_code == 200, "the right one still"


async def test_a_code_serves_once_and_its_second_use_ends_the_tokens(
    browser: httpx.AsyncClient,
) -> None:
    pkce = Pkce()
    code = await code_of(browser, asked(pkce, f"{PLAIN} offline_access"))
    first = (await browser.post(TOKEN_PATH, data=redeeming(code, pkce))).json()
    again = await browser.post(TOKEN_PATH, data=redeeming(code, pkce))
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert (await browser.get("/fhir/Patient", headers=bearing(first))).status_code == 401
    assert (await refreshed(browser, first["refresh_token"])).status_code == 400


async def test_a_code_ends_after_a_minute(ward: Ward, browser: httpx.AsyncClient) -> None:
    pkce = Pkce()
    code = await code_of(browser, asked(pkce))
    async with ward.store._connections.acquire() as connection:  # type: ignore[attr-defined]
        left = await connection.fetchval("SELECT extract(EPOCH FROM until - now()) FROM grant_code")
        assert 0 < left <= 60
        await connection.execute("UPDATE grant_code SET until = now()")
    answer = await browser.post(TOKEN_PATH, data=redeeming(code, pkce))
    assert answer.json()["error"] == "invalid_grant"


async def test_refresh_tokens_are_rotated_and_a_stolen_one_ends_the_family(
    browser: httpx.AsyncClient,
) -> None:
    told = await tokens_of(browser, f"{PLAIN} offline_access")
    second = (await refreshed(browser, told["refresh_token"])).json()
    assert second["refresh_token"] != told["refresh_token"]
    assert second["patient"] == str(ANNA)
    third = (await refreshed(browser, second["refresh_token"])).json()
    assert (await browser.get("/fhir/Patient", headers=bearing(third))).status_code == 200
    other = await refreshed(browser, third["refresh_token"], client_id="ehr")
    assert other.status_code == 401
    stolen = await refreshed(browser, told["refresh_token"])
    assert stolen.json()["error"] == "invalid_grant"
    fourth = await refreshed(browser, third["refresh_token"])
    assert fourth.status_code == 400, "nobody knows who of the two is the thief"


async def test_a_refresh_token_alone_says_which_public_app_it_is(
    browser: httpx.AsyncClient,
) -> None:
    """The form of SMART's JavaScript client 2.6.3: RFC 6749, 6, wants no more of a public app."""
    told = await tokens_of(browser, f"{PLAIN} offline_access")

    async def alone(token: str, **more: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, **more}
        return await browser.post(TOKEN_PATH, data=form)

    second = await alone(told["refresh_token"])
    assert second.status_code == 200, second.text
    headers = bearing(second.json())
    assert (await browser.get("/fhir/Patient", headers=headers)).status_code == 200
    access = await alone(second.json()["access_token"])
    assert (access.status_code, access.json()["error"]) == (400, "invalid_grant")
    stolen = await alone(told["refresh_token"])
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert (await alone(second.json()["refresh_token"])).status_code == 400, "the family has ended"


async def test_a_refresh_token_of_a_client_with_keys_needs_its_proof(
    browser: httpx.AsyncClient, ward: Ward
) -> None:
    told = await tokens_of(browser, f"{PLAIN} offline_access")
    async with ward.store._connections.acquire() as connection:  # type: ignore[attr-defined]
        await connection.execute("UPDATE api_client SET is_public = false")
    form = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    answer = await browser.post(TOKEN_PATH, data=form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_a_refresh_may_ask_for_less_and_not_for_more(browser: httpx.AsyncClient) -> None:
    told = await tokens_of(browser, "launch/patient patient/Patient.rs offline_access")
    less = await refreshed(
        browser, told["refresh_token"], scope="patient/Patient.r patient/Observation.rs"
    )
    assert less.json()["scope"] == "patient/Patient.r"
    headers = bearing(less.json())
    assert (await browser.get(f"/fhir/Patient/{ANNA}", headers=headers)).status_code == 200
    assert (await browser.get("/fhir/Patient", headers=headers)).status_code == 403
    assert (await browser.get("/fhir/Observation", headers=headers)).status_code == 403


async def test_online_access_ends_with_the_session(browser: httpx.AsyncClient) -> None:
    online = await tokens_of(browser, f"{PLAIN} online_access")
    offline = await tokens_of(browser, f"{PLAIN} offline_access")
    assert (await refreshed(browser, online["refresh_token"])).status_code == 200
    again = await tokens_of(browser, f"{PLAIN} online_access")
    await browser.post("/logout", headers={"Origin": BASE})
    assert (await refreshed(browser, again["refresh_token"])).status_code == 400
    assert (await refreshed(browser, offline["refresh_token"])).status_code == 200


async def test_who_the_user_is_stands_in_a_signed_token(
    ward: Ward, browser: httpx.AsyncClient
) -> None:
    scope = f"{PLAIN} openid fhirUser"
    without = await tokens_of(browser, scope)
    assert without["scope"] == f"{PLAIN} openid"
    assert await ward.store.put_fhir_user(LOGIN, "Practitioner/nurse-1")
    told = await tokens_of(browser, scope, nonce="nonce-1")
    assert told["scope"] == scope
    keys = jwt.PyJWKSet.from_dict((await browser.get("/oauth/jwks")).json())
    header = jwt.get_unverified_header(told["id_token"])
    assert header["alg"] == "ES384"
    claims = jwt.decode(
        told["id_token"], keys[header["kid"]], ["ES384"], audience="growth-chart", issuer=BASE
    )
    assert claims["fhirUser"] == f"{BASE}/fhir/Practitioner/nurse-1"
    assert claims["nonce"] == "nonce-1"
    assert LOGIN not in json.dumps(claims).replace("nurse-1", "")
    assert "id_token" not in await tokens_of(browser, PLAIN)


async def test_an_ehr_launch_brings_its_patient_once(
    ward: Ward, browser: httpx.AsyncClient
) -> None:
    made = await browser.post(
        "/api/v1/launch", json={"client": "growth-chart", "patient": str(BERT)},
        headers={"Origin": BASE},
    )  # fmt: skip
    assert made.status_code == 201, made.text
    address = made.json()["url"]
    assert address.startswith("https://app.example/launch?")
    told = query_of(address)
    assert told["iss"] == f"{BASE}/fhir"
    scope = "launch patient/Patient.rs"
    pkce = Pkce()
    parameters = asked(pkce, scope, launch=told["launch"])
    page = await browser.get("/oauth/consent", params=parameters)
    assert "Brandt, Bert" in page.text and "Almeida" not in page.text
    code = await code_of(browser, parameters)
    answer = await browser.post(TOKEN_PATH, data=redeeming(code, pkce))
    assert answer.json()["patient"] == str(BERT), "whatever a form says"
    again = await decide(browser, parameters)
    assert query_of(again.headers["location"])["error"] == "invalid_request"


async def test_a_launch_is_for_its_app_its_user_and_five_minutes(
    ward: Ward, browser: httpx.AsyncClient
) -> None:
    await ward.store.put_user("doctor", "no hash")
    other = ClientRow("other", SCOPES, redirect_uris=(BACK,), is_public=True)
    await ward.store.put_registration(other)
    for launch, lasts_s in (
        (Launch("other", ANNA, LOGIN), 300),
        (Launch("growth-chart", ANNA, "doctor"), 300),
        (Launch("growth-chart", ANNA, LOGIN), 0),
    ):
        shown = new_token()
        assert await ward.store.put_launch(token_hash(shown), launch, lasts_s=lasts_s)
        answer = await decide(browser, asked(Pkce(), "launch patient/*.rs", launch=shown))
        assert query_of(answer.headers["location"])["error"] == "invalid_request"


NO_LAUNCHES: list[tuple[object, dict[str, str], int]] = [
    ({"client": "growth-chart", "patient": str(ANNA)}, {"Origin": "https://evil.example"}, 403),
    ({"client": "growth-chart", "patient": "Anna"}, {}, 400),
    ({"client": "ehr", "patient": str(ANNA)}, {}, 404),
    ({"client": "growth-chart", "patient": "00000000-0000-4000-8000-00000000dead"}, {}, 404),
    ([], {}, 400),
]


async def test_launches_that_cannot_be(browser: httpx.AsyncClient) -> None:
    for body, headers, status in NO_LAUNCHES:
        answer = await browser.post("/api/v1/launch", json=body, headers=headers)
        assert answer.status_code == status, answer.text
    form = await browser.post("/api/v1/launch", data={"client": "growth-chart"})
    assert form.status_code == 403
    browser.cookies.clear()
    nobody = {"client": "growth-chart", "patient": str(ANNA)}
    assert (await browser.post("/api/v1/launch", json=nobody)).status_code == 401


async def test_a_confidential_app_signs_for_its_tokens(
    ward: Ward, browser: httpx.AsyncClient
) -> None:
    pair = KeyPair()
    await ward.store.put_registration(
        ClientRow("growth-chart", SCOPES, jwks=jwks(pair), redirect_uris=(BACK,))
    )
    pkce = Pkce()
    code = await code_of(browser, asked(pkce))
    bare = await browser.post(TOKEN_PATH, data=redeeming(code, pkce))
    assert (bare.status_code, bare.json()["error"]) == (401, "invalid_client")
    signed = assertion(pair, "growth-chart", BASE + TOKEN_PATH)
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
    told = await browser.post(TOKEN_PATH, data=redeeming(code, pkce, **proof))
    assert told.status_code == 200, told.text


async def test_an_app_ends_with_its_user_and_its_registration(
    ward: Ward, browser: httpx.AsyncClient, app: ClientRow
) -> None:
    told = await tokens_of(browser, f"{PLAIN} offline_access")
    await ward.store.put_registration(app)
    assert (await refreshed(browser, told["refresh_token"])).status_code == 400
    told = await tokens_of(browser, f"{PLAIN} offline_access")
    await ward.store.remove_user(LOGIN)
    assert (await refreshed(browser, told["refresh_token"])).status_code == 400


NASTY = (
    "%00", "%ff%fe", "\u0000", "é€𝄞", "' OR 1=1 --", "<script>alert(1)</script>", "{{7*7}}",
    "../..", "x" * 5000, "\r\nLocation: https://evil.example/", "https://evil.example/", "-1",
    "%ED%A0%80",
)  # fmt: skip


async def test_no_text_of_a_stranger_is_a_failure_of_ours(
    patient_brake: None, browser: httpx.AsyncClient
) -> None:
    """Each parameter of each endpoint with texts that break programs: an answer, never a 5xx."""
    pkce = Pkce()
    for text in NASTY:
        for name in (*asked(pkce), "launch", "nonce", "find_patient", "prompt", "other"):
            query = urlencode({**asked(pkce), name: text}).replace("%25", "%")
            for path in ("/oauth/authorize", "/oauth/consent"):
                answer = await browser.get(f"{path}?{query}")
                assert answer.status_code < 500, (path, name, text)
                assert "<script>" not in answer.text, name
                assert not answer.headers.get("location", BACK).startswith("https://evil"), name
        form = redeeming(text, pkce, client_assertion=text, refresh_token=text, scope=text)
        for grant_type in ("authorization_code", "client_credentials", "refresh_token", text):
            for path in (TOKEN_PATH, "/oauth/revoke", "/oauth/introspect"):
                told = {**form, "grant_type": grant_type, "token": text, "client_id": text}
                answer = await browser.post(path, data=told)
                assert 400 <= answer.status_code < 500, (path, text)
                public = {**told, "client_id": "growth-chart"}
                del public["client_assertion"]
                assert (await browser.post(path, data=public)).status_code < 500, (path, text)
        body = {"request": text, "decision": "allow", "patient": text}
        answer = await browser.post("/oauth/consent", data=body, headers={"Origin": BASE})
        assert answer.status_code == 400, text
