"""Which notices are put on record: those that name a resource, one entry for each that was sent."""

import time
from collections.abc import Callable, Sequence

from wardlight_cloud.fhir.stored.kinds import SUBSCRIPTION
from wardlight_cloud.fhir.subscriptions.notices import Told
from wardlight_cloud.store.audit import AuditEntry
from wardlight_cloud.store.subscriptions import SubscriptionRow

Note = Callable[[AuditEntry], None]


def nowhere(entry: AuditEntry) -> None:
    """Put nothing on record."""


def record(note: Note, row: SubscriptionRow, told: Sequence[Told], to: str, status: int) -> None:
    """``to``: host that it was sent to; ``status``: of HTTP, 5xx where no answer came."""
    seen = [each.event for each in told if each.is_seen]
    if not seen:
        return
    who = row.subscriber
    patients = ",".join(sorted({str(each) for event in seen for each in event.patients}))
    entry = AuditEntry(
        time.time(), "notice", "R", "notice", status, SUBSCRIPTION, row.subscription_id, "",
        who.client, who.login or "", to, patients,
    )  # fmt: skip
    note(entry)
