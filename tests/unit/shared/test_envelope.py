"""The envelope: bytes by hand, both ways, and every way a message can be wrong."""

import msgspec
import pytest
import zstandard

from wardlight_shared.envelope import (
    MAX_BYTES,
    MAX_OPEN_BYTES,
    MAX_ORIGIN_EPOCHS,
    MAX_RECORDS,
    VERSION,
    VERSION_WITH_ORIGINS,
    Clock,
    Envelope,
    SendHeader,
    SeriesEntry,
    expand,
    open_envelope,
    open_leniently,
    origins_of,
    seal,
    shrink,
    sums,
)
from wardlight_shared.errors import EnvelopeError, VersionError
from wardlight_shared.records import (
    EventBody,
    GapBody,
    Lane,
    Origin,
    Record,
    SeriesKey,
    TimeMethod,
    encode_body,
)

EVENT = EventBody(0, TimeMethod.RECEIPT, None, 0, None, None, [0], [365], [-1])
HEADER = SendHeader("gw-1", 7, 1, 1_718_464_647_250, 120, [Clock(3, 20)])
SERIES = [SeriesEntry(0, SeriesKey("ble:00112233AABB", 11))]
NAMES = Envelope.__struct_fields__

# One event by hand: docs/wire-format.md position by position, MessagePack by its specification.
BY_HAND = bytes.fromhex(
    "9D"  # array of 13
    "01"  # version 1
    "A4 67772D31"  # gateway "gw-1"
    "07"  # epoch
    "01"  # batch
    "CF 000001901CC2C0D2"  # sent at
    "78"  # offset 120 min
    "91 92 03 14"  # clocks: quality 3, 20 ms
    "91 92 00 92 B0 626C653A303031313232333341414242 0B"  # series 0, without defaults at its end
    "91 05"  # seq 5
    "91 CF 000001901CC2BD00"  # time
    "C0"  # clock_of
    "C0"  # event_ids
    "91 9A 01 00 00 C0 00 C0 C0 91 00 91 CD016D 91 FF"  # one body, without nil at its end
)


def _record(seq: int, body: bytes | None = None, event_id: bytes | None = None) -> Record:
    return Record(seq, Lane.LIVE, event_id, 1, 0, 0, body or encode_body(EVENT))


def _positions(**changes: object) -> list[object]:
    values: dict[str, object] = {
        "version": 1,
        "gateway": "gw-1",
        "epoch": 7,
        "batch": 1,
        "sent_at_ms": 1_718_464_647_250,
        "offset_min": 120,
        "clocks": [[3, 20]],
        "series": [[0, ["ble:00112233AABB", 11]]],
        "seqs": [5, 1],
        "times_ms": [1_718_464_646_000, 500],
        "clock_of": None,
        "event_ids": None,
        "bodies": [msgspec.Raw(encode_body(EVENT))] * 2,
        "origins": None,
    }
    assert set(changes) <= set(values)
    return list({**values, **changes}.values())


def _message(**changes: object) -> bytes:
    return msgspec.msgpack.encode(_positions(**changes))


def test_the_message_by_hand_opens() -> None:
    assert open_envelope(BY_HAND) == Envelope(
        version=1,
        gateway="gw-1",
        epoch=7,
        batch=1,
        sent_at_ms=0x01901CC2C0D2,
        offset_min=120,
        clocks=[Clock(3, 20)],
        series=SERIES,
        seqs=[5],
        times_ms=[0x01901CC2BD00],
        clock_of=None,
        event_ids=None,
        bodies=[EVENT],
    )


def test_sealing_gives_the_message_by_hand() -> None:
    opened = open_envelope(BY_HAND)
    header = SendHeader("gw-1", 7, 1, opened.sent_at_ms, 120, [Clock(3, 20)])
    sealed = seal(header, SERIES, [_record(5)], opened.times_ms)
    assert expand(sealed) == BY_HAND


