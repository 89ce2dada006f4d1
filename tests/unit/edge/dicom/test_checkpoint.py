"""Reports go out on associations whose answers nothing takes away (dicom/checkpoint.py)."""

from support.modality import Modality
from wardlight_edge.dicom.checkpoint import Checkpoint
from wardlight_edge.dicom.commitment_report import Address, Reporter


def test_the_association_of_a_report_is_guarded() -> None:
    modality = Modality("CT1")
    try:
        address = Address("127.0.0.1", modality.port)
        reporter = Reporter(None, {"CT1": address})  # type: ignore[arg-type]
        made = reporter._associate("CT1", "WARDLIGHT")
        assert made is not None
        assert isinstance(vars(made)["_reactor_checkpoint"], Checkpoint)
        made.release()
        made.join(180)
    finally:
        modality.close()
