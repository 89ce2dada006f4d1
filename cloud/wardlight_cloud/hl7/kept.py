"""Messages that were kept, as they may be sent now.

Until a message is sent, the register may have taken an identifier from its patient and given it to
another one: PID is what the register says when it is sent.

A message that was dead has been passed by later ones. If it went as it was made, a value that was
corrected since, or is another patient's by now, would be the last word. So of each Observation

    the patient's still     it is told as it is now
    withdrawn by it         it is told as it was: nothing since made it the patient's again
    else                    it is left out: the patient has lost it
"""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from wardlight_cloud.hl7.messages import Parties, observation_segments, patient_segment
from wardlight_cloud.store.base import Patient, ReadStore
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.queries import ObservationQuery

_ID, _RESULT_STATUS = 3, 11


@dataclass(frozen=True, slots=True)
class _Told:
    """An OBR with what follows it."""

    observation_id: str
    segments: tuple[str, ...]

    @property
    def is_withdrawn(self) -> bool:
        """Whether it takes the Observation from the patient's record."""
        results = [each.split("|") for each in self.segments if each.startswith("OBX|")]
        return all(len(each) > _RESULT_STATUS and each[_RESULT_STATUS] == "W" for each in results)

    def numbered(self, number: int) -> Iterator[str]:
        """Its segments, as the OBR of this number in its message."""
        name, _, rest = self.segments[0].split("|", 2)
        yield f"{name}|{number}|{rest}"
        yield from self.segments[1:]


def with_patient(body: bytes, parties: Parties, patient: Patient) -> bytes:
    """The message with the patient as the register has it now."""
    header, _, results = body.decode().split("\r", 2)
    return "\r".join((header, patient_segment(parties, patient), results)).encode()


def without_results(header: bytes, observation_id: str) -> bytes:
    """In the place of a message that cannot be written: what it is about, for a later attempt."""
    return header + f"OBR|1||{observation_id}\r".encode()


def has_results(body: bytes) -> bool:
    """Whether a message tells of anything."""
    return b"\rOBX|" in body


async def last_words(store: ReadStore, patient_id: UUID, body: bytes) -> bytes | None:
    """The message with what holds of its Observations now; None: with nothing."""
    lines = body.decode().split("\r")
    begins = [place for place, line in enumerate(lines) if line.startswith("OBR|")]
    if not begins:
        return body
    ends = (*begins[1:], len(lines))
    told = [
        _told([each for each in lines[begin:end] if each])
        for begin, end in zip(begins, ends, strict=True)
    ]
    ids = tuple(dict.fromkeys(each.observation_id for each in told))
    page = await store.observations(
        ObservationQuery(patients=(patient_id,), ids=ids, count=len(ids))
    )
    words = list(_words(told, {row.observation_id: row for row in page.rows}))
    return "\r".join((*lines[: begins[0]], *words, "")).encode() if words else None


def _words(told: list[_Told], now: dict[str, ObservationRow]) -> Iterator[str]:
    number = 0
    left = dict(now)
    for each in told:
        if each.observation_id in left:
            number += 1
            yield from observation_segments(number, left.pop(each.observation_id))
        elif each.observation_id not in now and each.is_withdrawn:
            number += 1
            yield from each.numbered(number)


def _told(segments: list[str]) -> _Told:
    # Ids have no letter that needs an escape.
    return _Told(segments[0].split("|")[_ID].partition("^")[0], tuple(segments))
