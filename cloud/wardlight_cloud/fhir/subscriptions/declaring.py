"""What the CapabilityStatement says of Subscriptions: topics and operations.

Source  Subscriptions R5 Backport 1.1.0, CapabilityStatement backport-subscription-server-r4
"""

from typing import Any, Final

from wardlight_cloud.fhir.subscriptions.definition import TOPIC, TOPICS

_GUIDE: Final = "http://hl7.org/fhir/uv/subscriptions-backport"
_TOPIC: Final = f"{_GUIDE}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
_OPERATIONS: Final = {
    "status": "backport-subscription-status",
    "events": "backport-subscription-events",
    "get-ws-binding-token": "backport-subscription-get-ws-binding-token",
}

SUBSCRIBING: Final[dict[str, Any]] = {
    "extension": [{"url": _TOPIC, "valueCanonical": TOPIC + kind} for kind in TOPICS],
    "supportedProfile": [f"{_GUIDE}/StructureDefinition/backport-subscription"],
    "operation": [
        {"name": name, "definition": f"{_GUIDE}/OperationDefinition/{definition}"}
        for name, definition in _OPERATIONS.items()
    ],
}
"""Elements of its resource."""
