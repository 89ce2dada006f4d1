"""What every conversation about stored records has in common: one Transfer and its steps.

A subclass decodes the records: ``take`` for its own characteristics, ``settle`` for what still
waits when the device has sent everything.
"""

from hashlib import blake2b
from typing import Final

from wardlight_edge.devices._base import Options
from wardlight_edge.devices._conversation import Reject
from wardlight_edge.devices._dialogue import Bookmark, Bookmarks, Steps
from wardlight_edge.devices._options import check_options, flag
from wardlight_edge.devices._racp import CHANNEL, answer
from wardlight_edge.devices._transfer import Transfer
from wardlight_shared.errors import DecodeError

ONLY: Final = ""
"""Name of the memory of a device that has one."""

_MARK_OCTETS: Final = 8
_ASKS_ALL: Final = "racp_all"


def mark_of(octets: bytes) -> str:
    """Fingerprint of a record."""
    return blake2b(octets, digest_size=_MARK_OCTETS, person=b"wardlight-mark").hexdigest()


def asks_all(decoder: str, options: Options) -> bool:
    """The option ``racp_all``; ConfigError for another one, or another type."""
    check_options(decoder, options, frozenset({_ASKS_ALL}))
    return flag(options, _ASKS_ALL, default=True)


class StoredRecords:
    """Implements Dialogue on top of a Transfer.

    channels  what the records come on, besides the control point
    kept      those of them whose values the device gives again
    """

    def __init__(
        self,
        bookmark: Bookmark,
        channels: frozenset[str],
        kept: frozenset[str],
        *,
        numbered: bool = True,
        asks_all: bool = True,
    ) -> None:
        self.channels = channels | {CHANNEL}
        self.kept = kept
        self._transfer = Transfer(bookmark, numbered=numbered, asks_all=asks_all)

    @property
    def bookmarks(self) -> Bookmarks:
        """What may be kept now."""
        bookmark = self._transfer.bookmark
        return {} if bookmark == Bookmark() else {ONLY: bookmark}

    @property
    def deadline_ms(self) -> int | None:
        """When ``tick`` has something to do."""
        return self._transfer.deadline_ms

    def begin(self, now_ms: int) -> Steps:
        """Count the records, or ask for them."""
        return self._transfer.begin(now_ms)

    def value(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A record, or the answer of the control point."""
        try:
            if channel == CHANNEL:
                answer(octets)  # nothing is settled by what is no answer
                return (*self.settle(now_ms), *self._transfer.answered(octets, now_ms))
            return self.take(channel, octets, now_ms)
        except DecodeError as error:
            return (Reject(octets, str(error)),)

    def written(self, channel: str, now_ms: int) -> Steps:
        """The answer comes as an indication."""
        del channel, now_ms
        return ()

    def refused(self, channel: str, code: int | None, now_ms: int) -> Steps:
        """The control point did not take a request."""
        return self._transfer.refused(code, now_ms) if channel == CHANNEL else ()

    def tick(self, now_ms: int) -> Steps:
        """The device may have fallen silent."""
        deadline_ms = self.deadline_ms
        if deadline_ms is None or now_ms < deadline_ms:
            return ()
        return (*self.settle(now_ms), *self._transfer.tick(now_ms))

    def committed(self) -> Steps:
        """The bookmark follows what is in the outbox."""
        self._transfer.committed()
        return ()

    def link_lost(self) -> Steps:
        """The next link goes on."""
        self._transfer.link_lost()
        return ()

    def take(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A value of one of ``channels`` but the control point. May raise DecodeError."""
        raise TypeError(f"{type(self).__name__} does not say what {channel} means")

    def settle(self, now_ms: int) -> Steps:
        """The device will send nothing more of what it has begun."""
        del now_ms
        return ()

    def _spoilt(self, number: int | None, octets: bytes, reason: str, now_ms: int) -> Steps:
        """A record that cannot be decoded: it came, it is kept once, and the rest goes on."""
        is_new = self._transfer.received(number, mark_of(octets), now_ms)
        return (Reject(octets, reason),) if is_new else ()
