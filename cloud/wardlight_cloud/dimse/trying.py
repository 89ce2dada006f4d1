"""Whether the target of a forwarding rule answers; nothing is sent to it."""

import http.client
from collections.abc import Mapping

from pynetdicom import build_context

from wardlight_cloud.config import DicomSettings
from wardlight_cloud.dimse.entity import VERIFICATION, Entity
from wardlight_cloud.dimse.peer_library import quieten
from wardlight_cloud.dimse.stow import StowClient
from wardlight_cloud.store.forwarding import DicomNode, ForwardTarget
from wardlight_shared.errors import ConfigError

_TIMEOUT_S = 30.0


def answer_of(
    target: ForwardTarget, nodes: Mapping[str, DicomNode], settings: DicomSettings
) -> tuple[bool, str]:
    """Whether it would take something, as far as can be seen, and a line that says so."""
    if target.url is not None:
        return _of_service(target)
    node = nodes.get(target.ae_title or "")
    if node is None or node.port is None:
        return False, f"{target.ae_title}: not on the list of nodes, or without a port"
    return _of_node(node, settings)


def _of_node(node: DicomNode, settings: DicomSettings) -> tuple[bool, str]:
    quieten()
    try:
        assoc = Entity(settings).associated(node, [build_context(VERIFICATION)])
    except (ConfigError, OSError) as error:
        return False, f"{node.ae_title}: {error}"
    if not assoc.is_established:
        why = "refuses the association" if assoc.is_rejected else "does not answer"
        return False, f"{node.ae_title} {why}"
    try:
        status = assoc.send_c_echo().get("Status")
    except ValueError:  # it lets us in and has no Verification
        return True, f"{node.ae_title} lets us in"
    finally:
        assoc.release()
    if status != 0:
        return False, f"{node.ae_title} lets us in, and does not answer C-ECHO"
    return True, f"{node.ae_title} answers C-ECHO"


def _of_service(target: ForwardTarget) -> tuple[bool, str]:
    try:
        with StowClient(target, timeout_s=_TIMEOUT_S) as client:
            status = client.asked()
    except ConfigError as error:
        return False, str(error)
    except (OSError, http.client.HTTPException) as error:
        return False, f"{target.url}: no answer ({error})"
    is_refused = status in (401, 403, 404) or status >= 500
    return not is_refused, f"{target.url} answers a search with HTTP status {status}"
