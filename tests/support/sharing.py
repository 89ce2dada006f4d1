"""Which worker runs which tests: one file, or all tests of a server that is dear to start."""

from xdist.scheduler import LoadScopeScheduling

_TIMESCALE = "[timescale"
_END_TO_END = "tests/e2e/"


def shared_server(nodeid: str) -> str | None:
    """The server that a test shares with others, also of other files; None = it needs none."""
    if _TIMESCALE in nodeid:
        return "timescale"
    if nodeid.startswith(_END_TO_END):
        return "demo"
    return None


class FilesAndServers(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out files, and what shares a server as if it were one file."""

    def _split_scope(self, nodeid: str) -> str:
        return shared_server(nodeid) or nodeid.split("::", 1)[0]
