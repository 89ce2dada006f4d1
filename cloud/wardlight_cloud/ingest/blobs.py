"""Blobs over MQTT: offers and chunks of the gateways whose shards are held here.

Each blob that arrives has a task of its own; all of them together are bounded in number and in
memory. What there is no room for is answered LATER and sent again. Octets of a blob that was not
offered here (another collector had the shard) are not taken: the gateway is asked for the offer.
Blobs never hold up envelopes.
"""

import asyncio
import logging
from typing import Final, Protocol

from wardlight_cloud.imaging.blob_intake import BlobIntake, later, not_offered
from wardlight_cloud.imaging.blob_metrics import ARRIVING, MESSAGES, OCTETS, REFUSED
from wardlight_cloud.ingest.admission import Admission
from wardlight_cloud.ingest.blob_arrival import Arrival, Memory
from wardlight_cloud.ingest.leases import Leases
from wardlight_cloud.ingest.ports import Publish
from wardlight_shared import blobs, topics
from wardlight_shared.blobs import BlobState, Chunk, Offer, WorklistWanted
from wardlight_shared.errors import EnvelopeError, VersionError
from wardlight_shared.topics import Down, Topic

_log = logging.getLogger(__name__)
_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_ARRIVALS: Final = 4096
_MOST_BYTES_OF_A_GATEWAY: Final = 8 * 1024 * 1024
_MOST_ARRIVALS_OF_A_GATEWAY: Final = 64


class WorklistAnswers(Protocol):
    """Worklists."""

    def hear(self, gateway: str, wanted: WorklistWanted) -> None:
        """See Worklists."""


class Blobs:
    """Hears ``up/blob``; ``run`` beside it."""

    def __init__(
        self,
        intake: BlobIntake,
        publish: Publish,
        leases: Leases,
        admission: Admission,
        worklists: WorklistAnswers,
    ) -> None:
        self._intake = intake
        self._publish = publish
        self._leases = leases
        self._admission = admission
        self._worklists = worklists
        self._memory = Memory(_MOST_BYTES, _MOST_BYTES_OF_A_GATEWAY)
        self._arrivals: dict[tuple[str, bytes], Arrival] = {}
        self._of_gateway: dict[str, int] = {}
        self._group: asyncio.TaskGroup | None = None

    @property
    def held_bytes(self) -> int:
        """What the messages take that are held in memory."""
        return self._memory.held

    async def run(self) -> None:
        """Hold the arrivals' tasks until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.get_running_loop().create_future()

    def hear(self, topic: Topic, payload: bytes) -> None:
        """Take a message; never blocks and never keeps one back."""
        if not self._leases.holds(topic.shard) or self._group is None:
            return
        try:
            message = blobs.decode_up(payload)
        except VersionError:
            REFUSED.labels("version").inc()
        except EnvelopeError as error:
            REFUSED.labels("unreadable").inc()
            about = {"gateway": topic.gateway, "error": str(error)}
            _log.warning("message of blobs not readable", extra=about)
        else:
            MESSAGES.labels(type(message).__name__.lower()).inc()
            self._take(topic.gateway, message)

    def _take(self, gateway: str, message: blobs.Up) -> None:
        if isinstance(message, WorklistWanted):
            self._worklists.hear(gateway, message)
        elif isinstance(message, Offer):
            self._take_offer(gateway, message)
        else:
            self._take_chunk(gateway, message)

    def _take_offer(self, gateway: str, offer: Offer) -> None:
        arrival = self._arrivals.get((gateway, offer.sha256))
        if arrival is None and self._has_room(gateway):
            arrival = self._started(gateway, offer.sha256)
        if arrival is None or not arrival.hear(offer):
            REFUSED.labels("no_room").inc()
            self._say(gateway, later(offer, "too many at a time"))

    def _has_room(self, gateway: str) -> bool:
        is_full = len(self._arrivals) >= _MOST_ARRIVALS
        return not is_full and self._of_gateway.get(gateway, 0) < _MOST_ARRIVALS_OF_A_GATEWAY

    def _take_chunk(self, gateway: str, chunk: Chunk) -> None:
        arrival = self._arrivals.get((gateway, chunk.sha256))
        if arrival is None:
            OCTETS.labels("not_offered").inc(len(chunk.octets))
            self._say(gateway, not_offered(chunk.sha256))
        elif not arrival.hear(chunk):
            # Without an answer: the gateway asks when it has waited, which is what it should do.
            OCTETS.labels("no_room").inc(len(chunk.octets))

    def _started(self, gateway: str, sha256: bytes) -> Arrival:
        key = gateway, sha256
        arrival = Arrival(
            gateway, self._intake, self._memory, lambda state: self._say(gateway, state)
        )
        self._arrivals[key] = arrival
        self._of_gateway[gateway] = self._of_gateway.get(gateway, 0) + 1
        ARRIVING.set(len(self._arrivals))
        if self._group is not None:
            self._group.create_task(self._run(key, arrival), name="blob arrives")
        return arrival

    async def _run(self, key: tuple[str, bytes], arrival: Arrival) -> None:
        gateway = key[0]
        try:
            if await self._admission.allows(gateway):
                await arrival.run()
            else:
                REFUSED.labels("gateway").inc()
                arrival.drop()
        except Exception as error:  # noqa: BLE001 - supervises one blob; logged and counted
            # One blob must not end the collector of all vital signs; the gateway will ask again.
            REFUSED.labels("defect").inc()
            about = {"gateway": gateway, "blob": key[1].hex()[:12], "kind": type(error).__name__}
            _log.error("a blob could not be taken", extra=about)
        finally:
            del self._arrivals[key]
            self._of_gateway[gateway] -= 1
            if not self._of_gateway[gateway]:
                del self._of_gateway[gateway]
            ARRIVING.set(len(self._arrivals))

    def _say(self, gateway: str, state: BlobState) -> None:
        if self._leases.holds(topics.shard_of(gateway)):
            self._publish(topics.down(gateway, Down.RECEIPT), blobs.encode(state))
