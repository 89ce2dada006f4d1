"""From the bytes of one message to batches: pure steps, no I/O.

    message -> header -> whose -> bodies -> validate -> IngestBatch

Every message ends in one of three ways: batches to store (in which unfit records are dead
letters), VersionError (keep silent: the gateway keeps it), or EnvelopeError (header unfit: the
whole message becomes a ``dead_letter``).
"""

from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from itertools import chain, pairwise
from typing import Final

import msgspec

from wardlight_cloud.ingest.batches import batches, letters_batch, rejected
from wardlight_cloud.store.batch import IngestBatch, Rejected
from wardlight_shared.envelope import (
    MAX_BYTES,
    Envelope,
    expand,
    open_envelope,
    open_leniently,
    sums,
)
from wardlight_shared.errors import EnvelopeError, VersionError
from wardlight_shared.records import Origin

UNREADABLE_EPOCH: Final = 0
"""Dead letters of messages without a readable header stand under this epoch; never acknowledged."""

_SEQS: Final = 8  # positions of the envelope, docs/wire-format.md
_BODIES: Final = 12
_ORIGINS: Final = 13


def open_message(gateway: str, message: bytes, now_ms: int) -> Iterator[IngestBatch]:
    """Open what came on a topic of ``gateway``; the header is checked at once, batches come later.

    Raises VersionError and EnvelopeError, as the module says.
    """
    envelope, letters = _opened(gateway, message)
    return _batches(envelope, letters, message, now_ms)


def open_part(
    gateway: str, message: bytes, now_ms: int, seqs: Collection[int]
) -> Iterator[IngestBatch]:
    """As ``open_message``, but only some records: to find the one that a store refuses."""
    envelope, letters = _opened(gateway, message)
    wanted = [letter for letter in letters if letter.seq in seqs]
    return _batches(_only(envelope, seqs), wanted, message, now_ms)


def seqs_of(batch: IngestBatch) -> list[int]:
    """Every record of a batch, good and unfit, ascending."""
    return sorted([*batch.seqs.tolist(), *(letter.seq for letter in batch.rejected)])


def refused(batch: IngestBatch, message: bytes, reason: str) -> IngestBatch:
    """The same records as dead letters: what is left when a store refuses their values."""
    bodies = _raw_bodies(message)
    letters = [rejected(seq, reason, bodies[seq]) for seq in seqs_of(batch)]
    return letters_batch(batch.gateway, batch.epoch, letters, batch.origins)


def dead_letter(gateway: str, message: bytes, reason: str) -> IngestBatch:
    """A batch that holds nothing but the message itself, for the operator to see.

    Its number is made from the bytes, so that the same message is kept once.
    """
    number = int.from_bytes(sha256(message).digest()[:8], "big") >> 1 or 1
    letter = rejected(number, reason, message[:MAX_BYTES])
    return letters_batch(gateway, UNREADABLE_EPOCH, [letter])


def _batches(
    envelope: Envelope, letters: list[Rejected], message: bytes, now_ms: int
) -> Iterator[IngestBatch]:
    sound = batches(envelope, now_ms)
    if not letters:
        return sound
    origins = _raw_origins(message)
    return chain(sound, [letters_batch(envelope.gateway, envelope.epoch, letters, origins)])


def _opened(gateway: str, message: bytes) -> tuple[Envelope, list[Rejected]]:
    reasons: Mapping[int, str] = {}
    try:
        envelope = open_envelope(message)
    except VersionError:
        raise
    except EnvelopeError:
        envelope, reasons = open_leniently(message)
    if envelope.gateway != gateway:
        raise EnvelopeError("not the gateway of the topic", where="$[1]")
    if not reasons:
        return envelope, []
    bodies = _raw_bodies(message)
    return envelope, [rejected(seq, reason, bodies[seq]) for seq, reason in reasons.items()]


def _raw_bodies(message: bytes) -> dict[int, bytes]:
    """Bodies as sent by sequence number, of a message whose header is sound."""
    parts = msgspec.msgpack.decode(expand(message), type=list[msgspec.Raw])
    seqs = sums(msgspec.msgpack.decode(parts[_SEQS], type=list[int]))
    bodies = msgspec.msgpack.decode(parts[_BODIES], type=list[msgspec.Raw])
    return {seq: bytes(body) for seq, body in zip(seqs, bodies, strict=True)}


def _raw_origins(message: bytes) -> dict[int, Origin]:
    """Origins by sequence number, also those of bad bodies, of a message whose header is sound."""
    parts = msgspec.msgpack.decode(expand(message), type=list[msgspec.Raw])
    if len(parts) <= _ORIGINS:
        return {}
    seqs = sums(msgspec.msgpack.decode(parts[_SEQS], type=list[int]))
    origins = msgspec.msgpack.decode(parts[_ORIGINS], type=list[Origin | None] | None) or []
    return {seq: origin for seq, origin in zip(seqs, origins, strict=False) if origin is not None}


def _only(envelope: Envelope, wanted: Collection[int]) -> Envelope:
    seqs, times_ms = sums(envelope.seqs), sums(envelope.times_ms)
    kept = [place for place, seq in enumerate(seqs) if seq in wanted]
    clock_of, event_ids = envelope.clock_of, envelope.event_ids
    origins = envelope.origins
    return msgspec.structs.replace(
        envelope,
        seqs=_differences([seqs[place] for place in kept]),
        times_ms=_differences([times_ms[place] for place in kept]),
        clock_of=None if clock_of is None else [clock_of[place] for place in kept],
        event_ids=None if event_ids is None else [event_ids[place] for place in kept],
        bodies=[envelope.bodies[place] for place in kept],
        origins=None if origins is None else [origins[place] for place in kept],
    )


def _differences(values: list[int]) -> list[int]:
    return [value - before for before, value in pairwise([0, *values])]
