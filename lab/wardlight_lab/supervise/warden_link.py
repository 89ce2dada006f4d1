"""The supervisor's end of the line to its warden."""

import contextlib
import logging
import subprocess
import sys
from pathlib import Path

from wardlight_lab.supervise import warden

_log = logging.getLogger(__name__)
_END_WITHIN_S = 30.0


class WardenLink:
    """Tells the warden which process groups to end when we are gone; replaces a dead warden.

    `held`: an open file (the data folder's lock) that the warden keeps open while it lives.
    """

    def __init__(self, *, grace_s: float, held: int) -> None:
        self._grace_s = grace_s
        self._held = held
        self._groups: dict[int, int] = {}
        self._process = self._spawn()

    @property
    def pid(self) -> int:
        """The warden's process id."""
        return self._process.pid

    def watch(self, group: int, stop_signal: int) -> None:
        """The group is to end with us, first by `stop_signal`, then by SIGKILL."""
        self._groups[group] = int(stop_signal)
        self._say(f"+{group} {int(stop_signal)}\n")

    def forget(self, group: int) -> None:
        """The group has ended; its number may soon be somebody else's."""
        if self._groups.pop(group, None) is not None:
            self._say(f"-{group}\n")

    def close(self) -> None:
        """Let the warden end what is left, and wait for it. Blocking, but short."""
        self._hang_up()
        try:
            self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        script = str(Path(warden.__file__))
        return subprocess.Popen(
            [sys.executable, "-I", "-S", script, str(self._grace_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[self._held],
            start_new_session=True,
        )

    def _say(self, line: str) -> None:
        try:
            self._write(line)
        except (BrokenPipeError, ValueError):
            _log.warning("the warden died and is replaced", extra={"warden": self.pid})
            self._hang_up()
            self._process.wait(_END_WITHIN_S)
            self._process = self._spawn()
            self._write("".join(f"+{group} {number}\n" for group, number in self._groups.items()))

    def _write(self, text: str) -> None:
        pipe = self._process.stdin
        if pipe is None:
            raise ValueError("the warden has no pipe")
        pipe.write(text.encode())
        pipe.flush()

    def _hang_up(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
