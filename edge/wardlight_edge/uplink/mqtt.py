"""The gateway's way to the broker: MQTT 3.1.1 over TLS; the edge's only importer of paho.

Every connection is a new paho client: paho would resend its own queue after a reconnect, even an
oversized message for ever. Clean session, QoS 1, a client certificate, a will on the state topic.
paho runs one thread per connection; ``_to_loop`` is the one place where its events hop to asyncio.

Errors  TransportError: connection refused or lost; ConfigError: certificate files cannot be used
"""

import asyncio
import contextlib
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from wardlight_edge.config import UplinkSettings
from wardlight_edge.uplink import tls
from wardlight_edge.uplink.base import LinkFactory, Message
from wardlight_shared import topics
from wardlight_shared.envelope import MAX_BYTES
from wardlight_shared.errors import TransportError

_ANSWER_TIMEOUT_S: Final = 10.0
_INBOX_MAX: Final = 256
_OUTGOING_MAX: Final = 64
_STALL_S: Final = 60.0
_LOOK_FOR_STALL_S: Final = 5.0


def mqtt_links(settings: UplinkSettings, gateway: str, will: bytes) -> LinkFactory:
    """Links to the broker of the settings; ``will`` is what the broker says when we vanish."""

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[MqttLink]:
        link = MqttLink(settings, gateway, will)
        try:
            await link.open()
            yield link
        finally:
            await link.close()

    return connect


