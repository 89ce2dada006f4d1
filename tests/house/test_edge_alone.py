"""A gateway installs `wardlight[edge]` and nothing else; every module of it must import so.

Two modules speak with ESPHome proxies and need an extra that no lock holds.
"""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from support.edge_environment import edge_python
from support.locks import installed_names
from support.tree import ROOT

OF_THE_EXTRA = ["wardlight_edge.transports.esphome", "wardlight_edge.transports.esphome_errors"]

# Imports each module of the edge; argument 1 holds the top-level names that are refused, argument 2
# the modules that need the extra, as JSON.
IMPORT_ALL = """
import importlib, json, pkgutil, sys

class Refuse:
    names = frozenset(json.loads(sys.argv[1]))

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"{name} is not part of wardlight[edge]", name=name)
        return None

sys.meta_path.insert(0, Refuse())
import wardlight_edge
names = ["wardlight_edge"]
for module in pkgutil.walk_packages(wardlight_edge.__path__, "wardlight_edge."):
    if module.name in json.loads(sys.argv[2]):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            assert error.name in {"aioesphomeapi", "bleak_esphome"}, error.name
    elif not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        names.append(module.name)
print(json.dumps({"imported": names, "loaded": sorted(sys.modules)}))
"""


def _import_all(python: Path, refused: list[str]) -> dict[str, list[str]]:
    result = subprocess.run(
        [str(python), "-c", IMPORT_ALL, json.dumps(refused), json.dumps(OF_THE_EXTRA)],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=ROOT / "edge",
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, list[str]] = json.loads(result.stdout)
    return found


def _not_of_the_edge() -> list[str]:
    """Top-level modules that only distributions outside the edge's lock provide."""
    allowed = installed_names("edge")
    return sorted(
        module
        for module, distributions in metadata.packages_distributions().items()
        if not allowed
        & {name.lower().replace("_", "-").replace(".", "-") for name in distributions}
        and module not in {"wardlight_shared", "wardlight_edge"}
    )


def test_every_module_imports_without_the_cloud() -> None:
    """The cheap form: this environment, with all that is not the edge's refused at import."""
    refused = _not_of_the_edge()
    assert {"fastapi", "asyncpg", "numpy", "pytest"} <= set(refused)
    found = _import_all(Path(sys.executable), [*refused, "wardlight_cloud", "wardlight_lab"])
    assert "wardlight_edge.devices" in found["imported"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_module_imports_in_the_edge_environment() -> None:
    """The real form: an environment made from requirements/edge.txt, as on a gateway.

    What it holds beyond the cheap form, that the lock can be installed, holds where the lock of
    development does: its pins and hashes are the same (test_locks).
    """
    found = _import_all(edge_python(), [])
    assert "wardlight_edge.devices" in found["imported"]
    assert not {"fastapi", "asyncpg", "numpy", "pydantic"} & set(found["loaded"])
