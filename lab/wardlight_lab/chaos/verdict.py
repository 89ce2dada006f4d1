"""Compares what was accepted and sent (the harness's own ledgers) with what the store holds.

lost      accepted numbers that the store does not have and no gap names
destroyed accepted numbers that stood in a damaged outbox and are named, by the seq of their record
double    numbers that the store has more than once
unknown   stored numbers that no ledger line names: accepted in the moment of a kill, between COMMIT
          and ledger line; allowed, counted
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wardlight_lab.chaos.image_verdict import ImageVerdict
from wardlight_lab.chaos.ledger import Accepted
from wardlight_lab.chaos.radio import EventVerdict
from wardlight_lab.chaos.step_verdict import StepVerdict
from wardlight_lab.chaos.streams import StreamVerdict


@dataclass(frozen=True, slots=True)
class Named:
    """What gaps name as lost from an outbox.

    spans  epoch -> (first, last) seqs
    whole  outboxes of which nothing could be read, not even how much was in them
    """

    spans: dict[int, list[tuple[int, int]]]
    whole: int

    def names(self, epoch: int, seq: int) -> bool:
        """Whether a record is named by its number."""
        return any(first <= seq <= last for first, last in self.spans.get(epoch, ()))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison; ``is_good`` is the claim."""

    accepted: int
    stored: int
    lost: int
    destroyed: int
    damages: tuple[str, ...]
    double: int
    unknown: int
    missing_records: int
    rejected: int
    quarantined: int
    first_lost: tuple[int, ...]
    streams: StreamVerdict
    events: EventVerdict
    images: ImageVerdict
    steps: StepVerdict

    @property
    def is_good(self) -> bool:
        """0 lost, 0 double, every record accounted for, every gap of the streams named."""
        wrong = (self.lost, self.double, self.missing_records, self.rejected, self.quarantined)
        is_sound = not self.destroyed or bool(self.damages)
        parts = (self.streams, self.events, self.images, self.steps)
        return not any(wrong) and is_sound and all(part.is_good for part in parts)


def judge(
    accepted: Iterable[Accepted],
    stored: dict[int, int],
    streams: StreamVerdict,
    events: EventVerdict,
    images: ImageVerdict,
    steps: StepVerdict,
    *,
    named: Named,
    damages: Sequence[str],
    missing_records: int,
    rejected: int,
    quarantined: int,
) -> Verdict:
    """Compare the ledger with stored numbers."""
    wanted = destroyed = 0
    unknown = set(stored)
    lost: dict[int, list[int]] = {}
    for append in accepted:
        wanted += append.numbers
        for number in range(append.first, append.last + 1):
            unknown.discard(number)
            if number in stored:
                continue
            if named.names(append.epoch, append.seq(number)):
                destroyed += 1
            else:
                lost.setdefault(append.epoch, []).append(number)
    # An outbox whose epoch is lost too can only be named as a whole.
    for epoch in list(lost)[: named.whole]:
        destroyed += len(lost.pop(epoch))
    nameless = sorted(number for numbers in lost.values() for number in numbers)
    return Verdict(
        accepted=wanted,
        stored=len(stored),
        lost=len(nameless),
        destroyed=destroyed,
        damages=tuple(damages),
        double=sum(times > 1 for times in stored.values()),
        unknown=len(unknown),
        missing_records=missing_records,
        rejected=rejected,
        quarantined=quarantined,
        first_lost=tuple(nameless[:5]),
        streams=streams,
        events=events,
        images=images,
        steps=steps,
    )
