"""Patient and Device rows to FHIR R4 resources (plain dicts: few rows, no hot path).

Source  R4 4.0.1 Patient, Device; PHD IG (device types, EUI-64 and Bluetooth identifiers, charge of
        the battery)
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.vocabulary import UCUM
from wardlight_cloud.store.base import DeviceRow, Gateway, Patient
from wardlight_shared import __version__
from wardlight_shared.codes import BY_WIRE

IDENTITY_SYSTEM: Final = "urn:wardlight:device-identity"
GATEWAY_SYSTEM: Final = "urn:wardlight:gateway"
_EUI_64: Final = "urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680"
BLUETOOTH_SYSTEM: Final = "http://hl7.org/fhir/sid/eui-48/bluetooth"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MDC: Final = "urn:iso:std:iso:11073:10101"
_PHD_TYPE: Final = {"system": MDC, "code": "65573", "display": "MDC_MOC_VMS_MDS_SIMP"}
_PHG_TYPE: Final = {"system": MDC, "code": "531981", "display": "MDC_MOC_VMS_MDS_AHD"}
_SOFTWARE_TYPE: Final = {
    "coding": [{"system": "http://snomed.info/sct", "code": "706689003"}],
    "text": "Application program software",
}
COLLECTOR_ID: Final = "software-collector"
SOFTWARE_SYSTEM: Final = "urn:wardlight:software"
_CHARGE: Final = {"system": MDC, "code": "67996", "display": "MDC_ATTR_VAL_BATT_CHARGE"}
TIME_SYNC: Final = {"system": MDC, "code": "68220", "display": "MDC_TIME_SYNC_PROTOCOL"}
NO_SYNC: Final = {"system": MDC, "code": "532224", "display": "MDC_TIME_SYNC_NONE"}
_REGULATION: Final = {
    "system": "http://hl7.org/fhir/uv/phd/CodeSystem/ASN1ToHL7", "code": "532354.0",
}  # fmt: skip
_YES_NO: Final = "http://terminology.hl7.org/CodeSystem/v2-0136"
_STATUS_REASON: Final = "http://terminology.hl7.org/CodeSystem/device-status-reason"
# Source  ISO/IEEE 11073-10101, MDC_DEV_SPEC_PROFILE_* (partition 8)
_SPECIALIZATIONS: Final = {
    "spo2": ("528388", "MDC_DEV_SPEC_PROFILE_PULS_OXIM"),
    "ecg_lead_i": ("528390", "MDC_DEV_SPEC_PROFILE_MIN_ECG"),
    "systolic_bp": ("528391", "MDC_DEV_SPEC_PROFILE_BP"),
    "body_temperature": ("528392", "MDC_DEV_SPEC_PROFILE_TEMP"),
    "body_weight": ("528399", "MDC_DEV_SPEC_PROFILE_SCALE"),
    "glucose": ("528401", "MDC_DEV_SPEC_PROFILE_GLUCOSE"),
    "inr": ("528402", "MDC_DEV_SPEC_PROFILE_COAG"),
    "body_fat": ("528404", "MDC_DEV_SPEC_PROFILE_BCA"),
    "pef": ("528405", "MDC_DEV_SPEC_PROFILE_PEAK_FLOW"),
}
_LINK_REASON: Final = {
    "ok": "online", "connected": "online", "waiting": "standby", "connecting": "standby",
    "lost": "offline", "absent": "offline", "removed": "off",
}  # fmt: skip
LAST_SEEN_EXTENSION: Final = "urn:wardlight:fhir:last-seen"
CALIBRATION_EXTENSION: Final = "urn:wardlight:fhir:calibration-due"
_SOFTWARE_VERSION: Final = {
    "coding": [{"system": MDC, "code": "531975", "display": "MDC_ID_PROD_SPEC_SW"}]
}
_VERSIONS: Final = (
    ("hardware_revision", "531974", "MDC_ID_PROD_SPEC_HW"),
    ("software_revision", "531975", "MDC_ID_PROD_SPEC_SW"),
    ("firmware_revision", "531976", "MDC_ID_PROD_SPEC_FW"),
    ("continua_version", "532352", "MDC_REG_CERT_DATA_CONTINUA_VERSION"),
)


def _meta(version: str, updated: datetime) -> dict[str, str]:
    return {"versionId": version, "lastUpdated": instant(updated)}


def patient_resource(patient: Patient) -> dict[str, Any]:
    """One Patient."""
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "id": str(patient.patient_id),
        "meta": _meta(str(patient.commit_seq), patient.updated_at),
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
    if kind == "ble" and address:
        identifiers.append({"system": BLUETOOTH_SYSTEM, "value": _dashed(address)})
    if system_id := device.info.get("system_id"):
        identifiers.append({"system": _EUI_64, "value": _dashed(system_id)})
    return identifiers


def device_version(device: DeviceRow) -> tuple[str, datetime]:
    """Version of the resource and when it came to be.

    The register's version does not move when a device is seen; the resource shows when that was.
    """
    updated = max(device.updated_at, device.last_stored_at or device.updated_at)
    if device.last_seen_at is None:
        return str(device.commit_seq), updated
    seen_ms = (device.last_seen_at - _EPOCH) // timedelta(milliseconds=1)
    return f"{device.commit_seq}-{seen_ms}", updated


def _status(device: DeviceRow) -> str:
    if device.link == "removed":  # by an operator of its gateway
        return "inactive"
    # In the register, but no gateway has ever spoken of it.
    is_known = device.link is not None or device.last_seen_at is not None
    return "active" if is_known else "unknown"


def _told_of(device: DeviceRow) -> list[dict[str, str]]:
    """Days and instants: a property of R4 takes quantities and codes only."""
    seen, due = device.last_seen_at, device.calibration_due
    told = [] if seen is None else [{"url": LAST_SEEN_EXTENSION, "valueInstant": instant(seen)}]
    if due is not None:
        told.append({"url": CALIBRATION_EXTENSION, "valueDate": due.isoformat()})
    return told


def _properties(device: DeviceRow) -> list[dict[str, Any]]:
    """Charge; no synchronised clock; regulated or not (PHD IG: "Y" says that it is not)."""
    made: list[dict[str, Any]] = [
        {"type": {"coding": [TIME_SYNC]}, "valueCode": [{"coding": [NO_SYNC]}]}
    ]
    regulated = {"yes": "N", "no": "Y"}.get(device.info.get("regulated", ""))
    if regulated is not None:
        code = {"system": _YES_NO, "code": regulated}
        kind = {"coding": [_REGULATION], "text": "regulation-status"}
        made.append({"type": kind, "valueCode": [{"coding": [code]}]})
    if device.battery_percent is not None:
        charge = {"value": device.battery_percent, "unit": "%", "system": UCUM, "code": "%"}
        made.append({"type": {"coding": [_CHARGE]}, "valueQuantity": [charge]})
    return made


def _status_reasons(device: DeviceRow) -> list[dict[str, Any]]:
    """How its link is, as far as R4 has a word for it."""
    code = None if device.link is None else _LINK_REASON.get(device.link, "not-ready")
    return (
        [{"coding": [{"system": _STATUS_REASON, "code": code}], "text": device.link}]
        if code
        else []
    )


def _specializations(metrics: Iterable[int]) -> list[dict[str, Any]]:
    """What kind of device it is, by what it has measured; its version is not told."""
    names = {BY_WIRE[metric].name for metric in metrics if metric in BY_WIRE}
    found = [
        coding
        for name, coding in _SPECIALIZATIONS.items()
        if any(each == name or each.startswith(f"{name}_") for each in names)
    ]
    return [
        {"systemType": {"coding": [{"system": MDC, "code": code, "display": display}]}}
        for code, display in found
    ]


def device_resource(
    device: DeviceRow, patient_id: str | None = None, metrics: Iterable[int] = ()
) -> dict[str, Any]:
    """One sensor (PHD); ``metrics``: wire numbers of what it has measured."""
    info = device.info
    names = [
        {"name": info[key], "type": kind}
        for key, kind in (("model", "model-name"),)
        if info.get(key)
    ]
    versions = [
        {"type": {"coding": [{"system": MDC, "code": code, "display": name}]}, "value": info[key]}
        for key, code, name in _VERSIONS
        if info.get(key)
    ]
    resource: dict[str, Any] = {
        "resourceType": "Device",
        "id": str(device.device_id),
        "meta": _meta(*device_version(device)),
        "extension": _told_of(device),
        "identifier": _identifiers(device),
        "udiCarrier": [{"carrierHRF": info["udi"]}] if info.get("udi") else [],
        "status": _status(device),
        "statusReason": _status_reasons(device),
        "manufacturer": info.get("manufacturer"),
        "serialNumber": info.get("serial_number"),
        "modelNumber": info.get("model"),
        "deviceName": names,
        "type": {"coding": [_PHD_TYPE]},
        "specialization": _specializations(metrics),
        "version": versions,
        "property": _properties(device),
        "patient": {"reference": f"Patient/{patient_id}"} if patient_id else None,
        "parent": {"reference": f"Device/gateway-{device.gateway}"} if device.gateway else None,
    }
    return {key: value for key, value in resource.items() if value not in (None, "", [])}


def gateway_updated(gateway: Gateway) -> datetime:
    """When what its resource says came to be."""
    return gateway.state_at or gateway.enrolled_at


def gateway_resource(gateway: Gateway) -> dict[str, Any]:
    """One gateway (PHG)."""
    return {
        "resourceType": "Device",
        "id": f"gateway-{gateway.gateway}",
        "meta": {"lastUpdated": instant(gateway_updated(gateway))},
        "identifier": [{"system": GATEWAY_SYSTEM, "value": gateway.gateway}],
        "status": "active" if gateway.enabled else "inactive",
        "statusReason": [
            {
                "coding": [
                    {
                        "system": _STATUS_REASON,
                        "code": "online" if gateway.online else "offline",
                    }
                ]
            }
        ],
        "manufacturer": "Wardlight",
        "deviceName": [{"name": "Wardlight gateway", "type": "user-friendly-name"}],
        "type": {"coding": [_PHG_TYPE]},
        "specialization": [{"systemType": {"coding": [_PHG_TYPE], "text": "PHD gateway"}}],
        "version": [{"type": _SOFTWARE_VERSION, "value": gateway.software or "unknown"}],
    }


def collector_resource() -> dict[str, Any]:
    """The software that takes what gateways send and makes resources of it."""
    return {
        "resourceType": "Device",
        "id": COLLECTOR_ID,
        "identifier": [{"system": SOFTWARE_SYSTEM, "value": "collector"}],
        "status": "active",
        "manufacturer": "Wardlight",
        "deviceName": [{"name": "Wardlight collector", "type": "user-friendly-name"}],
        "type": _SOFTWARE_TYPE,
        "version": [{"type": _SOFTWARE_VERSION, "value": __version__}],
    }
