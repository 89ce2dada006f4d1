"""A peer that is gone without a word is noticed by the kernel, long before it would be silent."""

import socket

import pytest

from wardlight_edge.dicom.channel import Channel, ChannelError
from wardlight_edge.imaging_settings import DicomSettings


def test_a_peer_that_is_gone_keeps_no_seat() -> None:
    """As an ultrasound out of reach of its radio: it opens another association, again and again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    with far, near:
        Channel(near, max_pdu=1024, idle_s=1, pdu_s=1)
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        option = {
            name: near.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{name}"))
            for name in ("IDLE", "INTVL", "CNT")
        }
    gone_s = option["IDLE"] + option["INTVL"] * option["CNT"]
    assert gone_s <= DicomSettings().idle_timeout_s < DicomSettings().pause_timeout_s


class _Unanswered:
    """A connection whose probes were not answered: recv says so once, then there is its end."""

    def __init__(self) -> None:
        self.said = [TimeoutError(110, "Connection timed out")]

    def setsockopt(self, *_: int) -> None: ...

    def settimeout(self, _: float) -> None: ...

    def recv_into(self, _: memoryview) -> int:
        if self.said:
            raise self.said.pop()
        return 0


def test_what_the_kernel_gave_up_ends_at_once() -> None:
    """Its error is a TimeoutError, as the end of a wait is."""
    channel = Channel(_Unanswered(), max_pdu=1024, idle_s=1e6, pdu_s=1)  # type: ignore[arg-type]
    with pytest.raises(ChannelError):
        channel.next_pdu()
