"""pydicom and pynetdicom set up for a service: no patient data in logs, files sent in pieces."""

import logging
from typing import Final

import pydicom.config
import pynetdicom._config

_SILENT: Final = logging.CRITICAL + 1


def quieten() -> None:
    """Set the switches that both libraries have for a whole process.

    Their log lines and warnings quote identifiers, values and tracebacks of data sets; what an
    operator needs is logged by us.
    """
    for name in ("pynetdicom", "pydicom"):
        logging.getLogger(name).setLevel(_SILENT)  # and with it those of its modules
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    pynetdicom._config.LOG_REQUEST_IDENTIFIERS = False
    pynetdicom._config.LOG_RESPONSE_IDENTIFIERS = False
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"
    pynetdicom._config.STORE_SEND_CHUNKED_DATASET = True
