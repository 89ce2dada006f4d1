"""TLS: dcmtk's echo and query, its storescp as destination, retrieval by pynetdicom.

(dcmtk's movescu and getscu know no TLS.) Who shows no certificate, or another one, gets nothing.
"""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt

from support.dicom_files import bundled, dataset_of
from support.dicom_process import LOOPBACK, DicomServer, dicom_server, store_scp
from support.dicom_tls import TlsAuthority, TlsPeer
from support.image_stock import image_stock
from support.postgres import FreshDatabase
from support.store import SCHEMA
from wardlight_cloud.config import Settings
from wardlight_cloud.dimse.entity import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from wardlight_cloud.store.forwarding import DicomNode
from wardlight_cloud.store.open import open_store
from wardlight_lab.modality.association import associate

CT = dataset_of(bundled("CT_small.dcm"))
KEYS = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={CT.StudyInstanceUID}")


async def test_all_of_it_over_tls(fresh_database: FreshDatabase, tmp_path: Path) -> None:
    authority = TlsAuthority(tmp_path)
    ours, peer, target, other = map(authority.peer, ("ours", "peer", "target", "other"))
    settings = Settings.model_validate(
        {"data_dir": tmp_path, "database": {"dsn": await fresh_database(SCHEMA)}}
    )
    received = tmp_path / "received"
    received.mkdir()
    store = await open_store(settings)
    async with image_stock(store, settings) as stock:
        await stock.add(bundled("CT_small.dcm"))
    lines = (
        f'cert_file = "{ours.certificate}"\nkey_file = "{ours.key}"\nca_file = "{ours.authority}"\n'
    )
    async with (
        store_scp(received, *target.dcmtk(), "+xa") as port,
        dicom_server(settings, options=peer.dcmtk(), lines=lines) as server,
    ):
        await store.put_node(DicomNode("PEER", LOOPBACK, fingerprint=peer.fingerprint))
        await store.put_node(DicomNode("TARGET", LOOPBACK, port, tls=True))
        assert (await server.asked("echoscu")).code == 0
        found = await server.asked("findscu", "-v", "-S", *KEYS)
        assert found.text.count("(Pending)") == 1
        assert await asyncio.to_thread(retrieved, server.port, peer) == (0, 0, [CT.SOPInstanceUID])
        await nothing_for_others(server, other.dcmtk())
    await store.close()
    assert len(files_in(received)) == 1


def retrieved(port: int, peer: TlsPeer) -> tuple[int, int, list[str]]:
    """Statuses of a C-MOVE to TARGET and of a C-GET, and what the latter brought."""
    wanted = Dataset()
    wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", CT.StudyInstanceUID
    context = ssl.create_default_context(cafile=str(peer.authority))
    context.load_cert_chain(str(peer.certificate), str(peer.key))
    got: list[str] = []

    def keep(event: Any) -> int:
        got.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    entity = AE("PEER")
    for uid in (STUDY_ROOT_MOVE, STUDY_ROOT_GET, CT.SOPClassUID):
        entity.add_requested_context(uid)
    assoc = associate(entity,
        LOOPBACK, port, ae_title="WARDLIGHT", tls_args=(context, LOOPBACK),
        ext_neg=[build_role(CT.SOPClassUID, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )  # fmt: skip
    assert assoc.is_established
    *_, (moved, _) = list(assoc.send_c_move(wanted, "TARGET", STUDY_ROOT_MOVE))
    *_, (fetched, _) = list(assoc.send_c_get(wanted, STUDY_ROOT_GET))
    assoc.release()
    return moved.Status, fetched.Status, got


async def nothing_for_others(server: DicomServer, certificate: tuple[str, ...]) -> None:
    """Another certificate of the same authority, none at all, and one who never shakes hands."""
    with socket.create_connection((LOOPBACK, server.port)):
        wrong = DicomServer(server.process, server.port, server.log, certificate)
        refused = await wrong.asked("echoscu")
        assert "Calling AE Title Not Recognized" in refused.text
        plain = DicomServer(server.process, server.port, server.log)
        assert (await plain.asked("echoscu", "-ta", "3")).code != 0
        assert (await server.asked("echoscu")).code == 0


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())
