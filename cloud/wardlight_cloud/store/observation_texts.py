"""Observations as a face writes them: a part of the store's Protocol.

Most of what a page costs is to find rows that lie among those of all other patients and to write
each of them anew. So the store may keep a patient's day as it was written, for days to which
nothing comes any more. A kept day counts only as long as no commit touched it: no page ever shows
something else than the rows would.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from wardlight_cloud.store.observation_rows import ObservationRow

if TYPE_CHECKING:
    from wardlight_cloud.store.queries import ObservationQuery


@dataclass(frozen=True, slots=True)
class Form:
    """How a face writes Observations. Another ``digest`` is another form: nothing kept is used.

    A text may depend on its row, and on nothing else.
    """

    digest: bytes
    texts: Callable[[Sequence[ObservationRow]], list[bytes]]


@dataclass(frozen=True, slots=True)
class PatientDay:
    """The readings of one UTC day that are one patient's."""

    patient_id: UUID
    day: date


@dataclass(frozen=True, slots=True)
class TextPage:
    """One page: (id, text) of Observations, and the cursor of the next; None = this was the last.

    ``unkept``: days of the page that were written anew, of which some may be worth keeping.
    ``others_seq``: see ObservationPage.
    """

    texts: Sequence[tuple[str, bytes]]
    next: bytes | None
    unkept: tuple[PatientDay, ...] = ()
    others_seq: int | None = None


class ObservationTextStore(Protocol):
    """What a face that serves many pages reads."""

    async def observation_texts(self, query: "ObservationQuery", form: Form) -> TextPage:
        """The page that ``ReadStore.observations`` finds, in this form."""

    async def keep_day(self, of: PatientDay, form: Form) -> bool:
        """Keep a day, if it has few enough readings and nothing came to it for a while."""
