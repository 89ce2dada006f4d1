"""The store on PostgreSQL, put together from its parts."""

from wardlight_cloud.store.postgres.changes import ChangesPart
from wardlight_cloud.store.postgres.ingest import IngestPart
from wardlight_cloud.store.postgres.leases import LeasesPart
from wardlight_cloud.store.postgres.logins import LoginsPart
from wardlight_cloud.store.postgres.maintenance import MaintenancePart
from wardlight_cloud.store.postgres.observations import ObservationsPart
from wardlight_cloud.store.postgres.part import Database
from wardlight_cloud.store.postgres.quarantine import QuarantinePart
from wardlight_cloud.store.postgres.reads import ReadsPart
from wardlight_cloud.store.postgres.register import RegisterPart
from wardlight_cloud.store.postgres.trends import TrendsPart
from wardlight_cloud.store.postgres.unassigned import UnassignedPart


class PostgresStore(
    IngestPart,
    LeasesPart,
    MaintenancePart,
    ObservationsPart,
    ReadsPart,
    TrendsPart,
    ChangesPart,
    RegisterPart,
    QuarantinePart,
    UnassignedPart,
    LoginsPart,
):
    """Implements Store; ``opening.open_postgres`` makes it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)

    async def close(self) -> None:
        """See Store."""
        await self._connections.close()
