"""Values of a scale with users, as events: joined, of a user whom the scale names, or of nobody.

Out     a value without a user, or of user 255, has USER_UNKNOWN, whoever has consented: it belongs
        to nobody until somebody says whose it is
        a value that names a user whose consent was refused is rejected
Errors  DecodeError: a value that is none
"""

from collections.abc import Callable
from typing import Final

import msgspec

from wardlight_edge.devices import _body_packets
from wardlight_edge.devices._body_packets import BodyPackets
from wardlight_edge.devices._conversation import Reject
from wardlight_edge.devices._dialogue import Fetched, Steps
from wardlight_edge.devices._gatt import USER_UNKNOWN
from wardlight_shared.model import Reading

PART_MS: Final = 3000
"""How long the second packet of a value is waited for."""

Decode = Callable[[str, bytes], tuple[Reading, ...]]


class UserValues:
    """Turns the values of one scale into events; ``decode`` decodes one of a characteristic.

    given    events since the link began
    refused  users whose consent the scale refuses
    due_ms   when ``tick`` has something to give; None = never
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self.refused: frozenset[int] = frozenset()
        self.restart()

    def restart(self) -> None:
        """A new link."""
        self._packets = BodyPackets()
        self.due_ms: int | None = None
        self.given = 0

    def refuse(self, user: int) -> None:
        """This user has not consented."""
        self.refused |= {user}

    def take(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A value, or a packet of one."""
        if channel != _body_packets.NAME:
            return self._event(channel, octets)
        whole = self._packets.take(octets)
        self.due_ms = now_ms + PART_MS if self._packets.is_waiting else None
        return self._events(whole)

    def tick(self, now_ms: int) -> Steps:
        """The second packet may be overdue."""
        return self.left() if self.due_ms is not None and now_ms >= self.due_ms else ()

    def left(self) -> Steps:
        """No second packet comes: the first was received, so it is a value by itself."""
        self.due_ms = None
        return self._events(self._packets.left())

    def _events(self, values: tuple[bytes, ...]) -> Steps:
        return tuple(step for value in values for step in self._event(_body_packets.NAME, value))

    def _event(self, channel: str, octets: bytes) -> Steps:
        readings = self._decode(channel, octets)
        if not readings:
            return ()
        user = readings[0].user
        if user in self.refused:
            return (Reject(octets, f"a value of user {user}, whose consent the device refused"),)
        self.given += 1
        return (Fetched(tuple(map(_of_somebody, readings)), octets),)


def _of_somebody(reading: Reading) -> Reading:
    if reading.user is not None:
        return reading
    return msgspec.structs.replace(reading, flags=reading.flags | USER_UNKNOWN)
