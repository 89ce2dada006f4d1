"""The spans that come with a page are in the order of the places that its rows name."""

import asyncpg

from support.postgres import FreshDatabase
from wardlight_cloud.store.postgres.spans import ASSIGNED
from wardlight_cloud.store.postgres.statements import parse, sql_folder

BACKWARD = """
-- name: told
WITH stretch AS (
    SELECT
        place, place * 11 AS series_id, NULL AS patient_id, NULL AS device_id, NULL AS lo,
        NULL AS hi, NULL AS assigned_seq, NULL AS anchor, place * 7 AS metric,
        NULL AS observation_metric, NULL AS unit, NULL AS user_index, NULL AS site, NULL AS raw_unit
    FROM generate_series(9, 1, -1) AS g (place)
)
SELECT spans.* FROM (SELECT) AS page {spans_told}
"""


async def test_however_the_server_gathers_them(fresh_database: FreshDatabase) -> None:
    told = sql_folder().joinpath("queries", "observations.sql").read_text(encoding="utf-8")
    connection = await asyncpg.connect(await fresh_database())
    try:
        row = await connection.fetchrow(parse(told + BACKWARD)["told"])
    finally:
        await connection.close(timeout=180)
    assert row is not None
    assert tuple(row.keys()) == ASSIGNED
    assert row["series_id"] == [place * 11 for place in range(1, 10)]
    assert row["metric"] == [place * 7 for place in range(1, 10)]
