"""What outlives a session: quarantined octets and the file of open streams."""

import logging
from pathlib import Path

import pytest

from wardlight_edge.sessions.open_streams import SLOT_BYTES, OpenStreams
from wardlight_edge.sessions.quarantine import MOST_FILES, MOST_NEW, Quarantine
from wardlight_edge.sessions.sealing import Sealer
from wardlight_shared.errors import StorageError

DEVICE = "ble:E00000000001"


def test_quarantined_octets_are_sealed_and_come_back_with_the_key(tmp_path: Path) -> None:
    sealer = Sealer(b"k" * 32)
    quarantine = Quarantine(tmp_path / "q", sealer.seal)
    name = quarantine.put(DEVICE, b"\x16\x78\x00secret", "0x2A35: 9 bytes", 0)
    (file,) = quarantine.files()
    assert name in file.name
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"secret" not in file.read_bytes()
    assert sealer.open_sealed(file.read_bytes()) == b"\x16\x78\x00secret"
    with pytest.raises(StorageError):
        Sealer(b"x" * 32).open_sealed(file.read_bytes())
    with pytest.raises(StorageError):
        sealer.open_sealed(b"short")


def test_without_a_key_only_the_hash_remains(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quarantine = Quarantine(tmp_path / "q", None)
    with caplog.at_level(logging.WARNING):
        quarantine.put(DEVICE, b"\x16secret", "0x2A35: 7 bytes", 0)
    assert quarantine.files() == []
    assert "secret" not in caplog.text
    assert "16736563726574" not in caplog.text


def test_the_same_octets_are_kept_once(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, Sealer(b"k" * 32).seal)
    assert quarantine.put(DEVICE, b"a", "r", 0) == quarantine.put(DEVICE, b"a", "r", 1)
    assert len(quarantine.files()) == 1


def test_a_hostile_device_wears_no_flash(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, Sealer(b"k" * 32).seal)
    for number in range(1000):
        quarantine.put(DEVICE, number.to_bytes(2, "big"), "r", number)
    assert len(quarantine.files()) == MOST_NEW


def test_the_oldest_go_first(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, Sealer(b"k" * 32).seal)
    names = [
        quarantine.put(DEVICE, number.to_bytes(2, "big"), "r", number * 60_000)
        for number in range(MOST_FILES + 5)
    ]
    kept = [file.name for file in quarantine.files()]
    assert len(kept) == MOST_FILES
    assert names[-1] in kept[-1]
    assert not any(names[0] in name for name in kept)


def test_a_disk_in_trouble_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    quarantine = Quarantine(tmp_path / "file", Sealer(b"k" * 32).seal)
    assert quarantine.put(DEVICE, b"a", "r", 0)


def test_a_stream_of_an_earlier_process_is_remembered(tmp_path: Path) -> None:
    file = tmp_path / "streams.json"
    first = OpenStreams(file, lambda: "boot-1")
    assert first.lost_since_ms(DEVICE, 1000, 50_000) is None
    first.account(DEVICE, 20_000, 70_000)
    second = OpenStreams(file, lambda: "boot-1")
    assert second.lost_since_ms(DEVICE, 90_000, 140_000) == 20_000


def test_over_a_reboot_the_wall_clock_bridges(tmp_path: Path) -> None:
    file = tmp_path / "streams.json"
    OpenStreams(file, lambda: "boot-1").account(DEVICE, 900_000, 1_000_000)
    after = OpenStreams(file, lambda: "boot-2")
    assert after.lost_since_ms(DEVICE, 5_000, 1_030_000) == 5_000 - 30_000


def test_the_file_tells_the_newest_moment_of_each_stream_at_once(tmp_path: Path) -> None:
    file = tmp_path / "streams.json"
    streams = OpenStreams(file, lambda: "boot-1")
    others = [f"serial:{'x' * 60}-{place}" for place in range(20)]
    for moment, device in enumerate([DEVICE, *others, DEVICE, others[7]]):
        streams.account(device, moment, 0)
    after = OpenStreams(file, lambda: "boot-1")
    assert after.lost_since_ms(DEVICE, 100, 0) == 21
    assert [after.lost_since_ms(device, 100, 0) for device in others[6:9]] == [7, 22, 9]
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_size == 21 * SLOT_BYTES
    streams.close()
    assert OpenStreams(file, lambda: "boot-1").lost_since_ms(DEVICE, 100, 0) == 21


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff", b'{"ble:x": {}}', b"\0" * SLOT_BYTES])
def test_a_damaged_file_costs_a_name_not_the_start(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "streams.json"
    file.write_bytes(content)
    assert OpenStreams(file, lambda: "b").lost_since_ms(DEVICE, 1, 1) is None


def test_a_damaged_line_costs_no_other(tmp_path: Path) -> None:
    file = tmp_path / "streams.json"
    before = OpenStreams(file, lambda: "b")
    for moment, device in enumerate(["serial:a", "serial:b", "serial:c"]):
        before.account(device, moment, 0)
    content = bytearray(file.read_bytes())
    content[SLOT_BYTES : SLOT_BYTES + 40] = b"\xff" * 40
    file.write_bytes(content)
    after = OpenStreams(file, lambda: "b")
    assert after.lost_since_ms("serial:b", 9, 0) is None
    after.account("serial:b", 5, 0)
    again = OpenStreams(file, lambda: "b")
    found = [again.lost_since_ms(f"serial:{name}", 9, 0) for name in "abc"]
    assert found == [0, 5, 2]


def test_a_disk_in_trouble_ends_no_stream(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    streams = OpenStreams(tmp_path / "file" / "streams.json", lambda: "b")
    streams.account(DEVICE, 5, 5)
    assert streams.lost_since_ms(DEVICE, 9, 9) == 5
    streams.close()
