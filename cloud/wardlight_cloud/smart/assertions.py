"""Client assertions: a JWT that the client signed, which proves who it is, once.

Checked in this order, so that nothing costs before it must: length, header (algorithm, ``kid``),
the client it claims to be of, signature with one of that client's keys and that key's own
algorithm, claims, and last that its ``jti`` was not used before, in any process.

Errors  OAuthError invalid_client; which check failed is told, since the sentences hold nothing
        that the client has not sent, and its developer needs them
Source  RFC 7523 3; SMART App Launch 2.2, Client Authentication: Asymmetric
"""

import hashlib
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import jwt

from wardlight_cloud.smart.client_keys import ClientKeys
from wardlight_cloud.smart.errors import OAuthError
from wardlight_cloud.smart.key_fetching import KeysUnavailableError
from wardlight_cloud.smart.keys import ALGORITHMS, BadKeysError, PublicKey
from wardlight_cloud.store.authorization import ClientRow

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_S: Final = 300
SKEW_S: Final = 10
"""How far the clocks of client and server may differ."""
_BYTES_MAX: Final = 8 * 1024
_NAME_MAX: Final = 256
_LATEST: Final = 1 << 53  # seconds; beyond it floats are no whole numbers any more


class AssertionStore(Protocol):
    """What checking needs of the store."""

    async def client(self, name: str) -> ClientRow | None:
        """One client."""

    async def use_assertion(self, client: str, jti_sha256: bytes, *, lasts_s: int) -> bool:
        """Note an assertion's id; False when it was used before."""


class Assertions:
    """Checks assertions."""

    def __init__(
        self, store: AssertionStore, keys: ClientKeys, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock

    async def client(self, assertion: str, token_url: str, named: str | None) -> ClientRow:
        """The client that signed; ``named`` is the one of the request's client_id, if it has one.

        The assertion is used up.
        """
        name, header = _claimed(assertion)
        if named is not None and named != name:
            raise _invalid("client_id is another one than the assertion's sub")
        client = await self._store.client(name)
        if client is None or not client.has_keys:
            raise _invalid("no client of this name is registered with keys")
        try:
            keys = await self._keys.of(client, header.get("kid"))
        except (KeysUnavailableError, BadKeysError) as error:
            raise _invalid(str(error)) from error
        claims = self._checked(assertion, keys, header["alg"], name, token_url)
        await self._use(client, claims)
        return client

    def _checked(
        self, assertion: str, keys: tuple[PublicKey, ...], algorithm: str, name: str, url: str
    ) -> dict[str, Any]:
        usable = [key for key in keys if key.algorithm == algorithm]
        if not usable:
            raise _invalid("the client has no key with the assertion's kid and algorithm")
        for key in usable:
            try:
                claims = jwt.decode_complete(
                    assertion, key.key, algorithms=[key.algorithm], options=_SIGNATURE_ONLY
                )["payload"]
            except jwt.InvalidSignatureError:
                continue
            except jwt.PyJWTError as error:
                raise _invalid("the assertion cannot be read") from error
            self._check_claims(claims, name, url)
            return dict(claims)
        raise _invalid("the signature is not by a key of the client")

    def _check_claims(self, claims: dict[str, Any], name: str, url: str) -> None:
        now = self._clock()
        if claims.get("iss") != name or claims.get("sub") != name:
            raise _invalid("iss and sub must both be the client_id")
        audience = claims.get("aud")
        if audience not in (url, [url]):
            raise _invalid(f"aud must be {url}")
        expires = _instant(claims, "exp")
        if expires is None or expires + SKEW_S <= now:
            raise _invalid("exp is missing or has passed")
        if expires > now + LONGEST_S + SKEW_S:
            raise _invalid("exp may lie 5 minutes ahead at most")
        for each in ("nbf", "iat"):
            begins = _instant(claims, each)
            if each in claims and (begins is None or begins > now + SKEW_S):
                raise _invalid(f"{each} lies ahead, or is no instant")

    async def _use(self, client: ClientRow, claims: dict[str, Any]) -> None:
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 1 <= len(jti) <= _NAME_MAX:
            raise _invalid("jti must be a text of 1 to 256 characters")
        digest = hashlib.sha256(jti.encode("utf-8", "surrogatepass")).digest()
        lasts_s = LONGEST_S + 3 * SKEW_S
        if not await self._store.use_assertion(client.name, digest, lasts_s=lasts_s):
            raise _invalid("an assertion with this jti was used before")


_SIGNATURE_ONLY: Final[Any] = {
    "verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False,
    "verify_aud": False, "verify_iss": False, "verify_sub": False, "verify_jti": False,
}  # fmt: skip


def claimed_client(assertion: str) -> str:
    """The client that an assertion says it is of, proved by nothing; "" where it says none."""
    try:
        return _claimed(assertion)[0]
    except OAuthError:
        return ""


def _claimed(assertion: str) -> tuple[str, dict[str, Any]]:
    """The client that an assertion says it is of, and its header: not believed yet."""
    if not assertion.isascii() or len(assertion) > _BYTES_MAX:
        raise _invalid(f"an assertion has at most {_BYTES_MAX} characters of ASCII")
    try:
        told = jwt.decode_complete(assertion, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise _invalid("the assertion is not a JWT") from error
    header, name = told["header"], told["payload"].get("sub")
    if header.get("alg") not in ALGORITHMS:
        raise _invalid(f"sign with {' or '.join(ALGORITHMS)}")
    if header.get("crit") is not None:
        raise _invalid("crit is not supported")
    if not isinstance(header.get("kid", ""), str):
        raise _invalid("kid must be a text")
    if not isinstance(name, str) or not 1 <= len(name) <= _NAME_MAX:
        raise _invalid("sub must be the client_id")
    if not (name.isascii() and name.isprintable()):  # the database would not take it either
        raise _invalid("sub must be the client_id")
    return name, header


def _instant(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if -_LATEST < value < _LATEST else None  # NaN is neither


def _invalid(description: str) -> OAuthError:
    return OAuthError("invalid_client", description, 401)
