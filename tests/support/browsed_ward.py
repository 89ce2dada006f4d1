"""Pages of a small ward in a real browser: signing in, and a value to look at."""

from datetime import UTC, datetime, timedelta

from playwright.async_api import Browser, Page

from support.api_process import Api
from support.readings import One
from support.served_ward import CLIP, LOGIN, PASSWORD, Ward

PATIENCE_MS = 60_000
ZONE = "Australia/Eucla"  # a quarter of an hour that nobody has by accident


async def sign_in(browser: Browser, api: Api, path: str, **options: object) -> Page:
    """Sign in as the ward's user and be at ``path``; ``options`` are the browser context's."""
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


async def is_the_first(page: Page) -> bool:
    """Whether this is the page that ``sign_in`` left, not laid out anew since."""
    return bool(await page.evaluate("globalThis.isTheFirst === true"))


async def measured(ward: Ward, age: timedelta, flags: int = 0) -> datetime:
    """Store an oxygen saturation of 97 % of that age; return when it was measured."""
    moment = datetime.now(UTC).replace(microsecond=0) - age
    await ward.store_event(One("spo2", moment, 97, device=CLIP, flags=flags))
    return moment
