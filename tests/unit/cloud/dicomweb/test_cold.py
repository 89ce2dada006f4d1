"""What lies in the slow place and cannot be read now: the client is told when, and the reader."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from support.viewer_modules import in_node
from wardlight_cloud.dicomweb.access import Reach
from wardlight_cloud.dicomweb.addresses import Addresses
from wardlight_cloud.dicomweb.guarded import Guarded
from wardlight_cloud.dicomweb.qido import Qido
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.image_reads import Reader
from wardlight_cloud.store.imaging import ImageQuery, ImageRow, Lacking, Level
from wardlight_shared.errors import StorageError


async def _login(_: Request) -> object:
    return "anna"


@pytest.mark.parametrize(
    ("is_cold", "cold_s", "wait"), [(True, 3600, "3600"), (True, 0, "5"), (False, 3600, "5")]
)
async def test_a_client_is_told_how_long_it_takes(is_cold: bool, cold_s: int, wait: str) -> None:
    async def handler(request: Request, _: Reach) -> Response:
        request.state.is_cold = is_cold
        raise StorageError("away")

    guarded = Guarded(handler, _login, Interaction.READ, cold_s)
    app = Starlette(routes=[Route("/x", guarded)])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/x")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, wait)
    assert ("slow place" in answer.text) == is_cold


class _Images:
    """Three studies: a series is cold, one of nine instances damaged, all nine damaged."""

    asked = 0

    async def images(self, query: ImageQuery) -> tuple[ImageRow, ...]:
        rows = [("1", "1.1"), ("1", "1.2"), ("2", "2.1"), ("3", "3.1"), ("4", "4.1")]
        if query.level is Level.STUDY:
            rows = rows[1:]
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return tuple(
            ImageRow(study, b"{}", 1, 9, ("CT",), (), None, now, 1, series, b"{}", 9)
            for study, series in rows
        )

    async def lacking(self, study_uids: Sequence[str]) -> Mapping[tuple[str, str], Lacking]:
        assert study_uids == ["1", "2", "3", "4"]
        self.asked += 1
        return {
            ("1", "1.2"): Lacking(is_cold=True, doubted=0),
            ("3", "3.1"): Lacking(is_cold=True, doubted=1),
            ("4", "4.1"): Lacking(is_cold=False, doubted=9),
        }


async def test_no_study_or_series_is_told_to_be_had_sooner_than_its_worst_part() -> None:
    images: Any = _Images()
    locator: Any = None
    headers = [(b"host", b"x.example")]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "scheme": "https",
             "headers": headers, "server": ("x", 443), "path_params": {}}  # fmt: skip
    who = Reach(Reader("user", "anna"), None, may_store=False)
    worst = ["NEARLINE", "ONLINE", "OFFLINE", "UNAVAILABLE"]
    for level, expected in ((Level.STUDY, worst), (Level.SERIES, ["ONLINE", *worst])):
        face = Qido(images, locator, Addresses(None))
        answer = await face.search(Request(scope), who, level)
        found = [each["00080056"]["Value"] for each in orjson.loads(answer.body)]
        assert found == [[each] for each in expected]
    assert images.asked == 2


def test_the_viewer_says_it_in_words_and_does_not_try_at_once() -> None:
    """A long wait is one request and a sentence; a short one is tried again."""
    found = in_node(
        "web",
        "const asked = []; const said = [];"
        "globalThis.fetch = async () => { asked.push(1);"
        "  return new Response('', { status: 503, headers: { 'Retry-After': '14400' } }); };"
        "return new Dicomweb('/dicom-web', '1.2').metadata('1.3')"
        "  .catch((error) => ({ words: error.message, asked: asked.length,"
        "    spans: [40, 300, 14400].map(durationOf) }))",
    )
    assert found["asked"] == 1
    assert "slow storage: fetching it takes about 4 hours" in found["words"]
    assert found["spans"] == ["40 seconds", "5 minutes", "4 hours"]


def test_the_viewer_says_what_the_server_says_of_a_damaged_file() -> None:
    found = in_node(
        "web",
        "const type = { 'Content-Type': 'text/plain; charset=utf-8' };"
        "globalThis.fetch = async () => new Response('The file is damaged.\\n', "
        "  { status: 500, headers: type });"
        "return new Dicomweb('/dicom-web', '1.2').metadata('1.3')"
        "  .catch((error) => ({ words: error.message }))",
    )
    assert found["words"].endswith("the server answered 500. The file is damaged.")
