"""Topics parse or are refused; times survive the way back."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from wardlight_shared import timestamps, topics
from wardlight_shared.errors import EnvelopeError, ProfileError
from wardlight_shared.model import DeviceTime
from wardlight_shared.profile import parse
from wardlight_shared.records import Lane
from wardlight_shared.timestamps import Anchor, ClockQuality, DeviceClock
from wardlight_shared.topics import Down

GATEWAYS = st.from_regex(r"\A[a-z0-9][a-z0-9-]{2,31}\Z")


@given(gateway=GATEWAYS, lane=st.sampled_from(Lane), flow=st.sampled_from(Down))
def test_what_is_built_parses(gateway: str, lane: Lane, flow: Down) -> None:
    assert topics.is_gateway_id(gateway)
    shard = topics.shard_of(gateway)
    assert 0 <= shard < topics.SHARDS
    up, down = topics.parse(topics.up(gateway, lane)), topics.parse(topics.down(gateway, flow))
    assert (up.shard, up.gateway, up.lane) == (shard, gateway, lane)
    assert (down.shard, down.gateway, down.down) == (shard, gateway, flow)


@given(topic=st.text(max_size=60) | st.from_regex(r"\Awl/1/\d+/[a-z-]+/(up|down)?/?[a-z]*\Z"))
def test_any_topic_parses_or_is_refused(topic: str) -> None:
    try:
        parsed = topics.parse(topic)
    except EnvelopeError:
        return
    assert topic.startswith(topics.base(parsed.gateway))
    kinds = [parsed.lane is not None, parsed.down is not None, parsed.is_hello, parsed.is_state]
    assert sum(kinds) == 1


@given(moment=st.datetimes(timezones=st.just(UTC)))
def test_utc_ms_come_back(moment: datetime) -> None:
    back = timestamps.datetime_from_utc_ms(timestamps.utc_ms_from_datetime(moment))
    assert back == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@given(
    fields=st.tuples(
        st.integers(0, 65_535),
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, 255),
    )
)
def test_any_device_time_is_seconds_or_none(fields: tuple[int, int, int, int, int, int]) -> None:
    time = DeviceTime(*fields)
    seconds = timestamps.device_seconds(time)
    if seconds is not None:
        assert timestamps.device_isoformat(seconds) == time.isoformat()


@given(
    clock=st.builds(DeviceClock, device_s=st.integers(0, 1 << 40), mono_ms=st.integers(0, 1 << 40)),
    age_s=st.integers(0, 1 << 30),
    later_ms=st.integers(0, 1 << 30),
)
def test_age_is_what_passed_on_both_clocks(clock: DeviceClock, age_s: int, later_ms: int) -> None:
    age, error = timestamps.age_on_device_clock(
        clock.device_s - age_s, clock, clock.mono_ms + later_ms
    )
    assert age == age_s * 1000 + later_ms
    assert error >= 2000 + age * timestamps.DRIFT_PPM / 1_000_000


@given(
    anchors=st.lists(
        st.builds(
            Anchor,
            boot=st.integers(1, 2),
            mono_ms=st.integers(0, 10**9),
            utc_ms=st.integers(0, 10**13),
            error_ms=st.none() | st.integers(0, 10**6),
            quality=st.sampled_from(ClockQuality),
        ),
        max_size=6,
    ),
    mono_ms=st.integers(0, 10**9),
)
def test_no_anchor_of_the_boot_has_a_smaller_bound(anchors: list[Anchor], mono_ms: int) -> None:
    resolved = timestamps.resolve(1, mono_ms, anchors)
    alone = [timestamps.resolve(1, mono_ms, [anchor]) for anchor in anchors if anchor.boot == 1]
    if resolved is None:
        assert not alone
        return
    bounds = [each.error_ms for each in alone if each is not None and each.error_ms is not None]
    assert resolved.error_ms == (min(bounds) if bounds else None)


@given(text=st.text(max_size=200))
def test_any_text_is_a_profile_or_names_its_file(text: str) -> None:
    try:
        parse(text, source="cuff.toml")
    except ProfileError as error:
        assert str(error).startswith("cuff.toml: ")
