"""Pairing agents: who has registered (AgentManager1), and asking them (Agent1).

Source  BlueZ doc/org.bluez.AgentManager.rst, org.bluez.Agent.rst
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from wardlight_lab.bluez.bus_service import BusService
from wardlight_lab.bluez.errors import ReplyError, does_not_exist
from wardlight_lab.bluez.object_tree import Call, Interface, Method

AGENT: Final = "org.bluez.Agent1"
AGENT_MANAGER: Final = "org.bluez.AgentManager1"
CAPABILITIES: Final = {
    "": "KeyboardDisplay",
    "DisplayOnly": "DisplayOnly",
    "DisplayYesNo": "DisplayYesNo",
    "KeyboardOnly": "KeyboardOnly",
    "NoInputNoOutput": "NoInputNoOutput",
    "KeyboardDisplay": "KeyboardDisplay",
}


@dataclass(frozen=True, slots=True)
class Agent:
    """One registered agent; `ask` calls it over the bus."""

    service: BusService
    sender: str
    path: str
    capability: str

    async def ask(
        self, member: str, signature: str, body: list[Any], timeout_s: float
    ) -> list[Any]:
        """Call a method of the agent.

        Errors  ReplyError: AuthenticationTimeout (the agent was told Cancel),
                AuthenticationRejected (it refused), AuthenticationCanceled (it gave up or has gone)
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._call(member, signature, body)
        except TimeoutError:
            self.cancel()
            raise ReplyError("AuthenticationTimeout", "Authentication Timeout") from None
        except ReplyError as error:
            if error.name.endswith(".Rejected"):
                raise ReplyError("AuthenticationRejected", "Authentication Rejected") from error
            raise ReplyError("AuthenticationCanceled", "Authentication Canceled") from error

    def cancel(self) -> None:
        """Tell the agent that its pending request is void; nobody waits for an answer."""
        self.service.notify_call(self.sender, self.path, AGENT, "Cancel")

    async def _call(self, member: str, signature: str, body: list[Any]) -> list[Any]:
        return await self.service.call(
            self.sender, member, signature, body, path=self.path, interface=AGENT
        )


class AgentRegistry:
    """The registered agents and which of them is the default."""

    def __init__(self, service: BusService) -> None:
        self._service = service
        self._agents: dict[str, Agent] = {}
        self._defaults: list[Agent] = []
        service.watch_clients(self)

    def interface(self) -> Interface:
        """AgentManager1, for the object /org/bluez."""
        return Interface(
            AGENT_MANAGER,
            methods={
                "RegisterAgent": Method(self._register, "os"),
                "UnregisterAgent": Method(self._unregister, "o"),
                "RequestDefaultAgent": Method(self._request_default, "o"),
            },
        )

    def of_client(self, sender: str) -> Agent | None:
        """The agent that serves a client's own Pair call: its own, else the default."""
        return self._agents.get(sender) or self.default()

    def default(self) -> Agent | None:
        """The agent for pairings no client asked for: the last to ask for it, else the first."""
        if self._defaults:
            return self._defaults[-1]
        return next(iter(self._agents.values()), None)

    def forget_client(self, sender: str) -> None:
        """A client has left: its agent goes with it."""
        agent = self._agents.pop(sender, None)
        if agent in self._defaults:
            self._defaults.remove(agent)

    async def _register(self, call: Call) -> list[Any]:
        path, capability = call.arguments
        if call.sender in self._agents:
            raise ReplyError("AlreadyExists", "Already Exists")
        if capability not in CAPABILITIES:
            raise ReplyError("InvalidArguments", "Invalid arguments in method call")
        agent = Agent(self._service, call.sender, path, CAPABILITIES[capability])
        self._agents[call.sender] = agent
        return []

    async def _unregister(self, call: Call) -> list[Any]:
        self._own(call)
        self.forget_client(call.sender)
        return []

    async def _request_default(self, call: Call) -> list[Any]:
        agent = self._own(call)
        if agent in self._defaults:
            self._defaults.remove(agent)
        self._defaults.append(agent)
        return []

    def _own(self, call: Call) -> Agent:
        agent = self._agents.get(call.sender)
        if agent is None or agent.path != call.arguments[0]:
            raise does_not_exist()
        return agent
