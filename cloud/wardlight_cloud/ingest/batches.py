"""An opened envelope as batches for the store: every record validated, none for ever in the way.

In      Envelope (positions already typed), the collector's UTC
Out     IngestBatch, one or more: at most about MAX_BATCH_ROWS rows each
Rules   a record that cannot be stored becomes Rejected with its reason, the others go on;
        a reading from the future becomes Quarantined; an old one is accepted
Errors  EnvelopeError: sequence numbers that cannot be told apart (header unfit)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from wardlight_cloud.ingest.blocks import BlockRows
from wardlight_cloud.ingest.columns import reading_columns
from wardlight_cloud.ingest.dictionary import SeriesDictionary, has_nul
from wardlight_cloud.ingest.events import FUTURE, EventRows
from wardlight_cloud.ingest.moments import Moment, checked_ms
from wardlight_cloud.store.batch import (
    GapRow,
    IngestBatch,
    Rejected,
    StatusRow,
    WaveformRow,
)
from wardlight_shared.envelope import Envelope, origins_of, sums
from wardlight_shared.errors import EnvelopeError
from wardlight_shared.records import (
    BlockBody,
    Body,
    EventBody,
    GapBody,
    Origin,
    StatusBody,
    WaveformBody,
    encode_body,
)
from wardlight_shared.timestamps import FUTURE_LIMIT_MS

# 10,000 would save a tenth of the CPU and let live readings wait half as long again.
MAX_BATCH_ROWS: Final = 5000
_MAX_REASON: Final = 256  # control.Ack carries the reason back


def batches(envelope: Envelope, now_ms: int) -> Iterator[IngestBatch]:
    """All records of an envelope, in order, as batches that the store takes in one go each.

    The header is checked at once; each batch is made when it is asked for, so that one small
    message of many samples never stands in memory whole.
    """
    return _batches(envelope, _checked_seqs(envelope), now_ms)


def _batches(envelope: Envelope, seqs: list[int], now_ms: int) -> Iterator[IngestBatch]:
    times_ms = sums(envelope.times_ms)
    event_ids = envelope.event_ids or [None] * len(seqs)
    clock_of = envelope.clock_of or [0] * len(seqs)
    origins = origins_of(envelope)
    batch = _BatchBuilder(envelope, now_ms)
    for place, body in enumerate(envelope.bodies):
        moment = Moment(times_ms[place], envelope.clocks[clock_of[place]])
        batch.add(seqs[place], event_ids[place], body, moment)
        if batch.is_full():
            yield batch.finish(origins)
            batch = _BatchBuilder(envelope, now_ms, batch.dictionary)
    if not batch.is_empty():
        yield batch.finish(origins)


def _checked_seqs(envelope: Envelope) -> list[int]:
    """Sequence numbers start at 1; the ledger counts from there."""
    seqs = sums(envelope.seqs)
    if seqs and seqs[0] == 0:
        raise EnvelopeError("sequence numbers start at 1", where="$[8]")
    return seqs


class _BatchBuilder:
    def __init__(
        self, envelope: Envelope, now_ms: int, dictionary: SeriesDictionary | None = None
    ) -> None:
        self._envelope = envelope
        self._future_ms = now_ms + FUTURE_LIMIT_MS
        self.dictionary = dictionary or SeriesDictionary(envelope.series)
        self.dictionary.restart()
        self._events = EventRows(self.dictionary, self._future_ms, offset_min=envelope.offset_min)
        self._blocks = BlockRows(self.dictionary)
        self._seqs: list[int] = []
        self._event_ids: list[bytes | None] = []
        self._waveforms: list[WaveformRow] = []
        self._statuses: list[StatusRow] = []
        self._gaps: list[GapRow] = []
        self._rejected: list[Rejected] = []
        self._takers: dict[type, Callable[[int, Any, Moment], None]] = {
            EventBody: self._events.add,
            BlockBody: self._blocks.add,
            WaveformBody: self._waveform,
            StatusBody: self._status,
            GapBody: self._gap,
        }

    def is_full(self) -> bool:
        return len(self._events) + len(self._blocks) >= MAX_BATCH_ROWS

    def is_empty(self) -> bool:
        return not (self._seqs or self._rejected)

    def add(self, seq: int, event_id: bytes | None, body: Body, moment: Moment) -> None:
        try:
            moment.check()
            self._takers[type(body)](len(self._seqs), body, moment)
        except EnvelopeError as error:
            self._rejected.append(rejected(seq, str(error), encode_body(body)))
            return
        self._seqs.append(seq)
        self._event_ids.append(event_id)

    def finish(self, origins: Mapping[int, Origin]) -> IngestBatch:
        readings, future = reading_columns(self._events, self._blocks, self._future_ms)
        return IngestBatch(
            gateway=self._envelope.gateway,
            epoch=self._envelope.epoch,
            offset_min=self._envelope.offset_min,
            offsets=self._events.offsets,
            series=self.dictionary.used(),
            seqs=np.array(self._seqs, np.int64),
            event_ids=self._event_ids,
            readings=readings,
            details=self._events.details,
            waveforms=self._waveforms,
            statuses=self._statuses,
            gaps=self._gaps,
            rejected=self._rejected,
            quarantined=self._events.quarantined + future,
            origins=_of(origins, [*self._seqs, *(letter.seq for letter in self._rejected)]),
        )

    def _waveform(self, record: int, body: WaveformBody, moment: Moment) -> None:
        self.dictionary.key(body.series)
        time_ms = checked_ms(moment.time_ms, "times_ms")
        if not body.samples or len(body.samples) % 2:
            raise EnvelopeError(f"{len(body.samples)} bytes of int16", where="samples")
        if time_ms > self._future_ms:
            raise EnvelopeError(FUTURE, where="times_ms")
        self._waveforms.append(
            WaveformRow(
                record=record,
                series=self.dictionary.place(body.series),
                time_us=time_ms * 1000,
                rate_mhz=body.rate_mhz,
                scale=body.scale,
                origin=body.origin,
                samples=body.samples,
                error_ms=moment.bound(body.error_ms),
            )
        )

    def _status(self, record: int, body: StatusBody, moment: Moment) -> None:
        texts = [body.device, body.name]
        for name, value in body.data.items():
            texts += [name, value if isinstance(value, str) else None]
        if has_nul(*texts):
            raise EnvelopeError("text with a NUL character", where="data")
        _check_names(device=body.device, name=body.name)
        time_us = checked_ms(moment.time_ms, "times_ms") * 1000
        self._statuses.append(StatusRow(record, time_us, body.device, body.name, body.data))

    def _gap(self, record: int, body: GapBody, moment: Moment) -> None:
        if has_nul(body.device, body.cause):
            raise EnvelopeError("text with a NUL character", where="cause")
        _check_names(device=body.device, cause=body.cause)
        end_ms = checked_ms(moment.time_ms, "times_ms")
        start_ms = checked_ms(moment.time_ms - body.age_ms, "age_ms")
        seqs = tuple(body.seqs or ())
        if any(not 1 <= first <= last for first, last in seqs):
            raise EnvelopeError("a range must ascend from 1", where="seqs")
        self._gaps.append(
            GapRow(
                record=record,
                start_us=start_ms * 1000,
                end_us=end_ms * 1000,
                device=body.device,
                cause=body.cause,
                count=body.count,
                seqs=seqs,
            )
        )


def _check_names(**names: str | None) -> None:
    for where, name in names.items():
        if name == "":
            raise EnvelopeError("an empty text names nothing", where=where)


def _of(origins: Mapping[int, Origin], seqs: Sequence[int]) -> Mapping[int, Origin]:
    return {seq: origins[seq] for seq in seqs if seq in origins} if origins else origins


def letters_batch(
    gateway: str,
    epoch: int,
    letters: list[Rejected],
    origins: Mapping[int, Origin] | None = None,
) -> IngestBatch:
    """A batch of dead letters and nothing else."""
    nothing = SeriesDictionary(())
    return IngestBatch(
        gateway=gateway,
        epoch=epoch,
        offset_min=0,
        series=(),
        seqs=np.zeros(0, np.int64),
        event_ids=[],
        readings=reading_columns(EventRows(nothing, 0), BlockRows(nothing), 0)[0],
        rejected=letters,
        origins=_of(origins or {}, [letter.seq for letter in letters]),
    )


def rejected(seq: int, reason: str, body: bytes) -> Rejected:
    """A dead letter; the reason is cut to what an ack carries."""
    return Rejected(seq, reason[:_MAX_REASON], body)
