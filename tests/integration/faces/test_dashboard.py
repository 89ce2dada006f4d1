"""The pages over the real app: signing in, what they show, what they never do."""

import asyncio
import html
import re
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from support.readings import EPOCH, GATEWAY, BatchMaker, One, Rec, pulse
from support.served_ward import (
    ANNA,
    BASE,
    BERT,
    CLIP,
    CUFF,
    LOGIN,
    MINUTE,
    PASSWORD,
    START,
    Ward,
    quick_hash,
)
from support.waiting import wait_until
from wardlight_cloud.security.sessions import COOKIE
from wardlight_cloud.store.batch import Rejected
from wardlight_cloud.store.blobs_aside import AsideBlob
from wardlight_cloud.store.image_arrivals import Source

HOSTILE = """<script>alert(1)</script>"'&{{7*7}}{% x %}"""
FORM = {"login": LOGIN, "password": PASSWORD}


async def sign_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/login", data=FORM)
    assert answer.status_code == 303
    # The client is on https; the cookie of the ward's plain settings carries no Secure.
    assert COOKIE in client.cookies


async def test_pages_send_strangers_to_sign_in(ward: Ward) -> None:
    async with ward.client(token=None) as client:
        for path in ("/", f"/patients/{ANNA}", "/operations"):
            answer = await client.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"] == f"/login?next={path}"
            assert "Almeida" not in answer.text
        for path in (f"/api/v1/live?patient={ANNA}", f"/api/v1/trend?patient={ANNA}&series=1"):
            assert (await client.get(path)).status_code == 401
        # A bearer token is for programs: it opens no page.
        headers = {"Authorization": f"Bearer {ward.token}"}
        assert (await client.get("/", headers=headers)).status_code == 303


async def test_signing_in_and_out(ward: Ward) -> None:
    async with ward.client(token=None) as client:
        answer = await client.post("/login?next=/operations", data=FORM)
        assert (answer.status_code, answer.headers["location"]) == (303, "/operations")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert (await client.get("/operations")).status_code == 200
        assert (await client.post("/logout")).headers["location"] == "/login"
        assert (await client.get("/operations")).status_code == 303


async def test_wrong_password_says_no_more_than_that(ward: Ward) -> None:
    async with ward.client(token=None) as client:
        texts = set()
        odd = (("", ""), (f"{LOGIN}\0", PASSWORD), (LOGIN, f"{PASSWORD}\0"))
        for login, password in ((LOGIN, "wrong"), ("nobody", PASSWORD), *odd):
            answer = await client.post("/login", data={"login": login, "password": password})
            assert answer.status_code == 401
            assert COOKIE not in answer.headers.get("set-cookie", "")
            texts.add(re.search(r'role="alert">([^<]+)<', answer.text)[1])  # type: ignore[index]
        assert texts == {"Login and password do not belong together."}


async def test_guessing_is_slowed_down(ward: Ward) -> None:
    async with ward.client(token=None) as client:

        async def is_told_to_wait() -> bool:
            answer = await client.post("/login", data={"login": LOGIN, "password": "wrong"})
            assert answer.status_code == 401
            return "wait" in answer.text

        tries = [await is_told_to_wait() for _ in range(5)]
        assert tries[:4] == [False] * 4
        await wait_until(is_told_to_wait, 30, "the login must wait")
        other = await client.post("/login", data={"login": "other", "password": "x"})
        assert "wait" not in other.text


async def test_nobody_is_sent_to_another_site(ward: Ward) -> None:
    targets = (
        "https://evil.example/", "//evil.example/", "/\\evil.example", "/\t/evil.example",
        "/%09/evil.example", "javascript:alert(1)", "", "\\\\evil.example", "/\r\nSet-Cookie: a=b",
    )  # fmt: skip
    async with ward.client(token=None) as client:
        for target in targets:
            answer = await client.post("/login", params={"next": target}, data=FORM)
            assert answer.status_code == 303
            location = httpx.URL(BASE).join(answer.headers["location"])
            assert location.host == "wards.example", target
            assert location.scheme == "https"
            assert "a=b" not in answer.headers.get("set-cookie", "")


