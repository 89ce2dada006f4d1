"""A serial port without hardware: a pseudo-terminal behind a lasting name.

The name is a symbolic link in a folder, as udev makes them in /dev/serial/by-id. What is sent while
nobody has the port open is lost, as on a real line; so is what a reader does not take in time.
"""

import contextlib
import os
import select
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

from wardlight_lab.bluez import EmulationError


class UnpluggedError(EmulationError):
    """The adapter has been pulled out."""


class PtyPort:
    """One port; `path` is what the product opens.

    lost  bytes sent that nobody took
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0
        self._master: int | None = None

    def __enter__(self) -> Self:
        self.plug_in()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unplug()

    @property
    def is_plugged_in(self) -> bool:
        """Whether the port exists."""
        return self._master is not None

    @property
    def is_open(self) -> bool:
        """Whether somebody has the port open."""
        if self._master is None:
            return False
        poll = select.poll()
        poll.register(self._master, select.POLLOUT)
        return not any(event & select.POLLHUP for _, event in poll.poll(0))

    def plug_in(self) -> None:
        """Make the port appear under its name; plugged in already is no error."""
        if self._master is not None:
            return
        self._master, terminal = os.openpty()
        tty.setraw(terminal)
        os.set_blocking(self._master, False)
        target = os.ttyname(terminal)
        os.close(terminal)  # from now on the kernel says when nobody has it open (POLLHUP)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(self.path)

    def unplug(self) -> None:
        """Pull the adapter out: the name goes, a reader gets a hang-up."""
        if self._master is None:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._master)
        self._master = None

    def write(self, data: bytes) -> bool:
        """Send bytes to whoever listens; True when all were taken. Errors: UnpluggedError."""
        if self._master is None:
            raise UnpluggedError(f"{self.path.name} is not plugged in")
        taken = 0
        if self.is_open:
            with contextlib.suppress(BlockingIOError):
                taken = os.write(self._master, data)
        self.lost += len(data) - taken
        return taken == len(data)

    def read(self) -> bytes:
        """What the host has written since the last call (commands to the device)."""
        if self._master is None:
            raise UnpluggedError(f"{self.path.name} is not plugged in")
        try:
            return os.read(self._master, 4096)
        except BlockingIOError:
            return b""
        except OSError:  # EIO: nobody has the port open
            return b""
