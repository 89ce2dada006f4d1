"""Patient and Device rows to FHIR R4 resources (plain dicts: few rows, no hot path).

Source  R4 4.0.1 Patient, Device; PHD IG (device types, EUI-64 and Bluetooth identifiers)
"""

from typing import Any, Final

from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.store.base import DeviceRow, Gateway, Patient

IDENTITY_SYSTEM: Final = "urn:wardlight:device-identity"
GATEWAY_SYSTEM: Final = "urn:wardlight:gateway"
_EUI_64: Final = "urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680"
BLUETOOTH_SYSTEM: Final = "http://hl7.org/fhir/sid/eui-48/bluetooth"
_MDC: Final = "urn:iso:std:iso:11073:10101"
_PHD_TYPE: Final = {"system": _MDC, "code": "65573", "display": "MDC_MOC_VMS_MDS_SIMP"}
_PHG_TYPE: Final = {"system": _MDC, "code": "531981", "display": "MDC_MOC_VMS_MDS_AHD"}
_VERSIONS: Final = (
    ("hardware_revision", "531974", "MDC_ID_PROD_SPEC_HW"),
    ("software_revision", "531975", "MDC_ID_PROD_SPEC_SW"),
    ("firmware_revision", "531976", "MDC_ID_PROD_SPEC_FW"),
)


def _meta(commit_seq: int, updated: str) -> dict[str, str]:
    return {"versionId": str(commit_seq), "lastUpdated": updated}


def patient_resource(patient: Patient) -> dict[str, Any]:
    """One Patient."""
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "id": str(patient.patient_id),
        "meta": _meta(patient.commit_seq, instant(patient.updated_at)),
        "identifier": [{"system": s, "value": v} for s, v in patient.identifiers],
        "active": True,
        "name": _names(patient),
        "gender": patient.gender,
    }
    if patient.birth_date is not None:
        resource["birthDate"] = patient.birth_date.isoformat()
    return {key: value for key, value in resource.items() if value != []}


def _names(patient: Patient) -> list[dict[str, Any]]:
    # FHIR has no empty strings: what is not known is left out.
    family = {"family": patient.family} if patient.family else {}
    given = {"given": [patient.given]} if patient.given else {}
    return [{"use": "official", **family, **given}] if family or given else []


def _dashed(octets: str) -> str:
    return "-".join(octets[i : i + 2] for i in range(0, len(octets), 2))


def _identifiers(device: DeviceRow) -> list[dict[str, str]]:
    identifiers = [{"system": IDENTITY_SYSTEM, "value": device.identity}]
    kind, _, address = device.identity.partition(":")
    if kind == "ble":
        identifiers.append({"system": BLUETOOTH_SYSTEM, "value": _dashed(address)})
    if system_id := device.info.get("system_id"):
        identifiers.append({"system": _EUI_64, "value": _dashed(system_id)})
    return identifiers


def device_resource(device: DeviceRow, patient_id: str | None = None) -> dict[str, Any]:
    """One sensor (PHD)."""
    info = device.info
    names = [
        {"name": info[key], "type": kind}
        for key, kind in (("model", "model-name"),)
        if info.get(key)
    ]
    versions = [
        {"type": {"coding": [{"system": _MDC, "code": code, "display": name}]}, "value": info[key]}
        for key, code, name in _VERSIONS
        if info.get(key)
    ]
    resource: dict[str, Any] = {
        "resourceType": "Device",
        "id": str(device.device_id),
        "meta": _meta(device.commit_seq, instant(device.updated_at)),
        "identifier": _identifiers(device),
        "udiCarrier": [{"carrierHRF": info["udi"]}] if info.get("udi") else [],
        "status": "active",
        "manufacturer": info.get("manufacturer"),
        "serialNumber": info.get("serial_number"),
        "modelNumber": info.get("model"),
        "deviceName": names,
        "type": {"coding": [_PHD_TYPE]},
        "version": versions,
        "patient": {"reference": f"Patient/{patient_id}"} if patient_id else None,
    }
    return {key: value for key, value in resource.items() if value not in (None, "", [])}


def gateway_resource(gateway: Gateway) -> dict[str, Any]:
    """One gateway (PHG)."""
    updated = gateway.state_at or gateway.enrolled_at
    return {
        "resourceType": "Device",
        "id": f"gateway-{gateway.gateway}",
        "meta": {"lastUpdated": instant(updated)},
        "identifier": [{"system": GATEWAY_SYSTEM, "value": gateway.gateway}],
        "status": "active" if gateway.enabled else "inactive",
        "deviceName": [{"name": "Wardlight gateway", "type": "user-friendly-name"}],
        "type": {"coding": [_PHG_TYPE]},
        "version": [{"value": gateway.software}] if gateway.software else [{"value": "unknown"}],
    }