def test_seal_and_open_many() -> None:
    event_ids = [bytes([place]) * 16 if place % 2 else None for place in range(200)]
    records = [
        _record(3 * place + 1, event_id=event_id) for place, event_id in enumerate(event_ids)
    ]
    times = [1_718_464_647_000 - 7 * place for place in range(200)]
    clocks = [place % 2 for place in range(200)]
    header = SendHeader("gw-1", 7, 1, 1_718_464_647_250, -210, [Clock(3, 20), Clock(0, None)])
    message = seal(header, SERIES, records, times, clocks)
    assert message.startswith(b"\x28\xb5\x2f\xfd")  # it shrinks
    opened = open_envelope(message)
    assert sums(opened.seqs) == [record.seq for record in records]
    assert sums(opened.times_ms) == times
    assert (opened.clock_of, opened.event_ids) == (clocks, event_ids)
    assert opened.bodies == [EVENT] * 200
    assert open_leniently(message) == (opened, {})


def test_columns_nobody_needs_are_left_out() -> None:
    opened = open_envelope(seal(HEADER, SERIES, [_record(1)], [0]))
    assert (opened.clock_of, opened.event_ids) == (None, None)


def test_small_and_random_messages_are_not_compressed() -> None:
    assert shrink(b"\x90" * 127) == b"\x90" * 127
    incompressible = zstandard.ZstdCompressor().compress(bytes(range(256)) * 9)
    assert shrink(incompressible) == incompressible
    assert len(shrink(b"\x90" * 1000)) < 100


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"version": "1"}, "$[0]"),
        ({"gateway": "GW"}, "$[1]"),
        ({"gateway": "gw-1\n"}, "$[1]"),
        ({"epoch": -1}, "$[2]"),
        ({"epoch": 1 << 63}, "$[2]"),
        ({"batch": None}, "$[3]"),
        ({"sent_at_ms": 1.5}, "$[4]"),
        ({"offset_min": 841}, "$[5]"),
        ({"offset_min": -841}, "$[5]"),
        ({"clocks": []}, "$[6]"),
        ({"clocks": [[16, 0]]}, "$[6][0][0]"),
        ({"clocks": [[0, -1]]}, "$[6][0][1]"),
        ({"clocks": [[0, 0]] * 257}, "$[6]"),
        ({"series": [[0]]}, "$[7][0]"),
        ({"series": [[0, ["x" * 257, 1]]]}, "$[7][0][1][0]"),
        ({"series": [[0, ["x", 1, None, 255]]]}, "$[7][0][1][3]"),
        ({"series": [[0, ["x", 1, None, None, None, None, 0]]]}, "$[7][0][1][6]"),
        ({"seqs": []}, "$[8]"),
        ({"seqs": [5, -1]}, "$[8][1]"),
        ({"seqs": [5, 0]}, "$[8]: a seq stands twice"),
        ({"seqs": [(1 << 63) - 1, 1]}, "$[8]: a seq stands twice or is above 9223372036854775806"),
        ({"seqs": [1, (1 << 63) - 2]}, "$[8]: a seq stands twice or is above"),
        ({"seqs": [1] * (MAX_RECORDS + 1)}, "$[8]"),
        ({"times_ms": [0]}, "times_ms has 1 places, seqs 2"),
        ({"times_ms": [(1 << 63) - 1, 1]}, "$[9]: a time"),
        ({"times_ms": [-(1 << 63), 0]}, "$[9]: a time"),
        ({"clock_of": [0]}, "clock_of has 1 places"),
        ({"clock_of": [0, 1]}, "$[10]: clock_of points past clocks"),
        ({"clock_of": [0, 256]}, "$[10][1]"),
        ({"event_ids": [None]}, "event_ids has 1 places"),
        ({"event_ids": [None, b"short"]}, "$[11][1]"),
        ({"bodies": []}, "bodies has 0 places"),
        ({"bodies": [[1], [1]]}, "$[12][0]"),
        ({"bodies": [[9], [9]]}, "$[12][0]"),
        ({"origins": [None]}, "origins has 1 places"),
        ({"origins": [None, [6]]}, "$[13][1]"),
        ({"origins": [None, [6, -1]]}, "$[13][1][1]"),
        ({"origins": [None, [6, (1 << 63) - 1]]}, "$[13][1][1]"),
        ({"origins": [None, [7, 1]]}, "$[13]: origins of the same"),
        ({"origins": [None, [0, 1]]}, "$[13]: origins of the same, of no"),
    ],
)
def test_a_wrong_position_is_named(changes: dict[str, object], where: str) -> None:
    with pytest.raises(EnvelopeError) as raised:
        open_envelope(_message(**changes))
    assert where in str(raised.value)
    assert not isinstance(raised.value, VersionError)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("version", "bodies")])
