"""How far the salvage of one old outbox file has got, and what is told of it. Pure."""

from collections.abc import Iterable
from typing import Final

import msgspec

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.origin import framed
from wardlight_edge.outbox.queues import Moment
from wardlight_shared.records import GapBody, Lane, Origin, StatusBody, encode_body

UNKNOWN: Final = -1
FINISHED: Final = -1
"""Value of ``next_seq`` when only the file itself is left to remove."""

END: Final = (1 << 62) - 1
"""The end of the numbers of an epoch; no outbox counts so far."""

CORRUPT: Final = "corrupt"
ROLLED_BACK: Final = "rolled-back"
VANISHED: Final = "vanished"
_MOST_COUNT: Final = (1 << 31) - 1

Begun = tuple[int, int, int, int]
"""How far a salvage had got in a file that was replaced meanwhile: next_seq, expected, recovered,
lost."""

NewBody = tuple[GapBody | StatusBody, Origin | None]


def news_record(news: NewBody, now: Moment) -> NewRecord:
    """A record that tells of it, received now."""
    body, origin = news
    return NewRecord(Lane.LIVE, None, now.mono_ms, now.wall_ms, framed(encode_body(body), origin))


def buried(
    spans: list[tuple[int, int]], reaches: list[int], before: Iterable[int]
) -> list[NewBody]:
    """The loss of rows that fail their authentication.

    ``reaches``: for each, the last number it can have held; how many it did is damaged perhaps.
    What they held nobody knows: among them may be rows of epochs before, and gaps that told of
    such. So these epochs are named again.
    """
    count = sum(last - first + 1 for first, last in spans)
    seqs = [(first, reach) for (first, _), reach in zip(spans, reaches, strict=True)]
    return [(GapBody(CORRUPT, None, count, 0, seqs), None), *whole_epochs(CORRUPT, before)]


class Progress(msgspec.Struct, frozen=True):
    """One row of the table `salvage`.

    epoch     of the old file, 0 = could not be read
    next_seq  old seq to go on with
    highest   newest old seq, as far as it is known
    expected  records the old file held when it was set aside; UNKNOWN after a start
    lost      records that could not be read, as far as gaps have told of them; UNKNOWN when
              nothing of the file can be read
    """

    file: str
    cause: str
    epoch: int
    next_seq: int
    highest: int
    expected: int
    recovered: int = 0
    lost: int = 0

    def after(self, recovered: int, lost: int, next_seq: int) -> "Progress":
        """Progress after one portion."""
        recovered += self.recovered
        lost += self.lost
        return msgspec.structs.replace(self, recovered=recovered, lost=lost, next_seq=next_seq)

    def unreadable(self) -> "Progress":
        """Progress when nothing more of the file can be read."""
        return msgspec.structs.replace(self, lost=UNKNOWN).finished()

    def finished(self) -> "Progress":
        """Progress when the last portion was read."""
        lost = self.lost if self.expected == UNKNOWN else max(0, self.expected - self.recovered)
        return msgspec.structs.replace(self, lost=lost, next_seq=FINISHED)

    @property
    def has_origins(self) -> bool:
        """Whether the old epoch's numbers mean the same to the collector as to the file."""
        return self.cause != ROLLED_BACK and self.epoch > 0

    def gap(self, count: int, seqs: list[tuple[int, int]]) -> NewBody:
        """A loss, and which old seqs it may have taken."""
        count = min(max(0, count), _MOST_COUNT)
        if not self.has_origins:
            return GapBody(self.cause, None, count, 0), None
        return GapBody(self.cause, None, count, 0, seqs), (self.epoch, 0)

    def named(self, untold: int, before: Iterable[int]) -> list[NewBody]:
        """The end: the old epoch, and those before it, named whole; ``untold`` losses are counted.

        A file that was rolled back and is whole leaves nothing to name.
        """
        if self.cause == ROLLED_BACK and self.lost == 0 and untold <= 0:
            return []
        own = self.gap(untold, [(1, END)])
        others = [epoch for epoch in before if epoch != self.epoch]
        return [own, *whole_epochs(self.cause, others)]

    def report(self) -> NewBody:
        """How it ended."""
        data: dict[str, str | int | bool | None] = {
            "cause": self.cause,
            "epoch": self.epoch,
            "highest": self.highest,
            "recovered": self.recovered,
            "lost": None if self.lost == UNKNOWN else self.lost,
        }
        return StatusBody(None, "outbox-replaced", data), None


def whole_epochs(cause: str, epochs: Iterable[int]) -> list[NewBody]:
    """Every number of these epochs named as lost, but for what the collector has of them."""
    return [(GapBody(cause, None, 0, 0, [(1, END)]), (epoch, 0)) for epoch in epochs]
