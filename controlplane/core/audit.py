"""The chain of audit rows: what each of them vouches for, and what a look over all of them finds.

Every row carries the keyed digest of its own content together with the digest of the row before it. A row
that was changed no longer matches its own digest; where one was taken out or put in, the next one names
another predecessor; where the last ones are missing, the head says so.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

Digest = Callable[[str], str]
"""The keyed digest of a text."""

_FORMAT = 1
_LARGEST_EXACT = 2**53
_OF_SEVERAL_FORMS = re.compile(rb"[:,\[]-?(?:[0-9]+[.eE]|[0-9]{16})")
"""A number with a fraction, an exponent or many digits; what looks like one inside a text does no harm."""
MOST_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what, from where. Secrets are masked."""

    id: int
    at: datetime
    author: str
    address: str
    request_id: str
    action: str
    kind: str
    object_id: str
    name: str
    tenant_id: str | None
    before: Mapping[str, Any] | None  # Any: JSON
    after: Mapping[str, Any] | None
    revision: int | None
    previous: str | None
    """The digest of the row before; none in rows of a release that kept no chain."""
    digest: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A place where the audit is not as it was written."""

    row: int | None
    what: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: how many rows there are, and the digest of the last one."""

    rows: int
    digest: str


@dataclass
class Check:
    """Looks at rows in their order. `earlier` is the digest of all rows from before there was a chain."""

    digest: Digest
    key_id: str
    earlier: str
    rows: int = 0
    last: str = ""
    findings: list[Finding] = field(default_factory=list)
    _allowed: frozenset[str] = frozenset()
    _last_id: int = 0

    def __post_init__(self) -> None:
        self.last = self.earlier
        self._allowed = frozenset({self.earlier})

    def look(self, row: AuditRow) -> None:
        self.rows += 1
        if row.digest is None:
            self._found(row.id, "was put in by somebody else: it belongs to no chain")
            return
        sound = self._sound(row)
        if row.previous not in self._allowed:
            between = f"between row {self._last_id} and this one" if self._last_id else "before this one"
            self._found(row.id, f"rows {between} were taken out, put in or changed")
        # What follows a row that is not sound may have been written before that row was put in.
        self._allowed = frozenset({row.digest}) if sound else self._allowed | {row.digest}
        self.last = row.digest
        self._last_id = row.id

    def finish(self, head: Head | None) -> None:
        """Compare with where the chain ended when it was last written."""
        if head is None:
            self._found(None, "the head of the chain was taken out")
        elif head.digest not in self._allowed:
            self._found(None, f"rows after row {self._last_id} were taken out")
        elif head.rows != self.rows and not self.findings:
            self._found(None, f"there are {self.rows} rows, and {head.rows} were written")

    def _sound(self, row: AuditRow) -> bool:
        key_id = (row.digest or "").partition(":")[0]
        if key_id != self.key_id:
            self._found(row.id, "was written under another master key, or by somebody else")
            return False
        if self.digest(content(row)) != row.digest:
            self._found(row.id, "was changed, or put in by somebody else")
            return False
        return True

    def _found(self, row: int | None, what: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(row, what))


def content(row: AuditRow) -> str:
    """Everything that the row's digest vouches for, in one fixed form."""
    values = [
        _FORMAT,
        row.previous,
        row.at.astimezone(UTC).isoformat(timespec="microseconds"),
        *(row.author, row.address, row.request_id, row.action, row.kind, row.object_id, row.name),
        *(row.tenant_id, _text(row.before), _text(row.after), row.revision),
    ]
    return orjson.dumps(values).decode()


def _text(value: Mapping[str, Any] | None) -> orjson.Fragment:
    """JSON in its one form: names are sorted, and a number is written in one way."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a number of more than 64 bits
        return _text_in_full(value)
    return _text_in_full(orjson.loads(text)) if _OF_SEVERAL_FORMS.search(text) else orjson.Fragment(text)


def _text_in_full(value: Any) -> orjson.Fragment:  # Any: JSON
    text = json.dumps(_fixed(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return orjson.Fragment(text)


def _fixed(value: Any) -> Any:  # Any: JSON
    """Numbers in one form: the database writes 1e2 as 100, and large ones in full."""
    if isinstance(value, Mapping):
        return {name: _fixed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_fixed(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if abs(value) >= _LARGEST_EXACT:
        return float(value)
    return int(value) if float(value).is_integer() else value