async def test_forms_of_other_sites_are_refused(ward: Ward) -> None:
    async with ward.client(token=None) as client:
        for origin in ("https://evil.example", "null", "https://wards.example.evil.example"):
            answer = await client.post("/login", data=FORM, headers={"Origin": origin})
            assert answer.status_code == 403
            assert COOKIE not in client.cookies
        answer = await client.post("/login", data=FORM, headers={"Origin": BASE})
        assert answer.status_code == 303
        refused = await client.post("/logout", headers={"Origin": "https://evil.example"})
        assert refused.status_code == 403
        assert (await client.get("/")).status_code == 200


async def test_a_huge_form_is_refused(ward: Ward) -> None:
    async with ward.client(token=None) as client:
        answer = await client.post("/login", data={**FORM, "more": "x" * 10_000})
        assert answer.status_code == 403


async def test_empty_states_say_what_to_do(ward: Ward) -> None:
    async with ward.client(token=None) as client:
        await sign_in(client)
        assert (await client.get("/")).text.count("never measured") == 12
        assert "No readings yet" in (await client.get(f"/patients/{ANNA}")).text
        operations = (await client.get("/operations")).text
        assert "No gateway has sent records yet" in operations
        assert "every record that arrived could be stored" in operations
        missing = await client.get(f"/patients/{uuid4()}")
        assert missing.status_code == 404
        assert "There is no such patient" in missing.text


async def test_hostile_names_stay_text(ward: Ward) -> None:
    stranger = UUID(int=7)
    await ward.add_patient(stranger, HOSTILE, HOSTILE, HOSTILE)
    async with ward.client(token=None) as client:
        await sign_in(client)
        for path in ("/", f"/patients/{stranger}"):
            text = (await client.get(path)).text
            assert "<script>alert" not in text
            assert "{{7*7}}" in html.unescape(text)
        wrong = await client.post("/login", data={"login": HOSTILE, "password": "x"})
        assert "<script>alert" not in wrong.text


async def test_list_shows_newest_values_with_their_time(ward: Ward) -> None:
    await ward.store_event(
        One("systolic_bp", START, 138, device=CUFF), One("diastolic_bp", START, 86, device=CUFF)
    )
    await ward.store_event(One("spo2", START, 0, absent=8, device=CLIP))
    await ward.store_event(One("pulse_rate_oximeter", START + MINUTE, 61, flags=1, device=CLIP))
    async with ward.client(token=None) as client:
        await sign_in(client)
        text = (await client.get("/")).text
        assert ">138/86<" in text
        assert f'data-time="{START.isoformat()}"' in text
        assert re.search(r'class="value absent">sensor off<', text)
        assert "questionable" in text
        patient = (await client.get(f"/patients/{BERT}")).text
        assert 'data-metric="pulse_rate_oximeter"' in patient
        assert "138" not in patient


async def test_operations_show_what_is_missing_and_refused(ward: Ward) -> None:
    await ward.store.note_hello(GATEWAY, EPOCH, 9, "1.0")
    reading = One("spo2", START, 97, device=CLIP)
    rejected = [Rejected(seq=2, reason="bad <scale>", body=b"123")]
    await ward.store.ingest([BatchMaker()(Rec(1, (reading,)), Rec(2), rejected=rejected)])
    async with ward.client(token=None) as client:
        await sign_in(client)
        text = (await client.get("/operations")).text
    assert "bad &lt;scale&gt;" in text
    assert re.search(
        r'"Missing" class="bad">7</td><td data-label="Rejected" class="bad">1</td>', text
    )


