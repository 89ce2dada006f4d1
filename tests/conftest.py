"""Settings and fixtures that every layer of the tests shares."""

import gc
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir
from xdist.remote import Producer

from support.peers import require_peer
from support.rewriting import rewrite_a_share
from support.sharing import FilesAndServers, shared_server

ROOT = Path(__file__).parents[1]

pytest_plugins = ["support.postgres", "support.store", "support.object_server"]

# Files are handed to the workers one by one. Those that run for long go first: one that starts last
# would keep a single core busy while the others have nothing left to do.
_LAYERS = ("chaos", "e2e", "house", "integration", "contract", "property", "unit")

# The same examples in each run, and no time limit for one of them: a red test is red for everyone,
# and a busy machine changes nothing. The campaigns of `make test-long` search further.
set_hypothesis_home_dir(ROOT / ".cache" / "hypothesis")
settings.register_profile(
    "house",
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long", parent=settings.get_profile("house"), derandomize=False, max_examples=5000
)
settings.load_profile(os.environ.get("WARDLIGHT_HYPOTHESIS", "house"))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Hear Ctrl-C, and share the work that collecting costs in a fresh checkout."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that runs tests in the background ignores it, and so would all that they start.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    rewrite_a_share(session.config, ROOT / "tests")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage while all that is made stays, and never again in what was made."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests: those that share a server, then the files by layer, the slow ones first."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[bool, str, int]:
    server = shared_server(item.nodeid)
    layer = item.path.relative_to(ROOT / "tests").parts[0]
    return server is None, server or "", _LAYERS.index(layer)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer | None
) -> FilesAndServers | None:
    """With ``--dist loadfile``, keep also the tests of a server together."""
    return FilesAndServers(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A program that a test runs in this process sets up its log: the next test sees none of it."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = [each for each in root.handlers if each in handlers]


@pytest.fixture
def peer() -> Callable[[str], Path]:
    """Finds a system program by name; where it is missing the test skips, and fails in CI."""
    return require_peer


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT
