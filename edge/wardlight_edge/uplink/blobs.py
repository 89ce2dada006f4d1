"""Which offers and chunks go next, and what the collector's answers mean: the blob protocol.

Pure; time comes in as seconds of any monotonic clock. Any message may be lost, late or come twice.
An item is offered; of what the collector wants, chunks are sent, at most WINDOW without an answer.
Silence is answered by asking, not by sending octets again: the next answer tells what is missing.
Steps of a procedure go one after the other, each after the receipt (or refusal) of the one before,
and whatever they have to send goes before instances.
What was delivered and is asked about (ASKED) is offered as well. There is no file to send: where
the collector wants octets, twice in a row, it does not have it any more, and the item is DAMAGED.

Source  docs/wire-format.md, Blobs
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from wardlight_edge.spool.base import Item, ItemState
from wardlight_edge.uplink.blob_transfer import Stage, Transfer
from wardlight_shared import blobs
from wardlight_shared.blobs import BlobKind, BlobState, BlobStatus, Offer

WINDOW: Final = 8
OPEN_INSTANCES: Final = 16
PAUSED_INSTANCES: Final = 128
ASKED_AT_A_TIME: Final = 16
_JITTER: Final = 0.2
_LOST: Final = "the collector does not have it any more: it must be sent again"
_OUTCOMES: Final = {
    BlobStatus.STORED: ItemState.DELIVERED,
    BlobStatus.REFUSED: ItemState.REFUSED,
}


class ChunkToSend(msgspec.Struct, frozen=True):
    """Octets to read from the spool and send."""

    item: int
    sha256: bytes
    offset: int
    length: int


class Settlement(msgspec.Struct, frozen=True):
    """The collector's word on items, to be kept durably."""

    items: list[int]
    state: ItemState
    reason: str | None


