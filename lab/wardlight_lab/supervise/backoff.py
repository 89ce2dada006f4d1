"""How long a child that died stays dead."""

import signal

FAST_DEATH_S = 1.0
_PAUSES_S = (0.0, 0.2, 0.5, 1.0, 1.5)  # all within the 2 s that a demo promises
_LOOPING_PAUSES_S = (5.0, 10.0, 30.0)


def is_fast_death(ready_for_s: float | None, exit_code: int | None) -> bool:
    """Whether a death says that the child cannot live: before it was ready, or right after.

    A kill -9 after it was ready says nothing of the kind; somebody wanted it dead.
    """
    if ready_for_s is None:
        return True
    return ready_for_s < FAST_DEATH_S and exit_code != -signal.SIGKILL


def is_looping(fast_deaths: int) -> bool:
    """Whether so many fast deaths in a row are a crash loop rather than an accident."""
    return fast_deaths >= len(_PAUSES_S)


def restart_pause_s(fast_deaths: int) -> float:
    """The pause before the next start, after `fast_deaths` in a row (0: the child had lived)."""
    pauses = _PAUSES_S + _LOOPING_PAUSES_S
    return pauses[min(fast_deaths, len(pauses) - 1)]
