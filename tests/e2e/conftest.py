"""The running demo, one for all end-to-end tests that only look at it."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.demo import RunningDemo, start_demo, stop_demo


@pytest.fixture(scope="session")
def glucose_cache(repository: Path) -> Path:
    """Where the wheel with recorded glucose is kept between runs."""
    cache = repository / ".cache" / "iglu"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for slow devices comes late, when they have spoken; what ends the demo at last."""
    items.sort(key=_place)


_LATE = {"test_hl7.py": 1, "test_hl7_corrections.py": 2, "test_demo_life.py": 3}


def _place(item: pytest.Item) -> int:
    is_here = item.path.parent == Path(__file__).parent
    return _LATE.get(item.path.name, 0) if is_here else 0


_running = contextlib.ExitStack()


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """End the demo after the last test that looks at it: what comes then needs the cores."""
    if nextitem is None or "demo" not in getattr(nextitem, "fixturenames", ()):
        _running.close()


@pytest.fixture(scope="session")
def demo(glucose_cache: Path) -> RunningDemo:
    """The demo with every device it has, in a folder whose name holds a space."""
    return _running.enter_context(_demo(glucose_cache))


@contextlib.contextmanager
def _demo(glucose_cache: Path) -> Iterator[RunningDemo]:
    from wardlight_lab.physiology.glucose import GlucoseUnavailableError, iglu_traces

    arguments: list[str] = []
    try:
        iglu_traces(glucose_cache)
        arguments = ["--glucose", str(glucose_cache)]
    except GlucoseUnavailableError:
        if os.environ.get("CI") == "true":
            raise
    with tempfile.TemporaryDirectory(prefix="wardlight e2e ") as folder:
        running = start_demo(Path(folder) / "data", *arguments)
        try:
            yield running
        finally:
            if running.process.poll() is None:
                stop_demo(running)
