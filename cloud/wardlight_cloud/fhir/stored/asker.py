"""Who asks, as the work on stored resources sees it: whose resources, and from which address."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.stored.conditions import Criteria, Known, Limits
from wardlight_cloud.fhir.stored.kinds import NOBODYS, SHARED, STORED, SUBSCRIPTION, seen_by
from wardlight_cloud.fhir.stored.visible import meets
from wardlight_cloud.fhir.subscriptions.owning import owned_by
from wardlight_cloud.security.access import Interaction, Reach
from wardlight_cloud.store.resources import (
    Condition,
    HasText,
    IndexValue,
    Patients,
    TextMatch,
)


@dataclass(frozen=True, slots=True)
class Asker:
    """One request's asker; each method raises FhirError 403 for what is not permitted."""

    request: Request
    base: str

    @property
    def client(self) -> str:
        """The name of the client."""
        return isolation.access(self.request).client

    def limits(self, kind: str, interaction: Interaction = Interaction.SEARCH) -> Limits:
        """Whose resources of a kind, and which of them."""
        reach = isolation.reach_to(self.request, kind, interaction)
        if kind == SUBSCRIPTION:
            return Limits(None, (owned_by(isolation.access(self.request)),))
        return Limits(seen_by(kind, reach.patients), _of_categories(reach))

    def limits_or_none(self, kind: str, interaction: Interaction) -> Limits | None:
        """The same; None where it is not permitted."""
        if isolation.access(self.request).to(kind, interaction) is None:
            return None
        return self.limits(kind, interaction)

    def limits_of_condition(self, kind: str, change: Interaction) -> Limits:
        """Of what a condition finds to be changed: what may be searched and changed so."""
        searched, changed = self.limits(kind), self.limits(kind, change)
        return Limits(
            _both(searched.patients, changed.patients),
            (*searched.conditions, *changed.conditions),
        )

    def check_change(self, kind: str, change: Interaction) -> None:
        """Refuse what no resource of the kind may be done to."""
        reach = isolation.reach_to(self.request, kind, change)
        if kind in SHARED and reach.patients is not None:
            text = (
                f"{kind} belongs to no patient: writing it needs a scope of level user or system."
            )
            raise isolation.insufficient_scope(kind, change, text)

    def may_read(self, kind: str, patients: tuple[UUID, ...], index: Sequence[IndexValue]) -> bool:
        """Whether a resource may be shown that is of these patients and is found by these."""
        limits = self.limits_or_none(kind, Interaction.READ)
        if limits is None or not is_within(kind, patients, limits.patients):
            return False
        return meets(limits.conditions, index)

    def criteria(self, known: Known | None = None) -> Criteria:
        """Makes conditions within what may be searched; ``known``: those looked up before."""
        return Criteria(self.limits, self.base, known)

    def kinds(self, interaction: Interaction) -> tuple[str, ...]:
        """The kinds that may be dealt with so."""
        access = isolation.access(self.request)
        return tuple(kind for kind in STORED if access.to(kind, interaction) is not None)

    def patients_of_all(self, interaction: Interaction) -> Patients:
        """The patients of whose kinds something is seen: the fewest, where kinds differ."""
        access = isolation.access(self.request)
        found = [access.to(kind, interaction) for kind in STORED]
        narrow = [each.patients for each in found if each and each.patients is not None]
        return narrow[0] if narrow else None


def is_within(kind: str, patients: tuple[UUID, ...], allowed: Patients) -> bool:
    """Whether a resource of these patients may be dealt with."""
    if allowed is None or kind in NOBODYS:
        return True
    return bool(patients) and set(patients) <= set(allowed)


def _both(some: Patients, others: Patients) -> Patients:
    if some is None or others is None:
        return others if some is None else some
    return tuple(each for each in some if each in others)


def _of_categories(reach: Reach) -> tuple[Condition, ...]:
    if reach.categories is None:
        return ()
    found = tuple(TextMatch(code, system) for system, code in sorted(reach.categories, key=str))
    return (HasText("category", found),)
