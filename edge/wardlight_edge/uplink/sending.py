"""What goes up on one connection: the most urgent records there is room for, and again when late.

The outbox may begin a new epoch at any moment (its file was damaged). Records are sent under the
epoch of the file they were taken from, or not at all, and an ack settles only its own epoch.
Records with an origin wait until the collector says that it reads origins: another would store
them twice.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from wardlight_edge.clock import Clock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.outbox.base import Choice, NewRecord, Outbox
from wardlight_edge.uplink.base import Link
from wardlight_edge.uplink.batch import Sealed, Sender, seal_records
from wardlight_edge.uplink.greeting import Greeting
from wardlight_edge.uplink.lanes import LARGEST_BYTES, Pace, Scheduler
from wardlight_edge.uplink.status import UplinkState
from wardlight_edge.uplink.window import Window
from wardlight_edge.uplink.withheld import Withheld
from wardlight_shared import topics
from wardlight_shared.control import Ack
from wardlight_shared.records import GapBody, Lane, Record, encode_body

_log = logging.getLogger(__name__)
_LIVE_RECORDS: Final = 200
_BACKLOG_RECORDS: Final = 2000
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


class Sending:
    """The records on their way over one link."""

    def __init__(
        self,
        link: Link,
        settings: UplinkSettings,
        gateway: str,
        outbox: Outbox,
        clock: Clock,
        state: UplinkState,
        greeting: Greeting,
    ) -> None:
        self._link = link
        self._gateway = gateway
        self._outbox = outbox
        self._clock = clock
        self._state = state
        self._greeting = greeting
        self._window = Window(
            settings.window,
            ack_timeout_s=settings.ack_timeout_s,
            longest_s=settings.resend_max_s,
        )
        self._scheduler = Scheduler(settings.backfill_floor)
        self._pace = Pace(settings.window)
        self._wake = asyncio.Event()
        self._epoch = outbox.epoch
        self._withheld = Withheld()
        self._withheld.heard(state.collector_reads)

    async def run(self) -> None:
        """Until cancelled, or TransportError from the link."""
        while True:
            self._wake.clear()
            self._note_epoch()
            await self._give_up_late()
            while await self._send_one():
                pass
            self._state.in_flight = len(self._window)
            await self._wait()

    def wake(self) -> None:
        """Something has changed: look at once whether anything can be sent."""
        self._wake.set()

    async def watch_outbox(self) -> None:
        """Wake when records are appended."""
        while True:
            await self._outbox.wait_for_records()
            self.wake()

    async def settle(self, ack: Ack, now_ms: int) -> None:
        """Take an ack; one of another epoch settles nothing here."""
        if ack.epoch != self._epoch:
            return
        await self._outbox.settle(
            upto=ack.upto, ranges=ack.ranges, rejected=ack.rejected, epoch=ack.epoch
        )
        refused = [seq for seq, _ in ack.rejected]
        for done in self._window.acked(ack.upto, ack.ranges, refused, now_ms / 1000):
            if done.choice in _BACKLOG:
                self._pace.acked(done.size_bytes, done.took_s)
        self._state.in_flight = len(self._window)

    async def collector_reads(self, version: int) -> None:
        """Another collector may have taken over, an older or a newer one."""
        self._state.collector_reads = version
        for freed in self._withheld.heard(version):
            await self._outbox.give_back(freed)
        self._state.withheld = self._withheld.count

    def forget_window(self) -> None:
        """What is on its way counts no more: the numbers begin anew."""
        self._window.clear()
        self._state.in_flight = 0

    async def end(self) -> None:
        """The link is over: what was not acked is sent on the next."""
        self._window.clear()
        self._state.in_flight = self._state.withheld = 0
        await self._outbox.give_back()

    def _note_epoch(self) -> None:
        """A new epoch: what is on its way is of the old one, and is sent again under the new."""
        if self._epoch != self._outbox.epoch:
            self._epoch = self._outbox.epoch
            self._window.clear()
            self._withheld.forget()
            self._greeting.say()

    async def _give_up_late(self) -> None:
        late = self._window.give_up_late(self._clock.mono_ms() / 1000)
        if late:
            self._pace.lost()
            await self._outbox.give_back(late)
            _log.info("no ack in time; sending again", extra={"records": len(late)})

    async def _wait(self) -> None:
        deadline_s = self._window.next_deadline_s()
        pause_s = _LOOK_AGAIN_S
        if deadline_s is not None:
            pause_s = min(pause_s, max(0.01, deadline_s - self._clock.mono_ms() / 1000))
        try:
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _send_one(self) -> bool:
        """Send the most urgent batch there is room for; False when nothing can be sent now."""
        free = self._window.free()
        if free <= 0 or not self._state.greeted:
            return False
        backfill_allowed = self._greeting.was_answered
        for choice in self._scheduler.order(backfill_allowed=backfill_allowed, free=free):
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
        self._state.withheld = self._withheld.count
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
        for message in messages:
            if message.fault is not None:
                await self._put_aside(message.seqs[0], message.fault)
            elif self._window.free() <= 0:
                await self._outbox.give_back(message.seqs)
            else:
                self._publish_one(choice, message)

    def _publish_one(self, choice: Choice, message: Sealed) -> None:
        now_ms, size = self._clock.mono_ms(), len(message.payload)
        self._link.publish(topics.up(self._gateway, _LANE_OF_CHOICE[choice]), message.payload)
        self._window.sent(choice, message.seqs, size, now_ms / 1000)
        self._scheduler.sent(choice, size)
        self._state.expects_ack(now_ms)
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
