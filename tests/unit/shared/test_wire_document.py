"""docs/wire-format.md lists the positions of the code, in their order."""

import re
from pathlib import Path

import msgspec
import pytest

from wardlight_shared.blobs import BlobState, Chunk, Offer
from wardlight_shared.control import Ack, GatewayConfig, GatewayState, Hello, Receipt
from wardlight_shared.envelope import Clock, Envelope, SeriesEntry
from wardlight_shared.records import (
    BlockBody,
    Column,
    EventBody,
    GapBody,
    Group,
    SeriesKey,
    StatusBody,
    WaveformBody,
)
from wardlight_shared.worklist import WorklistEntry, WorklistPage

TEXT = (Path(__file__).parents[3] / "docs" / "wire-format.md").read_text(encoding="utf-8")
TABLES: list[tuple[str, type[msgspec.Struct], int]] = [
    ("## Envelope", Envelope, 0),
    ("**SeriesKey**", SeriesKey, 0),
    ("### 1 Event", EventBody, 1),
    ("### 2 Block", BlockBody, 1),
    ("**Group**", Group, 0),
    ("**Column**", Column, 0),
    ("### 3 Waveform", WaveformBody, 1),
    ("### 4 Status", StatusBody, 1),
    ("### 6 Gap", GapBody, 1),
    ("**Ack**", Ack, 0),
    ("**Offer**", Offer, 1),
    ("**Chunk**", Chunk, 1),
    ("**BlobState**", BlobState, 1),
    ("**WorklistPage**", WorklistPage, 0),
]


@pytest.mark.parametrize(("heading", "kind", "first"), TABLES, ids=lambda one: str(one))
def test_tables_list_every_position(heading: str, kind: type[msgspec.Struct], first: int) -> None:
    table = TEXT.split(heading + "\n" if heading.startswith("#") else heading, 1)[1]
    table = re.split(r"\n\n(?=[^|])", table.split("|---|", 1)[1], maxsplit=1)[0]
    told = re.findall(r"^\| (\d+) \| (\w+) \|", table, re.MULTILINE)
    names = kind.__struct_fields__
    assert told == [(str(first + place), name) for place, name in enumerate(names)]


@pytest.mark.parametrize(
    "kind", [Hello, GatewayConfig, Receipt, GatewayState, Clock, SeriesEntry, WorklistEntry]
)
def test_short_messages_have_their_sentence(kind: type[msgspec.Struct]) -> None:
    sentence = TEXT.split(f"**{kind.__name__}**:", 1)[1].split("\n\n", 1)[0]
    last = len(kind.__struct_fields__) - 1
    assert all(f"{place} " in sentence for place in range(last + 1))
    assert not re.search(rf"(?:^|; ){last + 1} ", sentence)
