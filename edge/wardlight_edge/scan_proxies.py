"""The ESPHome proxies of the settings as further radios of a scan.

A proxy has one listener. Where a gateway runs and uses its proxies, that is the gateway, and the
scan asks it (scan_gateway). What another program holds is not heard, and the scan says so.

Errors  none: a proxy that does not hear says why in ``troubles``, and the scan goes on
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final, Protocol

from wardlight_edge.clock import SystemClock
from wardlight_edge.config import ProxySettings
from wardlight_edge.transports.adverts import Sighting
from wardlight_edge.transports.esphome_radio import ProxyRadio

SILENT_S: Final = 86_400.0  # whoever looks around may wait for a device as long as they like
STOP_S: Final = 15.0
_UNHEARD: Final = (
    "has forwarded nothing: it has one listener, and another program (Home Assistant, or a gateway "
    "with other settings) may be that; stop it for the scan, or nobody is near the proxy"
)
Sighted = Callable[[Sighting, str], None]
"""Told each advertisement, and by which radio."""


class Ear(Protocol):
    """Some proxies that are listened to."""

    def listening(self, sighted: Sighted) -> AbstractAsyncContextManager[None]:
        """Listen while the context lasts."""

    @property
    def radios(self) -> tuple[str, ...]:
        """Those that hear now."""

    @property
    def is_settled(self) -> bool:
        """Whether each hears, or has said why not."""

    @property
    def is_deaf(self) -> bool:
        """Whether each has said why it does not hear."""

    def troubles(self) -> tuple[str, ...]:
        """A sentence for each that does not hear."""


class NoProxies:
    """Nobody."""

    radios: tuple[str, ...] = ()
    is_settled = True
    is_deaf = True

    @asynccontextmanager
    async def listening(self, sighted: Sighted) -> AsyncIterator[None]:
        """Listen to nobody."""
        del sighted
        yield

    def troubles(self) -> tuple[str, ...]:
        """Nobody has any."""
        return ()


class SeveralEars:
    """Those of several, as one."""

    def __init__(self, ears: Sequence[Ear]) -> None:
        self._ears = ears

    @asynccontextmanager
    async def listening(self, sighted: Sighted) -> AsyncIterator[None]:
        """Listen with all."""
        async with AsyncExitStack() as stack:
            for ear in self._ears:
                await stack.enter_async_context(ear.listening(sighted))
            yield

    @property
    def radios(self) -> tuple[str, ...]:
        """Those that hear now."""
        return tuple(radio for ear in self._ears for radio in ear.radios)

    @property
    def is_settled(self) -> bool:
        """Whether each hears, or has said why not."""
        return all(ear.is_settled for ear in self._ears)

    @property
    def is_deaf(self) -> bool:
        """Whether each has said why it does not hear."""
        return all(ear.is_deaf for ear in self._ears)

    def troubles(self) -> tuple[str, ...]:
        """A sentence for each that does not hear."""
        return tuple(text for ear in self._ears for text in ear.troubles())


class OwnProxies:
    """Proxies that the scan speaks with itself; needs the extra."""

    def __init__(self, proxies: Sequence[ProxySettings]) -> None:
        self._proxies = proxies
        self._radios: list[ProxyRadio] = []

    @asynccontextmanager
    async def listening(self, sighted: Sighted) -> AsyncIterator[None]:
        """Connect to each, and keep connected."""
        self._radios = [_radio(each) for each in self._proxies]
        for radio in self._radios:
            radio.sighted = _taker(sighted, radio.adapter)
        tasks = [asyncio.create_task(each.run(), name=each.adapter) for each in self._radios]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=STOP_S)

    @property
    def radios(self) -> tuple[str, ...]:
        """Those that are connected, and without a trouble."""
        return tuple(
            each.adapter for each in self._radios if each.reason is None and each.state.is_scanning
        )

    @property
    def is_settled(self) -> bool:
        """Whether each is connected, or has said why not."""
        return all(each.state.is_scanning or each.reason is not None for each in self._radios)

    @property
    def is_deaf(self) -> bool:
        """Whether each has said why it does not serve."""
        return all(each.reason is not None for each in self._radios)

    def troubles(self) -> tuple[str, ...]:
        """Why proxies do not serve; of one that has told nothing at all, what that may mean."""
        return tuple(text for each in self._radios if (text := _trouble(each)))


def _radio(proxy: ProxySettings) -> ProxyRadio:
    from wardlight_edge.transports.esphome import ProxyOpener

    return ProxyRadio(
        proxy,
        ProxyOpener(proxy),
        SystemClock(),
        (),
        silent_s=SILENT_S,
        is_bonded=lambda _, __: False,
        heard=lambda _: None,
        changed=lambda: None,
    )


def _taker(sighted: Sighted, radio: str) -> Callable[[Sighting], None]:
    return lambda sighting: sighted(sighting, radio)


def _trouble(radio: ProxyRadio) -> str | None:
    state = radio.state
    if state.reason is not None or state.last_advertisement_mono_ms is not None:
        return state.reason
    return f"{radio.adapter} {_UNHEARD if state.is_scanning else 'has not answered yet'}"
