"""What ``wardlight-edge scan`` shows: a table for people, a document for programs.

Names come from strangers' radios: control characters and the like are shown as ?, so that nobody
writes into the operator's terminal.

Source  Bluetooth Assigned Numbers (services); Core 5.4, Vol 6, Part B, 1.3 (kinds of address)
"""

import json
import shutil
import unicodedata
from collections.abc import Sequence
from typing import Final, TextIO

import msgspec

SERVICES: Final = {
    "0x1805": "Current Time",
    "0x1808": "Glucose",
    "0x1809": "Thermometer",
    "0x180A": "Device Information",
    "0x180D": "Heart Rate",
    "0x180F": "Battery",
    "0x1810": "Blood Pressure",
    "0x181B": "Body Composition",
    "0x181C": "User Data",
    "0x181D": "Weight Scale",
    "0x181F": "Glucose Monitoring",
    "0x1822": "Pulse Oximeter",
    "0x1840": "Health Sensor",
    "0xFCD2": "BTHome",
    "0xFE95": "Xiaomi",
    "14839AC4-7D7E-415C-9A42-167340CF2339": "Viatom",
    "46A970E0-0D5F-11E2-8B5E-0002A5D5C51B": "Nonin",
    "49535343-FE7D-4AE5-8FA9-9FAFD205E455": "Berry",
}
"""Names of the services that devices here measure with."""

_HEADINGS: Final = (
    "name", "address", "kind", "signal", "radio", "heard", "services", "profile", ""
)  # fmt: skip
_WIDEST: Final = (28, 17, 9, 8, 20, 9, 34, 38, 8)
_RANDOM: Final = {0b11: "static", 0b01: "private", 0b00: "non-res."}


class Reception(msgspec.Struct, frozen=True):
    """How well one radio hears a device."""

    radio: str
    signal_dbm: int


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One device.

    address_kind  public; static (random, but lasting); private or non-res.: it changes, so that
                  the device cannot be enrolled by it
    radios        those that have heard it lately, the best first: adapters, and "proxy NAME"
    heard         advertisements that were told
    age_s         seconds since the last of them
    """

    address: str
    address_kind: str
    name: str | None
    radios: tuple[Reception, ...]
    heard: int
    services: tuple[str, ...]
    adverts: tuple[str, ...]
    profiles: tuple[str, ...]
    is_enrolled: bool
    age_s: float = 0.0

    @property
    def adapter(self) -> str:
        """The radio that hears it best."""
        return self.radios[0].radio

    @property
    def signal_dbm(self) -> int:
        """How well that radio hears it."""
        return self.radios[0].signal_dbm

    def aged(self, age_s: float) -> "Row":
        """The same with its age."""
        return msgspec.structs.replace(self, age_s=round(age_s, 1))


def address_kind(address: str, address_type: str) -> str:
    """What an address is worth: its two highest bits say which random one it is."""
    if address_type != "random":
        return "public"
    return _RANDOM.get(int(address[:2], 16) >> 6, "random")


def document(adapters: Sequence[str], seconds: float, rows: Sequence[Row]) -> str:
    """One JSON document."""
    return json.dumps(
        {
            "adapters": list(adapters),
            "seconds": round(seconds, 1),
            "devices": [_described(row) for row in rows],
        },
        indent=2,
    )


def _described(row: Row) -> dict[str, object]:
    return {
        **msgspec.structs.asdict(row),
        "adapter": row.adapter,
        "signal_dbm": row.signal_dbm,
        "radios": [msgspec.structs.asdict(each) for each in row.radios],
        "services": [{"uuid": uuid, "name": SERVICES.get(uuid)} for uuid in row.services],
    }


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of a table, without its columns' trailing spaces."""
    if not rows:
        return ["nobody is heard: is the device on, near, and not connected to a phone?"]
    cells = [_HEADINGS, *map(_cells, rows)]
    widths = [
        min(max(_width(each[place]) for each in cells), widest)
        for place, widest in enumerate(_WIDEST)
    ]
    return [
        "  ".join(_fitted(text, width) for text, width in zip(each, widths, strict=True)).rstrip()
        for each in cells
    ]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        printable(row.name or "-"),
        row.address,
        row.address_kind,
        f"{row.signal_dbm} dBm",
        _and_more(tuple(each.radio for each in row.radios)),
        f"{row.age_s:.0f} s ago" if row.age_s >= 1 else "now",
        ", ".join(_service(uuid) for uuid in row.services) or "-",
        _and_more(row.profiles),
        "enrolled" if row.is_enrolled else "",
    )


def _service(uuid: str) -> str:
    return SERVICES.get(uuid) or uuid.partition("-")[0]


def _and_more(names: tuple[str, ...]) -> str:
    if not names:
        return "-"
    return names[0] if len(names) == 1 else f"{names[0]} +{len(names) - 1}"


def printable(text: str) -> str:
    """Text that moves no cursor and turns no direction of writing."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _fitted(text: str, width: int) -> str:
    """Cut and filled up to a width."""
    shown, used = "", 0
    for place, each in enumerate(text):
        wide = _width(each)
        is_last = place == len(text) - 1
        if used + wide > width or (used + wide == width and not is_last):
            return shown + "…" + " " * (width - used - 1)
        shown, used = shown + each, used + wide
    return shown + " " * (width - used)


def _width(text: str) -> int:
    """Columns of a terminal."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )


class LiveTable:
    """A table that is drawn over the one before it."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._drawn = 0

    def show(self, rows: Sequence[Row], *, is_last: bool = False) -> None:
        """Draw; the last one is drawn whole, the others no higher than the terminal."""
        size = shutil.get_terminal_size()
        lines = [_fitted(line, size.columns - 1).rstrip() for line in table(rows)]
        room = max(size.lines - 2, 3)
        if len(lines) > room and not is_last:
            hidden = len(lines) - room + 1
            lines = [*lines[: room - 1], f"... and {hidden} more"]
        back = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        self._output.write(back + "\n".join(lines) + "\n")
        self._output.flush()
        self._drawn = len(lines)
