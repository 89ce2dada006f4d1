"""The keys that a client signs with now: registered as they are, or fetched and remembered.

A set that was fetched is remembered for REMEMBER_S. A client that has changed its keys signs with a
``kid`` that is not in it: then it is fetched anew, but no sooner than AGAIN_S after the last time,
so that nobody makes us ask somebody else over and over. An address that fails is as well not asked
again before that. One fetch of an address runs at a time, and AT_ONCE in all.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from wardlight_cloud.smart.key_fetching import KeysUnavailableError
from wardlight_cloud.smart.keys import BadKeysError, PublicKey, public_keys
from wardlight_cloud.store.authorization import ClientRow

REMEMBER_S: Final = 300.0
AGAIN_S: Final = 10.0
AT_ONCE: Final = 8
_MOST: Final = 256


class Fetcher(Protocol):
    """What has the texts."""

    async def fetch(self, url: str) -> bytes:
        """The text at an address; raises KeysUnavailableError."""


@dataclass(slots=True)
class _Known:
    keys: tuple[PublicKey, ...]
    error: str | None
    fetched_at: float


class ClientKeys:
    """Finds the keys for a client and a ``kid``."""

    def __init__(self, fetcher: Fetcher, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._turns: dict[str, asyncio.Lock] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def of(self, client: ClientRow, kid: str | None) -> tuple[PublicKey, ...]:
        """Keys to try; () = the client has none of that id. Raises KeysUnavailableError."""
        if client.jwks is not None:
            return _named(public_keys(client.jwks), kid)
        if client.jwks_url is None:
            return ()
        found = _named(await self._fetched(client.jwks_url, REMEMBER_S), kid)
        return found or _named(await self._fetched(client.jwks_url, AGAIN_S), kid)

    async def _fetched(self, url: str, fresh_s: float) -> tuple[PublicKey, ...]:
        """Keys of an address, as they were ``fresh_s`` ago at most."""
        turn = self._turns.setdefault(url, asyncio.Lock())
        async with turn:
            known = self._known.get(url)
            if known is None or self._clock() - known.fetched_at >= _lasts(known, fresh_s):
                known = await self._fetch(url)
        if known.error is not None:
            raise KeysUnavailableError(known.error)
        return known.keys

    async def _fetch(self, url: str) -> _Known:
        known = _Known((), None, self._clock())
        try:
            async with self._room:
                known.keys = public_keys(await self._fetcher.fetch(url))
        except BadKeysError as error:
            known.error = str(error)
        except KeysUnavailableError as error:
            known.error = str(error)
        self._known[url] = known
        self._known.move_to_end(url)
        while len(self._known) > _MOST:
            gone, _ = self._known.popitem(last=False)
            self._turns.pop(gone, None)
        return known


def _lasts(known: _Known, fresh_s: float) -> float:
    return fresh_s if known.error is None else AGAIN_S


def _named(keys: tuple[PublicKey, ...], kid: str | None) -> tuple[PublicKey, ...]:
    """Those with the id of an assertion; all of them where it names none."""
    return keys if kid is None else tuple(key for key in keys if key.kid == kid)
