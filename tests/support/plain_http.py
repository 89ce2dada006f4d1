"""HTTP to servers of the tests, which speak without TLS.

httpx.AsyncClient(verify=PLAIN)

By itself httpx reads all authorities of the world for each client, which takes longer than what a
test asks; one that asks again and again whether a server is up would keep it from starting.
"""

import ssl
from typing import Final

PLAIN: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody: an address with https is refused."""
