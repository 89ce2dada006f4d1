"""STOW-RS client: one instance a request, sent from its file, with the service's own answer.

Errors  StowRefusedError: the service did not take it; ConfigError: no token; OSError and
        http.client.HTTPException: the network
Source  PS3.18 10.5 (Store), F (DICOM JSON)
"""

import http.client
import os
import secrets
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from wardlight_cloud.store.forwarding import ForwardTarget
from wardlight_shared.errors import ConfigError, WardlightError

_PIECE: Final = 256 * 1024
_LARGEST_ANSWER: Final = 1024 * 1024
_FAILED_SEQUENCE: Final = "00081198"
_FAILURE_REASON: Final = "00081197"
_REFERENCED_SEQUENCE: Final = "00081199"
_REFERENCED_INSTANCE: Final = "00081155"
_JSON: Final = "application/dicom+json"


class StowRefusedError(WardlightError):
    """The service did not take the instance; the text says with which status."""

    def __init__(self, text: str, *, is_final: bool) -> None:
        super().__init__(text)
        self.is_final = is_final  # the same again would be refused again


class StowClient:
    """A connection to a service; a context manager."""

    def __init__(self, target: ForwardTarget, *, timeout_s: float) -> None:
        if target.url is None:
            raise ConfigError("a STOW-RS target needs a URL")
        self._address = urlsplit(target.url)
        self._token = bearer_token(target)
        self._connection = _connection(self._address.scheme, self._address.netloc, timeout_s)

    def __enter__(self) -> "StowClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the next request connects again."""
        self._connection.close()

    def asked(self) -> int:
        """The HTTP status of a search for one study: whether the service lets us in."""
        headers = {"Accept": _JSON, **self._authorization()}
        path = f"{self._address.path.rstrip('/')}/studies?limit=1"
        self._connection.request("GET", path, headers=headers)
        answer = self._connection.getresponse()
        self.close()
        return answer.status

    def _authorization(self) -> dict[str, str]:
        return {} if self._token is None else {"Authorization": f"Bearer {self._token}"}

    def store(self, file: Path, sop_uid: str) -> None:
        """Send a file; returns when the service says that it has stored this instance."""
        boundary = secrets.token_hex(16)
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(len(head) + file.stat().st_size + len(tail)),
            "Accept": _JSON,
            **self._authorization(),
        }
        path = f"{self._address.path.rstrip('/')}/studies"
        self._connection.request("POST", path, body=_body(head, file, tail), headers=headers)
        answer = self._connection.getresponse()
        said = answer.read(_LARGEST_ANSWER)
        if answer.read(1):
            self.close()
        check_answer(answer.status, said, sop_uid)


def check_answer(status: int, said: bytes, sop_uid: str) -> None:
    """Nothing when the answer names the instance as stored, else StowRefusedError.

    That a request did not fail proves nothing of an instance.
    """
    if status not in (200, 202, 409):
        is_final = status in (400, 413, 415)
        raise StowRefusedError(f"HTTP status {status}", is_final=is_final)
    try:
        told: dict[str, Any] = orjson.loads(said)
    except orjson.JSONDecodeError:
        raise StowRefusedError(f"HTTP status {status} without DICOM JSON", is_final=False) from None
    if isinstance(told, list):
        told = told[0] if told else {}
    for item in _items(told, _FAILED_SEQUENCE):
        reason = (item.get(_FAILURE_REASON, {}).get("Value") or [0])[0]
        raise StowRefusedError(f"failure reason {int(reason):#06x}", is_final=False)
    stored = [
        (item.get(_REFERENCED_INSTANCE, {}).get("Value") or [""])[0]
        for item in _items(told, _REFERENCED_SEQUENCE)
    ]
    if sop_uid not in stored:
        raise StowRefusedError("the answer does not name the instance", is_final=False)


def _items(told: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return [item for item in told.get(tag, {}).get("Value") or [] if isinstance(item, dict)]


def bearer_token(target: ForwardTarget) -> str | None:
    """The token, from where the rule says it is; ConfigError when it is not there."""
    if target.token_env is not None:
        token = os.environ.get(target.token_env, "")
        if not token:
            raise ConfigError(f"the environment variable {target.token_env} is empty")
        return token
    if target.token_file is None:
        return None
    path = Path(target.token_file)
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(f"{path}: others may read it; chmod 600")
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the token cannot be read") from error


def _connection(scheme: str, netloc: str, timeout_s: float) -> http.client.HTTPConnection:
    if scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(netloc, timeout=timeout_s, context=context)
    return http.client.HTTPConnection(netloc, timeout=timeout_s)


def _body(head: bytes, file: Path, tail: bytes) -> Iterator[bytes]:
    yield head
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            yield piece
    yield tail
