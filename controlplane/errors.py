"""The error tree.

SluiceError                 says what happened, to which object, and what to do next
├── InvalidSettings         a SLUICE_* variable that cannot be used
├── InvalidSpec             a declaration that cannot be accepted (one or more field problems)
├── InvalidRequest          a request that cannot be understood (no JSON, an unknown parameter)
├── UnsupportedMediaType
├── NotFound
├── Conflict                a name clash, or a reference that a delete would break
├── PreconditionFailed      If-Match names another state of the object
├── Unauthorized / Forbidden
├── TooManyAttempts         to sign in
├── PayloadTooLarge
├── CannotUnseal            a stored secret that the master key does not open
├── Unavailable             a part we depend on is down; trying again may help
│   ├── StoreUnavailable
│   ├── GatewayUnavailable
│   └── PartFailed          a part of the embedded stack does not start
└── GatewayRefused          a gateway said no (4xx); trying again does not help
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one field: where, what, and how to mend it."""

    field: str
    message: str
    remedy: str | None = None

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.message}" + (f" ({self.remedy})" if self.remedy else "")


class SluiceError(Exception):
    """Base of all our errors. `remedy` says what the reader can do about it."""

    def __init__(self, message: str, *, remedy: str | None = None, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.problems = tuple(problems)

    def __str__(self) -> str:
        parts = [self.message, *(f"  {problem}" for problem in self.problems)]
        if self.remedy:
            parts.append(self.remedy)
        return "\n".join(parts)


class InvalidSettings(SluiceError):
    """A SLUICE_* variable that cannot be used."""

    @classmethod
    def from_validation(cls, error: "ValidationError") -> "InvalidSettings":
        problems = [
            Problem("SLUICE_" + str(item["loc"][0]).upper(), item["msg"])
            for item in error.errors(include_input=False, include_url=False)
        ]
        return cls("a setting cannot be used", problems=problems)


class InvalidSpec(SluiceError):
    """A declaration that cannot be accepted."""


class InvalidRequest(SluiceError):
    """A request that cannot be understood, whatever it declares."""


class UnsupportedMediaType(SluiceError):
    """A body of a content type that is not read here."""


class NotFound(SluiceError):
    """There is no such object."""


class Conflict(SluiceError):
    """The name is taken, or something still refers to the object."""


class PreconditionFailed(SluiceError):
    """The object has changed since the caller read it."""


class Unauthorized(SluiceError):
    """No credentials, or credentials that we do not know."""


class Forbidden(SluiceError):
    """Known credentials that do not allow this."""


class TooManyAttempts(SluiceError):
    """Somebody has tried to sign in too often."""

    def __init__(self, message: str, *, retry_after_s: int, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class PayloadTooLarge(SluiceError):
    """A body over the limit."""


class CannotUnseal(SluiceError):
    """A stored secret was sealed with another master key, or was changed in the database."""


class Unavailable(SluiceError):
    """A part we depend on is down."""


class StoreUnavailable(Unavailable):
    """Postgres cannot be reached."""


class GatewayUnavailable(Unavailable):
    """A gateway's Admin API cannot be reached, or answers 5xx."""


class PartFailed(Unavailable):
    """A part of the embedded stack does not start."""


class GatewayRefused(SluiceError):
    """A gateway answered 4xx: the request is wrong for it, and stays wrong when repeated."""

    def __init__(self, message: str, *, status: int, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
