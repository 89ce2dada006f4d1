"""Hellos and presence: what gateways say beside their envelopes, and the answers.

One hello and one state are kept per gateway (the newest), so no flood of them grows. A few workers
answer, beside the path of the envelopes; while the database is away they wait.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from wardlight_cloud.ingest.acks import answer, hello_wanted
from wardlight_cloud.ingest.admission import Admission
from wardlight_cloud.ingest.backoff import Backoff
from wardlight_cloud.ingest.leases import Leases
from wardlight_cloud.ingest.metrics import ACKS, REFUSED, STORE_FAILURES
from wardlight_cloud.ingest.notices import Notices
from wardlight_cloud.ingest.ports import CollectorStore, Publish
from wardlight_shared import control, topics
from wardlight_shared.control import GatewayState, Hello
from wardlight_shared.errors import EnvelopeError, StorageError, VersionError
from wardlight_shared.topics import Down, Topic

_log = logging.getLogger(__name__)
_WORKERS: Final = 4
_Control = TypeVar("_Control", Hello, GatewayState)


class Conversation:
    """Hears hellos and states, and answers those of held shards."""

    def __init__(
        self,
        store: CollectorStore,
        publish: Publish,
        leases: Leases,
        admission: Admission,
        notices: Notices,
        utc_ms: Callable[[], int],
        timeout_s: float,
    ) -> None:
        self._store = store
        self._publish = publish
        self._leases = leases
        self._admission = admission
        self._notices = notices
        self._utc_ms = utc_ms
        self._timeout_s = timeout_s
        self._hellos: dict[str, Hello] = {}
        self._states: dict[str, GatewayState] = {}
        self._heard = asyncio.Event()

    def hear_hello(self, topic: Topic, payload: bytes) -> None:
        """Keep a hello for the workers; one that cannot be read is counted and goes unanswered."""
        hello = _decoded(topic, payload, Hello)
        if hello is None:
            return
        if hello.gateway != topic.gateway:
            REFUSED.labels("identity").inc()
            _log.warning("hello of another gateway", extra={"gateway": topic.gateway})
            return
        self._hellos[topic.gateway] = hello
        self._heard.set()

    def hear_state(self, topic: Topic, payload: bytes, *, retained: bool) -> None:
        """Keep a state. A retained one comes with a new subscription: ask that gateway for a hello.

        A gateway that comes online by itself says hello without being asked.
        """
        state = _decoded(topic, payload, GatewayState) if payload else None
        if state is None:
            return
        if retained and state.online and self._leases.holds(topic.shard):
            ack = hello_wanted(state.epoch, self._utc_ms())
            self._publish(topics.down(topic.gateway, Down.ACK), control.encode(ack))
        self._states[topic.gateway] = state
        self._heard.set()

    async def answer(self) -> None:
        """Answer for ever."""
        async with asyncio.TaskGroup() as group:
            for number in range(_WORKERS):
                group.create_task(self._work(), name=f"answering {number}")

    async def _work(self) -> None:
        while True:
            while not (self._hellos or self._states):
                self._heard.clear()
                await self._heard.wait()
            if self._hellos:  # before states: a gateway waits for the answer
                gateway = next(iter(self._hellos))
                await self._with_patience(self._answer_hello, gateway, self._hellos.pop(gateway))
            else:
                gateway = next(iter(self._states))
                await self._with_patience(self._note_state, gateway, self._states.pop(gateway))

    async def _with_patience(
        self, call: Callable[[str, _Control], Awaitable[None]], gateway: str, message: _Control
    ) -> None:
        backoff = Backoff(0.1, 5.0)
        while self._leases.holds(topics.shard_of(gateway)):
            try:
                async with asyncio.timeout(self._timeout_s):
                    await call(gateway, message)
            except (StorageError, TimeoutError) as error:
                STORE_FAILURES.labels("conversation").inc()
                _log.warning("not answered yet", extra={"error": str(error) or "no answer in time"})
                await asyncio.sleep(backoff.failed())
            else:
                return

    async def _answer_hello(self, gateway: str, hello: Hello) -> None:
        if not await self._admission.allows(gateway):
            REFUSED.labels("gateway").inc()
            return
        await self._store.note_hello(gateway, hello.epoch, hello.highest, _plain(hello.software))
        state = await self._store.ledger(gateway, hello.epoch)
        topic = topics.down(gateway, Down.ACK)
        for ack in answer(state, self._utc_ms(), hello.mono_ms):
            ACKS.inc()
            self._publish(topic, control.encode(ack))
        await self._notices.greet(gateway, hello.epoch, state)

    async def _note_state(self, gateway: str, state: GatewayState) -> None:
        if await self._admission.allows(gateway):
            await self._store.note_state(gateway, state.online, _plain(state.software))


def _decoded(topic: Topic, payload: bytes, kind: type[_Control]) -> _Control | None:
    try:
        return control.decode(payload, kind)
    except VersionError:
        REFUSED.labels("version").inc()
    except EnvelopeError as error:
        REFUSED.labels("control").inc()
        _log.warning(
            "control message not readable", extra={"gateway": topic.gateway, "error": str(error)}
        )
    return None


def _plain(text: str) -> str:
    return text.replace("\0", "")
