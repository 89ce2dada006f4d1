"""What a radio and a link are, whoever owns the antenna.

A local adapter (``ble_radio``, through BlueZ) and an ESPHome proxy (``esphome_radio``, through the
network) meet the same two Protocols, so that a visit knows nothing of the way it goes.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from wardlight_edge.transports.base import RadioState
from wardlight_edge.transports.ble import Heard


class BleLink(Protocol):
    """A connected device. Operations raise BleError."""

    @property
    def is_lost(self) -> bool:
        """Whether the link has ended."""

    async def wait_lost(self) -> None:
        """Return when the link has ended."""

    def offers(self, channel: str) -> bool:
        """Whether the device has this characteristic."""

    async def subscribe(self, channel: str, notified: Callable[[bytes], None]) -> None:
        """Switch notifications or indications on; values go to ``notified``."""

    async def read(self, channel: str) -> bytes:
        """Read a value."""

    async def write(self, channel: str, octets: bytes) -> None:
        """Write a value, with response."""


class BleRadio(Protocol):
    """What hears devices and makes links to them."""

    @property
    def adapter(self) -> str:
        """Its name: ``hci0``, or ``proxy`` and the name of a proxy."""

    @property
    def reason(self) -> str | None:
        """Why it does not serve, None = it does."""

    @property
    def state(self) -> RadioState:
        """A frozen copy of what is known."""

    @property
    def free_links(self) -> int | None:
        """How many more links it could hold now; None: it makes none."""

    def room(self, *, is_stream: bool) -> int | None:
        """The same for a link that stays (``is_stream``) or for one that will not."""

    def slot(self, *, is_stream: bool) -> AbstractAsyncContextManager[None]:
        """The right to hold one link; waits for a free one."""

    def connecting(self) -> AbstractAsyncContextManager[None]:
        """The right to connect."""

    def connected(
        self, heard: Heard, *, pair: bool, timeout_s: float, measures: tuple[str, ...]
    ) -> AbstractAsyncContextManager[BleLink]:
        """Connect to a device just heard; the link ends with the context.

        ``measures`` are the characteristics whose first values must not be missed.
        """

    def must_pause(self) -> None:
        """It could not connect while it scans."""
