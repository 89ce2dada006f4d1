"""The collector's way to the broker: MQTT 3.1.1 over TLS; the cloud's only importer of paho.

A connection is a new paho client each time (paho resends its own queue after a reconnect), with a
clean session, QoS 1 and a client certificate. paho reads and writes in one thread per connection;
``Connection._to_loop`` is the one place where its events hop to the event loop.

Back-pressure: a message that the inbox has no room for stays here without its PUBACK, and the
broker sends no more than its in-flight window beyond that. Nothing is dropped, and pings go on.

Errors  TransportError: refused, lost, or no answer in time; ConfigError: certificate files that
        cannot be used
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage, error_string
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from wardlight_cloud.config import BrokerSettings
from wardlight_cloud.ingest.metrics import REFUSED
from wardlight_shared import blobs
from wardlight_shared.envelope import MAX_BYTES
from wardlight_shared.errors import ConfigError, TransportError

_log = logging.getLogger(__name__)
_CONNECT_TIMEOUT_S: Final = 10.0
_ANSWER_TIMEOUT_S: Final = 10.0  # CONNACK, SUBACK
_SELECT_S: Final = 1.0  # keep-alive is looked at this often; publishing wakes the thread at once
_GOODBYE_TIMEOUT_S: Final = 2.0
_MAX_OUTGOING: Final = 10_000
_MAX_WITHHELD: Final = 4096  # brokers send some hundred beyond a missing PUBACK
_BLOB_TOPIC: Final = "/up/blob"
_CALLBACKS: Final = (
    "on_connect", "on_message", "on_publish", "on_socket_open", "on_socket_register_write",
    "on_subscribe", "on_unsubscribe",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """What came. ``topic`` is empty when it was not UTF-8; a payload over the limit is cut."""

    topic: str
    payload: bytes
    retained: bool


Inbox = Callable[[Message], bool]
"""Takes a message in the event loop; False = no room, offer it again with ``resume``."""


class Connection:
    """One paho client, from CONNECT to the end of its socket; an async context manager."""

    def __init__(self, settings: BrokerSettings, name: str, inbox: Inbox) -> None:
        self._settings = settings
        self._inbox = inbox
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int | str, asyncio.Future[list[int]]] = {}
        self._withheld: dict[int, Message] = {}
        self._outgoing = 0
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mqtt")
        self._reading: asyncio.Future[Any] | None = None
        # The id is secret and new each time: whoever knows it could take the session over.
        self._client = self._made_client(f"{name}-{secrets.token_hex(8)}")

    async def __aenter__(self) -> Self:
        settings = self._settings
        try:
            self._client.tls_set_context(tls_context(settings))
            answer = self._expect("connected")
            await self._in_thread(
                lambda: self._client.connect(settings.host, settings.port, settings.keepalive_s)
            )
            self._reading = self._loop.run_in_executor(self._thread, self._read_and_write)
            _check_greeting(await self._answer("CONNACK", answer))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def until(self, event: asyncio.Event) -> None:
        """Return when the event is set; TransportError when the socket is gone before."""
        waiting = asyncio.ensure_future(event.wait())
        reading = self._reading
        try:
            done, _ = await asyncio.wait(
                [waiting] if reading is None else [waiting, reading],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            waiting.cancel()
        if reading in done:
            raise TransportError(f"connection lost: {self._how_it_ended()}")

    async def subscribe(self, filters: Iterable[str]) -> None:
        """Subscribe at QoS 1 and wait for the grant; TransportError when one is refused."""
        wanted = sorted(filters)
        if wanted:
            result, number = self._client.subscribe([(text, 1) for text in wanted])
            granted = await self._asked("SUBACK", result, number)
            if any(code >= 0x80 for code in granted):
                raise TransportError("broker refused a subscription; check its permissions")

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """Unsubscribe and wait for the answer."""
        unwanted = sorted(filters)
        if unwanted:
            result, number = self._client.unsubscribe(unwanted)
            await self._asked("UNSUBACK", result, number)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Hand a message to paho; False when it takes no more."""
        if self._client.publish(topic, payload, qos=1).rc != MQTT_ERR_SUCCESS:
            return False
        self._outgoing += 1
        self._all_sent.clear()
        return True

    def resume(self) -> None:
        """Offer withheld messages in the order they came; the first refusal ends it."""
        while self._withheld:
            number = next(iter(self._withheld))
            if not self._inbox(self._withheld[number]):
                return
            del self._withheld[number]
            self._client.ack(number, 1)

    def abort(self) -> None:
        """Close the socket; the reading thread then ends."""
        open_socket = self._client.socket()
        if isinstance(open_socket, socket.socket):
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    async def flush(self) -> None:
        """Wait, but not long, until the broker has taken what was published."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_TIMEOUT_S):
                await self._all_sent.wait()

    def _made_client(self, client_id: str) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.max_queued_messages_set(_MAX_OUTGOING)
        client.on_socket_open = lambda _c, _u, opened: _send_at_once(opened)
        # With this set, publish() leaves the writing to the reading thread and only wakes it.
        client.on_socket_register_write = lambda *_: None
        client.on_connect = lambda _c, _u, _f, reason, _p: self._to_loop(
            self._answered, "connected", [reason.value]
        )
        client.on_subscribe = lambda _c, _u, number, reasons, _p: self._to_loop(
            self._answered, number, [reason.value for reason in reasons]
        )
        client.on_unsubscribe = lambda _c, _u, number, _r, _p: self._to_loop(
            self._answered, number, []
        )
        client.on_publish = lambda *_: self._to_loop(self._sent)
        client.on_message = lambda _c, _u, message: self._to_loop(
            self._received, message.mid, message.qos, _copied(message)
        )
        return client

    def _read_and_write(self) -> MQTTErrorCode:
        """The thread's work: until the socket is gone; returns paho's reason."""
        while (code := self._client.loop(_SELECT_S)) == MQTT_ERR_SUCCESS:
            pass
        return code

    def _to_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is interested
            self._loop.call_soon_threadsafe(call, *arguments)

    def _received(self, number: int, qos: int, message: Message) -> None:
        # A broker that waits for a PUBACK may send again under the same number.
        if number in self._withheld:
            return
        if not self._withheld and self._inbox(message):
            self._client.ack(number, qos)
        elif not qos:
            REFUSED.labels("no_room").inc()  # not sent as agreed; the gateway will send it again
        elif len(self._withheld) < _MAX_WITHHELD:
            self._withheld[number] = message
        else:
            _log.error("broker ignores missing PUBACKs", extra={"withheld": len(self._withheld)})
            self.abort()

    def _sent(self) -> None:
        self._outgoing -= 1
        if self._outgoing <= 0:
            self._all_sent.set()

    def _expect(self, key: int | str) -> asyncio.Future[list[int]]:
        return self._answers.setdefault(key, self._loop.create_future())

    def _answered(self, key: int | str, codes: list[int]) -> None:
        answer = self._expect(key)
        if not answer.done():
            answer.set_result(codes)

    async def _asked(self, what: str, result: int, number: int | None) -> list[int]:
        if result != MQTT_ERR_SUCCESS or number is None:
            raise TransportError("connection lost")
        try:
            return await self._answer(what, self._expect(number))
        finally:
            self._answers.pop(number, None)

    async def _answer(self, what: str, answer: asyncio.Future[list[int]]) -> list[int]:
        waiting = [answer] if self._reading is None else [answer, self._reading]
        await asyncio.wait(waiting, timeout=_ANSWER_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise TransportError(f"no {what} from the broker")

    async def _in_thread(self, call: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(2 * _CONNECT_TIMEOUT_S):
                await self._loop.run_in_executor(self._thread, call)
        except (OSError, ValueError) as error:  # TimeoutError and ssl.SSLError are OSErrors
            raise TransportError(f"cannot connect: {error}") from error

    def _how_it_ended(self) -> str:
        if self._reading is None or self._reading.cancelled():
            return "cancelled"
        error = self._reading.exception()
        return repr(error) if error is not None else error_string(self._reading.result())

    async def _end(self) -> None:
        if self._reading is not None:
            self._client.disconnect()
            _, pending = await asyncio.wait([self._reading], timeout=_GOODBYE_TIMEOUT_S)
            if pending:
                self.abort()
            else:
                self._how_it_ended()  # an error that nobody asked for would be logged as lost
        self._thread.shutdown(wait=False)
        # Callbacks point back to here; without them paho's own sockets close with its last user.
        for name in _CALLBACKS:
            setattr(self._client, name, None)


def _check_greeting(codes: list[int]) -> None:
    if any(codes):
        raise TransportError(f"broker refused the connection, code {codes[0]}")


def tls_context(settings: BrokerSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer: the broker's certificate is checked against our CA, ours is shown."""
    try:
        context = ssl.create_default_context(cafile=str(settings.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"[broker] ca_file {settings.ca_file}, cert_file {settings.cert_file} and key_file "
            f"{settings.key_file} cannot be used: {error}"
        ) from error
    return context


def _send_at_once(opened: object) -> None:
    """Without this an ack waits 40 ms for the TCP acknowledgement of the packet before it."""
    if isinstance(opened, socket.socket):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _copied(message: MQTTMessage) -> Message:
    try:
        topic = message.topic
    except UnicodeDecodeError:
        topic = ""
    largest = blobs.MAX_BYTES if topic.endswith(_BLOB_TOPIC) else MAX_BYTES
    # One byte over the limit is enough to be refused for its size.
    return Message(topic, bytes(message.payload[: largest + 1]), message.retain)
