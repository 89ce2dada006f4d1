from pathlib import Path

from wardlight_lab.bluez import Transmission
from wardlight_lab.devices import Ledger, read_ledger


def enter(ledger: Ledger, device: str, payload: bytes, *, acknowledged: bool = True) -> None:
    ledger.record(
        device,
        "2a35",
        payload,
        Transmission(acknowledged=acknowledged, delivered=True),
        kind="indicate",
        values={"systolic_bp": "128"},
    )


def test_entries_survive_in_the_file_and_are_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    with Ledger(path) as ledger:
        enter(ledger, "A", b"\x01")
        assert [each.payload for each in read_ledger(path)] == ["01"]  # at once, not at the end
    with Ledger(path) as ledger:
        enter(ledger, "B", b"\x02")
        assert len(ledger) == 1
    got = read_ledger(path)
    assert [(each.device, each.payload, each.values) for each in got] == [
        ("A", "01", {"systolic_bp": "128"}),
        ("B", "02", {"systolic_bp": "128"}),
    ]
    assert got[0].sent_at.tzinfo is not None


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        enter(ledger, "A", b"\x01")
    with path.open("ab") as file:
        file.write(b'{"sent_at":"2026-')
    assert len(read_ledger(path)) == 1


def test_accepted_are_the_confirmed_ones() -> None:
    ledger = Ledger()
    enter(ledger, "A", b"\x01")
    enter(ledger, "A", b"\x02", acknowledged=False)
    enter(ledger, "B", b"\x03")
    assert [each.payload for each in ledger.accepted()] == ["01", "03"]
    assert [each.payload for each in ledger.accepted("A")] == ["01"]
    assert [each.payload for each in ledger.of("A")] == ["01", "02"]
