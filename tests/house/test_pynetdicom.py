"""Private places of pynetdicom that our associations use; each must still be one.

The docstring of a test says which module of ours has to change when an update breaks it. (That the
listener wraps sockets by ``SSLContext.wrap_socket`` is seen in integration/dimse/test_tls.py.)
"""

import inspect
import queue
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pynetdicom._config
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from wardlight_cloud.dimse import checkpoint as cloud_checkpoint
from wardlight_edge.dicom import checkpoint as edge_checkpoint

MODEL = UID("1.2.840.10008.5.1.4.1.2.2.3")  # Study Root Query/Retrieve: GET
VERIFICATION = UID("1.2.840.10008.1.1")
LOOPBACK = "127.0.0.1"


class CountedQueue(queue.Queue[Any]):
    """Counts what is put into it."""

    def __init__(self, seen: Counter[str]) -> None:
        super().__init__()
        self._seen = seen

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self._seen["to_provider_queue"] += 1
        super().put(item, block, timeout)


class CountedEvent(threading.Event):
    """Counts how the reactor and its user stop at it."""

    def __init__(self, seen: Counter[str]) -> None:
        super().__init__()
        self._seen = seen
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        self._seen["reactor waits"] += 1
        return super().wait(timeout)

    def clear(self) -> None:
        self._seen["request clears"] += 1
        super().clear()


@pytest.fixture
def seen() -> Counter[str]:
    return Counter()


@pytest.fixture
def port(seen: Counter[str]) -> Iterator[int]:
    """A provider of C-ECHO and C-GET whose hooks are counted."""

    def opened(event: evt.Event) -> None:
        held = event.assoc.dul.socket
        assert held is not None
        assert held.socket is not None
        assert held.socket.fileno() > 0
        plain = held.recv

        def recv(count: int) -> bytearray:
            seen["recv"] += 1
            return plain(count)

        vars(held)["recv"] = recv

    def extended(event: evt.Event) -> dict[Any, bytes]:
        seen["app_info"] += MODEL in vars(event)["app_info"]
        return {}

    def asked(event: evt.Event) -> None:
        assert event.assoc.requestor.primitive is not None
        assert event.assoc.requestor.address == LOOPBACK

    def get(event: evt.Event) -> Iterator[Any]:
        def send(dataset: Any, *arguments: Any, **named: Any) -> Dataset:
            seen["send_c_store"] += dataset.SOPInstanceUID == "1.2.3"
            found = Dataset()
            found.Status = 0
            return found

        vars(event.assoc)["send_c_store"] = send
        wanted = Dataset()
        wanted.SOPClassUID, wanted.SOPInstanceUID = CTImageStorage, "1.2.3"
        yield 1
        yield 0xFF00, wanted

    provider = AE("PROVIDER")
    provider.add_supported_context(VERIFICATION)
    provider.add_supported_context(MODEL)
    provider.add_supported_context(CTImageStorage, scu_role=False, scp_role=True)
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, opened), (evt.EVT_REQUESTED, asked),
        (evt.EVT_SOP_EXTENDED, extended), (evt.EVT_C_GET, get),
    ]  # fmt: skip
    server = provider.start_server((LOOPBACK, 0), block=False, evt_handlers=handlers)
    assert server is not None
    yield server.server_address[1]
    provider.shutdown()


@pytest.fixture
def assoc(port: int, seen: Counter[str]) -> Iterator[Association]:
    more = SOPClassExtendedNegotiation()
    more.sop_class_uid, more.service_class_application_information = MODEL, b"\x01"
    user = AE("USER")
    for uid in (VERIFICATION, MODEL, CTImageStorage):
        user.add_requested_context(uid)
    made = user.associate(
        LOOPBACK, port, ext_neg=[more, build_role(CTImageStorage, scp_role=True)]
    )  # fmt: skip
    assert made.is_established
    yield made
    if made.is_established:
        made.release()
    made.join(180)


def test_a_request_stops_the_reactor_at_its_checkpoint(
    assoc: Association, seen: Counter[str]
) -> None:
    """checkpoint.py of both sides: `_reactor_checkpoint` of an association, looked up each time."""
    assert isinstance(vars(assoc)["_reactor_checkpoint"], threading.Event)
    vars(assoc)["_reactor_checkpoint"] = CountedEvent(seen)
    assert assoc.send_c_echo().Status == 0
    assert seen["request clears"] == 1
    assert seen["reactor waits"] > 0
    assert assoc._is_paused in (True, False)


def test_both_sides_guard_alike() -> None:
    """Neither imports the other: dimse/checkpoint.py and the gateway's dicom/checkpoint.py."""
    for one, other in (
        (cloud_checkpoint.Checkpoint, edge_checkpoint.Checkpoint),
        (cloud_checkpoint.guard, edge_checkpoint.guard),
    ):
        assert inspect.getsource(one) == inspect.getsource(other)


def test_what_is_sent_goes_through_a_queue(assoc: Association, seen: Counter[str]) -> None:
    """dimse/sending.py, `pace`: `dul.to_provider_queue` can be another queue; its socket."""
    assoc.dul.to_provider_queue = CountedQueue(seen)
    assert assoc.send_c_echo().Status == 0
    assert seen["to_provider_queue"] > 0
    assert assoc.dul.socket is not None
    assert assoc.dul.socket.socket is not None


def test_the_provider_uses_what_hangs_on_its_objects(
    assoc: Association, seen: Counter[str]
) -> None:
    """dimse/inflow.py (`recv`), sending.py (`send_c_store`), server.py (`app_info`)."""
    wanted = Dataset()
    wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", "1.2"
    *_, (status, _) = assoc.send_c_get(wanted, MODEL)
    assert status.Status == 0
    assert seen["recv"] > 0
    assert seen["app_info"] == 1
    assert seen["send_c_store"] == 1


def test_the_switches_of_the_library_have_their_names() -> None:
    """dimse/peer_library.py: to set a name that nobody reads would be no error."""
    assert {
        "LOG_REQUEST_IDENTIFIERS", "LOG_RESPONSE_IDENTIFIERS", "LOG_HANDLER_LEVEL",
        "STORE_SEND_CHUNKED_DATASET",
    } <= pynetdicom._config.__annotations__.keys()  # fmt: skip
