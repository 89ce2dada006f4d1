"""ResourceStore: versions, conditions, search, history; on every engine."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from support.store import Place, patient
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.queries import TimeBound
from wardlight_cloud.store.resources import (
    AnyOf,
    Condition,
    Conflict,
    Delete,
    Expect,
    Expectation,
    Happened,
    HasAny,
    HasId,
    HasRange,
    HasText,
    HistoryQuery,
    IndexValue,
    IsReferredTo,
    Put,
    RangeMatch,
    RangeValue,
    RefersTo,
    ResourceChange,
    ResourceQuery,
    ResourceRow,
    TextMatch,
    TextValue,
    Written,
)

pytestmark = pytest.mark.either_engine
A, B = UUID(int=1), UUID(int=2)
ALL = ResourceQuery("Task", None)


def _put(name: str, *index: IndexValue, kind: str = "Task", **more: object) -> Put:
    fields: dict[str, object] = {"body": b"{}", "patients": (A,), "index": index}
    return Put(kind, name, **{**fields, **more})  # type: ignore[arg-type]


async def _write(store: PostgresStore, *changes: ResourceChange) -> tuple[Written, ...]:
    written = await store.write_resources(changes)
    assert not isinstance(written, Conflict)
    return written


async def _ids(store: PostgresStore, *conditions: Condition, kind: str = "Task") -> list[str]:
    page = await store.resources(ResourceQuery(kind, None, conditions))
    return [row.id for row in page.rows]


async def _pages(store: PostgresStore, query: ResourceQuery) -> list[ResourceRow]:
    rows: list[ResourceRow] = []
    while True:
        page = await store.resources(query)
        rows += page.rows
        if page.next is None:
            return rows
        query = replace(query, after=page.next)


def _token(value: str, system: str = "", param: str = "code") -> TextValue:
    return TextValue(param, value, system)


def _coded(*any_of: TextMatch, negated: bool = False) -> HasText:
    return HasText("code", any_of, negated)


async def test_a_resource_has_versions(store: PostgresStore) -> None:
    (first,) = await _write(store, _put("one", body=b'{"a":1}'))
    (again,) = await _write(store, _put("one", body=b'{"a":1}'))
    (second,) = await _write(store, _put("one", body=b'{"a":2}'))
    assert [each.happened for each in (first, again, second)] == [
        Happened.CREATED, Happened.UNCHANGED, Happened.UPDATED,
    ]  # fmt: skip
    assert first.commit_seq is not None and second.commit_seq is not None
    assert again.commit_seq == first.commit_seq < second.commit_seq
    (row,) = await store.resources_by_id("Task", ["one", "two"], patients=None)
    assert (row.body, row.commit_seq, row.stored_at) == (
        b'{"a":2}', second.commit_seq, second.stored_at,
    )  # fmt: skip
    old = await store.resource_version("Task", "one", first.commit_seq, patients=None)
    assert old is not None and old.body == b'{"a":1}'
    assert await store.resource_version("Task", "one", 10**12, patients=None) is None


async def test_what_is_deleted_is_found_by_id_alone_and_may_be_made_again(
    store: PostgresStore,
) -> None:
    await _write(store, _put("one", _token("x")))
    assert [each.happened for each in await _write(store, Delete("Task", "one"))] == ["deleted"]
    (row,) = await store.resources_by_id("Task", ["one"], patients=(A,))
    assert row.body is None
    assert await _ids(store) == []
    assert [each.happened for each in await _write(store, Delete("Task", "one"))] == ["unchanged"]
    assert await _write(store, Delete("Task", "never")) == (
        Written(Happened.UNCHANGED, None, None),
    )
    assert [each.happened for each in await _write(store, _put("one"))] == ["created"]
    assert await _ids(store) == ["one"]
    assert await _ids(store, _coded(TextMatch("x"))) == []
    history = await store.resource_history(HistoryQuery(("Task",), None, "one"))
    assert [(row.body, row.is_new) for row in history.rows] == [
        (b"{}", True), (None, False), (b"{}", True),
    ]  # fmt: skip


async def test_an_old_version_is_no_longer_changed(store: PostgresStore) -> None:
    (made,) = await _write(store, _put("one"))
    version = made.commit_seq
    assert await store.write_resources([_put("one", body=b"[1]", if_version=0)]) == Conflict(
        0, "version"
    )
    await _write(store, _put("one", body=b"[2]", if_version=version))
    changes = [_put("two"), _put("one", body=b"[3]", if_version=version)]
    assert await store.write_resources(changes) == Conflict(1, "version")
    assert await _ids(store) == ["one"], "nothing of the others is written"
    refused = await store.write_resources([Delete("Task", "one", if_version=version)])
    assert refused == Conflict(0, "version")


async def test_of_writers_at_once_one_has_the_version(place: Place) -> None:
    store = await place.open(pool_size=8)
    (made,) = await _write(store, _put("one"))
    tries = [
        store.write_resources([_put("one", body=b"[%d]" % each, if_version=made.commit_seq)])
        for each in range(8)
    ]
    results = await asyncio.gather(*tries)
    assert sum(not isinstance(each, Conflict) for each in results) == 1


async def test_a_conditional_create_of_eight_at_once_makes_one(place: Place) -> None:
    store = await place.open(pool_size=8)
    none = Expectation(ResourceQuery("Task", None, (_coded(TextMatch("x")),)), None)
    tries = [
        store.write_resources([_put(f"t{each}", _token("x"), expected=none)]) for each in range(8)
    ]
    results = await asyncio.gather(*tries)
    assert sum(each == Conflict(0, "expectation") for each in results) == 7
    (found,) = await _ids(store)
    one = replace(none, id=found)
    assert not isinstance(await store.write_resources([Expect(one)]), Conflict)
    await _write(store, _put("another", _token("x")))
    assert await store.write_resources([Expect(one)]) == Conflict(0, "expectation")


async def test_two_changes_of_one_resource_are_refused(store: PostgresStore) -> None:
    with pytest.raises(ValueError, match="same resource"):
        await store.write_resources([_put("one"), Delete("Task", "one")])


async def test_texts(store: PostgresStore) -> None:
    await _write(
        store,
        _put("one", _token("a", "s"), _token("b")),
        _put("two", _token("a", "t")),
        _put("three", TextValue("code", "abc", "ABC")),
        _put("four"),
    )
    assert await _ids(store, _coded(TextMatch("a"))) == ["one", "two"]
    assert await _ids(store, _coded(TextMatch("a", "t"), TextMatch("b"))) == ["one", "two"]
    assert await _ids(store, _coded(TextMatch("b", ""))) == ["one"]
    assert await _ids(store, _coded(TextMatch(None, "s"))) == ["one"]
    assert await _ids(store, _coded(TextMatch("a"), negated=True)) == ["three", "four"]
    assert await _ids(store, _coded(TextMatch("a", how="prefix"))) == ["one", "two", "three"]
    assert await _ids(store, _coded(TextMatch("bc", how="contains"))) == ["three"]
    assert await _ids(store, _coded(TextMatch("ab", "ABC", "prefix"))) == ["three"]
    assert await _ids(store, _coded(TextMatch("a")), _coded(TextMatch("b"))) == ["one"]
    assert await _ids(store, HasAny("code")) == ["one", "two", "three"]
    assert await _ids(store, HasAny("code", negated=True)) == ["four"]
    assert await _ids(store, HasId(("two", "four"))) == ["two", "four"]
    assert await _ids(store, HasId(("two", "four"), negated=True)) == ["one", "three"]
    either = AnyOf(((_coded(TextMatch("b")),), (HasId(("four",)), HasAny("code", negated=True))))
    assert await _ids(store, either) == ["one", "four"]
    assert await _ids(store, AnyOf(())) == []
    assert await _ids(store, HasText("code", ())) == []


@pytest.mark.parametrize(
    ("op", "found"),
    [
        ("eq", ["inside"]), ("ne", ["before", "into", "around", "after", "open"]),
        ("lt", ["before", "into", "around"]), ("gt", ["around", "after", "open"]),
        ("le", ["before", "into", "inside", "around"]),
        ("ge", ["inside", "around", "after", "open"]),
        ("sa", ["after", "open"]), ("eb", ["before"]), ("ap", ["into", "inside", "around"]),
    ],
)  # fmt: skip
async def test_ranges(store: PostgresStore, op: str, found: list[str]) -> None:
    """The interval asked for is [10, 20]."""
    ranges = {"before": (1, 5), "into": (5, 15), "inside": (12, 15), "around": (5, 25),
              "after": (22, 25), "open": (30, None)}  # fmt: skip
    puts = [
        _put(
            name,
            RangeValue("date", Decimal(low), None if high is None else Decimal(high)),
            RangeValue("date", Decimal(12), Decimal(13), "other unit"),
        )
        for name, (low, high) in ranges.items()
    ]
    await _write(store, *puts)
    match = RangeMatch(op, Decimal(10), Decimal(20))  # type: ignore[arg-type]
    assert await _ids(store, HasRange("date", (match,))) == found
    assert await _ids(store, HasRange("date", (match, replace(match, unit="none")))) == found


async def test_chains(store: PostgresStore) -> None:
    await _write(
        store,
        _put("org", _token("north", param="name"), kind="Organization", patients=()),
        _put("one", TextValue("owner", "Organization/org")),
        _put("two", TextValue("owner", "Organization/other")),
        _put("sub", TextValue("part-of", "Task/one"), _token("x")),
    )
    named = HasText("name", (TextMatch("north"),))
    assert await _ids(store, RefersTo("owner", "Organization", None, (named,))) == ["one"]
    assert await _ids(store, RefersTo("owner", "Organization", (A,), (named,))) == []
    parts = IsReferredTo("Task", "part-of", None, (_coded(TextMatch("x")),))
    assert await _ids(store, parts) == ["one"]
    assert await _ids(store, replace(parts, patients=(B,))) == []
    (row,) = await store.resources_by_id("Task", ["one"], patients=None)
    assert await store.references_of([row.key], ["Task.owner", "Task.part-of"]) == (
        "Organization/org",
    )


async def test_nobody_sees_what_is_partly_anothers(store: PostgresStore) -> None:
    await _write(
        store,
        _put("of-a"), _put("of-b", patients=(B,)), _put("of-both", patients=(A, B)),
        _put("of-nobody", patients=()),
    )  # fmt: skip
    query = ResourceQuery("Task", (A,))
    assert [row.id for row in (await store.resources(query)).rows] == ["of-a"]
    assert await store.resource_count(query) == 1
    assert await store.resource_count(replace(query, patients=())) == 0
    both = replace(query, patients=(A, B))
    assert [row.id for row in (await store.resources(both)).rows] == ["of-a", "of-b", "of-both"]
    ids = ["of-a", "of-b", "of-both", "of-nobody"]
    assert [row.id for row in await store.resources_by_id("Task", ids, patients=(A,))] == ["of-a"]
    history = await store.resource_history(HistoryQuery(("Task",), (A,)))
    assert [row.id for row in history.rows] == ["of-a"]
    assert await store.resource_history_count(HistoryQuery(("Task",), (A,))) == 1
    (other,) = await store.resources_by_id("Task", ["of-b"], patients=None)
    assert await store.resource_version("Task", "of-b", other.commit_seq, patients=(A,)) is None


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", ["", "_lastUpdated", "date"])
async def test_pages_have_each_resource_once(
    store: PostgresStore, sort: str, descending: bool
) -> None:
    puts = [
        _put(f"t{each}", RangeValue("date", Decimal(each % 4), Decimal(each % 4 + 1)))
        if each % 3
        else _put(f"t{each}")
        for each in range(11)
    ]
    for at in range(0, len(puts), 3):
        await _write(store, *puts[at : at + 3])
    query = replace(ALL, sort=sort, descending=descending, count=2)
    rows = await _pages(store, query)
    assert sorted(row.id for row in rows) == sorted(put.id for put in puts)
    if sort == "_lastUpdated":
        commits = [row.commit_seq for row in rows]
        assert commits == sorted(commits, reverse=descending)
    if sort == "date":
        lows = [row.sort_low for row in rows]
        dated = [low for low in lows if low is not None]
        assert lows[: len(dated)] == dated == sorted(dated, reverse=descending)
    other = replace(query, conditions=(HasAny("code"),))
    page = await store.resources(query)
    with pytest.raises(ValueError, match="cursor"):
        await store.resources(replace(other, after=page.next))


async def test_a_pull_in_commit_order_has_all_while_others_write(place: Place) -> None:
    writing, reading = await place.open(pool_size=4), await place.open(pool_size=2)

    async def write(writer: int) -> None:
        for each in range(12):
            await _write(writing, _put(f"w{writer}-{each}"), _put(f"x{writer}-{each}"))

    tasks = [asyncio.create_task(write(each)) for each in range(3)]
    seen: list[str] = []
    query = replace(ALL, sort="_lastUpdated", count=3)
    position = query
    while True:
        is_over = all(task.done() for task in tasks)
        page = await reading.resources(position)
        seen += [row.id for row in page.rows]
        if page.next is not None:
            position = replace(position, after=page.next)
            continue
        if is_over:
            break
        # Behind the last row is no cursor: a puller begins again at its commit.
        if page.rows:
            position = await _behind(reading, query, page.rows[-1])
            seen = [each for each in seen if each not in {row.id for row in page.rows[-1:]}]
    await asyncio.gather(*tasks)
    wanted = sorted(f"{name}{writer}-{each}" for name in "wx" for writer in range(3)
                    for each in range(12))  # fmt: skip
    assert sorted(set(seen)) == wanted


async def _behind(store: PostgresStore, query: ResourceQuery, row: ResourceRow) -> ResourceQuery:
    return replace(query, stored=(TimeBound("ge", row.stored_at),))


async def test_searches_by_when_it_was_stored(store: PostgresStore) -> None:
    made = [(await _write(store, _put(f"t{each}")))[0] for each in range(3)]
    middle = made[1].stored_at
    assert middle is not None
    for op, found in (("ge", ["t1", "t2"]), ("gt", ["t2"]), ("le", ["t0", "t1"]), ("lt", ["t0"])):
        query = replace(ALL, stored=(TimeBound(op, middle),))  # type: ignore[arg-type]
        assert [row.id for row in (await store.resources(query)).rows] == found
        assert await store.resource_count(query) == len(found)
    later = replace(ALL, stored=(TimeBound("gt", middle + timedelta(days=1)),))
    assert (await store.resources(later)).rows == ()
    assert await store.resource_count(later) == 0
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for op, moment, count in (
        ("lt", first, 0), ("le", first, 0), ("ge", first, 3), ("gt", last, 0), ("lt", last, 3),
    ):  # fmt: skip
        query = replace(ALL, stored=(TimeBound(op, moment),))  # type: ignore[arg-type]
        assert await store.resource_count(query) == count, (op, moment)


async def test_history_of_kinds_has_pages(store: PostgresStore) -> None:
    for each in range(5):
        await _write(store, _put("one", body=b"[%d]" % each), _put("o", kind="Organization",
                     body=b"[%d]" % each, patients=()))  # fmt: skip
    query = HistoryQuery(("Task", "Organization"), None, count=3)
    rows: list[ResourceRow] = []
    position = query
    while True:
        page = await store.resource_history(position)
        rows += page.rows
        if page.next is None:
            break
        position = replace(position, after=page.next)
    assert len(rows) == await store.resource_history_count(query) == 10
    assert [row.commit_seq for row in rows] == sorted(
        (row.commit_seq for row in rows), reverse=True
    )
    since = replace(query, kinds=("Task",), since=rows[3].stored_at)
    assert [row.body for row in (await store.resource_history(since)).rows] == [b"[4]", b"[3]"]
    with pytest.raises(ValueError, match="cursor"):
        await store.resource_history(replace(since, after=position.after))


async def test_the_register_keeps_a_resource_of_each_patient(store: PostgresStore) -> None:
    made = await store.put_patient(
        patient("Ångström", "Eva", identifiers=(("urn:mrn", "7"), ("", "8")))
    )
    (row,) = await store.resources_by_id("Patient", [str(made.patient_id)], patients=None)
    assert (row.commit_seq, row.patients) == (made.commit_seq, (made.patient_id,))
    assert row.body is not None and "Ångström" in row.body.decode()
    for condition in (
        HasText("family", (TextMatch("angs", how="prefix"),)),
        HasText("name", (TextMatch("eva", how="prefix"),)),
        HasText("identifier", (TextMatch("7", "urn:mrn"),)),
        HasText("identifier", (TextMatch("8", ""),)),
        HasText("gender", (TextMatch("unknown"),)),
        HasText("active", (TextMatch("true"),)),
    ):
        assert await _ids(store, condition, kind="Patient") == [str(made.patient_id)]
    await store.put_patient(replace(made, family="Berg", identifiers=()))
    assert await _ids(store, HasText("family", (TextMatch("ang", how="prefix"),)),
                      kind="Patient") == []  # fmt: skip
    history = await store.resource_history(HistoryQuery(("Patient",), None, row.id))
    assert len(history.rows) == 2


async def test_a_patient_that_is_written_is_in_the_register(store: PostgresStore) -> None:
    new = patient("Testperson", "Two", patient_id=uuid4(), identifiers=(("urn:mrn", "9"),))
    name = str(new.patient_id)
    body = b'{"meta":{"tag":[{"code":"t"}]},"telecom":[{"value":"1"}],"name":[{"family":"x"}]}'
    put = _put(name, kind="Patient", body=body, patients=(new.patient_id,), patient=new)
    (written,) = await _write(store, put)
    rows, _ = await store.patients(identifier=("urn:mrn", "9"))
    assert [(row.patient_id, row.commit_seq) for row in rows] == [
        (new.patient_id, written.commit_seq)
    ]
    (row,) = await store.resources_by_id("Patient", [name], patients=None)
    assert row.body == body
    await store.put_patient(replace(new, given="Three"))
    (row,) = await store.resources_by_id("Patient", [name], patients=None)
    assert row.body is not None and row.body.startswith(b'{"meta":{"tag"')
    assert b"Three" in row.body and b"telecom" in row.body
