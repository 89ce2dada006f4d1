"""A device on a serial line that is answered: opens the line, converses, opens it again."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from wardlight_edge import devices
from wardlight_edge.backoff import Backoff
from wardlight_edge.config import DeviceSettings
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.conversing import Conversing
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.subject_keys import SubjectKeys
from wardlight_edge.transports.base import LinkState
from wardlight_edge.transports.serial import FIRST_S, LONGEST_S, opened_link
from wardlight_shared.errors import ConfigError, TransportError
from wardlight_shared.profile import Profile

ACCEPT_S: Final = 10.0
_logger = logging.getLogger(__name__)


class ConversingLine:
    """One line; ``run`` until cancelled."""

    def __init__(
        self,
        device: DeviceSettings,
        profile: Profile,
        gateway: Gateway,
        entry: DeviceEntry,
        data_dir: Path,
    ) -> None:
        if profile.transport.serial is None or device.port is None:
            raise ConfigError(f"{device.identity}: its profile has no [transport.serial]")
        self._line = profile.transport.serial
        self._port = device.port
        self._decoder = devices.load_conversing(profile.decoder)
        self._options = profile.options
        self._gateway = gateway
        self._entry = entry
        self._conversing = Conversing(
            device.identity,
            profile,
            gateway,
            entry,
            idle_timeout_s=None,  # an instrument speaks when it has a result
            accept_timeout_s=ACCEPT_S,
            keys=SubjectKeys(read_or_make(data_dir / "patients.key")),
        )

    async def run(self) -> None:
        """Converse until cancelled."""
        backoff = Backoff(FIRST_S, LONGEST_S)
        was_open = False
        while True:
            try:
                async with opened_link(self._port, self._line) as link:
                    was_open = True
                    await self._say(LinkState.CONNECTED)
                    backoff.succeeded()
                    await self._conversing.serve(link, self._decoder.conversation(self._options))
            except TransportError as error:
                await self._say(LinkState.LOST if was_open else LinkState.ABSENT, str(error))
            was_open = False
            await asyncio.sleep(backoff.failed())

    async def _say(self, state: LinkState, reason: str | None = None) -> None:
        _logger.info("serial line", extra={"device": self._entry.identity, "state": state})
        report = self._conversing.report
        await self._conversing.append(report.link(state, reason, is_stream=False))
        self._entry.set_state(state, reason, self._gateway.clock.wall_ms())
