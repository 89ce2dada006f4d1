"""Who was heard, by which adapter, how well and how long ago."""

from typing import Any, cast

from wardlight_edge.transports.ble import Heard
from wardlight_edge.transports.ble_stack import SIGNAL_MS, Watch

ADDRESS = "E0:00:00:00:00:01"


def heard(adapter: str, mono_ms: int, rssi: int = -60) -> Heard:
    peer = cast(Any, object())
    return Heard(ADDRESS, adapter, f"/org/bluez/{adapter}/dev", rssi, False, mono_ms, peer)


def test_only_an_advertisement_after_the_moment_counts() -> None:
    """BlueZ forgets an unbonded device 30 s after its last advertisement."""
    watch = Watch(ADDRESS)
    watch.put(heard("hci0", 1000))
    assert watch.best(["hci0"], 1000) is None
    assert watch.best(["hci0"], 999) is not None


def test_the_adapter_that_hears_best_is_taken() -> None:
    watch = Watch(ADDRESS)
    watch.put(heard("hci0", 1000, rssi=-80))
    watch.put(heard("hci1", 900, rssi=-50))
    found = watch.best(["hci0", "hci1"], 0)
    assert found is not None
    assert found.adapter == "hci1"
    found = watch.best(["hci0", "hci1"], 950)
    assert found is not None
    assert found.adapter == "hci0", "the better one has not heard it lately"


def test_an_adapter_that_holds_no_bond_is_not_asked() -> None:
    watch = Watch(ADDRESS)
    watch.put(heard("hci1", 1000, rssi=-40))
    assert watch.best(["hci0"], 0) is None


def test_the_newest_advertisement_of_an_adapter_replaces_the_one_before() -> None:
    watch = Watch(ADDRESS)
    watch.put(heard("hci0", 1000))
    watch.put(heard("hci0", 2000))
    found = watch.best(["hci0"], 0)
    assert found is not None
    assert found.mono_ms == 2000
    assert watch.changed.is_set()


def test_the_signal_is_that_of_the_best_radio_of_late() -> None:
    watch = Watch(ADDRESS)
    assert watch.signal_dbm is None
    watch.put(heard("hci0", 1000, rssi=-80))
    watch.put(heard("hci1", 2000, rssi=-50))
    assert watch.signal_dbm == -50
    watch.put(heard("hci0", 2000 + SIGNAL_MS, rssi=-75))
    assert watch.signal_dbm == -50
    watch.put(heard("hci0", 2001 + SIGNAL_MS, rssi=-75))
    assert watch.signal_dbm == -75, "the other one has not heard it lately"
