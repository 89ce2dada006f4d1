"""A ward of two patients behind the API, on a database of its own; a browser for its pages."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from support.browsed_ward import ZONE, leave
from support.browser import open_browser
from support.postgres import FreshDatabase
from support.served_ward import WARD, Ward, open_ward, quick_hash
from wardlight_cloud.security import passwords


@pytest.fixture(autouse=True)
def quick_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown logins cost a check as little as the ward's user does."""
    quick = quick_hash("nobody's")
    monkeypatch.setattr(passwords, "_dummy", lambda: quick)


@pytest.fixture
async def ward(fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Ward]:
    """Two patients, three devices, no readings."""
    opened = await open_ward(await fresh_database(WARD), tmp_path)
    yield opened
    await opened.store.close()


@pytest_asyncio.fixture(loop_scope="module")
async def browsed_ward(fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Ward]:
    """The same ward, for tests that share the event loop of a browser."""
    opened = await open_ward(await fresh_database(WARD), tmp_path)
    yield opened
    await opened.store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for the tests of a file."""
    async with open_browser() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window(chromium: Browser) -> Page:
    """One window for the tests of a file: opening one costs more than what a test does in it."""
    return await (await chromium.new_context(timezone_id=ZONE)).new_page()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain_window(chromium: Browser) -> Page:
    """The same without scripts."""
    return await (await chromium.new_context(java_script_enabled=False)).new_page()


@pytest_asyncio.fixture(loop_scope="module")
async def page(window: Page) -> AsyncIterator[Page]:
    """The window as if nobody had used it: blank, without cookies, as wide and bright as any."""
    size = window.viewport_size
    assert size is not None
    yield window
    await leave(window)
    await window.set_viewport_size(size)
    await window.emulate_media(color_scheme="null")


@pytest_asyncio.fixture(loop_scope="module")
async def plain_page(plain_window: Page) -> AsyncIterator[Page]:
    """The window without scripts as if nobody had used it."""
    yield plain_window
    await leave(plain_window)
