"""The embedded PostgreSQL as a child of a supervisor."""

import asyncio
import signal

from wardlight_cloud.store.embedded import EmbeddedPostgres
from wardlight_lab.supervise.child import Child


def postgres_child(server: EmbeddedPostgres, name: str = "postgres") -> Child:
    """The child that runs `server`.

    The caller calls `server.prepare()` before and `server.release()` after the supervisor's life;
    the DSNs stay the same over restarts.
    """

    async def before_start() -> None:
        await asyncio.to_thread(server.before_start)

    async def ready() -> bool:
        return await asyncio.to_thread(server.is_serving)

    return Child(
        name=name,
        command=server.command,
        before_start=before_start,
        ready=ready,
        ready_within_s=300.0,  # recovery after a crash may read gigabytes of log
        stop_signal=signal.SIGINT,  # end sessions; SIGTERM would wait for them
        stop_within_s=30.0,
    )
