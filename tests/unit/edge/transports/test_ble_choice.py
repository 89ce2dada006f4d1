"""Which radio visits a device that several hear."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.transports.ble import Heard
from wardlight_edge.transports.ble_choice import CLEARLY_DB, choose


def _heard(adapter: str, rssi: int) -> Heard:
    return Heard("E0:00:00:00:00:01", adapter, "", rssi, False, 1000, cast(Any, object()))


def _name(heard: Heard | None) -> str | None:
    return None if heard is None else heard.adapter


def test_the_stronger_is_chosen() -> None:
    chances = [(_heard("hci0", -80), 4), (_heard("proxy bedroom", -60), 3)]
    assert _name(choose(chances, None)) == "proxy bedroom"


def test_the_radio_of_the_last_visit_keeps_the_device_until_another_is_clearly_stronger() -> None:
    near = (_heard("proxy bedroom", -60), 3)
    assert _name(choose([(_heard("hci0", -69), 4), near], "hci0")) == "hci0"
    assert _name(choose([(_heard("hci0", -71), 4), near], "hci0")) == "proxy bedroom"


def test_a_radio_with_a_free_link_goes_before_a_stronger_one_without() -> None:
    chances = [(_heard("hci0", -40), 0), (_heard("proxy bedroom", -85), 1)]
    assert _name(choose(chances, "hci0")) == "proxy bedroom"


def test_where_none_has_a_free_link_the_first_that_has_one_is_waited_for() -> None:
    chances = [(_heard("hci0", -40), 0), (_heard("proxy bedroom", -85), 0)]
    assert choose(chances, None) is None


def test_a_radio_that_makes_no_links_is_never_chosen() -> None:
    assert choose([(_heard("proxy hall", -30), None)], None) is None
    chances = [(_heard("proxy hall", -30), None), (_heard("hci0", -90), 1)]
    assert _name(choose(chances, None)) == "hci0"


@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(-127, 0), min_size=1),
    st.integers(0, CLEARLY_DB // 2),
)
def test_signals_that_swing_a_little_do_not_change_the_choice(
    signals: dict[str, int], swing: int
) -> None:
    chances = [(_heard(name, rssi), 1) for name, rssi in signals.items()]
    first = _name(choose(chances, None))
    assert first is not None
    swung = [
        (_heard(each.adapter, each.rssi + (-swing if each.adapter == first else swing)), 1)
        for each, _ in chances
    ]
    assert _name(choose(swung, first)) == first
