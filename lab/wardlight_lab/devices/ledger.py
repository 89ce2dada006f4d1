"""What an emulated device says it sent: the record against which "nothing lost" is checked.

The ledger is the lab's own: it knows nothing of gateway or collector. One entry a value, in the
order of sending; with a file, one JSON object a line, written through at once so that a killed
process loses none.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import msgspec

from wardlight_lab.bluez import Transmission

NOTIFY: Final = "notify"
INDICATE: Final = "indicate"


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value sent.

    sent_at       when it was sent, aware UTC
    device        address of the device
    characteristic  full UUID
    payload       the bytes, as hex
    kind          "notify" or "indicate"
    acknowledged  the stack has confirmed it (indications only)
    delivered     a client had a session and was sent the value
    values        what the bytes say: metric name -> decimal text in the unit of the table of codes
    measured_at   device time as encoded, ISO 8601 with the offset of the device's zone
    """

    sent_at: datetime
    device: str
    characteristic: str
    payload: str
    kind: str
    acknowledged: bool = False
    delivered: bool = False
    values: dict[str, str] = {}
    measured_at: str | None = None


class Ledger:
    """Entries in memory, and in a JSONL file when a path is given (appended to)."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._file: IO[bytes] | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def record(
        self,
        device: str,
        characteristic: str,
        payload: bytes,
        sent: Transmission,
        *,
        kind: str,
        values: dict[str, str],
        measured_at: datetime | None = None,
    ) -> Entry:
        """Add one value and what became of it."""
        entry = Entry(
            sent_at=datetime.now(UTC),
            device=device,
            characteristic=characteristic,
            payload=payload.hex(),
            kind=kind,
            acknowledged=sent.acknowledged,
            delivered=sent.delivered,
            values=values,
            measured_at=None if measured_at is None else measured_at.isoformat(),
        )
        self._entries.append(entry)
        if self._file is not None:
            self._file.write(msgspec.json.encode(entry) + b"\n")
        return entry

    def of(self, device: str) -> list[Entry]:
        """The entries of one device."""
        return [each for each in self._entries if each.device == device]

    def accepted(self, device: str | None = None) -> list[Entry]:
        """The entries the other side has confirmed: what a device may now delete."""
        return [
            each for each in self._entries if each.acknowledged and device in (None, each.device)
        ]

    def close(self) -> None:
        """Close the file; entries stay in memory."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def read_ledger(path: Path) -> list[Entry]:
    """The entries of a JSONL file; a last line cut off by a kill is left out."""
    decoder = msgspec.json.Decoder(Entry)
    lines = path.read_bytes().split(b"\n")
    return [decoder.decode(line) for line in lines[:-1]]
