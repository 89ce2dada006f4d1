"""Pairing one device: which question the agent is asked, and what its answer means.

Source  Bluetooth Core 5.4, Vol 3, Part H, 2.3.5.1 (association models by IO capability); BlueZ
        doc/org.bluez.Device.rst, Pair (errors)
"""

from typing import Final

from wardlight_lab.bluez.agents import Agent
from wardlight_lab.bluez.errors import ReplyError
from wardlight_lab.bluez.peripheral import Pairing, Peripheral

CAN_COMPARE: Final = {"DisplayYesNo", "KeyboardDisplay"}
CAN_TYPE: Final = {"KeyboardOnly", "KeyboardDisplay"}


def authentication_failed() -> ReplyError:
    """What Pair answers when the two sides do not come together."""
    return ReplyError("AuthenticationFailed", "Authentication Failed")


async def authenticate(
    peripheral: Peripheral, path: str, agent: Agent | None, timeout_s: float
) -> None:
    """Go through the association model of the device with the agent.

    Errors  ReplyError: AuthenticationFailed (no agent, no fitting input or output, wrong passkey,
            refusal by the device), or what the agent's answer amounts to
    """
    if agent is None or peripheral.faults.refuse_pairing:
        raise authentication_failed()
    match peripheral.pairing:
        case Pairing.NONE:
            raise authentication_failed()
        case Pairing.JUST_WORKS:
            await agent.ask("RequestAuthorization", "o", [path], timeout_s)
        case Pairing.NUMERIC_COMPARISON:
            _need(agent, CAN_COMPARE)
            question = [path, peripheral.passkey]
            await agent.ask("RequestConfirmation", "ou", question, timeout_s)
        case Pairing.PASSKEY_ENTRY:
            _need(agent, CAN_TYPE)
            typed = await agent.ask("RequestPasskey", "o", [path], timeout_s)
            if typed != [peripheral.passkey]:
                raise authentication_failed()


def _need(agent: Agent, capabilities: set[str]) -> None:
    if agent.capability not in capabilities:
        raise authentication_failed()
