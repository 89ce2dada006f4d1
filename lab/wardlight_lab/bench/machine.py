"""The machine a table was made on: processor, memory, system, disk and what it was busy with."""

import os
import platform
import time
from pathlib import Path
from typing import Any, Final

from wardlight_lab.bench.figures import quantile
from wardlight_lab.bench.setting import file_system
from wardlight_shared import __version__

_FLUSHES: Final = 200
_BLOCK: Final = bytes(4096)


def facts(folder: Path) -> dict[str, Any]:
    """Facts for the head of the table; ``folder`` lies on the disk that is measured."""
    flushes = flush_ms(folder)
    return {
        "software": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "file_system": file_system(folder),
        "fdatasync_ms": {"p50": quantile(flushes, 0.5), "p99": quantile(flushes, 0.99)},
        "load": load(),
    }


def text(found: dict[str, Any]) -> str:
    """The head of the table."""
    flush = found["fdatasync_ms"]
    return (
        f"Wardlight {found['software']}, Python {found['python']}, Linux {found['kernel']}\n"
        f"{found['cores']} x {found['cpu']}, {found['memory_mb']:,} MB; "
        f"load before the run {found['load']:.2f}\n"
        f"{found['file_system']}; write and fdatasync of 4 KiB: "
        f"p50 {flush['p50']:.2f} ms, p99 {flush['p99']:.2f} ms\n"
        "Every baseline is measured in the same run, in turn with ours; medians are shown."
    )


def load() -> float:
    """Processes that wanted to run, over the last minute."""
    return os.getloadavg()[0]


def flush_ms(folder: Path) -> list[float]:
    """What it costs to append 4 KiB and have the disk say that it has them."""
    file = folder / "flush"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    took: list[float] = []
    try:
        for _ in range(_FLUSHES):
            started = time.perf_counter()
            os.write(descriptor, _BLOCK)
            os.fdatasync(descriptor)
            took.append((time.perf_counter() - started) * 1000)
    finally:
        os.close(descriptor)
        file.unlink()
    return took


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model", "Hardware"}:
            return value.strip()
    return platform.machine()
