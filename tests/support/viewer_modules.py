"""The viewer's JavaScript modules, run by node: what a browser would compute, without one.

found = in_node("pixels", "return cases.map(([image, window]) => greyOf(image, window))", cases=...)
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import wardlight_cloud.dashboard
from support.peers import require_peer

FOLDER = Path(wardlight_cloud.dashboard.__file__).parent / "static" / "viewer"


def in_node(modules: str, function: str, **data: Any) -> Any:
    """Run a function body that sees the modules' exports and ``data``, by name; its result.

    modules  one name, or several with spaces between them
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
        Path(folder, "package.json").write_text('{"type": "module"}')
        Path(folder, "run.js").write_text(_PROGRAM % (json.dumps(modules.split()), ", ".join(data)))
        done = subprocess.run(
            [str(require_peer("node")), str(Path(folder, "run.js"))],
            input=json.dumps({"function": function, "data": data}),
            capture_output=True,
            text=True,
            timeout=180,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


_PROGRAM = """
import { readFileSync } from "node:fs";
const module = {};
for (const name of %s) Object.assign(module, await import(`./${name}.js`));
const asked = JSON.parse(readFileSync(0, "utf-8"));
const run = new Function(...Object.keys(module), "{ %s }", asked.function);
process.stdout.write(JSON.stringify(await run(...Object.values(module), asked.data)));
"""
