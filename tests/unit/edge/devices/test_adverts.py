"""What a receiver remembers: repetitions, encryption, replays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.vectors import cases, octets
from wardlight_edge import devices
from wardlight_edge.devices import bthome, xiaomi_scale
from wardlight_edge.devices.bthome import BTHomeReceiver
from wardlight_shared.errors import ConfigError, DecodeError

BTHOME = "service-data:0xFCD2"

# test_bindkey_correct in tests/test_parser_v2.py of Bluetooth-Devices/bthome-ble: 25.06 Cel.
ADDRESS = bytes.fromhex("5448E68F80A5")
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
SEALED = bytes.fromhex("41a47266c95f730011223378237214")
COUNTER = 0x33221100

ADVERTS = [
    (name, kind) for name in devices.names()
    for kind in sorted(getattr(devices.load(name), "ADVERTS", ()))
]  # fmt: skip


def test_an_encrypted_packet_is_opened_once() -> None:
    receiver = bthome.receiver(ADDRESS, KEY)
    (reading,) = receiver.take(BTHOME, SEALED)
    assert str(reading.value) == "25.06"
    assert receiver.take(BTHOME, SEALED) == ()
    assert receiver.counter == COUNTER


@pytest.mark.parametrize("counter", [COUNTER, COUNTER + 1, 2**32 - 1])
def test_a_counter_that_does_not_rise_is_a_replay(counter: int) -> None:
    receiver = BTHomeReceiver(ADDRESS, KEY, counter)
    with pytest.raises(DecodeError, match="a replay"):
        receiver.take(BTHOME, SEALED)
    assert receiver.counter == counter


def test_a_counter_kept_over_a_restart_goes_on() -> None:
    assert len(BTHomeReceiver(ADDRESS, KEY, COUNTER - 1).take(BTHOME, SEALED)) == 1


@pytest.mark.parametrize("at", range(1, len(SEALED)))
def test_one_bit_changed_is_not_authentic_and_moves_no_counter(at: int) -> None:
    receiver = bthome.receiver(ADDRESS, KEY)
    changed = bytearray(SEALED)
    changed[at] ^= 0x01
    with pytest.raises(DecodeError, match="not authentic"):
        receiver.take(BTHOME, bytes(changed))
    assert receiver.counter is None
    assert len(receiver.take(BTHOME, SEALED)) == 1


def test_another_address_or_key_opens_nothing() -> None:
    for receiver in (bthome.receiver(bytes(6), KEY), bthome.receiver(ADDRESS, bytes(16))):
        with pytest.raises(DecodeError, match="another key or address"):
            receiver.take(BTHOME, SEALED)


def test_plain_where_a_key_is_set_and_sealed_where_none_is() -> None:
    with pytest.raises(DecodeError, match="plain, though"):
        bthome.receiver(ADDRESS, KEY).take(BTHOME, bytes.fromhex("40065e1f"))
    with pytest.raises(DecodeError, match="no bind key"):
        bthome.receiver(ADDRESS, None).take(BTHOME, SEALED)
    with pytest.raises(DecodeError, match="need at least 8"):
        bthome.receiver(ADDRESS, KEY).take(BTHOME, SEALED[:8])


def test_a_packet_id_tells_a_repetition() -> None:
    receiver = bthome.receiver(ADDRESS, None)
    first, again, next_one = (bytes.fromhex(each) for each in (
        "40 00 09 06 5E1F", "44 00 09 06 5E1F", "40 00 0A 06 5E1F",
    ))  # fmt: skip
    assert len(receiver.take(BTHOME, first)) == 1
    assert receiver.take(BTHOME, again) == ()
    assert len(receiver.take(BTHOME, next_one)) == 1


def test_address_and_key_have_their_lengths() -> None:
    with pytest.raises(ConfigError, match="address has 6"):
        bthome.receiver(b"", None)
    with pytest.raises(ConfigError, match="key has 16"):
        bthome.receiver(ADDRESS, KEY + KEY)


def test_a_scale_gives_a_weighing_once() -> None:
    # tests/BLE/test_ble.cpp of theengs/decoder: without impedance, with it, removed.
    receiver = xiaomi_scale.receiver(b"", None)
    frames = ["0224e607020e10293a00009a38", "0226e607020e10293af7019a38"]
    assert len(receiver.take("service-data:0x181B", bytes.fromhex(frames[0]))) == 1
    assert receiver.take("service-data:0x181B", bytes.fromhex(frames[1])) == ()
    assert receiver.take("service-data:0x181B", bytes.fromhex(frames[1].replace("26", "a6"))) == ()
    later = bytes.fromhex(frames[0].replace("293a", "2a00"))
    assert len(receiver.take("service-data:0x181B", later)) == 1


def test_a_kind_of_another_decoder_is_an_error() -> None:
    for receiver in (xiaomi_scale.receiver(b"", None), bthome.receiver(ADDRESS, None)):
        with pytest.raises(DecodeError, match="this decoder reads"):
            receiver.take("service-data:0xFFFF", b"")
    with pytest.raises(ConfigError, match="no advertisements"):
        devices.load_advert("battery")


@pytest.mark.parametrize(("name", "kind"), ADVERTS)
@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
@given(data=st.data())
def test_any_payloads_are_readings_or_a_decode_error(
    name: str, kind: str, key: bytes | None, data: st.DataObject
) -> None:
    known = [octets(case) for case in cases(name)]
    receiver = devices.load_advert(name).receiver(ADDRESS, key)
    payloads = st.binary(max_size=32) | st.sampled_from(known)
    for payload in data.draw(st.lists(payloads, max_size=6)):
        try:
            readings = receiver.take(kind, payload)
        except DecodeError as error:
            assert len(str(error)) < 200
        else:
            assert all(reading.metric for reading in readings)
            if readings:
                assert receiver.take(kind, payload) == ()
