"""What happens to a Subscription before it is written, and what its operations answer.

Errors  FhirError 400, 403, 404, 422
Source  Subscriptions R5 Backport 1.1.0, operations $status, $events, $get-ws-binding-token
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.answers import resource_answer
from wardlight_cloud.fhir.escapes import query_pairs
from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.operations.invoked import posted
from wardlight_cloud.fhir.outcome import FhirError, invalid
from wardlight_cloud.fhir.paging import Parameters
from wardlight_cloud.fhir.stored import incoming
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.kinds import SUBSCRIPTION
from wardlight_cloud.fhir.stored.visible import visible
from wardlight_cloud.fhir.subscriptions.definition import (
    Content,
    Definition,
    check_is_told,
    definition,
    refused,
)
from wardlight_cloud.fhir.subscriptions.endpoints import BadEndpointError, check_endpoint
from wardlight_cloud.fhir.subscriptions.matching import compiled
from wardlight_cloud.fhir.subscriptions.notices import notice, statuses
from wardlight_cloud.fhir.subscriptions.owning import owner, owner_of, with_owner
from wardlight_cloud.fhir.subscriptions.ports import AskedStore, Bounds
from wardlight_cloud.fhir.subscriptions.resource import definition_of
from wardlight_cloud.fhir.subscriptions.seeing import told
from wardlight_cloud.fhir.subscriptions.signing import SECRET, secret
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.resources import ResourceRow
from wardlight_cloud.store.subscriptions import Subscriber, SubscriptionRow, SubscriptionState

SOCKETS: Final = "/fhir-notices"
"""Path of the websocket."""

OPERATIONS: Final = {
    "$status": Interaction.READ,
    "$events": Interaction.READ,
    "$get-ws-binding-token": Interaction.READ,
    "$renew-secret": Interaction.UPDATE,
}
"""By name, with the interaction that they need."""

_OF_ALL: Final = frozenset({"$status", "$get-ws-binding-token"})
_BINDING_S: Final = 300.0
_MOST_EVENTS: Final = 1000
_LARGEST: Final = (1 << 62) - 1
_CONTENTS: Final[dict[str, Content]] = {
    "empty": "empty", "id-only": "id-only", "full-resource": "full-resource",
}  # fmt: skip


class Subscribing:
    """Takes Subscriptions and answers their operations."""

    def __init__(self, store: AskedStore, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds

    # -- writing

    async def prepared(self, asker: Asker, resource: dict[str, Any]) -> dict[str, Any]:
        """A Subscription as it is written: checked, requested, its owner's."""
        about = definition(resource)
        check_is_told(resource.get("criteria", ""), about)
        self._check(about)
        try:
            compiled(about, asker)
        except FhirError as error:
            if error.status != 400:
                raise
            raise refused("criteria", str(error)) from error
        access = isolation.access(asker.request)
        subscriber = Subscriber(
            access.client, access.user, access.patient, tuple(map(str, access.permissions)),
            asker.base,
        )  # fmt: skip
        noted = await self._store.note_subscriber(
            resource["id"], subscriber, _shown_token(asker.request), most=self._bounds.most
        )
        if not noted:
            raise FhirError(
                422, "too-costly",
                f"A client has {self._bounds.most} Subscriptions at most; delete some.",
                expression=SUBSCRIPTION,
            )  # fmt: skip
        made = with_owner(resource, access)
        made["status"] = "off" if resource.get("status") == "off" else "requested"
        made.pop("error", None)
        return made

    def _check(self, about: Definition) -> None:
        if about.endpoint:
            try:
                check_endpoint(about.endpoint, self._bounds)
            except BadEndpointError as error:
                raise refused("channel.endpoint", f"Nothing is sent there: {error}.") from None
        if about.ends_at is not None and about.ends_at <= datetime.now(UTC):
            raise refused("end", "Its end is in the past.")

    def telling_secret(
        self, call: Callable[[Asker], Awaitable[Response]]
    ) -> Callable[[Asker], Awaitable[Response]]:
        """A change that, where it creates a Subscription, answers with its secret."""

        async def made(asker: Asker) -> Response:
            response = await call(asker)
            if response.status_code == 201:
                name = response.headers["Location"].rpartition("/_history/")[0].rpartition("/")[2]
                (row, *_) = (*await self._store.subscriptions([name]), None)
                turn = 1 if row is None else row.secret_turn
                key = await self._store.subscription_key()
                response.headers[SECRET] = secret(key, name, turn)
            return response

        return made

    # -- operations

    async def operation(self, asker: Asker, name: str, subscription_id: str | None) -> Response:
        """One of OPERATIONS, of one Subscription or of those that the parameters name."""
        given = await _parameters(asker.request)
        if subscription_id is None and name not in _OF_ALL:
            raise FhirError(404, "not-found", f"{name} is asked of one {SUBSCRIPTION}.")
        if subscription_id is not None:
            row = await self._one(asker, subscription_id)
            rows = [row]
        else:
            row, rows = None, await self._all(asker, given)
        if name == "$status":
            return self._status(asker, rows)
        if name == "$get-ws-binding-token":
            return await self._binding(asker, rows)
        assert row is not None  # noqa: S101 - see above
        if name == "$events":
            return await self._events(asker, row, given)
        return await self._renewed(row)

    async def _one(self, asker: Asker, subscription_id: str) -> SubscriptionRow:
        limits = asker.limits(SUBSCRIPTION, Interaction.READ)
        found = await visible(self._store, SUBSCRIPTION, [subscription_id], limits, asker.base)
        if not found:
            raise FhirError(404, "not-found", f"There is no {SUBSCRIPTION} with this id.")
        rows = await self._store.subscriptions([subscription_id])
        return rows[0] if rows else _young(found[0], asker)

    async def _all(self, asker: Asker, given: Parameters) -> list[SubscriptionRow]:
        access = isolation.access(asker.request)
        rows = await self._store.subscriptions(client=access.client)
        ids = {value for name, text in given if name == "id" for value in text.split(",")}
        states = {value for name, text in given if name == "status" for value in text.split(",")}
        mine = owner_of(access)
        return [
            row
            for row in rows
            if _owner(row) == mine
            and (not ids or row.subscription_id in ids)
            and (not states or row.state in states)
        ]

    def _status(self, asker: Asker, rows: Sequence[SubscriptionRow]) -> Response:
        known = [(row, about) for row in rows if (about := definition_of(row)) is not None]
        return resource_answer(statuses(asker.base, known))

    async def _events(self, asker: Asker, row: SubscriptionRow, given: Parameters) -> Response:
        values = dict(given)
        first = _number(values, "eventsSinceNumber", 1)
        last = min(_number(values, "eventsUntilNumber", _LARGEST), row.last_number)
        about = definition_of(row)
        if about is None:
            raise FhirError(422, "business-rule", "It cannot be read any more; write it again.")
        content = about.content
        if "content" in values:
            if values["content"] not in _CONTENTS:
                raise invalid("content", f"use one of {', '.join(_CONTENTS)}")
            content = _CONTENTS[values["content"]]
        events = await self._store.subscription_events(
            row.subscription_id, first=first, last=last, count=_MOST_EVENTS
        )
        found = await told(self._store, asker, events, content)
        return resource_answer(
            notice(row, about, "query-event", total=row.last_number, told=found, content=content)
        )

    async def _binding(self, asker: Asker, rows: Sequence[SubscriptionRow]) -> Response:
        ids = [
            row.subscription_id
            for row in rows
            if row.state is not SubscriptionState.OFF
            and (about := definition_of(row)) is not None
            and not about.endpoint
        ]
        if not ids:
            text = "There is no such Subscription whose channel is a websocket, and that is on."
            raise FhirError(422, "business-rule", text, expression=SUBSCRIPTION)
        token = new_token()
        await self._store.put_binding(token_hash(token), ids, lasts_s=_BINDING_S)
        until = instant(datetime.now(UTC) + timedelta(seconds=_BINDING_S))
        root = asker.base.removesuffix("/fhir").replace("http", "ws", 1)
        parameter: list[dict[str, Any]] = [
            {"name": "token", "valueString": token},
            {"name": "expiration", "valueDateTime": until},
            *({"name": "subscription", "valueString": each} for each in ids),
            {"name": "websocket-url", "valueUrl": root + SOCKETS},
        ]
        return resource_answer(orjson.dumps({"resourceType": "Parameters", "parameter": parameter}))

    async def _renewed(self, row: SubscriptionRow) -> Response:
        turn = await self._store.renew_secret(row.subscription_id)
        if turn is None:
            raise FhirError(404, "not-found", f"There is no {SUBSCRIPTION} with this id.")
        made = secret(await self._store.subscription_key(), row.subscription_id, turn)
        parameter = [{"name": "secret", "valueString": made}]
        return resource_answer(orjson.dumps({"resourceType": "Parameters", "parameter": parameter}))


