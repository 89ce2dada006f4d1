"""Records that a session has made and the outbox has not committed yet, in their order."""

from collections.abc import Callable, Iterable, Sequence

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.acceptance import Acceptance
from wardlight_edge.sessions.left_over import left_over


class Outgoing:
    """The records of one device.

    acceptance  the door they go through
    handed_on   what the session before could not have accepted: its ``left``
    """

    def __init__(self, device: str, acceptance: Acceptance, handed_on: Sequence[NewRecord]) -> None:
        self._device = device
        self._acceptance = acceptance
        self._handed_on = handed_on
        self._records = list(handed_on)

    def __len__(self) -> int:
        return len(self._records)

    def add(self, records: Iterable[NewRecord]) -> None:
        """Put records behind the others."""
        self._records += records

    async def commit(self) -> None:
        """Append what is there now; return when it is committed."""
        records = tuple(self._records)
        await self._acceptance.append(records)
        del self._records[: len(records)]  # not before: a fault must not lose them

    def left(self, is_lasting: Callable[[NewRecord], bool] = lambda _: True) -> list[NewRecord]:
        """After a fault: what the next session is to have accepted, of the lasting records."""
        lasting = [one for one in self._records if is_lasting(one)]
        return left_over(lasting, self._handed_on, self._device)
