"""A scale with users: gives a user's values after the consent of User Data 0x181C.

Out     2A9D: see weight_scale
        2A9C: flags u16 | body fat u16 0.1 % | [date time 7] | [user u8] | [weight u16], in one
        value, or in two packets of which the second has neither time nor user
In      2A9F: 2 | user u8 | code u16; answered by an indication 20 | 2 | result u8
Source  Bluetooth User Data Service 1.1, 3.2; Body Composition Service 1.0, 3.2.1; how a body
        composition is shared out between packets as in goodix-ble/GR5525-Smart-Watch,
        components/profiles/bcs/bcs.c
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from wardlight_lab.bluez import (
    AttError,
    Characteristic,
    Link,
    LinkLostError,
    Service,
    uuid16,
)
from wardlight_lab.devices import weight_scale
from wardlight_lab.devices.emulated import (
    EmulatedDevice,
    Equipment,
    Identity,
    constant,
    identity_of,
    measured,
)
from wardlight_lab.devices.encoding import date_time, u8, u16

SERVICE: Final = 0x181B
WEIGHT_SERVICE: Final = uuid16(0x181D)
USER_SERVICE: Final = uuid16(0x181C)
COMPOSITION: Final = uuid16(0x2A9C)
WEIGHT: Final = weight_scale.MEASUREMENT
CONTROL_POINT: Final = uuid16(0x2A9F)
NOBODY: Final = 255
CCCD_IMPROPER: Final = 0xFD
MOST_TRIES: Final = 3

CONSENT, RESPONSE = 2, 0x20
SUCCESS, NOT_SUPPORTED, BAD_PARAMETER, FAILED, NOT_AUTHORISED = range(1, 6)
TIME, USER, HAS_WEIGHT, PACKETS = 1 << 1, 1 << 2, 1 << 10, 1 << 12


@dataclass(frozen=True, slots=True)
class Weighing:
    """What one person's weighing sends: values in order, and what they say."""

    measured_at: datetime
    values: tuple[tuple[str, bytes], ...]
    said: dict[str, str]


def encode(
    fat: Decimal, kilograms: Decimal, at: datetime, user: int, *, packets: bool = False
) -> tuple[bytes, ...]:
    """A body composition with the weight, in one value or in two packets."""
    percent, steps = u16(int(fat * 10)), u16(int(kilograms / weight_scale.RESOLUTION_KG))
    head = date_time(at) + u8(user)
    if not packets:
        return (u16(TIME | USER | HAS_WEIGHT) + percent + head + steps,)
    first = u16(TIME | USER | PACKETS) + percent + head
    return first, u16(HAS_WEIGHT | PACKETS) + percent + steps


class UserScale(EmulatedDevice):
    """A scale such as the Beurer BF720: knows its users, keeps their values until they consent.

    codes  consent code of each user
    """

    def __init__(
        self,
        patient: str,
        codes: Mapping[int, int],
        *,
        identity: Identity | None = None,
        equipment: Equipment | None = None,
        advertise: float = 60.0,
    ) -> None:
        equipment = equipment or Equipment()
        pairing = equipment.pairing
        super().__init__(
            identity or identity_of(patient, "user scale", "BF720_WL", "Beurer", "BF720"),
            equipment,
            service=SERVICE,
            characteristics=(
                measured(0x2A9C, "indicate", pairing),
                constant(0x2A9B, bytes(4)),
            ),
            appearance=weight_scale.APPEARANCE,
        )
        point = measured(0x2A9F, "indicate", pairing)
        control = Characteristic(point.uuid, ("write", "indicate"), point.security)
        self.services = (
            *self.services,
            Service(WEIGHT_SERVICE, (measured(0x2A9D, "indicate", pairing),)),
            Service(USER_SERVICE, (control, constant(0x2A9A, u8(NOBODY)))),
        )
        self.codes = dict(codes)
        self.advertise = advertise
        self.requests: list[bytes] = []
        self.kept: dict[int, deque[Weighing]] = {user: deque() for user in (*codes, NOBODY)}
        self._tries: dict[int, int] = {}
        self._consented: int | None = None
        self._sending: asyncio.Task[None] | None = None

    def weigh(
        self,
        user: int,
        kilograms: Decimal,
        fat: Decimal,
        at: datetime | None = None,
        *,
        packets: bool = False,
    ) -> Weighing:
        """Somebody steps on the scale, which knows who it is, or does not (NOBODY)."""
        at = self.clock.now() if at is None else at
        weight = weight_scale.encode(kilograms, at, user=user)
        composition = encode(fat, kilograms, at, user, packets=packets)
        values = ((WEIGHT, weight), *((COMPOSITION, value) for value in composition))
        said = {"body_weight": str(kilograms), "body_fat": str(fat)}
        weighing = Weighing(at, values, said)
        self.kept[user].append(weighing)
        if self.link is not None and self._consented is not None and not self._is_sending():
            self._start(self._give(self.link))
        self.start_advertising(self.advertise)
        return weighing

    async def on_write(self, uuid: str, value: bytes) -> None:
        """A request to the control point: taken at once, answered afterwards."""
        if uuid != CONTROL_POINT:
            await super().on_write(uuid, value)
            return
        link = self.link
        if link is None or not link.is_subscribed(CONTROL_POINT):
            raise AttError(CCCD_IMPROPER)
        self.requests.append(value)
        self._start(self._answer(link, value))

    def on_disconnected(self, link: Link) -> None:
        """A consent is for one link."""
        super().on_disconnected(link)
        self._consented = None
        if self._sending is not None:
            self._sending.cancel()
        self.start_advertising(self.advertise)

    async def _answer(self, link: Link, request: bytes) -> None:
        result = self._result(request)
        await link.indicate(CONTROL_POINT, bytes([RESPONSE, request[0], result]))
        if result == SUCCESS:
            self._consented = request[1]
            await self._give(link)

    def _result(self, request: bytes) -> int:
        if request[0] != CONSENT or len(request) != 4:
            return NOT_SUPPORTED
        user, code = request[1], int.from_bytes(request[2:], "little")
        if user not in self.codes:
            return BAD_PARAMETER
        if self._tries.get(user, 0) >= MOST_TRIES:
            return FAILED
        if self.codes[user] != code:
            self._tries[user] = self._tries.get(user, 0) + 1
            return NOT_AUTHORISED
        self._tries[user] = 0
        return SUCCESS

    async def _give(self, link: Link) -> None:
        """What is kept of the user who has consented, then what is nobody's."""
        for user in (self._consented, NOBODY):
            kept = self.kept[NOBODY if user is None else user]
            while kept:
                weighing = kept[0]
                for uuid, value in weighing.values:
                    at = weighing.measured_at
                    await self.send_indication(link, uuid, value, weighing.said, at)
                kept.popleft()

    def _is_sending(self) -> bool:
        return self._sending is not None and not self._sending.done()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        if self._sending is not None:
            self._sending.cancel()

        async def do() -> None:
            try:
                await work
            except LinkLostError:
                return  # what is kept is given on another link

        name = f"scale {self.address}"
        self._sending = asyncio.get_running_loop().create_task(do(), name=name)
