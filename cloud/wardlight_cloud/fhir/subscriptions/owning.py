"""Whose a Subscription is: of the client that wrote it, for the same user and patient.

Its criteria and the headers of its channel are nobody else's business, so it is seen and changed by
its owner alone. The owner stands in its ``meta.tag``, where this server writes it, as a digest.
"""

import hashlib
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.security.access import Access
from wardlight_cloud.store.resources import HasText, TextMatch

OWNER: Final = "urn:wardlight:fhir:subscriber"
_LENGTH: Final = 32


def owner(client: str, login: str | None, patient: UUID | None) -> str:
    """The code of an owner."""
    text = "\0".join((client, login or "", "" if patient is None else str(patient)))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def owner_of(access: Access) -> str:
    """The code of whoever asks."""
    return owner(access.client, access.user, access.patient)


def owned_by(access: Access) -> HasText:
    """What a search of an owner's Subscriptions asks for."""
    return HasText("_tag", (TextMatch(owner_of(access), OWNER),))


def with_owner(resource: dict[str, Any], access: Access) -> dict[str, Any]:
    """The resource with its owner's tag, and no other one of this kind."""
    meta = dict(resource.get("meta") or {})
    tags = [each for each in meta.get("tag") or () if each.get("system") != OWNER]
    meta["tag"] = [*tags, {"system": OWNER, "code": owner_of(access)}]
    return {**resource, "meta": meta}
