"""A ward whose API sends notices to this machine, and Subscriptions to write."""

from pathlib import Path
from typing import Any

import httpx

from support.served_ward import Ward, open_ward
from wardlight_cloud.app import create_app
from wardlight_cloud.config import SubscriptionSettings

GUIDE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
SECRET = "Wardlight-Subscription-Secret"
MOST = 4


async def open_subscribed_ward(dsn: str, folder: Path) -> Ward:
    """A ward with settings for trying out: http to this machine."""
    ward = await open_ward(dsn, folder)
    own = SubscriptionSettings(on_this_machine=True, per_client=MOST)
    settings = ward.settings.model_copy(update={"subscriptions": own})
    ward.app = create_app(settings, ward.store)
    return ward


def extension(name: str, **value: Any) -> dict[str, Any]:
    return {"url": GUIDE + name, **value}


def subscription(
    criteria: str, endpoint: str | None, content: str | None = "id-only", **more: Any
) -> dict[str, Any]:
    """A Subscription by rest-hook, or (without an endpoint) by websocket."""
    channel: dict[str, Any] = {"type": "websocket" if endpoint is None else "rest-hook"}
    if endpoint is not None:
        channel["endpoint"] = endpoint
        channel["header"] = ["Authorization: Bearer of-the-receiver"]
    if content is not None:
        channel["payload"] = "application/fhir+json"
        channel["_payload"] = {"extension": [extension("payload-content", valueCode=content)]}
    if "extensions" in more:
        channel["extension"] = more.pop("extensions")
    return {
        "resourceType": "Subscription", "status": "requested", "reason": "test",
        "criteria": criteria, "channel": channel, **more,
    }  # fmt: skip


async def subscribed(client: httpx.AsyncClient, resource: dict[str, Any]) -> tuple[str, str]:
    """Id and secret of a Subscription that is written."""
    answer = await client.post("/fhir/Subscription", json=resource)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], answer.headers[SECRET]


async def status_of(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    """What $status says, by name."""
    answer = await client.get(f"/fhir/Subscription/{name}/$status")
    assert answer.status_code == 200, answer.text
    (entry,) = answer.json()["entry"]
    return {
        each["name"]: next(v for k, v in each.items() if k.startswith("value"))
        for each in entry["resource"]["parameter"]
    }


async def is_in(client: httpx.AsyncClient, name: str, state: str) -> bool:
    """Whether the subscription is in a state."""
    return bool((await status_of(client, name))["status"] == state)
