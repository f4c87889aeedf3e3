"""Files that only their owner may read, written whole or not at all."""

import os
import tempfile
from pathlib import Path

from controlplane.errors import InvalidSpec


def write_private(path: Path, text: str) -> None:
    """Put the text in the file's place, mode 0600. Raises InvalidSpec."""
    try:
        handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError as error:
        raise InvalidSpec(f"{path} cannot be written: {error.strerror}") from None
