"""The pairing agent: yes only where a pairing was announced."""

import asyncio

import pytest

from support.operators import SILENT, AnsweringOperator
from support.waiting import wait_until
from wardlight_edge.transports.ble_agent import PairingAgent, Refusal, address_of

DEVICE = "/org/bluez/hci0/dev_E0_00_00_00_00_01"
OTHER = DEVICE.replace("01", "02")


@pytest.mark.parametrize(
    "member",
    ["RequestAuthorization", "RequestPasskey", "RequestConfirmation", "AuthorizeService"],
)
async def test_nobody_pairs_unannounced(member: str) -> None:
    agent = PairingAgent(AnsweringOperator(address_of(DEVICE), 12345))
    with pytest.raises(Refusal):
        await agent.answer(member, [DEVICE, 12345])


async def test_an_announced_device_pairs_just_so() -> None:
    agent = PairingAgent()
    assert agent.capability == "NoInputNoOutput"
    with agent.expect(DEVICE):
        assert await agent.answer("RequestAuthorization", [DEVICE]) == ("", [])
        with pytest.raises(Refusal):
            await agent.answer("RequestAuthorization", [OTHER])
        with pytest.raises(Refusal):
            await agent.answer("RequestPasskey", [DEVICE])
    with pytest.raises(Refusal):
        await agent.answer("RequestAuthorization", [DEVICE])


async def test_digits_come_from_the_operator() -> None:
    operator = AnsweringOperator(address_of(DEVICE), 12345)
    agent = PairingAgent(operator)
    assert agent.capability == "KeyboardDisplay"
    with agent.expect(DEVICE):
        assert await agent.answer("RequestPasskey", [DEVICE]) == ("u", [12345])
        assert await agent.answer("RequestPinCode", [DEVICE]) == ("s", ["012345"])
        assert await agent.answer("RequestConfirmation", [DEVICE, 12345]) == ("", [])
        assert await agent.answer("DisplayPasskey", [DEVICE, 7, 0]) == ("", [])
        with pytest.raises(Refusal, match="other digits"):
            await agent.answer("RequestConfirmation", [DEVICE, 54321])
        with pytest.raises(Refusal):
            await agent.answer("MakeCoffee", [DEVICE])
    assert operator.shown == ["000007"]


async def test_a_window_for_one_device_gives_no_digits_to_another() -> None:
    agent = PairingAgent(AnsweringOperator(address_of(DEVICE), 12345))
    with agent.expect(OTHER):
        for member in ("RequestPasskey", "RequestConfirmation", "DisplayPasskey"):
            with pytest.raises(Refusal, match="nobody is there"):
                await agent.answer(member, [OTHER, 12345])


async def test_an_operator_may_refuse_and_may_be_away() -> None:
    operator = AnsweringOperator(address_of(DEVICE), None)
    agent = PairingAgent(operator)
    with agent.expect(DEVICE):
        with pytest.raises(Refusal, match="no operator"):
            await agent.answer("RequestPasskey", [DEVICE])
        operator.is_present = False
        assert agent.capability == "NoInputNoOutput"
        with pytest.raises(Refusal, match="nobody is there"):
            await agent.answer("RequestPasskey", [DEVICE])


@pytest.mark.parametrize("how", ["Cancel", "the pairing ends"])
async def test_a_question_ends_with_its_pairing(how: str) -> None:
    """bluetoothd cancels after its time-out, and when the device has gone."""
    operator = AnsweringOperator(address_of(DEVICE), SILENT)
    agent = PairingAgent(operator)
    with agent.expect(DEVICE):
        asked = asyncio.create_task(agent.answer("RequestPasskey", [DEVICE]))
        await wait_until(lambda: operator.asked)
        if how == "Cancel":
            await agent.answer("Cancel", [])
            with pytest.raises(Refusal):
                await asked
    if how != "Cancel":
        with pytest.raises(Refusal):
            await asked
    assert operator.withdrawn == 1


async def test_release_and_cancel_need_no_device() -> None:
    agent = PairingAgent()
    assert await agent.answer("Release", []) == ("", [])
    assert await agent.answer("Cancel", []) == ("", [])


def test_addresses_of_paths() -> None:
    assert address_of(DEVICE) == "E0:00:00:00:00:01"
