"""However batches are cut, repeated and mixed, the store ends as if each record had come once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.postgres import FreshDatabase
from support.readings import NOW, SECOND, BatchMaker, Rec, pulse
from support.store import SCHEMA, Place
from wardlight_cloud.store.batch import Rejected
from wardlight_cloud.store.postgres import PostgresStore, open_postgres

SEQS = range(1, 13)
GATEWAYS = {"gw-one": 11, "gw-two": 22}


@dataclass(frozen=True)
class Sent:
    """A sending: some records of one gateway, in one envelope."""

    gateway: str
    seqs: tuple[int, ...]


@dataclass
class Expected:
    """What must be there, kept by rules of its own: sets of records and a map of row keys."""

    settled: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in GATEWAYS})
    events: set[bytes] = field(default_factory=set)
    rows: dict[tuple[int, int], int] = field(default_factory=dict)  # (second, ord) -> value
    aside: int = 0

    def take(self, sent: Sent) -> None:
        for seq in sent.seqs:
            if seq in self.settled[sent.gateway]:
                continue
            self.settled[sent.gateway].add(seq)
            if _is_rejected(seq):
                continue
            event = _event(seq)
            if event is not None and event in self.events:
                continue
            if event is not None:
                self.events.add(event)
            for second, ord_, value in _rows(sent.gateway, seq):
                stored = self.rows.setdefault((second, ord_), value)
                self.aside += stored != value


def _is_rejected(seq: int) -> bool:
    return seq % 6 == 5


def _event(seq: int) -> bytes | None:
    """Every third record is an event; both gateways hear the same ones, and 3 and 9 are one."""
    return bytes([seq % 6] * 16) if seq % 3 == 0 else None


def _rows(gateway: str, seq: int) -> list[tuple[int, int, int]]:
    """Neighbours share a key: with the same value for even seqs, with another one for odd seqs."""
    shared = 7 if seq % 2 == 0 else list(GATEWAYS).index(gateway)
    return [(seq, 0, 60 + seq), (seq + 100, 0, shared)]


def _record(gateway: str, seq: int) -> Rec:
    rows = [pulse(NOW + s * SECOND, value, ord=o) for s, o, value in _rows(gateway, seq)]
    return Rec(seq, rows, _event(seq))


sendings = st.builds(
    Sent,
    st.sampled_from(list(GATEWAYS)),
    st.sets(st.sampled_from(SEQS), min_size=1).map(lambda seqs: tuple(sorted(seqs))),
)
calls = st.lists(st.lists(sendings, min_size=1, max_size=4), min_size=1, max_size=6)


# Each example makes a database; the campaign of `make test-long` makes many.
EXAMPLES = 30 if settings().max_examples <= 100 else 1000


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=calls)
async def test_any_mixture_ends_as_once_in_order(
    fresh_database: FreshDatabase, calls: Sequence[Sequence[Sent]]
) -> None:
    place = Place(await fresh_database(SCHEMA))
    store = await open_postgres(place.dsn, pool_size=1)
    place.opened.append(store)
    expected = Expected()
    try:
        for call in calls:
            await _send(store, call)
            for sent in call:
                expected.take(sent)
        await _check(place, store, expected)
        for call in calls:  # all of it once more: an outage after the acks were lost
            await _send(store, call)
        await _check(place, store, expected)
    finally:
        await place.close()


async def _send(store: PostgresStore, call: Sequence[Sent]) -> None:
    batches = []
    for sent in call:
        make = BatchMaker(gateway=sent.gateway, epoch=GATEWAYS[sent.gateway])
        records = [_record(sent.gateway, seq) for seq in sent.seqs if not _is_rejected(seq)]
        letters = [Rejected(seq, "bad", b"x") for seq in sent.seqs if _is_rejected(seq)]
        batches.append(make(*records, rejected=letters))
    results = await store.ingest(batches)
    for sent, result in zip(call, results, strict=True):
        covered = set(range(1, result.ledger.upto + 1))
        for first, last in result.ledger.ranges:
            covered |= set(range(first, last + 1))
        assert set(sent.seqs) <= covered


async def _check(place: Place, store: PostgresStore, expected: Expected) -> None:
    rows = await place.execute("SELECT time, ord, mantissa FROM reading")
    found = {((r["time"] - NOW) // SECOND, r["ord"]): r["mantissa"] for r in rows}
    assert len(found) == len(rows)
    assert found == expected.rows
    (aside,) = await place.execute("SELECT count(*) AS count FROM quarantine")
    assert aside["count"] == expected.aside
    for gateway, epoch in GATEWAYS.items():
        state = await store.ledger(gateway, epoch)
        settled = set(range(1, state.upto + 1))
        for first, last in state.ranges:
            settled |= set(range(first, last + 1))
        assert settled == expected.settled[gateway]
        rejected = {seq for seq, _ in state.rejected}
        assert rejected == {seq for seq in settled if _is_rejected(seq)}
    (latest,) = await place.execute("SELECT max(time) AS time FROM latest")
    (days,) = await place.execute("SELECT sum(readings)::int AS count FROM series_day")
    (commits,) = await place.execute("SELECT sum(readings)::int AS count FROM series_commit")
    assert (days["count"] or 0) == (commits["count"] or 0) == len(expected.rows)
    if expected.rows:
        last = max(second for second, _ in expected.rows)
        assert latest["time"] == NOW + last * SECOND
