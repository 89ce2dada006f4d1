"""Storage commitment by pynetdicom: stored, asked, killed, receipted, reported."""

import ssl
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from support.dicom_services import ImagingProcess
from support.modality import Modality, Told
from support.waiting import wait_until_sync
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_edge.spool.base import ItemState
from wardlight_edge.spool.commitments import CommitmentTable

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(scope="module")
def modality() -> Iterator[Modality]:
    made = Modality("CT1")
    yield made
    made.close()


@pytest.fixture(scope="module")
def imaging(
    modality: Modality, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ImagingProcess]:
    process = ImagingProcess(
        tmp_path_factory.mktemp("commitment"),
        f"""
min_free_bytes = 0
[dicom.commitment]
first_retry_s = 0.2
last_retry_s = 0.5
[[dicom.peer]]
calling_ae = "CT1"
networks = ["127.0.0.1"]
report_host = "127.0.0.1"
report_port = {modality.port}
[[dicom.peer]]
calling_ae = "US1"
networks = ["127.0.0.1"]
""",
    )
    process.start()
    modality.gateway_port = process.port
    yield process
    process.stop()


def _deliver(imaging: ImagingProcess, *uids: str, reason: str | None = None) -> None:
    """Receipts for all items of these instances that wait for one."""
    _answer(imaging, ItemState.WAITING, *uids, said=ItemState.DELIVERED, reason=reason)


def _confirm(imaging: ImagingProcess, *uids: str) -> None:
    """The collector is asked about these instances, which it had, and has them still."""
    _answer(imaging, ItemState.ASKED, *uids, said=ItemState.DELIVERED)


def _answer(
    imaging: ImagingProcess,
    state: ItemState,
    *uids: str,
    said: ItemState,
    reason: str | None = None,
) -> None:
    with imaging.uplink() as spool:
        items = spool.waiting(limit=1000, state=state)
        numbers = [item.item for item in items if item.about["sop_instance"] in uids]
        assert numbers
        spool.settle(numbers, said, reason)


def _report(modality: Modality, transaction: str) -> Told | None:
    return wait_until_sync(lambda: modality.report_of(transaction), 60, "a report")


def test_a_report_waits_for_all_receipts(imaging: ImagingProcess, modality: Modality) -> None:
    one, two = generate_uid(), generate_uid()
    assert modality.store(one) == modality.store(two) == 0
    transaction, status = modality.ask_commitment(one, two)
    assert status == 0
    assert modality.ask_commitment(one, two, transaction=transaction)[1] == 0
    assert modality.ask_commitment(one, transaction=transaction)[1] == 0x0115
    _deliver(imaging, one)
    probe, _ = modality.ask_commitment(one)
    _confirm(imaging, one)
    assert _report(modality, probe) == (1, [one], {})
    assert modality.report_of(transaction) is None
    _deliver(imaging, two)
    assert _report(modality, transaction) == (1, [one, two], {})


def test_a_kill_between_request_and_report_changes_nothing(
    imaging: ImagingProcess, modality: Modality
) -> None:
    uid = generate_uid()
    assert modality.store(uid) == 0
    transaction, status = modality.ask_commitment(uid)
    assert status == 0
    imaging.kill()
    _deliver(imaging, uid)
    assert modality.report_of(transaction) is None
    imaging.start()
    modality.gateway_port = imaging.port
    assert _report(modality, transaction) == (1, [uid], {})


def test_failures_are_named(imaging: ImagingProcess, modality: Modality) -> None:
    good, other, aside, unknown = (generate_uid() for _ in range(4))
    for uid in (good, other, aside):
        assert modality.store(uid) == 0
    transaction, _ = modality.ask_commitment(good, unknown, aside)
    _deliver(imaging, good, other)
    _deliver(imaging, aside, reason="set aside: parse")
    wrong, _ = modality.ask_commitment(other, sop_class=CT)
    assert _report(modality, transaction) == (2, [good], {unknown: 0x0112, aside: 0x0110})
    assert _report(modality, wrong) == (2, [], {other: 0x0119})


def test_a_receipt_of_before_the_request_is_no_word_on_now(
    imaging: ImagingProcess, modality: Modality
) -> None:
    """The collector is asked again: it may have lost the object since; a kill forgets nothing."""
    uid, kept = generate_uid(), generate_uid()
    assert modality.store(uid) == modality.store(kept) == 0
    _deliver(imaging, uid, kept)
    transaction, _ = modality.ask_commitment(uid, kept)
    probe, _ = modality.ask_commitment(generate_uid())
    _report(modality, probe)
    assert modality.report_of(transaction) is None, "the link is down: nothing is said"
    imaging.kill()
    imaging.start()
    modality.gateway_port = imaging.port
    _confirm(imaging, kept)
    _answer(imaging, ItemState.ASKED, uid, said=ItemState.DAMAGED, reason="it is there no more")
    assert _report(modality, transaction) == (2, [kept], {uid: 0x0110})
    assert modality.store(uid) == 0
    again, _ = modality.ask_commitment(uid)
    _deliver(imaging, uid)
    assert _report(modality, again) == (1, [uid], {})


