"""What is sealed opens only in its place, with its key, unchanged."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.cipher import OVERHEAD, Cipher, DamagedRow
from wardlight_edge.outbox.packing import Held
from wardlight_shared.records import Lane

KEY = bytes(range(32))


def seal(
    cipher: Cipher, seq: int, lane: int, boot: int, mono_ms: int, wall_ms: int, body: bytes
) -> bytes:
    record = NewRecord(Lane(lane), None, mono_ms, wall_ms, body)
    return bytes(cipher.seal(seq, lane, boot, [record]))


int64 = st.integers(-(1 << 63), (1 << 63) - 1)


@given(
    st.integers(1, (1 << 63) - 1),
    st.integers(0, 3),
    st.integers(1, (1 << 32) - 1),
    int64,
    int64,
    st.binary(max_size=300),
)
def test_a_row_comes_back(
    seq: int, lane: int, boot: int, mono_ms: int, wall_ms: int, body: bytes
) -> None:
    cipher = Cipher(KEY, 99)
    sealed = seal(cipher, seq, lane, boot, mono_ms, wall_ms, body)
    assert len(sealed) == len(body) + OVERHEAD
    assert Cipher(KEY, 99).open(seq, sealed) == Held(lane, boot, [(mono_ms, wall_ms, body)])


def test_the_construction_is_aes_256_gcm_under_hkdf() -> None:
    """Opened here by the primitives alone (SP 800-38D, RFC 5869), not by our own decoder."""
    sealed = seal(Cipher(KEY, 7), 5, 1, 2, 3, 4, b"body")
    salt = (7).to_bytes(8, "big")
    key = HKDF(SHA256(), 32, salt=salt, info=b"wardlight outbox 1 rows").derive(KEY)
    content = AESGCM(key).decrypt(sealed[:12], sealed[12:], (5).to_bytes(8, "big"))
    assert content == bytes.fromhex("01 00000002 0000000000000003 0000000000000004") + b"body"


def test_a_row_of_another_place_key_or_epoch_does_not_open() -> None:
    sealed = seal(Cipher(KEY, 1), 5, 1, 1, 0, 0, b"body")
    for cipher, seq in (
        (Cipher(KEY, 1), 6),
        (Cipher(KEY, 2), 5),
        (Cipher(bytes(32), 1), 5),
    ):
        with pytest.raises(DamagedRow):
            cipher.open(seq, sealed)


@given(st.integers(0, OVERHEAD + 3), st.integers(0, 7))
def test_every_changed_bit_is_noticed(place: int, bit: int) -> None:
    cipher = Cipher(KEY, 1)
    sealed = bytearray(seal(cipher, 5, 1, 1, 0, 0, b"body"))
    sealed[place] ^= 1 << bit
    with pytest.raises(DamagedRow):
        cipher.open(5, bytes(sealed))


@given(st.binary(max_size=60))
def test_any_bytes_open_or_are_damaged(octets: bytes) -> None:
    with pytest.raises(DamagedRow):
        Cipher(KEY, 1).open(1, octets)
    with pytest.raises(DamagedRow):
        Cipher(KEY, 1).open_entry(b"series", 1, octets)


def test_nonces_differ_also_between_openings() -> None:
    """Two Ciphers of one key and epoch are two starts of the gateway on one file."""
    ciphers = [Cipher(KEY, 1) for _ in range(50)]
    nonces = {seal(cipher, 1, 0, 0, 0, 0, b"")[:12] for cipher in ciphers for _ in range(50)}
    assert len(nonces) == 2500


@given(st.lists(st.tuples(int64, int64, st.binary(max_size=60)), min_size=2, max_size=32))
def test_records_share_a_row(held: list[tuple[int, int, bytes]]) -> None:
    records = [NewRecord(Lane.BULK, None, *one) for one in held]
    sealed = bytes(Cipher(KEY, 1).seal(40, 3, 2, records))
    assert Cipher(KEY, 1).open(40, sealed) == Held(3, 2, held)
    with pytest.raises(DamagedRow):
        Cipher(KEY, 1).open(41, sealed)


def test_a_shared_row_is_sealed_as_written() -> None:
    """Opened here by the primitives alone."""
    records = [NewRecord(Lane.LIVE, None, 3, 4, b"one"), NewRecord(Lane.LIVE, None, -1, 5, b"")]
    sealed = bytes(Cipher(KEY, 7).seal(5, 1, 2, records))
    salt = (7).to_bytes(8, "big")
    key = HKDF(SHA256(), 32, salt=salt, info=b"wardlight outbox 1 rows").derive(KEY)
    content = AESGCM(key).decrypt(sealed[:12], sealed[12:], (5).to_bytes(8, "big"))
    front = "81 00000002 02 0000000000000003 ffffffffffffffff 0000000000000004 0000000000000005"
    assert content == bytes.fromhex(front + "0003 0000") + b"one"


@given(st.integers(0, 200), st.integers(0, 7))
def test_every_changed_bit_of_a_shared_row_is_noticed(place: int, bit: int) -> None:
    cipher = Cipher(KEY, 1)
    records = [NewRecord(Lane.LIVE, None, 7, 8, bytes(20))] * 4
    sealed = cipher.seal(5, 1, 1, records)
    assert len(sealed) > 180
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(DamagedRow):
        cipher.open(5, bytes(sealed))


def test_entries_are_bound_to_table_and_number() -> None:
    cipher = Cipher(KEY, 1)
    sealed = cipher.seal_entry(b"series", 3, b"content")
    assert cipher.open_entry(b"series", 3, sealed) == b"content"
    for table, number in ((b"anchor", 3), (b"series", 4)):
        with pytest.raises(DamagedRow):
            cipher.open_entry(table, number, sealed)


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=5))
def test_hidden_ids_come_back_and_stay_the_same(event_ids: list[bytes]) -> None:
    hidden = Cipher(KEY, 1).hide_ids(event_ids)
    assert Cipher(KEY, 1).show_ids(hidden) == event_ids
    assert Cipher(KEY, 1).hide_ids(event_ids) == hidden
    assert not set(hidden) & set(event_ids)
    assert not event_ids or Cipher(KEY, 2).hide_ids(event_ids) != hidden


@pytest.mark.parametrize("seq", [-1, 1 << 64])
def test_a_place_that_no_row_can_have_is_damage(seq: int) -> None:
    """SQLite's row ids are signed: a damaged leaf may bear a negative one."""
    cipher = Cipher(KEY, 1)
    with pytest.raises(DamagedRow):
        cipher.open(seq, seal(cipher, 1, 1, 1, 0, 0, b"x"))
    with pytest.raises(DamagedRow):
        cipher.open_entry(b"series", seq, cipher.seal_entry(b"series", 1, b"x"))
