"""One kept day: Observations with their places in a search, packed into octets.

Layout  zstd of MessagePack: groups; of each Observation, ascending by (time, anchor, ord): place of
        its group u16, time in us since 1970 i64, anchor i32, ord i32, where its text ends u32 (all
        little endian, in columns); ids, 32 characters each; texts
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from wardlight_cloud.store.base import ObservationQuery
from wardlight_cloud.store.postgres.by_time import direction_of
from wardlight_cloud.store.postgres.gathering import Found, Position, us_of
from wardlight_cloud.store.postgres.scan import Window

MOST: Final = 2000
"""Observations of a day that is kept: streams of every second are not written out."""

_ID: Final = 32
_OPEN_MOST: Final = 64 << 20
_LEVEL: Final = 3

Text = tuple[Position, str, bytes]
"""(position in the search, id, text) of an Observation."""


class Group(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a search tells Observations apart by, besides time."""

    observation_metric: int
    device: str
    measured: tuple[tuple[int, str], ...]  # (metric, unit) of the value or of each component

    def is_wanted(self, query: ObservationQuery) -> bool:
        """The conditions of ``wanted`` in observations.sql."""
        if query.devices is not None and self.device not in {str(each) for each in query.devices}:
            return False
        if query.metrics is not None and self.observation_metric not in query.metrics:
            return False
        metrics = query.component_metrics
        return any(
            (metrics is None or self.observation_metric in metrics or metric in metrics)
            and (metric, unit) not in query.other_units
            for metric, unit in self.measured
        )


class _Packed(msgspec.Struct, array_like=True):
    groups: list[Group]
    places: bytes
    times: bytes
    anchors: bytes
    ords: bytes
    ends: bytes
    ids: str
    texts: bytes


def packed(found: Sequence[Found], texts: Sequence[bytes]) -> bytes:
    """Finished Observations of a day, ascending, and their texts."""
    groups: dict[Group, int] = {}
    places = [groups.setdefault(_group(each), len(groups)) for each in found]
    content = _Packed(
        list(groups),
        np.array(places, "<u2").tobytes(),
        np.array([each.time_us for each in found], "<i8").tobytes(),
        np.array([each.anchor for each in found], "<i4").tobytes(),
        np.array([each.ord for each in found], "<i4").tobytes(),
        np.cumsum([len(text) for text in texts], dtype="<u4").tobytes(),
        "".join(each.observation_id for each in found),
        b"".join(texts),
    )
    return zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.msgpack.encode(content))


def _group(found: Found) -> Group:
    about = found.circumstances
    measured = tuple((kind.metric, kind.unit) for kind in about.kinds)
    return Group(about.origin.metric, str(about.origin.device_id), measured)


class KeptDay:
    """A day that was kept."""

    def __init__(self, body: bytes) -> None:
        opened = zstandard.ZstdDecompressor().decompress(body, max_output_size=_OPEN_MOST)
        self._packed = msgspec.msgpack.decode(opened, type=_Packed)

    def found(
        self, query: ObservationQuery, window: Window, after: Position | None, limit: int
    ) -> list[Text]:
        """The first of those that the query asks for within the window, behind ``after``."""
        kept = self._packed
        times, anchors, ords, ends = (
            np.frombuffer(column, kind)
            for column, kind in (
                (kept.times, "<i8"), (kept.anchors, "<i4"), (kept.ords, "<i4"), (kept.ends, "<u4"),
            )
        )  # fmt: skip
        lo, hi = (int(np.searchsorted(times, us_of(edge))) for edge in window)
        is_backward = direction_of(query) == "backward"
        if after is not None:
            behind = _first_behind(after, times, anchors, ords)
            lo, hi = (lo, min(hi, behind)) if is_backward else (max(lo, behind), hi)
            if not is_backward and lo < hi and _position(lo, times, anchors, ords) == after:
                lo += 1
        wanted = np.array([group.is_wanted(query) for group in kept.groups], bool)
        places = np.flatnonzero(wanted[np.frombuffer(kept.places, "<u2")[lo:hi]]) + lo
        places = places[::-1][:limit] if is_backward else places[:limit]
        begins = np.concatenate(((0,), ends))[places]
        columns = (column[places].tolist() for column in (times, anchors, ords))
        return [
            (
                (0, time, anchor, ord_),
                kept.ids[place * _ID : (place + 1) * _ID],
                kept.texts[begin:end],
            )
            for place, time, anchor, ord_, begin, end in zip(
                places.tolist(), *columns, begins.tolist(), ends[places].tolist(), strict=True
            )
        ]

    def lines(self, query: ObservationQuery | None) -> tuple[bytes, int]:
        """All texts that the query asks for (None = all), a line each, and how many; of any time.

        Slices of the texts: finding places for line ends by masks costs more than they do.
        """
        kept = self._packed
        ends = np.frombuffer(kept.ends, "<u4")
        begins = np.concatenate(((0,), ends))[:-1]
        if query is not None:
            wanted = np.array([group.is_wanted(query) for group in kept.groups], bool)
            places = wanted[np.frombuffer(kept.places, "<u2")]
            begins, ends = begins[places], ends[places]
        edges = zip(begins.tolist(), ends.tolist(), strict=True)
        texts = [kept.texts[begin:end] for begin, end in edges]
        return b"\n".join([*texts, b""]) if texts else b"", len(texts)


_Column = npt.NDArray[np.signedinteger[Any]]


def _position(place: int, times: _Column, anchors: _Column, ords: _Column) -> Position:
    return 0, int(times[place]), int(anchors[place]), int(ords[place])


def _first_behind(after: Position, times: _Column, anchors: _Column, ords: _Column) -> int:
    """The place of the first that is not before ``after``."""
    place = int(np.searchsorted(times, after[1]))
    while place < len(times) and _position(place, times, anchors, ords) < after:
        place += 1
    return place
