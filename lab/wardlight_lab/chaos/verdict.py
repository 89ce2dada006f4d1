"""Compares what was accepted (the harness's own ledger) with what the store holds.

lost      accepted numbers that the store does not have
double    numbers that the store has more than once
unknown   stored numbers that no ledger line names: accepted in the moment of a kill, between COMMIT
          and ledger line; allowed, counted
"""

from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg

# Reads the tables directly: the judge must not rest on the code it judges.
_STORED = """
select r.mantissa as number, count(*) as times
from reading r join series s using (series_id) join device d using (device_id)
where d.identity = any($1::text[]) group by r.mantissa
"""


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
    first_lost: tuple[int, ...]

    @property
    def is_good(self) -> bool:
        """0 lost, 0 double, every record accounted for."""
        return not (self.lost or self.double or self.missing_records or self.rejected)


async def stored_numbers(dsn: str, devices: Iterable[str]) -> dict[int, int]:
    """Number -> how often it is stored."""
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        rows = await connection.fetch(_STORED, list(devices), timeout=120)
    finally:
        await connection.close()
    return {row["number"]: row["times"] for row in rows}


def judge(
    accepted: Iterable[tuple[int, int]],
    stored: dict[int, int],
    *,
    missing_records: int,
    rejected: int,
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
        first_lost=tuple(lost[:5]),
    )
