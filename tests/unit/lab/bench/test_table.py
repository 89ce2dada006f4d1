"""The table of `make bench`: each row printed, failures named, exit codes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wardlight_lab.bench import table
from wardlight_lab.bench.figures import Aim, Row
from wardlight_lab.bench.setting import Setting, UnfitMachine, Unsound, check_disk, file_system

Measure = Callable[[Setting], Iterator[Row]]


@pytest.fixture
def with_measurements(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(**measurements: Measure) -> None:
        monkeypatch.setattr(table, "MEASUREMENTS", measurements)

    return put


def _good(setting: Setting) -> Iterator[Row]:
    assert setting.folder.is_dir()
    (setting.folder / "left behind").touch()
    yield Row("good", "first", "/s", (1.0,), aim=Aim(2))
    yield Row("good", "second", "/s", (3.0,), (6.0,))


def _bad(setting: Setting) -> Iterator[Row]:
    yield Row("bad", "before", "/s", (1.0,))
    raise Unsound("3 rows stored of 4 readings")


def test_every_row_is_printed_and_kept(
    with_measurements: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_measurements(good=_good)
    assert table.run([], short=False, json_file=tmp_path / "f.json") == 0
    printed = capsys.readouterr().out
    assert "falls short" in printed
    assert "second" in printed
    told = json.loads((tmp_path / "f.json").read_text())
    assert [row["what"] for row in told["rows"]] == ["first", "second"]
    assert told["machine"]["cores"] >= 1
    assert told["measurements"]["good"]["load_before"] >= 0


def test_a_failed_measurement_is_named_and_the_others_go_on(
    with_measurements: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_measurements(bad=_bad, good=_good)
    assert table.run([], short=False, json_file=tmp_path / "f.json") == 1
    assert "bad: not measured: 3 rows stored of 4 readings" in capsys.readouterr().out
    told = json.loads((tmp_path / "f.json").read_text())
    assert told["failed"] == {"bad": "3 rows stored of 4 readings"}
    assert [row["name"] for row in told["rows"]] == ["bad", "good", "good"]


def test_a_short_run_says_that_its_figures_mean_nothing(
    with_measurements: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with_measurements(good=_good)
    assert table.run(["good"], short=True, json_file=None) == 0
    assert "figures mean nothing" in capsys.readouterr().out


def test_an_unknown_name_is_refused_with_the_known_ones(
    with_measurements: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with_measurements(good=_good)
    assert table.run(["fast"], short=True, json_file=None) == 2
    assert "no measurement 'fast'; there are good" in capsys.readouterr().err


def test_nothing_is_left_behind(with_measurements: Callable[..., None]) -> None:
    seen: list[Path] = []

    def measure(setting: Setting) -> Iterator[Row]:
        seen.append(setting.folder)
        yield from _good(setting)

    with_measurements(one=measure)
    table.run([], short=True, json_file=None)
    assert seen
    assert not seen[0].exists()
    assert not seen[0].parent.exists()


def test_a_folder_in_memory_is_no_disk() -> None:
    shared_memory = Path("/dev/shm")
    if not file_system(shared_memory).startswith("tmpfs"):
        pytest.skip("/dev/shm is no tmpfs here")
    with pytest.raises(UnfitMachine, match="in memory"):
        check_disk(shared_memory)


def test_sizes_depend_on_the_kind_of_run(tmp_path: Path) -> None:
    assert Setting(tmp_path).size(100, 2) == 100
    assert Setting(tmp_path, is_short=True).size(100, 2) == 2
    inner = Setting(tmp_path, is_short=True).within("a")
    assert inner.is_short
    assert inner.folder == tmp_path / "a"
