"""A gateway as a process of its own, and its command line beside it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from support.waiting import wait_until
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_edge.status import client

GATEWAY = "gw-test"
_DEADLINE_S = 240.0


def write_settings(folder: Path, profiles: dict[str, str], devices: str = "") -> Path:
    """An edge.toml with good keys, no broker, and these profiles; returns the file."""
    keys = CertificateAuthority.open(folder / "pki").ensure_client(GATEWAY, Role.GATEWAY)
    (folder / "profiles").mkdir()
    for name, text in profiles.items():
        (folder / "profiles" / f"{name}.toml").write_text(text)
    file = folder / "edge.toml"
    file.write_text(
        f"""
gateway = "{GATEWAY}"
data_dir = "data"
profiles_dir = "profiles"
[uplink]
host = "127.0.0.1"
port = 1
ca_file = "{keys.authority}"
cert_file = "{keys.certificate}"
key_file = "{keys.key}"
[outbox]
min_free_bytes = 0
[ble]
connect_timeout_s = 5
[status]
port = 0
{devices}
""",
        encoding="utf-8",
    )
    return file


class Command:
    """One ``wardlight-edge`` process; what it prints is collected."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""
        self._reading = asyncio.create_task(self._read(), name="output of a command")

    @classmethod
    async def start(cls, config: Path, *arguments: str, **environment: str) -> Self:
        """Start it; ``--config`` is added at the end."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "wardlight_edge", *arguments, "--config", str(config)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **environment},
        )
        return cls(process)

    async def says(self, text: str) -> None:
        """Wait until it has printed ``text``."""
        await wait_until(
            lambda: text in self.text or self._reading.done(), _DEADLINE_S, f"{text!r} printed"
        )
        assert text in self.text, self.text

    def type(self, text: str) -> None:
        """Type into it."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())

    async def ends(self) -> int:
        """Wait for its end; the exit code."""
        async with asyncio.timeout(_DEADLINE_S):
            await self._reading
            return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while octets := await self.process.stdout.read(4096):
            self.text += octets.decode()


class GatewayProcess:
    """The gateway of a settings file, while the context of ``gateway_process`` lasts."""

    def __init__(self, config: Path, daemon: Command) -> None:
        self.config = config
        self.daemon = daemon

    async def run(self, *arguments: str, answers: str = "") -> tuple[int, str]:
        """Run a command to its end: exit code and output."""
        command = await Command.start(self.config, *arguments)
        command.type(answers)
        return await command.ends(), command.text

    async def devices(self) -> dict[str, dict[str, Any]]:
        """The devices of its status, by identity."""
        port = int((self.config.parent / "data" / "status.port").read_text(encoding="ascii"))
        octets = await asyncio.to_thread(client.fetch, port, "127.0.0.1")
        return {each["identity"]: each for each in json.loads(octets)["devices"]}

    async def becomes(self, identity: str, **wanted: object) -> None:
        """Wait until a device's status says so."""

        async def is_so() -> bool:
            found = (await self.devices()).get(identity, {})
            return all(found.get(name) == value for name, value in wanted.items())

        await wait_until(is_so, _DEADLINE_S, f"{identity} becomes {wanted}")


@asynccontextmanager
async def gateway_process(config: Path) -> AsyncIterator[GatewayProcess]:
    """Run the gateway; it must end well when it is told to."""
    daemon = await Command.start(config, "run")
    token = config.parent / "data" / "status.port"
    try:
        await wait_until(lambda: token.exists() or daemon.process.returncode is not None, 60)
        assert daemon.process.returncode is None, daemon.text
        yield GatewayProcess(config, daemon)
    except BaseException:
        sys.stderr.write(daemon.text)
        raise
    finally:
        if daemon.process.returncode is None:
            daemon.process.terminate()
        code = await daemon.ends()
    assert code == 0, daemon.text
