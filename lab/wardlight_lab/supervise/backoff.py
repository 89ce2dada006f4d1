"""How long a child that died stays dead."""

FAST_DEATH_S = 1.0
"""A death this soon after being ready, or before it, says that the child cannot live."""

_PAUSES_S = (0.0, 0.2, 0.5, 1.0, 1.5)  # all within the 2 s that a demo promises
_LOOPING_PAUSES_S = (5.0, 10.0, 30.0)


def is_looping(fast_deaths: int) -> bool:
    """Whether so many fast deaths in a row are a crash loop rather than an accident."""
    return fast_deaths >= len(_PAUSES_S)


def restart_pause_s(fast_deaths: int) -> float:
    """The pause before the next start, after `fast_deaths` in a row (0: the child had lived)."""
    pauses = _PAUSES_S + _LOOPING_PAUSES_S
    return pauses[min(fast_deaths, len(pauses) - 1)]
