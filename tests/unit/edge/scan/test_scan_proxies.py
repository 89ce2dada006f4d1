"""Proxies as radios of a scan: who hears, who does not, and why."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from support.waiting import wait_until
from wardlight_edge import scan_proxies
from wardlight_edge.config import ProxySettings
from wardlight_edge.scan_gateway import HeldProxies
from wardlight_edge.scan_proxies import NoProxies, OwnProxies, SeveralEars
from wardlight_edge.transports.adverts import Sighting
from wardlight_edge.transports.base import RadioState


class Radio:
    """A ProxyRadio without a proxy."""

    def __init__(self, name: str) -> None:
        self.adapter = f"proxy {name}"
        self.reason: str | None = None
        self.is_scanning = False
        self.last_ms: int | None = None
        self.sighted: Callable[[Sighting], None] | None = None
        self.is_run = False

    @property
    def state(self) -> RadioState:
        return RadioState(self.adapter, self.reason, self.is_scanning, 0, self.last_ms, 0, 0)

    async def run(self) -> None:
        self.is_run = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_run = False


@pytest.fixture
def radios(monkeypatch: pytest.MonkeyPatch) -> list[Radio]:
    """What two proxies of the settings become."""
    made = [Radio("hall"), Radio("attic")]
    left = iter(made)
    monkeypatch.setattr(scan_proxies, "_radio", lambda _: next(left))
    return made


PROXIES = tuple(
    ProxySettings(name=name, host=name, noise_key_file=Path("no.key")) for name in ("hall", "attic")
)


async def test_each_hears_or_says_why_not(radios: list[Radio]) -> None:
    hall, attic = radios
    heard: list[tuple[str, str]] = []
    ear = OwnProxies(PROXIES)
    async with ear.listening(lambda sighting, radio: heard.append((sighting.address, radio))):
        await wait_until(lambda: all(each.is_run for each in radios))
        assert (ear.is_settled, ear.is_deaf, ear.radios) == (False, False, ())
        hall.is_scanning = True
        attic.reason = "proxy attic cannot be reached"
        assert (ear.is_settled, ear.is_deaf, ear.radios) == (True, False, ("proxy hall",))
        forwards_nothing, away = ear.troubles()
        assert "proxy hall has forwarded nothing: it has one listener" in forwards_nothing
        assert away == attic.reason
        assert hall.sighted is not None
        hall.sighted(Sighting("A", "public", None, -60, (), ()))
        hall.last_ms = 1
        assert heard == [("A", "proxy hall")]
        assert ear.troubles() == (attic.reason,)
        hall.reason = "proxy hall has closed the connection"
        assert (ear.is_deaf, ear.radios) == (True, ())
        hall.reason, hall.is_scanning, hall.last_ms = None, False, None
        assert ear.troubles()[0] == "proxy hall has not answered yet"
    assert not any(each.is_run for each in radios)


async def test_several_are_deaf_when_all_are(radios: list[Radio]) -> None:
    hall, attic = radios
    hall.is_scanning = attic.is_scanning = True
    hall.last_ms = attic.last_ms = 1
    ear = SeveralEars([HeldProxies("proxy cellar: ask root"), OwnProxies(PROXIES), NoProxies()])
    async with ear.listening(lambda *_: None):
        assert (ear.is_settled, ear.is_deaf) == (True, False)
        assert ear.radios == ("proxy hall", "proxy attic")
        assert ear.troubles() == ("proxy cellar: ask root",)
        hall.is_scanning = False
        assert not ear.is_settled
        hall.reason = attic.reason = "away"
        assert ear.is_deaf
        assert not ear.radios
        assert ear.troubles() == ("proxy cellar: ask root", "away", "away")
