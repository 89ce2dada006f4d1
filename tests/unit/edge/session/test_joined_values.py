"""A value in several notifications is one event, named by the whole of it."""

from pathlib import Path

from support.session_bench import SessionBench
from support.tree import ROOT
from support.vectors import cases, octets
from wardlight_edge.profiles import load_file

LIVE = "0x2B8B"
PROFILE = load_file(ROOT / "firmware-configs" / "generic-health-sensor.toml")
BODY = octets(cases("generic_health_sensor")[0])[1:]


async def test_an_observation_that_is_sent_again_in_other_pieces_is_known(tmp_path: Path) -> None:
    """Two values that end alike stay two, though their last notifications are the same."""
    bench = SessionBench(tmp_path, PROFILE)
    other = BODY.replace(bytes.fromhex("729D2B29"), bytes.fromhex("739D2B29"))
    assert other != BODY
    async with bench.running():
        bench.connect()
        for body, cut, counter in ((BODY, 19, 0), (BODY, 12, 62), (other, 19, 7)):
            bench.octets(bytes([counter << 2 | 0b01]) + body[:cut], LIVE)
            bench.octets(bytes([(counter + 1) % 64 << 2 | 0b10]) + body[cut:], LIVE)
    assert len(bench.outbox.events()) == 2
    assert bench.entry.counts["decode_errors"] == 0
