"""Any octets as the identifier of a request: a search, or an IdentifierError, and nothing else."""

from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from wardlight_cloud.dimse import server
from wardlight_cloud.dimse.matching import IdentifierError
from wardlight_cloud.dimse.peer_library import quieten
from wardlight_cloud.dimse.requests import LEVELS, find_request, retrieve_request


class Asked:
    """As pynetdicom's event: decodes when it is asked."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    @property
    def identifier(self) -> Dataset:
        return decode(BytesIO(self._octets), True, True)


def ask(octets: bytes) -> None:
    for root in LEVELS:
        try:
            identifier = server._identifier(Asked(octets))  # type: ignore[arg-type]
            find_request(identifier, root, relational=True, limit=1)
            retrieve_request(identifier, root)
        except IdentifierError:
            continue


@given(st.binary(max_size=200))
def test_any_octets(octets: bytes) -> None:
    quieten()
    ask(octets)


@given(
    level=st.sampled_from(["PATIENT", "STUDY", "SERIES", "IMAGE"]),
    name=st.binary(max_size=40),
    date=st.text(max_size=20),
    uid=st.text(max_size=80),
    flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6),
)
def test_identifiers_with_wrong_octets(
    level: str, name: bytes, date: str, uid: str, flips: list[tuple[int, int]]
) -> None:
    quieten()
    made = Dataset()
    made.QueryRetrieveLevel = level
    made.add_new(0x00100010, "UN", name)
    made.StudyDate, made.StudyInstanceUID = date, uid
    octets = bytearray(encode(made, True, True) or b"")
    for place, value in flips:
        if octets:
            octets[place % len(octets)] = value
    ask(bytes(octets))
