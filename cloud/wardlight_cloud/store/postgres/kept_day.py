"""One kept day: Observations with their places in a search, packed into octets.

Layout  zstd of MessagePack: groups; of each Observation, ascending by (time, anchor, ord): place of
        its group u16, time in us since 1970 i64, anchor i32, ord i32, where its text ends u32 (all
        little endian, in columns); ids, 32 characters each; texts
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from wardlight_cloud.store.postgres.by_time import direction_of
from wardlight_cloud.store.postgres.gathering import Found, Position, us_of
from wardlight_cloud.store.postgres.scan import Window
from wardlight_cloud.store.queries import ObservationQuery

MOST: Final = 2000
"""Observations of a day that is kept: streams of every second are not written out."""

_ID: Final = 32
_OPEN_MOST: Final = 64 << 20
_LEVEL: Final = 3

_Column = npt.NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """(id, text) of Observations that follow each other in a search.

    ``position`` says where one of them stands: a page needs that of one, if any.
    """

    texts: list[tuple[str, bytes]]
    position: Callable[[int], Position]


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
        if metrics is None and not query.other_units:
            return bool(self.measured)
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


class _Opener(threading.local):
    """A decompressor for each thread: to make one costs as much as to open a day."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdDecompressor()


_OPENER: Final = _Opener()


class KeptDay:
    """A day that was kept."""

    def __init__(self, body: bytes) -> None:
        opened = _OPENER.zstd.decompress(body, max_output_size=_OPEN_MOST)
        self._packed = msgspec.msgpack.decode(opened, type=_Packed)

    def found(
        self, query: ObservationQuery, window: Window, after: Position | None, limit: int
    ) -> Stretch:
        """The first of those that the query asks for within the window, behind ``after``."""
        kept = self._packed
        times = np.frombuffer(kept.times, "<i8")
        lo, hi = (int(times.searchsorted(us_of(edge))) for edge in window)
        is_backward = direction_of(query) == "backward"
        if after is not None:
            behind = self._first_behind(after, times)
            lo, hi = (lo, min(hi, behind)) if is_backward else (max(lo, behind), hi)
            if not is_backward and lo < hi and self._position(lo) == after:
                lo += 1
        places = self._wanted(query, lo, hi)
        places = places[::-1][:limit] if is_backward else places[:limit]
        edges = [0, *np.frombuffer(kept.ends, "<u4").tolist()]
        ids, texts = kept.ids, kept.texts
        return Stretch(
            [
                (ids[place * _ID : (place + 1) * _ID], texts[edges[place] : edges[place + 1]])
                for place in places
            ],
            lambda index: self._position(places[index]),
        )

    def _wanted(self, query: ObservationQuery, lo: int, hi: int) -> Sequence[int]:
        """Places from ``lo`` to before ``hi`` of what the query asks for, ascending."""
        groups = [group.is_wanted(query) for group in self._packed.groups]
        if all(groups):
            return range(lo, hi)
        of_groups = np.frombuffer(self._packed.places, "<u2")[lo:hi]
        found: list[int] = (np.array(groups, bool)[of_groups].nonzero()[0] + lo).tolist()
        return found

    def _position(self, place: int) -> Position:
        kept = self._packed
        time, anchor, ord_ = (
            int(np.frombuffer(column, kind)[place])
            for column, kind in ((kept.times, "<i8"), (kept.anchors, "<i4"), (kept.ords, "<i4"))
        )
        return 0, time, anchor, ord_

    def _first_behind(self, after: Position, times: _Column) -> int:
        """The place of the first that is not before ``after``."""
        place = int(times.searchsorted(after[1]))
        while place < len(times) and self._position(place) < after:
            place += 1
        return place

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