async def test_trend_is_the_patient_s_own(ward: Ward) -> None:
    """A device that changed hands shows each holder their own readings."""
    for place in range(6):
        await ward.store_event(One("spo2", START + place * MINUTE, 90 + place, device=CLIP))
    await ward.store.assign(ward.devices[CLIP], ANNA, user=None, valid_from=START + 3 * MINUTE)
    (row,) = await ward.store.latest([ANNA])
    query = {"series": str(row.series_id), "start": START.isoformat()}
    query["end"] = (START + timedelta(hours=1)).isoformat()
    async with ward.client() as client:
        own = await client.get("/api/v1/trend", params={**query, "patient": str(ANNA)})
        assert own.json()["mean"] == [93, 94, 95]
        other = await client.get("/api/v1/trend", params={**query, "patient": str(BERT)})
        assert other.status_code == 404
        for name, bad in (
            ("series", "-1"),
            ("series", "1" * 5000),
            ("series", "\u0661"),  # one, in Arabic-Indic digits
            ("points", "9" * 5000),
            ("end", "0001-01-01T00:00:00Z"),
            ("start", "0001-01-01T00:00:00+14:00"),
            ("end", "9999-12-31T23:59:59-14:00"),
            ("points", "9"),
            ("start", "2026-01-01"),
            ("patient", "x"),
        ):
            answer = await client.get(
                "/api/v1/trend", params={"patient": str(ANNA), **query, name: bad}
            )
            assert answer.status_code == 400
            assert answer.json()["error"].startswith(name)


async def test_a_new_password_ends_the_sessions_of_this_user(ward: Ward) -> None:
    async with ward.client(token=None) as client:
        await sign_in(client)
        assert (await client.get("/")).status_code == 200
        await ward.store.put_user(LOGIN, quick_hash("new-password"))
        await wait_until(lambda: _status(client, "/", 303), 30, "the session ends")
        live = await client.get(f"/api/v1/live?patient={ANNA}")
        assert live.status_code == 401
        assert (await client.post("/login", data=FORM)).status_code == 401
        new = await client.post("/login", data={**FORM, "password": "new-password"})
        assert new.status_code == 303
        assert (await client.get("/")).status_code == 200


async def _status(client: httpx.AsyncClient, path: str, expected: int) -> bool:
    return (await client.get(path)).status_code == expected


async def test_a_cookie_kept_from_before_the_sign_out_opens_nothing(ward: Ward) -> None:
    async with ward.client(token=None) as client:
        await sign_in(client)
        cookie = client.cookies[COOKIE]
        await client.post("/logout")
        client.cookies.clear()
        for text in (cookie, f"{cookie[:-1]}A", "x" * 43, "."):
            answer = await client.get("/", headers={"Cookie": f"{COOKIE}={text}"})
            assert answer.status_code == 303, text


