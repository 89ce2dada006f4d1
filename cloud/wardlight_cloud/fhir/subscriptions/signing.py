"""What proves a notice: HMAC-SHA256 of its time and body, with a secret of the subscription.

    Wardlight-Timestamp: 1795500000                 seconds since 1970
    Wardlight-Signature: v1=<hex of HMAC-SHA256(secret, timestamp "." body)>

The secret is the text that the create answered with. It is made from a key of the database and is
nowhere kept; a new one is made by counting on.

Source  RFC 2104; RFC 5869 (a secret for each purpose from one key)
"""

import base64
import hashlib
import hmac
from typing import Final

TIMESTAMP: Final = "Wardlight-Timestamp"
SIGNATURE: Final = "Wardlight-Signature"
SECRET: Final = "Wardlight-Subscription-Secret"  # noqa: S105 - the name of a header
_PREFIX: Final = "wls_"


def secret(key: bytes, subscription_id: str, turn: int) -> str:
    """The secret of a subscription."""
    made = hmac.digest(key, f"{subscription_id}:{turn}".encode(), hashlib.sha256)
    return _PREFIX + base64.urlsafe_b64encode(made).decode().rstrip("=")


def signature(of_subscription: str, timestamp: int, body: bytes) -> str:
    """The value of the header."""
    signed = b"%d.%b" % (timestamp, body)
    return f"v1={hmac.new(of_subscription.encode(), signed, hashlib.sha256).hexdigest()}"
