"""An object whose file's meta information names another one, as programs that hide names leave it.

pydicom's rtplan.dcm is such a file. dcmtk's storescp refuses a C-STORE that names it wrongly.
"""

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from support.dicom_files import bundled, dataset_of
from support.dicom_process import LOOPBACK, store_scp
from support.waiting import wait_until
from wardlight_cloud.store.forwarding import DicomNode, ForwardRule, ForwardTarget

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAN = dataset_of(bundled("rtplan.dcm"))
IMPLICIT_ONLY = "+xi"  # the same file is read and written anew


def only_one_in(folder: Path) -> Dataset:
    (file,) = folder.iterdir()
    return dataset_of(file.read_bytes())


@pytest.mark.parametrize("options", [(), (IMPLICIT_ONLY,)])
async def test_it_is_moved_and_forwarded_by_its_own_name(
    site: Any, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert PLAN.file_meta.MediaStorageSOPInstanceUID != PLAN.SOPInstanceUID
    node = f"PLANS{len(options)}"  # where a node listens is remembered for some seconds
    stock = site.stock
    await stock.add(bundled("rtplan.dcm"))
    async with store_scp(tmp_path, *options, ae_title=node) as port:
        await stock.store.put_node(DicomNode(node, LOOPBACK, port, rights=()))
        moved = await site.server.asked(
            "movescu", "-v", "-S", "-aem", node,
            "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={PLAN.StudyInstanceUID}",
        )  # fmt: skip
        assert "Received Final Move Response (Success)" in moved.text, moved.text
        came = only_one_in(tmp_path)
        assert came.SOPInstanceUID == PLAN.SOPInstanceUID
        assert came.BeamSequence == PLAN.BeamSequence
        rule = ForwardRule("plans", "modality", "RTPLAN", ForwardTarget(node))
        await stock.store.put_rule(rule, from_beginning=True)

        async def has_come() -> bool:
            (status,) = await stock.store.forward_status()
            return bool(status.sent)

        await wait_until(has_come, 300, "it is forwarded")
        await stock.store.remove_rule("plans")
