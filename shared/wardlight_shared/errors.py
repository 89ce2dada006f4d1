"""The error family: whose fault it is decides the type.

WardlightError
├── DecodeError        a device sent bytes its specification does not allow
├── EnvelopeError      a peer sent a message that the wire format does not allow
│   └── VersionError   ... because it speaks a newer version than this program
├── ConfigError        an operator's setting cannot be used
│   └── ProfileError   ... in a device profile (firmware-configs/*.toml)
├── TransportError     a radio, wire or network failed: try again
└── StorageError       a disk or database refused
    ├── OutboxFull     the outbox keeps its promise by refusing: nothing was stored
    └── OutboxCorrupt  the outbox file is damaged and has been set aside

Anything else that is raised is a bug: the process ends and its supervisor starts it again.
Messages never hold a measured value, a name or raw device bytes: lengths, codes and positions only.
"""


class WardlightError(Exception):
    """Base of every error this project raises on purpose."""


class DecodeError(WardlightError):
    """The bytes of a device do not follow their specification; keep them in quarantine."""


class EnvelopeError(WardlightError):
    """A message does not follow docs/wire-format.md; ``where`` is the path to the bad position."""

    def __init__(self, message: str, *, where: str = "$") -> None:
        super().__init__(f"{where}: {message}")
        self.where = where


class VersionError(EnvelopeError):
    """A message is of a version this program does not know; it is kept, never rejected."""

    def __init__(self, version: int, known: int) -> None:
        super().__init__(f"version {version}, this program knows up to {known}", where="$[0]")
        self.version = version


class ConfigError(WardlightError):
    """A setting is missing, unknown or out of range; the message names file, key and remedy."""


class ProfileError(ConfigError):
    """A device profile is wrong; the message names the file and the key."""


class TransportError(WardlightError):
    """A radio, wire or network failed; the caller tries again."""


class StorageError(WardlightError):
    """A disk or a database refused an operation; nothing of it was stored."""


class OutboxFull(StorageError):
    """Quota or disk is used up; the reading was not accepted and must stay on its device."""


class OutboxCorrupt(StorageError):
    """The outbox file failed its check; it was set aside and is being salvaged."""
