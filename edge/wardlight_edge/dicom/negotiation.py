"""Requests of associations: decoded, answered and refused, by pynetdicom's PDUs; no I/O.

Which transfer syntax: the requestor's first, but one that keeps value representations before
Implicit VR, and Big Endian last. User identity, asynchronous operations and extended negotiation
are not offered: their items get no answer, which says so (PS3.7, D.3.3).

Errors  PduError: the request is malformed
Source  DICOM PS3.7, annex D; PS3.8, 9.3.2 to 9.3.4
"""

from collections.abc import Iterable, Mapping
from struct import error as StructError
from typing import Final

import msgspec
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext, build_context, negotiate_as_acceptor

from wardlight_edge.dicom.admission import Grant, Refusal
from wardlight_edge.dicom.pdu import AbortReason, PduError, PduType
from wardlight_shared.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
VERIFICATION: Final = "1.2.840.10008.1.1"
IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_TITLES: Final = (4, 20)  # PS3.8, 9.3.2: called and calling AE title
_TITLE_BYTES: Final = 16
_LEAST_PDU: Final = 64
_UNLIMITED_PDU: Final = 128 * 1024
# PS3.6, table A-1, retired: old modalities send what was the standard when they were built.
RETIRED_STORAGE: Final = frozenset(
    "1.2.840.10008.5.1.4.1.1." + end
    for end in (
        "3", "5", "6", "8", "9", "9.1", "10", "11", "12.3", "77.1", "77.2",
        "88.1", "88.2", "88.3", "88.4", "129",
    )
)  # fmt: skip
_FURTHER_SYNTAXES: Final = frozenset(
    {
        "1.2.840.10008.1.2.1.98",  # Encapsulated Uncompressed
        *(f"1.2.840.10008.1.2.4.{end}" for end in (52, 53, 54, 55, 56, *range(58, 67))),  # retired
    }
)
# What pynetdicom raises for octets that are no request: its readers trust what they read.
_MALFORMED: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    StructError,
    TypeError,
    ValueError,
)


class Proposal(msgspec.Struct, frozen=True):
    """A request for an association.

    max_pdu   largest PDU that the requestor takes
    contexts  what it proposes, in order, one for each id
    roles     by SOP class: whether it would be SCU, SCP
    """

    calling_ae: str
    called_ae: str
    application_context: str
    protocol_version: int
    max_pdu: int
    contexts: tuple[PresentationContext, ...]
    roles: dict[str, tuple[bool | None, bool | None]]


class Agreed(msgspec.Struct, frozen=True):
    """A presentation context that was accepted. ``is_storage``: objects may be stored by it."""

    abstract_syntax: str
    transfer_syntax: str
    is_storage: bool = False


class Acceptable:
    """What is taken: storage classes with every transfer syntax, services with the native two.

    Storage classes of objects without a patient (palettes, templates, protocols) are not among.
    """

    def __init__(self, private_storage: Iterable[str], services: Iterable[str]) -> None:
        standard = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
        self.storage = frozenset(standard | RETIRED_STORAGE | set(private_storage))
        self.services = frozenset(services) - self.storage
        self._of_storage = frozenset(map(str, ALL_TRANSFER_SYNTAXES)) | _FURTHER_SYNTAXES

    def transfer_syntaxes(self, abstract_syntax: str, grant: Grant) -> frozenset[str]:
        """Those that this peer may use with a SOP class; none = the class is refused.

        Whoever is admitted may ask whether the gateway is there.
        """
        is_granted = grant.sop_classes is None or abstract_syntax in grant.sop_classes
        if not is_granted and abstract_syntax != VERIFICATION:
            return frozenset()
        if abstract_syntax in self.services:
            return frozenset({IMPLICIT, EXPLICIT})
        return self._of_storage if abstract_syntax in self.storage else frozenset()


def decode_request(body: memoryview) -> Proposal:
    """The body of an A-ASSOCIATE-RQ."""
    pdu = A_ASSOCIATE_RQ()
    try:
        octets = _without_nul(bytes(body))
        pdu.decode(bytes((PduType.ASSOCIATE_RQ, 0)) + len(octets).to_bytes(4, "big") + octets)
        primitive = pdu.to_primitive()
        return _proposal(pdu, primitive)
    except _MALFORMED as error:
        raise PduError(
            f"the request of an association is malformed ({type(error).__name__})",
            AbortReason.INVALID_PARAMETER,
        ) from error


