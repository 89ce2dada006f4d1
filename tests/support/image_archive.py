"""The API over a real store and object store, with a client that may read and store images.

async with opened_archive(dsn, tmp_path) as archive:
    await archive.store(bundled("CT_small.dcm"))
    await archive.client.get("/studies")
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.dicom_files import STOW_TYPE, stow_body
from support.postgres import Template
from support.served_ward import WARD, Ward, open_ward, quick_hash
from wardlight_cloud.security.tokens import READ_ALL, STORE_IMAGES, new_token, token_hash

__all__ = ["WARD", "Archive", "opened_archive", "quick_hash"]
Json = Any


@dataclass
class Archive:
    """A ward that stores images; ``client`` has the address /dicom-web and a token for all."""

    ward: Ward
    client: httpx.AsyncClient
    folder: Path

    async def store(self, *files: bytes, study: str | None = None) -> Json:
        """Store files; all of them have to be taken."""
        answer = await self.post(stow_body(files), study=study)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    async def post(
        self, body: bytes, *, content_type: str = STOW_TYPE, study: str | None = None
    ) -> httpx.Response:
        """Send a body to STOW-RS."""
        path = "/studies" if study is None else f"/studies/{study}"
        return await self.client.post(path, content=body, headers={"Content-Type": content_type})

    async def get(self, path: str, accept: str | None = None, **headers: str) -> httpx.Response:
        """Ask for something."""
        accepted = {} if accept is None else {"Accept": accept}
        return await self.client.get(path, headers={**accepted, **headers})

    def left_over(self) -> list[Path]:
        """Files that are on their way in, or were forgotten there."""
        return [file for file in (self.folder / "dicomweb").glob("*") if file.is_file()]


@asynccontextmanager
async def opened_archive(dsn: str, folder: Path) -> AsyncIterator[Archive]:
    """The archive, on a database made from WARD."""
    ward = await open_ward(dsn, folder)
    token = new_token()
    await ward.store.put_client("archive", token_hash(token), [READ_ALL, STORE_IMAGES])
    try:
        async with ward.client(token=token) as client:
            client.base_url = client.base_url.join("/dicom-web")
            yield Archive(ward, client, folder)
    finally:
        await ward.store.close()


def address(dataset: Any) -> str:
    """The path of an instance."""
    return (
        f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )


ARCHIVE: Template = WARD
