"""Answers to requests of associations, read by pynetdicom."""

import pytest
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ

from support.dicom_wire import CT, EXPLICIT, IMPLICIT, VERIFICATION, context, request
from wardlight_edge.dicom import negotiation
from wardlight_edge.dicom.admission import CALLING_UNKNOWN, Grant
from wardlight_edge.dicom.negotiation import Acceptable, Agreed, Proposal
from wardlight_edge.dicom.pdu import PduError

BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
PRIVATE = "1.3.12.2.1107.5.9.1"
WORKLIST = "1.2.840.10008.5.1.4.31"
ACCEPTABLE = Acceptable([PRIVATE], [VERIFICATION, WORKLIST])


def _proposal(*contexts: bytes, information: bytes = b"") -> Proposal:
    return negotiation.decode_request(memoryview(request(*contexts, information=information))[6:])


def _agreed(*contexts: bytes, grant: Grant | None = None) -> dict[int, Agreed]:
    agreed, _ = negotiation.accept(_proposal(*contexts), ACCEPTABLE, grant or Grant(), 262_144)
    return dict(agreed)


def test_a_request_is_read() -> None:
    proposal = _proposal(context(1, CT, EXPLICIT), context(3, VERIFICATION, IMPLICIT))
    assert (proposal.calling_ae, proposal.called_ae) == ("SENDER", "WARDLIGHT")
    assert (proposal.max_pdu, proposal.protocol_version) == (16384, 1)
    assert [each.context_id for each in proposal.contexts] == [1, 3]


def test_all_storage_is_taken_compressed_as_well() -> None:
    assert _agreed(context(1, CT, JPEG_2000)) == {1: Agreed(CT, JPEG_2000, is_storage=True)}


def test_a_private_class_is_taken_where_it_is_listed() -> None:
    assert _agreed(context(1, PRIVATE, EXPLICIT)) == {1: Agreed(PRIVATE, EXPLICIT, is_storage=True)}
    assert _agreed(context(1, PRIVATE + ".2", EXPLICIT)) == {}


@pytest.mark.parametrize(
    ("proposed", "chosen"),
    [
        ((IMPLICIT, EXPLICIT), EXPLICIT),
        ((BIG_ENDIAN, IMPLICIT), IMPLICIT),
        ((JPEG_2000, EXPLICIT, IMPLICIT), JPEG_2000),
        ((IMPLICIT, JPEG_2000), JPEG_2000),
        (("1.2.3.4.5", IMPLICIT), IMPLICIT),
    ],
)
def test_which_transfer_syntax_is_chosen(proposed: tuple[str, ...], chosen: str) -> None:
    assert _agreed(context(1, CT, *proposed)) == {1: Agreed(CT, chosen, is_storage=True)}


def test_a_service_is_spoken_to_in_native_syntaxes_only() -> None:
    assert _agreed(context(1, WORKLIST, JPEG_2000)) == {}
    assert _agreed(context(1, WORKLIST, IMPLICIT)) == {1: Agreed(WORKLIST, IMPLICIT)}


def test_a_peer_may_use_the_classes_that_it_was_granted_and_verification() -> None:
    other = "1.2.840.10008.5.1.4.1.1.4"
    asked = (
        context(1, CT, EXPLICIT), context(3, other, EXPLICIT), context(5, WORKLIST, IMPLICIT),
        context(7, VERIFICATION, IMPLICIT),
    )  # fmt: skip
    assert sorted(_agreed(*asked, grant=Grant(frozenset({CT})))) == [1, 7]
    assert sorted(_agreed(*asked, grant=Grant(frozenset({WORKLIST})))) == [5, 7]
    assert sorted(_agreed(*asked, grant=Grant())) == [1, 3, 5, 7]


def test_titles_padded_with_nul_are_the_titles() -> None:
    octets = request(
        context(1, CT, EXPLICIT), calling=b"CT1".ljust(16, b"\0"), called=b"WARDLIGHT\0"
    )
    proposal = negotiation.decode_request(memoryview(octets)[6:])
    assert (proposal.calling_ae, proposal.called_ae) == ("CT1", "WARDLIGHT")
    for wrong in (b"C\0T1", b"\0CT1"):
        with pytest.raises(PduError):
            negotiation.decode_request(memoryview(request(calling=wrong))[6:])


def test_an_id_that_comes_twice_counts_once() -> None:
    assert _agreed(context(1, CT, EXPLICIT), context(1, VERIFICATION, IMPLICIT)) == {
        1: Agreed(CT, EXPLICIT, is_storage=True)
    }


def test_the_answer_says_why_a_context_is_refused() -> None:
    proposal = _proposal(
        context(1, CT, EXPLICIT), context(3, CT, "1.2.3.4.5"), context(5, "1.2.3.4", EXPLICIT)
    )
    _, octets = negotiation.accept(proposal, ACCEPTABLE, Grant(), 65_536)
    pdu = A_ASSOCIATE_AC()
    pdu.decode(octets)
    read = pdu.to_primitive()
    results = read.presentation_context_definition_results_list
    assert [(each.context_id, each.result) for each in results] == [(1, 0), (3, 4), (5, 3)]
    assert read.maximum_length_received == 65_536


def test_a_role_of_its_own_is_granted_as_scu_only() -> None:
    uid = CT.encode()
    role = bytes([0x54, 0, 0, len(uid) + 4, 0, len(uid)]) + uid + bytes([1, 1])
    proposal = _proposal(context(1, CT, EXPLICIT), information=role)
    _, octets = negotiation.accept(proposal, ACCEPTABLE, Grant(), 65_536)
    pdu = A_ASSOCIATE_AC()
    pdu.decode(octets)
    assert pdu.user_information is not None
    (roles,) = pdu.user_information.role_selection.values()
    assert (roles.scu_role, roles.scp_role) == (1, 0)


def test_user_identity_gets_no_answer() -> None:
    """PS3.7, D.3.3.7: who does not support it leaves it out."""
    item = bytes([0x58, 0, 0, 14, 2, 1, 0, 4]) + b"user" + bytes([0, 4]) + b"pass"
    proposal = _proposal(context(1, CT, EXPLICIT), information=item)
    _, octets = negotiation.accept(proposal, ACCEPTABLE, Grant(), 65_536)
    assert b"pass" not in octets
    pdu = A_ASSOCIATE_AC()
    pdu.decode(octets)
    assert pdu.user_information is not None
    assert pdu.user_information.user_identity is None


def test_a_rejection_is_read() -> None:
    pdu = A_ASSOCIATE_RJ()
    pdu.decode(negotiation.rejection(CALLING_UNKNOWN))
    assert (pdu.result, pdu.source, pdu.reason_diagnostic) == (1, 1, 3)


@pytest.mark.parametrize("cut", [0, 1, 40, 68, 75, 100, 140])
def test_a_request_that_is_cut_is_refused_or_read_and_never_crashes(cut: int) -> None:
    octets = request(context(1, CT, EXPLICIT))[6:]
    try:
        negotiation.decode_request(memoryview(octets[:cut]))
    except PduError:
        return
