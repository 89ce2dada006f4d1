"""The product's own gateway daemon in the world, with devices on its serial ports and its radio."""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wardlight_cloud.private_file import write_private
from wardlight_cloud.security.ca import Credentials
from wardlight_edge.status.client import fetch, parse
from wardlight_lab.chaos.bedside import SHORT_BLOCKS, Bedside
from wardlight_lab.chaos.radio import EventVerdict, Radio
from wardlight_lab.chaos.streams import BLOCK_S, Packet, Sender, StreamVerdict, judge_stream
from wardlight_lab.chaos.tables import Tables
from wardlight_lab.demo.settings_files import PROFILES, gateway_settings
from wardlight_lab.supervise import Child
from wardlight_shared.errors import TransportError

NAME: Final = "daemon"
IMAGING: Final = "imaging"
GATEWAY: Final = "gw-bedside"
_STOCK: Final = "nonin-xpod"
_HEARD: Final = 9  # packets in a row after which a line has a sample again
_HEARD_BY_RADIO: Final = 4
_POLL_S: Final = 0.25


class BedsideGateway:
    """Files, process and judgement of the daemon in ``folder``."""

    def __init__(self, folder: Path, bedside: Bedside, radio: Radio | None) -> None:
        self._folder = folder
        self._bedside = bedside
        self._radio = radio
        self._data = folder / "data"
        self.kills_ms: list[float] = []

    def prepare(
        self, mqtt_port: int, credentials: Credentials, dicom_port: int, dicom: str
    ) -> None:
        """Write settings and profiles; ``dicom``: who may send images, in TOML."""
        self._folder.mkdir(exist_ok=True, mode=0o700)
        profiles = self._folder / "profiles"
        shutil.copytree(PROFILES, profiles, dirs_exist_ok=True)
        stock = (PROFILES / f"{_STOCK}.toml").read_text(encoding="utf-8")
        short = stock.replace("[stream]\n", f"[stream]\nblock_s = {BLOCK_S}\n")
        (profiles / f"{SHORT_BLOCKS}.toml").write_text(short, encoding="utf-8")
        devices = [bed.device() for bed in self._bedside.beds]
        if self._radio is not None:
            devices += self._radio.devices()
        text = gateway_settings(
            GATEWAY, mqtt_port, credentials, devices, ["hci0"], profiles, dicom_port=dicom_port
        )
        write_private(self._folder / "edge.toml", text + dicom)

    def child(self) -> Child:
        """The process."""
        config = str(self._folder / "edge.toml")
        command = [sys.executable, "-m", "wardlight_edge", "run", "--config", config]
        environment = {} if self._radio is None else self._radio.environment()
        return Child(name=NAME, command=command, env=environment, stop_within_s=30.0)

    def imaging(self) -> Child:
        """The imaging process beside it."""
        config = str(self._folder / "edge.toml")
        command = [sys.executable, "-m", "wardlight_edge", "dicom", "--config", config]
        return Child(name=IMAGING, command=command, stop_within_s=30.0)

    async def listening(self, within_s: float) -> bool:
        """Wait until every stream has a sample of the running process; False when it takes long."""
        for _ in range(int(within_s / _POLL_S)):
            lines = all(bed.heard_in_a_row() >= _HEARD for bed in self._bedside.beds)
            if lines and self._hears_the_radio():
                return True
            await asyncio.sleep(_POLL_S)
        return False

    def _hears_the_radio(self) -> bool:
        """Whether the oximeter was heard for some seconds since the last kill."""
        if self._radio is None:
            return True
        since_ms = max(self.kills_ms, default=0.0)
        heard = [
            packet
            for packet in self._radio.oximeter().packets()
            if packet.is_heard and packet.wall_ms > since_ms
        ]
        return len(heard) >= _HEARD_BY_RADIO

    async def is_empty(self) -> bool:
        """Whether nothing waits in its outbox, as its status page says."""
        try:
            port = int((self._data / "status.port").read_text(encoding="ascii"))
            snapshot = parse(await asyncio.to_thread(fetch, port, "127.0.0.1"))
        except (OSError, ValueError, TransportError):
            return False
        return snapshot.outbox.records == 0

    async def streams(self, tables: Tables) -> StreamVerdict:
        """Compare what its streaming devices sent with the store."""
        verdict = StreamVerdict()
        for bed in self._bedside.beds:
            verdict.add(await self._judged(tables, bed.spec.identity, bed.spec, bed.packets))
        if self._radio is not None:
            oximeter, identity = self._radio.oximeter(), self._radio.devices()[0].identity
            packets = oximeter.packets()
            verdict.add(await self._judged(tables, identity, oximeter, packets))
        return verdict

    async def _judged(
        self, tables: Tables, identity: str, sender: Sender, packets: Sequence[Packet]
    ) -> StreamVerdict:
        stored = await tables.samples(identity)
        gaps = await tables.gaps(GATEWAY, identity)
        return judge_stream(sender, packets, stored, gaps, self.kills_ms)

    async def events(self, tables: Tables) -> EventVerdict:
        """Compare what devices were told to have arrived with the store."""
        if self._radio is None:
            return EventVerdict()
        thermometer = self._radio.devices()[1].identity
        return self._radio.judge_thermometer(await tables.values(thermometer), self.kills_ms)
