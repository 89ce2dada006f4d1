"""What a receiver remembers: repetitions, encryption, replays."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import given
from hypothesis import strategies as st

from support.vectors import cases, octets
from wardlight_edge import devices
from wardlight_edge.devices import AdvertReceiver, AdvertRefused, Refusal, bthome, xiaomi_scale
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


def sealed(counter: int, objects: str, key: bytes = KEY) -> bytes:
    """An encrypted packet as the specification makes it (bthome.io, Encryption)."""
    info, number = b"\x41", counter.to_bytes(4, "little")
    nonce = ADDRESS + b"\xd2\xfc" + info + number
    closed = AESCCM(key, tag_length=4).encrypt(nonce, bytes.fromhex(objects), None)
    return info + closed[:-4] + number + closed[-4:]


def refusal(receiver: AdvertReceiver, payload: bytes) -> Refusal:
    """Why a receiver does not believe a packet; it remembers nothing of it."""
    before = receiver.memory
    with pytest.raises(AdvertRefused) as caught:
        receiver.take(BTHOME, payload)
    assert receiver.memory == before
    return caught.value.refusal


def test_an_encrypted_packet_is_opened_once() -> None:
    receiver = bthome.receiver(ADDRESS, KEY)
    (reading,) = receiver.take(BTHOME, SEALED)
    assert str(reading.value) == "25.06"
    assert receiver.take(BTHOME, SEALED) == ()


def test_a_packet_of_our_maker_is_that_of_the_specification() -> None:
    """bthome.io, Encryption: 02CA09 03BF13 under counter 0x33221100 written 00112233."""
    made = sealed(0x33221100, "02CA0903BF13")
    assert made == bytes.fromhex("41 A47266C95F73 00112233 78237214")


@pytest.mark.parametrize("back", [1, 2, 2**16])
def test_a_counter_that_goes_back_is_a_replay(back: int) -> None:
    receiver = bthome.receiver(ADDRESS, KEY)
    receiver.take(BTHOME, sealed(COUNTER, "065E1F"))
    assert refusal(receiver, sealed(COUNTER - back, "06701F")) is Refusal.REPLAYED
    assert len(receiver.take(BTHOME, sealed(COUNTER + 1, "06701F"))) == 1


def test_a_recording_is_refused_by_the_receiver_after_a_restart() -> None:
    first = bthome.receiver(ADDRESS, KEY)
    for counter in range(1, 40):
        first.take(BTHOME, sealed(counter, f"06{counter:02X}1F"))
    after = bthome.receiver(ADDRESS, KEY, first.memory)
    assert refusal(after, sealed(3, "06031F")) is Refusal.REPLAYED
    assert after.take(BTHOME, sealed(39, "06271F")) == (), "it is still sent: a repetition"
    assert len(after.take(BTHOME, sealed(40, "06281F"))) == 1


def test_what_is_sent_in_turn_under_one_counter_is_taken_once() -> None:
    """pvvx/ATC_MiThermometer #468: the values and the battery under the same counter."""
    receiver = bthome.receiver(ADDRESS, KEY)
    values, battery = sealed(7, "02CA09"), sealed(7, "015D")
    assert [len(receiver.take(BTHOME, each)) for each in (values, battery) * 3] == [1, 1] + [0] * 4


def test_another_key_is_a_new_beginning() -> None:
    before = bthome.receiver(ADDRESS, KEY)
    before.take(BTHOME, sealed(5000, "065E1F"))
    other = bytes(16)
    receiver = bthome.receiver(ADDRESS, other, before.memory)
    assert len(receiver.take(BTHOME, sealed(1, "065E1F", other))) == 1
    again = bthome.receiver(ADDRESS, other, receiver.memory)
    assert refusal(again, sealed(0, "06701F", other)) is Refusal.REPLAYED


def test_a_restarted_device_is_believed_only_where_the_profile_says_so() -> None:
    strict = bthome.receiver(ADDRESS, KEY)
    lenient = bthome.receiver(ADDRESS, KEY, options={"counter_restarts": True})
    for receiver in (strict, lenient):
        receiver.take(BTHOME, sealed(5000, "065E1F"))
        assert refusal(receiver, sealed(100, "06701F")) is Refusal.REPLAYED
    assert refusal(strict, sealed(99, "06701F")) is Refusal.REPLAYED
    assert len(lenient.take(BTHOME, sealed(99, "06701F"))) == 1
    assert len(lenient.take(BTHOME, sealed(100, "06701F"))) == 1
    with pytest.raises(ConfigError, match="key: no option of bthome"):
        bthome.receiver(ADDRESS, KEY, options={"key": "x"})
    with pytest.raises(ConfigError, match="x: no option of xiaomi_scale"):
        xiaomi_scale.receiver(ADDRESS, None, options={"x": 1})


