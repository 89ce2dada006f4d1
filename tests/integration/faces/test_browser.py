"""The pages in a real browser: new values appear and old ones are called so; what an open page says
when things break; how it fits and is walked.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import pytest
from playwright.async_api import Page, expect

from support.browsed_ward import (
    PATIENCE_MS,
    ZONE,
    is_the_first,
    measured,
    serving,
    sign_in,
)
from support.readings import One
from support.served_ward import BERT, CLIP, LOGIN, PASSWORD, Ward, quick_hash
from support.waiting import wait_until
from wardlight_cloud.dashboard.views import stale_after
from wardlight_cloud.live import routes
from wardlight_cloud.security import sessions
from wardlight_shared.model import Flag

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),  # one browser for the file
    pytest.mark.timeout(400),  # a browser on a machine that is busy
]
RENEWED_AFTER_S = 16  # a page that lacks a place for a value is laid out anew, if it is no younger


async def sign_in_with_a_clock(page: Page, url: str, path: str) -> None:
    """Sign in, on a page whose clock can be put forward."""
    await page.clock.install()
    await sign_in(page, url, path)


async def time_passes(page: Page, seconds: int) -> None:
    """As after the sleep of a laptop: the timers that are due run once."""
    await page.clock.fast_forward(seconds * 1000)


@asynccontextmanager
async def hearing_of_rows(page: Page) -> AsyncIterator[None]:
    """Until the end of the block the open page has been told of what was measured in it."""
    await page.evaluate(
        """document.addEventListener("wardlight:rows", (event) => {
            globalThis.toldOf = event.detail.length;
        })"""
    )
    yield
    # Asked from here: what the page would evaluate by itself its policy forbids.
    await wait_until(lambda: page.evaluate("globalThis.toldOf > 0"), what="the page is told")


@pytest.mark.parametrize("path", ["/", f"/patients/{BERT}"])
async def test_a_value_becomes_old_before_one_s_eyes(
    path: str, browsed_ward: Ward, page: Page
) -> None:
    """No reload, no new reading: time alone makes it stale, in words; a new one makes it fresh."""
    async with serving(browsed_ward) as url:
        await measured(browsed_ward, stale_after("spo2") - timedelta(seconds=100))
        await sign_in_with_a_clock(page, url, path)
        cell = page.locator(".reading").first
        await expect(cell.locator(".value")).to_have_text("97", timeout=PATIENCE_MS)
        await expect(cell.locator(".age")).not_to_contain_text("not current")
        await time_passes(page, 100)
        await expect(cell.locator(".age")).to_contain_text("not current", timeout=PATIENCE_MS)
        await measured(browsed_ward, timedelta(seconds=1), int(Flag.RELEASED))
        await expect(cell.locator(".age")).not_to_contain_text("not current", timeout=PATIENCE_MS)
        await expect(cell.locator(".marks")).to_have_text("released by a person")
        assert await is_the_first(page)


async def test_a_cell_keeps_the_rhythm_of_the_metric_it_shows(
    browsed_ward: Ward, page: Page
) -> None:
    """The cuff's pulse of an hour ago is current; a streamed heart rate of 3 minutes ago is not."""
    now = datetime.now(UTC)
    await browsed_ward.store_event(
        One("pulse_rate_nibp", now - timedelta(hours=1), 70, device=CLIP)
    )
    async with serving(browsed_ward) as url:
        await sign_in(page, url, "/")
        cell = page.locator(".reading").first
        await expect(cell.locator(".age")).to_have_text("1 h 0 min ago", timeout=PATIENCE_MS)
        await browsed_ward.store_event(
            One("heart_rate", now - timedelta(minutes=3), 64, device=CLIP)
        )
        await expect(cell.locator(".value")).to_have_text("64", timeout=PATIENCE_MS)
        await expect(cell.locator(".age")).to_contain_text("not current", timeout=PATIENCE_MS)
        assert await is_the_first(page)


@pytest.mark.parametrize("path", ["/", f"/patients/{BERT}"])
async def test_a_first_value_comes_to_an_open_page(
    path: str, browsed_ward: Ward, page: Page
) -> None:
    """Told once and never again, while the page is too young to be laid out anew."""
    async with serving(browsed_ward) as url:
        await sign_in_with_a_clock(page, url, path)
        await expect(page.locator(".reading")).to_have_count(0)
        async with hearing_of_rows(page):
            await measured(browsed_ward, timedelta(seconds=1))
        await time_passes(page, RENEWED_AFTER_S)
        await expect(page.locator(".reading .value")).to_have_text("97", timeout=PATIENCE_MS)


