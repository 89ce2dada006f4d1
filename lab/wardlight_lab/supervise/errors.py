"""Why a supervisor gives up.

SupervisorError
├── ChildNotReady      a child never served; the text holds the end of its log
├── DataFolderInUse    another supervisor lives in the data folder
└── StopRequested      somebody asked to stop while a child was starting
"""


class SupervisorError(Exception):
    """The supervisor cannot do what it was asked to."""


class ChildNotReady(SupervisorError):
    """A child died or stayed silent before it ever served."""


class DataFolderInUse(SupervisorError):
    """The data folder belongs to a supervisor that is alive, or to children it has not ended."""


class StopRequested(SupervisorError):
    """SIGINT, SIGTERM, SIGHUP or `request_stop` came while a child was starting."""
