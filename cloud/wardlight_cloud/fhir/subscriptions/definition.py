"""What a Subscription asks for, read from its resource; whatever cannot be kept is refused.

``criteria`` is the address of a topic of ours, with the search in filter-criteria extensions, or
the search itself: ``Observation?patient=...``.

Errors  FhirError 422 with the element at fault
Source  R4 4.0.1 Subscription; Subscriptions R5 Backport 1.1.0
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.own.stream import KIND_SYSTEM
from wardlight_cloud.fhir.paging import Parameters
from wardlight_cloud.fhir.stored.kinds import BESIDE_OWN, STORED, SUBSCRIPTION
from wardlight_cloud.fhir.stored.moments import at, interval

Content = Literal["empty", "id-only", "full-resource"]
GUIDE: Final = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
TOPIC: Final = "urn:wardlight:fhir:topic:"
TOPICS: Final = tuple(kind for kind in STORED if kind != SUBSCRIPTION)
"""Kinds whose changes can be subscribed to; the topic of each is TOPIC with its name."""

_READINGS: Final = "Observation"
_CONTENTS: Final[dict[str, Content]] = {
    "empty": "empty", "id-only": "id-only", "full-resource": "full-resource",
}  # fmt: skip
_MEDIA_TYPES: Final = frozenset({"application/fhir+json", "application/json"})
_HEADER: Final = re.compile(
    r"([A-Za-z0-9-]{1,64}): *([\x21-\x7e]([\x20-\x7e]{0,2046}[\x21-\x7e])?)"
)
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*:")
_OWN_HEADERS: Final = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "expect", "te",
     "upgrade", "trailer", "user-agent", "wardlight-timestamp", "wardlight-signature"}
)  # fmt: skip
_MOST_HEADERS: Final = 10
_LONGEST_ENDPOINT: Final = 2048
_LONGEST_SEARCH: Final = 4096
_MOST_CRITERIA: Final = 50
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_US: Final = at(datetime.min.replace(tzinfo=UTC))
_LAST_US: Final = at(datetime.max.replace(tzinfo=UTC))
HEARTBEAT_S: Final = (10, 86_400)
TIMEOUT_S: Final = (1, 60)
MAX_COUNT: Final = (1, 100)
_TIMEOUT_DEFAULT_S: Final = 10
_MAX_COUNT_DEFAULT: Final = 100


@dataclass(frozen=True, slots=True)
class Definition:
    """A Subscription's wording. ``endpoint`` "": a websocket."""

    kind: str
    criteria: Parameters
    content: Content
    endpoint: str
    headers: tuple[tuple[str, str], ...]
    heartbeat_s: int | None
    timeout_s: int
    max_count: int
    ends_at: datetime | None

    @property
    def topic(self) -> str:
        """The address of its topic."""
        return TOPIC + self.kind

    def asks_the_same(self, other: "Definition") -> bool:
        """Whether both have the same events."""
        return (self.kind, list(self.criteria)) == (other.kind, list(other.criteria))


def definition(resource: Mapping[str, Any]) -> Definition:
    """Read a resource whose shape was validated, or a body as the store keeps it."""
    channel = resource.get("channel") or {}
    kind, criteria = _criteria(resource)
    if len(criteria) > _MOST_CRITERIA:
        raise refused("criteria", f"At most {_MOST_CRITERIA} criteria.")
    form = channel.get("type")
    if form not in ("rest-hook", "websocket"):
        raise refused("channel.type", "This server sends by rest-hook and websocket.")
    return Definition(
        kind,
        criteria,
        _content(channel),
        _endpoint(channel) if form == "rest-hook" else "",
        _headers(channel) if form == "rest-hook" else (),
        _number(channel, "backport-heartbeat-period", HEARTBEAT_S, None),
        _number(channel, "backport-timeout", TIMEOUT_S, None) or _TIMEOUT_DEFAULT_S,
        _number(channel, "backport-max-count", MAX_COUNT, None) or _MAX_COUNT_DEFAULT,
        _end(resource.get("end")),
    )


def check_is_told(text: str, about: Definition) -> None:
    """Refuse a search that finds what nobody is told of, and would be silent about it for ever.

    Of what this server makes itself only readings have events. Who names the topic of a kind that
    is written, too, asks for what is written.
    """
    if about.kind in BESIDE_OWN - {_READINGS} and not text.startswith(TOPIC):
        raise refused(
            "criteria",
            f"Changes of a {about.kind} that this server makes itself are told to nobody: search "
            "for them again. To be told of those that are written here, name the topic "
            f"{TOPIC}{about.kind}, with the search in backport-filter-criteria.",
        )
    asked = [value for name, value in about.criteria if name == "category"]
    if about.kind == _READINGS and any(f"{KIND_SYSTEM}|" in each for each in asked):
        text = "Nobody is told of averages and waveforms: subscribe to the readings, or search."
        raise refused("criteria", text)


