"""The pairing agent: yes only where a pairing was announced."""

import pytest

from wardlight_edge.transports.ble_agent import PairingAgent, Refusal, address_of

DEVICE = "/org/bluez/hci0/dev_E0_00_00_00_00_01"


async def _digits(_: str) -> int | None:
    return 12345


async def _nobody(_: str) -> int | None:
    return None


@pytest.mark.parametrize(
    "member",
    ["RequestAuthorization", "RequestPasskey", "RequestConfirmation", "AuthorizeService"],
)
async def test_nobody_pairs_unannounced(member: str) -> None:
    agent = PairingAgent(_digits)
    with pytest.raises(Refusal):
        await agent.answer(member, [DEVICE, 12345])


async def test_an_announced_device_pairs_just_so() -> None:
    agent = PairingAgent()
    assert agent.capability == "NoInputNoOutput"
    with agent.expect(DEVICE):
        assert await agent.answer("RequestAuthorization", [DEVICE]) == ("", [])
        with pytest.raises(Refusal):
            await agent.answer("RequestAuthorization", [DEVICE.replace("01", "02")])
        with pytest.raises(Refusal):
            await agent.answer("RequestPasskey", [DEVICE])
    with pytest.raises(Refusal):
        await agent.answer("RequestAuthorization", [DEVICE])


async def test_digits_come_from_the_operator() -> None:
    agent = PairingAgent(_digits)
    assert agent.capability == "KeyboardDisplay"
    with agent.expect(DEVICE):
        assert await agent.answer("RequestPasskey", [DEVICE]) == ("u", [12345])
        assert await agent.answer("RequestPinCode", [DEVICE]) == ("s", ["012345"])
        assert await agent.answer("RequestConfirmation", [DEVICE, 12345]) == ("", [])
        with pytest.raises(Refusal):
            await agent.answer("RequestConfirmation", [DEVICE, 54321])
        with pytest.raises(Refusal):
            await agent.answer("MakeCoffee", [DEVICE])


async def test_an_operator_may_refuse() -> None:
    agent = PairingAgent(_nobody)
    with agent.expect(DEVICE), pytest.raises(Refusal):
        await agent.answer("RequestPasskey", [DEVICE])


async def test_release_and_cancel_need_no_device() -> None:
    agent = PairingAgent()
    assert await agent.answer("Release", []) == ("", [])
    assert await agent.answer("Cancel", []) == ("", [])


def test_addresses_of_paths() -> None:
    assert address_of(DEVICE) == "E0:00:00:00:00:01"
