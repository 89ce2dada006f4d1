"""Debian's Orthanc with its DICOMweb plugin, as the one to compare with: own port, own folder.

Its defaults are kept, but for HTTP compression, which is off as in newer releases (a client on the
same machine only loses by it), and authentication. Orthanc is run beside, never linked.

Errors  UnfitMachine: not installed
"""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Final

from wardlight_cloud.store.embedded.ports import free_loopback_port
from wardlight_lab.bench.setting import UnfitMachine
from wardlight_lab.supervise import Child

ROOT: Final = "/dicom-web"
DURABILITY: Final = "files are synced (SyncStorageArea), its SQLite index with synchronous=NORMAL"
_PLUGIN: Final = "libOrthancDicomWeb.so"
_PLACES: Final = (
    "/usr/share/orthanc/plugins",
    "/usr/lib/orthanc",
    "/usr/local/share/orthanc/plugins",
)


class Orthanc:
    """One server; ``child`` is what a supervisor starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.http_port = free_loopback_port()

    def child(self) -> Child:
        """The process, with its configuration written."""
        program = shutil.which("Orthanc")
        plugin = next((path for each in _PLACES if (path := Path(each, _PLUGIN)).exists()), None)
        if program is None or plugin is None:
            raise UnfitMachine("Orthanc is not here; apt-get install orthanc orthanc-dicomweb")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / "orthanc.json"
        file.write_text(json.dumps(self._configuration(plugin)), encoding="utf-8")
        return Child(name="orthanc", command=[program, str(file)], ready=self._is_ready)

    def _configuration(self, plugin: Path) -> dict[str, object]:
        return {
            "Name": "bench",
            "StorageDirectory": str(self._folder / "files"),
            "IndexDirectory": str(self._folder / "index"),
            "Plugins": [str(plugin)],
            "HttpPort": self.http_port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "HttpCompressionEnabled": False,
            "KeepAlive": True,
            "DicomWeb": {"Enable": True, "Root": f"{ROOT}/"},
        }

    async def _is_ready(self) -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", self.http_port)
        writer.close()
        return True
