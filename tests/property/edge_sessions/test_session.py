"""No sequence of arrivals ends a session, and what it counts as taken is in the outbox."""

import asyncio
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.session_bench import (
    STRAP,
    SessionBench,
)
from wardlight_edge.transports.base import (
    Arrival,
    LinkChange,
    LinkState,
    Octets,
    ReadsDone,
)

arrivals = st.one_of(
    st.sampled_from(LinkState).map(lambda state: LinkChange(state, 0)),
    st.builds(
        Octets,
        channel=st.sampled_from(["0x2A37", "0x2A19", "0x2A25", "0x2A2B", "0x2A35", "readings", ""]),
        octets=st.binary(max_size=24),
        mono_ms=st.just(0),
        wall_ms=st.just(0),
        is_read=st.booleans(),
    ),
    st.just(ReadsDone(0)),
)


@given(st.lists(st.tuples(arrivals, st.integers(0, 30_000)), max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_no_sequence_of_arrivals_ends_a_session(
    tmp_path: Path, sequence: list[tuple[Arrival, int]]
) -> None:
    async def play() -> None:
        bench = SessionBench(tmp_path, STRAP)
        async with bench.running():
            for arrival, pause_ms in sequence:
                bench.clock.advance(pause_ms)
                match arrival:
                    case LinkChange():
                        bench.link(arrival.state)
                    case Octets():
                        bench.octets(arrival.octets, arrival.channel, is_read=arrival.is_read)
                    case _:
                        bench.put(ReadsDone(bench.clock.mono_ms()))
        assert bench.session.inbox.is_done
        readings = bench.entry.status().counts.readings
        stored = sum(
            group.count * len(group.columns)
            for block in bench.outbox.blocks()
            for group in block.groups
        )
        assert stored + sum(len(event.series) for event in bench.outbox.events()) == readings

    asyncio.run(play())
