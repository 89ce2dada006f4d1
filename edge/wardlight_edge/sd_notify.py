"""Readiness and watchdog messages to systemd over NOTIFY_SOCKET; silent without one.

Source  sd_notify(3): datagrams READY=1, WATCHDOG=1, STOPPING=1, STATUS=...; WATCHDOG_USEC
"""

import os
import socket
from collections.abc import Mapping


class SystemdNotifier:
    """Sends state to the service manager. All methods are cheap and never raise OSError."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._address = environment.get("NOTIFY_SOCKET", "")
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        self.watchdog_interval_s: float | None = (
            int(watchdog_us) / 2_000_000 if watchdog_us.isdigit() else None
        )
        """Half of the service's watchdog timeout; None = no watchdog asked for."""

    def ready(self, status: str) -> None:
        """The service does its work now."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self, status: str) -> None:
        """Feed the watchdog."""
        self._send(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The service is on its way down."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # An abstract socket is written with a leading '@' in the environment.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(message.encode(), address)
            except OSError:
                # The manager is gone or busy: it will restart us if it misses the watchdog.
                return
