"""Settings of imaging: the section ``[dicom]`` of edge.toml.

Errors  ConfigError: source, key and what to do
"""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from wardlight_shared.errors import ConfigError

_Port = Annotated[int, Meta(ge=0, le=65535)]
_Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_Bytes = Annotated[int, Meta(ge=0)]
_AeTitle = Annotated[str, Meta(pattern=r"\A[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?\Z")]
_Uid = Annotated[str, Meta(pattern=r"\A[0-9]+(\.[0-9]+)*\Z", max_length=64)]


class PeerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One sender that is admitted. What is not given is not looked at; ``networks`` always is.

    calling_ae   how it calls itself
    called_ae    how it must call the gateway; None = ``dicom.ae_title``
    networks     addresses or networks it may come from
    certificate  common name of its TLS certificate; such a peer is admitted over TLS only
    sop_classes  SOP classes it may use, of storage and of services, () = all; verification always
    quota_bytes  of the spool that it may fill, None = all
    report_host  where it takes reports of storage commitment; None = on the association of its
                 request only, where it selects its role
    report_port  its port; ``report_tls``: over TLS, with the certificate of ``dicom.tls``
    """

    calling_ae: _AeTitle
    called_ae: _AeTitle | None = None
    networks: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]
    certificate: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    sop_classes: Annotated[tuple[_Uid, ...], Meta(max_length=1024)] = ()
    quota_bytes: _Bytes | None = None
    report_host: Annotated[str, Meta(pattern=r"\A\S+\Z")] | None = None
    report_port: _Port = 104
    report_tls: bool = False


class WorklistSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The modality worklist that the gateway holds.

    stale_after_s  age from which it is too old; an age that is not known counts as that
    when_stale     answer and say so in the answers, or refuse
    """

    stale_after_s: Annotated[float, Meta(gt=0, le=30 * 86_400)] = 4 * 3600.0
    when_stale: Literal["mark", "refuse"] = "mark"


class CommitmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Storage commitment.

    custody        what a success says: the collector has it (its receipt is here), or this gateway
    deadline_s     what has no receipt by then is reported as failed
    give_up_s      a requester that did not take its report for so long after that is left alone
    first_retry_s  pause after a report that was not taken; it grows up to ``last_retry_s``
    """

    custody: Literal["cloud", "edge"] = "cloud"
    deadline_s: Annotated[float, Meta(gt=0, le=90 * 86_400)] = 3 * 86_400.0
    give_up_s: Annotated[float, Meta(gt=0, le=90 * 86_400)] = 7 * 86_400.0
    first_retry_s: _Seconds = 10.0
    last_retry_s: _Seconds = 1800.0


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """DICOM TLS (PS3.15 B), version 1.2 or newer.

    cert_file    certificate of the gateway for its modalities, with what lies above it
    key_file     its key, mode 0600
    ca_file      who signs certificates of modalities; without it none is asked for
    require      whether a modality must have one
    """

    cert_file: Path
    key_file: Path
    ca_file: Path | None = None
    require: bool = True


class DicomSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True,
                    rename={"peers": "peer"}):  # fmt: skip
    """The DICOM services of the gateway.

    ae_title                 how modalities call it
    peers                    who is admitted; nobody else is
    admit_loopback           admit any calling AE title from this machine: for demonstrations
    private_storage_classes  SOP classes taken beside the standard's
    max_pdu                  largest PDU that is announced
    max_associations         at a time; ``max_per_ae`` of them with one calling AE title
    artim_timeout_s          from the connection to the request of an association (PS3.8 9.1.4)
    idle_timeout_s           without any octet, of one that has asked for nothing but C-ECHO
    pause_timeout_s          the same between two requests of one that has asked for more
    pdu_timeout_s            of a PDU, from its first octet to its last
    max_object_bytes         an object that is larger is refused
    drain_timeout_s          a refused object is read to its end, so that the refusal can be told,
                             for this long at most
    quota_bytes              of encrypted files that wait
    min_free_bytes           of the disk that are left to vitals and the system
    keep_days                how long a delivered item is remembered
    worklist, commitment     see there
    """

    ae_title: _AeTitle = "WARDLIGHT"
    host: Annotated[str, Meta(pattern=r"\A\S+\Z")] = "127.0.0.1"
    port: _Port = 11112
    peers: Annotated[tuple[PeerSettings, ...], Meta(max_length=1024)] = ()
    admit_loopback: bool = False
    tls: TlsSettings | None = None
    private_storage_classes: Annotated[tuple[_Uid, ...], Meta(max_length=256)] = ()
    max_pdu: Annotated[int, Meta(ge=4096, le=262_144)] = 262_144
    max_associations: Annotated[int, Meta(ge=1, le=64)] = 16
    max_per_ae: Annotated[int, Meta(ge=1, le=64)] = 8
    artim_timeout_s: _Seconds = 5.0
    idle_timeout_s: _Seconds = 60.0
    pause_timeout_s: _Seconds = 900.0
    pdu_timeout_s: _Seconds = 60.0
    max_object_bytes: Annotated[int, Meta(ge=1 << 20)] = 8 << 30
    drain_timeout_s: _Seconds = 600.0
    quota_bytes: Annotated[int, Meta(ge=1 << 20)] = 32 << 30
    min_free_bytes: _Bytes = 1 << 30
    keep_days: Annotated[int, Meta(ge=1, le=3650)] = 14
    worklist: WorklistSettings = WorklistSettings()
    commitment: CommitmentSettings = CommitmentSettings()


def check(settings: DicomSettings, source: str) -> None:
    """What one key cannot say of itself. ConfigError names ``source`` and the peer."""
    _check_reports(settings, source)
    seen: set[tuple[str, str | None, str | None]] = set()
    for peer in settings.peers:
        _check_networks(peer, source)
        who = (peer.calling_ae, peer.called_ae, peer.certificate)
        if who in seen:
            raise ConfigError(f"{source}: dicom.peer {peer.calling_ae!r} is listed twice")
        seen.add(who)
        asks = settings.tls is not None and settings.tls.ca_file is not None
        if peer.certificate is not None and not asks:
            raise ConfigError(
                f"{source}: dicom.peer {peer.calling_ae!r} has a certificate: "
                "set dicom.tls with ca_file, or leave it out"
            )


def _check_reports(settings: DicomSettings, source: str) -> None:
    if settings.commitment.deadline_s > settings.keep_days * 86_400:
        raise ConfigError(
            f"{source}: dicom.commitment.deadline_s is beyond dicom.keep_days: what is no longer "
            "remembered cannot be reported"
        )
    places: dict[str, tuple[str, int]] = {}
    for peer in settings.peers:
        if peer.report_host is None:
            continue
        place = peer.report_host, peer.report_port
        if places.setdefault(peer.calling_ae, place) != place:
            raise ConfigError(
                f"{source}: dicom.peer {peer.calling_ae!r} has two report_host and report_port: "
                "reports go to an AE title, so it needs one place"
            )
        if peer.report_tls and (settings.tls is None or settings.tls.ca_file is None):
            raise ConfigError(
                f"{source}: dicom.peer {peer.calling_ae!r} has report_tls: "
                "set dicom.tls with ca_file"
            )


def _check_networks(peer: PeerSettings, source: str) -> None:
    for network in peer.networks:
        try:
            ip_network(network)
        except ValueError as error:
            raise ConfigError(
                f"{source}: dicom.peer {peer.calling_ae!r}: {network!r} is no address "
                "and no network"
            ) from error
