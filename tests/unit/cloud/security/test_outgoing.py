"""Addresses that strangers name: which are connected to, and that those are the ones checked."""

import asyncio
from ipaddress import ip_network

import pytest

from wardlight_cloud.security.outgoing import (
    Fault,
    Reach,
    RefusedAddressError,
    addresses,
    check,
    check_number,
    connected,
)

NOWHERE = Reach()
HERE = Reach(on_this_machine=True)
HOSPITAL = Reach(networks=(ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")))


@pytest.mark.parametrize("reach", [NOWHERE, HERE, HOSPITAL])
@pytest.mark.parametrize(
    "host",
    [
        "10.2.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1",
        "127.0.0.2", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.2.0.1", "::ffff:0:10.1.0.1",
        "fe80::1", "fe80::1%1", "fec0::1", "fd00:2::1", "ff02::1", "ff0e::1", "100::1",
        "2002:7f00:1::", "2002:a01:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "64:ff9b::10.1.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::10.1.0.1",
    ],
)  # fmt: skip
async def test_what_is_connected_to_by_nobody(host: str, reach: Reach) -> None:
    parts = check(f"https://[{host}]/" if ":" in host else f"https://{host}/", reach)
    with pytest.raises(RefusedAddressError) as told:
        check_number(parts, reach)
    assert told.value.fault is Fault.NOT_PUBLIC
    with pytest.raises(RefusedAddressError):
        await addresses(parts, reach)


@pytest.mark.parametrize(
    ("host", "reach"),
    [
        ("93.184.216.34", NOWHERE), ("[2606:2800:220:1::1]", NOWHERE), ("10.1.2.3", HOSPITAL),
        ("[::ffff:10.1.2.3]", HOSPITAL), ("[fd00:1::5]", HOSPITAL), ("127.0.0.1", HERE),
        ("[::1]", HERE),
    ],
)  # fmt: skip
async def test_what_may_be_connected_to(host: str, reach: Reach) -> None:
    parts = check(f"https://{host}:8443/x?y=z", reach)
    check_number(parts, reach)
    assert await addresses(parts, reach) == [host.strip("[]")]


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://receiver.example:0/", Fault.NO_ADDRESS),
        ("https://receiver.example:99999/", Fault.NO_ADDRESS),
        ("https://receiver.example\\@inside/", Fault.USER_OR_FRAGMENT),
        ("https://receiver.example@10.1.0.1/", Fault.USER_OR_FRAGMENT),
        ("https://@receiver.example/", Fault.USER_OR_FRAGMENT),
        ("https://receiver.example/#x", Fault.USER_OR_FRAGMENT),
        ("http://receiver.example/", Fault.NOT_HTTPS),
        ("http://localhost.receiver.example/", Fault.NOT_HTTPS),
        ("gopher://localhost/", Fault.NOT_HTTPS),
    ],
)
def test_what_is_no_address(url: str, fault: Fault) -> None:
    with pytest.raises(RefusedAddressError) as told:
        check(url, HERE)
    assert told.value.fault is fault


async def test_the_connection_is_made_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that leads inside from the second question on; and one that leads to both places."""
    told = [["93.184.216.34", "10.2.0.1"], ["10.2.0.1"]]
    asked = list[tuple[str, str | None]]()

    async def found(host: str, port: int, **_: object) -> list[object]:
        return [(2, 1, 6, "", (each, port)) for each in told.pop(0)]

    async def connect(host: str, port: int, **given: object) -> None:
        asked.append((f"{host}:{port}", str(given["server_hostname"])))
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    monkeypatch.setattr(asyncio, "open_connection", connect)
    parts = check("https://receiver.example:8443/", NOWHERE)
    with pytest.raises(ConnectionRefusedError):
        await connected(parts, NOWHERE, None)
    assert asked == [("93.184.216.34:8443", "receiver.example")]
    with pytest.raises(RefusedAddressError):
        await connected(parts, NOWHERE, None)
    assert len(asked) == 1
