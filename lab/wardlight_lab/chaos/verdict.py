"""Compares what was accepted and sent (the harness's own ledgers) with what the store holds.

lost      accepted numbers that the store does not have
double    numbers that the store has more than once
unknown   stored numbers that no ledger line names: accepted in the moment of a kill, between COMMIT
          and ledger line; allowed, counted
"""

from collections.abc import Iterable
from dataclasses import dataclass

from wardlight_lab.chaos.streams import StreamVerdict


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison; ``is_good`` is the claim."""

    accepted: int
    stored: int
    lost: int
    double: int
    unknown: int
    missing_records: int
    rejected: int
    quarantined: int
    first_lost: tuple[int, ...]
    streams: StreamVerdict

    @property
    def is_good(self) -> bool:
        """0 lost, 0 double, every record accounted for, every gap of the streams named."""
        wrong = (self.lost, self.double, self.missing_records, self.rejected, self.quarantined)
        return not any(wrong) and self.streams.is_good


def judge(
    accepted: Iterable[tuple[int, int]],
    stored: dict[int, int],
    streams: StreamVerdict,
    *,
    missing_records: int,
    rejected: int,
    quarantined: int,
) -> Verdict:
    """Compare ledger ranges with stored numbers."""
    wanted = {number for first, last in accepted for number in range(first, last + 1)}
    lost = sorted(wanted - stored.keys())
    return Verdict(
        accepted=len(wanted),
        stored=len(stored),
        lost=len(lost),
        double=sum(times > 1 for times in stored.values()),
        unknown=len(stored.keys() - wanted),
        missing_records=missing_records,
        rejected=rejected,
        quarantined=quarantined,
        first_lost=tuple(lost[:5]),
        streams=streams,
    )
