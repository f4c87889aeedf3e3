"""tiktoken's encodings, as far as they are on this machine: tiktoken itself would download the others."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any, Protocol

import tiktoken
from tiktoken_ext.openai_public import ENCODING_CONSTRUCTORS

Constructor = Callable[[], dict[str, Any]]  # the arguments of tiktoken.Encoding, which differ by encoding

_MOST_REMEMBERED = 1000


class Encoder(Protocol):
    """What turns text into tokens."""

    def encode_ordinary(self, text: str) -> list[int]:
        """The tokens of a text without special ones."""


class Encodings:
    """The encodings that were loaded; a model whose encoding was not is answered with None at once."""

    def __init__(
        self,
        constructors: Mapping[str, Constructor] = ENCODING_CONSTRUCTORS,
        name_of: Callable[[str], str] = tiktoken.encoding_name_for_model,
    ) -> None:
        self._constructors = constructors
        self._name_of = name_of
        self._encoding_of = lru_cache(_MOST_REMEMBERED)(self._find_encoding_of)
        self._loaded: dict[str, Encoder] = {}

    def load(self, models: Iterable[str]) -> list[str]:
        """Load what these models need and this machine has, and return the models that are known now.

        Takes some tenths of a second for each encoding: for the start of a process, or a thread.
        """
        known = []
        for model in models:
            name = self._encoding_of(model)
            if name is None:
                continue
            if name not in self._loaded and self._is_here(name):
                self._loaded[name] = tiktoken.Encoding(**self._constructors[name]())
            if name in self._loaded:
                known.append(model)
        return known

    def of(self, model: str) -> Encoder | None:
        """The encoding of a model, if it was loaded."""
        name = self._encoding_of(model)
        return None if name is None else self._loaded.get(name)

    def _find_encoding_of(self, model: str) -> str | None:
        try:
            name = self._name_of(model)
        except KeyError:
            return None
        return name if name in self._constructors else None

    def _is_here(self, name: str) -> bool:
        """Whether tiktoken would find all files of the encoding in its cache, unharmed."""
        folder = _cache_folder()
        texts = list(self._constants(name))
        files = [sha1(text.encode(), usedforsecurity=False).hexdigest() for text in texts if "://" in text]
        if folder is None or not files:
            return False
        try:
            return all(sha256((folder / file).read_bytes()).hexdigest() in texts for file in files)
        except OSError:
            return False

    def _constants(self, name: str) -> Iterator[str]:
        """The texts in the constructor's code, among them where its files come from and their checksums."""
        code = self._constructors[name].__code__
        yield from (text for text in code.co_consts if isinstance(text, str))
        for other in code.co_names:
            if other in self._constructors and other != name:
                yield from self._constants(other)


def _cache_folder() -> Path | None:
    """Where tiktoken keeps what it has downloaded; None if it is told to keep nothing."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder is None:
        return Path(tempfile.gettempdir(), "data-gym-cache")
    return Path(folder) if folder else None
