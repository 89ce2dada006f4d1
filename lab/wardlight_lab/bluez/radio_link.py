"""The link between an adapter and a device: carries values, and loses them where told to."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any, Final

from wardlight_lab.bluez.errors import LinkLostError
from wardlight_lab.bluez.peripheral import Peripheral, Transmission

HELD_BACK_S: Final = (
    0.25  # values that `lose_last` holds back arrive after this, when no drop comes
)

_logger = logging.getLogger(__name__)


class Reason(StrEnum):
    """Why a link ended, as in org.bluez.Reason.*."""

    LOCAL = "Local"
    REMOTE = "Remote"
    TIMEOUT = "Timeout"
    AUTHENTICATION = "Authentication"


class RadioLink:
    """Implements `Link`.

    deliver      hands a value to the clients; answers whether any of them got it
    ended        told once, when the link ends
    remembered   characteristics whose CCCD the device remembers as switched on (bonded devices)
    """

    def __init__(
        self,
        peripheral: Peripheral,
        *,
        deliver: Callable[[str, bytes], bool],
        ended: Callable[[Reason], None],
        remembered: set[str],
        is_encrypted: bool,
        indication_s: float,
    ) -> None:
        self._peripheral = peripheral
        self._deliver = deliver
        self._ended = ended
        self._indication_s = indication_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: deque[tuple[str, bytes, Transmission]] = deque()
        self._flush: asyncio.TimerHandle | None = None
        self._down = asyncio.Event()
        self._sent = 0
        drops = peripheral.faults.drop_after
        self._drop_after = drops.popleft() if drops else None
        self.subscribed = remembered
        self.is_encrypted = is_encrypted

    @property
    def is_up(self) -> bool:
        """Whether the link still stands."""
        return not self._down.is_set()

    def is_subscribed(self, uuid: str) -> bool:
        """Whether the device has this characteristic's CCCD on."""
        return uuid in self.subscribed

    def start(self) -> None:
        """Let the device know that it is connected."""
        self._run(lambda: self._peripheral.on_connected(self), "connected")

    def subscribe(self, uuid: str) -> None:
        """The central writes the CCCD: on."""
        self.subscribed.add(uuid)
        self._run(lambda: self._peripheral.on_subscribed(self, uuid), f"subscribed {uuid[4:8]}")

    def unsubscribe(self, uuid: str) -> None:
        """The central writes the CCCD: off."""
        if uuid in self.subscribed:
            self.subscribed.discard(uuid)
            self._run(
                lambda: self._peripheral.on_unsubscribed(self, uuid), f"unsubscribed {uuid[4:8]}"
            )

    async def notify(self, uuid: str, value: bytes) -> Transmission:
        """Send a notification. Errors: LinkLostError."""
        sent = self._send(uuid, value)
        if self._is_last():
            self.end(Reason.TIMEOUT)
        await asyncio.sleep(0)
        return sent

    async def indicate(self, uuid: str, value: bytes) -> Transmission:
        """Send an indication and wait for its confirmation. Errors: LinkLostError."""
        sent = self._send(uuid, value)
        if self._peripheral.faults.mute:
            await self._down.wait()
        await asyncio.sleep(self._indication_s)
        if not self.is_up:
            raise _unconfirmed(sent)
        drops = self._is_last()
        sent.acknowledged = not drops or self._peripheral.faults.acknowledge_last
        if drops:
            self.end(Reason.TIMEOUT)
        if not sent.acknowledged:
            raise _unconfirmed(sent)
        return sent

    async def hang_up(self) -> None:
        """End the link from the device's side."""
        self.end(Reason.REMOTE)

    def end(self, reason: Reason) -> None:
        """End the link: what was held back is lost, the device's tasks are cancelled."""
        if self._down.is_set():
            return
        self._down.set()
        self._held.clear()
        if self._flush is not None:
            self._flush.cancel()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._peripheral.link_changed(None)
        self._peripheral.on_disconnected(self)
        self._ended(reason)

    async def tasks_done(self) -> None:
        """Wait until the device's own tasks have noticed the end of the link."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _send(self, uuid: str, value: bytes) -> Transmission:
        self._check_up()
        self._sent += 1
        faults, sent = self._peripheral.faults, Transmission()
        if faults.mute or self._sent <= faults.lose_first:
            return sent
        self._held.append((uuid, value, sent))
        self._release(faults.lose_last)
        return sent

    def _release(self, keep: int) -> None:
        while len(self._held) > keep:
            uuid, value, sent = self._held.popleft()
            sent.delivered = self._deliver(uuid, value)
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._held:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(HELD_BACK_S, self._release, 0)

    def _is_last(self) -> bool:
        return self._drop_after is not None and self._sent >= self._drop_after

    def _check_up(self) -> None:
        if self._down.is_set():
            raise LinkLostError("the link has ended")

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
        # Called within the task: one that is cancelled before it begins leaves no coroutine behind.
        task = asyncio.get_running_loop().create_task(
            self._contain(work), name=f"{self._peripheral.address} {what}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _contain(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A device that was sending when its link ended is done; a broken one is reported."""
        try:
            await work()
        except LinkLostError:
            return
        except Exception:
            _logger.exception("emulated device failed", extra={"device": self._peripheral.address})


def _unconfirmed(sent: Transmission) -> LinkLostError:
    return LinkLostError("the link ended before the confirmation", is_delivered=sent.delivered)
