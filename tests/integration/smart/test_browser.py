"""An app is opened in a real browser: from another site, with the keyboard, on a phone."""

from urllib.parse import urlencode

import httpx
import pytest
from playwright.async_api import expect

from support.browsed_ward import PATIENCE_MS, serving
from support.browser import open_browser
from support.plain_http import PLAIN
from support.served_ward import ANNA, LOGIN, PASSWORD, Ward
from support.smart_clients import TOKEN_PATH, Pkce, query_of
from wardlight_cloud.store.authorization import ClientRow

pytestmark = pytest.mark.timeout(400)  # a browser on a machine that is busy


@pytest.mark.browser
async def test_an_app_is_opened_by_keyboard_on_a_phone(ward: Ward) -> None:
    ward.settings = ward.settings.model_copy(
        update={"http": ward.settings.http.model_copy(update={"base_url": None})}
    )
    async with serving(ward) as url, open_browser() as chromium:
        # Another host name for the same machine is another site to a browser.
        site = url.replace("127.0.0.1", "localhost")
        back = f"{site}/healthz"
        app = ClientRow(
            "growth-chart", ("launch/patient", "patient/*.rs"), redirect_uris=(back,),
            is_public=True,
        )  # fmt: skip
        await ward.store.put_registration(app)
        pkce = Pkce()
        asked = {
            "response_type": "code", "client_id": app.name, "redirect_uri": back,
            "scope": "launch/patient patient/*.rs", "state": "state-1", "aud": f"{url}/fhir",
            "code_challenge": pkce.challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        page = await chromium.new_page(viewport={"width": 375, "height": 667})
        for has_signed_in in (False, True):
            await page.goto(f"{site}/healthz")
            await page.evaluate(
                "to => { location.href = to }", f"{url}/oauth/authorize?{urlencode(asked)}"
            )
            if not has_signed_in:
                await page.wait_for_selector("#password", timeout=PATIENCE_MS)
                await page.fill("#login", LOGIN)
                await page.fill("#password", PASSWORD)
                await page.keyboard.press("Enter")
            await page.wait_for_selector("fieldset", timeout=PATIENCE_MS)
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= 375, "nothing is beside the screen"
            await page.fill("#find", "alm")
            await page.keyboard.press("Enter")
            await expect(page.locator("[type=radio]")).to_have_count(1, timeout=PATIENCE_MS)
            await page.focus("[type=radio]")
            await page.keyboard.press("Space")
            await page.keyboard.press("Tab")
            focused = await page.evaluate("document.activeElement.textContent")
            assert focused == "Allow"
            await page.keyboard.press("Enter")
            await page.wait_for_url(f"{back}?*", timeout=PATIENCE_MS)
        told = query_of(page.url)
        assert told["state"] == "state-1" and told["iss"] == url
        form = {
            "grant_type": "authorization_code", "code": told["code"], "redirect_uri": back,
            "client_id": app.name, "code_verifier": pkce.verifier,
        }  # fmt: skip
        async with httpx.AsyncClient(timeout=180, verify=PLAIN) as client:
            answer = await client.post(url + TOKEN_PATH, data=form)
        assert answer.json()["patient"] == str(ANNA)
