"""Entries of the audit trail are kept for the days that the settings say."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from wardlight_cloud.maintenance import Job
from wardlight_cloud.store.audit import AuditStore

_log = logging.getLogger(__name__)
_PAUSE_S: Final = 6 * 3600.0


def audit_job(keep_days: int, store: AuditStore) -> Job:
    """The job of a collector."""

    async def forget() -> bool:
        older_than = datetime.now(UTC) - timedelta(days=keep_days)
        forgotten = await store.forget_audit(older_than=older_than)
        if forgotten:
            _log.info("audit entries removed", extra={"count": forgotten})
        return False

    return Job("audit", _PAUSE_S, forget)
