"""The transport of Bluetooth devices where ``[ble] enabled = false``: there is no way to them."""

import asyncio

from wardlight_edge.transports.base import LinkChange, LinkState, Moments, Receiver

_REASON = "Bluetooth is switched off in the settings ([ble] enabled)"


class SwitchedOff:
    """Says so, and waits."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments

    def accepted(self, token: int) -> None:
        """Nothing is ever delivered."""

    async def run(self, receiver: Receiver) -> None:
        """Deliver the state alone."""
        receiver.offer(LinkChange(LinkState.ABSENT, self._moments.mono_ms(), _REASON))
        await asyncio.Event().wait()
