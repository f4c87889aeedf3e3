"""What `ctl` tells a script by its exit code."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    ERROR = 1
    CHANGES = 2
    DRIFT = 3
    REFUSED = 4
    PARTLY_APPLIED = 5
    INTERRUPTED = 130
    """Ctrl-C, as shells have it; Typer ends a command with it."""