def refused(element: str, diagnostics: str) -> FhirError:
    """422 for an element."""
    return FhirError(422, "business-rule", diagnostics, expression=f"Subscription.{element}")


def _criteria(resource: Mapping[str, Any]) -> tuple[str, Parameters]:
    text = resource.get("criteria", "")
    filters = [
        each.get("valueString", "")
        for each in _extensions(resource.get("_criteria"), "backport-filter-criteria")
    ]
    if not text.startswith(TOPIC):
        if _ADDRESS.match(text):
            raise refused("criteria", f"No topic of this server; its topics begin with {TOPIC}")
        if filters:
            raise refused("criteria", "filter-criteria belong to a topic; put them into criteria.")
        return _search(text, None)
    kind = text.removeprefix(TOPIC)
    if kind not in TOPICS:
        raise refused("criteria", f"There is no such topic; there is one of {', '.join(TOPICS)}.")
    found = [pair for each in filters for pair in _search(each, kind)[1]]
    return kind, tuple(found)


def _search(text: str, kind: str | None) -> tuple[str, Parameters]:
    if len(text) > _LONGEST_SEARCH or "\0" in text:
        raise refused("criteria", f"A search has at most {_LONGEST_SEARCH} characters, none NUL.")
    path, mark, query = text.partition("?")
    if not mark and kind is not None and "=" in path:
        path, query = kind, text
    if path not in TOPICS or path != (kind or path):
        wanted = kind or "a type of resources"
        raise refused("criteria", f"Write it as a search of {wanted}: {kind or 'Task'}?status=...")
    return path, tuple(parse_qsl(query, keep_blank_values=True))


def _content(channel: Mapping[str, Any]) -> Content:
    payload = channel.get("payload")
    if payload is None:
        return "empty"
    if payload.partition(";")[0].strip() not in _MEDIA_TYPES:
        raise refused("channel.payload", "Notices are application/fhir+json.")
    (*_, code) = ("id-only", *(
        each.get("valueCode", "")
        for each in _extensions(channel.get("_payload"), "backport-payload-content")
    ))  # fmt: skip
    if code not in _CONTENTS:
        raise refused("channel.payload", f"The content is one of {', '.join(_CONTENTS)}.")
    return _CONTENTS[code]


def _end(text: str | None) -> datetime | None:
    """In UTC, and within the years that a database and this program know: 1 to 9999."""
    if text is None:
        return None
    try:
        low, _ = interval(text)
    except ValueError as error:
        raise refused("end", f"It is {error}.") from None
    return _EPOCH + timedelta(microseconds=int(min(max(low, _FIRST_US), _LAST_US)))


def _endpoint(channel: Mapping[str, Any]) -> str:
    found = channel.get("endpoint", "")
    if not found or len(found) > _LONGEST_ENDPOINT:
        raise refused("channel.endpoint", "A rest-hook needs an address to send to.")
    return str(found)


def _headers(channel: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    given = channel.get("header") or []
    if len(given) > _MOST_HEADERS:
        raise refused("channel.header", f"At most {_MOST_HEADERS} headers.")
    found = []
    for each in given:
        match = _HEADER.fullmatch(each)
        if match is None:
            raise refused("channel.header", "Write a header as Name: value, in ASCII.")
        if match[1].lower() in _OWN_HEADERS:
            raise refused("channel.header", f"{match[1]} is set by this server.")
        found.append((match[1], match[2]))
    return tuple(found)


def _number(
    channel: Mapping[str, Any], name: str, bounds: tuple[int, int], default: int | None
) -> int | None:
    for each in _extensions(channel, name):
        for value in (each.get("valueUnsignedInt"), each.get("valuePositiveInt")):
            if value is None:
                continue
            if not bounds[0] <= int(value) <= bounds[1]:
                text = f"{name} is between {bounds[0]} and {bounds[1]}."
                raise refused("channel.extension", text)
            return int(value)
    return default


def _extensions(element: Any, name: str) -> Sequence[Mapping[str, Any]]:
    found = element.get("extension") if isinstance(element, dict) else None
    return [each for each in found or () if each.get("url") == GUIDE + name]
