"""Several processes decide on one reading at once, or its event comes again meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.readings import NOW, SECOND, BatchMaker, One, Rec, pulse, us
from support.store import Place
from wardlight_cloud.store.batch import IngestBatch, Quarantined
from wardlight_cloud.store.postgres.release import Line, placed
from wardlight_shared.errors import StorageError

make = BatchMaker()
FUTURE = datetime.now(UTC) + timedelta(days=1)
ROUNDS = 15


def _aside(seq: int, one: One, event: bytes) -> IngestBatch:
    aside = Quarantined(0, 0, us(one.time), one.ord, one.mantissa, one.scale, 0, "future")
    return make(Rec(seq, (), event), series=(one.key,), quarantined=[aside])


async def _readings(place: Place) -> int:
    (row,) = await place.execute("SELECT count(*) AS count FROM reading")
    return int(row["count"])


async def test_two_people_release_at_once(native_place: Place) -> None:
    one, two = await native_place.open(), await native_place.open()
    for number in range(1, ROUNDS + 1):
        await one.ingest([_aside(number, pulse(NOW + number * SECOND, 60), bytes([number] * 16))])
        (waiting,) = await one.quarantined()
        async with asyncio.timeout(180):
            decisions = await asyncio.gather(
                one.release_quarantined(waiting.quarantine_id, decided_by="One", reason="1"),
                two.release_quarantined(waiting.quarantine_id, decided_by="Two", reason="2"),
            )
        assert decisions[0] == decisions[1]
        assert await _readings(native_place) == number


async def test_an_event_comes_again_while_it_is_released(native_place: Place) -> None:
    """It is stored once, by the one or by the other; nobody waits for nobody."""
    one, two = await native_place.open(), await native_place.open()
    for number in range(1, ROUNDS + 1):
        event = bytes([number] * 16)
        moment = NOW + number * SECOND
        await one.ingest([_aside(2 * number, pulse(moment, 60), event)])
        (waiting,) = await one.quarantined()
        copy = make(Rec(2 * number + 1, [pulse(moment + SECOND / 2, 60)], event))
        async with asyncio.timeout(180):
            await asyncio.gather(
                one.release_quarantined(waiting.quarantine_id, decided_by="One", reason="1"),
                two.ingest([copy]),
            )
        assert await one.quarantined() == ()
        assert await _readings(native_place) == number


async def test_collectors_put_copies_of_one_event_aside_at_once(native_place: Place) -> None:
    stores = [await native_place.open() for _ in range(3)]
    for number in range(1, ROUNDS + 1):
        event = bytes([number] * 16)
        copies = [
            _aside(10 * number + place, pulse(FUTURE + place * SECOND, 60), event)
            for place in range(3)
        ]
        async with asyncio.timeout(180):
            await asyncio.gather(
                *(store.ingest([copy]) for store, copy in zip(stores, copies, strict=True))
            )
        assert len(await stores[0].quarantined()) == number


ORDS = st.integers(0, 5)
VALUES = st.tuples(st.integers(0, 3), st.just(0), st.just(0))


@given(
    st.dictionaries(st.tuples(st.integers(1, 2), ORDS), VALUES, min_size=1),
    st.dictionaries(st.integers(1, 2), st.dictionaries(ORDS, VALUES)),
)
def test_a_release_never_takes_a_taken_place_and_keeps_a_panel_together(
    lines: dict[tuple[int, int], tuple[int, int, int]],
    stored: dict[int, dict[int, tuple[int, int, int]]],
) -> None:
    asked = [
        Line(n, 1, series, 7, ord_, *value, 0, 0, 0, 0, None)
        for n, ((series, ord_), value) in enumerate(lines.items())
    ]
    found = placed(asked, {(series, 7): taken for series, taken in stored.items()})
    assert [line.value for line in found] == [line.value for line in asked]
    assert len({new.ord - old.ord for new, old in zip(found, asked, strict=True)}) == 1
    for line in found:
        there = stored.get(line.series_id, {}).get(line.ord)
        assert there == (line.value if line.is_stored else None)


def test_where_no_place_is_free_nothing_is_released() -> None:
    ends = [0, (1 << 31) - 1]
    lines = [Line(n, 1, 1, 7, end, 60, 0, 0, 0, 0, 0, 0, None) for n, end in enumerate(ends)]
    with pytest.raises(StorageError, match="no place is free"):
        placed(lines, {(1, 7): {0: (61, 0, 0)}})
