"""The product's own gateway daemon in the world, with oximeters on its serial ports."""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Final

from wardlight_cloud.private_file import write_private
from wardlight_cloud.security.ca import Credentials
from wardlight_edge.status.client import fetch, parse
from wardlight_lab.chaos.bedside import SHORT_BLOCKS, Bedside
from wardlight_lab.chaos.streams import StreamVerdict, judge_bed
from wardlight_lab.chaos.tables import Tables
from wardlight_lab.demo.settings_files import PROFILES, gateway_settings
from wardlight_lab.supervise import Child
from wardlight_shared.errors import TransportError

NAME: Final = "daemon"
GATEWAY: Final = "gw-bedside"
_STOCK: Final = "nonin-xpod"
_HEARD: Final = 9  # packets in a row after which a line has a sample again
_POLL_S: Final = 0.25


class BedsideGateway:
    """Files, process and judgement of the daemon in ``folder``."""

    def __init__(self, folder: Path, bedside: Bedside) -> None:
        self._folder = folder
        self._bedside = bedside
        self._data = folder / "data"
        self.kills_ms: list[float] = []

    def prepare(self, mqtt_port: int, credentials: Credentials) -> None:
        """Write settings and profiles."""
        self._folder.mkdir(exist_ok=True, mode=0o700)
        profiles = self._folder / "profiles"
        shutil.copytree(PROFILES, profiles, dirs_exist_ok=True)
        stock = (PROFILES / f"{_STOCK}.toml").read_text(encoding="utf-8")
        short = stock.replace("[stream]\n", "[stream]\nblock_s = 5\n")
        (profiles / f"{SHORT_BLOCKS}.toml").write_text(short, encoding="utf-8")
        devices = [bed.device() for bed in self._bedside.beds]
        text = gateway_settings(GATEWAY, mqtt_port, credentials, devices, [], profiles)
        write_private(self._folder / "edge.toml", text)

    def child(self) -> Child:
        """The process."""
        config = str(self._folder / "edge.toml")
        command = [sys.executable, "-m", "wardlight_edge", "run", "--config", config]
        return Child(name=NAME, command=command, stop_within_s=30.0)

    async def listening(self, within_s: float) -> bool:
        """Wait until every line has a sample of the running process; False when it takes long."""
        for _ in range(int(within_s / _POLL_S)):
            if all(bed.heard_in_a_row() >= _HEARD for bed in self._bedside.beds):
                return True
            await asyncio.sleep(_POLL_S)
        return False

    async def is_empty(self) -> bool:
        """Whether nothing waits in its outbox, as its status page says."""
        try:
            port = int((self._data / "status.port").read_text(encoding="ascii"))
            snapshot = parse(await asyncio.to_thread(fetch, port, "127.0.0.1"))
        except (OSError, ValueError, TransportError):
            return False
        return snapshot.outbox.records == 0

    async def verdict(self, tables: Tables) -> StreamVerdict:
        """Compare what its devices sent with the store."""
        verdict = StreamVerdict()
        for bed in self._bedside.beds:
            identity = bed.spec.identity
            stored = await tables.samples(identity)
            gaps = await tables.gaps(GATEWAY, identity)
            verdict.add(judge_bed(bed.spec, bed.packets, stored, gaps, self.kills_ms))
        return verdict
