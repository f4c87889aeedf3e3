"""Asking for a plan without reading YAML: a declaration that changed nothing may be known to the service.

It is named by the digest of its files and of what their references stand for, so that the name is another one
whenever the declaration may be. Whatever goes wrong here, the whole declaration is read and sent instead.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.connection import Request, Unanswered, connection_to
from cli.finding import CallerSettings
from cli.references import References, UnresolvedReference, references_in
from cli.sources import STDIN, sources
from controlplane.errors import SluiceError

Value = dict[str, Any]  # Any: a plan as the service shows it

_WAYS = "1"
"""Another text whenever the same files come to be read in another way."""

_OK = 200
_CONNECT_S = 2.0
_ANSWER_S = 600.0


@dataclass(frozen=True)
class Name:
    """What a declaration is known by."""

    digest: str
    references: frozenset[str]

    def of(self, references: Collection[str]) -> str | None:
        """The digest, if it covers all of these: YAML can write one so that only its reader sees it."""
        return self.digest if self.references.issuperset(references) else None


def named(files: Sequence[str], environ: Mapping[str, str], *, literal_secrets: bool) -> Name | None:
    """The name of what these files declare; None for what cannot be named."""
    if STDIN in files:
        return None
    whole = hashlib.sha256(f"{_WAYS} {literal_secrets}".encode())
    found: set[str] = set()
    try:
        for source in sources(files):
            whole.update(hashlib.sha256(source.raw).digest())
            references = References(environ, source.folder)
            for text in sorted(references_in(source.text())):
                found.add(text)
                value = f"{text}={_value(references, text)}".encode(errors="surrogatepass")
                whole.update(hashlib.sha256(value).digest())
    except SluiceError:
        return None
    return Name(whole.hexdigest(), frozenset(found))


def _value(references: References, text: str) -> str:
    try:
        return references.resolve(text)
    except UnresolvedReference as error:
        return f"unresolved: {error.message}"


def known_plan(settings: CallerSettings, name: Name, options: Mapping[str, bool]) -> Value | None:
    """The plan of a declaration that the service knows; None where it does not, or cannot be asked."""
    flags = {flag: "true" for flag, on in options.items() if on}
    content = json.dumps({"digest": name.digest}).encode()
    request = Request(
        "POST", "plan/known", flags, content, {"content-type": "application/json"}, timeout_s=_ANSWER_S
    )
    try:
        with connection_to(settings, connect_s=_CONNECT_S) as connection, connection.ask(request) as answer:
            plan = json.loads(b"".join(answer.pieces)) if answer.status == _OK else None
    except (Unanswered, ValueError, SluiceError):
        return None
    return plan if isinstance(plan, dict) else None
