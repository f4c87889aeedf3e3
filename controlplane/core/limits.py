"""What a limit is: one meter, an amount, and how the amount comes back."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ConfigDict, Field, StrictBool

from controlplane.core.attributes import ATTRIBUTES, Claim
from controlplane.core.checked import Checked, check
from controlplane.core.durations import InvalidDuration, is_calendar, window_seconds
from controlplane.core.text import CREDENTIAL_HEADERS, header_name
from controlplane.core.wrong_field import WrongField

LARGEST_AMOUNT = 2**53 - 1  # what every gateway and every JSON reader still counts exactly

Amount = Annotated[int, Field(gt=0, le=LARGEST_AMOUNT, strict=True)]
Money = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False, strict=True)]
Rate = Annotated[float, Field(ge=0.001, le=1e9, allow_inf_nan=False, strict=True)]


class Meter(StrEnum):
    """What a limit counts."""

    TOKENS = "tokens"
    PROMPT_TOKENS = "prompt_tokens"
    COMPLETION_TOKENS = "completion_tokens"
    REQUESTS = "requests"
    CONCURRENCY = "concurrency"
    USD = "usd"

    @property
    def counts_tokens(self) -> bool:
        return self in (Meter.TOKENS, Meter.PROMPT_TOKENS, Meter.COMPLETION_TOKENS)


_METERS = tuple((meter.value, meter) for meter in Meter)


class Then(StrEnum):
    """What happens to a request that would cross the limit."""

    REJECT = "reject"
    FALLBACK = "fallback"
    ALERT = "alert"


class Mode(StrEnum):
    """How a window moves."""

    FIXED = "fixed"
    SLIDING = "sliding"


def _window(text: str) -> str:
    try:
        window_seconds(text)
    except InvalidDuration as error:
        raise ValueError(str(error)) from None
    return text


def _by(text: str) -> str:
    if text in ("key", "tenant", "model", *ATTRIBUTES):
        return text
    kind, colon, header = text.partition(":")
    if kind == "header" and colon:
        name = header_name(header)
        if name in CREDENTIAL_HEADERS:
            raise ValueError(f"{name} is removed before anything is counted; use `by: key`")
        return f"header:{name}"
    raise ValueError("must be key, tenant, model, team, rolegroup, role, user or header:NAME")


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(f"{name!r} is no time zone; write one like UTC or Europe/Berlin") from None
    return name


Window = Annotated[str, Field(max_length=16, examples=["1m"]), AfterValidator(_window)]
By = Annotated[str, Field(max_length=160, examples=["key", "header:x-team-id"]), AfterValidator(_by)]
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(_time_zone)]


class Limit(Checked):
    """One limit, as it is declared: `{tokens: 500000, per: 1h, by: key}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: Amount | None = None
    prompt_tokens: Amount | None = None
    completion_tokens: Amount | None = None
    requests: Amount | None = None
    concurrency: Amount | None = None
    usd: Money | None = None

    per: Window | None = Field(None, description="the window after which the amount is there again")
    refill_per_s: Rate | None = Field(None, description="a bucket that refills by this much every second")
    by: By | None = Field(
        None,
        description="one counter for each key, tenant, team, rolegroup, role, user, model or header value",
    )
    value: Claim | None = Field(
        None, description="the one team, rolegroup, role or user that has this limit and not the common one"
    )
    then: Then = Then.REJECT
    mode: Mode = Mode.FIXED
    strict: StrictBool = Field(False, description="reserve before the call, so that nothing is overshot")
    time_zone: TimeZone = Field("UTC", description="where calendar windows begin")

    @check
    def _one_meter(self) -> Iterator[WrongField]:
        declared = [meter for name, meter in _METERS if getattr(self, name) is not None]
        if len(declared) != 1:
            names = ", ".join(Meter)
            message = f"declares {len(declared)} meters; a limit has exactly one of {names}"
            yield WrongField(declared[1] if declared else "", message)

    @check
    def _one_pace(self) -> Iterator[WrongField]:
        if self.concurrency is not None:
            if self.per or self.refill_per_s:
                field = "per" if self.per else "refill_per_s"
                yield WrongField(field, "a concurrency limit has neither `per` nor `refill_per_s`; remove it")
        elif (self.per is None) == (self.refill_per_s is None):
            message = "needs either `per` (a window) or `refill_per_s` (a bucket), and not both"
            yield WrongField("per", message)

    @check
    def _whose(self) -> Iterator[WrongField]:
        if self.value is not None and self.by not in ATTRIBUTES:
            message = "names one team, rolegroup, role or user; write which of them into `by`"
            yield WrongField("value", message)

    @check
    def _slides(self) -> Iterator[WrongField]:
        without = self.per is None and (self.refill_per_s is not None or self.concurrency is not None)
        if self.mode is Mode.SLIDING and (without or is_calendar(self.per)):
            yield WrongField("mode", "`mode: sliding` needs a `per` of fixed length, such as 1m")

    @property
    def meter(self) -> Meter:
        declared = self.__dict__  # asked for so often that attributes would be slow
        return next(meter for name, meter in _METERS if declared[name] is not None)

    @property
    def amount(self) -> int | float:
        value: int | float = getattr(self, self.meter)
        return value

    @property
    def window_s(self) -> int | None:
        """Seconds of a window of fixed length; None for buckets, calendar windows and concurrency."""
        return None if self.per is None else window_seconds(self.per)

    @property
    def is_calendar(self) -> bool:
        return is_calendar(self.per)

    @property
    def header(self) -> str | None:
        """The header that `by: header:NAME` counts by, in lower case."""
        return self.by.removeprefix("header:") if self.by and self.by.startswith("header:") else None

    def __str__(self) -> str:
        """The limit in words: `500000 tokens per 1h by key`."""
        pace = ""
        if self.per:
            pace = f" per {self.per}"
        elif self.refill_per_s:
            pace = f", refilled by {self.refill_per_s:g}/s"
        amount = f"{self.amount:g} USD" if self.meter is Meter.USD else f"{self.amount} {self.meter}"
        whose = f" for {self.by} {self.value}" if self.value else f" by {self.by}" if self.by else ""
        return amount.replace("_", " ") + pace + whose
