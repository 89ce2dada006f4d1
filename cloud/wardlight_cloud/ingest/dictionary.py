"""The series dictionary of one envelope: numbers of the sender to places in the batch.

Only series that an accepted record uses get a place. An entry that cannot be stored makes the
records that point to it unfit, and nothing else.
"""

from collections.abc import Sequence

from wardlight_shared.codes import BY_WIRE
from wardlight_shared.envelope import SeriesEntry
from wardlight_shared.errors import EnvelopeError
from wardlight_shared.records import SeriesKey


class SeriesDictionary:
    """Numbers of one envelope header, checked once, and the places given out so far."""

    def __init__(self, entries: Sequence[SeriesEntry]) -> None:
        self._keys: dict[int, SeriesKey | str] = {}
        self._places: dict[int, int] = {}
        for entry in entries:
            known = self._keys.get(entry.number, entry.key)
            self._keys[entry.number] = (
                _checked(entry.key) if known == entry.key else "two entries have this number"
            )

    def key(self, number: int) -> SeriesKey:
        """The key of a number; EnvelopeError when it has none that can be stored."""
        key = self._keys.get(number, "not in the dictionary")
        if isinstance(key, str):
            raise EnvelopeError(f"series {number}: {key}", where="series")
        return key

    def place(self, number: int) -> int:
        """The place of a number whose key was asked before."""
        return self._places.setdefault(number, len(self._places))

    def check(self, numbers: Sequence[int]) -> None:
        """Raise EnvelopeError unless ``key`` has an answer for each number."""
        if not self._places.keys() >= set(numbers):  # what has a place was checked before
            for number in numbers:
                self.key(number)

    def used(self) -> tuple[SeriesKey, ...]:
        """The keys in the order of their places."""
        return tuple(self.key(number) for number in self._places)

    def restart(self) -> None:
        """Forget the places: a new batch begins."""
        self._places.clear()


def _checked(key: SeriesKey) -> SeriesKey | str:
    metric = BY_WIRE.get(key.metric)
    if metric is None:
        return f"metric {key.metric} is not in this program's code table"
    if key.unit not in (None, metric.unit, *metric.units_also):
        return f"{key.unit!r} is not a unit of {metric.name} in this program's code table"
    if key.site == "":
        return "an empty site"
    if not key.device:
        return "no device"
    if has_nul(key.device, key.unit, key.site, key.raw_unit):
        return "text with a NUL character"
    return key


def has_nul(*texts: str | None) -> bool:
    """True when a text holds U+0000, which PostgreSQL cannot store."""
    return "\0" in "".join(text for text in texts if text)
