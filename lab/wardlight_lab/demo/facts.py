"""Where everything of a running demo is: for the ready file, and for the person who started it."""

import sys
from pathlib import Path
from shlex import quote
from typing import Any

from wardlight_lab.demo.folder import GATEWAY, USER, DemoFolder, Kept
from wardlight_lab.demo.imaging import CALLERS


def facts_of(folder: DemoFolder, kept: Kept) -> dict[str, Any]:
    """What the ready file says beside the process ids."""
    http = f"http://127.0.0.1:{kept.http_port}"
    return {
        "http": http,
        "fhir": f"{http}/fhir",
        "dicomweb": f"{http}/dicom-web",
        "token": kept.token,
        "user": USER,
        "password": kept.password,
        "mqtt": f"mqtts://127.0.0.1:{kept.mqtt_port}",
        "gateway": GATEWAY,
        "dicom_port": kept.dicom_port,
        "query_port": kept.query_port,
        "hl7_port": kept.hl7_port,
        "data_dir": str(folder.root),
    }


def welcome(folder: DemoFolder, facts: dict[str, Any]) -> str:
    """What the terminal shows when all is up."""
    edge = quote(str(Path(sys.executable).with_name("wardlight-edge")))
    return (
        f"\nWardlight is ready.\n"
        f"  dashboard  {facts['http']}  (user {facts['user']}, password {facts['password']})\n"
        f"  FHIR       {facts['fhir']}/Observation?category=vital-signs\n"
        f"             Authorization: Bearer {facts['token']}\n"
        f"  DICOMweb   {facts['dicomweb']}/studies, with the same token\n"
        f"  DICOM      WARDLIGHT on 127.0.0.1:{facts['dicom_port']}, for any AE title of this "
        "machine\n"
        f"  query      WARDLIGHT on 127.0.0.1:{facts['query_port']} (C-FIND, C-MOVE, C-GET), for\n"
        f"             {', '.join(CALLERS)}\n"
        f"  HL7        MLLP on 127.0.0.1:{facts['hl7_port']}\n"
        f"  gateway    {edge} status --config {quote(str(folder.edge_toml))}\n"
        f"  data       {folder.root}\n"
        "Not a medical device. The patients are invented."
    )
