"""Where `ctl apply --keys-out` keeps keys that the service made up."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from controlplane.errors import Conflict


class KeysFile:
    """A file that is there before any key is made, so that none is lost for want of a place.

    It can be read by its owner alone, and never replaces another file. Left without a write, it is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = False

    def __enter__(self) -> "KeysFile":
        try:
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            raise Conflict(
                f"{self.path} exists already", remedy="name a file that does not exist yet"
            ) from None
        except OSError as error:
            raise Conflict(
                f"{self.path} cannot be written: {error.strerror}", remedy="name another file"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._written:
            self.path.unlink(missing_ok=True)

    def write(self, keys: Mapping[str, str]) -> None:
        self.path.write_text(json.dumps(dict(keys), indent=2) + "\n")
        self._written = True
