"""One device that advertises its values: it is listened to, never connected. Implements Transport.

Every radio of the stack hears for itself and shows of a device what it heard last, also when it
has only heard a part of that again. So data is delivered when it differs from what the same radio
heard before; that two radios hear one advertisement is for the decoder to see.

A device that was silent for long may say the same bytes again and mean a new measurement:
``Anew`` tells it. A time in which no radio could hear is no silence of the device.
"""

from typing import Final

from wardlight_edge.transports.adverts import Advert
from wardlight_edge.transports.base import (
    Anew,
    LinkChange,
    LinkState,
    Moments,
    Octets,
    Receiver,
)
from wardlight_edge.transports.ble import Heard
from wardlight_edge.transports.ble_device import address_from_identity
from wardlight_edge.transports.ble_stack import BleStack

MOST_RADIOS: Final = 64  # radios times kinds; more is a fault and begins anew


class AdvertTransport:
    """The way from one advertising device.

    kinds      kinds of adverts to deliver; their names are the channels
    silence_s  so long without a word is a silence
    """

    def __init__(
        self,
        identity: str,
        kinds: frozenset[str],
        silence_s: float,
        stack: BleStack,
        moments: Moments,
    ) -> None:
        self._address = address_from_identity(identity)
        self._kinds = kinds
        self._silence_ms = silence_s * 1000
        self._stack = stack
        self._watch = stack.watch(self._address)
        self._moments = moments
        self._receiver: Receiver | None = None
        self._heard_ms: int | None = None
        self._said: dict[tuple[str, str], bytes] = {}
        self._refused: dict[tuple[str, str], bytes] = {}
        self._state: tuple[LinkState | None, str | None] = (None, None)

    def accepted(self, token: int) -> None:
        """A radio has no place to remember."""

    async def repair(self) -> None:
        """An operator's word: the device was renewed (a battery, a counter), take it as it is."""
        self._said.clear()
        self._refused.clear()
        if self._receiver is not None:
            self._receiver.offer(Anew(self._moments.mono_ms(), is_renewed=True))

    async def run(self, receiver: Receiver) -> None:
        """Deliver what is heard of the device."""
        self._receiver = receiver
        self._state = (None, None)
        self._watch.listener = self._on_heard
        try:
            while True:
                self._watch.changed.clear()
                self._tell_state(receiver)
                await self._watch.changed.wait()
        finally:
            self._watch.listener = None
            self._receiver = None

    def _tell_state(self, receiver: Receiver) -> None:
        absence = self._stack.absence(self._address)
        if absence is not None:
            self._heard_ms = None
        state = (LinkState.WAITING if absence is None else LinkState.ABSENT, absence)
        if state != self._state:
            self._state = state
            receiver.offer(LinkChange(state[0], self._moments.mono_ms(), absence))

    def _on_heard(self, heard: Heard) -> None:
        if self._receiver is None:
            return
        before, self._heard_ms = self._heard_ms, heard.mono_ms
        if before is not None and heard.mono_ms - before > self._silence_ms:
            self._said.clear()
            self._receiver.offer(Anew(heard.mono_ms))
        for advert in heard.adverts:
            if advert.kind in self._kinds:
                self._deliver(advert, heard, self._receiver)

    def _deliver(self, advert: Advert, heard: Heard, receiver: Receiver) -> None:
        place, payload = (heard.adapter, advert.kind), advert.payload
        if self._said.get(place) == payload:
            return
        # What found no room is lost, and counted once; said again when there is room, it is taken.
        if self._refused.get(place) == payload and not receiver.has_room:
            return
        if len(self._said) >= MOST_RADIOS:
            self._said.clear()
        wall_ms = self._moments.wall_ms()
        if receiver.offer(Octets(advert.kind, payload, heard.mono_ms, wall_ms)):
            self._said[place] = payload
            self._refused.pop(place, None)
        else:
            self._refused[place] = payload
