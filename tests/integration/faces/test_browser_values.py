"""Values on an open page in a real browser: new ones appear, old ones are called so."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from playwright.async_api import expect

from support.api_process import serving
from support.browsed_ward import PATIENCE_MS, is_the_first, measured, sign_in
from support.browser import open_browser
from support.postgres import FreshDatabase
from support.readings import One
from support.served_ward import BERT, CLIP, WARD, open_ward
from wardlight_cloud.dashboard.views import stale_after
from wardlight_shared.model import Flag

pytestmark = pytest.mark.timeout(400)  # a browser and a process on a machine that is busy


@pytest.mark.parametrize("path", ["/", f"/patients/{BERT}"])
async def test_a_value_becomes_old_before_one_s_eyes(
    path: str, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    """No reload, no new reading: time alone makes it stale, in words; a new one makes it fresh."""
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    async with serving(tmp_path / "api", dsn) as api, open_browser() as browser:
        page = await sign_in(browser, api, path)
        await measured(ward, stale_after("spo2") - timedelta(seconds=15))
        await page.reload()
        await page.evaluate("globalThis.isTheFirst = true")
        cell = page.locator(".reading").first
        await expect(cell.locator(".value")).to_have_text("97", timeout=PATIENCE_MS)
        await expect(cell.locator(".age")).to_contain_text("not current", timeout=PATIENCE_MS)
        await measured(ward, timedelta(seconds=1), int(Flag.RELEASED))
        await expect(cell.locator(".age")).not_to_contain_text("not current", timeout=PATIENCE_MS)
        await expect(cell.locator(".marks")).to_have_text("released by a person")
        assert await is_the_first(page)
    await ward.store.close()


async def test_a_cell_keeps_the_rhythm_of_the_metric_it_shows(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    """The cuff's pulse of an hour ago is current; a streamed heart rate of 3 minutes ago is not."""
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    now = datetime.now(UTC)
    await ward.store_event(One("pulse_rate_nibp", now - timedelta(hours=1), 70, device=CLIP))
    async with serving(tmp_path / "api", dsn) as api, open_browser() as browser:
        page = await sign_in(browser, api, "/")
        cell = page.locator(".reading").first
        await expect(cell.locator(".age")).to_have_text("1 h 0 min ago", timeout=PATIENCE_MS)
        await ward.store_event(One("heart_rate", now - timedelta(minutes=3), 64, device=CLIP))
        await expect(cell.locator(".value")).to_have_text("64", timeout=PATIENCE_MS)
        await expect(cell.locator(".age")).to_contain_text("not current", timeout=PATIENCE_MS)
        assert await is_the_first(page)
    await ward.store.close()


@pytest.mark.parametrize("path", ["/", f"/patients/{BERT}"])
async def test_a_first_value_comes_to_an_open_page(
    path: str, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    """Told once and never again, while the page is too young to be laid out anew."""
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    async with serving(tmp_path / "api", dsn) as api, open_browser() as browser:
        page = await sign_in(browser, api, path)
        await expect(page.locator(".reading")).to_have_count(0)
        await measured(ward, timedelta(seconds=1))
        await expect(page.locator(".reading .value")).to_have_text("97", timeout=PATIENCE_MS)
    await ward.store.close()


async def test_a_patient_added_meanwhile_comes_to_the_open_list(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    async with serving(tmp_path / "api", dsn) as api, open_browser() as browser:
        page = await sign_in(browser, api, "/")
        new = UUID(int=77)
        await ward.add_patient(new, "Novak", "Nina", "N-1")
        since = datetime.now(UTC) - timedelta(days=1)
        await ward.store.assign(ward.devices[CLIP], new, user=None, valid_from=since)
        await measured(ward, timedelta(seconds=1))
        line = page.locator(f'[data-patient="{new}"]')
        await expect(line.locator(".value")).to_have_text("97", timeout=PATIENCE_MS)
    await ward.store.close()
