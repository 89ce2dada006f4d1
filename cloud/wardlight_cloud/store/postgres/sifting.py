"""What else than columns decides which Observations a search finds, looked at one by one."""

from collections.abc import Callable, Sequence

from wardlight_cloud.store.observation_sieve import Parts
from wardlight_cloud.store.postgres.gathering import Found
from wardlight_cloud.store.postgres.sealed import ObservationIds
from wardlight_cloud.store.queries import ObservationQuery

Keep = Callable[[Found], bool]
"""Whether an Observation, with all its components, is asked for."""


def keep_of(
    query: ObservationQuery, commits: Sequence[tuple[int, int]], ids: ObservationIds
) -> Keep | None:
    """``commits``: those of ``query.stored_any``. None = all that is found is asked for."""
    if not query.is_sifted:
        return None
    tests: list[Keep] = []
    if query.stored_any:
        tests.append(lambda each: any(lo <= each.commit_seq <= hi for lo, hi in commits))
    if query.without_ids:
        keys = {ids.key(text) for text in query.without_ids}
        tests.append(lambda each: each.key not in keys)
    if query.sieve is not None:
        takes = query.sieve.takes
        tests.append(lambda each: takes(_metric(each), each.time_us, _parts(each)))
    return lambda each: all(test(each) for test in tests)


def _metric(found: Found) -> int:
    return found.stretch.span.origin.metric


def _parts(found: Found) -> Parts:
    return found.parts or [(found.shared.kinds[0], found.mantissas[0])]