async def test_a_flood_of_sign_ins_is_turned_away(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check costs memory and a core; what is too much waits outside."""
    find, somebody_is_refused = ward.store.password_hash, asyncio.Event()

    async def find_late(login: str) -> str | None:
        await somebody_is_refused.wait()
        return await find(login)

    async with ward.client(token=None) as client:

        async def status(form: dict[str, str]) -> int:
            code = (await client.post("/login", data=form)).status_code
            if code == 503:
                somebody_is_refused.set()
            return code

        monkeypatch.setattr(ward.store, "password_hash", find_late)
        forms = [{"login": f"guess-{n}", "password": "x"} for n in range(60)]
        assert {*await asyncio.gather(*map(status, forms))} == {401, 503}
        assert (await client.post("/login", data=FORM)).status_code == 303


async def test_every_answer_carries_the_security_headers(ward: Ward) -> None:
    paths = ("/login", "/", "/healthz", "/readyz", "/metrics", "/fhir/metadata", "/none")
    async with ward.client(token=None) as client:
        for path in (*paths, "/fhir/Patient", "/static/live.js"):
            headers = (await client.get(path)).headers
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "script-src" not in headers["content-security-policy"]  # 'self', never inline
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            # "no-referrer" would make browsers send "Origin: null" with our own forms.
            assert headers["referrer-policy"] == "same-origin"
            assert (headers.get("cache-control") == "no-store") == (not path.startswith("/static"))


async def test_health_readiness_and_metrics_are_open_and_name_no_patient(ward: Ward) -> None:
    async with ward.client(token=None) as client:
        assert (await client.get("/healthz")).json()["status"] == "ok"
        assert (await client.get("/readyz")).json() == {"ready": True}
        for path in (f"/patients/{ANNA}", "/static/live.js", "/Almeida", f"/fhir/Patient/{ANNA}"):
            await client.get(path)
        metrics = (await client.get("/metrics")).text
    for route, status in (
        ("/healthz", 200),
        ("/patients/{patient:uuid}", 303),
        ("/static", 200),
        ("/fhir/Patient/{id}", 401),
    ):
        assert f'{{method="GET",route="{route}",status="{status}"}}' in metrics
    assert re.search(r"^wardlight_database_connections_in_use \d+\.0$", metrics, re.MULTILINE)
    assert str(ANNA) not in metrics
    assert "Almeida" not in metrics


async def test_readiness_is_denied_soon_when_the_database_hangs(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = asyncio.Event()

    async def is_ready() -> bool:
        return await hangs.wait()

    async with ward.client(token=None) as client:
        monkeypatch.setattr(ward.store, "is_ready", is_ready)
        async with asyncio.timeout(180):  # the limit of a statement
            answer = await client.get("/readyz")
        hangs.set()
    assert (answer.status_code, answer.json()) == (503, {"ready": False})


async def test_an_unknown_page_is_a_page(ward: Ward) -> None:
    async with ward.client(token=None) as client:
        for path in ("/patients", "/patients/x", "/nothing/here"):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert "There is no such page" in answer.text


async def test_templates_hold_no_inline_script(ward: Ward) -> None:
    """The policy forbids them: a page with one would be dead in a browser."""
    async with ward.client(token=None) as client:
        await sign_in(client)
        for path in ("/", f"/patients/{ANNA}", "/operations"):
            text = (await client.get(path)).text
            assert not re.search(r"<script(?![^>]*\bsrc=)", text)
            assert not re.search(r"\bon[a-z]+=", text)


async def test_operations_show_files_of_gateways_that_nobody_sees(ward: Ward) -> None:
    """Their modalities may have deleted them: nothing else says that an examination is missing."""
    source = Source("gateway", GATEWAY, 7, 12, "US-ROOM-3", "WARDLIGHT", "192.0.2.7", START)
    async with ward.client(token=None) as client:
        await client.post("/login", data=FORM)
        text = (await client.get("/operations")).text
        assert "None: every image that a gateway delivered can be seen." in text
        await ward.store.put_blob_aside(AsideBlob(b"\1" * 32, 4711, "uid", source))
        text = (await client.get("/operations")).text
        assert re.search(r"1 file\s+that gateways delivered and nobody sees", text)
        row = text.partition('aria-label="Images that were set aside"')[2].partition("</table>")[0]
        for shown in (GATEWAY, ">12<", "US-ROOM-3", ">4711<", "uid: its Study", "01" * 32):
            assert shown in row, shown
        for number in range(100):
            aside = AsideBlob(bytes([number]) * 32, 1, "cut", replace(source, item=100 + number))
            await ward.store.put_blob_aside(aside)
        assert "More than 100 files" in (await client.get("/operations")).text


async def test_operations_show_a_reading_that_was_kept_aside(ward: Ward) -> None:
    """Another value for a known moment is neither dropped nor shown as a vital sign."""
    await ward.store_event(pulse(START, 61, device=CLIP))
    await ward.store_event(pulse(START, 88, device=CLIP))
    (aside,) = await ward.store.quarantined()
    assert (aside.device, aside.time, aside.seq) == (CLIP, START, 2)
    async with ward.client(token=None) as client:
        await client.post("/login", data=FORM)
        text = (await client.get("/operations")).text
    assert aside.reason in text
    assert CLIP in text
    assert ">88<" not in text
