"""A dbus-daemon of our own, so that nothing on the machine's system bus is touched.

Its socket lies in a folder of mode 0700 with a short name (a socket path has at most 107 bytes).
With a given folder the address stays the same over restarts; a daemon left there by a killed
process is ended first.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote
from xml.sax.saxutils import escape

from wardlight_lab.bluez.errors import BusStartError, DBusDaemonMissingError

START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.02
SOCKET_PATH_LIMIT: Final = 107  # sizeof(sun_path) - 1, unix(7)
PR_SET_PDEATHSIG: Final = 1  # prctl(2)

CONFIG: Final = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="false"/>
    <allow eavesdrop="false"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""

_libc = ctypes.CDLL(None, use_errno=True)


class PrivateBus:
    """One dbus-daemon process.

    folder  where its socket, configuration and pid file go; None makes a temporary one
    Errors  DBusDaemonMissingError, BusStartError
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """What DBUS_SYSTEM_BUS_ADDRESS has to say."""
        return f"unix:path={quote(str(self._path('bus')), safe='/').replace('~', '%7E')}"

    @property
    def pid(self) -> int:
        """The process id of the daemon; 0 while it does not run."""
        return self._process.pid if self._process else 0

    async def __aenter__(self) -> Self:
        program = shutil.which("dbus-daemon")
        if program is None:
            raise DBusDaemonMissingError
        self._folder = _private_folder(self._given)
        try:
            await self._start(program)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _start(self, program: str) -> None:
        socket, pidfile, config = self._path("bus"), self._path("pid"), self._path("bus.conf")
        if len(os.fsencode(socket)) > SOCKET_PATH_LIMIT:
            raise BusStartError(
                f"{socket} is longer than a socket path may be: choose a shorter folder"
            )
        await _end_predecessor(pidfile, config)
        socket.unlink(missing_ok=True)
        config.write_text(CONFIG.format(address=escape(self.address)), encoding="utf-8")
        with self._path("log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(program, f"--config-file={config}", "--nofork", "--print-address=1"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        pidfile.write_text(str(self._process.pid), encoding="ascii")
        await self._wait_for_address(self._process)

    async def _wait_for_address(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            raise BusStartError("dbus-daemon has no standard output")
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.stdout.readline()
        except TimeoutError as error:
            raise BusStartError(f"no address within {START_TIMEOUT_S:g} s") from error
        if not line.startswith(b"unix:path="):
            said = self._path("log").read_text(encoding="utf-8", errors="replace").strip()
            raise BusStartError(f"dbus-daemon ended with status {await process.wait()}: {said}")

    async def _stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._process = None
        if self._folder is not None and self._given is None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise BusStartError("the bus has not been started")
        return self._folder / name


def _private_folder(given: Path | None) -> Path:
    if given is None:
        return Path(tempfile.mkdtemp(prefix="wl-bus-"))
    given.mkdir(mode=0o700, parents=True, exist_ok=True)
    given.chmod(0o700)
    return given.absolute()


def _die_with_parent() -> None:
    """A killed emulator leaves no daemon behind: the kernel ends the child with its parent."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


async def _end_predecessor(pidfile: Path, config: Path) -> None:
    """End a daemon that still serves this folder, known by its configuration file."""
    try:
        pid = int(pidfile.read_text(encoding="ascii"))  # noqa: ASYNC240 # a few bytes, at start
    except (OSError, ValueError):
        return
    if not _serves(pid, config):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    for _ in range(int(STOP_TIMEOUT_S / POLL_S)):
        if not _serves(pid, config):
            return
        await asyncio.sleep(POLL_S)
    raise BusStartError(f"process {pid} still serves {config.parent} and does not end")


def _serves(pid: int, config: Path) -> bool:
    """Whether this process is a daemon of ours; a process that has ended has no command line."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return os.fsencode(f"--config-file={config}") in command.split(b"\0")