def test_a_conflict_is_safe_only_when_both_files_are(
    imaging: ImagingProcess, modality: Modality
) -> None:
    uid = generate_uid()
    assert modality.store(uid, "one") == 0
    _deliver(imaging, uid)
    assert modality.store(uid, "two") == 0
    transaction, _ = modality.ask_commitment(uid)
    _confirm(imaging, uid)
    probe, _ = modality.ask_commitment(generate_uid())
    _report(modality, probe)
    assert modality.report_of(transaction) is None
    _deliver(imaging, uid)
    assert _report(modality, transaction) == (1, [uid], {})


def test_a_report_that_is_not_taken_comes_again(
    imaging: ImagingProcess, modality: Modality
) -> None:
    uid = generate_uid()
    modality.refusing = True
    assert modality.store(uid) == 0
    transaction, _ = modality.ask_commitment(uid)
    _deliver(imaging, uid)

    def times() -> int:
        return sum(told.TransactionUID == transaction for _, told in modality.reports)

    wait_until_sync(lambda: times() >= 2, 60)
    modality.refusing = False
    taken = times()
    wait_until_sync(lambda: times() > taken, 60)
    assert _report(modality, transaction) == (1, [uid], {})


def test_a_report_comes_on_the_association_that_is_kept_open(
    imaging: ImagingProcess, modality: Modality
) -> None:
    """And what is not due while it is open comes on one of the gateway's own."""
    here, later = generate_uid(), generate_uid()
    with modality.one_association():
        assert modality.store(here) == modality.store(later) == 0
        transaction, _ = modality.ask_commitment(here)
        unanswered, _ = modality.ask_commitment(later)
        _deliver(imaging, here)
        wait_until_sync(lambda: modality.report_of(transaction, modality.reports_here), 60)
        assert modality.store(generate_uid()) == 0, "the association goes on"
    _deliver(imaging, later)
    assert _report(modality, unanswered) == (1, [later], {})
    assert modality.report_of(transaction) is None, "once"


def test_who_has_no_address_is_told_at_once(imaging: ImagingProcess) -> None:
    stranger = Modality("US1")
    stranger.gateway_port = imaging.port
    stranger.selects_role = False
    try:
        assert stranger.ask_commitment(generate_uid())[1] == 0x0124
        action = Dataset()
        action.TransactionUID = generate_uid()
        assert stranger.act(action, 2) == 0x0123
        assert stranger.act(action, 1, "1.2.3") == 0x0112
    finally:
        stranger.close()


def test_who_selects_its_role_is_told_on_its_own_association_and_nowhere_else(
    imaging: ImagingProcess,
) -> None:
    """It has no address; what it does not wait for is given up, seen by people, and asked anew."""
    here, late = generate_uid(), generate_uid()
    asking = Modality("US1")
    asking.gateway_port = imaging.port
    try:
        with asking.one_association():
            assert asking.store(here) == asking.store(late) == 0
            transaction, status = asking.ask_commitment(here)
            assert status == 0
            _deliver(imaging, here)
            wait_until_sync(lambda: asking.report_of(transaction, asking.reports_here), 60)
            unheard, status = asking.ask_commitment(late)
            assert status == 0
        _deliver(imaging, late)
        wait_until_sync(lambda: _commitments(imaging).get("given-up") == 1, 60, "it is given up")
        with asking.one_association():
            assert asking.ask_commitment(late, transaction=unheard) == (unheard, 0)
            _confirm(imaging, late)
            wait_until_sync(lambda: asking.report_of(unheard, asking.reports_here), 60)
        assert asking.report_of(unheard, asking.reports_here) == (1, [late], {})
        assert "given-up" not in _commitments(imaging)
        assert asking.reports == []
    finally:
        asking.close()


def _commitments(imaging: ImagingProcess) -> dict[str, int]:
    """How many requests are in which state."""
    with imaging.uplink() as spool:
        return CommitmentTable(spool.database, spool.sealer).counts()


def test_the_gateway_vouches_over_tls_where_the_site_says_so(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Edge custody needs no receipt; the report comes over TLS."""
    folder = tmp_path_factory.mktemp("edge-custody")
    authority = CertificateAuthority.open(folder / "pki")
    server = authority.ensure_server(["localhost"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(server.certificate, server.key)
    tls.load_verify_locations(server.authority)
    modality = Modality("CT1", tls=tls)
    imaging = ImagingProcess(
        folder,
        f"""
min_free_bytes = 0
[dicom.commitment]
custody = "edge"
[dicom.tls]
cert_file = "{server.certificate}"
key_file = "{server.key}"
ca_file = "{server.authority}"
require = false
[[dicom.peer]]
calling_ae = "CT1"
networks = ["127.0.0.1"]
report_host = "127.0.0.1"
report_port = {modality.port}
report_tls = true
""",
    )
    imaging.start()
    try:
        modality.gateway_port = imaging.port
        modality.connect_tls = authority_context(authority)
        uid = generate_uid()
        assert modality.store(uid) == 0
        transaction, status = modality.ask_commitment(uid, generate_uid())
        assert status == 0
        event, committed, failed = _report(modality, transaction) or (0, [], {})
        assert (event, committed, list(failed.values())) == (2, [uid], [0x0112])
    finally:
        modality.close()
        imaging.stop()


def authority_context(authority: CertificateAuthority) -> ssl.SSLContext:
    """Of a client that has no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority.certificate_file)
    return context
