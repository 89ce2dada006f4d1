"""A certificate authority for one data folder: broker, collectors, API and gateways.

    folder/ca.crt  ca.key                                the authority, made once, 10 years
    folder/servers/broker/current/{certificate,key}.pem  "current" links to the newest issue
    folder/clients/gateway/gw-home-1/current/...         one folder for each role and name

A pair is written completely before "current" moves to it in one step, so certificate and key always
belong together and a renewal keeps its paths. Every file is 0600, every folder 0700.
Nothing here talks to a network or keeps a list of what it issued.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature

from wardlight_cloud.private_file import sync_folder, write_private
from wardlight_cloud.security.certificates import (
    LEAF_LIFETIME,
    Pair,
    general_names,
    make_authority,
    make_client,
    make_server,
    names_in,
    pair_from_pem,
)
from wardlight_cloud.security.roles import Role

_RENEW_BEFORE_END = LEAF_LIFETIME / 3
_KEPT_ISSUES = 2  # a process may still be reading the one before
_REMEDY = "Restore both files from a backup, or remove both and issue every certificate anew."


class AuthorityError(Exception):
    """The authority's files are unusable; the text says which, and what to do."""


@dataclass(frozen=True)
class Credentials:
    """Paths that stay the same over renewals, as TLS libraries want them."""

    certificate: Path
    key: Path
    authority: Path


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CertificateAuthority:
    """Issues certificates that every peer of this data folder trusts, and no other peer does."""

    def __init__(self, folder: Path, pair: Pair, clock: Callable[[], datetime] = _utc_now) -> None:
        self._folder = folder
        self._pair = pair
        self._clock = clock

    @classmethod
    def open(cls, folder: Path, *, clock: Callable[[], datetime] = _utc_now) -> Self:
        """The authority of `folder`, made on first use; processes that do so at once agree on one.

        Raises AuthorityError when its certificate has no key, belongs to another, or has ended.
        """
        folder = folder.absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _exclusive(folder):
            if not (folder / "ca.crt").is_file():
                pair = make_authority(clock())
                # The key first: a crash between the two leaves no certificate, so no authority.
                write_private(folder / "ca.key", pair.key_pem())
                write_private(folder / "ca.crt", pair.certificate_pem())
        return cls(folder, _load_authority(folder, clock()), clock)

    @property
    def certificate_file(self) -> Path:
        """The certificate that peers trust."""
        return self._folder / "ca.crt"

    def issue_server(self, names: Sequence[str], *, name: str = "broker") -> Credentials:
        """A new certificate for a server reached under `names` (DNS, addresses) or loopback."""
        home = self._server_home(name)
        return self._store(home, make_server(self._pair, name, names, self._clock()))

    def issue_client(self, common_name: str, role: Role) -> Credentials:
        """A new certificate for a client; ValueError when the name does not fit the role."""
        home = self._client_home(common_name, role)
        return self._store(home, make_client(self._pair, common_name, role.value, self._clock()))

    def ensure_server(self, names: Sequence[str], *, name: str = "broker") -> Credentials:
        """The current certificate if good for `names` and far from its end, else a new one."""
        home = self._server_home(name)
        current = self._good_pair(home)
        if current is None or not set(general_names(names)) <= names_in(current.certificate):
            return self.issue_server(names, name=name)
        return self._credentials(home)

    def ensure_client(self, common_name: str, role: Role) -> Credentials:
        """The current certificate when it is good and far from its end, else a new one."""
        home = self._client_home(common_name, role)
        if self._good_pair(home) is None:
            return self.issue_client(common_name, role)
        return self._credentials(home)

    def _server_home(self, name: str) -> Path:
        if not Role.GATEWAY.accepts(name):
            raise ValueError(f"{name!r} is no name of a server: 3 to 32 of a-z, 0-9 and '-'")
        return self._folder / "servers" / name

    def _client_home(self, common_name: str, role: Role) -> Path:
        role.require(common_name)
        return self._folder / "clients" / role.value / common_name

    def _credentials(self, home: Path) -> Credentials:
        current = home / "current"
        return Credentials(current / "certificate.pem", current / "key.pem", self.certificate_file)

    def _good_pair(self, home: Path) -> Pair | None:
        """What `home` holds when it is ours, whole, and not yet due for renewal."""
        files = self._credentials(home)
        try:
            pair = pair_from_pem(files.certificate.read_bytes(), files.key.read_bytes())
            pair.certificate.verify_directly_issued_by(self._pair.certificate)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return None
        remaining = pair.certificate.not_valid_after_utc - self._clock()
        return pair if pair.belongs_together and remaining > _RENEW_BEFORE_END else None

    def _store(self, home: Path, pair: Pair) -> Credentials:
        """Write the pair into a folder of its own, then let "current" point to it."""
        issue = f"{pair.certificate.serial_number:x}"
        (home / issue).mkdir(mode=0o700, parents=True)
        write_private(home / issue / "key.pem", pair.key_pem())
        write_private(home / issue / "certificate.pem", pair.certificate_pem())
        draft = home / f".{issue}"
        draft.symlink_to(issue)
        draft.replace(home / "current")
        sync_folder(home)
        _forget_older_issues(home)
        return self._credentials(home)


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _load_authority(folder: Path, now: datetime) -> Pair:
    try:
        pair = pair_from_pem((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise AuthorityError(f"Cannot read ca.crt and ca.key in {folder}. {_REMEDY}") from error
    if not pair.belongs_together:
        raise AuthorityError(f"ca.key and ca.crt in {folder} do not belong together. {_REMEDY}")
    end = pair.certificate.not_valid_after_utc
    if end <= now:
        raise AuthorityError(
            f"The authority in {folder} ended on {end:%Y-%m-%d}. Remove ca.crt and ca.key there "
            "and issue every certificate anew."
        )
    return pair


def _forget_older_issues(home: Path) -> None:
    current = (home / "current").resolve()
    older = [
        entry
        for entry in home.iterdir()
        if entry.is_dir() and not entry.is_symlink() and entry.resolve() != current
    ]
    older.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    for entry in older[_KEPT_ISSUES - 1 :]:
        shutil.rmtree(entry)