def test_a_wrong_header_is_refused_leniently_too(name: str) -> None:
    with pytest.raises(EnvelopeError):
        open_leniently(_message(**{name: {"not": "this"}}))


@pytest.mark.parametrize("opener", [open_envelope, open_leniently])
@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"\x90",
        b"\x80",
        b"{}",
        BY_HAND[:-1],
        BY_HAND + b"\x00",
        b"\x91" * 60_000,
        b"\x9f" + BY_HAND[1:] + b"\xc0" + b"\x91" * 60_000,  # a position more, nested without end
        b"\xdd\xff\xff\xff\xff",  # an array of 4294967295
        b"\x9d\x01\xdb\xff\xff\xff\xff",  # a text of 4 GiB
        b"\x9d\x01\xa2\xff\xff",  # a text that is not UTF-8
    ],
    ids=lambda message: f"{len(message)} bytes, {message[:3].hex()}",
)
def test_other_bytes_are_refused(opener: object, message: bytes) -> None:
    assert callable(opener)
    with pytest.raises(EnvelopeError):
        opener(message)


@pytest.mark.parametrize("opener", [open_envelope, open_leniently])
@pytest.mark.parametrize(
    "newer",
    [
        _message(version=VERSION + 1),
        msgspec.msgpack.encode([VERSION + 1]),
        msgspec.msgpack.encode([VERSION + 1, {"another": "form"}, [[[]]]]),
        shrink(msgspec.msgpack.encode([9, "x" * 1000])),
    ],
)
def test_a_newer_version_is_named_whatever_follows(opener: object, newer: bytes) -> None:
    assert callable(opener)
    with pytest.raises(VersionError) as raised:
        opener(newer)
    assert raised.value.version > VERSION


def _salvaged(seq: int, origin: Origin | None) -> Record:
    return Record(seq, Lane.BACKFILL, None, 1, 0, 0, encode_body(EVENT), origin)


def test_records_with_an_origin_need_a_reader_that_knows_origins() -> None:
    """Position 0 says so: a collector that reads version 1 only keeps silent."""
    plain = open_envelope(seal(HEADER, SERIES, [_salvaged(1, None)], [0]))
    assert (plain.version, plain.origins, origins_of(plain)) == (1, None, {})
    message = seal(HEADER, SERIES, [_salvaged(3, None), _salvaged(5, (6, 40))], [0, 0])
    opened = open_envelope(message)
    assert (opened.version, opened.origins) == (VERSION_WITH_ORIGINS, [None, (6, 40)])
    assert origins_of(opened) == {5: (6, 40)}
    assert msgspec.msgpack.decode(expand(message))[13] == [None, [6, 40]]


def test_a_bad_body_takes_its_own_origin_along_and_no_other() -> None:
    message = _message(bodies=[[9], msgspec.Raw(encode_body(EVENT))], origins=[[6, 1], [6, 2]])
    opened, rejected = open_leniently(message)
    assert (set(rejected), origins_of(opened)) == ({5}, {6: (6, 2)})


def test_an_envelope_names_few_epochs() -> None:
    count = MAX_ORIGIN_EPOCHS + 1
    records = [_salvaged(place + 1, (100 + place, 1)) for place in range(count)]
    open_envelope(seal(HEADER, SERIES, records[1:], [0] * (count - 1)))
    with pytest.raises(EnvelopeError, match="too many epochs"):
        open_envelope(seal(HEADER, SERIES, records, [0] * count))


@pytest.mark.parametrize("version", [0, -1])
def test_no_version_is_that_old(version: int) -> None:
    with pytest.raises(EnvelopeError, match=r"\$\[0\]") as raised:
        open_envelope(_message(version=version))
    assert not isinstance(raised.value, VersionError)


