"""Which worker runs which tests: one file, or all tests of a server that is dear to start."""

from xdist.scheduler import LoadScopeScheduling

_SERVERS = {
    "timescale": ("[timescale",),
    "demo": ("e2e/test_main_job.py", "e2e/test_hl7.py", "e2e/test_privacy.py"),
}


def shared_server(nodeid: str) -> str | None:
    """The server that a test shares with others, also of other files; None = it needs none."""
    for server, signs in _SERVERS.items():
        if any(sign in nodeid for sign in signs):
            return server
    return None


class FilesAndServers(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out files, and what shares a server as if it were one file."""

    def _split_scope(self, nodeid: str) -> str:
        return shared_server(nodeid) or nodeid.split("::", 1)[0]
