"""Processes of the demo: started, found ready, brought back when they die, and all ended."""

from wardlight_lab.supervise.child import Child, ChildStatus, State
from wardlight_lab.supervise.errors import (
    ChildNotReady,
    DataFolderInUse,
    StopRequested,
    SupervisorError,
)
from wardlight_lab.supervise.postgres import postgres_child
from wardlight_lab.supervise.ready_file import write_ready_file
from wardlight_lab.supervise.supervisor import Supervisor

__all__ = [
    "Child",
    "ChildNotReady",
    "ChildStatus",
    "DataFolderInUse",
    "State",
    "StopRequested",
    "Supervisor",
    "SupervisorError",
    "postgres_child",
    "write_ready_file",
]
