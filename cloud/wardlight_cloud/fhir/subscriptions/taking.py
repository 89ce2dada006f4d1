"""Takes the versions of Subscriptions that their owners wrote, when commits bring them.

What cannot be taken is stopped, with a reason that its owner reads: one of them must not keep all
others from being taken.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final

from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.subscriptions.definition import definition
from wardlight_cloud.fhir.subscriptions.metrics import NOTICES
from wardlight_cloud.fhir.subscriptions.ports import SubscribingStore
from wardlight_cloud.fhir.subscriptions.resource import definition_of, resource_of
from wardlight_cloud.store.refusals import is_about_values
from wardlight_cloud.store.resources import ResourceRow
from wardlight_cloud.store.subscriptions import SubscriptionRow, SubscriptionState
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
NOT_TAKEN: Final = "this server cannot keep it as it is written; write it in other words"


async def take(store: SubscribingStore, changed: Sequence[ResourceRow]) -> bool:
    """Take versions that owners wrote, and deletions; whether any was. Raises StorageError."""
    latest = {row.id: row for row in changed}
    if not latest:
        return False
    known = {row.subscription_id: row for row in await store.subscriptions(list(latest))}
    taken = False
    for name, row in latest.items():
        before = known.get(name)
        if row.body is None:
            if before is not None and row.commit_seq > before.version:
                await store.drop_subscription(name)
                taken = True
        elif before is None or row.commit_seq > before.version:
            taken |= await _taken_or_stopped(store, row, before)
    return taken


async def _taken_or_stopped(
    store: SubscribingStore, row: ResourceRow, before: SubscriptionRow | None
) -> bool:
    try:
        return await _taken(store, row, before)
    except FhirError as error:
        reason = f"it cannot be read: {error}"
    except Exception as error:  # supervisor of one subscription: the others go on
        if isinstance(error, StorageError) and not is_about_values(error):
            raise
        note_defect(error, row.id)
        reason = NOT_TAKEN
    await store.stop_subscription(row.id, row.commit_seq, reason, body=row.body)
    return True


async def _taken(store: SubscribingStore, row: ResourceRow, before: SubscriptionRow | None) -> bool:
    resource: dict[str, Any] = resource_of(row)
    status = resource.get("status")
    if status not in (SubscriptionState.REQUESTED, SubscriptionState.OFF) or (
        before is not None and status == before.state == SubscriptionState.OFF
    ):
        await store.note_version(row.id, row.commit_seq, None)  # we wrote it
        return False
    about = definition(resource)
    old = None if before is None else definition_of(before)
    is_same = old is not None and about.asks_the_same(old)
    wants = status == SubscriptionState.REQUESTED
    await store.define_subscription(row, wants=wants, is_same=is_same, ends_at=about.ends_at)
    return True


def note_defect(error: Exception, subscription_id: str) -> None:
    """Count and log what one subscription ran into; of foreign errors the type alone is told."""
    NOTICES.labels("defect").inc()
    told = str(error) if isinstance(error, StorageError) else type(error).__name__
    _log.error("a subscription failed", extra={"subscription": subscription_id, "error": told})
