"""The store on PostgreSQL, put together from its parts."""

from wardlight_cloud.store.postgres.audit import AuditPart
from wardlight_cloud.store.postgres.authorization import AuthorizationPart
from wardlight_cloud.store.postgres.blobs_aside import BlobsAsidePart
from wardlight_cloud.store.postgres.changed import ChangedPart
from wardlight_cloud.store.postgres.changes import ChangesPart
from wardlight_cloud.store.postgres.commits import CommitsPart
from wardlight_cloud.store.postgres.device_facts import DeviceFactsPart
from wardlight_cloud.store.postgres.exports import ExportsPart
from wardlight_cloud.store.postgres.forwarding import ForwardingPart
from wardlight_cloud.store.postgres.hl7_out import Hl7OutPart
from wardlight_cloud.store.postgres.image_places import ImagePlacesPart
from wardlight_cloud.store.postgres.image_reads import ImageReadsPart
from wardlight_cloud.store.postgres.imaging import ImagesPart
from wardlight_cloud.store.postgres.imaging_keeping import ImageKeepingPart
from wardlight_cloud.store.postgres.imaging_queue import ImageQueuePart
from wardlight_cloud.store.postgres.imaging_restoring import ImageRestoringPart
from wardlight_cloud.store.postgres.ingest import IngestPart
from wardlight_cloud.store.postgres.last_observations import LastObservationsPart
from wardlight_cloud.store.postgres.leases import LeasesPart
from wardlight_cloud.store.postgres.logins import LoginsPart
from wardlight_cloud.store.postgres.maintenance import MaintenancePart
from wardlight_cloud.store.postgres.order_reads import OrderReadsPart
from wardlight_cloud.store.postgres.orders import OrdersPart
from wardlight_cloud.store.postgres.part import Database
from wardlight_cloud.store.postgres.quarantine import QuarantinePart
from wardlight_cloud.store.postgres.reads import ReadsPart
from wardlight_cloud.store.postgres.register import RegisterPart
from wardlight_cloud.store.postgres.resources import ResourcesPart
from wardlight_cloud.store.postgres.steps import StepsPart
from wardlight_cloud.store.postgres.streams import StreamsPart
from wardlight_cloud.store.postgres.subscriptions import SubscriptionsPart
from wardlight_cloud.store.postgres.told_times import ToldTimesPart
from wardlight_cloud.store.postgres.trends import TrendsPart
from wardlight_cloud.store.postgres.unassigned import UnassignedPart
from wardlight_cloud.store.postgres.versions import VersionsPart


class PostgresStore(
    AuditPart,
    CommitsPart,
    VersionsPart,
    DeviceFactsPart,
    StreamsPart,
    AuthorizationPart,
    BlobsAsidePart,
    ImagesPart,
    ImageQueuePart,
    ImageKeepingPart,
    ImageRestoringPart,
    IngestPart,
    LeasesPart,
    MaintenancePart,
    ExportsPart,
    LastObservationsPart,
    ReadsPart,
    TrendsPart,
    ChangesPart,
    ChangedPart,
    SubscriptionsPart,
    Hl7OutPart,
    RegisterPart,
    ResourcesPart,
    QuarantinePart,
    UnassignedPart,
    LoginsPart,
    ForwardingPart,
    ImagePlacesPart,
    ImageReadsPart,
    OrdersPart,
    OrderReadsPart,
    StepsPart,
    ToldTimesPart,
):
    """Implements Store; ``opening.open_postgres`` makes it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)

    async def close(self) -> None:
        """See Store."""
        await self._connections.close()
