"""Free TCP ports on the loopback, for peers that cannot be asked to choose one themselves."""

import socket

from wardlight_cloud.store.embedded.ports import free_loopback_port


def free_port() -> int:
    """A TCP port nobody listens on now; where a server can bind port 0, let it.

    None that the kernel gives to clients: a server that is started again finds it free.
    """
    return free_loopback_port()


def is_listening(port: int) -> bool:
    """Whether something accepts TCP connections on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
