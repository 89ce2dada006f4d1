"""How fast images are taken from a modality: C-STORE against Debian's Orthanc and DCMTK's storescp.

ours      `wardlight-edge dicom`: encrypted, hashed, file and row flushed before each answer
baseline  store_receivers.py tells what the others promise with the same answer: less

The sender is DCMTK's dcmsend, one process an association; what is timed is its whole life. "tuned":
TCP_NODELAY=1 in the environment of sender and receiver; untuned: DCMTK's default, as modalities
built on it come. Each run starts a receiver with an empty folder, in turn.
"""

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from wardlight_lab.bench.figures import Aim, Row
from wardlight_lab.bench.image_files import CT, DX, write_files
from wardlight_lab.bench.rounds import Rates, in_turn
from wardlight_lab.bench.setting import Setting, Unsound
from wardlight_lab.bench.store_receivers import (
    TITLE,
    Orthanc,
    Receiver,
    Storescp,
    Wardlight,
    require_sender,
)

NAME: Final = "store"
_ROUNDS: Final = 5
_SEND_S: Final = 300.0
_TUNED: Final = {"TCP_NODELAY": "1"}
_UNTUNED: Final[Mapping[str, str]] = {}
_RECEIVERS: Final[Mapping[str, type[Receiver]]] = {
    "ours": Wardlight,
    "orthanc": Orthanc,
    "storescp": Storescp,
}
_AT_LEAST_ORTHANC: Final = Aim(1.0, of_ratio=True)


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    bench = _Bench(setting, require_sender())
    ct = write_files(setting.folder / "ct", CT, 512, setting.size(200, 4))
    dx = write_files(setting.folder / "dx", DX, 2290, setting.size(20, 0))
    sets = (("CT 512 KiB", ct), ("DX 10 MB", dx))[: setting.size(2, 1)]
    numbers = (1, 4)[: setting.size(2, 1)]
    for name, files in sets:
        for associations in numbers:
            found = bench.run(files, associations, _TUNED)
            what = f"{name} x {len(files)}, {_associations(associations)}"
            octets = sum(file.stat().st_size for file in files)
            yield from bench.rows(f"{what}, tuned", "MB/s", found, octets / 1e6)
    for associations in numbers:
        found = bench.run(ct, associations, _UNTUNED)
        what = f"CT 512 KiB x {len(ct)}, {_associations(associations)}, untuned"
        aim = Aim(300) if associations == 1 else None
        yield from bench.rows(what, "objects/s", found, len(ct), aim)


class _Bench:
    """Receivers in turn."""

    def __init__(self, setting: Setting, sender: str) -> None:
        self._setting = setting
        self._sender = sender
        self._folders = (setting.folder / f"run-{number}" for number in itertools.count())
        self._missing = {name: kind.missing() for name, kind in _RECEIVERS.items()}
        self._cpu_s: dict[str, float] = {}

    def run(
        self, files: Sequence[Path], associations: int, environment: Mapping[str, str]
    ) -> Rates:
        """Seconds of each run, by receiver."""
        contenders: dict[str, Callable[[], float]] = {
            name: lambda kind=kind: self._one(kind, files, associations, environment)  # type: ignore[misc]
            for name, kind in _RECEIVERS.items()
            if self._missing[name] is None
        }
        return in_turn(self._setting.size(_ROUNDS, 1), contenders)

    def rows(
        self, what: str, unit: str, found: Rates, amount: float, aim: Aim | None = None
    ) -> Iterator[Row]:
        """Ours against each of the others; one that is not installed is named."""
        ours = tuple(amount / seconds for seconds in found["ours"])
        for name in ("orthanc", "storescp"):
            package = self._missing[name]
            against = name if package is None else f"{name}: absent, apt-get install {package}"
            yield Row(
                NAME, f"{what}; {name if package is None else against}", unit, ours,
                tuple(amount / seconds for seconds in found.get(name, ())), against,
                aim or (_AT_LEAST_ORTHANC if name == "orthanc" and package is None else None),
                {"receiver_cpu_s": dict(self._cpu_s)},
            )  # fmt: skip

    def _one(
        self,
        kind: type[Receiver],
        files: Sequence[Path],
        associations: int,
        environment: Mapping[str, str],
    ) -> float:
        with kind(next(self._folders), environment) as receiver:
            before = receiver.cpu_s()
            seconds = self._sent(receiver.port, files, associations, environment)
            self._cpu_s[kind.__name__.lower()] = round(receiver.cpu_s() - before, 2)
            if receiver.objects() != len(files):
                raise Unsound(f"{kind.__name__} has {receiver.objects()} of {len(files)} objects")
        return seconds

    def _sent(
        self, port: int, files: Sequence[Path], associations: int, environment: Mapping[str, str]
    ) -> float:
        started = time.perf_counter()
        senders = [
            subprocess.Popen(
                [self._sender, "-aec", TITLE, "127.0.0.1", str(port), *map(str, part)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **environment},
            )
            for part in (files[first::associations] for first in range(associations))
            if part
        ]
        codes = [sender.wait(_SEND_S) for sender in senders]
        if any(codes):
            raise Unsound(f"dcmsend ended with {codes}")
        return time.perf_counter() - started


def _associations(count: int) -> str:
    return "1 association" if count == 1 else f"{count} associations"
