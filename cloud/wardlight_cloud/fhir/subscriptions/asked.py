"""Who asks for what changed: compiled subscriptions, found by the patient that a resource is of.

What cannot be compared with a subscription, for a defect of ours, is one of its: it is told, as far
as its subscriber may see it, rather than left out. Neither the other subscriptions nor the other
changes suffer from it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from wardlight_cloud.fhir.stored.asker import is_within
from wardlight_cloud.fhir.stored.index_values import index_values
from wardlight_cloud.fhir.subscriptions.matching import Wanted
from wardlight_cloud.fhir.subscriptions.resource import resource_of
from wardlight_cloud.fhir.subscriptions.taking import note_defect
from wardlight_cloud.store.resources import IndexValue, ResourceRow
from wardlight_cloud.store.subscriptions import ObservationChange, SubscriptionRow


class Asked:
    """Who asks for a kind."""

    def __init__(self) -> None:
        self._anybody: list[tuple[SubscriptionRow, Wanted]] = []
        self._of_patient: dict[UUID, list[tuple[SubscriptionRow, Wanted]]] = defaultdict(list)
        self._defective: set[str] = set()
        self.has_readings = False

    def add(self, row: SubscriptionRow, wanted: Wanted) -> None:
        """One that asks."""
        self.has_readings |= wanted.readings is not None
        if wanted.patients is None:
            self._anybody.append((row, wanted))
        for patient in wanted.patients or ():
            self._of_patient[patient].append((row, wanted))

    def of_change(self, change: ObservationChange) -> list[SubscriptionRow]:
        """Those that ask for an Observation of readings that came or left."""
        patients = (change.row.origin.patient_id,)
        return [
            row
            for row, wanted in self._of(patients)
            if self._takes(row, wanted, patients, lambda it: it.takes_change(change))
        ]

    def of_version(self, version: ResourceRow) -> list[SubscriptionRow]:
        """Those that ask for a version of a resource."""
        indexes: dict[str, Sequence[IndexValue]] = {}

        def takes(wanted: Wanted) -> bool:
            if wanted.base not in indexes:
                indexes[wanted.base] = index_values(resource_of(version), wanted.base)
            return wanted.takes_resource(version, indexes[wanted.base])

        return [
            row
            for row, wanted in self._of(version.patients)
            if self._takes(row, wanted, version.patients, takes)
        ]

    def _of(self, patients: Sequence[UUID]) -> Iterator[tuple[SubscriptionRow, Wanted]]:
        """Those that may ask for a resource of these patients, each once."""
        yield from self._anybody
        seen: set[str] = set()
        for patient in patients:
            for row, wanted in self._of_patient.get(patient, ()):
                if row.subscription_id not in seen:
                    seen.add(row.subscription_id)
                    yield row, wanted

    def _takes(
        self, row: SubscriptionRow, wanted: Wanted, patients: tuple[UUID, ...],
        takes: Callable[[Wanted], bool],
    ) -> bool:  # fmt: skip
        try:
            return takes(wanted)
        except Exception as error:  # noqa: BLE001 - supervisor of one: see above
            if row.subscription_id not in self._defective:  # it would be so for each change
                self._defective.add(row.subscription_id)
                note_defect(error, row.subscription_id)
            return is_within(wanted.kind, patients, wanted.limits.patients)
