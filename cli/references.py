"""`${env:NAME}`, `${env:NAME:-default}` and `${file:PATH}` in a declaration: resolved where `ctl` runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LARGEST_FILE = 65_536

_REFERENCE = re.compile(r"\$\$\{(?=env:|file:)|\$\{(?P<kind>env|file):(?P<rest>[^}]*)(?P<end>\}?)")
_ENV = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-.*)?", re.DOTALL)
_WRITE_ENV = "write ${env:NAME} or ${env:NAME:-default}"


class UnresolvedReference(Exception):
    """A reference that leads nowhere. Holds no value, only the reference's own text."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def has_reference(text: str) -> bool:
    """Whether some of the text comes from elsewhere."""
    return bool(references_in(text))


def references_in(text: str) -> set[str]:
    """Every reference of a text, as it is written."""
    if "${" not in text:
        return set()
    return {match[0] for match in _REFERENCE.finditer(text) if match["kind"]}


@dataclass(frozen=True)
class References:
    """What references are resolved from: the environment, and files beside the declaration."""

    environ: Mapping[str, str]
    folder: Path

    def resolve(self, text: str) -> str:
        """The text with each reference replaced; `$${env:` stays as `${env:`. Raises UnresolvedReference."""
        return _REFERENCE.sub(self._replaced, text)

    def _replaced(self, match: re.Match[str]) -> str:
        if match["kind"] is None:
            return "${"
        if not match["end"]:
            raise UnresolvedReference("the reference has no closing }", _WRITE_ENV)
        return self._variable(match["rest"]) if match["kind"] == "env" else self._file(match["rest"])

    def _variable(self, rest: str) -> str:
        parts = _ENV.fullmatch(rest)
        if parts is None:
            raise UnresolvedReference("the reference names no environment variable", _WRITE_ENV)
        value = self.environ.get(parts["name"], "")
        if not value and parts["default"] is not None:
            return parts["default"][2:]
        if not value:
            name = parts["name"]
            state = "is empty" if name in self.environ else "is not set"
            raise UnresolvedReference(f"the environment variable {name} {state}", f"export {name}=…")
        return value

    def _file(self, rest: str) -> str:
        """The file's text without the line end that editors add."""
        path = (self.folder / Path(rest).expanduser()).absolute()
        try:
            with path.open(encoding="utf-8") as file:
                text = file.read(LARGEST_FILE + 1)
        except OSError as error:
            raise UnresolvedReference(
                f"the file {path} cannot be read: {error.strerror}", "put it there"
            ) from None
        except ValueError:
            raise UnresolvedReference(f"the file {path} is no UTF-8 text", "name a text file") from None
        if len(text) > LARGEST_FILE:
            raise UnresolvedReference(f"the file {path} is over 64 KiB", "name the file of a secret")
        if not text.strip():
            raise UnresolvedReference(f"the file {path} is empty", "put the value into it")
        return text.removesuffix("\n").removesuffix("\r")
