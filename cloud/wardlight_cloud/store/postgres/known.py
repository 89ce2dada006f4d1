"""What never changes once it can be seen, remembered by the process: commit times, names.

A database that is put back from a backup may number its commits anew; processes are started again
then, and forget.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("observations")
_MOST: Final = 1 << 16  # some 10 MB; then it begins anew


class KnownFacts:
    """Asks the database only for what it has not seen yet."""

    def __init__(self) -> None:
        self._stored_at: dict[int, datetime] = {}
        self._gateways: dict[int, str] = {}
        self._devices: dict[UUID, str] = {}

    async def stored_at(
        self, connection: Connection, commits: Iterable[int]
    ) -> Mapping[int, datetime]:
        """When commits were made; all of them exist."""
        known = self._stored_at
        missing = {seq for seq in commits if seq not in known}
        if missing:
            if len(known) + len(missing) > _MOST:
                # The page's own are asked for again, too; a mapping in use stays whole.
                known = self._stored_at = {}
                missing = set(commits)
            rows = await connection.fetch(_SQL["stored_at"], sorted(missing))
            known.update((row["commit_seq"], row["stored_at"]) for row in rows)
        return known

    async def gateways(self, connection: Connection, ids: Iterable[int]) -> Mapping[int, str]:
        """Names of gateways; few, and never renamed."""
        missing = {gateway_id for gateway_id in ids if gateway_id not in self._gateways}
        if missing:
            rows = await connection.fetch(_SQL["gateways"], sorted(missing))
            self._gateways.update((row["gateway_id"], row["gateway"]) for row in rows)
        return self._gateways

    async def devices(self, connection: Connection, ids: Iterable[UUID]) -> Mapping[UUID, str]:
        """Identities of devices, which stay what they are."""
        missing = {device_id for device_id in ids if device_id not in self._devices}
        if missing:
            if len(self._devices) + len(missing) > _MOST:
                self._devices, missing = {}, set(ids)
            rows = await connection.fetch(_SQL["device_identities"], sorted(missing))
            self._devices.update((UUID(int=row["device_id"].int), row["identity"]) for row in rows)
        return self._devices