async def test_a_patient_added_meanwhile_comes_to_the_open_list(
    browsed_ward: Ward, page: Page
) -> None:
    async with serving(browsed_ward) as url:
        await sign_in_with_a_clock(page, url, "/")
        new = UUID(int=77)
        await browsed_ward.add_patient(new, "Novak", "Nina", "N-1")
        since = datetime.now(UTC) - timedelta(days=1)
        await browsed_ward.store.assign(
            browsed_ward.devices[CLIP], new, user=None, valid_from=since
        )
        async with hearing_of_rows(page):
            await measured(browsed_ward, timedelta(seconds=1))
        await time_passes(page, RENEWED_AFTER_S)
        line = page.locator(f'[data-patient="{new}"]')
        await expect(line.locator(".value")).to_have_text("97", timeout=PATIENCE_MS)


@pytest.mark.parametrize("path", ["/", f"/patients/{BERT}"])
async def test_without_scripts_ages_are_shown_and_said_to_stand_still(
    path: str, browsed_ward: Ward, plain_page: Page
) -> None:
    page = plain_page
    await measured(browsed_ward, timedelta(hours=2))
    async with serving(browsed_ward) as url:
        await page.goto(f"{url}{path}")
        await page.fill("#login", LOGIN)
        await page.fill("#password", PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{url}{path}", timeout=PATIENCE_MS)
        await expect(page.locator(".stale .age")).to_have_text("not current: 2 h 0 min ago")
        await expect(page.locator("noscript p")).to_contain_text("stands still")


async def test_times_are_those_of_the_reader_and_say_so(browsed_ward: Ward, page: Page) -> None:
    moment = await measured(browsed_ward, timedelta(minutes=3))
    async with serving(browsed_ward) as url:
        await sign_in(page, url, f"/patients/{BERT}")
        await expect(page.locator("#zone")).to_contain_text(ZONE)
        local = moment + timedelta(hours=8, minutes=45)
        await expect(page.locator(".tile time").first).to_contain_text(f"{local:%M:%S}")
        await expect(page.locator(".tile time").first).to_contain_text(f"{local:%H}:")


async def test_a_session_that_ends_takes_the_patients_off_the_screen(
    browsed_ward: Ward, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT_S", 1.0)
    monkeypatch.setattr(routes, "RENEW_S", 1.0)
    monkeypatch.setattr(sessions, "REMEMBER_S", 0.5)
    await measured(browsed_ward, timedelta(seconds=1))
    async with serving(browsed_ward) as url:
        await sign_in(page, url, f"/patients/{BERT}")
        await browsed_ward.store.put_user(LOGIN, quick_hash("another one"))
        await page.wait_for_url("**/login?ended=1*", timeout=2 * PATIENCE_MS)
        await expect(page.get_by_role("status")).to_contain_text("Your session has ended")
        await expect(page.locator("body")).not_to_contain_text("Brandt")


async def test_a_page_without_its_server_says_so_and_recovers(
    browsed_ward: Ward, page: Page
) -> None:
    await measured(browsed_ward, timedelta(seconds=1))
    async with serving(browsed_ward) as url:
        await sign_in(page, url, "/")
        await expect(page.locator("#connection")).to_be_hidden()
    banner = page.locator("#connection")
    await expect(banner).to_contain_text("live connection was lost", timeout=PATIENCE_MS)
    assert "offline" in (await page.locator("body").get_attribute("class") or "")
    async with serving(browsed_ward, int(url.rpartition(":")[2])):
        await expect(banner).to_be_hidden(timeout=PATIENCE_MS)
        assert await is_the_first(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_narrow_pages_fit_and_are_walked_by_keyboard(
    scheme: Literal["light", "dark"], browsed_ward: Ward, page: Page
) -> None:
    await measured(browsed_ward, timedelta(seconds=1))
    await measured(browsed_ward, timedelta(days=-1))
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.emulate_media(color_scheme=scheme)
    async with serving(browsed_ward) as url:
        await sign_in(page, url, "/")
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
