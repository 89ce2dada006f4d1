"""What the proxies of a gateway hear, told to a scan beside it: within bounds, while it asks."""

from collections.abc import Callable

import pytest

from support.manual_clock import ManualClock
from support.waiting import wait_until
from wardlight_edge import scan_gateway
from wardlight_edge.scan_gateway import GatewayProxies, HeldProxies
from wardlight_edge.transports import overheard
from wardlight_edge.transports.adverts import Advert, Sighting
from wardlight_edge.transports.overheard import LEASE_MS, Overheard, ProxyEars, ProxySighting
from wardlight_shared.errors import TransportError


class Proxy:
    """A radio of a proxy."""

    def __init__(self) -> None:
        self.sighted: Callable[[Sighting], None] | None = None
        self.reason: str | None = None

    def hear(self, address: str, rssi: int = -60) -> None:
        if self.sighted is not None:
            self.sighted(_sighting(address, rssi))


def _sighting(address: str, rssi: int = -60) -> Sighting:
    adverts = (Advert("service-data:0xFCD2", b"\x40"),)
    return Sighting(address, "public", None, rssi, ("0x1810",), adverts)


def test_what_was_heard_before_somebody_asked_is_not_told() -> None:
    proxy = Proxy()
    ears = ProxyEars({"proxy hall": proxy}, ManualClock())
    proxy.hear("A")
    first = ears.since(None)
    assert (first.sightings, first.proxies) == ((), {"proxy hall": None})
    proxy.hear("B", -70)
    proxy.hear("B", -40)
    second = ears.since(first.newest)
    assert second.sightings == (ProxySighting("proxy hall", _sighting("B", -40)),)
    assert ears.since(second.newest).sightings == ()


def test_nobody_is_listened_to_when_nobody_asks() -> None:
    clock, hall, attic = ManualClock(), Proxy(), Proxy()
    ears = ProxyEars({"proxy hall": hall, "proxy attic": attic}, clock)
    newest = ears.since(None).newest
    hall.hear("A")
    clock.advance(LEASE_MS + 1)
    hall.hear("B")
    assert (hall.sighted, attic.sighted) == (None, None)
    assert ears.since(newest).sightings == ()
    attic.hear("C")
    assert [each.sighting.address for each in ears.since(newest).sightings] == ["C"]


def test_many_strangers_are_told_in_turn_and_kept_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overheard, "MOST_KEPT", 250)
    proxy = Proxy()
    ears = ProxyEars({"proxy hall": proxy}, ManualClock())
    newest = ears.since(None).newest
    for number in range(300):
        proxy.hear(f"{number:03}")
    heard: list[str] = []
    while sightings := (answer := ears.since(newest)).sightings:
        assert len(sightings) <= overheard.MOST_TOLD
        heard += [each.sighting.address for each in sightings]
        newest = answer.newest
    assert heard == [f"{number:03}" for number in range(50, 300)]


def test_a_proxy_that_does_not_serve_says_why() -> None:
    proxy = Proxy()
    proxy.reason = "proxy hall cannot be reached"
    first = ProxyEars({"proxy hall": proxy}, ManualClock()).since(None)
    ear = GatewayProxies(lambda _: first, ["proxy hall"], first)
    assert (ear.is_deaf, ear.radios) == (True, ())
    assert ear.troubles() == ("proxy hall cannot be reached",)


async def test_a_gateway_that_stops_is_a_trouble_and_one_that_comes_back_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan_gateway, "ASK_S", 0.01)
    runs = True

    def ask(since: int | None) -> Overheard:
        if not runs:
            raise TransportError("the gateway does not answer")
        number = 0 if since is None else since
        told = ProxySighting("proxy hall", _sighting(str(number)))
        other = ProxySighting("proxy attic", _sighting("nobody asked for"))
        return Overheard(number + 1, {"proxy hall": None, "proxy attic": None}, (told, other))

    heard: list[tuple[str, str]] = []
    ear = GatewayProxies(ask, ["proxy hall"], ask(None))
    async with ear.listening(lambda sighting, radio: heard.append((sighting.address, radio))):
        await wait_until(lambda: len(heard) > 2)
        assert heard[:2] == [("1", "proxy hall"), ("2", "proxy hall")]
        runs = False
        await wait_until(lambda: ear.is_deaf)
        assert "does not answer" in ear.troubles()[0]
        runs = True
        await wait_until(lambda: ear.radios == ("proxy hall",))
        assert ear.troubles() == ()


async def test_a_gateway_that_may_not_be_asked_is_named() -> None:
    ear = HeldProxies("proxy hall: use the account of the gateway, or root")
    async with ear.listening(lambda *_: None):
        assert (ear.is_deaf, ear.is_settled, ear.radios) == (True, True, ())
    assert ear.troubles() == ("proxy hall: use the account of the gateway, or root",)
