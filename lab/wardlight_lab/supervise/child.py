"""What a supervisor is told about a child, and what it tells about it."""

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


async def _is_ready_at_once() -> bool:
    return True


async def _nothing() -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Child:
    """One process: how to start it, how to see that it serves, how to stop it.

    `command` may be a function, asked anew at each start. `env` is added to our environment.
    `before_start` runs before each start; when it fails, that counts as a failed start.
    `ready` is asked until it answers True; an OSError or a slow answer means "not yet".
    `hung_after_s`: a child that was ready and then does not answer `ready` for so long is killed
    (and so started again); None never does that.
    """

    name: str
    command: Sequence[str] | Callable[[], Sequence[str]]
    env: Mapping[str, str] = field(default_factory=dict)
    before_start: Callable[[], Awaitable[None]] = _nothing
    ready: Callable[[], Awaitable[bool]] = _is_ready_at_once
    ready_within_s: float = 60.0
    hung_after_s: float | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 10.0

    def argv(self) -> list[str]:
        """The command for the next start."""
        return list(self.command() if callable(self.command) else self.command)


class State(Enum):
    """Where a child is in its life."""

    STARTING = "starting"
    READY = "ready"
    DEAD = "dead"
    """It died and will be started again, within 2 s."""
    CRASH_LOOPING = "crash looping"
    """It keeps dying at once; the pauses between starts have grown."""
    STOPPED = "stopped"


@dataclass(frozen=True)
class ChildStatus:
    """A child at one moment. `pid` is None while no process runs."""

    state: State
    pid: int | None = None
    restarts: int = 0
    last_exit: int | None = None
    """The exit code of the last process that ended; negative: the signal that ended it."""
