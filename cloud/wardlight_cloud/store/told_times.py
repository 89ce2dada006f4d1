"""Observations by the time that their device told: the part of the store's Protocol that knows."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID


class ToldTimeStore(Protocol):
    """Raises StorageError."""

    async def observations_told(
        self, devices: Sequence[UUID], metrics: Sequence[int], device_times: Sequence[str]
    ) -> tuple[str, ...]:
        """Ids of Observations of these devices and metrics whose device told one of these times.

        As it told them, however wrong its clock was. A hundred at most; whoever is shown one has to
        search for it, within what they may see.
        """