class MqttLink:
    """One connection, from CONNECT to its end."""

    def __init__(
        self,
        settings: UplinkSettings,
        gateway: str,
        will: bytes,
        *,
        stall_s: float = _STALL_S,
    ) -> None:
        self._settings = settings
        self._stall_s = stall_s
        self._look_s = min(_LOOK_FOR_STALL_S, stall_s)
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(_INBOX_MAX)
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._connected: asyncio.Future[str | None] = self._loop.create_future()
        self._subscribed: asyncio.Future[bool] = self._loop.create_future()
        self._unsent: dict[int, tuple[float, Callable[[], None] | None]] = {}
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        self._client = self._new_client(will)

    def _new_client(self, will: bytes) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            # Whoever knows a client id can push its owner out: ids carry a secret part.
            client_id=f"{self._gateway}-{secrets.token_hex(8)}",
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._settings.connect_timeout_s
        client.max_inflight_messages_set(_OUTGOING_MAX)
        client.tls_set_context(tls.context(self._settings))
        client.will_set(topics.state(self._gateway), will, qos=1, retain=True)
        client.on_socket_open = _send_at_once
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    async def open(self) -> None:
        """Connect and subscribe."""
        error = await self._connect()
        if error is not None:
            why = await asyncio.to_thread(tls.explained, error, self._settings, self._gateway)
            raise TransportError(f"{self._settings.host}:{self._settings.port}: {why}") from error
        self._client.loop_start()
        await self._let_in()
        self._client.subscribe(topics.down_filter(self._gateway), qos=1)
        if not await self._answer(self._subscribed, "SUBACK"):
            advice = await self._advice("check its permissions")
            raise TransportError(f"the broker refused the subscription: {advice}")

    async def _connect(self) -> OSError | ValueError | None:
        """Connect in a thread that nobody waits for; returns why there is no connection.

        A host that swallows what it gets must not keep a gateway from stopping.
        """
        settings = self._settings
        done: asyncio.Future[OSError | ValueError | None] = self._loop.create_future()

        def connect() -> None:
            outcome: OSError | ValueError | None = None
            try:
                self._client.connect(settings.host, settings.port, settings.keepalive_s)
            except (OSError, ValueError) as error:
                outcome = error
            self._to_loop(_settle, done, outcome)

        threading.Thread(target=connect, name="mqtt connect", daemon=True).start()
        # The timeout of the connection does not hold for finding the host's address.
        longest_s = settings.connect_timeout_s + _ANSWER_TIMEOUT_S
        await asyncio.wait({done}, timeout=longest_s)
        return done.result() if done.done() else TimeoutError(f"no connection in {longest_s:g} s")

    async def _let_in(self) -> None:
        """Wait for CONNACK. With TLS 1.3 a certificate is refused only after the handshake."""
        try:
            refused = await self._answer(self._connected, "CONNACK")
        except TransportError as error:
            if not self._ended.done():
                raise
            refused = str(error)
        if refused is not None:
            advice = await self._advice(tls.NOT_LET_IN)
            raise TransportError(f"the broker did not let this gateway in ({refused}): {advice}")

    async def _advice(self, otherwise: str) -> str:
        fault = await asyncio.to_thread(tls.own_fault, self._settings, self._gateway)
        return fault or otherwise

    async def close(self) -> None:
        """Say goodbye when still connected, then end the thread."""
        client = self._client
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
        # Without its way back to us the client is freed, and its sockets closed, when we are.
        client.on_connect = client.on_disconnect = client.on_subscribe = None
        client.on_publish = client.on_message = None
        if not self._ended.done():
            self._ended.set_result("closed")

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retained: bool = False,
        taken: Callable[[], None] | None = None,
        limit: int = MAX_BYTES,
    ) -> None:
        """Hand a message to paho; TransportError when it is too large or the link is gone."""
        if len(payload) > limit:
            raise TransportError(f"message of {len(payload)} bytes, at most {limit}")
        if self._ended.done():
            raise TransportError(self._ended.result())
        self._check_stall()
        info = self._client.publish(topic, payload, qos=1, retain=retained)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise TransportError(f"not sent: {info.rc.name}")
        self._unsent[info.mid] = self._loop.time(), taken
        self._all_sent.clear()

    def _check_stall(self) -> None:
        """A broker that takes messages and confirms none keeps the connection open for ever."""
        oldest = min((sent_s for sent_s, _ in self._unsent.values()), default=None)
        if oldest is not None and self._loop.time() - oldest > self._stall_s:
            raise TransportError(
                f"the broker has confirmed nothing for {self._stall_s:.0f} s; connecting anew"
            )

    async def receive(self) -> Message:
        """The next message; TransportError when the connection has ended."""
        waiting = asyncio.ensure_future(self._inbox.get())
        try:
            events: list[asyncio.Future[Any]] = [waiting, self._ended]
            done: set[asyncio.Future[Any]] = set()
            while not done:
                done, _ = await asyncio.wait(
                    events, timeout=self._look_s, return_when=asyncio.FIRST_COMPLETED
                )
                self._check_stall()
            if waiting.done():
                return waiting.result()
        finally:
            waiting.cancel()
        raise TransportError(self._ended.result())

    async def flush(self, timeout_s: float) -> None:
        """Wait, but not longer, for the PUBACKs of what was published."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._all_sent.wait()

    async def _answer(self, answer: "asyncio.Future[Any]", name: str) -> Any:
        await asyncio.wait(
            {answer, self._ended}, timeout=_ANSWER_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        if answer.done():
            return answer.result()
        raise TransportError(
            self._ended.result() if self._ended.done() else f"no {name} from the broker"
        )

    # -- paho's thread below; every callback only hops to the loop

    def _to_loop(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(call, *arguments)

    def _on_connect(self, _c: Any, _u: Any, _f: Any, code: Any, _p: Any) -> None:
        self._to_loop(_settle, self._connected, str(code) if code.is_failure else None)

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, code: Any, _p: Any) -> None:
        self._to_loop(_settle, self._ended, f"connection lost: {code}")

    def _on_subscribe(self, _c: Any, _u: Any, _m: Any, codes: Any, _p: Any) -> None:
        self._to_loop(_settle, self._subscribed, not any(code.is_failure for code in codes))

    def _on_publish(self, _c: Any, _u: Any, mid: int, _r: Any, _p: Any) -> None:
        self._to_loop(self._sent, mid)

    def _on_message(self, _c: Any, _u: Any, message: MQTTMessage) -> None:
        self._to_loop(self._received, message.topic, message.payload)

    # -- back in the loop

    def _sent(self, mid: int) -> None:
        _, taken = self._unsent.pop(mid, (0.0, None))
        if not self._unsent:
            self._all_sent.set()
        if taken is not None:
            taken()

    def _received(self, topic: str, payload: bytes) -> None:
        # Acks are cumulative and everything else that comes down is sent again: the oldest may go.
        if self._inbox.full():
            self._inbox.get_nowait()
        self._inbox.put_nowait(Message(topic, payload))


def _settle(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _send_at_once(_c: Any, _u: Any, opened: Any) -> None:
    """A live reading is one small packet: do not let TCP wait for a second (Nagle)."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
