"""Backend Services: a token for a signed assertion, and what it then opens."""

import base64
import hmac
import json
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import pytest

from support.served_ward import ANNA, BASE, Ward
from support.smart_clients import TOKEN_PATH, KeyPair, asking, assertion, claims, jwks
from wardlight_cloud.app import create_app
from wardlight_cloud.smart import brake
from wardlight_cloud.store.authorization import ClientRow

TOKEN_URL = BASE + TOKEN_PATH


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
async def test_a_key_pair_opens_fhir(ward: Ward, web: httpx.AsyncClient, algorithm: str) -> None:
    pair = KeyPair("RS384" if algorithm == "RS384" else "ES384")
    await ward.store.put_registration(
        ClientRow("service", ("system/Patient.rs", "system/Observation.rs"), jwks=jwks(pair))
    )
    form = asking(
        assertion(pair, "service", TOKEN_URL),
        scope="system/Patient.rs system/Observation.read system/Observation.cud patient/*.rs",
    )
    answer = await web.post(TOKEN_PATH, data=form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert told["scope"] == "system/Patient.rs system/Observation.read"
    assert told["token_type"] == "Bearer" and told["expires_in"] == 300
    assert "refresh_token" not in told
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    found = await web.get("/fhir/Patient", headers=headers)
    assert {entry["resource"]["id"] for entry in found.json()["entry"]} >= {str(ANNA)}
    refused = await web.get("/fhir/Device", headers=headers)
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    assert refused.json()["resourceType"] == "OperationOutcome"


async def refused(web: httpx.AsyncClient, form: dict[str, str]) -> str:
    """The description of a refusal as the standard has it."""
    answer = await web.post(TOKEN_PATH, data=form)
    told = answer.json()
    assert (answer.status_code, told["error"]) == (401, "invalid_client"), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert set(told) == {"error", "error_description"}
    description: str = told["error_description"]
    return description


async def test_an_assertion_serves_once(web: httpx.AsyncClient, pair: KeyPair) -> None:
    signed = assertion(pair, "service", TOKEN_URL)
    assert (await web.post(TOKEN_PATH, data=asking(signed))).status_code == 200
    assert "jti was used before" in await refused(web, asking(signed))
    again = assertion(pair, "service", TOKEN_URL, jti=jwt.decode(signed, **UNCHECKED)["jti"])
    assert "jti was used before" in await refused(web, asking(again))


UNCHECKED: dict[str, Any] = {"options": {"verify_signature": False}}
NOW = int(time.time())
WRONG_CLAIMS: list[tuple[dict[str, object], str]] = [
    ({"aud": "https://other.example/oauth/token"}, "aud must be"),
    ({"aud": BASE}, "aud must be"),
    ({"aud": [TOKEN_URL, "https://other.example/oauth/token"]}, "aud must be"),
    ({"aud": None}, "aud must be"),
    ({"exp": NOW - 60}, "exp is missing or has passed"),
    ({"exp": None}, "exp is missing or has passed"),
    ({"exp": "soon"}, "exp is missing or has passed"),
    ({"exp": float("nan")}, "exp is missing or has passed"),
    ({"exp": NOW + 3600}, "5 minutes"),
    ({"exp": float("inf")}, "exp is missing or has passed"),
    ({"nbf": NOW + 3000}, "nbf"),
    ({"iat": "now"}, "iat"),
    ({"iss": "somebody"}, "iss and sub"),
    ({"iss": None}, "iss and sub"),
    ({"sub": None}, "sub must be"),
    ({"sub": ["service"]}, "sub must be"),
    ({"sub": "nobody", "iss": "nobody"}, "no client of this name"),
    ({"sub": "ehr", "iss": "ehr"}, "no client of this name"),
    ({"sub": "service\0"}, "sub must be"),
    ({"sub": "\ud800", "iss": "\ud800"}, "sub must be"),
    ({"exp": 10**400}, "exp is missing or has passed"),
    ({"exp": True}, "exp is missing or has passed"),
    ({"jti": None}, "jti"),
    ({"jti": ""}, "jti"),
    ({"jti": "x" * 300}, "jti"),
    ({"jti": 7}, "jti"),
]


async def test_claims_that_prove_nothing(
    patient_brake: None, web: httpx.AsyncClient, pair: KeyPair
) -> None:
    for changed, words in WRONG_CLAIMS:
        description = await refused(web, asking(assertion(pair, "service", TOKEN_URL, **changed)))
        assert words in description, changed
    taken: list[dict[str, object]] = [
        {"nbf": int(time.time()) - 5}, {"aud": [TOKEN_URL]}, {"iat": None},
    ]  # fmt: skip
    for also in taken:
        signed = assertion(pair, "service", TOKEN_URL, **also)
        assert (await web.post(TOKEN_PATH, data=asking(signed))).status_code == 200, also


def by_hand(header: dict[str, object], payload: bytes, key: bytes | None) -> str:
    """A JWT as nobody's library makes it; ``key``: signed with HMAC SHA-256."""
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=")
    body = head + b"." + base64.urlsafe_b64encode(payload).rstrip(b"=")
    mac = b"" if key is None else hmac.digest(key, body, "sha256")
    return (body + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


async def test_signatures_that_prove_nothing(
    patient_brake: None, ward: Ward, web: httpx.AsyncClient, pair: KeyPair
) -> None:
    told = json.dumps(claims("service", TOKEN_URL)).encode()
    stranger, rsa = KeyPair(kid=pair.kid), KeyPair("RS384", kid="rsa-key")
    await ward.store.put_registration(ClientRow("service", ("system/*.rs",), jwks=jwks(pair, rsa)))
    whole = assertion(pair, "service", TOKEN_URL)
    head, _, mac = whole.split(".")
    other = json.dumps({**json.loads(told), "sub": "admin"}).encode()
    forged = {
        "none": by_hand({"alg": "none", "kid": pair.kid}, told, None),
        "None": by_hand({"alg": "None", "kid": pair.kid}, told, None),
        "HS256 with the public key": by_hand(
            {"alg": "HS256", "kid": "rsa-key"}, told, rsa.public_pem()
        ),
        "RS384 without a signature": by_hand({"alg": "RS384", "kid": "rsa-key"}, told, None),
        "RS384 with a MAC": by_hand({"alg": "RS384", "kid": "rsa-key"}, told, rsa.public_pem()),
        "RS256": jwt.encode(json.loads(told), rsa.private, "RS256", {"kid": "rsa-key"}),
        "PS384": jwt.encode(json.loads(told), rsa.private, "PS384", {"kid": "rsa-key"}),
        "another's key": assertion(stranger, "service", TOKEN_URL),
        "a key of its own": by_hand(
            {"alg": "ES384", "jwk": stranger.jwk(), "jku": "https://evil.example/"}, told, None
        ),
        "unknown kid": assertion(KeyPair(kid="other"), "service", TOKEN_URL),
        "kid of another type": by_hand({"alg": "ES384", "kid": 7}, told, None),
        "key of another algorithm": by_hand({"alg": "ES384", "kid": "rsa-key"}, told, None),
        "crit": jwt.encode(
            json.loads(told), pair.private, "ES384", {"kid": pair.kid, "crit": ["exp"], "exp": 1}
        ),
        "changed body": f"{head}.{base64.urlsafe_b64encode(other).decode().rstrip('=')}.{mac}",
        "cut off": whole[:-3],
        "no body": f"{head}..{mac}",
        "body no object": jwt.api_jws.encode(b"[1]", pair.private, "ES384", {"kid": pair.kid}),
        "deep": by_hand({"alg": "ES384"}, b"[" * 2500 + b"]" * 2500, None),
        "huge": by_hand({"alg": "ES384"}, b" " * 9000 + told, None),
        "empty": ".",
        "other letters": "é.é.é",
    }
    for what, signed in forged.items():
        assert await refused(web, asking(signed)), what
    assert (await web.post(TOKEN_PATH, data=asking(whole))).status_code == 200


async def test_forms_that_ask_for_nothing(
    patient_brake: None, ward: Ward, web: httpx.AsyncClient, pair: KeyPair
) -> None:
    public = ClientRow(
        "app", ("patient/*.rs",), redirect_uris=("https://a.example/",), is_public=True
    )
    await ward.store.put_registration(public)
    signed = assertion(pair, "service", TOKEN_URL)
    right = asking(signed)
    faults: list[tuple[dict[str, str], int, str]] = [
        ({**right, "grant_type": "password"}, 400, "unsupported_grant_type"),
        ({**right, "grant_type": ""}, 400, "unsupported_grant_type"),
        ({**right, "client_assertion_type": "jwt"}, 401, "invalid_client"),
        ({**right, "client_assertion": ""}, 401, "invalid_client"),
        ({**right, "client_id": "ehr"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "service"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "app"}, 400, "unauthorized_client"),
        ({"grant_type": "authorization_code", "client_id": "ehr"}, 401, "invalid_client"),
        ({**right, "scope": "\0"}, 400, "invalid_request"),
        ({**right, "scope": "x" * 40_000}, 413, "invalid_request"),
    ]
    for form, status, error in faults:
        answer = await web.post(TOKEN_PATH, data=form)
        assert (answer.status_code, answer.json()["error"]) == (status, error), form
    twice = await web.post(
        TOKEN_PATH, content=b"grant_type=client_credentials&grant_type=refresh_token",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")
    assert (await web.post(TOKEN_PATH, json=right)).json()["error"] == "invalid_request"
    assert (await web.get(TOKEN_PATH)).status_code == 404
    assert (await web.post(TOKEN_PATH, data=right)).status_code == 200, "none of it used it up"
    for scope in ("patient/*.rs", "system/*.cud", "openid", "nonsense"):
        form = asking(assertion(pair, "service", TOKEN_URL), scope=scope)
        assert (await web.post(TOKEN_PATH, data=form)).json()["error"] == "invalid_scope"


async def test_who_fails_over_and_over_must_wait(
    ward: Ward, web: httpx.AsyncClient, pair: KeyPair
) -> None:
    await ward.store.put_registration(ClientRow("other", ("system/*.rs",), jwks=jwks(pair)))
    stranger = KeyPair(kid=pair.kid)
    for _ in range(brake.FAILURES_MAX):
        await refused(web, asking(assertion(stranger, "service", TOKEN_URL)))
    answer = await web.post(TOKEN_PATH, data=asking(assertion(pair, "service", TOKEN_URL)))
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 61
    other = await web.post(TOKEN_PATH, data=asking(assertion(pair, "other", TOKEN_URL)))
    assert other.status_code == 200, "others do not wait"
    for number in range(brake.FAILURES_OF_ADDRESS_MAX - brake.FAILURES_MAX):
        await refused(web, {"grant_type": "client_credentials", "client_id": f"guess-{number}"})
    answer = await web.post(TOKEN_PATH, data=asking(assertion(pair, "other", TOKEN_URL)))
    assert answer.status_code == 429, "but for one address that tries one name after the other"


async def test_a_server_that_does_not_know_its_name_gives_no_tokens(
    ward: Ward, pair: KeyPair
) -> None:
    """Else an assertion for another server could be shown here, under that server's name."""
    http = ward.settings.http.model_copy(update={"base_url": None})
    ward.app = create_app(ward.settings.model_copy(update={"http": http}), ward.store)
    async with ward.client(token=None) as web:
        for host in ("wards.example", "evil.example", "localhost.evil.example", "a@localhost", ""):
            url = f"https://{host}{TOKEN_PATH}"
            answer = await web.post(
                TOKEN_PATH, data=asking(assertion(pair, "service", url)), headers={"Host": host}
            )
            assert answer.status_code == 503, host
        here = f"https://localhost:8443{TOKEN_PATH}"
        form = asking(assertion(pair, "service", here))
        answer = await web.post(TOKEN_PATH, data=form, headers={"Host": "localhost:8443"})
        assert answer.status_code == 200, answer.text


async def test_tokens_are_looked_at_and_ended(
    patient_brake: None, ward: Ward, web: httpx.AsyncClient, pair: KeyPair
) -> None:
    watcher = KeyPair(kid="watcher-key")
    await ward.store.put_registration(
        ClientRow("watcher", ("system/*.rs",), jwks=jwks(watcher), may_introspect=True)
    )

    async def ask(path: str, own: KeyPair, name: str, token: str) -> httpx.Response:
        proof = asking(assertion(own, name, TOKEN_URL))
        return await web.post(path, data={**proof, "token": token})

    given = await web.post(TOKEN_PATH, data=asking(assertion(pair, "service", TOKEN_URL)))
    token = given.json()["access_token"]
    told = (await ask("/oauth/introspect", watcher, "watcher", token)).json()
    assert told["active"] and told["client_id"] == "service" and told["scope"] == "system/*.rs"
    assert told["exp"] - told["iat"] == 300
    assert (await ask("/oauth/introspect", pair, "service", token)).status_code == 403
    nothing = await ask("/oauth/introspect", watcher, "watcher", "wl_unknown")
    assert nothing.json() == {"active": False}
    assert (await web.post("/oauth/introspect", data={"token": token})).status_code == 401
    other = await ask("/oauth/revoke", watcher, "watcher", token)
    assert (other.status_code, other.content) == (200, b""), "nothing is told about it"
    assert (await ask("/oauth/introspect", watcher, "watcher", token)).json()["active"]
    assert (await ask("/oauth/revoke", pair, "service", token)).status_code == 200
    after = await ask("/oauth/introspect", watcher, "watcher", token)
    assert after.json() == {"active": False}
    headers = {"Authorization": f"Bearer {token}"}
    assert (await web.get("/fhir/Patient", headers=headers)).status_code == 401


async def test_where_everything_is(web: httpx.AsyncClient) -> None:
    """Without a token, also below the FHIR base, and for scripts of other sites."""
    told = (await web.get("/fhir/.well-known/smart-configuration")).json()
    assert told["token_endpoint"] == TOKEN_URL
    assert told["authorization_endpoint"] == f"{BASE}/oauth/authorize"
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert {"RS384", "ES384"} == set(told["token_endpoint_auth_signing_alg_values_supported"])
    assert {"launch-ehr", "permission-v2", "client-confidential-asymmetric"} <= set(
        told["capabilities"]
    )
    for path in ("/.well-known/smart-configuration", "/.well-known/openid-configuration"):
        answer = await web.get(path)
        assert answer.json() == told
        assert answer.headers["access-control-allow-origin"] == "*"
    [key] = (await web.get(urlsplit(told["jwks_uri"]).path)).json()["keys"]
    assert key["alg"] == "ES384" and "d" not in key
