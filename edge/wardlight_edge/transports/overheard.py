"""What the proxies of a running gateway hear of anybody, for a person who scans beside it.

A proxy has one listener, the gateway; so the scan asks the gateway. What strangers say is noted
only while somebody asks, within bounds, in memory, and is told to the operator alone.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from wardlight_edge.transports.adverts import Sighting
from wardlight_edge.transports.base import Moments

LEASE_MS: Final = 10_000
"""So long after a question what is heard is noted for the next."""

MOST_KEPT: Final = 2000
MOST_TOLD: Final = 100


class ProxySighting(msgspec.Struct, frozen=True):
    """The newest advertisement of one device, as one proxy heard it."""

    radio: str
    sighting: Sighting


class Overheard(msgspec.Struct, frozen=True):
    """What was heard since the question before.

    newest     what to say in the next question
    proxies    every proxy that the gateway holds, to why it does not serve; None = it does
    sightings  at most MOST_TOLD, the oldest first; the next question brings the rest
    """

    newest: int
    proxies: dict[str, str | None]
    sightings: tuple[ProxySighting, ...]


class Listener(Protocol):
    """A radio that tells each advertisement of anybody to ``sighted``, where that is set."""

    sighted: Callable[[Sighting], None] | None

    @property
    def reason(self) -> str | None:
        """Why it does not serve, None = it does."""


class ProxyEars:
    """The proxies of a gateway, by the names of their radios."""

    def __init__(self, proxies: Mapping[str, Listener], moments: Moments) -> None:
        self._proxies = proxies
        self._moments = moments
        self._until_ms = 0
        self._newest = 0
        self._heard: dict[tuple[str, str], tuple[int, Sighting]] = {}

    def since(self, number: int | None) -> Overheard:
        """What was heard after ``number``; None = begin to listen, and tell nothing of before."""
        self._listen()
        told = [
            (each, ProxySighting(radio, sighting))
            for (radio, _), (each, sighting) in self._heard.items()
            if number is not None and each > number
        ][:MOST_TOLD]
        reasons = {name: proxy.reason for name, proxy in self._proxies.items()}
        newest = told[-1][0] if told else self._newest
        return Overheard(newest, reasons, tuple(sighting for _, sighting in told))

    def _listen(self) -> None:
        self._until_ms = self._moments.mono_ms() + LEASE_MS
        for name, proxy in self._proxies.items():
            if proxy.sighted is None:
                proxy.sighted = self._taker(name)

    def _taker(self, radio: str) -> Callable[[Sighting], None]:
        def take(sighting: Sighting) -> None:
            if self._moments.mono_ms() > self._until_ms:
                self._stop()
                return
            self._newest += 1
            self._heard.pop((radio, sighting.address), None)
            if len(self._heard) >= MOST_KEPT:
                del self._heard[next(iter(self._heard))]
            self._heard[radio, sighting.address] = self._newest, sighting

        return take

    def _stop(self) -> None:
        """Nobody asks any more."""
        self._heard.clear()
        for proxy in self._proxies.values():
            proxy.sighted = None
