"""Bluetooth devices on a fake org.bluez for the real gateway, and what they say they have sent.

An oximeter streams; a thermometer measures every few seconds and forgets a reading once it was
acknowledged, so each acknowledged one must be stored exactly once. The account is the emulator's
own ledger, a file that it writes through at once.

One loss is nobody's fault here, and is counted by itself: bluetoothd acknowledges an indication
when it arrives, before any program sees it. A gateway that is killed before it has committed that
reading has not accepted it, and its device has forgotten it.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from wardlight_lab.chaos.streams import Packet, Values
from wardlight_lab.demo.ward import DemoDevice, bluetooth
from wardlight_lab.devices.ledger import INDICATE, NOTIFY, Entry, read_ledger
from wardlight_lab.supervise import Child

NAME: Final = "bluetooth"
OXIMETER: Final = "pulse_oximeter"
THERMOMETER: Final = "thermometer"
_SCENARIO: Final = {
    "timing": "instant",
    "device": [
        {"kind": OXIMETER, "patient": "chaos"},
        {"kind": THERMOMETER, "patient": "chaos", "every_s": 5.0, "linger_s": 0.5},
    ],
}
_METRIC: Final = "body_temperature"
_TIME_MS: Final = 3000  # a device's clock shows whole seconds, twice
_HAND_MS: Final = 1000  # from the acknowledgement to the COMMIT, on a busy machine
_KILL_MS: Final = 300  # of the kill's own time


def is_possible() -> bool:
    """Whether there is a message bus for the fake."""
    return shutil.which("dbus-daemon") is not None


@dataclass(frozen=True, slots=True)
class RadioOximeter:
    """The oximeter's account, as streams.Sender wants it."""

    entries: Sequence[Entry]
    name: str = "radio oximeter"
    packets_a_second: int = 1

    def values(self, number: int) -> Values:
        """SpO2 and pulse rate of a notification."""
        told = self.entries[number].values
        return Decimal(told["spo2"]), Decimal(told["pulse_rate_oximeter"])

    def packets(self) -> list[Packet]:
        """Every notification."""
        return [
            Packet(number, 0, int(entry.sent_at.timestamp() * 1000), entry.delivered)
            for number, entry in enumerate(self.entries)
        ]


@dataclass(slots=True)
class EventVerdict:
    """Readings that their device keeps until they are acknowledged.

    acknowledged  readings the device has forgotten
    in_hand       of these, not stored: acknowledged in the moment of a kill; at most one a kill
    lost          of these, not stored, and no kill says why
    double        stored more than once
    first_lost    when one that is lost was sent, and how long after it the next kill came, in ms
    """

    acknowledged: int = 0
    stored: int = 0
    in_hand: int = 0
    lost: int = 0
    double: int = 0
    first_lost: tuple[str, float | None] | None = None

    @property
    def is_good(self) -> bool:
        """Each acknowledged reading is stored once."""
        return not (self.lost or self.double)


class Radio:
    """The emulator in ``folder``; its socket lies in ``bus_dir``, whose path is short."""

    def __init__(self, folder: Path, bus_dir: Path) -> None:
        self._folder = folder
        self._bus_dir = bus_dir
        self._ready = folder / "ready.json"
        self._ledger = folder / "ledger.jsonl"

    def child(self) -> Child:
        """The process."""
        self._folder.mkdir(exist_ok=True, mode=0o700)
        scenario = self._folder / "scenario.json"
        scenario.write_text(json.dumps(_SCENARIO), encoding="utf-8")

        async def is_ready() -> bool:
            return self._ready.exists()

        command = [sys.executable, "-m", "wardlight_lab.bluez", "--scenario", scenario]
        command += ["--state-dir", self._folder / "bonds", "--bus-dir", self._bus_dir]
        command += ["--ledger", self._ledger, "--ready-file", self._ready]
        return Child(name=NAME, command=[str(part) for part in command], ready=is_ready)

    def environment(self) -> dict[str, str]:
        """What the gateway needs to find the fake."""
        ready = json.loads(self._ready.read_text(encoding="utf-8"))
        return {"DBUS_SYSTEM_BUS_ADDRESS": ready["address"]}

    def devices(self) -> list[DemoDevice]:
        """Settings of the devices for the gateway: the oximeter, the thermometer."""
        return bluetooth(json.loads(self._ready.read_text(encoding="utf-8")))

    def oximeter(self) -> RadioOximeter:
        """What the oximeter has sent so far."""
        return RadioOximeter([entry for entry in self._entries() if entry.kind == NOTIFY])

    def judge_thermometer(
        self, stored: Sequence[tuple[float, Decimal]], kills_ms: Sequence[float]
    ) -> EventVerdict:
        """Compare what the thermometer was told to have arrived with the store."""
        return judge_events(self._entries(), stored, kills_ms)

    def _entries(self) -> list[Entry]:
        return read_ledger(self._ledger) if self._ledger.exists() else []


def judge_events(
    entries: Sequence[Entry], stored: Sequence[tuple[float, Decimal]], kills_ms: Sequence[float]
) -> EventVerdict:
    """Compare the account of the thermometer with stored moments (ms) and values."""
    sent = [entry for entry in entries if entry.kind == INDICATE]
    forgotten = {entry.payload: entry for entry in sent if entry.acknowledged}
    verdict = EventVerdict(acknowledged=len(forgotten), stored=len(stored))
    left, kills = list(stored), list(kills_ms)
    for entry in forgotten.values():
        measured_ms, value = _measured_ms(entry), Decimal(entry.values[_METRIC])
        found = [one for one in left if one[1] == value and abs(one[0] - measured_ms) <= _TIME_MS]
        sent_ms = entry.sent_at.timestamp() * 1000
        kill = [each for each in kills if -_KILL_MS <= each - sent_ms <= _HAND_MS]
        if found:
            left.remove(found[0])
        elif kill:
            kills.remove(kill[0])
            verdict.in_hand += 1
        else:
            verdict.lost += 1
            after = min((each - sent_ms for each in kills_ms if each >= sent_ms), default=None)
            verdict.first_lost = verdict.first_lost or (entry.sent_at.isoformat(), after)
    # What is left may have been stored without its acknowledgement reaching the device; more
    # of them than of readings that were sent and never acknowledged are doubles.
    unconfirmed = {entry.payload for entry in sent} - forgotten.keys()
    verdict.double = max(len(left) - len(unconfirmed), 0)
    return verdict


def _measured_ms(entry: Entry) -> float:
    at = entry.sent_at if entry.measured_at is None else datetime.fromisoformat(entry.measured_at)
    return at.timestamp() * 1000