def _without_nul(body: bytes) -> bytes:
    """AE titles that are padded with NUL, as some senders do, padded with spaces (PS3.5, 6.2)."""
    titles = (body[at : at + _TITLE_BYTES] for at in _TITLES)
    spaced = (title.rstrip(b"\0 ").ljust(len(title)) for title in titles)
    return body[: _TITLES[0]] + b"".join(spaced) + body[_TITLES[1] + _TITLE_BYTES :]


def _proposal(pdu: A_ASSOCIATE_RQ, primitive: A_ASSOCIATE) -> Proposal:
    information = primitive.user_information
    roles = [item for item in information if isinstance(item, SCP_SCU_RoleSelectionNegotiation)]
    contexts: dict[int | None, PresentationContext] = {}
    for context in primitive.presentation_context_definition_list:
        contexts.setdefault(context.context_id, context)  # an id that comes twice: the first counts
    return Proposal(
        calling_ae=primitive.calling_ae_title.strip(),
        called_ae=primitive.called_ae_title.strip(),
        application_context=str(primitive.application_context_name or ""),
        protocol_version=int(pdu.protocol_version),
        max_pdu=_max_pdu(primitive.maximum_length_received or 0),
        contexts=tuple(contexts.values()),
        roles={str(item.sop_class_uid): (item.scu_role, item.scp_role) for item in roles},
    )


def _max_pdu(announced: int) -> int:
    """0 is no bound (D.1); what is absurdly small would make a PDU of every few octets."""
    return max(_LEAST_PDU, min(announced or _UNLIMITED_PDU, _UNLIMITED_PDU))


def accept(
    proposal: Proposal, acceptable: Acceptable, grant: Grant, max_pdu: int
) -> tuple[Mapping[int, Agreed], bytes]:
    """The contexts by id, and the A-ASSOCIATE-AC."""
    results: list[PresentationContext] = []
    roles: dict[str, SCP_SCU_RoleSelectionNegotiation] = {}
    for context in proposal.contexts:
        result, role = _negotiated(context, acceptable, grant, proposal.roles)
        results.append(result)
        roles.update((str(each.sop_class_uid), each) for each in role)
    agreed = {
        int(each.context_id or 0): Agreed(
            str(each.abstract_syntax),
            str(each.transfer_syntax[0]),
            is_storage=str(each.abstract_syntax) in acceptable.storage,
        )
        for each in results
        if each.result == 0
    }
    return agreed, _acceptance(proposal, results, list(roles.values()), max_pdu)


def _negotiated(
    context: PresentationContext,
    acceptable: Acceptable,
    grant: Grant,
    roles: Mapping[str, tuple[bool | None, bool | None]],
) -> tuple[PresentationContext, list[SCP_SCU_RoleSelectionNegotiation]]:
    syntax = str(context.abstract_syntax)
    taken = acceptable.transfer_syntaxes(syntax, grant)
    wanted = [each for each in context.transfer_syntax if str(each) in taken]
    wanted.sort(key=lambda each: (str(each) == _BIG_ENDIAN, str(each) == IMPLICIT))
    # Without a common syntax any other one: pynetdicom then says which of the two was the reason.
    own = build_context(syntax, [*wanted] or [*sorted(taken)]) if taken else None
    if own is not None:
        own.scu_role, own.scp_role = True, False
    results, replies = negotiate_as_acceptor(
        [context],
        [] if own is None else [own],
        {UID(syntax): roles[syntax]} if syntax in roles else {},
    )
    return results[0], replies


def _acceptance(
    proposal: Proposal,
    results: list[PresentationContext],
    roles: list[SCP_SCU_RoleSelectionNegotiation],
    max_pdu: int,
) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT
    primitive.calling_ae_title = proposal.calling_ae
    primitive.called_ae_title = proposal.called_ae
    primitive.result = 0
    primitive.result_source = 1
    primitive.presentation_context_definition_results_list = results
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    version = ImplementationVersionNameNotification()
    length.maximum_length_received = max_pdu
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version.implementation_version_name = IMPLEMENTATION_VERSION
    primitive.user_information = [length, implementation, version, *roles]
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def rejection(refusal: Refusal) -> bytes:
    """The A-ASSOCIATE-RJ."""
    primitive = A_ASSOCIATE()
    primitive.result = refusal.result
    primitive.result_source = refusal.source
    primitive.diagnostic = refusal.diagnostic
    pdu = A_ASSOCIATE_RJ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())
