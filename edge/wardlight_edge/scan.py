"""``wardlight-edge scan``: who advertises here, what it might be, and whether it is enrolled.

It is one more client of BlueZ: it works beside a running gateway and without one, switches nothing
and connects to no device. What strangers call themselves goes to the terminal and nowhere else.

Errors  TransportError: no radio can be listened to (no bus, no bluetoothd, no adapter, no power, no
        proxy), and what to do about it
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, TextIO

from wardlight_edge import scan_view
from wardlight_edge.recognition import matching, services_of
from wardlight_edge.scan_proxies import Ear
from wardlight_edge.scan_view import Reception, Row
from wardlight_edge.transports.adverts import Sighting
from wardlight_edge.transports.ble import overhearing
from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_shared.errors import TransportError
from wardlight_shared.profile import Profile

REFRESH_S: Final = 1.0
SETTLE_S: Final = 10.0  # so long the seconds do not count while a proxy is being connected to
MOST_DEVICES: Final = 2000
LATELY_S: Final = 30.0
_ADVICE: Final = {
    Trouble.NO_BUS: "no system D-Bus that this user may use: apt install dbus bluez; the user must "
    "be in the group bluetooth",
    Trouble.NO_BLUEZ: "bluetoothd is not running: systemctl start bluetooth",
    Trouble.NO_ADAPTER: "adapter {} not found: `bluetoothctl list` shows those that are there",
    Trouble.POWERED_OFF: "adapter {} has no power: `bluetoothctl power on`, or rfkill",
    Trouble.TIMEOUT: "adapter {}: BlueZ does not answer: systemctl restart bluetooth",
}


class Survey:
    """Who was heard. A neighbourhood of many private addresses is kept within MOST_DEVICES.

    enrolled  addresses of the gateway's devices
    now_s     a clock that only goes forward
    """

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        enrolled: Collection[str],
        now_s: Callable[[], float],
    ) -> None:
        self._profiles = profiles
        self._enrolled = enrolled
        self._now_s = now_s
        self._rows: dict[str, Row] = {}
        self._heard_s: dict[str, float] = {}
        self._receptions: dict[str, dict[str, tuple[float, Reception]]] = {}

    def sighted(self, sighting: Sighting, adapter: str) -> None:
        """Note an advertisement; what it does not say again is kept."""
        address, now_s = sighting.address, self._now_s()
        before = self._rows.pop(address, None)
        if before is None and len(self._rows) >= MOST_DEVICES:
            oldest = next(iter(self._rows))
            del self._rows[oldest], self._heard_s[oldest], self._receptions[oldest]
        self._heard_s[address] = now_s
        self._rows[address] = self._row(sighting, self._radios(sighting, adapter), before)

    def rows(self) -> list[Row]:
        """Enrolled devices first, then the strongest."""
        now_s = self._now_s()
        rows = [row.aged(now_s - self._heard_s[row.address]) for row in self._rows.values()]
        return sorted(rows, key=lambda row: (not row.is_enrolled, -row.signal_dbm, row.address))

    def _radios(self, sighting: Sighting, adapter: str) -> tuple[Reception, ...]:
        """Who has heard a device lately, now that this radio has."""
        now_s = self._now_s()
        known = self._receptions.setdefault(sighting.address, {})
        known[adapter] = (now_s, Reception(adapter, sighting.rssi))
        for radio, (heard_s, _) in tuple(known.items()):
            if now_s - heard_s > LATELY_S:
                del known[radio]
        lately = (each for _, each in known.values())
        return tuple(sorted(lately, key=lambda each: (-each.signal_dbm, each.radio)))

    def _row(self, sighting: Sighting, radios: tuple[Reception, ...], before: Row | None) -> Row:
        kinds = tuple(each.kind for each in sighting.adverts)
        return Row(
            address=sighting.address,
            address_kind=scan_view.address_kind(sighting.address, sighting.address_type),
            name=sighting.name or (before.name if before else None),
            radios=radios,
            heard=1 + (before.heard if before else 0),
            services=_joined(before.services if before else (), services_of(sighting)),
            adverts=_joined(before.adverts if before else (), kinds),
            profiles=_joined(matching(sighting, self._profiles), before.profiles if before else ()),
            is_enrolled=sighting.address in self._enrolled,
        )


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


async def run(
    adapters: Sequence[str],
    proxies: Ear,
    seconds: float,
    survey: Survey,
    output: TextIO,
    *,
    is_json: bool,
) -> None:
    """Scan for some seconds (0 = until told to stop), then leave the result on ``output``."""
    live = scan_view.LiveTable(output) if output.isatty() and not is_json else None
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        heard_by, troubles = await _listen(stack, adapters, survey)
        await stack.enter_async_context(proxies.listening(survey.sighted))
        began_s = started_s = loop.time()
        while not stop.is_set() and (heard_by or not proxies.is_deaf):
            if not proxies.is_settled and loop.time() - began_s < SETTLE_S:
                started_s = loop.time()
            left_s = seconds - (loop.time() - started_s) if seconds else REFRESH_S
            if left_s <= 0:
                break
            if live is not None:
                live.show(survey.rows())
            await _stopped(stop, min(left_s, REFRESH_S))
        heard_by += proxies.radios
        troubles += proxies.troubles()
    if not heard_by:
        raise TransportError("; ".join(troubles))
    _show(survey.rows(), heard_by, loop.time() - started_s, output, live, is_json=is_json)
    for trouble in troubles:
        sys.stderr.write(f"wardlight-edge: {trouble}\n")


def _show(
    rows: Sequence[Row],
    heard_by: Sequence[str],
    seconds: float,
    output: TextIO,
    live: scan_view.LiveTable | None,
    *,
    is_json: bool,
) -> None:
    if is_json:
        output.write(scan_view.document(heard_by, seconds, rows) + "\n")
    elif live is not None:
        live.show(rows, is_last=True)
    else:
        output.writelines(f"{line}\n" for line in scan_view.table(rows))


async def _stopped(stop: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await stop.wait()
    except TimeoutError:
        return


async def _listen(
    stack: AsyncExitStack, adapters: Sequence[str], survey: Survey
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Listen on each adapter that can; those, and why the others cannot."""
    listening: list[str] = []
    troubles: list[str] = []
    for adapter in adapters:
        taker = _taker(survey, adapter)
        try:
            await stack.enter_async_context(overhearing(adapter, taker))
        except BleError as error:
            troubles.append(_explained(adapter, error))
        else:
            listening.append(adapter)
    return tuple(listening), tuple(dict.fromkeys(troubles))


def _taker(survey: Survey, adapter: str) -> Callable[[Sighting], None]:
    return lambda sighting: survey.sighted(sighting, adapter)


def _explained(adapter: str, error: BleError) -> str:
    advice = _ADVICE.get(error.trouble)
    return f"{adapter}: {error}" if advice is None else advice.format(adapter)
