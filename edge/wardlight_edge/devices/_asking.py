"""The dialogue of a device that keeps nothing, but sends only when it is asked to. Pure.

It writes one request when a link is up, and again every ``every_ms`` where the device answers each
request with one value. What the device then sends is no part of it: the decoder reads that.

Source  the decoders that use it name theirs
"""

from collections.abc import Callable
from typing import Final

from wardlight_edge.devices._dialogue import Bookmarks, Steps, Trouble, Write
from wardlight_shared.errors import DecodeError

Reply = Callable[[bytes], None]
"""Checks an answer of the control point; DecodeError when the device will not do it."""

_AGAIN_MS: Final = 10_000  # after a refusal


class Asking:
    """Implements Dialogue.

    channel   characteristic that takes the request
    every_ms  distance of two requests; None = one for each link
    reply     checks what the channel answers; None = it answers nothing
    """

    def __init__(
        self,
        channel: str,
        request: bytes,
        *,
        every_ms: int | None = None,
        reply: Reply | None = None,
    ) -> None:
        self.channels: frozenset[str] = frozenset({channel} if reply is not None else ())
        self.kept: frozenset[str] = frozenset()
        self._write = Write(channel, request)
        self._every_ms = every_ms
        self._reply = reply
        self._due_ms: int | None = None

    @property
    def bookmarks(self) -> Bookmarks:
        """The device keeps nothing."""
        return {}

    @property
    def deadline_ms(self) -> int | None:
        """When it is asked again; None = never on this link."""
        return self._due_ms

    def begin(self, now_ms: int) -> Steps:
        """Ask."""
        self._due_ms = None if self._every_ms is None else now_ms + self._every_ms
        return (self._write,)

    def value(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """Hear what the control point answers."""
        if self._reply is None or channel not in self.channels:
            return ()
        try:
            self._reply(octets)
        except DecodeError as error:
            self._due_ms = now_ms + _AGAIN_MS
            return (Trouble(str(error)),)
        return ()

    def written(self, channel: str, now_ms: int) -> Steps:
        """The request was taken."""
        del channel, now_ms
        return ()

    def refused(self, channel: str, code: int | None, now_ms: int) -> Steps:
        """The request was not taken: say so, and ask again after a while."""
        self._due_ms = now_ms + _AGAIN_MS
        why = (
            "has no such characteristic" if code is None else f"refused with ATT error {code:#04x}"
        )
        return (Trouble(f"{channel}: the device {why}"),)

    def tick(self, now_ms: int) -> Steps:
        """Ask again when it is time."""
        if self._due_ms is None or now_ms < self._due_ms:
            return ()
        return self.begin(now_ms)

    def committed(self) -> Steps:
        """Nothing waits for a commit."""
        return ()

    def link_lost(self) -> Steps:
        """Ask no more."""
        self._due_ms = None
        return ()
