"""The device runner of a gateway, with an outbox in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.edge_settings import settings_for
from support.recording_outbox import RecordingOutbox
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import BleSettings, DeviceSettings
from wardlight_edge.sessions.runner import DeviceRunner
from wardlight_shared.profile import Profile


class Running:
    """A runner with what it writes to."""

    def __init__(self, runner: DeviceRunner, outbox: RecordingOutbox) -> None:
        self.runner = runner
        self.outbox = outbox

    def state(self, place: int = 0) -> str:
        """The state of a device on the board."""
        return self.runner.board.devices()[place].state


@asynccontextmanager
async def running_gateway(
    folder: Path,
    profiles: dict[str, Profile],
    *devices: DeviceSettings,
    ble: BleSettings | None = None,
) -> AsyncIterator[Running]:
    """A gateway with these devices; its clock and radio are real, its outbox is in memory."""
    outbox = RecordingOutbox()
    settings = settings_for(folder, *devices, ble=ble)
    runner = DeviceRunner(settings, profiles, outbox, SystemClock(), lambda: None, key=bytes(32))
    task = asyncio.create_task(runner.run(), name="runner")
    try:
        yield Running(runner, outbox)
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
