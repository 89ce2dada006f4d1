"""A scenario: which serial ports there are, and what plays on them.

In      TOML or JSON:

        [patient.ward-2]                                      # label and seed of the values
        spo2 = 95                                             # differs from the usual Baseline

        [[port]]
        name = "usb-Nonin_Medical_Inc._OEM_III-if00-port0"    # name of the link in the folder
        protocol = "nonin-df2"                                # or another of lines.Protocol
        patient = "ward-2"

Errors  ScenarioError
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from wardlight_lab.devices.ledger import Ledger
from wardlight_lab.devices.patient import Baseline, PatientVitals
from wardlight_lab.devices.scenario import ScenarioError
from wardlight_lab.serialport.lines import BY_SHORT, LINES, Protocol
from wardlight_lab.serialport.oximeter import enter
from wardlight_lab.serialport.player import Player
from wardlight_lab.serialport.pty_port import PtyPort

WARD: Final = Path(__file__).with_name("ward.toml")

Positive = Annotated[float, msgspec.Meta(gt=0)]


class PortSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One port and the device behind it; `speed` is a factor on real time."""

    name: str
    protocol: Protocol
    patient: str
    speed: Positive = 1.0


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ports of one machine."""

    port: tuple[PortSpec, ...]
    patient: dict[str, Baseline] = {}


@dataclass(frozen=True, slots=True)
class PlayingPort:
    """A port, and the player of the device on it."""

    spec: PortSpec
    port: PtyPort
    player: Player


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file; the suffix says whether it is TOML or JSON. Errors: ScenarioError."""
    decode = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    try:
        return decode(path.read_bytes(), type=Scenario)
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ScenarioError(f"{path}: {error}") from error


def scenario_of(devices: Sequence[str], patient: str) -> Scenario:
    """One port for each of these devices, named as on the command line, all of one patient."""
    protocols = [BY_SHORT[device] for device in dict.fromkeys(devices)]
    return Scenario(tuple(PortSpec(LINES[each].port, each, patient) for each in protocols))


@contextmanager
def plugged_in(scenario: Scenario, folder: Path, ledger: Ledger) -> Iterator[list[PlayingPort]]:
    """Make the ports of a scenario appear in a folder; `player.play()` brings them to life."""
    with ExitStack() as stack:
        ports = []
        for spec in scenario.port:
            port = stack.enter_context(PtyPort(folder / spec.name))
            vitals = PatientVitals(spec.patient, scenario.patient.get(spec.patient))
            ports.append(_playing(spec, port, vitals, ledger))
        yield ports


def _playing(spec: PortSpec, port: PtyPort, vitals: PatientVitals, ledger: Ledger) -> PlayingPort:
    line = LINES[spec.protocol]

    def on_sent(raw: bytes, values: dict[str, str], heard: bool) -> None:
        enter(ledger, spec.name, raw, values, heard=heard)

    player = Player(
        port,
        line.pieces(vitals),
        bytes_a_second=line.bytes_a_second,
        speed=spec.speed,
        chunk=line.chunk,
        on_sent=on_sent,
    )
    return PlayingPort(spec, port, player)
