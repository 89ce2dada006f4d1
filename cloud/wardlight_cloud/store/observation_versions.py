"""What Observations of readings said before: the part of the store's Protocol that tells it."""

from typing import Protocol

from wardlight_cloud.store.observation_rows import ObservationRow


class ObservationVersionStore(Protocol):
    """Raises StorageError."""

    async def observation_versions(self, row: ObservationRow) -> tuple[ObservationRow, ...]:
        """All versions of an Observation that a search has found here, the first one first.

        Each has the number of its commit, and the row itself is the last of them. Only those since
        the device was given to the patient, and since a sender last said that a value had been of
        somebody else: what is before is not this patient's.
        """
