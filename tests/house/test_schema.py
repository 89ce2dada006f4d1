"""schema.sql is the sum of the migrations; both engines have the same tables; SQL has its files."""

import ast
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import asyncpg
import pytest

from support.postgres import FreshDatabase
from support.store import SCHEMA
from support.timescale_server import WebAssemblyServer, own_server_dsn, when_free
from wardlight_cloud.store.postgres.migrations import known_migrations
from wardlight_cloud.store.postgres.statements import parse

SQL = Path(str(files("wardlight_cloud.store").joinpath("sql")))
QUERIES = sorted(SQL.glob("queries/*.sql"))

RELATIONS = """
    SELECT relname, relkind::text, relpersistence::text, reloptions,
        pg_get_partkeydef(oid) AS partition_key, pg_get_expr(relpartbound, oid) AS bound
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
    ORDER BY relname
"""
COLUMNS = """
    SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod) AS type,
        a.attnotnull, a.attidentity::text, a.attstorage::text,
        pg_get_expr(d.adbin, d.adrelid) AS default
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relnamespace = 'public'::regnamespace
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum
"""
CONSTRAINTS = """
    SELECT conrelid::regclass::text AS relation, conname, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    ORDER BY 1, 2
"""
INDEXES = "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexdef"
VIEWS = "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY viewname"
FUNCTIONS = """
    SELECT oid::regprocedure::text AS name, pg_get_functiondef(oid) AS definition
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1
"""
ROWS = "SELECT (SELECT array_agg(p) FROM rollup_progress AS p)::text"
CATALOGUE = (RELATIONS, COLUMNS, CONSTRAINTS, INDEXES, VIEWS, FUNCTIONS, ROWS)

# What the two engines keep in their own way.
ENGINE_TABLES = ("partition_plan", "reading_before_2000", "rollup_1m", "rollup_1h")


async def _catalogue(dsn: str) -> list[list[tuple[object, ...]]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [[tuple(row) for row in await connection.fetch(query)] for query in CATALOGUE]
    finally:
        await connection.close()


async def test_schema_equals_the_sum_of_the_migrations(fresh_database: FreshDatabase) -> None:
    migrated = await fresh_database(SCHEMA)
    written = await fresh_database()
    connection = await asyncpg.connect(written)
    try:
        await connection.execute((SQL / "schema.sql").read_text(encoding="utf-8"))
    finally:
        await connection.close()
    for ours, theirs in zip(await _catalogue(written), await _catalogue(migrated), strict=True):
        assert ours == theirs


@pytest.mark.timescale
async def test_both_engines_have_the_same_tables(
    fresh_database: FreshDatabase, web_assembly_server: Callable[[], WebAssemblyServer]
) -> None:
    if own_server_dsn() is not None:
        pytest.skip("compared on the build that the tests bring")
    server = web_assembly_server()
    await server.prepare()
    native = await asyncpg.connect(await fresh_database(SCHEMA))
    timescale = await when_free(lambda: asyncpg.connect(server.dsn))
    try:
        ours, theirs = await native.fetch(COLUMNS), await timescale.fetch(COLUMNS)
    finally:
        await native.close()
        timescale.terminate()
    assert _tables(ours) == {
        name: columns for name, columns in _tables(theirs).items() if name in _tables(ours)
    }
    for rollup in ("rollup_1m", "rollup_1h"):
        assert _names(ours, rollup) == _names(theirs, rollup)


def _tables(rows: list[asyncpg.Record]) -> dict[str, list[tuple[object, ...]]]:
    found: dict[str, list[tuple[object, ...]]] = {}
    for row in rows:
        if not row["relname"].startswith(ENGINE_TABLES):  # their indexes, too
            found.setdefault(row["relname"], []).append(tuple(row))
    return found


def _names(rows: list[asyncpg.Record], relation: str) -> set[str]:
    return {row["attname"] for row in rows if row["relname"] == relation}


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = sorted({migration.number for migration in known_migrations()})
    assert numbers == list(range(1, len(numbers) + 1))


def test_variants_of_a_number_come_in_full() -> None:
    """Every engine gets exactly one file of each number."""
    for number in {migration.number for migration in known_migrations()}:
        variants = {each.variant for each in known_migrations() if each.number == number}
        assert variants in ({None}, {"native", "timescale"}, {"own", "continuous"})


@pytest.mark.parametrize("file", QUERIES, ids=lambda file: file.stem)
def test_every_statement_is_used(file: Path) -> None:
    code = "".join(
        path.read_text(encoding="utf-8") for path in SQL.parent.joinpath("postgres").glob("*.py")
    )
    both_ways = (
        "scan", "scan_bounded", "scan_marked", "scan_patients", "scan_devices", "days",
    )  # fmt: skip
    known = (
        set(re.findall(r'"([a-z_]+)"', code))
        | {f"{stem}_{way}" for stem in both_ways for way in ("forward", "backward")}
        | {f"{stem}{way}" for stem in ("commits", "commits_of_series") for way in ("", "_backward")}
    )
    unused = sorted(parse(file.read_text(encoding="utf-8")).keys() - known)
    assert not unused, f"{file.name}: no Python file names {unused}"


def test_no_statement_stands_in_python() -> None:
    """Docstrings may name SQL; no other text may hold a statement."""
    word = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CALL|LISTEN|SET)\b +\S")
    for path in SQL.parent.joinpath("postgres").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if id(node) not in bare and word.search(node.value)
        ]
        assert not found, path.name
