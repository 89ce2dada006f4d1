"""An MQTT client for tests of brokers: connects by certificate, remembers all it hears."""

import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from support.waiting import wait_until_sync
from wardlight_cloud.security.ca import Credentials


@dataclass
class BrokerClient:
    """One connection, without reconnects. `heard` lists (topic, payload) in order of arrival."""

    port: int
    authority: Path
    credentials: Credentials | None
    client_id: str = ""
    will: tuple[str, bytes] | None = None
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    refused: str | None = None
    is_connected: bool = False
    has_lost: threading.Event = field(default_factory=threading.Event)

    def connect(self) -> bool:
        """Whether the broker let us in; `refused` says why not."""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client.tls_set_context(self._context())
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        if self.will is not None:
            client.will_set(*self.will, qos=1, retain=True)
        self.client = client
        try:
            client.connect("127.0.0.1", self.port)
        except OSError as error:  # ssl.SSLError is one
            self.refused = repr(error)
            return False
        client.loop_start()
        wait_until_sync(lambda: self.is_connected or self.refused is not None)
        return self.is_connected

    def subscribe(self, topic_filter: str) -> bool:
        """Whether the broker granted the subscription."""
        answers: list[bool] = []

        def on_subscribe(_c: object, _u: object, _m: int, codes: list[Any], _p: object) -> None:
            answers.extend(not code.is_failure for code in codes)

        self.client.on_subscribe = on_subscribe
        self.client.subscribe(topic_filter, qos=1)
        wait_until_sync(lambda: answers or self.has_lost.is_set())
        return all(answers) and bool(answers)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1 and wait for the broker's answer, which proves nothing."""
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(30)

    def drop(self) -> None:
        """Vanish without a word, as a gateway whose power fails."""
        sock = self.client.socket()
        self.client.loop_stop()
        if sock is not None:
            sock.close()

    def close(self) -> None:
        """Leave politely."""
        self.client.disconnect()
        self.client.loop_stop()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority)
        if self.credentials is not None:
            context.load_cert_chain(self.credentials.certificate, self.credentials.key)
        return context

    def _on_connect(self, _c: object, _u: object, _f: object, code: Any, _p: object) -> None:
        if code.is_failure:
            self.refused = str(code)
        else:
            self.is_connected = True

    def _on_disconnect(self, _c: object, _u: object, _f: object, code: Any, _p: object) -> None:
        self.refused = self.refused or str(code)
        self.has_lost.set()

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))
