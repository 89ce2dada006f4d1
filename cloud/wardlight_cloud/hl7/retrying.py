"""Dead messages wait again, but for those of which nothing holds any more."""

from dataclasses import dataclass
from typing import Protocol

from wardlight_cloud.hl7.kept import last_words
from wardlight_cloud.store.base import ReadStore
from wardlight_cloud.store.hl7_out import DeadMessage, Hl7Store


class RetryStore(ReadStore, Hl7Store, Protocol):
    """What is asked of the store."""


@dataclass(slots=True)
class Retried:
    """How many wait again, and how many were dropped as they would have told nothing."""

    waiting: int = 0
    overtaken: int = 0


async def retry(store: RetryStore, destination: str | None, message_id: int | None) -> Retried:
    """Of a destination, or of one number; None: of all. Each is looked at again when it is sent."""
    done = Retried()
    after = 0
    while page := await store.dead_hl7(after=after, destination=destination, message_id=message_id):
        for dead in page:
            await _retry(store, dead, done)
        after = page[-1].message_id
    return done


async def _retry(store: RetryStore, dead: DeadMessage, done: Retried) -> None:
    body = await store.hl7_body(dead.message_id)
    if body is None:
        return  # somebody else dropped it meanwhile
    if await last_words(store, dead.patient_id, body) is None:
        done.overtaken += await store.drop_hl7_overtaken(dead.message_id)
    else:
        done.waiting += await store.retry_hl7(dead.message_id)
