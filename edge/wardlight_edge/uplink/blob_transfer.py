"""One blob on its way: what the collector has of it, what is in flight, what to send next.

Pure. The collector's newest word on what it has replaces every earlier one: it may also have
dropped what it had. What is in flight is not sent again before the collector was asked for its
state and has answered without it.
"""

from collections.abc import Iterable, Sequence
from enum import Enum, auto

from wardlight_edge.spool.base import Item, ItemState
from wardlight_shared.blobs import GRAIN_BYTES

Span = tuple[int, int]
"""(first, end) of octets."""


class Stage(Enum):
    """What a blob waits for."""

    OFFER = auto()  # to be offered, first or again
    ANSWER = auto()  # offered, no answer yet
    OCTETS = auto()  # the collector wants octets
    RECEIPT = auto()  # the collector has all of them and is at work
    PAUSE = auto()  # the collector asked to come later


class Transfer:
    """A blob and the items that are this file."""

    def __init__(self, first: Item) -> None:
        self.sha256 = first.sha256
        self.size = first.size
        self.items: dict[int, Item] = {first.item: first}
        self.to_offer: list[int] = [first.item]
        self.stage = Stage.OFFER
        self.heard_s = 0.0
        """Since when silence counts; in PAUSE the time at which to ask again."""
        self.is_doubted = False
        """The collector has wanted octets of what it had, once."""
        self.was_put_off = False
        """The last word was LATER."""
        self.unheard = 0
        """Answers in a row that did not come, or were LATER."""
        self.in_flight: dict[int, int] = {}
        self._had: list[Span] = []
        self._in_doubt: set[int] = set()

    @property
    def number(self) -> int:
        """The lowest item: older ones go first."""
        return min(self.items)

    def offer_again(self) -> None:
        """Ask for the state anew; what is in flight is in doubt."""
        self.stage = Stage.OFFER
        self.to_offer = sorted(self.items)
        self._in_doubt = set(self.in_flight)

    def join(self, item: Item) -> None:
        """Another item that is the same file."""
        if item.item not in self.items:
            self.items[item.item] = item
            self.to_offer.append(item.item)

    def asked(self) -> list[int]:
        """Items that the collector had; there is no file to send."""
        return [each.item for each in self.items.values() if each.state is ItemState.ASKED]

    def has(self, ranges: Iterable[Span], *, is_answer: bool) -> bool:
        """Take the collector's word; True when it has more than it had.

        ``is_answer``: it was said after the last question, so what is in doubt did not arrive.
        """
        before = sum(end - first for first, end in self._had)
        self._had = _joined((first, end) for first, end in ranges if first < end <= self.size)
        for offset, length in list(self.in_flight.items()):
            is_lost = is_answer and offset in self._in_doubt
            if is_lost or _covers(self._had, offset, offset + length):
                del self.in_flight[offset]
        if is_answer:
            self._in_doubt.clear()
        return sum(end - first for first, end in self._had) > before

    @property
    def is_complete(self) -> bool:
        """Whether the collector has every octet."""
        return _covers(self._had, 0, self.size)

    def next_span(self, most_bytes: int) -> Span | None:
        """The next octets that are neither there nor in flight; begins and ends at grains."""
        flying = ((offset, offset + length) for offset, length in self.in_flight.items())
        start = 0
        for first, end in _joined([*self._had, *flying]):
            if first > start:
                return self._cut(start, first, most_bytes)
            start = max(start, end // GRAIN_BYTES * GRAIN_BYTES if end < self.size else end)
        return self._cut(start, self.size, most_bytes) if start < self.size else None

    def sent(self, span: Span) -> None:
        """Note a chunk."""
        first, end = span
        self.in_flight[first] = end - first

    def _cut(self, start: int, end: int, most_bytes: int) -> Span:
        whole = max(GRAIN_BYTES, most_bytes // GRAIN_BYTES * GRAIN_BYTES)
        # A gap that does not end at a grain is filled beyond its end: the same octets again.
        end = min(self.size, -(-end // GRAIN_BYTES) * GRAIN_BYTES)
        return start, min(end, start + whole)


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for first, end in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return joined


def _covers(spans: Sequence[Span], first: int, end: int) -> bool:
    return first == end or any(low <= first and end <= high for low, high in spans)
