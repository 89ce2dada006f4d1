"""Where the authorization server answers; the faces that announce it need no more of it than this.

Source  RFC 6749 3, RFC 7009 2, RFC 7662 2
"""

from typing import Final

AUTHORIZE: Final = "/oauth/authorize"
TOKEN: Final = "/oauth/token"  # noqa: S105 - a path
REVOKE: Final = "/oauth/revoke"
INTROSPECT: Final = "/oauth/introspect"
