"""Who asks on an association, for the record of who was given what of which study."""

from pynetdicom.association import Association

from wardlight_cloud.store.forwarding import DicomNode
from wardlight_cloud.store.image_reads import Reader


def caller_of(assoc: Association) -> Reader:
    """The calling AE title and the address that it came from."""
    return Reader("node", f"{assoc.requestor.ae_title.strip()}@{assoc.requestor.address}")


def receiver_at(node: DicomNode) -> Reader:
    """The destination of a C-MOVE or of a rule."""
    return Reader("node", f"{node.ae_title}@{node.host}")
