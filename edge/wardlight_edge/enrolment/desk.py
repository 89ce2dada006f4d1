"""The desk where one operator at a time pairs one device: a window, opened and closed by them.

    open -> listening -> connecting -> [asking | showing] -> [identifying] -> done
                 ^____________|_________________|                |
                     the link went, it is heard again            +-> failed

A window ends when all that was wanted is there, when pairing fails, when its time is over, or when
nobody has looked at it for OPERATOR_GONE_S. Implements ``transports.ble_agent.Operator``. Digits
are passed on, never kept and never logged.

Errors  ConfigError: another window is open, this one is over, or the question is
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from wardlight_edge.clock import Clock
from wardlight_edge.enrolment.messages import OVER, Phase, Window
from wardlight_shared.errors import ConfigError

OPERATOR_GONE_S: Final = 15.0
MOST_S: Final = 600.0
_logger = logging.getLogger(__name__)


@dataclass
class _Open:
    """The window that is open, or was last."""

    identity: str
    needs_bond: bool
    needs_identity: bool
    until_ms: int
    looked_ms: int
    name: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    phase: Phase = Phase.LISTENING
    text: str = ""
    question: int = 0
    answer: "asyncio.Future[int | None] | None" = None
    digits: str | None = None
    is_answered: bool | None = None
    known_by: str = ""


class PairingDesk:
    """One window at a time.

    changed  told when an operator has come or gone
    """

    def __init__(self, clock: Clock, changed: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self.changed = changed
        self._last: _Open | None = None
        self._questions = 0

    # -- the operator's side

    def open(
        self, identity: str, seconds: float, *, needs_bond: bool, needs_identity: bool
    ) -> Window:
        """Open a window."""
        other = self._now_open()
        if other is not None:
            left_s = (other.until_ms - self._clock.mono_ms()) / 1000
            raise ConfigError(
                f"{other.identity} is being paired by somebody else (for {left_s:.0f} s at most): "
                "wait until that is over"
            )
        now_ms = self._clock.mono_ms()
        until_ms = now_ms + int(min(seconds, MOST_S) * 1000)
        self._last = _Open(identity, needs_bond, needs_identity, until_ms, now_ms)
        self._last.text = "put the device into pairing mode near the gateway"
        _logger.info("pairing window opened", extra={"device": identity})
        self.changed()
        return self._view(self._last)

    def done(self, identity: str, text: str) -> Window:
        """A window that was over at once: nothing has to be heard for what was wanted."""
        now_ms = self._clock.mono_ms()
        window = _Open(identity, False, False, now_ms, now_ms)
        self._say(window, Phase.DONE, text)
        return self._view(window)

    def look(self, name: str) -> Window:
        """The window now; who looks is there."""
        window = self._named(name)
        window.looked_ms = self._clock.mono_ms()
        self.expire()
        return self._view(window)

    def answer(self, name: str, question: int, digits: int | None) -> Window:
        """The operator's digits, None = they refuse."""
        window = self._named(name)
        window.looked_ms = self._clock.mono_ms()
        waiting = window.answer
        if waiting is None or waiting.done() or question != window.question:
            raise ConfigError(f"{window.identity} does not wait for digits any more")
        waiting.set_result(digits)
        return self._view(window)

    def close(self, name: str) -> Window:
        """The operator leaves."""
        window = self._named(name)
        self._end(window, Phase.FAILED, "given up by the operator")
        return self._view(window)

    def expire(self) -> None:
        """End a window whose time is over, or whose operator has gone; called now and then."""
        window = self._last
        if window is None or window.phase in OVER:
            return
        now_ms = self._clock.mono_ms()
        if now_ms >= window.until_ms:
            self._end(window, Phase.FAILED, _too_late(window))
        elif now_ms - window.looked_ms > OPERATOR_GONE_S * 1000:
            self._end(window, Phase.FAILED, "the operator has gone")

    def bound(self, identity: str, known_by: str) -> None:
        """The device is known from now on; ``known_by`` is a sentence that says by what."""
        window = self._now_open()
        if window is not None and window.identity == identity and window.needs_identity:
            window.needs_identity = False
            window.known_by = known_by
            self._go_on(window)

    def not_bound(self, identity: str, reason: str) -> None:
        """What was read could not be kept."""
        window = self._now_open()
        if window is not None and window.identity == identity:
            self._end(window, Phase.FAILED, reason)

    def forget(self, identity: str) -> None:
        """The device was removed."""
        window = self._now_open()
        if window is not None and window.identity == identity:
            self._end(window, Phase.FAILED, "the device was removed")

    # -- the radio's side

    @property
    def is_present(self) -> bool:
        """Whether a window is open."""
        return self._now_open() is not None

    def is_at(self, address: str) -> bool:
        """Whether the window is open for this device."""
        return self._of(address) is not None

    async def digits(self, address: str) -> int | None:
        """Ask for the digits that the device shows; None = refuse."""
        window = self._of(address)
        if window is None:
            return None
        self._questions += 1
        window.question = self._questions
        window.answer = asyncio.get_running_loop().create_future()
        window.is_answered = False
        self._say(window, Phase.ASKING, "the device shows six digits: type them")
        try:
            digits = await window.answer
            window.is_answered = digits is not None
            return digits
        finally:
            window.question, window.answer = 0, None
            if window.phase is Phase.ASKING:
                self._say(window, Phase.CONNECTING, "pairing")

    def show(self, address: str, digits: str) -> None:
        """Show digits that must be typed on the device."""
        window = self._of(address)
        if window is not None:
            window.digits = digits
            self._say(window, Phase.SHOWING, "type these digits on the device")

    def found(self, address: str) -> None:
        """The device was heard, and is being connected."""
        window = self._of(address)
        if window is not None and window.phase is Phase.LISTENING:
            self._say(window, Phase.CONNECTING, "heard; connecting")

    def paired(self, address: str) -> None:
        """The device has a bond now, and is in use."""
        window = self._of(address)
        if window is not None:
            window.needs_bond = False
            window.digits = None
            self._go_on(window)

    def failed(self, address: str, reason: str | None) -> None:
        """It did not work, and is not tried again by itself; None = bluetoothd says no more."""
        window = self._of(address)
        if window is not None:
            self._end(window, Phase.FAILED, reason or _failure(window))

    def went(self, address: str) -> None:
        """The link was not made or has ended; it is tried again when the device is heard."""
        window = self._of(address)
        if window is not None:
            window.digits = None
            self._say(
                window, Phase.LISTENING, "the link has ended; waiting to hear the device again"
            )

    # -- inside

    def _now_open(self) -> _Open | None:
        self.expire()
        window = self._last
        return None if window is None or window.phase in OVER else window

    def _of(self, address: str) -> _Open | None:
        window = self._now_open()
        if window is None or window.identity != f"ble:{address.replace(':', '')}":
            return None
        return window

    def _named(self, name: str) -> _Open:
        window = self._last
        if window is None or not secrets.compare_digest(window.name, name):
            raise ConfigError("this pairing window is over")
        return window

    def _go_on(self, window: _Open) -> None:
        """Something wanted is there: done, or on with the rest."""
        if not window.needs_bond and not window.needs_identity:
            self._end(window, Phase.DONE, _success(window))
        elif not window.needs_bond:
            self._say(window, Phase.IDENTIFYING, "connected; its serial number is still to be read")

    def _say(self, window: _Open, phase: Phase, text: str) -> None:
        window.phase, window.text = phase, text

    def _end(self, window: _Open, phase: Phase, text: str) -> None:
        if window.phase in OVER:
            return
        self._say(window, phase, text)
        if window.answer is not None and not window.answer.done():
            window.answer.set_result(None)
        extra = {"device": window.identity, "outcome": phase.value}
        _logger.info("pairing window closed", extra=extra)
        self.changed()

    def _view(self, window: _Open) -> Window:
        return Window(
            window=window.name,
            identity=window.identity,
            phase=window.phase,
            text=window.text,
            seconds=max(window.until_ms - self._clock.mono_ms(), 0) / 1000,
            question=window.question,
            digits=window.digits if window.phase is Phase.SHOWING else None,
        )


def _success(window: _Open) -> str:
    return "; ".join(part for part in ("ready", window.known_by) if part)


def _failure(window: _Open) -> str:
    match window.is_answered:
        case True:
            return "pairing failed: the digits were not those on the device; try again"
        case False:
            return "pairing failed: no digits in time; a device waits for them some 30 s"
    return (
        "pairing failed: the device refused; put it into pairing mode (its manual says how), then "
        "try again"
    )


def _too_late(window: _Open) -> str:
    match window.phase:
        case Phase.ASKING:
            return "no digits were given in time"
        case Phase.IDENTIFYING:
            return "connected, but its serial number could not be read in time; try again"
    return (
        "the device was not heard in time: is it in pairing mode, near the gateway, and connected "
        "to nothing else?"
    )
