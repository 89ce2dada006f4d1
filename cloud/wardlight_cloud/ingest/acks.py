"""What a gateway is told of its records: acks and receipts that fit in a message each. Pure.

An ack never settles a rejected record that neither it nor one sent before it has named: the
gateway keeps a copy of those.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from wardlight_cloud.store.batch import LedgerState
from wardlight_shared import envelope
from wardlight_shared.control import MAX_RANGES, VERSION, Ack, Receipt

_T = TypeVar("_T")
_READS: Final = envelope.VERSION
_MAX_REASON: Final = 256  # characters, of up to 4 bytes
_REJECTED_PER_ACK: Final = 60  # with the longest reasons still below control.MAX_BYTES
_SEQS_PER_RECEIPT: Final = 4096
_FEW: Final = 256  # up to so many are told with each batch, and all of them with a hello
_MOST: Final = 4096  # ranges in one answer; the gateway sends what it has not heard of again


def answer(state: LedgerState, now_ms: int, echo_mono_ms: int | None) -> list[Ack]:
    """All that is known of an epoch: the answer to a hello."""
    return _acks(state, state.ranges[:_MOST], state.rejected, now_ms, echo_mono_ms)


def acks(state: LedgerState, first: int, last: int, now_ms: int) -> list[Ack]:
    """The state after a commit of records ``first`` to ``last``; long lists only near those."""
    ranges, rejected = state.ranges, state.rejected
    if len(ranges) > _FEW:
        ranges = tuple(range_ for range_ in ranges if range_[0] <= last and range_[1] >= first)
    if len(rejected) > _FEW:
        near = {entry for entry in rejected if first <= entry[0] <= last}
        rejected = tuple(sorted(near.union(rejected[-_FEW:])))
    return _acks(state, ranges[:_MOST], rejected, now_ms, None)


def hello_wanted(epoch: int, now_ms: int) -> Ack:
    """Settles nothing, asks for a hello."""
    return Ack(VERSION, epoch, 0, [], [], now_ms, None, hello_wanted=True, reads=_READS)


def receipts(epoch: int, released: Sequence[int]) -> list[Receipt]:
    """The records whose copies the gateway may drop."""
    return [Receipt(VERSION, epoch, list(part)) for part in _parts(released, _SEQS_PER_RECEIPT)]


def _acks(
    state: LedgerState,
    ranges: Sequence[tuple[int, int]],
    rejected: Sequence[tuple[int, str]],
    now_ms: int,
    echo_mono_ms: int | None,
) -> list[Ack]:
    named = [(seq, reason[:_MAX_REASON]) for seq, reason in rejected]
    *names_first, names_last = _parts(named, _REJECTED_PER_ACK) or [[]]
    told = [
        Ack(VERSION, state.epoch, 0, [], list(part), now_ms, reads=_READS) for part in names_first
    ]
    for place, part in enumerate(_parts(ranges, MAX_RANGES) or [[]]):
        names, echo = (list(names_last), echo_mono_ms) if place == 0 else ([], None)
        told.append(
            Ack(VERSION, state.epoch, state.upto, list(part), names, now_ms, echo, reads=_READS)
        )
    return told


def _parts(items: Sequence[_T], size: int) -> list[Sequence[_T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
