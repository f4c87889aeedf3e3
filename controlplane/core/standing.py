"""Limits that stand above queues, and the headers in which a gateway reads them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from controlplane.core.levels import LEVELS_HEADER, Place, Slot
from controlplane.core.limits import Limit
from controlplane.core.objects import Json


@dataclass(frozen=True, slots=True)
class Standing:
    """A limit that stands above queues, and the place that counts it."""

    path: str
    """Where it is declared, such as `tenants.acme.limits[0]`."""
    place: Place
    limit: Limit
    scope: str
    """The counter's name, up to the value of the attribute."""
    attribute: str | None = None
    """The header whose value ends the counter's name."""
    value: str | None = None
    """The one value of the attribute that it counts; every value that has no limit of its own without it."""

    @property
    def variable(self) -> str | None:
        """The gateway's variable that holds the attribute."""
        return None if self.attribute is None else "http_" + self.attribute.replace("-", "_")

    @property
    def headers(self) -> dict[str, str]:
        """What the place reads; the scope may want the value of the attribute behind it."""
        used = {LEVELS_HEADER: "1"} if isinstance(self.place, Slot) else {}
        return {
            self.place.scope_header: self.scope + (self.value or ""),
            **self.place.headers(self.limit),
            **used,
        }


Choice = Mapping[str, Json]
"""Limits that depend on the value of an attribute, as a function on the gateway chooses among them.

`variable` holds the value, `values` has the headers of each value with limits of its own, `others` those of
every other and of none, and `ends` says which of these the value is added to.
"""


@dataclass(frozen=True, slots=True)
class KeyLevels:
    """What a key changes of the levels of its calls."""

    set_headers: Mapping[str, str]
    variables: Mapping[str, str]
    """By header: the variable whose value is added to the text."""
    remove_headers: Sequence[str]
    choices: Sequence[Choice] = ()


def level_headers(standings: Iterable[Standing]) -> dict[str, str]:
    """The headers that a route sets for what stands above it, but for what `choices` leaves to a function."""
    headers: dict[str, str] = {}
    for standing in unchosen(standings):
        headers |= standing.headers
        if standing.variable:
            headers[standing.place.scope_header] += f"${standing.variable}"
    return headers


def unchosen(standings: Iterable[Standing]) -> list[Standing]:
    """What counts a call whatever value an attribute has."""
    return _parted(standings)[0]


def choices(standings: Iterable[Standing]) -> list[Choice]:
    """For each attribute that has values with limits of their own, what is chosen for whom."""
    chosen = sorted(_parted(standings)[1], key=_variable)
    return [_choice(variable, group) for variable, group in groupby(chosen, key=_variable)]


def _parted(standings: Iterable[Standing]) -> tuple[list[Standing], list[Standing]]:
    found = list(standings)
    valued = {standing.attribute for standing in found if standing.value}
    return (
        [standing for standing in found if standing.attribute not in valued],
        [standing for standing in found if standing.attribute in valued],
    )


def _variable(standing: Standing) -> str:
    return standing.variable or ""


def _choice(variable: str, standings: Iterable[Standing]) -> Choice:
    values: dict[str, dict[str, str]] = {}
    others: dict[str, str] = {}
    ends: dict[str, bool] = {}
    for standing in standings:
        if standing.value:
            values.setdefault(standing.value, {}).update(standing.headers)
        else:
            others |= standing.headers
            ends[standing.place.scope_header] = True
    return {"variable": variable, "values": values, "others": others, "ends": ends}
