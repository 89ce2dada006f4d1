"""One served ward for clients of FHIR: a real process, a real key, 240 readings of Anna."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx

from support.api_process import Api, serving
from support.plain_http import PLAIN
from support.readings import One
from support.served_ward import ANNA, CUFF, MINUTE, SCALE, START, open_ward
from support.smart_clients import TOKEN_PATH, KeyPair, asking, assertion, jwks
from wardlight_cloud.store.authorization import ClientRow

CLIENT = "service"
READINGS = 120


@dataclass
class Served:
    """A server that knows Anna and one backend service."""

    api: Api
    patient: UUID = ANNA
    pair: KeyPair = field(default_factory=KeyPair)

    @property
    def base(self) -> str:
        """The base of FHIR."""
        return f"{self.api.url}/fhir"

    async def token(self) -> str:
        """An access token for what it signs."""
        async with httpx.AsyncClient(timeout=180, verify=PLAIN) as client:
            form = asking(self.assertion(), scope="system/*.cruds")
            answer = await client.post(self.api.url + TOKEN_PATH, data=form)
        token: str = answer.json()["access_token"]
        return token

    def assertion(self) -> str:
        """What the service signs to get a token; it serves once."""
        return assertion(self.pair, CLIENT, self.api.url + TOKEN_PATH)


@asynccontextmanager
async def served_clients(dsn: str, folder: Path) -> AsyncIterator[Served]:
    """A server on a database made from WARD."""
    pair = KeyPair()
    ward = await open_ward(dsn, folder)
    await ward.store_each(
        [
            One(metric, START + place * MINUTE, 700 + place, -1, device=device)
            for place in range(READINGS)
            for metric, device in (("pulse_rate_nibp", CUFF), ("body_weight", SCALE))
        ]
    )
    row = ClientRow(CLIENT, ("system/*.cruds",), jwks=jwks(pair))
    await ward.store.put_registration(row)
    await ward.store.close()
    async with serving(folder, dsn) as api:
        yield Served(api, pair=pair)