@pytest.mark.parametrize("memory", [b"", b"\xff", b"\x94\xc0\xc0\xc0\xc0", b"\x81\xa1k\x01"])
def test_a_memory_that_cannot_be_read_is_a_new_beginning(memory: bytes) -> None:
    assert len(bthome.receiver(ADDRESS, KEY, memory).take(BTHOME, SEALED)) == 1
    scale = xiaomi_scale.receiver(ADDRESS, None, memory)
    payload = bytes.fromhex("0224e607020e10293a00009a38")
    assert len(scale.take("service-data:0x181B", payload)) == 1


@pytest.mark.parametrize("at", range(1, len(SEALED)))
def test_one_bit_changed_is_not_authentic_and_moves_no_counter(at: int) -> None:
    receiver = bthome.receiver(ADDRESS, KEY)
    changed = bytearray(SEALED)
    changed[at] ^= 0x01
    assert refusal(receiver, bytes(changed)) is Refusal.WRONG_KEY
    assert len(receiver.take(BTHOME, SEALED)) == 1


def test_another_address_or_key_opens_nothing() -> None:
    for receiver in (bthome.receiver(bytes(6), KEY), bthome.receiver(ADDRESS, bytes(16))):
        with pytest.raises(DecodeError, match="another key or address"):
            receiver.take(BTHOME, SEALED)


def test_plain_where_a_key_is_set_and_sealed_where_none_is() -> None:
    plain = bytes.fromhex("40065e1f")
    assert refusal(bthome.receiver(ADDRESS, KEY), plain) is Refusal.NOT_ENCRYPTED
    assert refusal(bthome.receiver(ADDRESS, None), SEALED) is Refusal.NO_KEY
    with pytest.raises(DecodeError, match="need at least 8"):
        bthome.receiver(ADDRESS, KEY).take(BTHOME, SEALED[:8])


def test_what_is_said_in_turn_is_compared_with_its_own_kind() -> None:
    receiver = bthome.receiver(ADDRESS, None)
    weight, battery, other = (bytes.fromhex(each) for each in ("40065E1F", "40015D", "4006701F"))
    turns = (weight, battery, weight, battery, other, battery, weight)
    assert [len(receiver.take(BTHOME, each)) for each in turns] == [1, 1, 0, 0, 1, 0, 1]


def test_after_a_silence_the_same_bytes_are_a_new_measurement_unless_they_name_themselves() -> None:
    for text, is_new in (
        ("40065E1F", True),
        ("40000906 5E1F", False),
        ("40065E1F5005FA1B6A", False),
    ):
        payload = bytes.fromhex(text)
        receiver = bthome.receiver(ADDRESS, None)
        assert receiver.take(BTHOME, payload)
        receiver.rested()
        after = bthome.receiver(ADDRESS, None, receiver.memory)
        assert bool(after.take(BTHOME, payload)) is is_new, text
    dated = bytes.fromhex("0224e607020e10293a00009a38")
    undated = bytes.fromhex("022400000000000000 0000 9a38".replace(" ", ""))
    for payload, is_new in ((dated, False), (undated, True)):
        scale = xiaomi_scale.receiver(ADDRESS, None)
        assert scale.take("service-data:0x181B", payload)
        assert scale.take("service-data:0x181B", payload) == ()
        scale.rested()
        after_scale = xiaomi_scale.receiver(ADDRESS, None, scale.memory)
        assert bool(after_scale.take("service-data:0x181B", payload)) is is_new


@given(counters=st.lists(st.integers(0, 60), max_size=40))
def test_counters_only_rise_whatever_is_played(counters: list[int]) -> None:
    """Each packet is taken at most once, and none that is older than one already taken."""
    receiver = bthome.receiver(ADDRESS, KEY)
    taken: list[int] = []
    for counter in counters:
        receiver = bthome.receiver(ADDRESS, KEY, receiver.memory)
        try:
            readings = receiver.take(BTHOME, sealed(counter, f"06{counter:02X}1F"))
        except AdvertRefused as error:
            assert error.refusal is Refusal.REPLAYED
            assert counter < max(taken)
        else:
            taken += [counter] * bool(readings)
    assert taken == sorted(set(taken))
    assert set(taken) <= set(counters)


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
