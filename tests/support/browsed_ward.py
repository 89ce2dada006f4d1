"""Pages of a small ward in a real browser: serving them, signing in, and a value to look at."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import uvicorn
from playwright.async_api import Page

from support.readings import One
from support.served_ward import CLIP, LOGIN, PASSWORD, Ward
from wardlight_cloud.app import create_app

PATIENCE_MS = 60_000
ZONE = "Australia/Eucla"  # a quarter of an hour that nobody has by accident


@asynccontextmanager
async def serving(ward: Ward, port: int = 0) -> AsyncIterator[str]:
    """Serve the faces of the ward's store from this process; gives their URL."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()  # who comes before the server is up waits for it
        app = create_app(ward.settings, ward.store)
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listener]), name="pages")
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, 180)


async def sign_in(page: Page, url: str, path: str) -> None:
    """Sign in as the ward's user and be at ``path``."""
    await page.goto(f"{url}{path}")
    await page.fill("#login", LOGIN)
    await page.fill("#password", PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{url}{path}", timeout=PATIENCE_MS)
    # A page that is laid out anew loses this.
    await page.evaluate("globalThis.isTheFirst = true")


async def leave(page: Page) -> None:
    """Go, and leave no session behind."""
    await page.goto("about:blank")
    await page.context.clear_cookies()


async def is_the_first(page: Page) -> bool:
    """Whether this is the page that ``sign_in`` left, not laid out anew since."""
    return bool(await page.evaluate("globalThis.isTheFirst === true"))


async def measured(ward: Ward, age: timedelta, flags: int = 0) -> datetime:
    """Store an oxygen saturation of 97 % of that age; return when it was measured."""
    moment = datetime.now(UTC).replace(microsecond=0) - age
    await ward.store_event(One("spo2", moment, 97, device=CLIP, flags=flags))
    return moment
