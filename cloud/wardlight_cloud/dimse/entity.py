"""Our application entity: presentation contexts, associations that it asks for, TLS.

Source  PS3.4 B.5 and I (storage SOP classes), C.6 (Query/Retrieve), A (Verification); PS3.7 D.3
"""

import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final

from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from wardlight_cloud.config import DicomSettings
from wardlight_cloud.dimse.checkpoint import guard
from wardlight_cloud.dimse.requests import Root
from wardlight_cloud.dimse.sending import UNCOMPRESSED, pace
from wardlight_cloud.store.forwarding import DicomNode
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_shared.errors import ConfigError
from wardlight_shared.part10 import IMPLEMENTATION_CLASS_UID

MAX_PDU_BYTES: Final = 128 * 1024
_MOST_CONTEXTS: Final = 128  # PS3.8 9.3.2: odd numbers of one byte
VERIFICATION: Final = UID("1.2.840.10008.1.1")
PATIENT_ROOT_FIND: Final = UID("1.2.840.10008.5.1.4.1.2.1.1")
PATIENT_ROOT_MOVE: Final = UID("1.2.840.10008.5.1.4.1.2.1.2")
PATIENT_ROOT_GET: Final = UID("1.2.840.10008.5.1.4.1.2.1.3")
STUDY_ROOT_FIND: Final = UID("1.2.840.10008.5.1.4.1.2.2.1")
STUDY_ROOT_MOVE: Final = UID("1.2.840.10008.5.1.4.1.2.2.2")
STUDY_ROOT_GET: Final = UID("1.2.840.10008.5.1.4.1.2.2.3")
ROOTS: Final[dict[str, Root]] = {
    PATIENT_ROOT_FIND: "patient",
    PATIENT_ROOT_MOVE: "patient",
    PATIENT_ROOT_GET: "patient",
    STUDY_ROOT_FIND: "study",
    STUDY_ROOT_MOVE: "study",
    STUDY_ROOT_GET: "study",
}


class Entity(ApplicationEntity):
    """pynetdicom's AE with our limits; what it sends waits for the peer."""

    def __init__(self, settings: DicomSettings) -> None:
        super().__init__(settings.ae_title)
        self.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        self.implementation_version_name = "WARDLIGHT"
        self.maximum_pdu_size = MAX_PDU_BYTES
        self.maximum_associations = settings.max_associations
        self.require_called_aet = True
        self.acse_timeout = min(30.0, settings.idle_timeout_s)
        self.dimse_timeout = settings.idle_timeout_s
        self.network_timeout = settings.idle_timeout_s
        self.connection_timeout = 10.0
        self._tls = client_tls(settings)
        self._pace_s = settings.idle_timeout_s

    def support_retrieval(self) -> None:
        """Offer Verification and Query/Retrieve, and objects to those that come with C-GET.

        Uncompressed syntaxes come first: of one context that names several we take the one in
        which every object can be had.
        """
        self.add_supported_context(VERIFICATION)
        for uid in ROOTS:
            self.add_supported_context(uid)
        others = [each for each in ALL_TRANSFER_SYNTAXES if each not in UNCOMPRESSED]
        for context in AllStoragePresentationContexts:
            syntaxes = [*UNCOMPRESSED, *others]
            self.add_supported_context(
                str(context.abstract_syntax), syntaxes, scu_role=False, scp_role=True
            )

    def associated(
        self,
        node: DicomNode,
        contexts: list[PresentationContext],
        *,
        prepare: Callable[[Association], None] | None = None,
    ) -> Association:
        """An association with a node that can be called; the caller looks whether it stands."""
        named = self.calling(node, contexts)
        return self.associate(*destination(node), prepare=prepare, **named)

    def calling(self, node: DicomNode, contexts: list[PresentationContext]) -> dict[str, Any]:
        """What ``associate`` needs besides host and port."""
        named: dict[str, Any] = {"ae_title": node.ae_title, "contexts": contexts}
        if node.tls:
            if self._tls is None:
                raise ConfigError(f"{node.ae_title} wants TLS: set dicom.cert_file and the others")
            named["tls_args"] = (self._tls, node.host)
        return named

    def associate(
        self,
        *arguments: Any,
        prepare: Callable[[Association], None] | None = None,
        **named: Any,
    ) -> Association:
        """As pynetdicom's, with bounded memory for what is sent; ``prepare`` gets it first."""
        assoc = super().associate(*arguments, **named)
        if assoc.is_established:
            guard(assoc)
            pace(assoc, self._pace_s)
            if prepare is not None:
                prepare(assoc)
        elif (held := assoc.dul.socket) is not None and held.socket is not None:
            held.socket.close()  # pynetdicom leaves it open where the peer hung up
        return assoc


def destination(node: DicomNode) -> tuple[str, int]:
    """Where a node listens."""
    if node.port is None:
        raise ConfigError(f"{node.ae_title} has no port: it cannot be called")
    return node.host, node.port


def contexts_for(refs: Iterable[InstanceRef]) -> list[PresentationContext]:
    """Contexts to propose for these instances: each stored syntax, and uncompressed ones.

    One context names one stored syntax, so that what is accepted says what the peer takes.
    """
    pairs: dict[tuple[str, str], None] = {}
    for ref in refs:
        pairs.setdefault((ref.sop_class, ref.transfer_syntax))
    contexts: list[PresentationContext] = []
    for sop_class, syntax in pairs:
        contexts.append(build_context(sop_class, syntax))
    for sop_class in dict.fromkeys(each for each, _ in pairs):
        contexts.append(build_context(sop_class, list(UNCOMPRESSED)))
    return contexts[:_MOST_CONTEXTS]


def server_tls(settings: DicomSettings) -> ssl.SSLContext | None:
    """TLS of our port: callers show a certificate of the CA; the handshake delays nobody else."""
    if settings.cert_file is None:
        return None
    context = _PatientContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _with_files(context, settings)


def client_tls(settings: DicomSettings) -> ssl.SSLContext | None:
    """TLS for calls: the CA says who they are; AE titles, not names of hosts, are on the list."""
    if settings.cert_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    return _with_files(context, settings)


class _PatientContext(ssl.SSLContext):
    """The listener wraps a socket before it takes the next one: no handshake at that place."""

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        named["do_handshake_on_connect"] = False
        return super().wrap_socket(*arguments, **named)


def _with_files(context: ssl.SSLContext, settings: DicomSettings) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(str(settings.cert_file), str(settings.key_file))
        context.load_verify_locations(str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"dicom.cert_file, key_file or ca_file: cannot be used ({error.strerror or error})"
        ) from error
    return context
