"""Receivers of C-STORE, each a process with its own port and folder, for one run of a sender.

What each promises with its answer 0x0000:

wardlight  the object is encrypted, hashed, and file, folder and row are flushed
orthanc    Debian's default: the file is flushed, its SQLite index with synchronous=NORMAL is not
storescp   DCMTK's, one process an association: nothing is flushed, nothing is indexed

Errors  UnfitMachine: a program is missing; Unsound: it did not come up, or lost an object
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from wardlight_cloud.store.embedded.ports import free_loopback_port
from wardlight_lab.bench.setting import UnfitMachine, Unsound

TITLE: Final = "WARDLIGHT"
_UP_S: Final = 60.0
_POLL_S: Final = 0.05
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Receiver(ABC):
    """``with Receiver(folder, environment) as receiver: receiver.port``."""

    package = ""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.port = free_loopback_port()
        self._environment = {**os.environ, **environment}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, mode=0o700)
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env=self._environment, cwd=self.folder
            )
        end = time.monotonic() + _UP_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise Unsound(f"{type(self).__name__} does not come up; see {self.folder}/log")
            time.sleep(_POLL_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(_UP_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    @classmethod
    @abstractmethod
    def missing(cls) -> str | None:
        """The package to install; None = it is here."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """How to start it."""

    @abstractmethod
    def objects(self) -> int:
        """How many objects it has."""

    def cpu_s(self) -> float:
        """Seconds of processor that it used, with children that have ended."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Wardlight(Receiver):
    """``wardlight-edge dicom``."""

    @classmethod
    def missing(cls) -> str | None:
        """It is here."""
        return None

    def command(self) -> Sequence[str]:
        """With the settings of a demonstration."""
        config = self.folder / "edge.toml"
        config.write_text(
            'gateway = "gw-bench"\ndata_dir = "data"\nprofiles_dir = "none"\n[uplink]\n'
            'host = "127.0.0.1"\nca_file = "none"\ncert_file = "none"\nkey_file = "none"\n'
            f"[dicom]\nport = {self.port}\nadmit_loopback = true\nmin_free_bytes = 0\n",
            encoding="utf-8",
        )
        return [sys.executable, "-m", "wardlight_edge", "dicom", "--config", str(config)]

    def objects(self) -> int:
        """Files of the spool; what is being received has a suffix."""
        files = (self.folder / "data" / "dicom" / "objects").iterdir()
        return sum(not file.suffix for file in files)


class Orthanc(Receiver):
    """Debian's Orthanc in its default configuration, without HTTP."""

    @classmethod
    def missing(cls) -> str | None:
        """Package orthanc."""
        return None if shutil.which("Orthanc") else "orthanc"

    def command(self) -> Sequence[str]:
        """Own port and folders; all else is the default."""
        file = self.folder / "orthanc.json"
        folders = {
            "StorageDirectory": str(self.folder / "files"),
            "IndexDirectory": str(self.folder / "index"),
        }
        file.write_text(
            json.dumps({**folders, "DicomPort": self.port, "DicomAet": TITLE,
                        "HttpServerEnabled": False, "DicomAlwaysAllowStore": True}),
            encoding="utf-8",
        )  # fmt: skip
        return ["Orthanc", str(file)]

    def objects(self) -> int:
        """Files of the storage area; each object has one, and one more without its pixels."""
        large = [path for path in (self.folder / "files").rglob("*") if _is_large(path)]
        return len(large)


class Storescp(Receiver):
    """DCMTK's storescp, one process for each association."""

    @classmethod
    def missing(cls) -> str | None:
        """Package dcmtk."""
        return None if shutil.which("storescp") else "dcmtk"

    def command(self) -> Sequence[str]:
        """Files as received."""
        (self.folder / "files").mkdir()
        return ["storescp", "--fork", "+B", "-od", str(self.folder / "files"), str(self.port)]

    def objects(self) -> int:
        """Files of its folder."""
        return len(list((self.folder / "files").iterdir()))


def _is_large(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 100_000


def require_sender() -> str:
    """DCMTK's dcmsend."""
    found = shutil.which("dcmsend")
    if found is None:
        raise UnfitMachine("dcmsend is not here; apt-get install dcmtk")
    return found
