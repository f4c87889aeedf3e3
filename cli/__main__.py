"""The entry point of `ctl`: whoever interrupts it is not shown where it was, from the first moment on."""

import os
import signal
import sys

from cli.exit_codes import ExitCode

TYPE_CHECKING = False
"""As `typing` has it, which is not loaded before interruptions are heard."""

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType


def run() -> None:
    """Run `ctl` with the arguments of this process."""
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        # While modules are imported there is nobody yet to catch an interruption, and nothing to be undone.
        signal.signal(signal.SIGINT, _end)
        sys.unraisablehook = _unraisable
    import gc

    # A command ends soon, and what it loads and reads stays to its end: the collector would look in vain.
    gc.set_threshold(1_000_000, 50, 100)
    from cli.main import main

    gc.freeze()
    try:
        if heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main(sys.argv[1:])
        if heard:
            signal.signal(signal.SIGINT, _end)
    except KeyboardInterrupt:
        _end()
    gc.freeze()  # nor does it find anything while Python ends
    sys.exit(code)


def _end(number: int = signal.SIGINT, frame: "FrameType | None" = None) -> None:
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(ExitCode.INTERRUPTED)


def _unraisable(what: "UnraisableHookArgs") -> None:
    """An interruption that falls into a callback, as imports have them, would be printed and forgotten."""
    if issubclass(what.exc_type, KeyboardInterrupt):
        _end()
    sys.__unraisablehook__(what)


if __name__ == "__main__":
    run()
