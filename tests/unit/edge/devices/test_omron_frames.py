"""Frames of Omron's memory protocol, against recorded conversations."""

import pytest

from wardlight_edge.devices import _omron_frames as frames
from wardlight_edge.devices._omron_models import LAYOUTS
from wardlight_edge.devices._omron_record import clock_of
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceTime

# userx14/omblepy issue 57, a phone and a HEM-7280T.
BEGUN = ("18800000001000000094041311020778", "5A00FFFF954D00E50000000000000000")
SETTINGS = (
    "2E8100026026401E802D80008000094D",
    "FF09865E094DFF09865E08C809191212",
    "2C1B855DF835685114E002DA00FF0000",
)
ENDED = ("088F0000000000870000000000000000",)
# eigger/hass-omron issue 13, a HEM-7322T-E: four slots in four pieces.
SLOTS = (
    "408100062C3858671943109312EF005C",
    "7880D01355601946109313A7005F7580",
    "06C55C6C1945109314ED00565A8039FA",
    "5869194C134C111710D76580BA79001E",
)


def joined(pieces: tuple[str, ...]) -> frames.Reply:
    joiner = frames.Joiner()
    found = [
        joiner.take(channel, bytes.fromhex(piece))
        for channel, piece in zip(frames.FROM_CUFF, pieces, strict=False)
    ]
    assert found[:-1] == [None] * (len(pieces) - 1)
    assert found[-1] is not None
    return found[-1]


def test_requests_as_recorded() -> None:
    assert frames.begin().hex() == "0800000000100018"
    assert frames.read(0x0260, 0x26).hex() == "080100026026004d"
    assert frames.read(0x062C, 0x38).hex() == "080100062c38001b"
    assert frames.end().hex() == "080f000000000007"


def test_replies_as_recorded() -> None:
    begun = joined(BEGUN)
    assert (begun.kind, begun.result) == (frames.BEGUN, 0)
    settings = joined(SETTINGS)
    assert (settings.kind, settings.address, len(settings.data)) == (frames.GIVEN, 0x0260, 0x26)
    slots = joined(SLOTS)
    assert (slots.address, len(slots.data)) == (0x062C, 56)
    assert slots.data[:14].hex() == "58671943109312ef005c7880d013"
    assert joined(ENDED).kind == frames.ENDED


def test_a_begin_without_a_model_number_as_recorded() -> None:
    """eigger/hass-omron, test_rx_notification_handling.py: a real cuff answers in 8 bytes."""
    assert joined(("0880000000100098",)).result == 0


def test_one_bit_wrong_is_an_error() -> None:
    joiner = frames.Joiner()
    wrong = ("408100062C3859671943109312EF005C", *SLOTS[1:])
    for channel, piece in zip(frames.FROM_CUFF[:3], wrong, strict=False):
        assert joiner.take(channel, bytes.fromhex(piece)) is None
    with pytest.raises(DecodeError, match="wrong checksum"):
        joiner.take(frames.FROM_CUFF[3], bytes.fromhex(wrong[3]))


def test_a_new_reply_forgets_the_pieces_of_the_one_before() -> None:
    joiner = frames.Joiner()
    for channel, piece in zip(frames.FROM_CUFF[:3], SLOTS, strict=False):
        assert joiner.take(channel, bytes.fromhex(piece)) is None
    reply = joiner.take(frames.FROM_CUFF[0], bytes.fromhex(ENDED[0]))
    assert reply is not None
    assert reply.kind == frames.ENDED


@pytest.mark.parametrize("length", [0, 7, 65, 255])
def test_a_length_that_no_reply_has(length: int) -> None:
    with pytest.raises(DecodeError, match="no reply begins here"):
        frames.Joiner().take(frames.FROM_CUFF[0], bytes([length]) + bytes(15))


def test_a_short_last_piece_is_an_error() -> None:
    joiner = frames.Joiner()
    joiner.take(frames.FROM_CUFF[0], bytes.fromhex(BEGUN[0]))
    with pytest.raises(DecodeError, match="a reply of 24 bytes came with 20"):
        joiner.take(frames.FROM_CUFF[1], bytes.fromhex(BEGUN[1])[:4])


def test_answers_of_the_lock_as_recorded() -> None:
    """eigger/hass-omron issue 11: 82 00 and 80 01; omblepy issue 40: codes 1 and 4."""
    learn = frames.take_key()
    assert learn == b"\x02" + bytes(16)
    assert frames.result_of(bytes.fromhex("82" + "00" * 16), learn) == 0
    assert frames.result_of(bytes.fromhex("8001" + "00" * 15), frames.give_key(bytes(16))) == 1
    assert frames.result_of(bytes.fromhex("8104"), frames.use_key(bytes(16))) == 4
    assert frames.result_of(bytes.fromhex("8200"), frames.use_key(bytes(16))) is None


@pytest.mark.parametrize(
    ("model", "octets", "shown"),
    [
        # omblepy issue 57, octets 0x14 to 0x1D of the settings above
        ("HEM-7322T", "08C8091912122C1B855D", DeviceTime(2025, 9, 18, 18, 27, 44)),
        # hass-omron issue 38: read at 08:30:16 by the clock of its host
        ("HEM-6232T", "50C0000300000000051A080E211D7986", DeviceTime(2026, 5, 14, 8, 29, 33)),
        # hass-omron, test_eeprom_time.py and issue 92
        ("HEM-7361T", "C6A40100000000001A070F113B13FA00", DeviceTime(2026, 7, 15, 17, 59, 19)),
        ("HEM-7155T", "C2A00000000000001A09090B1F07BF00", DeviceTime(2026, 9, 9, 11, 31, 7)),
    ],
)
def test_clocks_as_recorded(model: str, octets: str, shown: DeviceTime) -> None:
    layout = LAYOUTS[model]
    assert clock_of(bytes.fromhex(octets), layout) == shown
    wrong = bytearray.fromhex(octets)
    wrong[layout.sum_at] ^= 1
    assert clock_of(bytes(wrong), layout) is None, "what has another sum is no clock"
    assert clock_of(b"", layout) is None