@pytest.mark.parametrize(
    "octets", [b"\x91\xa1x", b"\x91\xc0", b"\x90", b"\x91\xca\x40\x00\x00\x00"]
)
def test_a_first_position_that_is_no_version_is_no_version_error(octets: bytes) -> None:
    with pytest.raises(EnvelopeError) as raised:
        open_envelope(octets)
    assert not isinstance(raised.value, VersionError)


def test_bad_bodies_are_left_out_with_their_reason() -> None:
    good = msgspec.Raw(encode_body(EVENT))
    gap = GapBody("link-lost", None, 3, 1000)
    opened, rejected = open_leniently(
        _message(
            clocks=[[3, 20], [0, None]],
            seqs=[5, 1, 4, 2],
            times_ms=[1000, -100, 7, 3],
            clock_of=[0, 1, 1, 0],
            event_ids=[b"a" * 16, None, b"c" * 16, b"d" * 16],
            bodies=[good, [9], [1, "x"], msgspec.Raw(encode_body(gap))],
        )
    )
    assert sums(opened.seqs) == [5, 12]
    assert sums(opened.times_ms) == [1000, 910]
    assert opened.clock_of == [0, 0]
    assert opened.event_ids == [b"a" * 16, b"d" * 16]
    assert opened.bodies == [EVENT, gap]
    assert sorted(rejected) == [6, 10]
    assert "$[0]" in rejected[6]
    assert "$[1]" in rejected[10] or "length" in rejected[10]


def test_columns_that_are_not_there_stay_so_leniently() -> None:
    opened, rejected = open_leniently(_message(bodies=[[9], [9]]))
    assert (opened.seqs, opened.times_ms, opened.bodies) == ([], [], [])
    assert (opened.clock_of, opened.event_ids) == (None, None)
    assert sorted(rejected) == [5, 6]


def test_text_that_is_not_utf8_in_a_body_rejects_that_body_alone() -> None:
    broken = msgspec.Raw(bytes.fromhex("95 06 A1FF C0 00 00"))
    _, rejected = open_leniently(_message(bodies=[msgspec.Raw(encode_body(EVENT)), broken]))
    assert list(rejected) == [6]


def test_a_message_has_at_most_64_kib() -> None:
    with pytest.raises(EnvelopeError, match="65537 bytes, at most 65536"):
        open_envelope(b"\x90" * (MAX_BYTES + 1))


def test_a_bomb_that_states_its_size_is_refused_by_it() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(MAX_OPEN_BYTES + 1))
    assert len(bomb) < MAX_BYTES
    with pytest.raises(EnvelopeError, match="content of more than"):
        expand(bomb)


def test_a_bomb_that_hides_its_size_is_stopped() -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    bomb = compressor.compress(bytes(256 * 1024 * 1024)) + compressor.flush()
    assert len(bomb) < MAX_BYTES
    with pytest.raises(EnvelopeError, match="zstd"):
        expand(bomb)


def test_a_window_larger_than_any_message_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    wide = compressor.compress(bytes(1000)) + compressor.flush()
    with pytest.raises(EnvelopeError, match="zstd"):
        expand(wide)


@pytest.mark.parametrize("cut", [4, 5, 9, -1])
def test_a_broken_frame_is_refused(cut: int) -> None:
    packed = shrink(BY_HAND * 20)
    with pytest.raises(EnvelopeError, match="zstd"):
        expand(packed[:cut])


@pytest.mark.parametrize("tail", [b"\x00", b"junk", zstandard.compress(b"another frame")])
def test_bytes_behind_the_frame_are_refused(tail: bytes) -> None:
    """docs/wire-format.md: an envelope may be one zstd frame, and nothing but that frame."""
    packed = zstandard.compress(BY_HAND)
    assert expand(packed) == BY_HAND
    with pytest.raises(EnvelopeError, match="zstd"):
        open_envelope(packed + tail)


def test_content_of_unknown_size_is_read() -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    packed = compressor.compress(BY_HAND) + compressor.flush()
    assert expand(packed) == BY_HAND


def test_sums() -> None:
    assert sums([]) == []
    assert sums([5, 1, -3]) == [5, 6, 3]
