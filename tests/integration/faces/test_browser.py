"""The pages in a real browser: what an open page shows as time passes and things break."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from playwright.async_api import Browser, Page, expect

from support.api_process import Api, serving
from support.browser import open_browser
from support.postgres import FreshDatabase
from support.readings import One
from support.served_ward import BERT, CLIP, LOGIN, PASSWORD, WARD, Ward, open_ward
from wardlight_cloud.dashboard.views import stale_after
from wardlight_cloud.security.passwords import hash_password
from wardlight_shared.model import Flag

PATIENCE_MS = 60_000
pytestmark = pytest.mark.timeout(400)  # a browser and a process on a machine that is busy
ZONE = "Australia/Eucla"  # a quarter of an hour that nobody has by accident


async def _sign_in(browser: Browser, api: Api, path: str, **options: object) -> Page:
    context = await browser.new_context(timezone_id=ZONE, **options)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(f"{api.url}{path}")
    await page.fill("#login", LOGIN)
    await page.fill("#password", PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{api.url}{path}", timeout=PATIENCE_MS)
    # A page that is laid out anew loses this.
    await page.evaluate("globalThis.isTheFirst = true")
    return page


async def _is_the_first(page: Page) -> bool:
    return bool(await page.evaluate("globalThis.isTheFirst === true"))


async def _measured(ward: Ward, age: timedelta, flags: int = 0) -> datetime:
    moment = datetime.now(UTC).replace(microsecond=0) - age
    await ward.store_event(One("spo2", moment, 97, device=CLIP, flags=flags))
    return moment


@pytest.mark.parametrize("path", ["/", f"/patients/{BERT}"])
async def test_a_value_becomes_old_before_one_s_eyes(
    path: str, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    """No reload, no new reading: time alone makes it stale, in words; a new one makes it fresh."""
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    async with serving(tmp_path / "api", dsn) as api, open_browser() as browser:
        page = await _sign_in(browser, api, path)
        await _measured(ward, stale_after("spo2") - timedelta(seconds=15))
        await page.reload()
        await page.evaluate("globalThis.isTheFirst = true")
        cell = page.locator(".reading").first
        await expect(cell.locator(".value")).to_have_text("97", timeout=PATIENCE_MS)
        await expect(cell.locator(".age")).to_contain_text("not current", timeout=PATIENCE_MS)
        await _measured(ward, timedelta(seconds=1), int(Flag.RELEASED))
        await expect(cell.locator(".age")).not_to_contain_text("not current", timeout=PATIENCE_MS)
        await expect(cell.locator(".marks")).to_have_text("released by a person")
        assert await _is_the_first(page)
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
        page = await _sign_in(browser, api, "/")
        cell = page.locator(".reading").first
        await expect(cell.locator(".age")).to_have_text("1 h 0 min ago", timeout=PATIENCE_MS)
        await ward.store_event(One("heart_rate", now - timedelta(minutes=3), 64, device=CLIP))
        await expect(cell.locator(".value")).to_have_text("64", timeout=PATIENCE_MS)
        await expect(cell.locator(".age")).to_contain_text("not current", timeout=PATIENCE_MS)
        assert await _is_the_first(page)
    await ward.store.close()


@pytest.mark.parametrize("path", ["/", f"/patients/{BERT}"])
async def test_a_first_value_comes_to_an_open_page(
    path: str, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    """Told once and never again, while the page is too young to be laid out anew."""
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    async with serving(tmp_path / "api", dsn) as api, open_browser() as browser:
        page = await _sign_in(browser, api, path)
        await expect(page.locator(".reading")).to_have_count(0)
        await _measured(ward, timedelta(seconds=1))
        await expect(page.locator(".reading .value")).to_have_text("97", timeout=PATIENCE_MS)
    await ward.store.close()


async def test_a_patient_added_meanwhile_comes_to_the_open_list(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    async with serving(tmp_path / "api", dsn) as api, open_browser() as browser:
        page = await _sign_in(browser, api, "/")
        new = UUID(int=77)
        await ward.add_patient(new, "Novak", "Nina", "N-1")
        since = datetime.now(UTC) - timedelta(days=1)
        await ward.store.assign(ward.devices[CLIP], new, user=None, valid_from=since)
        await _measured(ward, timedelta(seconds=1))
        line = page.locator(f'[data-patient="{new}"]')
        await expect(line.locator(".value")).to_have_text("97", timeout=PATIENCE_MS)
    await ward.store.close()


@pytest.mark.parametrize("path", ["/", f"/patients/{BERT}"])
async def test_without_scripts_ages_are_shown_and_said_to_stand_still(
    path: str, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    await _measured(ward, timedelta(hours=2))
    async with serving(tmp_path / "api", dsn) as api, open_browser() as browser:
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        await page.goto(f"{api.url}{path}")
        await page.fill("#login", LOGIN)
        await page.fill("#password", PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{api.url}{path}", timeout=PATIENCE_MS)
        await expect(page.locator(".stale .age")).to_have_text("not current: 2 h 0 min ago")
        await expect(page.locator("noscript p")).to_contain_text("stands still")
    await ward.store.close()


async def test_times_are_those_of_the_reader_and_say_so(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    moment = await _measured(ward, timedelta(minutes=3))
    async with serving(tmp_path / "api", dsn) as api, open_browser() as browser:
        page = await _sign_in(browser, api, f"/patients/{BERT}")
        await expect(page.locator("#zone")).to_contain_text(ZONE)
        local = moment + timedelta(hours=8, minutes=45)
        await expect(page.locator(".tile time").first).to_contain_text(f"{local:%M:%S}")
        await expect(page.locator(".tile time").first).to_contain_text(f"{local:%H}:")
    await ward.store.close()


async def test_a_session_that_ends_takes_the_patients_off_the_screen(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    await _measured(ward, timedelta(seconds=1))
    async with serving(tmp_path / "api", dsn) as api, open_browser() as browser:
        page = await _sign_in(browser, api, f"/patients/{BERT}")
        await ward.store.put_user(LOGIN, hash_password("another one"))
        await page.wait_for_url("**/login?ended=1*", timeout=2 * PATIENCE_MS)
        await expect(page.get_by_role("status")).to_contain_text("Your session has ended")
        await expect(page.locator("body")).not_to_contain_text("Brandt")
    await ward.store.close()


async def test_a_page_without_its_server_says_so_and_recovers(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    await _measured(ward, timedelta(seconds=1))
    async with open_browser() as browser:
        async with serving(tmp_path / "api", dsn) as api:
            port = int(api.url.rpartition(":")[2])
            page = await _sign_in(browser, api, "/")
            await expect(page.locator("#connection")).to_be_hidden()
        banner = page.locator("#connection")
        await expect(banner).to_contain_text("live connection was lost", timeout=PATIENCE_MS)
        assert "offline" in (await page.locator("body").get_attribute("class") or "")
        async with serving(tmp_path / "api", dsn, port=port):
            await expect(banner).to_be_hidden(timeout=PATIENCE_MS)
            assert await _is_the_first(page)
    await ward.store.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_narrow_pages_fit_and_are_walked_by_keyboard(
    scheme: str, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    await _measured(ward, timedelta(seconds=1))
    await _measured(ward, timedelta(days=-1))
    narrow = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    async with serving(tmp_path / "api", dsn) as api, open_browser() as browser:
        page = await _sign_in(browser, api, "/", **narrow)
        for path in ("/", f"/patients/{BERT}", "/operations"):
            await page.goto(f"{api.url}{path}")
            await page.wait_for_load_state()
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= 390, f"{path} is {width} wide"
            await page.keyboard.press("Tab")
            assert await page.evaluate("document.activeElement.className") == "skip"
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            await page.keyboard.press("Tab")
            assert await page.evaluate(outline) != "none"
    await ward.store.close()
