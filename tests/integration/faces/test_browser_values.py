"""Values on an open page in a real browser: new ones appear, old ones are called so."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from playwright.async_api import Browser, expect

from support.browsed_ward import PATIENCE_MS, is_the_first, measured, serving, sign_in
from support.readings import One
from support.served_ward import BERT, CLIP, Ward
from wardlight_cloud.dashboard.views import stale_after
from wardlight_shared.model import Flag

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),  # one browser for the file
    pytest.mark.timeout(400),  # a browser on a machine that is busy
]


@pytest.mark.parametrize("path", ["/", f"/patients/{BERT}"])
async def test_a_value_becomes_old_before_one_s_eyes(
    path: str, browsed_ward: Ward, browser: Browser
) -> None:
    """No reload, no new reading: time alone makes it stale, in words; a new one makes it fresh."""
    async with serving(browsed_ward) as url:
        page = await sign_in(browser, url, path)
        await measured(browsed_ward, stale_after("spo2") - timedelta(seconds=15))
        await page.reload()
        await page.evaluate("globalThis.isTheFirst = true")
        cell = page.locator(".reading").first
        await expect(cell.locator(".value")).to_have_text("97", timeout=PATIENCE_MS)
        await expect(cell.locator(".age")).to_contain_text("not current", timeout=PATIENCE_MS)
        await measured(browsed_ward, timedelta(seconds=1), int(Flag.RELEASED))
        await expect(cell.locator(".age")).not_to_contain_text("not current", timeout=PATIENCE_MS)
        await expect(cell.locator(".marks")).to_have_text("released by a person")
        assert await is_the_first(page)


async def test_a_cell_keeps_the_rhythm_of_the_metric_it_shows(
    browsed_ward: Ward, browser: Browser
) -> None:
    """The cuff's pulse of an hour ago is current; a streamed heart rate of 3 minutes ago is not."""
    now = datetime.now(UTC)
    await browsed_ward.store_event(
        One("pulse_rate_nibp", now - timedelta(hours=1), 70, device=CLIP)
    )
    async with serving(browsed_ward) as url:
        page = await sign_in(browser, url, "/")
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
    path: str, browsed_ward: Ward, browser: Browser
) -> None:
    """Told once and never again, while the page is too young to be laid out anew."""
    async with serving(browsed_ward) as url:
        page = await sign_in(browser, url, path)
        await expect(page.locator(".reading")).to_have_count(0)
        await measured(browsed_ward, timedelta(seconds=1))
        await expect(page.locator(".reading .value")).to_have_text("97", timeout=PATIENCE_MS)


async def test_a_patient_added_meanwhile_comes_to_the_open_list(
    browsed_ward: Ward, browser: Browser
) -> None:
    async with serving(browsed_ward) as url:
        page = await sign_in(browser, url, "/")
        new = UUID(int=77)
        await browsed_ward.add_patient(new, "Novak", "Nina", "N-1")
        since = datetime.now(UTC) - timedelta(days=1)
        await browsed_ward.store.assign(
            browsed_ward.devices[CLIP], new, user=None, valid_from=since
        )
        await measured(browsed_ward, timedelta(seconds=1))
        line = page.locator(f'[data-patient="{new}"]')
        await expect(line.locator(".value")).to_have_text("97", timeout=PATIENCE_MS)
