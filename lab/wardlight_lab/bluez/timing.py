"""How long things take. Tests want no waiting; the demo wants what a Raspberry Pi does."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds.

    hearing            from the start of discovery to the first advertisement
    connect            until a link to an advertising device is up
    connect_timeout    how long Connect waits for a device that does not advertise
    resolve            from the link to ServicesResolved
    disconnect         from Disconnect to the end of the link (idle timer of bluetoothd)
    indication         from an indication to its confirmation
    agent_timeout      how long a pairing waits for the agent
    temporary_timeout  how long an unbonded device is kept after it was last seen (TemporaryTimeout)
    """

    hearing: float = 0.02
    connect: float = 0.0
    connect_timeout: float = 5.0
    resolve: float = 0.0
    disconnect: float = 0.0
    indication: float = 0.0
    agent_timeout: float = 10.0
    temporary_timeout: float = 30.0


INSTANT = Timing()
# A reconnection of 0.4 s and a disconnection of 2.6 s were measured with bluetoothd 5.66; the
# kernel gives a connection attempt 20 s and bluetoothd an agent 60 s.
LIFELIKE = Timing(
    hearing=0.1,
    connect=0.15,
    connect_timeout=20.0,
    resolve=0.25,
    disconnect=2.6,
    indication=0.03,
    agent_timeout=60.0,
)