def _owner(row: SubscriptionRow) -> str:
    who = row.subscriber
    return owner(who.client, who.login, who.patient)


def _young(row: ResourceRow, asker: Asker) -> SubscriptionRow:
    """One that was written a moment ago."""
    access = isolation.access(asker.request)
    who = Subscriber(access.client, access.user, access.patient, (), asker.base)
    return SubscriptionRow(
        row.id, who, (), 0, row.commit_seq, 1, SubscriptionState.REQUESTED, "requested", "",
        row.body or b"{}", False, 0, 0, 0, None, None,
    )  # fmt: skip


def _shown_token(request: Request) -> bytes:
    return token_hash(request.headers.get("authorization", "").partition(" ")[2].strip())


def _number(values: dict[str, str], name: str, default: int) -> int:
    text = values.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise invalid(name, "is the number of an event: 1, 2, ...")
    return int(text)


async def _parameters(request: Request) -> Parameters:
    """Of the URL, and of a Parameters resource that was posted."""
    is_json = request.headers.get("content-type", "").partition(";")[0].strip() in incoming.JSON
    has_body = request.headers.get("content-length", "0") != "0" or (
        "transfer-encoding" in request.headers
    )
    found = query_pairs(request)
    if request.method == "POST" and is_json and has_body:
        found += await posted(request)
    return found
