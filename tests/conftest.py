"""Settings and fixtures that every layer of the tests shares."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from support.peers import require_peer

ROOT = Path(__file__).parents[1]

pytest_plugins = ["support.postgres", "support.store"]

# The same examples in each run, and no time limit for one of them: a red test is red for everyone,
# and a busy machine changes nothing. The campaigns of `make test-long` search further.
set_hypothesis_home_dir(ROOT / ".cache" / "hypothesis")
settings.register_profile(
    "house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", parent=settings.get_profile("house"), derandomize=False, max_examples=5000
)
settings.load_profile(os.environ.get("WARDLIGHT_HYPOTHESIS", "house"))


@pytest.fixture
def peer() -> Callable[[str], Path]:
    """Finds a system program by name; where it is missing the test skips, and fails in CI."""
    return require_peer


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT
