"""The real OHIF, installed by the command and npm, draws our images under its strict policy."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, Request

from support.browsed_ward import serving, sign_in
from support.browser import open_browser
from support.imaged_ward import CT_STUDY, ECG, US, imaged_ward
from support.peers import require_peer
from support.postgres import TestServer
from support.served_ward import WARD
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_cloud.dashboard.ohif_install import VIEWERS, Installer, npm_pack
from wardlight_cloud.dashboard.ohif_package import ViewerError

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(1200),
]
_CACHE = ROOT / ".cache" / "ohif"
_SOFTWARE_3D = "--enable-unsafe-swiftshader"
_PATIENCE_S = 120


def _install(installer: Installer) -> None:
    """From the tarball of an earlier run, else by npm, which is kept for later ones."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    if not list(_CACHE.glob("*.tgz")):
        require_peer("npm")
        try:
            npm_pack(_CACHE)
        except ViewerError as error:
            pytest.skip(f"npm could not fetch OHIF: {error}")
    installer.install(next(_CACHE.glob("*.tgz")))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ohif(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, Page]]:
    """OHIF over the ward with images: its URL, a page that is signed in."""
    name = await postgres_server.clone(WARD)
    folder = tmp_path_factory.mktemp("ohif")
    async with (
        imaged_ward(postgres_server.server.dsn_of(name), folder) as ward,
        serving(ward) as url,
        open_browser(_SOFTWARE_3D) as browser,
    ):
        _install(Installer(ward.settings.data_dir / VIEWERS))
        page = await browser.new_page()
        await sign_in(page, url, "/studies")
        yield url, page
    await postgres_server.drop(name)


_GREYS = """() => Math.max(0, ...[...document.querySelectorAll("canvas")].map((canvas) => {
  const copy = new OffscreenCanvas(canvas.width || 1, canvas.height || 1).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, copy.canvas.width, copy.canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}))"""


@pytest.mark.parametrize(
    ("study", "fewest"),
    [(CT_STUDY, 100), (US.StudyInstanceUID, 50), (ECG.StudyInstanceUID, 20)],
    ids=["CT", "US of many frames, JPEG", "ECG"],
)
async def test_ohif_draws(ohif: tuple[str, Page], study: str, fewest: int) -> None:
    """More shades than an empty viewport has; nothing is asked of another site, no rule broken."""
    url, page = ohif
    foreign: list[str] = []
    breaches: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((url, "blob:", "data:")):
            foreign.append(request.url)

    page.on("request", note)
    page.on(
        "console",
        lambda line: breaches.append(line.text) if "Content Security" in line.text else None,
    )
    await page.goto(f"{url}/ohif/viewer?StudyInstanceUIDs={study}")

    async def is_drawn() -> bool:
        return int(await page.evaluate(_GREYS)) >= fewest

    await wait_until(is_drawn, _PATIENCE_S)
    assert not foreign
    assert not breaches
    page.remove_listener("request", note)
