"""A collector by the book of docs/wire-format.md, with faults on request; keeps all in memory."""

import asyncio
import ssl
import time
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from wardlight_cloud.security.ca import Credentials
from wardlight_shared import control, topics
from wardlight_shared.control import Ack, Hello
from wardlight_shared.envelope import Envelope, open_envelope, sums

GATEWAY = "gw-uplink"
COLLECTOR = "collector-test"


class ScriptedCollector:
    """``lose_acks``: so many envelopes get no ack. ``rejects``: seqs that are never stored."""

    def __init__(self, port: int, credentials: Credentials, gateway: str) -> None:
        self._port = port
        self._credentials = credentials
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()
        self.stored: dict[tuple[int, int], int] = {}  # (epoch, seq) -> times received
        self.order: list[tuple[str, list[int]]] = []  # (lane, seqs) as they came
        self.hellos: list[Hello] = []
        self.states: list[bool] = []
        self.lose_acks = 0
        self.rejects: dict[int, str] = {}
        self.envelopes: list[Envelope] = []
        self.answers_hellos = True
        self._ready = asyncio.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2, "collector-test-x", protocol=MQTTProtocolVersion.MQTTv311
        )

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(cafile=str(self._credentials.authority))
        context.load_cert_chain(self._credentials.certificate, self._credentials.key)
        client = self._client
        client.tls_set_context(context)
        client.on_connect = self._subscribe
        client.on_subscribe = self._subscribed
        client.on_message = self._hop
        client.reconnect_delay_set(1, 1)
        client.connect_async("127.0.0.1", self._port, 30)
        client.loop_start()
        await asyncio.wait_for(self._ready.wait(), 180)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _subscribe(self, *_: Any) -> None:
        for topic in topics.shard_filters(topics.shard_of(self._gateway)):
            self._client.subscribe(topic, qos=1)

    def _subscribed(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._ready.set)

    def _hop(self, _client: Any, _data: Any, message: MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._take, message.topic, bytes(message.payload))

    def _take(self, topic: str, payload: bytes) -> None:
        parsed = topics.parse(topic)
        if parsed.is_state:
            self.states.append(control.decode(payload, control.GatewayState).online)
        elif parsed.is_hello:
            hello = control.decode(payload, Hello)
            self.hellos.append(hello)
            if self.answers_hellos:
                self.ack(hello.epoch, hello.mono_ms)
        elif parsed.lane is not None:
            self._store(parsed.lane.name.lower(), open_envelope(payload))

    def _store(self, lane: str, envelope: Envelope) -> None:
        seqs = sums(envelope.seqs)
        self.envelopes.append(envelope)
        self.order.append((lane, seqs))
        for seq in seqs:
            if seq not in self.rejects:
                key = (envelope.epoch, seq)
                self.stored[key] = self.stored.get(key, 0) + 1
        if self.lose_acks > 0:
            self.lose_acks -= 1
        else:
            self.ack(envelope.epoch, None)

    def ack(self, epoch: int, echo: int | None) -> None:
        """Say what is settled of an epoch."""
        settled = {seq for e, seq in self.stored if e == epoch}
        rejected = [(seq, why) for seq, why in self.rejects.items()]
        done = settled | set(self.rejects)
        upto = 0
        while upto + 1 in done:
            upto += 1
        above = sorted(seq for seq in done if seq > upto)
        ranges: list[tuple[int, int]] = []
        for seq in above:
            if ranges and ranges[-1][1] == seq - 1:
                ranges[-1] = (ranges[-1][0], seq)
            else:
                ranges.append((seq, seq))
        now_ms = time.time_ns() // 1_000_000
        ack = Ack(control.VERSION, epoch, upto, ranges[:64], rejected, now_ms, echo)
        self.send(topics.Down.ACK, control.encode(ack))

    def send(self, flow: topics.Down, payload: bytes) -> None:
        """Send anything down."""
        self._client.publish(topics.down(self._gateway, flow), payload, qos=1)
