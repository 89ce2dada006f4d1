"""A proxy on the loopback that speaks the native API, encrypted, and a radio that uses it.

The proxy speaks with the message types of the extra `esphome`, which no lock holds: without it all
of this is skipped. `pip install 'bleak-esphome>=4.1'` beside the development packages runs it.
"""

import base64
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wardlight_edge.config import ProxySettings

if TYPE_CHECKING:
    from wardlight_lab.esphome.proxy import FakeProxy


@pytest.fixture(autouse=True)
def extra() -> None:
    """The extra, or a skip that names it."""
    pytest.importorskip("bleak_esphome", reason="needs the extra esphome (bleak-esphome)")


@pytest.fixture
def key() -> bytes:
    """The key of a proxy's native API."""
    return secrets.token_bytes(32)


@pytest.fixture
async def proxy(key: bytes) -> "AsyncIterator[FakeProxy]":
    """A proxy with nothing in range."""
    from wardlight_lab.esphome.proxy import FakeProxy

    async with FakeProxy(key=key) as made:
        yield made


@pytest.fixture
def settings_for(tmp_path: Path, key: bytes) -> "Callable[[FakeProxy], ProxySettings]":
    """What the gateway's settings say of a proxy."""

    def made(proxy: "FakeProxy") -> ProxySettings:
        file = tmp_path / f"{proxy.name}.key"
        file.write_text(base64.b64encode(key).decode() + "\n")
        file.chmod(0o600)
        return ProxySettings(
            name=proxy.name, host="127.0.0.1", port=proxy.port, noise_key_file=file
        )

    return made
