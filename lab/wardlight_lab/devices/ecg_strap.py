"""Chest strap with an ECG: Polar's measurement data service beside the Heart Rate service.

In      control: 02 00 ... starts the ECG, 03 00 stops it; answered F0 | op | 00 | error | 00
Out     data: 00 | time of the last sample u64 ns since 2000 | 00 | 73 samples, signed 24 bit,
        in microvolt, 130 a second
Source  polarofficial/polar-ble-sdk: technical documentation of the measurement data service
"""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from wardlight_lab.bluez import Characteristic, Link, LinkLostError, Pairing, Service
from wardlight_lab.devices.emulated import Equipment, Identity, identity_of, protection
from wardlight_lab.devices.encoding import u8
from wardlight_lab.devices.heart_rate_strap import HeartRateStrap
from wardlight_lab.physiology.beats import Beats

PMD_SERVICE: Final = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL: Final = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA: Final = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
RATE: Final = 130
SAMPLES_A_FRAME: Final = 73
START, STOP, ANSWER, ECG = 0x02, 0x03, 0xF0, 0x00
DONE, UNKNOWN_OP, ALREADY_ON = 0, 1, 6
FEATURES: Final = bytes.fromhex("0F05") + bytes(15)  # ECG and acceleration
SECOND_NS: Final = 1_000_000_000
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)

# One beat a second: (microvolt at the top, second within the beat, width in seconds) of P, Q, R, S
# and T, rounded from textbooks.
_WAVES: Final = (
    (150, 0.20, 0.025),
    (-110, 0.34, 0.010),
    (1200, 0.37, 0.011),
    (-250, 0.40, 0.011),
    (320, 0.62, 0.050),
)


def microvolt(number: int) -> int:
    """The ECG at a sample, counted from the start of the stream."""
    return BEAT[number % RATE]


def _beat(at_s: float) -> int:
    return round(sum(top * math.exp(-(((at_s - on) / wide) ** 2)) for top, on, wide in _WAVES))


BEAT: Final = tuple(_beat(number / RATE) for number in range(RATE))


def encode(first: int, count: int, end_ns: int) -> bytes:
    """One frame: samples from ``first`` on; ``end_ns`` is the time of the last one."""
    samples = b"".join(
        microvolt(number).to_bytes(3, "little", signed=True)
        for number in range(first, first + count)
    )
    return u8(ECG) + end_ns.to_bytes(8, "little") + u8(0) + samples


class EcgStrap(HeartRateStrap):
    """A Polar H10.

    ecg_s  seconds of ECG on each link; None: as long as the link stands
    sent   samples of each ECG that was started, one number a link
    """

    def __init__(
        self,
        patient: str,
        beats: Beats | Callable[[], Beats],
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
        speed: float = 1.0,
        repeat: bool = False,
        ecg_s: float | None = None,
    ) -> None:
        equipment = equipment or Equipment(pairing=Pairing.NONE)
        super().__init__(
            patient,
            beats,
            identity=identity
            or identity_of(patient, "ecg strap", "Polar H10 WL", "Polar Electro Oy", "H10"),
            equipment=equipment,
            speed=speed,
            repeat=repeat,
        )
        security = protection(equipment.pairing)
        pmd = Service(
            PMD_SERVICE,
            (
                Characteristic(CONTROL, ("read", "write", "indicate"), security, FEATURES),
                Characteristic(DATA, ("notify",), security),
            ),
        )
        self.services = (*self.services, pmd)
        self.requests: list[bytes] = []
        self.sent: list[int] = []
        self._most = math.inf if ecg_s is None else ecg_s * RATE
        self._count = 0
        self._origin_ns = 0
        self._playing_ecg: asyncio.Task[None] | None = None

    async def on_write(self, uuid: str, value: bytes) -> None:
        """The control point starts and stops the stream."""
        if uuid != CONTROL:
            await super().on_write(uuid, value)
            return
        self.requests.append(value)
        link = self.link
        if link is None:
            return
        error = self._obey(value)
        is_started = value[:2] == bytes((START, ECG)) and error == DONE
        loop = asyncio.get_running_loop()
        work = self._answer(link, bytes((ANSWER, *value[:2], error, 0)), is_started=is_started)
        task = loop.create_task(work, name=f"ECG of {self.address}")
        if is_started:
            self._playing_ecg = task

    @property
    def is_playing(self) -> bool:
        """Whether the ECG was started on this link."""
        return self._playing_ecg is not None

    def next_frame(self) -> bytes:
        """The next 73 samples."""
        elapsed_ns = (self._count + SAMPLES_A_FRAME) * SECOND_NS // RATE
        frame = encode(self._count, SAMPLES_A_FRAME, self._origin_ns + elapsed_ns)
        self._count += SAMPLES_A_FRAME
        self.sent[-1] += SAMPLES_A_FRAME
        return frame

    def start_stream(self) -> None:
        """A stream of its own: its time goes on from the strap's clock."""
        self.sent.append(0)
        self._count = 0
        self._origin_ns = int((self.clock.now() - EPOCH).total_seconds()) * SECOND_NS

    def on_disconnected(self, link: Link) -> None:
        """The stream ends with its link."""
        super().on_disconnected(link)
        self._stop()

    def _obey(self, value: bytes) -> int:
        if value[:2] == bytes((STOP, ECG)):
            self._stop()
            return DONE
        if value[:2] != bytes((START, ECG)):
            return UNKNOWN_OP
        if self._playing_ecg is not None:
            return ALREADY_ON
        self.start_stream()
        return DONE

    def _stop(self) -> None:
        if self._playing_ecg is not None:
            self._playing_ecg.cancel()
            self._playing_ecg = None

    async def _answer(self, link: Link, answer: bytes, *, is_started: bool) -> None:
        try:
            await link.indicate(CONTROL, answer)
            while is_started and self._count < self._most and link.is_subscribed(DATA):
                await asyncio.sleep(SAMPLES_A_FRAME / RATE / self.speed)
                if not link.is_up:
                    return
                await self.send_notification(link, DATA, self.next_frame(), {})
        except LinkLostError:
            return  # the next link starts a stream of its own