class BlobSending:
    """The blobs of one spool on one connection."""

    def __init__(
        self,
        spool: int,
        *,
        ack_timeout_s: float,
        longest_s: float,
        random_numbers: random.Random | None = None,
    ) -> None:
        self._spool = spool
        self._ack_timeout_s = ack_timeout_s
        self._longest_s = longest_s
        self._random = random_numbers or random.Random()  # noqa: S311 - pauses, not secrets
        self._transfers: dict[bytes, Transfer] = {}
        self._known: set[int] = set()

    def __len__(self) -> int:
        """Items that are on their way."""
        return len(self._known)

    def room(self, kind: BlobKind) -> int:
        """How many more items of a kind may be taken.

        Instances that the collector wants later take no room from others; steps go in order.
        """
        if kind is BlobKind.STEP:
            return 1 - sum(item.kind is kind for item in self._items())
        going = (each for each in self._transfers.values() if not each.was_put_off)
        return OPEN_INSTANCES - sum(
            item.kind is kind and item.state is not ItemState.ASKED
            for transfer in going
            for item in transfer.items.values()
        )

    def room_to_ask(self) -> int:
        """How many more items may be asked about."""
        return ASKED_AT_A_TIME - sum(item.state is ItemState.ASKED for item in self._items())

    def overflow(self) -> list[int]:
        """Instances beyond those that may wait here for later, given up for the time being."""
        late = [
            each
            for each in self._transfers.values()
            if each.was_put_off and all(i.kind is BlobKind.INSTANCE for i in each.items.values())
        ]
        late.sort(key=lambda each: each.unheard)
        items = [item for each in late[PAUSED_INSTANCES:] for item in each.items]
        for item in items:
            self.drop(item)
        return items

    def take(self, items: Iterable[Item]) -> None:
        """Items of the spool; what is on its way already is passed over."""
        for item in items:
            is_asked = item.state is ItemState.ASKED
            room = self.room_to_ask() if is_asked else self.room(item.kind)
            if item.item in self._known or room <= 0:
                continue
            self._known.add(item.item)
            transfer = self._transfers.get(item.sha256)
            if transfer is None:
                self._transfers[item.sha256] = Transfer(item)
            else:
                transfer.join(item)

    def hear(self, state: BlobState, now_s: float) -> Settlement | None:
        """Take an answer; what it settles is to be kept before the next ``take``."""
        transfer = self._transfers.get(state.sha256)
        if transfer is None or state.spool not in (0, self._spool):
            return None
        if state.status in _OUTCOMES:
            return self._settled(transfer, state, now_s)
        if state.status is BlobStatus.LATER:
            self._pause(transfer, now_s)
        elif state.spool == 0:
            # Another collector, to which nothing was offered. It says so for every chunk.
            if transfer.stage in (Stage.OCTETS, Stage.RECEIPT):
                transfer.offer_again()
        elif self._is_answer(transfer) and transfer.asked():
            return self._lacking(transfer, state, now_s)
        else:
            self._wanted(transfer, state, now_s)
        return None

    def ask_anew(self) -> None:
        """Another collector took over, or what was sent may be lost: offer everything again."""
        for transfer in self._transfers.values():
            transfer.offer_again()

    def drop(self, item: int) -> None:
        """An item that cannot be sent: its file is damaged."""
        self._known.discard(item)
        for sha256, transfer in list(self._transfers.items()):
            transfer.items.pop(item, None)
            if not transfer.items:
                del self._transfers[sha256]

    def next(self, now_s: float, chunk_bytes: int) -> Offer | ChunkToSend | None:
        """What to send now, noted as sent; ``chunk_bytes`` 0 = offers only."""
        self._look_for_silence(now_s)
        for transfer in self._in_order():
            if transfer.to_offer and transfer.stage is not Stage.PAUSE:
                return self._offer(transfer, now_s)
            if transfer.stage is Stage.OCTETS and chunk_bytes > 0 and self._window_is_open():
                span = transfer.next_span(chunk_bytes)
                if span is not None:
                    transfer.sent(span)
                    transfer.heard_s = now_s
                    first, end = span
                    return ChunkToSend(transfer.number, transfer.sha256, first, end - first)
        return None

    def next_deadline_s(self) -> float | None:
        """When ``next`` should be asked again though nothing was heard; None = never."""
        return min(map(self._deadline_s, self._transfers.values()), default=None)

    def in_flight_bytes(self) -> int:
        """Octets that were sent and that no answer has told yet."""
        return sum(sum(each.in_flight.values()) for each in self._transfers.values())

    def _items(self) -> Iterator[Item]:
        for transfer in self._transfers.values():
            yield from transfer.items.values()

    def _window_is_open(self) -> bool:
        return sum(len(each.in_flight) for each in self._transfers.values()) < WINDOW

    def _in_order(self) -> Sequence[Transfer]:
        def place(transfer: Transfer) -> tuple[bool, int]:
            kinds = {item.kind for item in transfer.items.values()}
            return BlobKind.STEP not in kinds, transfer.number

        return sorted(self._transfers.values(), key=place)

    def _offer(self, transfer: Transfer, now_s: float) -> Offer:
        item = transfer.items[transfer.to_offer.pop(0)]
        transfer.heard_s = now_s
        if transfer.stage is Stage.OFFER:
            transfer.stage = Stage.ANSWER
        return Offer(
            blobs.VERSION, self._spool, item.item, item.sha256, item.size, item.kind,
            item.received_ms, item.about,
        )  # fmt: skip

    def _settled(self, transfer: Transfer, state: BlobState, now_s: float) -> Settlement | None:
        done = [item for item in state.items if item in transfer.items]
        if not done:
            # A receipt without our item: it was offered to somebody else. Ask, but not in a rush.
            self._pause(transfer, now_s)
            return None
        for item in done:
            del transfer.items[item]
            self._known.discard(item)
        transfer.unheard = 0
        if not transfer.items:
            del self._transfers[transfer.sha256]
        elif not transfer.to_offer:
            transfer.offer_again()
        return Settlement(done, _OUTCOMES[state.status], state.reason)

    def _lacking(self, transfer: Transfer, state: BlobState, now_s: float) -> Settlement | None:
        """The collector has not what it had; asked twice, as an answer may be an old one."""
        asked = transfer.asked()
        if len(asked) < len(transfer.items):  # it has come again: that one is sent
            for item in asked:
                self.drop(item)
            self._wanted(transfer, state, now_s)
        elif not transfer.is_doubted:
            transfer.is_doubted = True
            self._pause(transfer, now_s)
        else:
            for item in asked:
                self.drop(item)
            return Settlement(asked, ItemState.DAMAGED, _LOST)
        return None

    def _is_answer(self, transfer: Transfer) -> bool:
        return transfer.stage not in (Stage.OFFER, Stage.PAUSE)

    def _wanted(self, transfer: Transfer, state: BlobState, now_s: float) -> None:
        is_answer = self._is_answer(transfer)
        transfer.was_put_off = False
        if transfer.has(state.ranges, is_answer=is_answer):
            transfer.unheard = 0
        if is_answer:
            transfer.heard_s = now_s
            transfer.stage = Stage.RECEIPT if transfer.is_complete else Stage.OCTETS

    def _pause(self, transfer: Transfer, now_s: float) -> None:
        transfer.offer_again()
        transfer.stage = Stage.PAUSE
        transfer.was_put_off = True
        transfer.heard_s = now_s + self._patience_s(transfer)
        transfer.unheard += 1

    def _patience_s(self, transfer: Transfer) -> float:
        doubled = self._ack_timeout_s * 2.0 ** min(transfer.unheard, 16)
        return min(self._longest_s, doubled) * self._random.uniform(1.0, 1.0 + _JITTER)

    def _deadline_s(self, transfer: Transfer) -> float:
        if transfer.stage is Stage.OFFER:
            return float("-inf")
        if transfer.stage is Stage.PAUSE:
            return transfer.heard_s
        if transfer.stage is Stage.OCTETS and not transfer.in_flight:
            return float("inf")
        patience = min(self._longest_s, self._ack_timeout_s * 2.0 ** min(transfer.unheard, 16))
        return transfer.heard_s + patience

    def _look_for_silence(self, now_s: float) -> None:
        for transfer in self._transfers.values():
            if now_s < self._deadline_s(transfer) or transfer.stage is Stage.OFFER:
                continue
            if transfer.stage is not Stage.PAUSE:
                transfer.unheard += 1
            transfer.offer_again()
