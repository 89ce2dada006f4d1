"""The settings of an embedded server, as pure functions.

Two kinds. What must hold whatever anyone wrote into a configuration file (durability, where the
server listens) goes on the command line, which beats every file. What an operator may tune goes
into `wardlight.conf` below postgresql.conf, where ALTER SYSTEM overrides it.
Source: PostgreSQL 18 documentation, chapter 19 (all names exist since 15).
"""

from collections.abc import Mapping
from pathlib import Path

MARK = "wardlight"  # cluster_name: shows in `ps`, and tells our server from somebody else's
_MIB = 1024 * 1024
_SHARED_BUFFERS_MIB = (64, 512)  # a box that also runs collector, API and broker
_DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
# A commit still reaches the kernel, so a kill -9 loses nothing; a power cut may lose everything.
_THROWAWAY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on"}

_TUNED = {
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "100",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "10min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",  # our queries are short; compiling them costs more than it saves
    "password_encryption": "scram-sha-256",
    # A client that hangs in a transaction holds back vacuum and locks; ours never wait so long.
    "idle_in_transaction_session_timeout": "60s",
    # A query whose client has gone is cancelled rather than finished for nobody.
    "client_connection_check_interval": "10s",
    # The log names no values: no statements, no key values in DETAIL lines.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
}
_LOG_FILES = {
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",  # one file a weekday, begun anew each week
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_file_mode": "0600",
}


def tuned_settings(memory_bytes: int, *, durable: bool) -> dict[str, str]:
    """What `wardlight.conf` holds, sized for a machine with this much memory."""
    lowest, highest = _SHARED_BUFFERS_MIB
    memory_mib = memory_bytes // _MIB
    buffers_mib = max(lowest, min(memory_mib // 8, highest)) if durable else lowest
    sized = {
        "shared_buffers": f"{buffers_mib}MB",
        "effective_cache_size": f"{max(memory_mib // 2, 2 * lowest)}MB",
    }
    return {**_TUNED, **sized, **(_LOG_FILES if durable else {})}


def configuration_text(settings: Mapping[str, str]) -> str:
    """The text of `wardlight.conf`."""
    lines = [f"{name} = {_quoted(value)}" for name, value in sorted(settings.items())]
    head = "# Written anew at every start. Change a setting with ALTER SYSTEM, not here.\n"
    return head + "\n".join(lines) + "\n"


def server_arguments(
    *, cluster: Path, socket_folder: Path, port: int, tcp: bool, durable: bool
) -> list[str]:
    """The arguments of `postgres`: its data folder, where it listens, and what it must not lose."""
    fixed = {
        "cluster_name": MARK,
        "listen_addresses": "127.0.0.1" if tcp else "",
        "port": str(port),
        "unix_socket_directories": _listed(socket_folder),
        "unix_socket_permissions": "0700",
        **(_DURABLE if durable else _THROWAWAY),
    }
    options = [text for name, value in fixed.items() for text in ("-c", f"{name}={value}")]
    return ["-D", str(cluster), *options]


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _listed(folder: Path) -> str:
    """One entry of a list of paths; quoted, because a comma or a space would split it."""
    return '"' + str(folder).replace('"', '""') + '"'
