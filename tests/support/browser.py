"""A real browser for the tests marked `browser`: the system's chromium, driven by playwright."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

from support.peers import require_peer


@asynccontextmanager
async def open_browser(*more: str) -> AsyncIterator[Browser]:
    """Chromium without a window, with ``more`` arguments; skips (fails in CI) where it is not."""
    chromium = require_peer("chromium")
    async with async_playwright() as playwright:
        # Its sandbox needs an ordinary user; the pages it sees here are our own.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", *more]
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()
