"""The Subscription as a resource: what it says of its definition, and the state that it shows."""

from typing import Any, Final

from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.body import parsed, stored_text, whole
from wardlight_cloud.fhir.stored.index_values import index_values
from wardlight_cloud.fhir.stored.kinds import SUBSCRIPTION
from wardlight_cloud.fhir.subscriptions.definition import Definition, definition
from wardlight_cloud.fhir.subscriptions.ports import SubscribingStore
from wardlight_cloud.store.resources import Conflict, Put, ResourceRow
from wardlight_cloud.store.subscriptions import SubscriptionRow

_REASON: Final = "error"


def definition_of(row: SubscriptionRow) -> Definition | None:
    """What a subscription asks for; None where its body cannot be read any more."""
    try:
        return definition(parsed(row.definition))
    except (FhirError, KeyError, TypeError, ValueError):
        return None


def resource_of(row: ResourceRow) -> dict[str, Any]:
    """The values of a version that is not a deletion."""
    resource: dict[str, Any] = parsed(whole(row))
    return resource


async def show_state(store: SubscribingStore, row: SubscriptionRow) -> None:
    """Write the state into the resource, unless its owner has written another version meanwhile."""
    held = await store.resources_by_id(SUBSCRIPTION, [row.subscription_id], patients=None)
    if not held or held[0].body is None or held[0].commit_seq > row.version:
        return
    resource = resource_of(held[0])
    resource["status"] = row.state.value
    resource.pop(_REASON, None)
    if row.reason:
        resource[_REASON] = row.reason
    put = Put(
        SUBSCRIPTION, row.subscription_id, stored_text(resource), held[0].patients,
        index_values(resource, row.subscriber.base), if_version=held[0].commit_seq,
    )  # fmt: skip
    written = await store.write_resources([put])
    if not isinstance(written, Conflict) and written[0].commit_seq is not None:
        await store.note_version(row.subscription_id, written[0].commit_seq, row.state.value)
