"""`wardlight-cloud dicom` as a real process, and dcmtk's programs as its peers."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.peers import require_peer
from support.ports import free_port, is_listening
from support.waiting import wait_until
from wardlight_cloud.config import Settings
from wardlight_cloud.dicom import PORT_FILE

_LIMIT_S = 240.0
_START_S = 120.0  # a busy machine takes its time to import all of it
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Ended:
    """How a program ended; ``text`` is what it wrote."""

    code: int
    text: str


@dataclass(frozen=True)
class DicomServer:
    """A running process and its port."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    options: tuple[str, ...] = ()  # TLS of dcmtk's programs

    async def asked(self, program: str, *arguments: str, calling: str = "PEER") -> Ended:
        """Run a dcmtk program against it."""
        return await ran(
            program, *self.options, "-aet", calling, "-aec", "WARDLIGHT", *arguments,
            LOOPBACK, str(self.port),
        )  # fmt: skip


async def ran(program: str, *arguments: str, cwd: Path | None = None) -> Ended:
    """Run a program of dcmtk to its end."""
    process = await asyncio.create_subprocess_exec(
        require_peer(program), *arguments, cwd=cwd,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _LIMIT_S)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, said.decode("utf-8", "replace"))


@asynccontextmanager
async def dicom_server(
    settings: Settings, *, options: tuple[str, ...] = (), lines: str = "", ends: int = 0
) -> AsyncIterator[DicomServer]:
    """Start it on a port of its own; it is stopped, and must stop, at the end.

    ``ends``: another exit code, of one that the test kills.
    """
    folder = settings.data_dir
    port_file, log = folder / PORT_FILE, folder / "dicom.log"
    port_file.unlink(missing_ok=True)
    dsn = settings.database.dsn
    assert dsn is not None
    config = folder / "dicom.toml"
    config.write_text(
        f'data_dir = "{folder}"\n[database]\ndsn = "{dsn.get_secret_value()}"\npool_size = 3\n'
        f'[dicom]\nport = 0\nidle_timeout_s = 5\n{lines}',
        encoding="utf-8",
    )  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - it is only started here
            [sys.executable, "-m", "wardlight_cloud", "dicom", "--config", str(config)],
            stdout=out, stderr=subprocess.STDOUT, env=dict(os.environ),
        )  # fmt: skip
    try:
        await wait_until(
            lambda: port_file.exists() or process.poll() is not None, _START_S, "it serves"
        )
        assert process.poll() is None, log.read_text("utf-8", "replace")
        yield DicomServer(process, int(port_file.read_text()), log, options)
        assert process.poll() is None or ends, log.read_text("utf-8", "replace")
    finally:
        process.terminate()
        try:
            assert await asyncio.to_thread(process.wait, 30) == ends
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@asynccontextmanager
async def store_scp(folder: Path, *options: str, ae_title: str = "TARGET") -> AsyncIterator[int]:
    """dcmtk's storescp, which writes what it gets into ``folder``; gives its port."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        require_peer("storescp"), *options, "-od", str(folder), "-aet", ae_title, str(port),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await wait_until(lambda: is_listening(port))
        yield port
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 180)
