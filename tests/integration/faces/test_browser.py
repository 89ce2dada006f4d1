"""The pages in a real browser: what an open page says when things break, how it fits and walks."""

from datetime import timedelta

import pytest
from playwright.async_api import Browser, expect

from support.browsed_ward import PATIENCE_MS, ZONE, is_the_first, measured, serving, sign_in
from support.served_ward import BERT, LOGIN, PASSWORD, Ward, quick_hash

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),  # one browser for the file
    pytest.mark.timeout(400),  # a browser on a machine that is busy
]


@pytest.mark.parametrize("path", ["/", f"/patients/{BERT}"])
async def test_without_scripts_ages_are_shown_and_said_to_stand_still(
    path: str, browsed_ward: Ward, browser: Browser
) -> None:
    await measured(browsed_ward, timedelta(hours=2))
    async with serving(browsed_ward) as url:
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        await page.goto(f"{url}{path}")
        await page.fill("#login", LOGIN)
        await page.fill("#password", PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{url}{path}", timeout=PATIENCE_MS)
        await expect(page.locator(".stale .age")).to_have_text("not current: 2 h 0 min ago")
        await expect(page.locator("noscript p")).to_contain_text("stands still")


async def test_times_are_those_of_the_reader_and_say_so(
    browsed_ward: Ward, browser: Browser
) -> None:
    moment = await measured(browsed_ward, timedelta(minutes=3))
    async with serving(browsed_ward) as url:
        page = await sign_in(browser, url, f"/patients/{BERT}")
        await expect(page.locator("#zone")).to_contain_text(ZONE)
        local = moment + timedelta(hours=8, minutes=45)
        await expect(page.locator(".tile time").first).to_contain_text(f"{local:%M:%S}")
        await expect(page.locator(".tile time").first).to_contain_text(f"{local:%H}:")


async def test_a_session_that_ends_takes_the_patients_off_the_screen(
    browsed_ward: Ward, browser: Browser
) -> None:
    await measured(browsed_ward, timedelta(seconds=1))
    async with serving(browsed_ward) as url:
        page = await sign_in(browser, url, f"/patients/{BERT}")
        await browsed_ward.store.put_user(LOGIN, quick_hash("another one"))
        await page.wait_for_url("**/login?ended=1*", timeout=2 * PATIENCE_MS)
        await expect(page.get_by_role("status")).to_contain_text("Your session has ended")
        await expect(page.locator("body")).not_to_contain_text("Brandt")


async def test_a_page_without_its_server_says_so_and_recovers(
    browsed_ward: Ward, browser: Browser
) -> None:
    await measured(browsed_ward, timedelta(seconds=1))
    async with serving(browsed_ward) as url:
        page = await sign_in(browser, url, "/")
        await expect(page.locator("#connection")).to_be_hidden()
    banner = page.locator("#connection")
    await expect(banner).to_contain_text("live connection was lost", timeout=PATIENCE_MS)
    assert "offline" in (await page.locator("body").get_attribute("class") or "")
    async with serving(browsed_ward, int(url.rpartition(":")[2])):
        await expect(banner).to_be_hidden(timeout=PATIENCE_MS)
        assert await is_the_first(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_narrow_pages_fit_and_are_walked_by_keyboard(
    scheme: str, browsed_ward: Ward, browser: Browser
) -> None:
    await measured(browsed_ward, timedelta(seconds=1))
    await measured(browsed_ward, timedelta(days=-1))
    narrow = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    async with serving(browsed_ward) as url:
        page = await sign_in(browser, url, "/", **narrow)
        for path in ("/", f"/patients/{BERT}", "/operations"):
            await page.goto(f"{url}{path}")
            await page.wait_for_load_state()
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390, f"{path} is {width} wide"
            await page.keyboard.press("Tab")
            assert await page.evaluate("document.activeElement.className") == "skip"
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            await page.keyboard.press("Tab")
            assert await page.evaluate(outline) != "none"
