"""HL7: any octets end in actions or Hl7Error; frames do not depend on how they arrive."""

from decimal import Decimal
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from support.vectors import cases
from wardlight_edge.devices import Action, Now, Reject, Take, hl7
from wardlight_edge.devices._hl7.mllp import MllpFramer
from wardlight_edge.devices._hl7.observations import MOST_UNFIT
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import DecodeError

NOW = Now(0, 1_767_614_400_000)
KNOWN = [case["text"].strip().replace("\n", "\r").encode() for case in cases("hl7")]
MARKS = [b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b"\x0b", b"\x1c"]
PIECES = st.sampled_from([*MARKS, b"OBX", b"PID", b"-100", b"", b"9"])


@st.composite
def _messages(draw: st.DrawFn) -> bytes:
    message: bytes = draw(st.sampled_from(KNOWN))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(message)))
        cut = draw(st.integers(0, 8))
        message = message[:at] + draw(PIECES | st.binary(max_size=3)) + message[at + cut :]
    return message


@given(octets=_messages() | st.binary(max_size=200))
def test_any_octets_are_readings_or_a_decode_error(octets: bytes) -> None:
    try:
        readings, _ = hl7.decode_bytes(octets, {})
    except DecodeError as error:
        assert len(str(error)) < 200
        return
    for reading in readings:
        row = METRICS[reading.metric]
        assert reading.unit in (row.unit, *row.units_also)
        assert not isinstance(reading.value, Decimal) or reading.value > 0 or row.name == "battery"


OBX = b"OBX|1|NM|147842^MDC_ECG_HEART_RATE^MDC||%d|%s|||||F"


@given(fits=st.lists(st.booleans(), min_size=1, max_size=80))
def test_of_each_message_what_fits_is_taken_and_what_does_not_is_told(fits: list[bool]) -> None:
    """Every OBX is a reading, or an ERR and a Reject; or the message is refused as a whole."""
    parts = [b"/min" if each else b"psi" for each in fits]
    segments = [OBX % (at + 1, unit) for at, unit in enumerate(parts)]
    octets = b"\r".join([b"MSH|^~\\&|M|F|||20260105120000||ORU^R01|1|P|2.6", *segments])
    actions = hl7.conversation({}).received(b"\x0b" + octets + b"\x1c\r", NOW)
    rejects = [each for each in actions if isinstance(each, Reject)]
    takes = [each for each in actions if isinstance(each, Take)]
    wrong = fits.count(False)
    if wrong == len(fits) or wrong > MOST_UNFIT:
        assert (len(rejects), takes) == (1, [])
        return
    (take,) = takes
    values = [reading.value for event in take.events for reading in event.readings]
    assert values == [at + 1 for at, is_fit in enumerate(fits) if is_fit]
    assert len(rejects) == take.answer.count(b"\rERR|") == wrong


@given(stream=st.lists(_messages(), max_size=4), places=st.lists(st.integers(0, 5000), max_size=20))
@example(stream=[b"\x0b\x0bMSH|"], places=[2])
def test_a_conversation_is_indifferent_to_chunks(stream: list[bytes], places: list[int]) -> None:
    octets = b"".join(b"\x0b" + each + b"\x1c\r" for each in stream)
    edges = sorted({0, len(octets), *(place % (len(octets) + 1) for place in places)})
    whole, cut = hl7.conversation({}), hl7.conversation({})
    pieces: list[Action] = []
    for start, end in pairwise(edges):
        pieces += cut.received(octets[start:end], NOW)
    assert list(whole.received(octets, NOW)) == pieces
    assert whole.counts == cut.counts


@given(
    noise=st.binary(max_size=60).filter(lambda octets: b"\x0b" not in octets),
    lost=st.integers(0, 30),
    payload=st.binary(min_size=1, max_size=40).filter(lambda o: not set(o) & {0x0B, 0x1C}),
)
def test_the_next_good_frame_is_never_lost(noise: bytes, lost: int, payload: bytes) -> None:
    broken = bytearray(b"\x0b" + b"MSH|broken message" + b"\x1c\r")
    if lost < len(broken):
        del broken[lost]
    framer = MllpFramer()
    found = framer.feed(noise + bytes(broken) + b"\x0b" + payload + b"\x1c\r")
    assert found[-1] == payload
