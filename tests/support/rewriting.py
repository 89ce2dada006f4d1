"""Asserts rewritten once for all workers, not by each of them.

A worker collects every file. In a fresh checkout each would rewrite all asserts, at the same time
and in the same order; so each does a share of it before, and finds the rest done.
"""

import os
import sys
from itertools import islice
from pathlib import Path

import pytest
from _pytest.assertion import rewrite


def rewrite_a_share(config: pytest.Config, tests: Path) -> None:
    """What falls to this worker of the files under ``tests``, where nobody has rewritten them."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    is_all = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if not number or not is_all or sys.dont_write_bytecode:
        return
    workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    for file in islice(sorted(tests.rglob("test_*.py")), int(number), None, workers):
        _rewritten(file, config)


def _rewritten(file: Path, config: pytest.Config) -> None:
    """Leave the file in pytest's cache; one that is there is pytest's to judge."""
    cache = rewrite.get_cache_dir(file)
    kept = cache / f"{file.stem}{rewrite.PYC_TAIL}"
    if kept.exists() or not rewrite.try_makedirs(cache):
        return
    key, code = rewrite._rewrite_test(file, config)
    rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, key, kept)
