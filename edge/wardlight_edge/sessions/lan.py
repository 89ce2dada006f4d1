"""A LAN port of the gateway: its listener, and one Conversing behind it."""

from pathlib import Path

from wardlight_edge import devices
from wardlight_edge.config import Hl7Settings, LanSettings
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.conversing import Conversing
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.lan_ports import PREFIX, check_port
from wardlight_edge.sessions.subject_keys import SubjectKeys
from wardlight_edge.transports.base import LinkState
from wardlight_edge.transports.lan import LanListener
from wardlight_edge.transports.links import Link
from wardlight_shared.profile import Profile, TransportLan


class LanPort:
    """One port of the settings; ``run`` until cancelled."""

    def __init__(
        self,
        identity: str,
        port: LanSettings,
        profile: Profile,
        gateway: Gateway,
        entry: DeviceEntry,
        data_dir: Path,
    ) -> None:
        check_port(identity, profile)
        self._decoder = devices.load_conversing(profile.decoder)
        self._options = {
            **profile.options,
            "max_message_bytes": port.max_message_bytes,
            "message_timeout_ms": int(port.message_timeout_s * 1000),
        }
        self._gateway = gateway
        self._entry = entry
        transport = profile.transport.lan or TransportLan()
        self._conversing = Conversing(
            identity,
            profile,
            gateway,
            entry,
            idle_timeout_s=transport.idle_timeout_s,
            accept_timeout_s=port.accept_timeout_s,
            keys=subject_keys(port, data_dir),
        )
        name = identity.removeprefix(PREFIX)
        self._listener = LanListener(name, port, data_dir / f"{name}.port", self._serve, self._say)

    async def run(self) -> None:
        """Listen and serve."""
        await self._listener.run()

    async def _serve(self, link: Link) -> None:
        await self._conversing.serve(link, self._decoder.conversation(self._options))

    def _say(self, state: LinkState, reason: str | None) -> None:
        self._entry.set_state(state, reason, self._gateway.clock.wall_ms())


def subject_keys(port: LanSettings, data_dir: Path) -> SubjectKeys:
    """What makes the keys of those a port's readings are of."""
    file = port.patient_key_file if isinstance(port, Hl7Settings) else None
    return SubjectKeys(read_or_make(file or data_dir / "patients.key"))
