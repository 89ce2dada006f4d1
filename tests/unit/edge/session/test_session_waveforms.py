"""Waveforms and values in several notifications, from the radio to the outbox."""

from pathlib import Path

from support import health_sensor_ecg
from support.session_bench import SessionBench
from support.tree import ROOT
from support.vectors import cases, octets
from wardlight_edge import profiles
from wardlight_edge.transports.base import LinkState
from wardlight_shared.codes import METRICS
from wardlight_shared.profile import Profile

ECG = "FB005C82-02E7-F387-1CAD-8ACD2D8DF0C8"
O2 = "0734594A-A8E7-4B1A-A6B1-CD5243059A57"
LIVE = "0x2B8B"


def _profile(name: str) -> Profile:
    return profiles.load_file(ROOT / "firmware-configs" / f"{name}.toml")


def _ecg(first: int, count: int) -> bytes:
    """A frame as Polar sends it: sample n is n microvolt."""
    end_ns = (first + count) * 1_000_000_000 // 130
    samples = b"".join(n.to_bytes(3, "little") for n in range(first, first + count))
    return b"\x00" + end_ns.to_bytes(8, "little") + b"\x00" + samples


async def test_an_ecg_is_kept_sample_by_sample_beside_the_heart_rate(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, _profile("polar-h10-ecg"))
    async with bench.running():
        bench.connect()
        for place in range(40):  # 22 s
            bench.octets(_ecg(place * 73, 73), ECG)
            bench.octets(b"\x00\x48", "0x2A37")
            bench.clock.advance(561)
        bench.link(LinkState.LOST)
    waves = bench.outbox.waveforms()
    lead = METRICS["ecg_lead_i"].wire
    assert {bench.outbox.key(wave.series).metric for wave in waves} == {lead}
    samples = [
        wave.origin + n for wave in waves for n in memoryview(wave.samples).cast("h")
    ]  # fmt: skip
    assert samples == list(range(22 * 130))
    assert {wave.rate_mhz for wave in waves} == {130_000}
    assert max(len(wave.samples) for wave in waves) == 2 * 130 * 5
    assert sum(group.count for block in bench.outbox.blocks() for group in block.groups) == 40


async def test_segments_become_one_event_and_a_new_link_forgets_the_old(tmp_path: Path) -> None:
    whole = octets(cases("generic_health_sensor")[1])  # 100/60 mm[Hg], mean 80
    first, second = b"\x01" + whole[1:20], b"\x06" + whole[20:]
    bench = SessionBench(tmp_path, _profile("generic-health-sensor"))
    async with bench.running():
        bench.connect()
        bench.octets(first, LIVE)
        bench.link(LinkState.LOST)
        bench.clock.advance(1000)
        bench.connect()
        bench.octets(second, LIVE)  # goes on with what the other link began
        bench.octets(first, LIVE)
        bench.octets(second, LIVE)
    (event,) = bench.outbox.events()
    assert event.mantissas == [100, 60, 80]
    assert bench.entry.counts["decode_errors"] == 1


async def test_a_ring_s_reply_in_two_notifications_is_one_reading(tmp_path: Path) -> None:
    reply = octets(cases("viatom_o2")[0])
    bench = SessionBench(tmp_path, _profile("viatom-o2ring"))
    async with bench.running():
        bench.connect()
        for _ in range(5):
            bench.octets(reply[:20], O2)
            bench.octets(reply[20:], O2)
            bench.clock.advance(2000)
        bench.link(LinkState.LOST)
    groups = [group for block in bench.outbox.blocks() for group in block.groups]
    assert [sum(group.count for group in groups), {len(group.columns) for group in groups}] == [
        5,
        {2},
    ]


async def test_the_ecg_of_a_health_sensor_is_kept_sample_by_sample(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, _profile("generic-health-sensor-waveform"))
    async with bench.running():
        bench.connect()
        for number in range(5 * 12):  # 12 s
            for segment in health_sensor_ecg.segments(health_sensor_ecg.piece(number)):
                bench.octets(segment, LIVE)
            bench.clock.advance(200)
        bench.link(LinkState.LOST)
    waves = bench.outbox.waveforms()
    assert [len(wave.samples) // 2 for wave in waves] == [650, 650, 260]
    assert {(wave.rate_mhz, wave.scale) for wave in waves} == {(130_000, -3)}
    microvolts = [
        wave.origin + n for wave in waves for n in memoryview(wave.samples).cast("h")
    ]  # fmt: skip
    assert len(microvolts) == 12 * 130
    assert health_sensor_ecg.is_played(microvolts)
    assert not bench.outbox.events()
    assert bench.entry.counts["decode_errors"] == 0


async def test_numbers_with_a_time_are_an_event_and_the_waveform_beside_them_goes_on(
    tmp_path: Path,
) -> None:
    second = bytes(2 * 100)
    rate = bytes.fromhex("01 1500 0300 0A500200 22 729D2B290000 06 00 E00A 10000000")
    array = bytes.fromhex("B210 010000FD 00000000 0A0000FD 01 02 64000000") + second
    wave = bytes.fromhex("01010200") + array
    wave = b"\x04" + (len(wave) + 2).to_bytes(2, "little") + b"\x01\x00" + wave
    bundle = b"\x00\x00\x02" + rate + wave
    value = b"\x03\xff" + len(bundle).to_bytes(2, "little") + bundle
    bench = SessionBench(tmp_path, _profile("generic-health-sensor-waveform"))
    async with bench.running():
        bench.connect()
        bench.octets(value, LIVE)
        bench.clock.advance(1000)
        bench.link(LinkState.LOST)
    (event,) = bench.outbox.events()
    assert event.mantissas == [16]
    (kept,) = bench.outbox.waveforms()
    assert kept.samples == second


async def test_without_the_option_a_waveform_is_left_out(tmp_path: Path) -> None:
    bench = SessionBench(tmp_path, _profile("generic-health-sensor"))
    async with bench.running():
        bench.connect()
        for number in range(10):
            bench.octets(b"\x03" + health_sensor_ecg.piece(number), LIVE)
        bench.link(LinkState.LOST)
    assert not bench.outbox.waveforms()
    assert bench.entry.counts["decode_errors"] == 0
