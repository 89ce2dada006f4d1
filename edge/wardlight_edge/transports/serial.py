"""One device on a serial line: open it, read it, open it again. Implements Transport.

The port is a stable path (/dev/serial/by-id/...): ttyUSB numbers change. It is opened exclusively,
and closing it does not drop DTR (HUPCL off), so that opening it again resets no device. An
unplugged adapter shows as an error of a read, a write or the line settings, or as an end of file;
all of them mean: close, wait, open again.

Source  pyserial 3.5 (posix); termios(3) HUPCL; tty_ioctl(4) TIOCEXCL
"""

import asyncio
import errno
import logging
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import serial

from wardlight_edge.backoff import Backoff
from wardlight_edge.transports.base import LinkChange, LinkState, Moments, Octets, Receiver
from wardlight_shared.errors import ConfigError, TransportError
from wardlight_shared.profile import Profile, TransportSerial

FIRST_S: Final = 0.5
LONGEST_S: Final = 10.0
WRITE_TIMEOUT_S: Final = 2.0
_CHUNK: Final = 4096
_LINE_CONTROL: Final = 2  # place of c_cflag in what tcgetattr returns
_FAILURES: Final = (serial.SerialException, OSError, termios.error)
_logger = logging.getLogger(__name__)


class SerialTransport:
    """The way to one device on a line."""

    def __init__(self, identity: str, port: str, profile: Profile, moments: Moments) -> None:
        if profile.transport.serial is None:
            raise ConfigError(f"{identity}: its profile has no [transport.serial]")
        self._identity = identity
        self._port = port
        self._line: TransportSerial = profile.transport.serial
        self._start = bytes.fromhex(self._line.start)
        self._moments = moments
        self._backoff = Backoff(FIRST_S, LONGEST_S)
        self._said: tuple[LinkState, str | None] = (LinkState.WAITING, None)

    def accepted(self, token: int) -> None:
        """A line has no place to remember."""

    async def run(self, receiver: Receiver) -> None:
        """Read until cancelled."""
        while True:
            try:
                async with self._opened() as port:
                    self._say(receiver, LinkState.CONNECTED)
                    await self._read(port, receiver)
            except TransportError as error:
                was_open = self._said[0] is LinkState.CONNECTED
                state = LinkState.LOST if was_open else LinkState.ABSENT
                self._say(receiver, state, str(error))
            await asyncio.sleep(self._backoff.failed())

    def _say(self, receiver: Receiver, state: LinkState, reason: str | None = None) -> None:
        if (state, reason) != self._said:
            self._said = (state, reason)
            receiver.offer(LinkChange(state, self._moments.mono_ms(), reason))
            extra = {"device": self._identity, "state": state, "reason": reason}
            _logger.info("serial line", extra=extra)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[serial.Serial]:
        """The open port; TransportError says why it is not."""
        async with _opened(self._port, self._line) as port:
            self._send_start(port)
            yield port

    async def _read(self, port: serial.Serial, receiver: Receiver) -> None:
        """Hand octets on as they come; TransportError when the line has gone."""
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[str] = loop.create_future()
        last_ms = self._moments.mono_ms()

        def on_readable() -> None:
            nonlocal last_ms
            try:
                octets = port.read(_CHUNK)
            except _FAILURES as error:
                loop.remove_reader(descriptor)
                gone.set_result(_sentence(error, self._port))
                return
            last_ms = self._moments.mono_ms()
            self._backoff.succeeded()
            receiver.offer(Octets("", octets, last_ms, self._moments.wall_ms()))

        descriptor = port.fileno()
        loop.add_reader(descriptor, on_readable)
        try:
            while not gone.done():
                await asyncio.wait({gone}, timeout=self._line.silence_s)
                if self._moments.mono_ms() - last_ms >= self._line.silence_s * 1000:
                    self._send_start(port)
        finally:
            loop.remove_reader(descriptor)
        raise TransportError(gone.result())

    def _send_start(self, port: serial.Serial) -> None:
        """Ask the device to send; again after silence, for it may have been switched on since."""
        if not self._start:
            return
        try:
            port.write(self._start)
        except _FAILURES as error:
            raise TransportError(_sentence(error, self._port)) from error


class SerialLink:
    """An open line whose device is answered: implements ``transports.links.Link``."""

    def __init__(self, path: str, port: serial.Serial) -> None:
        self._path = path
        self._port = port

    async def read(self, timeout_s: float | None) -> bytes:
        """The next octets, at most _CHUNK; never b"", for a line has no end but an error."""
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        descriptor = self._port.fileno()
        loop.add_reader(descriptor, readable.set)
        try:
            async with asyncio.timeout(timeout_s):
                await readable.wait()
            octets: bytes = self._port.read(_CHUNK)
        except _FAILURES as error:
            if isinstance(error, TimeoutError):
                raise
            raise TransportError(_sentence(error, self._path)) from error
        finally:
            loop.remove_reader(descriptor)
        return octets

    async def write(self, octets: bytes) -> None:
        """Send octets; TransportError when the line takes none for WRITE_TIMEOUT_S."""
        try:
            await asyncio.to_thread(self._port.write, octets)
        except _FAILURES as error:
            raise TransportError(_sentence(error, self._path)) from error


@asynccontextmanager
async def opened_link(path: str, line: TransportSerial) -> AsyncIterator[SerialLink]:
    """An open line; TransportError says why it is not."""
    async with _opened(path, line) as port:
        yield SerialLink(path, port)


@asynccontextmanager
async def _opened(path: str, line: TransportSerial) -> AsyncIterator[serial.Serial]:
    # Opening waits for carrier on some drivers, so it must not stop the event loop.
    port = await asyncio.to_thread(_open, path, line)
    try:
        yield port
    finally:
        _close(port)


def _open(path: str, line: TransportSerial) -> serial.Serial:
    try:
        port = serial.Serial(
            path,
            baudrate=line.baud,
            bytesize=line.bytesize,
            parity=line.parity,
            stopbits=line.stopbits,
            timeout=0,
            write_timeout=WRITE_TIMEOUT_S,
            exclusive=True,
        )
    except (*_FAILURES, ValueError) as error:
        raise TransportError(_sentence(error, path)) from error
    try:
        settings = termios.tcgetattr(port.fileno())
        settings[_LINE_CONTROL] &= ~termios.HUPCL
        termios.tcsetattr(port.fileno(), termios.TCSANOW, settings)
    except _FAILURES as error:
        _close(port)
        raise TransportError(_sentence(error, path)) from error
    return port


def _close(port: serial.Serial) -> None:
    try:
        port.close()
    except _FAILURES as error:
        # A port that was pulled out cannot be unlocked; its descriptor is closed all the same.
        _logger.debug("serial port closed", extra={"error": type(error).__name__})


def _sentence(error: BaseException, path: str) -> str:
    """Why a port does not serve, and what to do."""
    number = getattr(error, "errno", None)
    match number:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return f"port {path} is not there: is the adapter plugged in?"
        case errno.EACCES | errno.EPERM:
            return f"port {path} may not be opened: add the gateway's user to the group dialout"
        case errno.EAGAIN | errno.EBUSY:
            return f"port {path} is in use by another program (ModemManager?)"
    return f"port {path} has gone: was the adapter pulled out?"
