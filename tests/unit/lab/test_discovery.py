import pytest
from dbus_fast import Variant

from wardlight_lab.bluez import Advertisement, Peripheral, ReplyError, uuid16
from wardlight_lab.bluez.discovery import (
    DiscoverySessions,
    advertised_properties,
    changed_properties,
)

CUFF = Peripheral(
    "C0:00:00:00:00:01", "cuff", [], advertisement=Advertisement((uuid16(0x1810),), tx_power=4)
)
KNOWN = advertised_properties(CUFF) | {"RSSI": Variant("n", -60)}


def test_a_client_has_one_discovery() -> None:
    sessions = DiscoverySessions()
    sessions.begin(":1.1")
    with pytest.raises(ReplyError, match="InProgress"):
        sessions.begin(":1.1")
    sessions.begin(":1.2")
    sessions.end(":1.1")
    assert sessions
    with pytest.raises(ReplyError, match="No discovery started"):
        sessions.end(":1.1")
    assert sessions.forget(":1.2")
    assert not sessions


def test_filters_count_while_their_client_scans() -> None:
    sessions = DiscoverySessions()
    sessions.set_filter(":1.1", {"UUIDs": Variant("as", [uuid16(0x1809)])})
    sessions.set_filter(":1.2", {"RSSI": Variant("n", -50), "DuplicateData": Variant("b", True)})
    sessions.begin(":1.1")
    assert not sessions.wants(CUFF, -40)
    assert not sessions.wants_duplicates()
    sessions.begin(":1.2")
    assert sessions.wants(CUFF, -40)
    assert not sessions.wants(CUFF, -51)
    assert sessions.wants_every_rssi()
    assert sessions.wants_duplicates()
    sessions.set_filter(":1.1", {})
    assert sessions.wants(CUFF, -90)


@pytest.mark.parametrize(
    ("rssi", "threshold", "reported"),
    [(-60, 0, True), (-60, 8, False), (-53, 8, False), (-52, 8, True), (-68, 8, True)],
)
def test_small_changes_of_power_are_reported_or_not(
    rssi: int, threshold: int, reported: bool
) -> None:
    changed = changed_properties(
        KNOWN, advertised_properties(CUFF), rssi, threshold_db=threshold, repeat_data=False
    )
    assert ("RSSI" in changed) is reported


def test_unchanged_data_is_repeated_only_on_demand() -> None:
    beacon = Peripheral(
        "C0:00:00:00:00:02", "", [], advertisement=Advertisement(manufacturer_data={1: b"x"})
    )
    heard = advertised_properties(beacon)
    assert heard["Alias"].value == "C0-00-00-00-00-02"
    assert "Name" not in heard
    known = heard | {"RSSI": Variant("n", -60)}

    def changed(*, repeat: bool) -> set[str]:
        return set(changed_properties(known, heard, -60, threshold_db=8, repeat_data=repeat))

    assert changed(repeat=False) == set()
    assert changed(repeat=True) == {"ManufacturerData"}


def test_data_is_collected_unless_it_is_told_again_and_again() -> None:
    """BlueZ src/device.c, device_set_service_data: with DuplicateData the old data is cleared."""
    first, second = uuid16(0xFCD2), uuid16(0x181D)
    sensor = Peripheral(
        "C0:00:00:00:00:03", "", [], advertisement=Advertisement(service_data={first: b"1"})
    )
    known = advertised_properties(sensor) | {"RSSI": Variant("n", -60)}
    sensor.advertisement = Advertisement(service_data={second: b"2"})

    def shown(*, repeat: bool) -> dict[str, bytes]:
        heard = advertised_properties(sensor)
        changed = changed_properties(known, heard, -60, threshold_db=8, repeat_data=repeat)
        return {uuid: data.value for uuid, data in changed["ServiceData"].value.items()}

    assert shown(repeat=False) == {first: b"1", second: b"2"}
    assert shown(repeat=True) == {second: b"2"}
