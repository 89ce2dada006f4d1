"""Notices as Bundles: a status, and with content the resources that changed.

Source  Subscriptions R5 Backport 1.1.0: backport-subscription-notification-r4,
        backport-subscription-status-r4
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson

from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.subscriptions.definition import GUIDE, Content, Definition
from wardlight_cloud.store.subscriptions import SubscriptionEvent, SubscriptionRow

NoticeType = Literal["handshake", "heartbeat", "event-notification", "query-status", "query-event"]
_BUNDLE: Final = f"{GUIDE}backport-subscription-notification-r4"
_STATUS: Final = f"{GUIDE}backport-subscription-status-r4"


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it may be told now; ``is_seen`` False: by its number alone.

    ``text``: the resource, where it may be read. ``is_deleted``: it is out of reach for good.
    """

    event: SubscriptionEvent
    is_seen: bool
    text: bytes | None = None
    is_deleted: bool = False


def notice(
    row: SubscriptionRow,
    about: Definition,
    kind: NoticeType,
    *,
    total: int,
    told: Sequence[Told] = (),
    content: Content | None = None,
) -> bytes:
    """A notification Bundle; ``total``: events since the subscription began."""
    content = content or about.content
    base = row.subscriber.base
    entries = [_status_entry(row, about, kind, total, told, content)]
    if content == "full-resource":
        entries += [
            _resource_entry(base, each) for each in told if each.text is not None or each.is_deleted
        ]
    return orjson.dumps(
        {
            "resourceType": "Bundle",
            "id": str(uuid.uuid4()),
            "meta": {"profile": [_BUNDLE]},
            "type": "history",
            "timestamp": instant(datetime.now(UTC)),
            "entry": entries,
        }
    )


def statuses(base: str, rows: Sequence[tuple[SubscriptionRow, Definition]]) -> bytes:
    """The answer to $status: a searchset of statuses."""
    entries = []
    for row, about in rows:
        parameters = _status(row, about, "query-status", row.last_number, (), "empty")
        entries.append(
            {
                "fullUrl": f"urn:uuid:{parameters['id']}",
                "resource": parameters,
                "search": {"mode": "match"},
            }
        )
    link = [{"relation": "self", "url": f"{base}/Subscription/$status"}]
    bundle: dict[str, Any] = {
        "resourceType": "Bundle", "type": "searchset", "total": len(entries), "link": link,
    }  # fmt: skip
    if entries:
        bundle["entry"] = entries
    return orjson.dumps(bundle)


def _status_entry(
    row: SubscriptionRow,
    about: Definition,
    kind: NoticeType,
    total: int,
    told: Sequence[Told],
    content: Content,
) -> dict[str, Any]:
    parameters = _status(row, about, kind, total, told, content)
    url = f"{row.subscriber.base}/Subscription/{row.subscription_id}/$status"
    return {
        "fullUrl": f"urn:uuid:{parameters['id']}",
        "resource": parameters,
        "request": {"method": "GET", "url": url},
        "response": {"status": "200"},
    }


def _status(
    row: SubscriptionRow,
    about: Definition,
    kind: NoticeType,
    total: int,
    told: Sequence[Told],
    content: Content,
) -> dict[str, Any]:
    base = row.subscriber.base
    reference = {"reference": f"{base}/Subscription/{row.subscription_id}"}
    parameters: list[dict[str, Any]] = [{"name": "subscription", "valueReference": reference}]
    if content != "empty" or kind == "query-status":
        parameters.append({"name": "topic", "valueCanonical": about.topic})
    parameters += [
        {"name": "status", "valueCode": row.state.value},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(total)},
    ]
    parameters += [
        {"name": "notification-event", "part": _event(base, each, content)} for each in told
    ]
    if row.reason:
        parameters.append({"name": "error", "valueCodeableConcept": {"text": row.reason}})
    return {
        "resourceType": "Parameters",
        "id": str(uuid.uuid4()),
        "meta": {"profile": [_STATUS]},
        "parameter": parameters,
    }


def _event(base: str, told: Told, content: Content) -> list[dict[str, Any]]:
    event = told.event
    parts: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": instant(event.stored_at)},
    ]
    if told.is_seen and content != "empty":
        reference = {"reference": f"{base}/{event.kind}/{event.id}"}
        parts.append({"name": "focus", "valueReference": reference})
    return parts


def _resource_entry(base: str, told: Told) -> dict[str, Any]:
    path = f"{told.event.kind}/{told.event.id}"
    if told.is_deleted:
        return {
            "fullUrl": f"{base}/{path}",
            "request": {"method": "DELETE", "url": path},
            "response": {"status": "204"},
        }
    return {
        "fullUrl": f"{base}/{path}",
        "resource": orjson.Fragment(told.text or b"null"),
        "request": {"method": "PUT", "url": path},
        "response": {"status": "200"},
    }
