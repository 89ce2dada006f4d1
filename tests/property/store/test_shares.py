"""However collectors come and go, shards have at most one holder and end up shared evenly."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.store.postgres.leases import share
from wardlight_cloud.store.postgres.trends import bucket_width

NAMES = ("a", "b", "c", "d", "e")
steps = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["renew", "renew", "renew", "die"])),
    max_size=40,
)


@given(steps, st.integers(1, 20))
def test_shards_are_never_shared_and_settle_evenly(
    chosen: list[tuple[str, str]], shards: int
) -> None:
    leases: dict[int, str] = {}
    living: set[str] = set()

    def renew(name: str) -> None:
        living.add(name)
        held = share(name, sorted(living), leases, shards)
        assert all(leases.get(shard, name) == name for shard in held)
        for shard in [shard for shard, holder in leases.items() if holder == name]:
            del leases[shard]
        leases.update(dict.fromkeys(held, name))

    for name, step in chosen:
        if step == "renew":
            renew(name)
        else:
            living.discard(name)
            leases = {shard: holder for shard, holder in leases.items() if holder != name}
    if not living:
        return
    for name in sorted(living) * 2:  # one round gives up, one round takes
        renew(name)
    assert set(leases) == set(range(shards))
    counts = [list(leases.values()).count(name) for name in living]
    assert max(counts) - min(counts) <= 1
    settled = dict(leases)
    for name in sorted(living):
        renew(name)
    assert leases == settled


@given(st.timedeltas(min_value=timedelta(seconds=1)), st.integers(1, 5000))
def test_buckets_are_as_few_as_asked_for(span: timedelta, points: int) -> None:
    """One more may be touched than fit, since a span begins anywhere in a bucket."""
    assert span / bucket_width(span, points) <= max(1, points - 1)
