"""One connection's conversation: hello, envelopes up, acks down, until the link ends.

The first link of a process sends nothing before its hello is answered: only the answer shows
whether the outbox was rolled back to an older copy, whose next seqs would repeat known numbers. On
later links alarm and live records go at once; the backlog waits for the answer, so that what the
collector has already is not sent again.

The outbox may begin a new epoch at any moment (its file was damaged). Records are sent under the
epoch of the file they were taken from, or not at all, and an ack settles only its own epoch.
Records with an origin wait until the collector says that it reads origins: another would store
them twice.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from wardlight_edge.clock import Clock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.outbox.base import Choice, NewRecord, Outbox
from wardlight_edge.uplink.backoff import Backoff
from wardlight_edge.uplink.base import Link, Message
from wardlight_edge.uplink.batch import Sealed, Sender, seal_records
from wardlight_edge.uplink.lanes import LARGEST_BYTES, Pace, Scheduler
from wardlight_edge.uplink.status import UplinkState
from wardlight_edge.uplink.window import Window
from wardlight_edge.uplink.withheld import Withheld
from wardlight_shared import __version__, control, topics
from wardlight_shared.control import Ack, GatewayConfig, Hello, Receipt
from wardlight_shared.errors import EnvelopeError
from wardlight_shared.records import GapBody, Lane, Record, encode_body
from wardlight_shared.timestamps import anchor_from_server

_log = logging.getLogger(__name__)
_LIVE_RECORDS: Final = 200
_BACKLOG_RECORDS: Final = 2000
_HELLO_AGAIN_S: Final = 3600.0
_LOOK_AGAIN_S: Final = 1.0  # live records turn into backlog by age alone, without an event
_LANE_OF_CHOICE: Final = {
    Choice.ALARM: Lane.ALARM,
    Choice.LIVE: Lane.LIVE,
    Choice.BACKFILL: Lane.BACKFILL,
    Choice.BULK: Lane.BULK,
}
_BACKLOG: Final = frozenset({Choice.BACKFILL, Choice.BULK})
# zstd makes at least this of a block; a batch that turns out too large is cut anew.
_RAW_PER_WIRE: Final = 2


class Conversation:
    """Runs over one link."""

    def __init__(
        self,
        link: Link,
        settings: UplinkSettings,
        gateway: str,
        outbox: Outbox,
        clock: Clock,
        state: UplinkState,
        *,
        on_live_until: Callable[[int | None], None],
    ) -> None:
        self._link = link
        self._gateway = gateway
        self._outbox = outbox
        self._clock = clock
        self._state = state
        self._on_live_until = on_live_until
        self._window = Window(
            settings.window,
            ack_timeout_s=settings.ack_timeout_s,
            longest_s=settings.resend_max_s,
        )
        self._scheduler = Scheduler(settings.backfill_floor)
        self._pace = Pace(settings.window)
        self._hello_pause = Backoff(settings.ack_timeout_s / 2, settings.resend_max_s)
        self._answered = asyncio.Event()
        self._was_answered = False
        self._hello_mono_ms = 0
        self._wake = asyncio.Event()
        self._epoch = outbox.epoch
        self._withheld = Withheld()
        self._withheld.heard(state.collector_reads)

    async def run(self) -> None:
        """Until the link ends (TransportError) or the task is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(), name="uplink listens")
                group.create_task(self._greet(), name="uplink greets")
                group.create_task(self._watch_outbox(), name="uplink watches the outbox")
                group.create_task(self._send(), name="uplink sends")
        finally:
            self._window.clear()
            self._state.in_flight = self._state.withheld = 0
            await self._outbox.give_back()

    # -- hello

    async def _greet(self) -> None:
        while True:
            self._answered.clear()
            self._say_hello()
            await self._wait(self._answered, self._hello_pause.failed())
            if self._answered.is_set():
                self._hello_pause.succeeded()
                await asyncio.sleep(_HELLO_AGAIN_S)

    def _say_hello(self) -> None:
        status = self._outbox.status()
        self._hello_mono_ms = self._clock.mono_ms()
        hello = Hello(
            version=control.VERSION,
            gateway=self._gateway,
            epoch=self._outbox.epoch,
            lowest=status.lowest,
            highest=status.highest,
            mono_ms=self._hello_mono_ms,
            software=__version__,
        )
        self._link.publish(topics.hello(self._gateway), control.encode(hello))

    # -- what comes down

    async def _listen(self) -> None:
        while True:
            message = await self._link.receive()
            try:
                await self._take(message)
            except EnvelopeError as error:
                # A newer or broken collector: records stay here until it speaks our version.
                self._state.reason = f"not understood: {error}"
                _log.warning("message from the collector not understood", extra={"why": str(error)})

    async def _take(self, message: Message) -> None:
        match topics.parse(message.topic).down:
            case topics.Down.ACK:
                await self._take_ack(control.decode(message.payload, Ack))
            case topics.Down.CONFIG:
                config = control.decode(message.payload, GatewayConfig)
                self._on_live_until(config.live_until_ms)
            case topics.Down.RECEIPT:
                receipt = control.decode(message.payload, Receipt)
                if receipt.epoch == self._outbox.epoch:
                    await self._outbox.forget(receipt.released)
            case _:
                return

    async def _take_ack(self, ack: Ack) -> None:
        now_ms = self._clock.mono_ms()
        self._state.last_ack_mono_ms = now_ms
        await self._note_version(ack.reads)
        self._state.reason = _waiting(self._withheld.count)
        if ack.hello_wanted:
            self._say_hello()
        is_first = not self._state.greeted
        if (
            is_first
            and ack.epoch == self._outbox.epoch
            and _last(ack) > self._state.highest_at_start
        ):
            # The collector has numbers this file had not given when this process began, and we
            # have sent nothing yet: the file was rolled back to an older copy.
            await self._outbox.renew_epoch("rolled-back")
            self._window.clear()
            self._say_hello()
            return
        if ack.echo_mono_ms is not None and ack.echo_mono_ms == self._hello_mono_ms:
            await self._answer_to_hello(ack, now_ms)
        if ack.epoch == self._epoch:
            await self._settle(ack, now_ms)

    async def _note_version(self, reads: int) -> None:
        """Another collector may have taken over, an older or a newer one."""
        self._state.collector_reads = reads
        for freed in self._withheld.heard(reads):
            await self._outbox.give_back(freed)
            self._wake.set()
        self._state.withheld = self._withheld.count

    async def _settle(self, ack: Ack, now_ms: int) -> None:
        await self._outbox.settle(
            upto=ack.upto, ranges=ack.ranges, rejected=ack.rejected, epoch=ack.epoch
        )
        refused = [seq for seq, _ in ack.rejected]
        for done in self._window.acked(ack.upto, ack.ranges, refused, now_ms / 1000):
            if done.choice in _BACKLOG:
                self._pace.acked(done.size_bytes, done.took_s)
        self._wake.set()

    async def _answer_to_hello(self, ack: Ack, now_ms: int) -> None:
        anchor = anchor_from_server(
            self._outbox.boot, self._hello_mono_ms, now_ms, ack.server_time_ms
        )
        self._state.round_trip_ms = now_ms - self._hello_mono_ms
        if anchor is not None:
            await self._outbox.add_anchor(anchor)
        self._answered.set()
        self._wake.set()

    # -- what goes up

    async def _watch_outbox(self) -> None:
        while True:
            await self._outbox.wait_for_records()
            self._wake.set()

    async def _send(self) -> None:
        while True:
            self._wake.clear()
            self._note_epoch()
            await self._give_up_late()
            while await self._send_one():
                pass
            self._state.in_flight = len(self._window)
            deadline_s = self._window.next_deadline_s()
            now_s = self._clock.mono_ms() / 1000
            pause_s = _LOOK_AGAIN_S
            if deadline_s is not None:
                pause_s = min(pause_s, max(0.01, deadline_s - now_s))
            await self._wait(self._wake, pause_s)

    def _note_epoch(self) -> None:
        """A new epoch: what is on its way is of the old one, and is sent again under the new."""
        if self._epoch != self._outbox.epoch:
            self._epoch = self._outbox.epoch
            self._window.clear()
            self._withheld.forget()
            self._say_hello()

    async def _give_up_late(self) -> None:
        late = self._window.give_up_late(self._clock.mono_ms() / 1000)
        if late:
            self._pace.lost()
            await self._outbox.give_back(late)
            _log.info("no ack in time; sending again", extra={"records": len(late)})

    async def _send_one(self) -> bool:
        """Send the most urgent batch there is room for; False when nothing can be sent now."""
        free = self._window.free()
        if free <= 0:
            return False
        if self._answered.is_set():
            self._state.greeted = self._was_answered = True
        if not self._state.greeted:
            return False
        for choice in self._scheduler.order(backfill_allowed=self._was_answered, free=free):
            room = self._room(choice)
            if room <= 0:
                continue
            records = await self._outbox.take(
                choice,
                max_records=_BACKLOG_RECORDS if choice in _BACKLOG else _LIVE_RECORDS,
                max_bytes=room * _RAW_PER_WIRE,
            )
            if records:
                await self._send_taken(choice, records)
                return True
            if choice is Choice.BACKFILL:
                self._scheduler.nothing_to_backfill()
        return False

    async def _send_taken(self, choice: Choice, records: Sequence[Record]) -> None:
        if self._epoch != self._outbox.epoch:
            # From which file these came cannot be told: they are taken again.
            await self._outbox.give_back([record.seq for record in records])
            self._note_epoch()
            return
        records = self._withheld.sendable(records)
        if self._withheld.count != self._state.withheld:
            self._state.withheld = self._withheld.count
            self._state.reason = _waiting(self._withheld.count)
        if records:
            await self._publish(choice, seal_records(self._outbox, self._sender(), records))

    def _room(self, choice: Choice) -> int:
        """Bytes that may be sent for a choice now."""
        if choice not in _BACKLOG:
            return LARGEST_BYTES
        in_flight = sum(self._window.in_flight_bytes(each) for each in _BACKLOG)
        if in_flight and in_flight + self._pace.batch_bytes > self._pace.allowance_bytes:
            return 0
        if choice is Choice.BACKFILL and self._scheduler.owed_bytes:
            return min(self._pace.batch_bytes, self._scheduler.owed_bytes)
        return self._pace.batch_bytes

    def _sender(self) -> Sender:
        return Sender(
            gateway=self._gateway,
            epoch=self._epoch,
            batch=self._window.next_number(),
            sent_at_ms=self._clock.wall_ms(),
            offset_min=self._clock.offset_min(),
        )

    async def _publish(self, choice: Choice, messages: list[Sealed]) -> None:
        now_s = self._clock.mono_ms() / 1000
        for message in messages:
            if message.fault is not None:
                await self._put_aside(message.seqs[0], message.fault)
            elif self._window.free() <= 0:
                await self._outbox.give_back(message.seqs)
            else:
                self._link.publish(
                    topics.up(self._gateway, _LANE_OF_CHOICE[choice]), message.payload
                )
                size = len(message.payload)
                self._window.sent(choice, message.seqs, size, now_s)
                self._scheduler.sent(choice, size)
                self._state.sent_records += len(message.seqs)
                self._state.sent_bytes += size

    async def _put_aside(self, seq: int, fault: str) -> None:
        """A record that cannot be sent: kept aside, and told to the collector as a gap."""
        _log.error("record cannot be sent; kept aside", extra={"seq": seq, "fault": fault})
        gap = GapBody(cause=fault, device=None, count=1, age_ms=0, seqs=[(seq, seq)])
        told = NewRecord(
            Lane.LIVE, None, self._clock.mono_ms(), self._clock.wall_ms(), encode_body(gap)
        )
        await self._outbox.append([told])
        await self._outbox.settle(upto=0, rejected=[(seq, fault)], epoch=self._epoch)

    @staticmethod
    async def _wait(event: asyncio.Event, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return


def _waiting(withheld: int) -> str | None:
    if not withheld:
        return None
    return f"{withheld} records of a replaced outbox wait: update the collector"


def _last(ack: Ack) -> int:
    return max([ack.upto, *(last for _, last in ack.ranges)])
