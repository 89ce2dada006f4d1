"""ASTM: any octets end in actions or DecodeError, however they are cut; two links always agree."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from support.vectors import cases
from wardlight_edge.devices import Action, Now, Take, astm
from wardlight_edge.devices._astm.frames import Frame, encode_frame, frames_of
from wardlight_edge.devices._astm.link import AstmLink, FrameText, Octets, Outcome, Sent
from wardlight_shared.errors import DecodeError

NOW = Now(0, 0)
KNOWN = [
    bytes.fromhex(case["hex"])
    if "hex" in case
    else case["text"].strip().replace("\n", "\r").encode()
    for case in cases("astm")
]
PIECES = st.sampled_from(
    [b"\x02", b"\x03", b"\x04", b"\x05", b"\x17", b"\r\n", b"|", b"^", b"", b"R"]
)


@st.composite
def _damaged(draw: st.DrawFn, octets: bytes) -> bytes:
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(octets)))
        octets = (
            octets[:at]
            + draw(PIECES | st.binary(max_size=2))
            + octets[at + draw(st.integers(0, 4)) :]
        )
    return octets


@given(data=st.data())
def test_any_octets_are_readings_or_a_decode_error(data: st.DataObject) -> None:
    octets = data.draw(st.sampled_from(KNOWN).flatmap(_damaged) | st.binary(max_size=80))
    try:
        astm.decode_bytes(octets, {})
    except DecodeError as error:
        assert len(str(error)) < 200


TRANSMISSION = b"\x05" + b"".join(
    encode_frame(Frame(number, text, is_last=True))
    for number, text in enumerate(
        (b"H|\\^&", b"R|1|^^^Glucose|93|mg/dL^P||||201505261150", b"L|1"), 1
    )
) + b"\x04"  # fmt: skip


@given(data=st.data(), places=st.lists(st.integers(0, 500), max_size=20))
def test_chunks_change_nothing(data: st.DataObject, places: list[int]) -> None:
    octets = data.draw(_damaged(TRANSMISSION))
    edges = sorted({0, len(octets), *(place % (len(octets) + 1) for place in places)})
    whole, cut = astm.conversation({}), astm.conversation({})
    pieces: list[Action] = []
    for start, end in pairwise(edges):
        pieces += cut.received(octets[start:end], NOW)
    assert pieces == list(whole.received(octets, NOW))
    assert whole.counts == cut.counts


@given(lost=st.integers(0, len(TRANSMISSION) - 1), octet=st.none() | st.integers(0, 255))
def test_a_sender_that_repeats_is_heard_once(lost: int, octet: int | None) -> None:
    """A transmission with a damaged byte, then whole: the result is taken, the same each time."""
    damaged = bytearray(TRANSMISSION)
    damaged[lost : lost + 1] = b"" if octet is None else bytes([octet])
    talk = astm.conversation({})
    actions = [*talk.received(bytes(damaged), NOW), *talk.received(b"\x04" + TRANSMISSION, NOW)]
    raws = [event.raw for each in actions if isinstance(each, Take) for event in each.events]
    assert raws
    good = b"R||^^^Glucose|93|mg/dL^P||||201505261150"
    assert raws[-1] == good


@given(
    records=st.lists(
        st.binary(min_size=1, max_size=500).filter(lambda o: not set(o) & set(range(32))),
        min_size=1,
        max_size=4,
    ),
    losses=st.lists(st.booleans(), max_size=12),
)
def test_two_links_bring_a_message_over_a_line_that_loses(
    records: list[bytes], losses: list[bool]
) -> None:
    """Every frame arrives once and in order, or the sender says that it was not delivered."""
    sender, receiver = AstmLink(), AstmLink()
    taken, sent = bytearray(), []
    lost = iter(losses)
    to_receiver = sender.send(frames_of(tuple(records)), 0)
    for _ in range(200):
        answers: list[Outcome] = []
        for outcome in to_receiver:
            if isinstance(outcome, Sent):
                sent.append(outcome.is_delivered)
            elif isinstance(outcome, Octets):
                octets = outcome.octets
                if len(octets) > 1 and next(lost, False):
                    octets = octets[:2] + octets[3:]  # a byte of a frame is lost
                answers += receiver.received(octets, 0)
        to_receiver = []
        for answer in answers:
            if isinstance(answer, FrameText):
                taken += answer.text
                to_receiver += sender.received(b"\x06", 0)
            elif isinstance(answer, Octets):
                to_receiver += sender.received(answer.octets, 0)
        if sent:
            break
    whole = b"".join(record + b"\r" for record in records)
    assert sent == [True] if taken == whole else sent == [False]
