"""One device over Bluetooth: hear it, visit it, rest. Implements Transport.

A device is visited when it is heard, never by a stored path: BlueZ forgets an unbonded device 30 s
after its last advertisement, and a connect to a silent one blocks the adapter for 20 s.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, nullcontext
from typing import Final

from wardlight_edge.backoff import Backoff
from wardlight_edge.transports.base import (
    DeviceClockSetter,
    LinkChange,
    LinkState,
    Moments,
    Receiver,
    Request,
)
from wardlight_edge.transports.ble import Heard
from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_edge.transports.ble_stack import BleStack
from wardlight_edge.transports.ble_visit import Visit, measures_of
from wardlight_shared.errors import ConfigError
from wardlight_shared.profile import Profile, TransportBle

FRESH_MS: Final = 5000  # an older advertisement says nothing of where the device is now
EARLY_DROPS: Final = 3
"""Links of a bonded device in a row that end before they can be used: it has lost our key."""

GATHER_S: Final = 0.3
REST_S: Final = 0.25
LONGEST_S: Final = 60.0
REPAIR_S: Final = 600.0  # how often a device that waits for an operator is tried anyway
PERSON_S: Final = 60.0  # for as long bluetoothd waits for its agent; a device gives up after 30 s
UNBOUND: Final = (
    "not bound yet: nothing of it is taken until its serial number was read; run "
    "`wardlight-edge devices pair {}`"
)
_FIRST_S: Final = {
    Trouble.BUSY: 0.25,
    Trouble.GONE: 0.25,
    Trouble.TRANSIENT: 0.5,
    Trouble.LOST: 0.5,
    Trouble.NO_SLOT: 4.0,
    Trouble.PAIRING: 10.0,
    Trouble.UNUSABLE: 30.0,
}
_OPERATOR: Final = {
    Trouble.KEY_MISSING: (
        LinkState.BOND_LOST,
        "the bond is lost on one side: put the device into pairing mode, then run "
        "`wardlight-edge devices pair`",
    ),
    Trouble.NOT_PAIRED: (
        LinkState.NOT_PAIRED,
        "the device wants a bond, and its profile says bond = false: set bond = true there and "
        "start the gateway again",
    ),
}
_logger = logging.getLogger(__name__)


def address_from_identity(identity: str) -> str:
    """``AA:BB:CC:DD:EE:FF`` of ``ble:AABBCCDDEEFF``."""
    digits = identity.removeprefix("ble:")
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


class BleTransport:
    """The way to one BLE device.

    must_read   characteristics that each visit reads first, and again when that fails
    is_unknown  whether the device is not bound yet: it is visited for an operator only
    """

    def __init__(
        self,
        identity: str,
        profile: Profile,
        stack: BleStack,
        clock_setter: DeviceClockSetter,
        moments: Moments,
        *,
        must_read: tuple[str, ...] = (),
        repair_s: float = REPAIR_S,
        is_unknown: Callable[[], bool] = lambda: False,
    ) -> None:
        if profile.transport.ble is None:
            raise ConfigError(f"{identity}: its profile has no [transport.ble]")
        self._address = address_from_identity(identity)
        self._plan: TransportBle = profile.transport.ble
        self._stack = stack
        self._watch = stack.watch(self._address)
        self._clock_setter = clock_setter
        self._moments = moments
        self._must_read = must_read
        self._repair_s = repair_s
        self._is_unknown = is_unknown
        self._unbound = UNBOUND.format(identity)
        self._backoff = Backoff(1.0, LONGEST_S)
        self._early_drops = 0
        self._left_ms = 0
        self._said: tuple[LinkState | None, str | None] = (None, None)
        self._is_repaired = asyncio.Event()
        self._running: Visit | None = None
        self._visits = 0

    def ask(self, link: int, request: Request) -> None:
        """Pass a request of the session on to the visit it belongs to."""
        if self._running is not None and self._running.number == link:
            self._running.ask(request)

    def leave(self, link: int, rest_s: float) -> None:
        """End the visit."""
        if self._running is not None and self._running.number == link:
            self._running.leave(rest_s)

    def accepted(self, token: int) -> None:
        """A radio has no place to remember."""

    async def repair(self) -> None:
        """An operator's word: forget the bond, so that the device is paired anew when heard."""
        await self._stack.forget(self._address)
        self._left_ms = self._moments.mono_ms()  # what was heard before still shows the old key
        self._said = (None, None)  # it waits from now on
        self._early_drops = 0
        self._watch.is_key_refused = False
        self._is_repaired.set()

    async def run(self, receiver: Receiver) -> None:
        """Visit the device whenever it is heard."""
        while True:
            heard = await self._next_heard(receiver)
            wait_s = await self._visit(heard, receiver)
            self._left_ms = self._moments.mono_ms()
            await self._rest(wait_s)

    # -- between visits

    async def _next_heard(self, receiver: Receiver) -> Heard:
        while True:
            self._watch.changed.clear()
            absence = self._stack.absence(self._address)
            if absence is not None:
                self._say(receiver, LinkState.ABSENT, absence)
            elif self._is_unknown() and not self._is_operator_here:
                self._say(receiver, LinkState.UNBOUND, self._unbound)
            else:
                if self._said[0] in {None, LinkState.ABSENT, LinkState.UNBOUND}:
                    self._say(receiver, LinkState.WAITING)
                if self._choice() is not None and not receiver.is_refusing:
                    await self._gather()
                    heard = self._choice()
                    if heard is not None:
                        self._watch.last_adapter = heard.adapter
                        return heard
            await self._watch.changed.wait()

    @property
    def _is_operator_here(self) -> bool:
        operator = self._stack.operator
        return operator is not None and operator.is_at(self._address)

    def _choice(self) -> Heard | None:
        is_to_pair = self._plan.bond and self._stack.bonds.adapter_of(self._address) is None
        return self._stack.choice(
            self._address,
            self._since_ms(),
            is_to_pair=is_to_pair,
            is_stream=self._plan.stay_connected,
        )

    async def _gather(self) -> None:
        """Let other radios hear it too: a proxy sends what it hears in batches."""
        if len(self._stack.adapters_for(self._address)) > 1:
            await asyncio.sleep(GATHER_S)

    def _since_ms(self) -> int:
        """Only an advertisement after the last visit shows that the device wants another."""
        return max(self._left_ms, self._moments.mono_ms() - FRESH_MS)

    async def _rest(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._is_repaired.wait()
        except TimeoutError:
            return
        finally:
            self._is_repaired.clear()

    def _say(self, receiver: Receiver, state: LinkState, reason: str | None = None) -> None:
        if (state, reason) != self._said:
            self._said = (state, reason)
            receiver.offer(LinkChange(state, self._moments.mono_ms(), reason))

    # -- one visit

    async def _visit(self, heard: Heard, receiver: Receiver) -> float:
        """Connect and stay as long as the profile says; return the seconds to rest after it."""
        self._visits += 1
        visit = self._running = Visit(
            self._plan,
            receiver,
            self._clock_setter,
            self._moments,
            self._must_read,
            self._visits,
        )
        try:
            await self._connect_and_stay(heard, receiver, visit)
        except BleError as error:
            return self._failed(heard, error, receiver, visit)
        finally:
            self._running = None
        self._say(receiver, self._state_without_link())
        return self._rest_after(visit, None)

    async def _connect_and_stay(self, heard: Heard, receiver: Receiver, visit: Visit) -> None:
        radio = self._stack.radio(heard.adapter)
        pairs = self._must_pair(heard)
        timeout_s = self._stack.settings.connect_timeout_s
        if self._is_operator_here:
            timeout_s += PERSON_S
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(radio.slot(is_stream=self._plan.stay_connected))
            if self._said[0] is LinkState.WAITING:
                self._say(receiver, LinkState.CONNECTING)
            if self._stack.operator is not None:
                self._stack.operator.found(self._address)
            with self._stack.agent.expect(heard.path) if pairs else nullcontext():
                async with radio.connecting():
                    self._check_fresh(heard)
                    link = await stack.enter_async_context(
                        radio.connected(
                            heard,
                            pair=pairs,
                            timeout_s=timeout_s,
                            measures=measures_of(self._plan),
                        )
                    )
                self._said = (LinkState.CONNECTED, None)
                await visit.subscribe(link)
            self._is_usable(heard, pairs)
            await visit.read(link)
            await visit.stay(link)

    def _must_pair(self, heard: Heard) -> bool:
        """Whether this visit pairs. BleError KEY_MISSING: the key that should be here is gone."""
        bonded = self._stack.bonds.adapter_of(self._address)
        if bonded is not None and not heard.is_paired:
            raise BleError(Trouble.KEY_MISSING, "this gateway's Bluetooth has lost the key")
        return self._plan.bond and not heard.is_paired

    def _check_fresh(self, heard: Heard) -> None:
        if self._moments.mono_ms() - heard.mono_ms > FRESH_MS:
            raise BleError(Trouble.GONE, "not heard any more when its turn came")

    def _is_usable(self, heard: Heard, paired: bool) -> None:
        self._early_drops = 0
        self._watch.is_key_refused = False
        if paired or heard.is_paired:
            self._stack.bonds.remember(self._address, heard.adapter)
            if self._stack.operator is not None:
                self._stack.operator.paired(self._address)

    # -- after a visit

    def _state_without_link(self) -> LinkState:
        return LinkState.LOST if self._plan.stay_connected else LinkState.WAITING

    def _rest_after(self, visit: Visit, first_s: float | None) -> float:
        if visit.rest_s is not None:
            self._backoff.succeeded()
            return visit.rest_s
        if visit.values:
            self._backoff.succeeded()
            return REST_S
        return self._backoff.failed(first_s)

    def _failed(self, heard: Heard, error: BleError, receiver: Receiver, visit: Visit) -> float:
        trouble = self._trouble_of(heard, error)
        extra = {"device": self._address, "trouble": trouble.name, "error": str(error)}
        _logger.info("visit failed", extra=extra)
        self._tell_operator(trouble)
        if trouble in _OPERATOR:
            self._say(receiver, *_OPERATOR[trouble])
            return self._repair_s
        if trouble is Trouble.BUSY:
            self._stack.radio(heard.adapter).must_pause()
        if trouble is Trouble.PAIRING:
            advice = (
                "pairing failed: put the device into pairing mode near the gateway; one that shows "
                "digits needs `wardlight-edge devices pair`"
            )
            self._say(receiver, LinkState.NOT_PAIRED, advice)
        elif trouble is Trouble.UNUSABLE:
            self._say(receiver, LinkState.UNUSABLE, f"{error}; is it the right profile?")
        else:
            self._say(receiver, self._state_without_link())
        return self._rest_after(visit, _FIRST_S.get(trouble))

    def _tell_operator(self, trouble: Trouble) -> None:
        operator = self._stack.operator
        if operator is None:
            return
        if trouble is Trouble.PAIRING:
            operator.failed(self._address, None)
        elif trouble in _OPERATOR:
            operator.failed(self._address, _OPERATOR[trouble][1])
        elif trouble is Trouble.UNUSABLE:
            operator.failed(self._address, "the device offers nothing its profile measures")
        else:
            operator.went(self._address)

    def _trouble_of(self, heard: Heard, error: BleError) -> Trouble:
        """A bonded link that ends again and again before it can be used has lost its key."""
        if error.trouble is Trouble.NOT_PAIRED and self._plan.bond:
            return Trouble.KEY_MISSING if heard.is_paired else Trouble.PAIRING
        if error.trouble is not Trouble.LOST or not heard.is_paired:
            return error.trouble
        self._early_drops += 1
        if self._watch.is_key_refused or self._early_drops >= EARLY_DROPS:
            return Trouble.KEY_MISSING
        return error.trouble
