"""A link to the broker that comes back by itself, subscribed to what it should hold.

Errors  ConfigError: certificate files that cannot be used, at start; later ones are logged and
        tried again
"""

import asyncio
import logging
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from wardlight_cloud.config import BrokerSettings
from wardlight_cloud.ingest.backoff import Backoff
from wardlight_cloud.ingest.metrics import BROKER_CONNECTED, UNSENT
from wardlight_cloud.ingest.mqtt import Connection, Inbox, tls_context
from wardlight_shared.errors import ConfigError, TransportError

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0  # takeovers must stay below 10 s


class BrokerLink:
    """A link to the broker that comes back by itself, with the filters it should hold."""

    def __init__(self, settings: BrokerSettings, name: str, inbox: Inbox) -> None:
        self._settings = settings
        self._name = name
        self._inbox = inbox
        self._filters: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        tls_context(self._settings)  # a wrong file is the operator's to repair: say so at once
        self._task = asyncio.create_task(self._keep_connected(), name="broker link")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def ended(self) -> None:
        """Wait for the end that only a defect brings, and raise it."""
        if self._task is not None:
            await asyncio.wait([self._task])
            self._task.result()

    @property
    def is_connected(self) -> bool:
        """True between CONNACK and the end of a connection."""
        return self._connection is not None

    def hold(self, filters: Iterable[str]) -> None:
        """Be subscribed to exactly these filters soon, and after each reconnect."""
        self._filters = frozenset(filters)
        self._changed.set()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send at QoS 1; False when there is no connection (all that goes down may be lost)."""
        sent = self._connection is not None and self._connection.publish(topic, payload)
        if not sent:
            UNSENT.inc()
        return sent

    def resume(self) -> None:
        """The inbox has room again: offer what was kept back."""
        if self._connection is not None:
            self._connection.resume()

    async def flush(self) -> None:
        """Wait, but not long, until the broker has taken what was published."""
        if self._connection is not None:
            await self._connection.flush()

    async def _keep_connected(self) -> None:
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            try:
                await self._one_connection(backoff)
            except (TransportError, ConfigError) as error:
                _log.warning("broker link is down", extra={"error": str(error)})
            await asyncio.sleep(backoff.failed())

    async def _one_connection(self, backoff: Backoff) -> None:
        async with Connection(self._settings, self._name, self._inbox) as connection:
            self._connection = connection
            BROKER_CONNECTED.set(1)
            _log.info("connected to the broker")
            try:
                await self._keep_subscribed(connection, backoff)
            finally:
                self._connection = None
                BROKER_CONNECTED.set(0)

    async def _keep_subscribed(self, connection: Connection, backoff: Backoff) -> None:
        subscribed: frozenset[str] = frozenset()
        while True:
            self._changed.clear()
            wanted = self._filters
            await connection.unsubscribe(subscribed - wanted)
            await connection.subscribe(wanted - subscribed)
            subscribed = wanted
            backoff.succeeded()
            await connection.until(self._changed)
