"""Profiles: what parses, and that each error names file and key."""

import pytest

from wardlight_shared.errors import ConfigError, ProfileError
from wardlight_shared.profile import MetricSection, TransportSerial, parse

HEAD = """
schema = 1
decoder = "blood_pressure"
[device]
manufacturer = "generic"
model = "cuff"
"""
METRIC = """
[[metric]]
name = "systolic_bp"
"""


def test_a_full_profile() -> None:
    parsed = parse(
        HEAD
        + """
mdc_type = 528391
[match.ble]
service = "0x1810"
name_prefix = "A&D_"
manufacturer_id = 0x69
[match.info]
manufacturer = "A&D"
model = "UA-651"
[transport.ble]
indicate = ["0x2A35", "233BF000-5A34-1B6D-975C-000D5690ABE4"]
read_once = ["0x2A24"]
set_clock = "0x2A08"
bond = false
stay_connected = true
idle_timeout_s = 30
[stream]
block_s = 10
[options]
data_format = 7
[[metric]]
name = "systolic_bp"
units = ["mm[Hg]"]
plausible = [40, 300]
alarm_low = 90
alarm_high = 180.5
""",
        source="cuff.toml",
    )
    assert parsed.match.ble is not None
    assert parsed.match.ble.manufacturer_id == 0x69
    assert parsed.transport.ble is not None
    assert parsed.transport.ble.indicate[1].startswith("233BF000")
    assert parsed.transport.ble.notify == ()
    assert parsed.stream is not None
    assert (parsed.stream.block_s, parsed.stream.period_ms) == (10, 1000)
    assert parsed.options == {"data_format": 7}
    assert parsed.metrics == (
        MetricSection("systolic_bp", ("mm[Hg]",), (40.0, 300.0), 90.0, 180.5),
    )


def test_serial_defaults() -> None:
    parsed = parse(HEAD + "[transport.serial]\nbaud = 9600\n" + METRIC, source="x.toml")
    assert parsed.transport.serial == TransportSerial(9600, 8, "N", 1, 5.0, "")


def test_one_alarm_limit_is_enough() -> None:
    for line in ("alarm_low = 1", "alarm_high = 1"):
        assert parse(HEAD + METRIC + line, source="x.toml").metrics


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("schema = 1 1", "line 1"),
        (HEAD, "metric"),
        (METRIC, "schema"),
        (HEAD.replace("schema = 1", "schema = 2") + METRIC, "schema"),
        (HEAD.replace("blood_pressure", "../os") + METRIC, "decoder"),
        (HEAD + "serial = 1" + METRIC, "serial"),
        (HEAD.replace('"generic"', '""') + METRIC, "manufacturer"),
        (HEAD + METRIC.replace("systolic_bp", "mood"), "'mood' is not in the code table"),
        (HEAD + METRIC + METRIC, "'systolic_bp' has two"),
        (HEAD + METRIC + 'units = ["kPa"]', "units: the code table does not permit 'kPa'"),
        (HEAD + METRIC + "plausible = [300, 40]", "plausible"),
        (HEAD + METRIC + "plausible = [40, 40]", "plausible"),
        (HEAD + METRIC + "plausible = [40, nan]", "plausible"),
        (HEAD + METRIC + "plausible = [40, inf]", "plausible"),
        (HEAD + METRIC + "plausible = [-inf, 40]", "plausible"),
        (HEAD + METRIC + "plausible = [40]", "plausible"),
        (HEAD + METRIC + "alarm_low = 180\nalarm_high = 90", "alarm_low"),
        (HEAD + METRIC + "alarm_high = nan", "alarm_low"),
        (HEAD + METRIC + "alarm_low = inf", "alarm_low"),
        (HEAD + '[match.ble]\nservice = "1810"' + METRIC, "service"),
        (HEAD + '[match.ble]\nservice = "0x181d"' + METRIC, "service"),
        (HEAD + "[match.ble]\nmanufacturer_id = 65536" + METRIC, "manufacturer_id"),
        (HEAD + '[transport.ble]\nindicate = ["2A35"]' + METRIC, "indicate"),
        (HEAD + "[transport.ble]\nidle_timeout_s = 0" + METRIC, "idle_timeout_s"),
        (HEAD + "[transport.serial]\nparity = 'X'\nbaud = 9600" + METRIC, "parity"),
        (HEAD + "[transport.serial]" + METRIC, "baud"),
        (HEAD + "[transport.serial]\nbaud = 9600\nstart = '7'" + METRIC, "start"),
        (HEAD + "[stream]\nblock_s = 61" + METRIC, "block_s"),
        (HEAD + "[options]\nx = [1]" + METRIC, "options"),
        (
            HEAD + "[transport.ble]\n[transport.serial]\nbaud = 9600" + METRIC,
            "exclude each other",
        ),
    ],
)
def test_an_error_names_file_and_key(text: str, named: str) -> None:
    with pytest.raises(ProfileError) as raised:
        parse(text, source="cuff.toml")
    assert str(raised.value).startswith("cuff.toml: ")
    assert named in str(raised.value)


def test_a_profile_error_is_the_operators() -> None:
    assert issubclass(ProfileError, ConfigError)
