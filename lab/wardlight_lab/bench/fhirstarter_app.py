"""A page of stored Observations by the framework that one would take: fhirstarter, fhir.resources.

Run as a file in the environment of requirements/fhirstarter.txt, without anything of ours:
``FHIR_SEQUENCE=R4B python fhirstarter_app.py --dsn DSN --port P``. The table is that of
bare_asgi.py; each resource becomes a model of fhir.resources, the Bundle too, and the framework
writes them out.
"""

import argparse
import json
import sys
from datetime import datetime
from uuid import UUID

import asyncpg
import uvicorn
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.observation import Observation
from fhirstarter import FHIRProvider, FHIRStarter, InteractionContext

_PAGE = """
SELECT body FROM stored_observation
WHERE patient = $1 AND time >= $2 AND time < $3 ORDER BY time DESC, id DESC LIMIT $4
"""
_POOL = 8
_COUNT = 100
_pools: list[asyncpg.Pool] = []
_provider = FHIRProvider()


@_provider.search_type(Observation)
async def _search(context: InteractionContext, patient: str, date: list[str]) -> Bundle:
    del context
    bounds = {text[:2]: datetime.fromisoformat(text[2:]) for text in date}
    async with _pools[0].acquire() as connection:
        rows = await connection.fetch(_PAGE, UUID(patient), bounds["ge"], bounds["lt"], _COUNT)
    entries = [{"resource": Observation.model_validate(json.loads(row[0]))} for row in rows]
    return Bundle(type="searchset", total=len(entries), entry=entries)


def main() -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="fhirstarter_app.py")
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    app = FHIRStarter(title="baseline")
    app.add_providers(_provider)

    @app.on_event("startup")
    async def connect() -> None:
        pool = await asyncpg.create_pool(options.dsn, min_size=_POOL, max_size=_POOL)
        _pools.append(pool)

    uvicorn.run(app, host="127.0.0.1", port=options.port, log_config=None, access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
