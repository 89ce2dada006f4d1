"""An operator's word to the running gateway, from the command line."""

from typing import TypeVar

import msgspec

from wardlight_edge.cli.local_page import port_of, token_of
from wardlight_edge.config import Settings
from wardlight_edge.status import client

_T = TypeVar("_T")


class RunningGateway:
    """The gateway of these settings. TransportError: it does not run, or says not now."""

    def __init__(self, settings: Settings) -> None:
        self._token = token_of(settings)
        self._port = port_of(settings)
        self._host = settings.status.host

    def ask(self, command: str, message: msgspec.Struct, answer: type[_T]) -> _T:
        """Ask for something; ConfigError: it cannot be."""
        return client.command(self._port, self._host, self._token, command, message, answer)
