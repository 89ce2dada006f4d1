"""Where a request that writes comes from: a browser says so, and other sites are to write nothing.

Source  RFC 6454 7; Fetch 3.2 (the Origin header)
"""

from urllib.parse import urlsplit

from starlette.requests import Request


def is_own(request: Request) -> bool:
    """Whether a request that writes comes from one of our own pages."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")
